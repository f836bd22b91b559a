//! Aggregates that are joined with few of their groups. A subquery such as `(SELECT avg(l_quantity) FROM lineitem l
//! WHERE l.l_partkey = p_partkey)` has become an aggregate by part, joined with the parts of the query: it makes all
//! groups, and the join drops most of them. Where the other side is a filtered table, its keys go below the aggregate
//! as a semi join, so that the other groups are never made. The join above stays and still decides.
//! It must never take rows of a group away from another one: only whole groups go.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, Result};
use datafusion::logical_expr::logical_plan::{Aggregate, Join, SubqueryAlias};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection};

use super::estimate::{Estimate, estimate};
use super::graph::JoinGraph;
use super::join_order::is_tree_node;

/// A semi join below costs as much as it saves when it keeps more of the groups.
const KEPT_MAX: f64 = 0.2;
/// The table with the keys is read once more, so it must have at most this part of the aggregate's rows.
const KEYS_ROWS_MAX: f64 = 0.25;
/// The name that keys go by below an aggregate; no query can have it by accident.
const KEYS: &str = "?keys";

/// The same query with the aggregates of its join trees narrowed.
pub(super) fn narrow_aggregates(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down(|plan| {
        if !matches!(plan, LogicalPlan::Join(_)) || !is_tree_node(&plan) {
            return Ok(Transformed::no(plan));
        }
        let Some(graph) = JoinGraph::of(&plan) else { return Ok(Transformed::no(plan)) };
        let mut narrower = Vec::new();
        for (number, relation) in graph.relations.iter().enumerate() {
            if let Some(narrowed) = narrowed(&graph, number)? {
                narrower.push((relation.plan.clone(), narrowed));
            }
        }
        if narrower.is_empty() { Ok(Transformed::no(plan)) } else { replaced(plan, &narrower) }
    })
    .data()
}

fn replaced(plan: LogicalPlan, by: &[(LogicalPlan, LogicalPlan)]) -> Result<Transformed<LogicalPlan>> {
    let mut plan = plan.transform_down(|plan| match by.iter().find(|(wide, _)| *wide == plan) {
        Some((_, narrow)) => Ok(Transformed::new(narrow.clone(), true, TreeNodeRecursion::Jump)),
        None => Ok(Transformed::no(plan)),
    })?;
    plan.tnr = TreeNodeRecursion::Continue;
    Ok(plan)
}

/// The relation with its aggregate narrowed, if it is one and something narrows it.
fn narrowed(graph: &JoinGraph, number: usize) -> Result<Option<LogicalPlan>> {
    let plan = &graph.relations[number].plan;
    let Some(aggregate) = aggregate_of(plan).filter(|aggregate| !is_narrowed(aggregate)) else {
        return Ok(None);
    };
    let Some(below) = estimate(&aggregate.input) else { return Ok(None) };
    let mut best: Option<(f64, Column, LogicalPlan, Expr)> = None;
    for (at, column) in plan.schema().columns().iter().enumerate() {
        let Some(group) = group_column(plan, at) else { continue };
        for (keys, key) in keys_of(graph, number, column) {
            let Some(own) = estimate(keys).filter(|own| own.before < below.rows * KEYS_ROWS_MAX) else {
                continue;
            };
            let kept = kept(&own, keys, &key);
            if kept < KEPT_MAX && best.as_ref().is_none_or(|(least, ..)| kept < *least) {
                best = Some((kept, group.clone(), keys.clone(), key));
            }
        }
    }
    let Some((_, group, keys, key)) = best else { return Ok(None) };
    let narrowed = with_aggregate(plan, &with_keys(aggregate, group, keys, key)?)?;
    Ok(Some(narrowed).filter(|narrowed| narrowed.schema() == plan.schema()))
}

fn kept(own: &Estimate, keys: &LogicalPlan, key: &Expr) -> f64 {
    let all = key.try_as_col().map_or(1.0, |column| own.origin(keys.schema(), column));
    own.expression_distinct(keys.schema(), key) / all
}

/// Plain tables whose column equals `column` in every row of the graph's result, or has its value in some row.
fn keys_of<'a>(graph: &'a JoinGraph, number: usize, column: &Column) -> Vec<(&'a LogicalPlan, Expr)> {
    let mut found = Vec::new();
    let Some(class) = graph.classes.iter().find(|class| class.contains(&(number, column.clone()))) else {
        return found;
    };
    for (owner, other) in class {
        if *owner != number {
            found.push((&graph.relations[*owner].plan, Expr::Column(other.clone())));
        }
    }
    let data_type = |plan: &LogicalPlan, key: &Expr| key.get_type(plan.schema().as_ref()).ok();
    let own_type = data_type(&graph.relations[number].plan, &Expr::Column(column.clone()));
    for attached in graph.attached.iter().filter(|attached| !attached.anti) {
        for (outer, inner) in &attached.on {
            let equal =
                outer.try_as_col().is_some_and(|outer| class.iter().any(|(_, member)| member == outer));
            if equal && inner.try_as_col().is_some() && data_type(&attached.plan, inner) == own_type {
                found.push((&attached.plan, inner.clone()));
            }
        }
    }
    found.retain(|(plan, _)| is_plain_table(plan));
    found
}

/// A table with filters, which gives the same rows each time it is read.
fn is_plain_table(plan: &LogicalPlan) -> bool {
    let repeats = |expression: &Expr| {
        let subquery = |part: &Expr| {
            Ok(matches!(
                part,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
            ))
        };
        !expression.is_volatile() && !expression.exists(subquery).unwrap_or(true)
    };
    match plan {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none() && scan.filters.iter().all(repeats),
        LogicalPlan::Filter(filter) => repeats(&filter.predicate) && is_plain_table(&filter.input),
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().all(repeats) && is_plain_table(&projection.input)
        }
        LogicalPlan::SubqueryAlias(alias) => is_plain_table(&alias.input),
        _ => false,
    }
}

/// The aggregate that a relation is, below what keeps its groups apart.
fn aggregate_of(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        LogicalPlan::Projection(projection) => aggregate_of(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => aggregate_of(&alias.input),
        LogicalPlan::Filter(filter) => aggregate_of(&filter.input),
        _ => None,
    }
}

fn is_narrowed(aggregate: &Aggregate) -> bool {
    let mut found = false;
    // The closure has no errors of its own.
    let _ = aggregate.input.apply(|plan| {
        found |= matches!(plan, LogicalPlan::SubqueryAlias(alias) if alias.alias.table() == KEYS);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// The column of the aggregate's input that the plan's column at a place is, if it is one of the group's keys.
fn group_column(plan: &LogicalPlan, at: usize) -> Option<&Column> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.get(at)?.try_as_col(),
        LogicalPlan::SubqueryAlias(alias) => group_column(&alias.input, at),
        LogicalPlan::Filter(filter) => group_column(&filter.input, at),
        LogicalPlan::Projection(projection) => {
            let mut expression = projection.expr.get(at)?;
            while let Expr::Alias(alias) = expression {
                expression = &alias.expr;
            }
            let below = projection.input.schema().maybe_index_of_column(expression.try_as_col()?)?;
            group_column(&projection.input, below)
        }
        _ => None,
    }
}

/// The aggregate over those rows alone whose group is among the keys.
fn with_keys(aggregate: &Aggregate, group: Column, keys: LogicalPlan, key: Expr) -> Result<LogicalPlan> {
    let name = key.try_as_col().map_or_else(|| "key".to_owned(), |column| column.name.clone());
    let keys = Projection::try_new(vec![key], Arc::new(keys))?;
    let keys = SubqueryAlias::try_new(Arc::new(LogicalPlan::Projection(keys)), KEYS)?;
    let key = Column::new(keys.schema.qualified_field(0).0.cloned(), name);
    let right = Arc::new(LogicalPlan::SubqueryAlias(keys));
    let on = vec![(Expr::Column(group), Expr::Column(key))];
    let (constraint, nulls) = (JoinConstraint::On, NullEquality::NullEqualsNothing);
    let left = Arc::clone(&aggregate.input);
    let input = Join::try_new(left, right, on, None, JoinType::LeftSemi, constraint, nulls, false)?;
    let input = Arc::new(LogicalPlan::Join(input));
    let (groups, values) = (aggregate.group_expr.clone(), aggregate.aggr_expr.clone());
    Aggregate::try_new_with_schema(input, groups, values, Arc::clone(&aggregate.schema))
        .map(LogicalPlan::Aggregate)
}

fn with_aggregate(plan: &LogicalPlan, narrowed: &LogicalPlan) -> Result<LogicalPlan> {
    if matches!(plan, LogicalPlan::Aggregate(_)) {
        return Ok(narrowed.clone());
    }
    let inputs = plan.inputs();
    let inputs = inputs.into_iter().map(|input| with_aggregate(input, narrowed)).collect::<Result<_>>()?;
    plan.with_new_exprs(plan.expressions(), inputs)
}
