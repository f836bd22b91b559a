//! Rows of Arrow -> DataRow messages, exactly as PostgreSQL 15 writes them, in its text and its binary format.
//!
//! The work is done by column: for each column of a batch one writer is chosen by its type, once, and then called for
//! each row. Nothing is looked up or allocated per value. It must never know where rows come from.
//!
//! ```text
//! 'D' | length i32 | columns i16 | for each: -1 for null, or length i32 and that many bytes
//! ```
//!
//! Next: `text.rs`, `binary.rs`, and below them `number.rs`, `time.rs`, `list.rs` and `json.rs`.

mod binary;
mod json;
mod list;
mod number;
mod text;
mod time;
mod writer;

use std::fmt;

use arrow::array::timezone::Tz;
use arrow::array::{Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{FieldRef, Schema};
use bytes::BufMut;
use pgwire::messages::data::{FieldDescription, RowDescription};
use tarn_sql::types::{oid, pg_type};
use tarn_sql::{Error, Result, SqlState};

pub use time::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};
use writer::Writer;

/// Longest value that is sent, bytes; PostgreSQL has the same limit.
const VALUE_BYTES_MAX: usize = (1 << 30) - 1;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

/// Writes the rows of one result.
#[derive(Debug, Clone)]
pub struct RowEncoder {
    columns: Vec<(FieldRef, Format)>,
    zone: Tz,
}

impl RowEncoder {
    /// `formats` holds one format per column. `zone` is the session's time zone, for timestamps with time zone.
    pub fn new(schema: &Schema, formats: &[Format], zone: Tz) -> RowEncoder {
        RowEncoder { columns: schema.fields().iter().cloned().zip(formats.iter().copied()).collect(), zone }
    }

    /// What the columns are, for the client.
    pub fn description(&self) -> RowDescription {
        RowDescription::new(self.columns.iter().map(|(field, format)| describe(field, *format)).collect())
    }

    /// Writes rows of `batch` from row `first` on, at most `rows_max` and until `out` has `bytes_max` bytes.
    /// Returns how many were written: at least one, if there is one. On an error, nothing of the row that failed.
    pub fn encode(
        &self,
        batch: &RecordBatch,
        first: usize,
        rows_max: usize,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        let cells = self.cells(batch)?;
        let mut rows = 0;
        for row in first..batch.num_rows() {
            if rows == rows_max || (rows > 0 && out.len() >= bytes_max) {
                break;
            }
            let start = out.len();
            if let Err(error) = write_row(&cells, row, out) {
                out.truncate(start);
                return Err(error);
            }
            rows += 1;
        }
        Ok(rows)
    }

    fn cells<'a>(&self, batch: &'a RecordBatch) -> Result<Vec<Cell<'a>>> {
        let columns = self.columns.iter().zip(batch.columns());
        columns.map(|((field, format), array)| Cell::new(field, array.as_ref(), *format, self.zone)).collect()
    }
}

fn describe(field: &FieldRef, format: Format) -> FieldDescription {
    let pg_type = pg_type(field);
    // The name is a string of C: a zero byte would end it.
    let name = field.name().replace('\0', "");
    FieldDescription::new(name, 0, 0, pg_type.oid, pg_type.len, pg_type.modifier, format.code())
}

/// A column's values with their nulls.
pub struct Cell<'a> {
    nulls: Option<NullBuffer>,
    write: Writer<'a>,
}

impl<'a> Cell<'a> {
    pub fn new(field: &FieldRef, array: &'a dyn Array, format: Format, zone: Tz) -> Result<Cell<'a>> {
        let write = match format {
            Format::Text => text::writer(field, array, zone)?,
            Format::Binary => binary::writer(field, array, zone)?,
        };
        Ok(Cell { nulls: array.logical_nulls(), write })
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The value of a row that is not null, and nothing else.
    pub fn put(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        (self.write)(row, out)
    }

    /// The value with its length before it, or the mark of a null.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        let start = out.len();
        out.put_i32(0);
        (self.write)(row, out)?;
        put_length(out, start, 4)
    }
}

fn write_row(cells: &[Cell<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
    out.put_u8(b'D');
    let start = out.len();
    out.put_i32(0);
    // A result has at most 1600 columns in PostgreSQL; the count has 16 bits.
    out.put_u16(u16::try_from(cells.len()).map_err(|_| too_large("a row has more than 65535 columns"))?);
    for cell in cells {
        cell.write(row, out)?;
    }
    put_length(out, start, 0)
}

/// Puts the length of what follows `start` into the four bytes there; `without` of them are not counted.
pub fn put_length(out: &mut [u8], start: usize, without: usize) -> Result<()> {
    let length = out.len() - start - without;
    let length = i32::try_from(length).ok().filter(|_| length <= VALUE_BYTES_MAX);
    let length = length.ok_or_else(|| too_large("a value is longer than 1 GB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn too_large(message: &str) -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

/// Text into the buffer.
fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    std::io::Write::write_fmt(out, text).expect("a buffer in memory takes what it is given");
}

/// Whether a type's binary format is its text.
fn is_json(type_oid: u32) -> bool {
    matches!(type_oid, oid::JSON | oid::JSONB)
}

#[cfg(test)]
mod tests;
