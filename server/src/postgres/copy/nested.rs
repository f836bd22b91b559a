//! Structs, maps and lists of them, which clients know as JSON, one document for each value. They are read as the query
//! engine reads files of JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::{Field, Schema};
use arrow::json::ReaderBuilder;

use crate::postgres::error::Report;

/// The name that a value goes by in the line it is put into.
const NAME: &str = "value";

/// The values of a column; an error says in which row.
pub fn decode<'a>(
    field: &Field,
    values: impl Iterator<Item = Option<&'a [u8]>>,
) -> Result<ArrayRef, (usize, Report)> {
    let column = Arc::new(field.clone().with_name(NAME).with_nullable(true));
    let schema = Arc::new(Schema::new(vec![Arc::clone(&column)]));
    let values: Vec<Option<&[u8]>> = values.collect();
    if values.is_empty() {
        return Ok(new_empty_array(field.data_type()));
    }
    let builder = ReaderBuilder::new(schema).with_batch_size(values.len()).with_strict_mode(true);
    let invalid = |row: usize, error: String| {
        let first = error.lines().next().unwrap_or_default();
        let report =
            Report::new("22P02", "invalid input syntax for type json").with_detail(format!("{first}."));
        (row, report)
    };
    let mut decoder = builder.build_decoder().map_err(|error| invalid(0, error.to_string()))?;
    for (row, value) in values.iter().enumerate() {
        let line = [b"{\"value\":", value.unwrap_or(b"null"), b"}\n"].concat();
        let taken = decoder.decode(&line).map_err(|error| invalid(row, error.to_string()))?;
        // A document that ends early would let the next one begin inside it.
        if taken != line.len() || decoder.has_partial_record() {
            return Err(invalid(row, "It is not one JSON document".to_owned()));
        }
    }
    let rows = match decoder.flush() {
        Ok(rows) => rows,
        // It is one value that does not fit: alone, it fails too.
        Err(error) if values.len() > 1 => {
            for (row, value) in values.iter().enumerate() {
                decode(field, std::iter::once(*value)).map_err(|(_, report)| (row, report))?;
            }
            return Err(invalid(0, error.to_string()));
        }
        Err(error) => return Err(invalid(0, error.to_string())),
    };
    let rows = rows.filter(|rows| rows.num_rows() == values.len());
    rows.map(|rows| Arc::clone(rows.column(0)))
        .ok_or_else(|| invalid(0, "It is not one JSON document for each value".to_owned()))
}
