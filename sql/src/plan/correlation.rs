//! In which ways a subquery may depend on the row around it so that the engine makes a right join of it: by filters, and
//! nothing between them and the subquery's list that counts or groups rows. Next: `membership.rs`, which asks.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, FetchType, JoinType, LogicalPlan, Operator, SkipType,
};

/// Whether the engine makes a right join of a subquery; `marked` where it is part of a condition, so that the join marks
/// rows, for which there must be an equality.
pub(super) fn is_joinable(plan: &LogicalPlan, marked: bool) -> Result<bool> {
    Ok(!depends(plan)? || (lies_in_filters(plan)? && (!marked || has_equality(plan)?)))
}

/// Whether the engine makes a right join of a subquery that stands for a value: it groups by the columns that filters
/// compare with the row, so those must be plain equalities.
pub(super) fn is_scalar_joinable(plan: &LogicalPlan) -> Result<bool> {
    let hinders = |step: &LogicalPlan| {
        let LogicalPlan::Filter(filter) = step else { return Ok(step.contains_outer_reference()) };
        let hinders = |conjunct: &&Expr| conjunct.contains_outer() && !is_plain_equality(conjunct);
        Ok(split_conjunction(&filter.predicate).iter().any(hinders))
    };
    Ok(!plan.exists(hinders)?)
}

/// Whether a column, or a cast of one, is equal to something of the row around.
fn is_plain_equality(conjunct: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else { return false };
    let column = |side: &Expr| match side {
        Expr::Column(_) => true,
        Expr::Cast(cast) => matches!(*cast.expr, Expr::Column(_)),
        _ => false,
    };
    (column(left) && !right.any_column_refs()) || (column(right) && !left.any_column_refs())
}

/// Whether there is one row for each row around, or none.
pub(super) fn gives_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_) => plan.inputs().into_iter().all(gives_one_row),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// Whether a subquery depends on the row around it.
pub(super) fn depends(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|step| Ok(step.contains_outer_reference()))
}

/// What there must be a row of for there to be a row of the plan.
pub(super) fn some_row(plan: &LogicalPlan) -> Result<&LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => some_row(&projection.input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => some_row(&sort.input),
        LogicalPlan::Limit(limit) => {
            let skip = matches!(limit.get_skip_type()?, SkipType::Literal(0));
            let fetch = matches!(limit.get_fetch_type()?, FetchType::Literal(Some(1..) | None));
            if skip && fetch { some_row(&limit.input) } else { Ok(plan) }
        }
        _ => Ok(plan),
    }
}

/// Whether the row around is named in filters alone, which the engine can take up to the join.
fn lies_in_filters(plan: &LogicalPlan) -> Result<bool> {
    let open = match plan {
        LogicalPlan::Filter(_) => true,
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => !plan.contains_outer_reference(),
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner && !plan.contains_outer_reference(),
        _ => false,
    };
    if !open {
        return Ok(!depends(plan)?);
    }
    plan.inputs().into_iter().try_fold(true, |all, input| Ok(all && lies_in_filters(input)?))
}

/// Whether a filter says that something inside is equal to something of the row around.
fn has_equality(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|step| {
        let LogicalPlan::Filter(filter) = step else { return Ok(false) };
        let equal = |conjunct: &&Expr| {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else {
                return false;
            };
            let inside = |side: &Expr| !side.contains_outer() && !side.column_refs().is_empty();
            let around = |side: &Expr| side.contains_outer() && side.column_refs().is_empty();
            (inside(left) && around(right)) || (inside(right) && around(left))
        };
        Ok(split_conjunction(&filter.predicate).iter().any(equal))
    })
}

/// Whether names of the row around are in filters and inner joins alone.
pub(super) fn names_lie_open(plan: &LogicalPlan) -> bool {
    let open = match plan {
        LogicalPlan::Filter(_) => true,
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner,
        _ => false,
    };
    match open {
        true => plan.inputs().into_iter().all(names_lie_open),
        false => !plan.contains_outer_reference() && below(plan),
    }
}

/// Whether nothing below names columns of the row around.
fn below(plan: &LogicalPlan) -> bool {
    plan.inputs().into_iter().all(|input| !input.contains_outer_reference() && below(input))
}
