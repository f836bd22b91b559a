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
    BinaryExpr, Distinct, Expr, ExprSchemable, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Operator,
    Subquery, lit, not, when,
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
/// A subquery that names columns of the query around it is looked into: the engine finds those names only where filters
/// lie directly on what is filtered. So its rows are those before its SELECT list, and the value is the list's only item.
///
/// # Errors
///
/// 0A000 for such a subquery in which the names are further down, or cannot be told from those of `value`.
fn members(subquery: &Subquery, value: &Expr) -> Result<(LogicalPlanBuilder, Expr)> {
    if subquery.outer_ref_columns.is_empty() {
        let members = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).alias(MEMBERS)?;
        let member = Expr::Column(Column::from(members.schema().qualified_field(0)));
        return Ok((members, member));
    }
    let (rows, member) = before_the_list(&subquery.subquery).ok_or_else(refused)?;
    let hidden = value.column_refs().into_iter().any(|column| rows.schema().has_column(column));
    if hidden || !names_lie_open(&rows) || member.contains_outer() {
        return Err(refused());
    }
    Ok((LogicalPlanBuilder::from(rows), member))
}

fn refused() -> DataFusionError {
    let what = "IN with such a correlated subquery as part of a condition";
    let error = Error::unsupported(what)
        .with_hint("Write it as EXISTS (SELECT … WHERE …), or make it a condition of its own joined by AND.");
    DataFusionError::External(Box::new(error))
}

/// What a SELECT list is computed from, and its only item. Whether rows come once or twice does not matter here, nor
/// does their order.
fn before_the_list(plan: &LogicalPlan) -> Option<(LogicalPlan, Expr)> {
    match plan {
        LogicalPlan::Distinct(Distinct::All(inner)) => before_the_list(inner),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => before_the_list(&sort.input),
        LogicalPlan::Projection(list) => {
            let [item] = list.expr.as_slice() else { return None };
            Some((list.input.as_ref().clone(), item.clone().unalias_nested().data))
        }
        _ => None,
    }
}

/// Whether names of the query around are in filters and inner joins alone. An aggregate without rows still gives one,
/// and a limit counts rows of each row around: what is built of the rows here would be wrong for those.
fn names_lie_open(plan: &LogicalPlan) -> bool {
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

/// Whether nothing below names columns of the query around.
fn below(plan: &LogicalPlan) -> bool {
    plan.inputs().into_iter().all(|input| !input.contains_outer_reference() && below(input))
}

/// The rows for which a condition is true. It becomes part of the filter that is there: the engine looks for names of the
/// query around in one filter only.
fn narrowed(rows: LogicalPlanBuilder, condition: Expr) -> Result<LogicalPlanBuilder> {
    match rows.build()? {
        LogicalPlan::Filter(filter) => {
            LogicalPlanBuilder::from(filter.input.as_ref().clone()).filter(filter.predicate.and(condition))
        }
        other => LogicalPlanBuilder::from(other).filter(condition),
    }
}

fn three_valued(membership: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let InSubquery { expr, subquery, negated } = membership;
    let value = expr.as_ref().clone();
    let (members, member) = members(&subquery, &value)?;
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
        let subquery = Arc::new(plan.project([lit(1)])?.build()?);
        let subquery = Subquery { subquery, outer_ref_columns: references, spans: Spans::new() };
        Ok(Expr::Exists(Exists { subquery, negated: false }))
    };
    let known = subquery.outer_ref_columns;
    let matched = of(narrowed(members.clone(), member.clone().eq(outer.data))?, references)?;
    let whole = if nullable {
        let any = of(members.clone(), known.clone())?;
        let any_null = of(narrowed(members, member.is_null())?, known)?;
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
