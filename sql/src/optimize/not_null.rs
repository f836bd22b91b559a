//! `x NOT IN (SELECT y …)` looks at all of `y` at once only because of NULLs. Where the tables promise that neither side
//! has one it is an anti join like any other: it may be moved, split among processors and built on its smaller side.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, JoinType, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::{Join, TableScan};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The same query, with `NOT IN` as a plain anti join where no NULL can come.
pub(super) fn plain_not_in(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up(|plan| match plan {
        LogicalPlan::Join(join) if join.null_aware && sides_without_null(&join) => {
            Ok(Transformed::yes(LogicalPlan::Join(Join { null_aware: false, ..join })))
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn sides_without_null(join: &Join) -> bool {
    join.on.iter().all(|(left, right)| never_null(&join.left, left) && never_null(&join.right, right))
}

/// Whether an expression over the rows of a plan is NULL in none of them, for sure.
fn never_null(plan: &LogicalPlan, expression: &Expr) -> bool {
    match expression {
        Expr::Column(column) => column_never_null(plan, column),
        Expr::Alias(alias) => never_null(plan, &alias.expr),
        Expr::Literal(value, _) => !value.is_null(),
        _ => false,
    }
}

fn column_never_null(plan: &LogicalPlan, column: &Column) -> bool {
    let Some(place) = plan.schema().maybe_index_of_column(column) else { return false };
    match plan {
        LogicalPlan::TableScan(scan) => scanned_never_null(scan, place),
        LogicalPlan::Projection(projection) => never_null(&projection.input, &projection.expr[place]),
        LogicalPlan::Filter(filter) => column_never_null(&filter.input, column),
        LogicalPlan::Sort(sort) => column_never_null(&sort.input, column),
        LogicalPlan::Limit(limit) => column_never_null(&limit.input, column),
        LogicalPlan::SubqueryAlias(alias) => {
            let below = Column::from(alias.input.schema().qualified_field(place));
            column_never_null(&alias.input, &below)
        }
        LogicalPlan::Aggregate(aggregate) => {
            aggregate.group_expr.get(place).is_some_and(|group| never_null(&aggregate.input, group))
        }
        LogicalPlan::Join(join) => joined_never_null(join, column),
        _ => false,
    }
}

/// An outer join makes NULLs of the side that it keeps no rows of.
fn joined_never_null(join: &Join, column: &Column) -> bool {
    let is_left = join.left.schema().has_column(column);
    let kept = match join.join_type {
        JoinType::Inner
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::RightSemi
        | JoinType::RightAnti => true,
        JoinType::Left => is_left,
        JoinType::Right => !is_left,
        JoinType::Full | JoinType::LeftMark | JoinType::RightMark => false,
    };
    let side: &Arc<LogicalPlan> = if is_left { &join.left } else { &join.right };
    kept && column_never_null(side, column)
}

fn scanned_never_null(scan: &TableScan, place: usize) -> bool {
    let position = scan.projection.as_ref().map_or(Some(place), |projection| projection.get(place).copied());
    let Some(position) = position else { return false };
    if !scan.source.schema().field(position).is_nullable() {
        return true;
    }
    let statistics = source_as_provider(&scan.source).ok();
    let statistics = statistics.and_then(|provider| TableProvider::statistics(provider.as_ref()));
    let known = statistics.and_then(|known| known.column_statistics.get(position).cloned());
    known.is_some_and(|known| known.null_count == Precision::Exact(0))
}
