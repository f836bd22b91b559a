//! Records into record batches. The columns of a file are found by the names in its own header, so the files of one
//! table may have their columns in different orders, lack some, or have more. It must never choose a type.
//! Next: `arrays.rs`, and `../source.rs`, which runs it in a query.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Field, SchemaRef};
use futures::{StreamExt, stream::BoxStream};
use serde_json::{Map, Value};
use tarn_catalog::object::DateOrder;

use super::arrays::{Cells, Column};
use super::header::{column_names, position_named, positional_name};
use super::record::Record;
use super::split::Dialect;
use super::table::{Next, TableReader};
use super::text::decode;
use crate::files::feed::Feed;
use crate::files::problem::Problem;
use crate::table::hidden::RESCUED;

/// The member of what is rescued that has the line; the others are fields without a column.
const LINE_MEMBER: &str = "_line";

/// How a delimited text file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvReading {
    pub dialect: Dialect,
    /// A line names the columns.
    pub header: bool,
    /// A cell with this text is NULL; an empty cell always is.
    pub null: Option<String>,
    pub ragged: Ragged,
    /// The columns whose days are not written as ISO 8601 says.
    pub dates: BTreeMap<String, DateOrder>,
}

/// What happens to a record that has more or fewer fields than the table has columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ragged {
    /// The statement fails and names the line.
    Error,
    /// Missing fields are NULL, and fields too many are left out.
    Pad,
    /// The record is left out.
    Skip,
    /// Missing fields are NULL, and fields too many are in the hidden column `_rescued`.
    Rescue,
}

impl CsvReading {
    /// What is wrong with a record that does not fit.
    pub fn misfit(&self, record: &Record, width: usize) -> Problem {
        let counted = if self.header { "the header has" } else { "the table has" };
        let reason = format!("it has {} fields where {counted} {width}", record.len());
        Problem::malformed(reason).on_line(record.line).with_hint(
            "Repair the line, or read the file without ragged => 'error', or with ragged => 'skip'.",
        )
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
    let rows =
        Rows { feed, reading, table, wanted, file: None, cells: Cells::default(), rescued: Vec::new() };
    futures::stream::try_unfold(rows, move |mut rows| async move {
        Ok(rows.next_batch(batch_rows).await?.map(|batch| (batch, rows)))
    })
    .boxed()
}

struct Rows {
    feed: Feed,
    reading: CsvReading,
    table: SchemaRef,
    wanted: SchemaRef,
    /// Known once the file is opened.
    file: Option<File>,
    cells: Cells,
    /// What each row has beyond its columns, if that is wanted.
    rescued: Vec<Option<String>>,
}

/// A file that is being read.
struct File {
    table: TableReader,
    /// Fields that a record should have.
    width: usize,
    /// For each wanted column, its field in a record; None when the file lacks it.
    fields: Vec<Option<usize>>,
    /// Surplus fields are wanted.
    rescue: bool,
}

impl Rows {
    async fn next_batch(&mut self, batch_rows: usize) -> Result<Option<RecordBatch>, Problem> {
        self.cells.clear();
        self.rescued.clear();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open().await?,
        };
        while self.cells.lines.len() < batch_rows && !self.cells.full() {
            match file.table.next(&mut self.feed) {
                Next::Row => self.take_record(&file)?,
                Next::More => self.feed.more().await?,
                Next::End => break,
            }
        }
        self.file = Some(file);
        if self.cells.lines.is_empty() {
            return Ok(None);
        }
        self.batch().map(Some)
    }

    /// Finds the table in the file and the wanted columns by the names of the file's columns.
    async fn open(&mut self) -> Result<File, Problem> {
        let header = Some(self.reading.header);
        let mut table = TableReader::open(&mut self.feed, self.reading.dialect, header).await?;
        // The rows that the layout was found in are read again.
        table.layout.body = Vec::new();
        let rescue = self.wanted.field_with_name(RESCUED).is_ok();
        let Some(header) = &table.layout.header else {
            let fields = self.wanted.fields().iter().map(|field| position_named(field.name()));
            let positional = |field: &&Arc<Field>| position_named(field.name()).is_some();
            let width = self.table.fields().iter().filter(positional).count();
            return Ok(File { table, width, fields: fields.collect(), rescue });
        };
        let names = column_names(header.iter().map(String::as_str));
        let known = names.iter().any(|name| self.table.field_with_name(name).is_ok());
        if !known && !self.table.fields().is_empty() {
            let reason = format!("its header has none of the table's columns: {}", names.join(", "));
            return Err(Problem::malformed(reason)
                .on_line(table.layout.line.saturating_sub(1).max(1))
                .with_hint("Move the file elsewhere, or crawl its folder again."));
        }
        let position = |field: &Arc<Field>| names.iter().position(|name| name == field.name());
        let fields = self.wanted.fields().iter().map(position).collect();
        Ok(File { width: names.len(), table, fields, rescue })
    }

    fn take_record(&mut self, file: &File) -> Result<(), Problem> {
        let record = &file.table.record;
        if !record.fits(file.width) {
            match self.reading.ragged {
                Ragged::Error => return Err(self.reading.misfit(record, file.width)),
                Ragged::Skip => return Ok(()),
                Ragged::Pad | Ragged::Rescue => {}
            }
        }
        for field in &file.fields {
            let cell = field.filter(|field| *field < record.len()).map(|field| record.field(field));
            self.cells.push(cell.unwrap_or_default());
        }
        self.cells.lines.push(record.line);
        if file.rescue {
            self.rescued.push(surplus(record, file.width));
        }
        Ok(())
    }

    fn batch(&self) -> Result<RecordBatch, Problem> {
        let null = self.reading.null.as_deref();
        let width = self.wanted.fields().len();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(width);
        for (index, field) in self.wanted.fields().iter().enumerate() {
            if field.name() == RESCUED {
                arrays.push(Arc::new(self.rescued.iter().map(Option::as_deref).collect::<StringArray>()));
                continue;
            }
            let order = self.reading.dates.get(field.name()).copied();
            arrays.push(Column { cells: &self.cells, index, width, null, order, field }.array()?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.cells.lines.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.wanted), arrays, &options)
            .map_err(|error| Problem::misfit(error.to_string()))
    }
}

/// The line of a record and its fields beyond the columns; None when there are none but empty ones.
fn surplus(record: &Record, width: usize) -> Option<String> {
    if record.len() <= width || record.fits(width) {
        return None;
    }
    let mut members = Map::new();
    members.insert(LINE_MEMBER.to_owned(), Value::from(record.line));
    for index in width..record.len() {
        let text = decode(record.field(index)).into_owned();
        members.insert(positional_name(index), Value::String(text));
    }
    Some(Value::Object(members).to_string())
}
