//! What a crawl did, as rows: one per table and per thing left out.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use tarn_catalog::crawler::{CrawlChange, CrawlRun, RunState};
use tarn_catalog::name::{RelationName, quote};
use tarn_catalog::object::RelationKind;

use super::inference::evidence_text;
use super::plan::{Action, Proposal, Proposed};
use crate::error::{Error, Result};
use crate::files::listing::shown;
use crate::table::arrow_schema;

/// What a crawl did.
#[derive(Debug, Clone)]
pub struct CrawlReport {
    pub proposals: Vec<Proposal>,
    /// The number of the run and what has become of it; none when nothing would change.
    pub run: Option<(u64, RunState)>,
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
        Field::new("run_id", DataType::Int64, true),
        Field::new("ddl", DataType::Utf8, true),
        Field::new("evidence", DataType::Utf8, true),
        Field::new("confidence", DataType::Float64, true),
    ]))
}

impl CrawlReport {
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let columns = self.proposals.iter().map(columns).collect::<Result<Vec<_>>>()?;
        let statements = self.proposals.iter().map(ddl).collect::<Result<Vec<_>>>()?;
        let rows = || self.proposals.iter();
        let run = |row: &Proposal| row.change.as_ref().and(self.run).map(|(number, _)| count(number));
        let of_table = |row: &&Proposal| row.table.is_some();
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows().map(|row| row.action.name()))),
            Arc::new(rows().map(|row| row.table.as_ref().map(ToString::to_string)).collect::<StringArray>()),
            Arc::new(rows().map(|row| row.format.as_deref()).collect::<StringArray>()),
            Arc::new(Int64Array::from_iter_values(rows().map(|row| count(row.files)))),
            Arc::new(Int64Array::from_iter_values(rows().map(|row| count(row.rows_sampled)))),
            Arc::new(columns.iter().map(Option::as_deref).collect::<StringArray>()),
            Arc::new(StringArray::from_iter_values(rows().map(|row| shown(&row.location)))),
            Arc::new(rows().map(|row| row.reason.as_deref()).collect::<StringArray>()),
            Arc::new(rows().map(run).collect::<Int64Array>()),
            Arc::new(statements.iter().map(Option::as_deref).collect::<StringArray>()),
            Arc::new(rows().map(evidence).collect::<StringArray>()),
            Arc::new(
                rows()
                    .map(|row| Some(row).filter(of_table).map(|row| row.confidence))
                    .collect::<Float64Array>(),
            ),
        ];
        RecordBatch::try_new(report_schema(), arrays).map_err(|error| Error::internal(error.to_string()))
    }
}

/// The name of a changed table.
pub fn table_of(run: &CrawlRun, change: &CrawlChange) -> String {
    RelationName { namespace: run.schema.clone(), name: change.name.clone() }.to_string()
}

/// A plan that was applied, as rows like those of the crawl that made it.
pub fn applied(run: &CrawlRun) -> Result<RecordBatch> {
    let changes = || run.changes.iter();
    let number = i64::try_from(run.number).unwrap_or(i64::MAX);
    let done = |change: &CrawlChange| match change.action.as_str() {
        "create" => Action::Created.name(),
        "update" => Action::Updated.name(),
        "deprecate" => Action::Deprecated.name(),
        _ => Action::Dropped.name(),
    };
    let definition = |change: &CrawlChange| change.definition.clone();
    let location = |change: &CrawlChange| definition(change).map(|table| shown(&table.location).to_owned());
    let format = |change: &CrawlChange| definition(change).map(|table| table.format.name());
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(changes().map(done))),
        Arc::new(StringArray::from_iter_values(changes().map(|change| table_of(run, change)))),
        Arc::new(changes().map(format).collect::<StringArray>()),
        Arc::new(Int64Array::from_iter_values(changes().map(|_| 0))),
        Arc::new(Int64Array::from_iter_values(changes().map(|_| 0))),
        Arc::new(StringArray::new_null(run.changes.len())),
        Arc::new(StringArray::from_iter_values(changes().map(|change| location(change).unwrap_or_default()))),
        Arc::new(changes().map(|change| Some(change.reason.as_str())).collect::<StringArray>()),
        Arc::new(changes().map(|_| Some(number)).collect::<Int64Array>()),
        Arc::new(changes().map(|change| Some(change.ddl.as_str())).collect::<StringArray>()),
        Arc::new(changes().map(|change| Some(change.evidence.as_str())).collect::<StringArray>()),
        Arc::new(changes().map(|change| Some(change.confidence)).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(report_schema(), arrays).map_err(|error| Error::internal(error.to_string()))
}

fn evidence(proposal: &Proposal) -> Option<String> {
    Some(evidence_text(&proposal.inference)).filter(|text| !text.is_empty() && proposal.table.is_some())
}

/// What the change of a proposal is as a statement. There is no statement for external tables; the clauses after the
/// columns say what a crawl has written down.
pub fn ddl(proposal: &Proposal) -> Result<Option<String>> {
    let (Some(table), Some(change)) = (&proposal.table, &proposal.change) else { return Ok(None) };
    Ok(Some(match change {
        Proposed::Create { name: _, table: definition } => {
            let listed = columns(proposal)?.unwrap_or_default();
            let pattern = definition.pattern.as_deref().unwrap_or_default();
            let (format, location) = (definition.format.name(), shown(&definition.location));
            format!("CREATE EXTERNAL TABLE {table} ({listed}) FORMAT {format} LOCATION '{location}{pattern}'")
        }
        Proposed::Update { before, after } => {
            let old = match &before.kind {
                RelationKind::External(old) => arrow_schema(&old.schema)?,
                RelationKind::Table | RelationKind::View(_) => Arc::new(Schema::empty()),
            };
            let new = arrow_schema(&after.schema)?;
            let changed = new.fields().iter().filter_map(|field| {
                let name = quote(field.name());
                match old.field_with_name(field.name()) {
                    Err(_) => Some(format!("ADD COLUMN {name} {}", type_text(field))),
                    Ok(same) if same.data_type() != field.data_type() => {
                        Some(format!("ALTER COLUMN {name} TYPE {}", type_text(field)))
                    }
                    Ok(_) => None,
                }
            });
            let changed: Vec<String> = changed.collect();
            match changed.as_slice() {
                [] => format!("ALTER TABLE {table} SET (files, bytes)"),
                changed => format!("ALTER TABLE {table} {}", changed.join(", ")),
            }
        }
        Proposed::Deprecate { before: _, comment } => {
            format!("COMMENT ON TABLE {table} IS '{}'", comment.replace('\'', "''"))
        }
        Proposed::Drop { before: _ } => format!("DROP TABLE {table}"),
    }))
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
