//! `IN` and `NOT IN` with a subquery, where it is only part of a condition. The engine marks each row as matched or not,
//! so that "not matched" stands for both false and NULL: `a = 1 OR b NOT IN (SELECT …)` would be true where `b` is NULL.
//! Standing alone a membership is joined with NULLs in mind, and a plain `IN` below AND and OR alone loses nothing when
//! NULL is false; all others are spelled out here, as the SQL standard defines them:
//!
//! ```text
//! CASE WHEN EXISTS (a match) THEN true
//!      WHEN the value IS NULL THEN CASE WHEN EXISTS (a row) THEN NULL ELSE false END
//!      WHEN EXISTS (a NULL) THEN NULL
//!      ELSE false END
//! ```

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, ExprSchema, Result, ScalarValue, Spans};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, find_out_reference_exprs, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, not,
    when,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Error;

/// The name of the subquery's rows inside what is built of it.
const MEMBERS: &str = "pg_members";

/// Spells memberships out; to be run after type coercion.
#[derive(Debug)]
pub(crate) struct ThreeValuedMembership;

impl AnalyzerRule for ThreeValuedMembership {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite).map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "three_valued_membership"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
    let schema = Arc::clone(filter.input.schema());
    let mut changed = false;
    let mut conjuncts = Vec::new();
    for conjunct in split_conjunction_owned(filter.predicate) {
        if is_membership(&conjunct) {
            conjuncts.push(conjunct);
            continue;
        }
        let rewritten = spell_out(conjunct, &schema, true)?;
        changed |= rewritten.transformed;
        conjuncts.push(rewritten.data);
    }
    let predicate = conjunction(conjuncts).unwrap_or_else(|| lit(true));
    let filter = LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?);
    Ok(if changed { Transformed::yes(filter) } else { Transformed::no(filter) })
}

/// A membership that is a condition by itself, denied or not.
fn is_membership(expression: &Expr) -> bool {
    match expression {
        Expr::InSubquery(_) => true,
        Expr::Not(inner) => matches!(inner.as_ref(), Expr::InSubquery(_)),
        _ => false,
    }
}

/// Spells out the memberships of a condition; `lenient` where NULL and false come to the same.
fn spell_out(expression: Expr, schema: &DFSchema, lenient: bool) -> Result<Transformed<Expr>> {
    match expression {
        Expr::InSubquery(membership) if !lenient || membership.negated => three_valued(membership, schema),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) if lenient => {
            let left = spell_out(*left, schema, true)?;
            let right = spell_out(*right, schema, true)?;
            let changed = left.transformed || right.transformed;
            let whole = Expr::BinaryExpr(BinaryExpr::new(Box::new(left.data), op, Box::new(right.data)));
            Ok(if changed { Transformed::yes(whole) } else { Transformed::no(whole) })
        }
        other => other.map_children(|child| spell_out(child, schema, false)),
    }
}

/// The rows of the subquery, and the value in each.
///
/// # Errors
///
/// 0A000 for a subquery that names columns of the query around it: the engine cannot look for those below what is built
/// of it here.
fn members(subquery: &Subquery) -> Result<(LogicalPlanBuilder, Expr)> {
    if !subquery.outer_ref_columns.is_empty() {
        let error = Error::unsupported("IN with a correlated subquery as part of a condition").with_hint(
            "Write it as EXISTS (SELECT … WHERE …), or make it a condition of its own joined by AND.",
        );
        return Err(DataFusionError::External(Box::new(error)));
    }
    let members = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).alias(MEMBERS)?;
    let member = Expr::Column(Column::from(members.schema().qualified_field(0)));
    Ok((members, member))
}

fn three_valued(membership: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let InSubquery { expr, subquery, negated } = membership;
    let (members, member) = members(&subquery)?;
    let value = expr.as_ref().clone();
    let nullable = value.nullable(schema)? || member.nullable(members.schema().as_ref())?;
    let outer = value.clone().transform(|inner| match inner {
        Expr::Column(column) => {
            let field = schema.field_from_column(&column)?;
            Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::new(field.as_ref().clone()), column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let mut references = subquery.outer_ref_columns.clone();
    references.extend(find_out_reference_exprs(&outer.data));
    let of = |plan: LogicalPlanBuilder, references: Vec<Expr>| -> Result<Expr> {
        let subquery = Arc::new(plan.build()?);
        let subquery = Subquery { subquery, outer_ref_columns: references, spans: Spans::new() };
        Ok(Expr::Exists(Exists { subquery, negated: false }))
    };
    let known = subquery.outer_ref_columns;
    let matched = of(members.clone().filter(member.clone().eq(outer.data))?, references)?;
    let whole = if nullable {
        let any = of(members.clone(), known.clone())?;
        let any_null = of(members.filter(member.is_null())?, known)?;
        let unknown = lit(ScalarValue::Boolean(None));
        let null_value = when(any, unknown.clone()).otherwise(lit(false))?;
        when(matched, lit(true))
            .when(value.is_null(), null_value)
            .when(any_null, unknown)
            .otherwise(lit(false))?
    } else {
        matched
    };
    Ok(Transformed::yes(if negated { not(whole) } else { whole }))
}
