//! Rows -> the data of a `COPY TO`, each row in a CopyData message (`CopyOneRowTo`, `CopyAttributeOutText`,
//! `CopyAttributeOutCSV`). The values themselves are written by `../encode/`.

use arrow::array::RecordBatch;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use bytes::BufMut;
use tarn_sql::types::{element_oid, oid, pg_type};
use tarn_sql::{CopyFormat, CopyHeader, CopyOptions, Error, Result, SqlState};

use super::super::encode::{Cell, Format, put_length};
use super::{CHUNK_BYTES, SIGNATURE};

/// Writes the rows of one `COPY TO`.
#[derive(Debug)]
pub struct CopyWriter {
    columns: Vec<OutColumn>,
    options: CopyOptions,
    zone: Tz,
    /// Bytes that the format gives another meaning.
    special: [bool; 256],
    /// For a client, not for a file.
    messages: bool,
}

#[derive(Debug)]
struct OutColumn {
    field: FieldRef,
    /// Its values may hold any byte.
    any_byte: bool,
    force_quote: bool,
}

/// Rows that are to be written.
#[derive(Debug)]
pub struct Outgoing {
    pub batch: RecordBatch,
    /// The row of the batch to begin with.
    pub row: usize,
    /// It is the first of all.
    pub first: bool,
}

impl CopyWriter {
    pub fn new(schema: &SchemaRef, options: CopyOptions, zone: Tz, messages: bool) -> CopyWriter {
        let mut special = [false; 256];
        special[usize::from(options.delimiter)] = true;
        special[usize::from(b'\n')] = true;
        special[usize::from(b'\r')] = true;
        match options.format {
            CopyFormat::Text => {
                for byte in [b'\\', b'\t', 0x08, 0x0b, 0x0c] {
                    special[usize::from(byte)] = true;
                }
            }
            CopyFormat::Csv => special[usize::from(options.quote)] = true,
            CopyFormat::Binary => {}
        }
        let column = |field: &FieldRef| OutColumn {
            field: field.clone(),
            any_byte: any_byte(field, &options),
            force_quote: options.force_quote.has(field.name()),
        };
        let columns = schema.fields().iter().map(column).collect();
        CopyWriter { columns, options, zone, special, messages }
    }

    /// What comes before the first row in a message of its own: the names of the columns.
    pub fn begin(&self, out: &mut Vec<u8>) -> Result<()> {
        match (self.options.format, self.options.header) {
            // Clients look for the signature in front of the first row, or of the end.
            (CopyFormat::Binary, _) | (_, CopyHeader::No) => Ok(()),
            (format, _) => self.message(out, |out| {
                for (place, column) in self.columns.iter().enumerate() {
                    if place > 0 {
                        out.put_u8(self.options.delimiter);
                    }
                    let start = out.len();
                    out.put_slice(column.field.name().as_bytes());
                    match format {
                        CopyFormat::Csv => self.quote(start, false, out),
                        _ => self.escape(start, out),
                    }
                }
                out.put_u8(b'\n');
                Ok(())
            }),
        }
    }

    /// What is one CopyData message to a client.
    fn message(&self, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        if !self.messages {
            return body(out);
        }
        out.put_u8(b'd');
        let start = out.len();
        out.put_i32(0);
        body(out)?;
        put_length(out, start, 0)
    }

    fn signature(&self, out: &mut Vec<u8>) {
        if self.options.format == CopyFormat::Binary {
            out.put_slice(SIGNATURE);
            out.put_slice(&[0; 8]);
        }
    }

    /// What comes after the last row; `first` if there was none.
    pub fn end(&self, first: bool, out: &mut Vec<u8>) -> Result<()> {
        if self.options.format != CopyFormat::Binary {
            return Ok(());
        }
        self.message(out, |out| {
            if first {
                self.signature(out);
            }
            out.put_i16(-1);
            Ok(())
        })
    }

    /// Writes rows of `rows` until there are enough bytes; gives the row after the last.
    pub fn write(&self, rows: &Outgoing, out: &mut Vec<u8>) -> Result<usize> {
        let format = match self.options.format {
            CopyFormat::Binary => Format::Binary,
            CopyFormat::Text | CopyFormat::Csv => Format::Text,
        };
        let columns = self.columns.iter().zip(rows.batch.columns());
        let cells = columns
            .map(|(column, array)| Cell::new(&column.field, array.as_ref(), format, self.zone))
            .collect::<Result<Vec<_>>>()?;
        out.reserve(CHUNK_BYTES + CHUNK_BYTES / 4);
        let mut row = rows.row;
        while row < rows.batch.num_rows() && (row == rows.row || out.len() < CHUNK_BYTES) {
            self.message(out, |out| {
                if rows.first && row == rows.row {
                    self.signature(out);
                }
                match self.options.format {
                    CopyFormat::Text => self.text(&cells, row, out),
                    CopyFormat::Csv => self.csv(&cells, row, out),
                    CopyFormat::Binary => binary(&cells, row, out),
                }
            })?;
            row += 1;
        }
        Ok(row)
    }

    fn text(&self, cells: &[Cell<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
        self.line(cells, row, out, |column, start, out| {
            if column.any_byte {
                self.escape(start, out);
            }
        })
    }

    fn csv(&self, cells: &[Cell<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
        self.line(cells, row, out, |column, start, out| {
            if column.any_byte || column.force_quote {
                self.quote(start, column.force_quote, out);
            }
        })
    }

    /// One row of text with delimiters; `mark` is given each value that is no NULL, from its start to the end of `out`.
    fn line(
        &self,
        cells: &[Cell<'_>],
        row: usize,
        out: &mut Vec<u8>,
        mark: impl Fn(&OutColumn, usize, &mut Vec<u8>),
    ) -> Result<()> {
        for (place, (cell, column)) in cells.iter().zip(&self.columns).enumerate() {
            if place > 0 {
                out.put_u8(self.options.delimiter);
            }
            if cell.is_null(row) {
                out.put_slice(self.options.null.as_bytes());
                continue;
            }
            let start = out.len();
            cell.put(row, out)?;
            mark(column, start, out);
        }
        out.put_u8(b'\n');
        Ok(())
    }

    /// Puts backslashes into what was written from `start` on.
    fn escape(&self, start: usize, out: &mut Vec<u8>) {
        let special = |byte: &u8| self.special[usize::from(*byte)];
        let Some(place) = out[start..].iter().position(special) else { return };
        let rest = out[start + place..].to_vec();
        out.truncate(start + place);
        for byte in rest {
            if !special(&byte) {
                out.put_u8(byte);
                continue;
            }
            out.put_u8(b'\\');
            out.put_u8(match byte {
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                other => other,
            });
        }
    }

    /// Puts quotes around what was written from `start` on, if it needs them.
    fn quote(&self, start: usize, force: bool, out: &mut Vec<u8>) {
        let value = &out[start..];
        // A line of `\.` alone would end the data.
        let end_mark = self.columns.len() == 1 && value == b"\\.";
        let special = || value.iter().any(|byte| self.special[usize::from(*byte)]);
        if !force && !end_mark && value != self.options.null.as_bytes() && !special() {
            return;
        }
        let value = value.to_vec();
        out.truncate(start);
        out.put_u8(self.options.quote);
        for byte in value {
            if byte == self.options.quote || byte == self.options.escape {
                out.put_u8(self.options.escape);
            }
            out.put_u8(byte);
        }
        out.put_u8(self.options.quote);
    }
}

fn binary(cells: &[Cell<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
    let too_many = || Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a row has more than 32767 columns");
    out.put_i16(i16::try_from(cells.len()).map_err(|_| too_many())?);
    cells.iter().try_for_each(|cell| cell.write(row, out))
}

/// Numbers, dates and the like are written in few characters, none of which means anything unless an option says so.
fn any_byte(field: &FieldRef, options: &CopyOptions) -> bool {
    let type_oid = pg_type(field).oid;
    let plain = matches!(
        type_oid,
        oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::OID
            | oid::FLOAT4
            | oid::FLOAT8
            | oid::NUMERIC
            | oid::DATE
            | oid::TIME
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::UUID
    );
    let usual = matches!(options.delimiter, b'\t' | b',' | b'|' | b';' | 0x01..=0x08);
    let csv = options.format == CopyFormat::Csv;
    let odd_quote = csv && !matches!(options.quote, b'"' | b'\'');
    let odd_null = csv && !options.null.is_empty();
    !plain
        || element_oid(type_oid).is_some()
        || !usual
        || odd_quote
        || odd_null
        || *field.data_type() == DataType::Null
}
