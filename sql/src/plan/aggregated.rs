//! Subqueries inside of aggregates and groups: what they stand in is computed in a list below, where they can be answered.
//! Next: `membership.rs`, which answers those of lists.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};

use super::domain::has_subquery;

/// The name of what is computed below.
const ARGUMENT: &str = "pg_argument";

/// An aggregate over plain columns where it had subqueries, and the list below it that has them now. None where there is
/// nothing to do, or a subquery stands in a grouping set.
pub(super) fn lists_below(aggregate: &Aggregate) -> Result<Option<(Projection, AggregateAbove)>> {
    let expressions = || aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    let in_sets =
        aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)) && has_subquery(group));
    if in_sets || !expressions().any(has_subquery) {
        return Ok(None);
    }
    let mut list: Vec<Expr> = aggregate.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut groups = Vec::with_capacity(aggregate.group_expr.len());
    for group in &aggregate.group_expr {
        groups.push(moved(group.clone(), &mut list));
    }
    let mut aggregates = Vec::with_capacity(aggregate.aggr_expr.len());
    for call in &aggregate.aggr_expr {
        aggregates.push(with_arguments_moved(call.clone(), &mut list)?);
    }
    let list = Projection::try_new(list, Arc::clone(&aggregate.input))?;
    Ok(Some((list, AggregateAbove { groups, aggregates })))
}

/// What is left of the aggregate.
pub(super) struct AggregateAbove {
    groups: Vec<Expr>,
    aggregates: Vec<Expr>,
}

impl AggregateAbove {
    /// The aggregate over the list, its columns under their old names.
    pub fn over(self, list: LogicalPlan, old: &Aggregate) -> Result<LogicalPlan> {
        let new = Aggregate::try_new(Arc::new(list), self.groups, self.aggregates)?;
        let new = LogicalPlan::Aggregate(new);
        let columns = new.schema().columns();
        let named = columns.into_iter().zip(old.schema.iter()).map(|(column, (qualifier, field))| {
            Expr::Column(column).alias_qualified(qualifier.cloned(), field.name())
        });
        let named: Vec<Expr> = named.collect();
        LogicalPlanBuilder::from(new).project(named)?.build()
    }
}

/// The column that holds an expression with a subquery; any other expression as it is.
fn moved(expression: Expr, list: &mut Vec<Expr>) -> Expr {
    if !has_subquery(&expression) {
        return expression;
    }
    let name = format!("{ARGUMENT}_{}", list.len());
    list.push(expression.unalias().alias(&*name));
    Expr::Column(Column::from_name(name))
}

fn with_arguments_moved(call: Expr, list: &mut Vec<Expr>) -> Result<Expr> {
    let moved = call.transform_down(|inner| match inner {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            params.args = params.args.into_iter().map(|argument| moved(argument, list)).collect();
            params.filter = params.filter.map(|filter| Box::new(moved(*filter, list)));
            for order in &mut params.order_by {
                order.expr = moved(std::mem::take(&mut order.expr), list);
            }
            let call = Expr::AggregateFunction(AggregateFunction { func, params });
            Ok(Transformed::new(call, true, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(moved.data)
}
