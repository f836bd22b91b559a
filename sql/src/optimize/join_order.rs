//! Finds the join trees of an optimised plan, top down, and replaces each by a clearly cheaper order of the same
//! relations. It runs after the engine's own rules, because one of them flattens every tree into the order of the
//! text. A tree of which some relation has no statistics stays as it is. Next: `graph.rs`.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::build::build;
use super::graph::JoinGraph;
use super::narrow::narrow_aggregates;
use super::not_null::plain_not_in;
use super::search::{Problem, cheapest};

/// A new order must cost at most this part of the old one: estimates are too rough to act on less.
const WORTH_CHANGING: f64 = 0.9;

/// The same query with its joins in the cheapest order found.
pub(crate) fn order_joins(plan: LogicalPlan) -> Result<LogicalPlan> {
    let ordered = rewrite(narrow_aggregates(plain_not_in(plan)?)?)?.data;
    // Scalar subqueries are in expressions, which the walk over the plan does not meet.
    let subquery = |plan| order_joins(plan).map(Transformed::yes);
    ordered.transform_down(|plan| plan.map_subqueries(subquery)).data()
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !is_tree_node(&plan) || !reaches_join(&plan) {
        return plan.map_children(rewrite);
    }
    let below = rewrite_leaves(plan)?;
    match reordered(&below.data) {
        Some(plan) => Ok(Transformed::yes(plan)),
        None => Ok(below),
    }
}

/// Rewrites what hangs below a join tree; the tree itself stays.
fn rewrite_leaves(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !is_tree_node(&plan) || !reaches_join(&plan) {
        return rewrite(plan);
    }
    match plan {
        LogicalPlan::Join(join) => {
            let (left, right) = (Arc::unwrap_or_clone(join.left), Arc::unwrap_or_clone(join.right));
            let (left, right) = match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => (rewrite_leaves(left)?, rewrite(right)?),
                JoinType::RightSemi | JoinType::RightAnti => (rewrite(left)?, rewrite_leaves(right)?),
                _ => (rewrite_leaves(left)?, rewrite_leaves(right)?),
            };
            let changed = left.transformed || right.transformed;
            let join = Join { left: Arc::new(left.data), right: Arc::new(right.data), ..join };
            let plan = LogicalPlan::Join(join);
            Ok(if changed { Transformed::yes(plan) } else { Transformed::no(plan) })
        }
        other => other.map_children(rewrite_leaves),
    }
}

/// True for the nodes that a join tree is made of.
pub(super) fn is_tree_node(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => is_tree_join(join),
        LogicalPlan::Projection(projection) => is_selection_of_columns(projection),
        LogicalPlan::Filter(filter) => !filter.predicate.is_volatile(),
        _ => false,
    }
}

/// Below filters and projections there is a join that can be moved; otherwise they belong to a leaf.
pub(super) fn reaches_join(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => is_tree_join(join),
        LogicalPlan::Projection(projection) if is_selection_of_columns(projection) => {
            reaches_join(&projection.input)
        }
        LogicalPlan::Filter(filter) if !filter.predicate.is_volatile() => reaches_join(&filter.input),
        _ => false,
    }
}

fn is_tree_join(join: &Join) -> bool {
    let kind = matches!(
        join.join_type,
        JoinType::Inner | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::RightSemi | JoinType::RightAnti
    );
    // NOT IN looks at the whole of its right side at once, and joins in which NULL equals NULL make no classes.
    let plain = !join.null_aware && join.null_equality == NullEquality::NullEqualsNothing;
    let volatile = |expression: &Expr| expression.is_volatile();
    kind && plain
        && !join.filter.as_ref().is_some_and(volatile)
        && !join.on.iter().any(|(left, right)| volatile(left) || volatile(right))
}

fn is_selection_of_columns(projection: &Projection) -> bool {
    projection.expr.iter().all(|expression| matches!(expression, Expr::Column(_)))
}

/// The tree in a cheaper order; None when there is none, or when not enough is known.
fn reordered(plan: &LogicalPlan) -> Option<LogicalPlan> {
    let graph = JoinGraph::of(plan)?;
    if graph.members() < 3 {
        return None;
    }
    let problem = Problem::of(&graph);
    let before = problem.cost(&graph.tree)?;
    let found = cheapest(&problem)?;
    if found.cost > before * WORTH_CHANGING {
        return None;
    }
    match build(&graph, &problem, &found.tree, plan.schema()) {
        Ok(plan) => {
            tracing::debug!(before, after = found.cost, order = %found.tree, "joins reordered");
            Some(plan)
        }
        Err(error) => {
            tracing::debug!(%error, "an order of joins could not be built");
            None
        }
    }
}
