//! `COPY FROM`: the rows that a client will send become the rows of an `INSERT`, whose plan fills in the columns that do
//! not come, and of which the condition keeps some.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::planner::PlannerContext;
use tarn_catalog::storage::Checked;
use tokio::sync::mpsc;

use super::change::Checks;
use super::write::{InsertPlan, places, project};
use super::{Context, engine_error, query};
use crate::copy::{CopyColumns, CopyOptions, Incoming, copy_source};
use crate::error::{Error, Result};
use crate::resolve::{CopyInto, ResolvedQuery, rows_reference};
use crate::sqlstate::SqlState;
use crate::statement::ToFile;
use crate::table::{arrow_schema, table_schema, without_column_ids};

/// Rows that a client will send, and what becomes of them.
pub(crate) struct CopyPlan {
    pub insert: InsertPlan,
    /// The columns that come.
    pub columns: SchemaRef,
    pub options: CopyOptions,
    /// Where the rows go in.
    pub sender: mpsc::Sender<Incoming>,
    /// The file that the data is in; None when the client sends it.
    pub file: Option<Checked>,
}

/// The file of a `COPY TO`.
pub(crate) struct CopyFile {
    pub place: Checked,
    pub parquet: bool,
}

/// Who may read files may write them.
pub(super) fn plan_file(file: &ToFile, context: &Context) -> Result<CopyFile> {
    let location = file.location.as_str();
    if !location.starts_with('/') && !location.contains("://") {
        let message = "relative path not allowed for COPY to file";
        return Err(Error::new(SqlState::INVALID_NAME, message).with_hint(
            "Give an absolute path, file:// or s3://bucket/key; \\copy in psql writes files of the client.",
        ));
    }
    let guard = context.catalog().storage().guard();
    let place = guard.user_path(&context.scope.principal, location)?;
    Ok(CopyFile { place, parquet: file.parquet })
}

pub(super) async fn plan_copy_from(copy: CopyInto, context: &Context) -> Result<CopyPlan> {
    let CopyInto { target, columns, filter, options, location } = copy;
    let guard = context.catalog().storage().guard();
    let file = location.map(|location| guard.user_path(&context.scope.principal, &location)).transpose()?;
    let metadata = Arc::clone(&target.version.metadata);
    let table = table_schema(&metadata)?;
    let places = places(&columns, &table, &target.found.relation.name)?;
    // Where a condition may still leave rows out, NULL is refused later, where rows are written.
    let nullable = |place: &usize| filter.is_some() || table.field(*place).is_nullable();
    // They come as what they are in files: lengths are looked at when they are assigned.
    let plain = arrow_schema(metadata.current_schema())?;
    let field =
        |place: &usize| -> FieldRef { Arc::new(plain.field(*place).clone().with_nullable(nullable(place))) };
    let columns = without_column_ids(&Schema::new(places.iter().map(field).collect::<Vec<_>>()));
    check_known(&options, &table, &target.found.relation.name)?;
    check_columns(&columns, &options)?;
    let (sender, source) = copy_source(&columns)?;
    let scan = LogicalPlanBuilder::scan(rows_reference(), provider_as_source(source), None);
    let scan = scan.and_then(LogicalPlanBuilder::build).map_err(engine_error)?;
    let mut input = project(scan, &places, &table, &metadata, &context.state)?;
    if let Some(filter) = filter {
        input = filtered(input, &filter, context)?;
    }
    if let Some(checks) = Checks::of(&target, context).await? {
        input = checks.of_rows(input)?;
    }
    let insert = InsertPlan { target, input, overwrite: false };
    Ok(CopyPlan { insert, columns, options, sender, file })
}

fn filtered(rows: LogicalPlan, filter: &ResolvedQuery, context: &Context) -> Result<LogicalPlan> {
    let rows = provider_as_source(Arc::new(ViewTable::new(rows, None)));
    let tables = HashMap::from([(rows_reference(), rows)]);
    Ok(query::plan_with(&filter.query, context, tables, &mut PlannerContext::new())?.logical)
}

/// The options that name columns.
fn forced(options: &CopyOptions) -> [(&'static str, &CopyColumns); 3] {
    [
        ("FORCE_QUOTE", &options.force_quote),
        ("FORCE_NOT_NULL", &options.force_not_null),
        ("FORCE_NULL", &options.force_null),
    ]
}

/// Columns that an option names must be the table's.
fn check_known(options: &CopyOptions, table: &SchemaRef, relation: &str) -> Result<()> {
    for (_, named) in forced(options) {
        if let CopyColumns::Named(names) = named
            && !names.is_empty()
        {
            places(names, table, relation)?;
        }
    }
    Ok(())
}

/// They must be among those that are copied, too.
pub(crate) fn check_columns(columns: &Schema, options: &CopyOptions) -> Result<()> {
    for (option, named) in forced(options) {
        let CopyColumns::Named(names) = named else { continue };
        if let Some(missing) = names.iter().find(|name| columns.index_of(name).is_err()) {
            let message = format!("{option} column \"{missing}\" not referenced by COPY");
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        }
    }
    Ok(())
}
