//! What a crawl did, as rows: one per table and per thing left out.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use tarn_catalog::name::quote;

use super::plan::Proposal;
use crate::error::{Error, Result};
use crate::files::listing::shown;
use crate::table::arrow_schema;

/// What a crawl did.
#[derive(Debug, Clone)]
pub struct CrawlReport {
    pub proposals: Vec<Proposal>,
}

/// The columns of a report.
pub fn report_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("action", DataType::Utf8, false),
        Field::new("table", DataType::Utf8, true),
        Field::new("format", DataType::Utf8, true),
        Field::new("files", DataType::Int64, false),
        Field::new("rows_sampled", DataType::Int64, false),
        Field::new("columns", DataType::Utf8, true),
        Field::new("location", DataType::Utf8, false),
        Field::new("reason", DataType::Utf8, true),
    ]))
}

impl CrawlReport {
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let columns = self.proposals.iter().map(columns).collect::<Result<Vec<_>>>()?;
        let rows = || self.proposals.iter();
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows().map(|row| row.action.name()))),
            Arc::new(rows().map(|row| row.table.as_ref().map(ToString::to_string)).collect::<StringArray>()),
            Arc::new(rows().map(|row| row.format.as_deref()).collect::<StringArray>()),
            Arc::new(Int64Array::from_iter_values(rows().map(|row| count(row.files)))),
            Arc::new(Int64Array::from_iter_values(rows().map(|row| count(row.rows_sampled)))),
            Arc::new(columns.iter().map(Option::as_deref).collect::<StringArray>()),
            Arc::new(StringArray::from_iter_values(rows().map(|row| shown(&row.location)))),
            Arc::new(rows().map(|row| row.reason.as_deref()).collect::<StringArray>()),
        ];
        RecordBatch::try_new(report_schema(), arrays).map_err(|error| Error::internal(error.to_string()))
    }
}

/// The columns of a table as they would be written in CREATE TABLE.
fn columns(proposal: &Proposal) -> Result<Option<String>> {
    let Some(table) = &proposal.definition else { return Ok(None) };
    let schema = arrow_schema(&table.schema)?;
    let column = |field: &Arc<Field>| format!("{} {}", quote(field.name()), type_text(field));
    Ok(Some(schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")))
}

/// The type of a column in SQL. PostgreSQL has one name, `json`, for all nested types; who wants to query one needs to
/// see what is in it.
pub fn type_text(field: &Field) -> String {
    let member = |field: &Arc<Field>| format!("{} {}", quote(field.name()), type_text(field));
    match field.data_type() {
        DataType::Struct(fields) => {
            format!("struct({})", fields.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        DataType::List(element) => format!("{}[]", type_text(element)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                format!("map({})", pair.iter().map(|field| type_text(field)).collect::<Vec<_>>().join(", "))
            }
            _ => crate::types::sql_name(field),
        },
        _ => crate::types::sql_name(field),
    }
}
