//! `ALTER TABLE`: what must be proved is proved, then everything is one change of the table's metadata.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::planner::PlannerContext;
use futures::TryStreamExt;
use iceberg::spec::{MAIN_BRANCH, SnapshotRetention};
use tarn_catalog::iceberg::{TableState, references};
use tarn_catalog::name::quote;

use super::{query, update_table};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::parse::parse_query;
use crate::plan::{AlterPlan, Context, engine_error, plan_with};
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;
use crate::table::IcebergTable;

/// Changes a table.
pub(super) async fn alter_table(plan: AlterPlan, context: &Context) -> Result<Outcome> {
    for column in &plan.without_null {
        context.stop.or(prove_no_null(&plan.target, column, context)).await?;
    }
    update_table(&plan.target, plan.requirements, plan.updates, context).await?;
    Ok(Outcome::done("ALTER TABLE"))
}

/// Looks for a NULL in a column, on every branch: a branch is read with the table's newest columns.
async fn prove_no_null(target: &TableTarget, column: &str, context: &Context) -> Result<()> {
    let metadata = &target.version.metadata;
    // A column that this very statement adds has been checked already.
    if metadata.current_schema().as_struct().field_by_name(column).is_none() {
        return Ok(());
    }
    let of_branch = |retention: &SnapshotRetention| matches!(retention, SnapshotRetention::Branch { .. });
    let mut branches = references(metadata)?;
    branches.retain(|_, reference| of_branch(&reference.retention));
    let names = branches.into_keys().chain([MAIN_BRANCH.to_owned()]);
    for branch in names {
        let state = TableState::of_reference(Arc::clone(&target.version), &branch)?;
        let table = IcebergTable::new(state, Arc::clone(context.catalog().storage()))?;
        let source = provider_as_source(Arc::new(table));
        let tables = HashMap::from([(TableReference::bare("altered"), source)]);
        let text = format!("SELECT 1 FROM altered WHERE {} IS NULL LIMIT 1", quote(column));
        let planned = plan_with(&*parse_query(&text)?, context, tables, &mut PlannerContext::new())?;
        let physical = query::physical_plan(&planned.logical, context).await?;
        let mut rows = execute_stream(physical, context.state.task_ctx()).map_err(engine_error)?;
        while let Some(batch) = rows.try_next().await.map_err(engine_error)? {
            if batch.num_rows() > 0 {
                let relation = &target.found.relation.name;
                let message = format!("column \"{column}\" of relation \"{relation}\" contains null values");
                let error = Error::new(SqlState::NOT_NULL_VIOLATION, message);
                return Err(match branch == MAIN_BRANCH {
                    true => error,
                    false => error.with_detail(format!("They are on branch \"{branch}\".")),
                });
            }
        }
    }
    Ok(())
}
