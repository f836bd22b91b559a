//! Records into record batches. The columns of a file are found by the names in its own header, so the files of one
//! table may have their columns in different orders, lack some, or have more. It must never choose a type.
//! Next: `../source.rs`, which runs it in a query.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveBuilder, RecordBatch, RecordBatchOptions,
    StringBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use futures::{StreamExt, stream::BoxStream};

use super::header::{column_names, positional_names};
use super::record::{Dialect, Record, RecordReader, Step, UnterminatedQuote};
use crate::files::feed::Feed;
use crate::files::problem::Problem;
use crate::files::values;

/// A batch is handed on when its cells pass this size, so that wide rows do not make huge batches.
const BATCH_BYTES_MAX: usize = 32 << 20;
/// The same for many columns.
const BATCH_CELLS_MAX: usize = 4 << 20;
/// The longest part of a bad value that an error shows, characters.
const SHOWN_CHARS_MAX: usize = 60;

/// How a delimited text file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvReading {
    pub dialect: Dialect,
    /// The first record names the columns.
    pub header: bool,
    /// A cell with this text is NULL; an empty cell always is.
    pub null: Option<String>,
    pub ragged: Ragged,
}

/// What happens to a record that has more or fewer fields than the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ragged {
    /// The statement fails and names the line.
    Error,
    /// Missing fields are NULL, and fields too many are left out.
    Pad,
    /// The record is left out.
    Skip,
}

impl CsvReading {
    /// Whether a record of `found` fields is as wide as expected. Empty fields at the end are no fields: many
    /// programs end every line with a delimiter.
    pub fn fits(&self, record: &Record, width: usize) -> bool {
        record.len() == width
            || (record.len() > width && (width..record.len()).all(|index| record.field(index).is_empty()))
    }

    /// What is wrong with a record that does not fit.
    pub fn misfit(&self, record: &Record, width: usize) -> Problem {
        let counted = if self.header { "the header has" } else { "the first line has" };
        let reason = format!("it has {} fields where {counted} {width}", record.len());
        Problem::malformed(reason).on_line(record.line).with_hint(
            "Repair the line, or read the file with read_csv(..., ragged => 'pad') or ragged => 'skip'.",
        )
    }
}

impl From<UnterminatedQuote> for Problem {
    fn from(quote: UnterminatedQuote) -> Problem {
        Problem::malformed("a quote is opened and never closed")
            .on_line(quote.line)
            .with_hint("Close the quote, or name another quote character with read_csv(..., quote => '...').")
    }
}

/// Reads the rows of one file. `table` has all the table's columns, `wanted` those to read.
pub fn rows(
    feed: Feed,
    reading: CsvReading,
    table: SchemaRef,
    wanted: SchemaRef,
    batch_rows: usize,
) -> BoxStream<'static, Result<RecordBatch, Problem>> {
    let rows = Rows {
        feed,
        reader: RecordReader::new(reading.dialect),
        record: Record::default(),
        reading,
        table,
        wanted,
        columns: None,
        cells: Cells::default(),
    };
    futures::stream::try_unfold(rows, move |mut rows| async move {
        Ok(rows.next_batch(batch_rows).await?.map(|batch| (batch, rows)))
    })
    .boxed()
}

struct Rows {
    feed: Feed,
    reader: RecordReader,
    record: Record,
    reading: CsvReading,
    table: SchemaRef,
    wanted: SchemaRef,
    /// Known once the first record is read.
    columns: Option<Columns>,
    cells: Cells,
}

/// Where the wanted columns are in this file.
struct Columns {
    /// Fields per record.
    width: usize,
    /// For each wanted column, its field in a record; None when the file lacks it.
    fields: Vec<Option<usize>>,
}

impl Rows {
    async fn next_batch(&mut self, batch_rows: usize) -> Result<Option<RecordBatch>, Problem> {
        self.cells.clear();
        while self.cells.lines.len() < batch_rows && !self.cells.full() {
            match self.reader.read(self.feed.rest(), self.feed.ended(), &mut self.record)? {
                Step::Record(length) => {
                    self.feed.consume(length);
                    self.take_record()?;
                }
                Step::More => self.feed.more().await?,
                Step::End => break,
            }
        }
        if self.cells.lines.is_empty() {
            return Ok(None);
        }
        self.batch().map(Some)
    }

    fn take_record(&mut self) -> Result<(), Problem> {
        let Some(columns) = &self.columns else {
            self.columns = Some(self.find_columns()?);
            return if self.reading.header { Ok(()) } else { self.take_record() };
        };
        if !self.reading.fits(&self.record, columns.width) {
            match self.reading.ragged {
                Ragged::Error => return Err(self.reading.misfit(&self.record, columns.width)),
                Ragged::Skip => return Ok(()),
                Ragged::Pad => {}
            }
        }
        for field in &columns.fields {
            let cell = field.filter(|field| *field < self.record.len()).map(|field| self.record.field(field));
            self.cells.push(cell.unwrap_or_default());
        }
        self.cells.lines.push(self.record.line);
        Ok(())
    }

    /// Finds the wanted columns by the names of the file's columns.
    fn find_columns(&self) -> Result<Columns, Problem> {
        let width = self.record.len();
        let names =
            if self.reading.header { column_names(self.record.fields()) } else { positional_names(width) };
        let known = names.iter().any(|name| self.table.field_with_name(name).is_ok());
        if !known && !self.table.fields().is_empty() {
            let reason = format!("its header has none of the table's columns: {}", names.join(", "));
            return Err(Problem::malformed(reason)
                .on_line(self.record.line)
                .with_hint("Move the file elsewhere, or crawl its folder again."));
        }
        let position = |field: &Arc<Field>| names.iter().position(|name| name == field.name());
        Ok(Columns { width, fields: self.wanted.fields().iter().map(position).collect() })
    }

    fn batch(&self) -> Result<RecordBatch, Problem> {
        let null = self.reading.null.as_deref();
        let mut arrays = Vec::with_capacity(self.wanted.fields().len());
        for (index, field) in self.wanted.fields().iter().enumerate() {
            let column = Column { cells: &self.cells, index, width: self.wanted.fields().len(), null, field };
            arrays.push(column.array()?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.cells.lines.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.wanted), arrays, &options)
            .map_err(|error| Problem::misfit(error.to_string()))
    }
}

/// The wanted cells of some records, one after the other.
#[derive(Default)]
struct Cells {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line of each record.
    lines: Vec<u64>,
}

impl Cells {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.lines.clear();
    }

    fn full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES_MAX || self.ends.len() >= BATCH_CELLS_MAX
    }

    fn push(&mut self, cell: &[u8]) {
        self.bytes.extend_from_slice(cell);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// One column of some records.
struct Column<'a> {
    cells: &'a Cells,
    index: usize,
    width: usize,
    null: Option<&'a str>,
    field: &'a Field,
}

impl Column<'_> {
    fn array(&self) -> Result<ArrayRef, Problem> {
        match self.field.data_type() {
            DataType::Utf8 => self.text(),
            DataType::Boolean => self.booleans(),
            DataType::Int32 => {
                self.parse::<Int32Type>(|text| values::long(text).and_then(|value| value.try_into().ok()))
            }
            DataType::Int64 => self.parse::<Int64Type>(values::long),
            DataType::Float32 => {
                self.parse::<Float32Type>(|text| read_double(text).map(|value| value as f32))
            }
            DataType::Float64 => self.parse::<Float64Type>(read_double),
            DataType::Date32 => self.parse::<Date32Type>(values::date),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let zoned = zone.is_some();
                self.parse::<TimestampMicrosecondType>(|text| read_timestamp(text, zoned))
            }
            other => arrow::compute::cast_with_options(
                &self.text()?,
                other,
                &arrow::compute::CastOptions { safe: false, ..Default::default() },
            )
            .map_err(|error| Problem::misfit(format!("column \"{}\": {error}", self.field.name()))),
        }
    }

    /// The cells of the column from the top, NULL as None.
    fn values(&self) -> impl Iterator<Item = Result<Option<&str>, Problem>> {
        (0..self.cells.lines.len()).map(|row| {
            let bytes = self.cells.get(row * self.width + self.index);
            let text = std::str::from_utf8(bytes).map_err(|_| self.not_utf8(row))?;
            Ok((!text.is_empty() && self.null != Some(text)).then_some(text))
        })
    }

    fn text(&self) -> Result<ArrayRef, Problem> {
        let mut builder = StringBuilder::with_capacity(self.cells.lines.len(), 0);
        for text in self.values() {
            builder.append_option(text?);
        }
        Ok(Arc::new(builder.finish()))
    }

    fn booleans(&self) -> Result<ArrayRef, Problem> {
        let values = self.values().enumerate().map(|(row, text)| self.value(row, text?, values::boolean));
        Ok(Arc::new(values.collect::<Result<BooleanArray, Problem>>()?))
    }

    fn parse<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<ArrayRef, Problem> {
        let builder = PrimitiveBuilder::<T>::with_capacity(self.cells.lines.len());
        let mut builder = builder.with_data_type(self.field.data_type().clone());
        for (row, text) in self.values().enumerate() {
            builder.append_option(self.value(row, text?, &parse)?);
        }
        Ok(Arc::new(builder.finish()))
    }

    /// The value of one cell; blanks around a value that is not text mean nothing.
    fn value<T>(
        &self,
        row: usize,
        text: Option<&str>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| {
            let name = self.field.name();
            let type_name = crate::types::sql_name(self.field);
            let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            Problem::misfit(format!("column \"{name}\" is {type_name}, and \"{shown}\" is not"))
                .on_line(self.cells.lines[row])
                .with_hint(
                    "Crawl the folder again to widen the type, or use read_csv(..., all_text => true) and cast.",
                )
        })
    }

    fn not_utf8(&self, row: usize) -> Problem {
        Problem::malformed(format!("column \"{}\" is not UTF-8 text", self.field.name()))
            .on_line(self.cells.lines[row])
            .with_hint("Convert the file to UTF-8, for example with iconv.")
    }
}

/// A decimal number of a column known to be one: in any notation but with leading zeros or a plus sign.
fn read_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let leading_zero = matches!(unsigned, [b'0', next, ..] if next.is_ascii_digit());
    if leading_zero || text.starts_with('+') { None } else { text.parse().ok() }
}

/// A timestamp, or midnight of a date.
fn read_timestamp(text: &str, zoned: bool) -> Option<i64> {
    match values::moment(text) {
        Some(moment) => (moment.zoned == zoned).then_some(moment.micros),
        None if zoned => None,
        None => values::date(text).map(values::midnight),
    }
}
