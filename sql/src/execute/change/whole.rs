//! Files that go as a whole: where a condition is true for every row of a file by what its manifest says, nobody needs to
//! open it to delete its rows. The rest of the statement is done as if these files were not there. It must never guess:
//! a plan of another form than one filtered table has no such files.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, TableSource, lit};

use crate::error::Result;
use crate::plan::{ChangeKind, ChangePlan, Context, engine_error};
use crate::table::IcebergTable;

/// What a statement deletes without reading it, and what is left to read.
pub(in crate::execute) struct Whole {
    /// By URL.
    pub files: Vec<String>,
    /// Their rows, as far as the statement counts those that go.
    pub rows: u64,
    pub rest: LogicalPlan,
}

impl Whole {
    /// The first line of an explained statement.
    pub fn explained(&self, header: String) -> String {
        match self.files.len() {
            0 => header,
            1 => format!("{header}, 1 file as a whole"),
            count => format!("{header}, {count} files as a whole"),
        }
    }
}

/// Finds the files that a statement deletes as a whole.
pub(in crate::execute) async fn whole_files(plan: &ChangePlan, context: &Context) -> Result<Whole> {
    let nothing = || Whole { files: Vec::new(), rows: 0, rest: plan.input.clone() };
    let Some(going) = going(plan) else { return Ok(nothing()) };
    let optimized = context.state.optimize(going).map_err(engine_error)?;
    let Some(Filtered { scan, condition }) = filtered(&optimized) else { return Ok(nothing()) };
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(nothing()) };
    let Some(table) = provider.downcast_ref::<IcebergTable>() else { return Ok(nothing()) };
    let found = table.whole_files(&context.state, &condition).await?;
    if found.is_empty() {
        return Ok(nothing());
    }
    let files: Vec<String> = found.iter().map(|file| file.url.clone()).collect();
    let rows = match plan.kind {
        ChangeKind::Delete => found.iter().map(|file| file.rows).sum(),
        _ => 0,
    };
    let storage = Arc::clone(context.catalog().storage());
    let rest = IcebergTable::new(plan.target.state()?, storage)?.with_row_columns()?;
    let rest = provider_as_source(Arc::new(rest.without_files(files.iter().cloned())));
    let rest = with_source(&plan.input, &scan.source, &rest)?;
    Ok(Whole { files, rows, rest })
}

/// The part of a plan that finds the rows which go, where none of them is looked at otherwise.
fn going(plan: &ChangePlan) -> Option<&LogicalPlan> {
    match (plan.kind, &plan.input) {
        (ChangeKind::Delete, input) if plan.returning.is_none() => Some(input),
        (ChangeKind::Overwrite, LogicalPlan::Union(union)) => union.inputs.first().map(AsRef::as_ref),
        _ => None,
    }
}

/// A table of which some rows are taken.
struct Filtered<'a> {
    scan: &'a TableScan,
    condition: Expr,
}

/// A plan as one table with conditions on it, if it is that and nothing else.
fn filtered(plan: &LogicalPlan) -> Option<Filtered<'_>> {
    let mut plan = plan;
    let mut conditions = Vec::new();
    loop {
        match plan {
            // What is computed above the conditions is of no interest, and below them nothing may be.
            LogicalPlan::Projection(projection)
                if conditions.is_empty()
                    || projection.expr.iter().all(|item| matches!(item, Expr::Column(_))) =>
            {
                plan = &projection.input;
            }
            LogicalPlan::Filter(filter) => {
                conditions.push(filter.predicate.clone());
                plan = &filter.input;
            }
            LogicalPlan::SubqueryAlias(alias) => plan = &alias.input,
            LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
                // The table leaves rows out by its filters, and the plan says the same conditions again.
                let said = conditions.is_empty() && !scan.filters.is_empty();
                let condition = conjunction(conditions).unwrap_or_else(|| lit(true));
                return (!said).then_some(Filtered { scan, condition });
            }
            _ => return None,
        }
    }
}

/// The same plan, with another table where it reads the rows that go.
fn with_source(
    plan: &LogicalPlan,
    old: &Arc<dyn TableSource>,
    new: &Arc<dyn TableSource>,
) -> Result<LogicalPlan> {
    let replaced = |node: LogicalPlan| match node {
        LogicalPlan::TableScan(scan) if Arc::ptr_eq(&scan.source, old) => {
            let source = Arc::clone(new);
            Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan }))
        }
        other => Transformed::no(other),
    };
    plan.clone().transform(|node| Ok(replaced(node))).data().map_err(engine_error)
}
