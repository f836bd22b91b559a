//! `ALTER TABLE`: what must be proved is proved, then everything is one change of the table's metadata.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::planner::PlannerContext;
use datafusion::sql::sqlparser::ast::{LimitClause, SelectItem, SetExpr};
use futures::TryStreamExt;
use iceberg::spec::{MAIN_BRANCH, SnapshotRetention, StructType, Type};
use tarn_catalog::iceberg::{TableState, references};

use super::{query, update_table};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::parse::{parse_condition, parse_query};
use crate::plan::{AlterPlan, Context, Proof, engine_error, plan_with};
use crate::resolve::{TableTarget, resolve_condition, rows_reference};
use crate::sqlstate::SqlState;
use crate::statement::Path;
use crate::table::IcebergTable;

/// Changes a table.
pub(super) async fn alter_table(plan: AlterPlan, context: &Context) -> Result<Outcome> {
    for id in &plan.without_null {
        context.stop.or(prove_no_null(&plan.target, *id, context)).await?;
    }
    for proof in plan.proofs {
        context.stop.or(prove(&plan.target, proof, context)).await?;
    }
    update_table(&plan.target, plan.requirements, plan.updates, context).await?;
    Ok(Outcome::done("ALTER TABLE"))
}

/// Looks for a NULL in a column, or in a field of a struct that is there, on every branch: a branch is read with the
/// table's newest columns.
async fn prove_no_null(target: &TableTarget, id: i32, context: &Context) -> Result<()> {
    let metadata = &target.version.metadata;
    // A column that this very statement adds has been checked already, and one that it renames has its old name.
    let Some(path) = path_of(metadata.current_schema().as_struct(), id) else { return Ok(()) };
    let column = path.join(".");
    let never = parse_condition(&null_at(&path))?;
    let relation = &target.found.relation.name;
    let message = format!("column \"{column}\" of relation \"{relation}\" contains null values");
    prove(target, Proof { never, violated: Error::new(SqlState::NOT_NULL_VIOLATION, message) }, context).await
}

/// Looks for a row that must not be there, on every branch.
async fn prove(target: &TableTarget, proof: Proof, context: &Context) -> Result<()> {
    let metadata = &target.version.metadata;
    let found = resolve_condition(proof.never, &target.found.relation.name, &context.scope).await?;
    let mut query = found.query;
    if let SetExpr::Select(select) = query.body.as_mut() {
        let condition = std::mem::take(&mut select.projection).into_iter().next();
        if let Some(SelectItem::ExprWithAlias { expr, .. }) = condition {
            select.selection = Some(expr);
        }
        select.projection = one_row(&mut query.limit_clause)?;
    }
    let of_branch = |retention: &SnapshotRetention| matches!(retention, SnapshotRetention::Branch { .. });
    let mut branches = references(metadata)?;
    branches.retain(|_, reference| of_branch(&reference.retention));
    let names = branches.into_keys().chain([MAIN_BRANCH.to_owned()]);
    for branch in names {
        let state = TableState::of_reference(Arc::clone(&target.version), &branch)?;
        let table = IcebergTable::new(state, Arc::clone(context.catalog().storage()))?;
        let tables = HashMap::from([(rows_reference(), provider_as_source(Arc::new(table)))]);
        let planned = plan_with(&query, context, tables, &mut PlannerContext::new())?;
        let physical = query::physical_plan(&planned.logical, context).await?;
        let mut rows = execute_stream(physical, context.state.task_ctx()).map_err(engine_error)?;
        while let Some(batch) = rows.try_next().await.map_err(engine_error)? {
            if batch.num_rows() > 0 {
                return Err(match branch == MAIN_BRANCH {
                    true => proof.violated,
                    false => proof.violated.with_detail(format!("It is on branch \"{branch}\".")),
                });
            }
        }
    }
    Ok(())
}

/// The list and the limit of a query that asks whether there is a row.
fn one_row(limit: &mut Option<LimitClause>) -> Result<Vec<SelectItem>> {
    let one = parse_query("SELECT 1 LIMIT 1")?;
    *limit = one.limit_clause;
    match *one.body {
        SetExpr::Select(select) => Ok(select.projection),
        _ => Err(Error::internal("a SELECT is none")),
    }
}

/// Where a field is, through structs alone.
fn path_of(fields: &StructType, id: i32) -> Option<Path> {
    fields.fields().iter().find_map(|field| {
        if field.id == id {
            return Some(vec![field.name.clone()]);
        }
        let Type::Struct(nested) = field.field_type.as_ref() else { return None };
        let mut path = path_of(nested, id)?;
        path.insert(0, field.name.clone());
        Some(path)
    })
}

/// The condition that a field is NULL while everything around it is not.
fn null_at(path: &Path) -> String {
    let mut conditions = Vec::with_capacity(path.len());
    let mut field = String::new();
    for (depth, step) in path.iter().enumerate() {
        match depth {
            0 => field.push_str(&format!("\"{}\"", step.replace('"', "\"\""))),
            _ => field.push_str(&format!("['{}']", step.replace('\'', "''"))),
        }
        let is = if depth + 1 == path.len() { "IS NULL" } else { "IS NOT NULL" };
        conditions.push(format!("{field} {is}"));
    }
    conditions.join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_of_what_is_there_can_be_null() {
        let check = |path: &[&str], expect: &str| {
            let path: Path = path.iter().map(|step| (*step).to_owned()).collect();
            assert_eq!(null_at(&path), expect);
        };
        check(&["a"], "\"a\" IS NULL");
        check(
            &["A b", "it's", "c"],
            "\"A b\" IS NOT NULL AND \"A b\"['it''s'] IS NOT NULL AND \"A b\"['it''s']['c'] IS NULL",
        );
    }
}
