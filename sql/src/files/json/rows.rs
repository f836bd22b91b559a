//! The records of a JSON file as record batches. Columns are members of the records, found by name; a record that is
//! no object is refused. It must never choose a type. Next: `../source.rs`, which runs it in a query.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream::BoxStream};

use super::build::{Refusal, StructBuilder};
use super::cursor::{Cursor, Kind};
use super::record::{Broken, Found, RecordFinder, Shape};
use crate::files::feed::Feed;
use crate::files::problem::Problem;

/// The columns of a keyed object: its keys and their values.
pub const KEY_COLUMN: &str = "key";
pub const VALUE_COLUMN: &str = "value";
/// A batch is handed on when its records pass this size, so that big records do not make huge batches.
const BATCH_BYTES_MAX: usize = 32 << 20;

impl From<Broken> for Problem {
    fn from(broken: Broken) -> Problem {
        Problem::malformed(broken.reason).on_line(broken.line)
    }
}

/// Reads the rows of one file. `keyed`: the members of the one object at the top are the rows.
pub fn rows(
    feed: Feed,
    keyed: bool,
    wanted: SchemaRef,
    batch_rows: usize,
) -> BoxStream<'static, Result<RecordBatch, Problem>> {
    let rows =
        Rows { feed, finder: RecordFinder::new(keyed), columns: StructBuilder::new(wanted.fields()), wanted };
    futures::stream::try_unfold(rows, move |mut rows| async move {
        Ok(rows.next_batch(batch_rows).await?.map(|batch| (batch, rows)))
    })
    .boxed()
}

struct Rows {
    feed: Feed,
    finder: RecordFinder,
    columns: StructBuilder,
    wanted: SchemaRef,
}

impl Rows {
    async fn next_batch(&mut self, batch_rows: usize) -> Result<Option<RecordBatch>, Problem> {
        let (mut count, mut bytes) = (0, 0);
        while count < batch_rows && bytes < BATCH_BYTES_MAX {
            match self.finder.find(self.feed.rest(), self.feed.ended())? {
                Found::Record { start, end } => {
                    self.take_record(start, end)?;
                    self.feed.consume(end);
                    bytes += end - start;
                    count += 1;
                }
                Found::More => self.feed.more().await?,
                Found::End => break,
            }
        }
        if count == 0 {
            return Ok(None);
        }
        let rows = self.columns.finish().map_err(|error| Problem::misfit(error.to_string()))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns = rows.as_struct().columns().to_vec();
        RecordBatch::try_new_with_options(Arc::clone(&self.wanted), columns, &options)
            .map(Some)
            .map_err(|error| Problem::misfit(error.to_string()))
    }

    fn take_record(&mut self, start: usize, end: usize) -> Result<(), Problem> {
        let line = self.finder.first_line();
        let bytes = &self.feed.rest()[start..end];
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8(line))?;
        let taken = if self.finder.shape() == Some(Shape::Keyed) {
            // A member becomes the object {"key": ..., "value": ...}, as it would be written by hand.
            let (key, value) = split_member(text).map_err(|refusal| refused(refusal, text, line))?;
            let object = format!("{{\"{KEY_COLUMN}\":{key},\"{VALUE_COLUMN}\":{value}}}");
            take_object(&mut self.columns, &object)
        } else {
            take_object(&mut self.columns, text)
        };
        taken.map_err(|refusal| refused(refusal, text, line))
    }
}

fn take_object(columns: &mut StructBuilder, text: &str) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(text);
    if cursor.kind()? != Kind::Object {
        return Err(Refusal::Misfit { path: String::new(), reason: not_an_object(cursor.kind()?) });
    }
    columns.value(&mut cursor)?;
    Ok(cursor.end()?)
}

/// What is said of a record that is no object.
pub fn not_an_object(kind: Kind) -> String {
    let found = match kind {
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Number => "a number",
        Kind::Text => "a string",
        Kind::List => "a list",
        Kind::Object => "an object",
    };
    format!("a record is {found}, and a row must be an object")
}

/// The texts of the key and the value of a member that starts with its key.
fn split_member(text: &str) -> Result<(&str, &str), Refusal> {
    let mut cursor = Cursor::new(text);
    let key = cursor.skip()?;
    let rest = text.get(key.len()..).unwrap_or_default().trim_start();
    let Some(value) = rest.strip_prefix(':') else {
        return Err(Refusal::Misfit { path: String::new(), reason: "a key has no value".to_owned() });
    };
    let mut cursor = Cursor::new(value);
    let value = cursor.skip()?;
    cursor.end()?;
    Ok((key, value))
}

/// The problem of a record that starts on `line`.
pub fn refused(refusal: Refusal, text: &str, line: u64) -> Problem {
    match refusal {
        Refusal::Malformed(malformed) => {
            let before = text.as_bytes().get(..malformed.at).unwrap_or_default();
            let lines = before.iter().filter(|byte| **byte == b'\n').count();
            Problem::malformed(format!("it is not JSON: {}", malformed.reason)).on_line(line + lines as u64)
        }
        Refusal::Misfit { path, reason } if path.is_empty() => Problem::malformed(reason).on_line(line),
        Refusal::Misfit { path, reason } => {
            Problem::misfit(format!("column \"{path}\" {reason}")).on_line(line).with_hint(
                "Crawl the folder again to widen the type, or use read_json(..., all_text => true) and cast.",
            )
        }
    }
}

pub fn not_utf8(line: u64) -> Problem {
    Problem::malformed("a record is not UTF-8 text")
        .on_line(line)
        .with_hint("Convert the file to UTF-8, for example with iconv.")
}
