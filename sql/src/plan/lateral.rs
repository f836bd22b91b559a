//! Joins that are more than one: `LATERAL`, whose right side depends on the row of the left, conditions with subqueries, and
//! `EXCEPT ALL` and `INTERSECT ALL`, which count how often a row is there.
//!
//! A right side that depends on the row is computed for all values of the left that it depends on at once (`domain.rs`),
//! and joined by them. A condition with a subquery becomes a column of the side that it is about; one about both sides of an
//! inner join becomes a filter above, and of one about both sides of an outer join the parts become columns.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::logical_plan::{Join, Projection};
use datafusion::logical_expr::utils::{conjunction, find_out_reference_exprs, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprFunctionExt, Filter, LogicalPlan, LogicalPlanBuilder};

use super::domain::{domain, has_subquery, is_repeatable};
use super::membership::{rewrite_filter, rewrite_list};
use crate::functions::expands_left;

/// The name of a condition that is a column.
const CONDITION: &str = "pg_condition";

/// The same join without what the engine may not know how to do.
pub(super) fn rewrite_join(join: Join, answers: &Cell<usize>) -> Result<Transformed<LogicalPlan>> {
    if join.filter.as_ref().is_some_and(has_subquery) {
        return conditions_apart(join, answers);
    }
    if is_of_multisets(&join) {
        return of_multisets(&join).map(Transformed::yes);
    }
    // A list of the left row needs no rows of its own.
    if expands_left(&join) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    match lateral(&join, answers)? {
        Some(joined) => Ok(Transformed::yes(joined)),
        None => Ok(Transformed::no(LogicalPlan::Join(join))),
    }
}

/// Whether it is what the planner makes of `EXCEPT ALL` and `INTERSECT ALL`: rows against rows, and not of a set.
fn is_of_multisets(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

/// The same with the rows of each kind numbered on both sides, so that each row of the right is for one of the left.
fn of_multisets(join: &Join) -> Result<LogicalPlan> {
    const NUMBER: &str = "pg_row_number";
    let numbered = |side: &Arc<LogicalPlan>, keys: Vec<Expr>| {
        let number = row_number().partition_by(keys).build()?;
        let columns = side.schema().columns().into_iter().map(Expr::Column);
        let name = number.schema_name().to_string();
        let windowed = LogicalPlanBuilder::from(side.as_ref().clone()).window([number])?;
        windowed.project(columns.chain([Expr::Column(Column::from_name(name)).alias(NUMBER)]))?.build()
    };
    let (left, right): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let (left, right) = (numbered(&join.left, left)?, numbered(&join.right, right)?);
    let number = || Expr::Column(Column::from_name(NUMBER));
    let on = join.on.iter().cloned().chain([(number(), number())]).collect();
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        None,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        false,
    )?;
    columns_of(LogicalPlan::Join(joined), &join.schema)
}

/// A join whose right side names columns of the left, as one that does not; none for any other, and where a step of the
/// right side cannot be taken for all rows at once.
fn lateral(join: &Join, answers: &Cell<usize>) -> Result<Option<LogicalPlan>> {
    let is_subquery = |plan: &LogicalPlan| Ok(matches!(plan, LogicalPlan::Subquery(_)));
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) || !join.right.exists(is_subquery)? {
        return Ok(None);
    }
    let mut keys: Vec<Column> = Vec::new();
    let mut foreign = false;
    let right = join.right.as_ref().clone().transform_down(|plan| match plan {
        LogicalPlan::Subquery(subquery) => {
            for reference in &subquery.outer_ref_columns {
                match reference {
                    Expr::OuterReferenceColumn(_, column) if join.left.schema().has_column(column) => {
                        if !keys.contains(column) {
                            keys.push(column.clone());
                        }
                    }
                    _ => foreign = true,
                }
            }
            Ok(Transformed::yes(subquery.subquery.as_ref().clone()))
        }
        other => Ok(Transformed::no(other)),
    });
    let right = right.data()?;
    if foreign || (!keys.is_empty() && !is_repeatable(&join.left)?) {
        return Ok(None);
    }
    let mut condition: Vec<Expr> =
        join.on.iter().map(|(left, right)| left.clone().eq(right.clone())).collect();
    condition.extend(join.filter.clone());
    let condition = conjunction(condition);
    let left = LogicalPlanBuilder::from(join.left.as_ref().clone());
    if keys.is_empty() {
        let condition = condition.into_iter().collect::<Vec<_>>();
        return left.join_on(right, join.join_type, condition)?.build().map(Some);
    }
    let number = answers.get() + 1;
    let spread = domain(&join.left, &keys, number)?;
    let Some(rows) = spread.plan(&right)? else { return Ok(None) };
    answers.set(number);
    let values = spread.values.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let joined = left
        .join_detailed(rows, join.join_type, (keys, values), condition, NullEquality::NullEqualsNull)?
        .build()?;
    columns_of(joined, &join.schema).map(Some)
}

/// A join with conditions that hold no subquery.
fn conditions_apart(join: Join, answers: &Cell<usize>) -> Result<Transformed<LogicalPlan>> {
    let mut sides = [Side::new("left", &join.left), Side::new("right", &join.right)];
    let (mut kept, mut above) = (Vec::new(), Vec::new());
    for condition in join.filter.clone().map(split_conjunction_owned).unwrap_or_default() {
        if !has_subquery(&condition) {
            kept.push(condition);
        } else if let Some(side) = sides.iter_mut().find(|side| side.has_all(&condition)) {
            kept.push(side.column(condition));
        } else if join.join_type == JoinType::Inner {
            above.push(condition);
        } else if let Some(parts_apart) = parts_apart(&condition, &mut sides)? {
            kept.push(parts_apart);
        } else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
    }
    let [left, right] = sides;
    let (left, right) = (left.plan(answers)?, right.plan(answers)?);
    let filter = conjunction(kept);
    let joined = LogicalPlan::Join(Join::try_new(
        left,
        right,
        join.on,
        filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?);
    let joined = match conjunction(above) {
        Some(above) => rewrite_filter(Filter::try_new(above, Arc::new(joined))?, answers)?.data,
        None => joined,
    };
    columns_of(joined, &join.schema).map(Transformed::yes)
}

/// A condition whose parts with subqueries are columns of the sides that they are about; none if one is about both.
fn parts_apart(condition: &Expr, sides: &mut [Side<'_>; 2]) -> Result<Option<Expr>> {
    let taken = sides.each_ref().map(|side| side.list.len());
    let apart = condition.clone().transform_down(|part| {
        if !has_subquery(&part) {
            return Ok(Transformed::new(part, false, TreeNodeRecursion::Jump));
        }
        Ok(match sides.iter_mut().find(|side| side.has_all(&part)) {
            Some(side) => Transformed::new(side.column(part), true, TreeNodeRecursion::Jump),
            None => Transformed::no(part),
        })
    })?;
    if !has_subquery(&apart.data) {
        return Ok(Some(apart.data));
    }
    for (side, taken) in sides.iter_mut().zip(taken) {
        side.list.truncate(taken);
    }
    Ok(None)
}

/// One side of a join, and the conditions that become columns of it.
struct Side<'a> {
    name: &'static str,
    plan: &'a Arc<LogicalPlan>,
    list: Vec<Expr>,
}

impl<'a> Side<'a> {
    fn new(name: &'static str, plan: &'a Arc<LogicalPlan>) -> Side<'a> {
        Side { name, plan, list: Vec::new() }
    }

    /// Whether it has every column that a condition names, itself or in its subqueries.
    fn has_all(&self, condition: &Expr) -> bool {
        let schema = self.plan.schema();
        let around = find_out_reference_exprs(condition);
        let around = around.iter().filter_map(|reference| match reference {
            Expr::OuterReferenceColumn(_, column) => Some(column),
            _ => None,
        });
        let inner = subquery_references(condition);
        condition
            .column_refs()
            .into_iter()
            .chain(around)
            .chain(&inner)
            .all(|column| schema.has_column(column))
    }

    fn column(&mut self, condition: Expr) -> Expr {
        let name = format!("{CONDITION}_{}_{}", self.name, self.list.len());
        self.list.push(condition.alias(&*name));
        Expr::Column(Column::from_name(name))
    }

    fn plan(self, answers: &Cell<usize>) -> Result<Arc<LogicalPlan>> {
        if self.list.is_empty() {
            return Ok(Arc::clone(self.plan));
        }
        let columns = self.plan.schema().columns().into_iter().map(Expr::Column);
        let list = Projection::try_new(columns.chain(self.list).collect(), Arc::clone(self.plan))?;
        Ok(Arc::new(rewrite_list(list, answers)?.data))
    }
}

/// The columns of the row around that the subqueries of an expression name.
fn subquery_references(expression: &Expr) -> Vec<Column> {
    let mut columns = Vec::new();
    let mut take = |references: &[Expr]| {
        columns.extend(references.iter().filter_map(|reference| match reference {
            Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
            _ => None,
        }));
    };
    // The closure never fails.
    let _ = expression.exists(|inner| {
        match inner {
            Expr::Exists(exists) => take(&exists.subquery.outer_ref_columns),
            Expr::InSubquery(membership) => take(&membership.subquery.outer_ref_columns),
            Expr::SetComparison(comparison) => take(&comparison.subquery.outer_ref_columns),
            Expr::ScalarSubquery(subquery) => take(&subquery.outer_ref_columns),
            _ => {}
        }
        Ok(false)
    });
    columns
}

/// The plan with these columns alone.
fn columns_of(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan).project(schema.columns().into_iter().map(Expr::Column))?.build()
}
