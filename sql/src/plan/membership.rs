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
//!
//! What depends on the row around in a way that the engine makes no join of, or a wrong one, is answered for the values
//! that it depends on: see `domain.rs`.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, DataFusionError, ExprSchema, Result, ScalarValue, Spans,
};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::utils::{conjunction, find_out_reference_exprs, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Projection,
    Subquery, lit, not, when,
};
use datafusion::optimizer::AnalyzerRule;

use super::aggregated::lists_below;
use super::correlation::{depends, is_joinable, is_scalar_joinable, names_lie_open, some_row};
use super::domain::{Question, answered, has_subquery};
use super::lateral::rewrite_join;
use crate::error::Error;

/// The name of the subquery's rows inside what is built of it.
const MEMBERS: &str = "pg_members";

/// Spells memberships out; to be run after type coercion.
#[derive(Debug)]
pub(crate) struct ThreeValuedMembership;

impl AnalyzerRule for ThreeValuedMembership {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let answers = Cell::new(0);
        let spelled = plan.transform_up_with_subqueries(|plan| rewrite(plan, &answers));
        spelled.map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "three_valued_membership"
    }
}

fn rewrite(plan: LogicalPlan, answers: &Cell<usize>) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(filter) if has_subquery(&filter.predicate) => rewrite_filter(filter, answers),
        LogicalPlan::Projection(list) if list.expr.iter().any(has_subquery) => rewrite_list(list, answers),
        LogicalPlan::Join(join) => rewrite_join(join, answers),
        LogicalPlan::Aggregate(aggregate) => match lists_below(&aggregate)? {
            Some((list, above)) => {
                let list = rewrite_list(list, answers)?.data;
                above.over(list, &aggregate).map(Transformed::yes)
            }
            None => Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
        },
        other => Ok(Transformed::no(other)),
    }
}

/// A list, in which nothing can be joined but answers.
pub(super) fn rewrite_list(list: Projection, answers: &Cell<usize>) -> Result<Transformed<LogicalPlan>> {
    let mut spelling = Spelling::new(&list.input, Vec::new(), answers);
    spelling.list = true;
    let mut changed = false;
    let mut spelled = Vec::with_capacity(list.expr.len());
    for (expression, (qualifier, field)) in list.expr.iter().zip(list.schema.iter()) {
        let rewritten = spelling.spell_out(expression.clone(), false)?;
        changed |= rewritten.transformed;
        spelled.push(match rewritten.transformed {
            true => rewritten.data.unalias().alias_qualified(qualifier.cloned(), field.name()),
            false => rewritten.data,
        });
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Projection(list)));
    }
    LogicalPlanBuilder::from(spelling.input).project(spelled)?.build().map(Transformed::yes)
}

pub(super) fn rewrite_filter(filter: Filter, answers: &Cell<usize>) -> Result<Transformed<LogicalPlan>> {
    let conjuncts = split_conjunction_owned(filter.predicate);
    let simple: Vec<Expr> = conjuncts.iter().filter(|conjunct| is_simple(conjunct)).cloned().collect();
    let mut spelling = Spelling::new(&filter.input, simple, answers);
    let mut changed = false;
    let mut spelled = Vec::new();
    for conjunct in conjuncts {
        let rewritten = match alone(&conjunct) {
            Some(asked) => spelling.alone(conjunct, asked)?,
            None => spelling.spell_out(conjunct, true)?,
        };
        changed |= rewritten.transformed;
        spelled.push(rewritten.data);
    }
    let predicate = conjunction(spelled).unwrap_or_else(|| lit(true));
    let Spelling { input, schema, joined, .. } = spelling;
    let filter = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?);
    Ok(match (joined, changed) {
        (true, _) => {
            let columns = schema.columns().into_iter().map(Expr::Column);
            Transformed::yes(LogicalPlanBuilder::from(filter).project(columns)?.build()?)
        }
        (false, true) => Transformed::yes(filter),
        (false, false) => Transformed::no(filter),
    })
}

/// A condition of the row by itself.
fn is_simple(conjunct: &Expr) -> bool {
    !has_subquery(conjunct) && !conjunct.contains_outer() && !conjunct.is_volatile()
}

/// A question that is a condition by itself, denied or not.
fn alone(expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::InSubquery(_) | Expr::Exists(_) => Some(expression.clone()),
        Expr::Not(inner) => alone(inner),
        _ => None,
    }
}

/// A filter or a list at work: its rows, to which answers are joined.
struct Spelling<'a> {
    input: LogicalPlan,
    /// The columns of its rows.
    schema: DFSchemaRef,
    /// Those of its conditions that are about the row by itself.
    simple: Vec<Expr>,
    /// How many answers have been joined anywhere in the plan.
    answers: &'a Cell<usize>,
    joined: bool,
    /// It is a list.
    list: bool,
}

impl<'a> Spelling<'a> {
    fn new(input: &LogicalPlan, simple: Vec<Expr>, answers: &'a Cell<usize>) -> Spelling<'a> {
        let schema = Arc::clone(input.schema());
        Spelling { input: input.clone(), schema, simple, answers, joined: false, list: false }
    }

    /// A question by itself, which the engine makes a join of if it can. `NOT IN` of a subquery that depends on the row
    /// must not hear of NULLs for other rows, and the engine's join does.
    fn alone(&mut self, conjunct: Expr, asked: Expr) -> Result<Transformed<Expr>> {
        match asked {
            Expr::InSubquery(membership) if depends(&membership.subquery.subquery)? => {
                let lenient = !is_denied(&conjunct);
                let asked = InSubquery { negated: false, ..membership };
                let answer = self.membership(asked, lenient, !lenient)?.data;
                Ok(Transformed::yes(if lenient { answer } else { not(answer) }))
            }
            // A join needs a column to join by: of a value that is the same for all rows the engine makes a condition of the
            // other side, which does not hear of NULLs there.
            Expr::InSubquery(membership) if is_denied(&conjunct) && !membership.expr.any_column_refs() => {
                let answer = self.membership(InSubquery { negated: false, ..membership }, false, true)?.data;
                Ok(Transformed::yes(not(answer)))
            }
            Expr::Exists(exists) => {
                let answer = self.existence(Exists { negated: false, ..exists }, false)?;
                Ok(answer.update_data(|answer| if is_denied(&conjunct) { not(answer) } else { answer }))
            }
            _ => Ok(Transformed::no(conjunct)),
        }
    }

    /// The answer to a question, joined to the rows.
    fn answer(&mut self, subquery: &Subquery, question: &Question) -> Result<Option<Expr>> {
        let narrow = match conjunction(std::mem::take(&mut self.simple)) {
            Some(simple) => LogicalPlan::Filter(Filter::try_new(simple, Arc::new(self.input.clone()))?),
            None => self.input.clone(),
        };
        let number = self.answers.get() + 1;
        let Some((joined, answer)) = answered(&narrow, subquery, question, number)? else { return Ok(None) };
        self.answers.set(number);
        (self.input, self.joined) = (joined, true);
        Ok(Some(answer))
    }

    /// Spells out the questions of a condition; `lenient` where NULL and false come to the same.
    fn spell_out(&mut self, expression: Expr, lenient: bool) -> Result<Transformed<Expr>> {
        match expression {
            Expr::InSubquery(membership) => self.membership(membership, lenient, true),
            Expr::Exists(exists) => self.existence(exists, true),
            Expr::SetComparison(comparison) => self.comparison(comparison),
            Expr::ScalarSubquery(subquery) => match is_scalar_joinable(&subquery.subquery)? {
                true => Ok(Transformed::no(Expr::ScalarSubquery(subquery))),
                false => match self.answer(&subquery, &Question::Value)? {
                    Some(answer) => Ok(Transformed::yes(answer)),
                    None => Ok(Transformed::no(Expr::ScalarSubquery(subquery))),
                },
            },
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right })
                if lenient =>
            {
                let left = self.spell_out(*left, true)?;
                let right = self.spell_out(*right, true)?;
                let changed = left.transformed || right.transformed;
                let whole = Expr::BinaryExpr(BinaryExpr::new(Box::new(left.data), op, Box::new(right.data)));
                Ok(if changed { Transformed::yes(whole) } else { Transformed::no(whole) })
            }
            other => other.map_children(|child| self.spell_out(child, false)),
        }
    }

    /// `EXISTS`; `marked` where it is part of a condition.
    fn existence(&mut self, exists: Exists, marked: bool) -> Result<Transformed<Expr>> {
        let bare = bare(exists)?;
        let stands_in_a_value = marked || self.list;
        if stands_in_a_value && !depends(&bare.data.subquery.subquery)? {
            return some_row_at_all(&bare.data).map(Transformed::yes);
        }
        if !self.list && is_joinable(&bare.data.subquery.subquery, marked)? {
            return Ok(bare.update_data(Expr::Exists));
        }
        let answer = self.answer(&bare.data.subquery, &Question::Exists)?.ok_or_else(refused)?;
        Ok(Transformed::yes(if bare.data.negated { not(answer) } else { answer }))
    }

    /// `x < ANY (…)` and its kin; of all that is what is not denied by any.
    fn comparison(&mut self, comparison: SetComparison) -> Result<Transformed<Expr>> {
        let SetComparison { expr, subquery, op, quantifier } = comparison;
        let all = quantifier == SetQuantifier::All;
        let operator = if all { op.negate() } else { Some(op) };
        let operator = operator.ok_or_else(refused)?;
        let question = Question::Member { value: &expr, operator };
        let answer = self.answer(&subquery, &question)?.ok_or_else(refused)?;
        Ok(Transformed::yes(if all { not(answer) } else { answer }))
    }

    /// `IN`; `lenient` where NULL and false come to the same.
    fn membership(
        &mut self,
        membership: InSubquery,
        lenient: bool,
        marked: bool,
    ) -> Result<Transformed<Expr>> {
        let lenient = lenient && !membership.negated && !self.list;
        if lenient && !depends(&membership.subquery.subquery)? {
            return Ok(Transformed::no(Expr::InSubquery(membership)));
        }
        if !self.list
            && is_joinable(&membership.subquery.subquery, marked)?
            && let Some(spelled) = spelled(&membership, &self.schema, lenient)?
        {
            return Ok(Transformed::yes(spelled));
        }
        let question = Question::Member { value: &membership.expr, operator: Operator::Eq };
        let answer = self.answer(&membership.subquery, &question)?.ok_or_else(refused)?;
        Ok(Transformed::yes(if membership.negated { not(answer) } else { answer }))
    }
}

/// `EXISTS` without what does not matter to it: the list, the order, and a limit that lets a row through.
fn bare(exists: Exists) -> Result<Transformed<Exists>> {
    let plan = exists.subquery.subquery.as_ref();
    let rows = some_row(plan)?;
    if std::ptr::eq(rows, plan) || !depends(plan)? {
        return Ok(Transformed::no(exists));
    }
    let outer_ref_columns = match depends(rows)? {
        true => exists.subquery.outer_ref_columns.clone(),
        false => Vec::new(),
    };
    let subquery = Arc::new(LogicalPlanBuilder::from(rows.clone()).project([lit(1)])?.build()?);
    let subquery = Subquery { subquery, outer_ref_columns, spans: Spans::new() };
    Ok(Transformed::yes(Exists { subquery, negated: exists.negated }))
}

/// `EXISTS` that depends on nothing around it, as a value that is computed once.
fn some_row_at_all(exists: &Exists) -> Result<Expr> {
    let rows = LogicalPlanBuilder::from(exists.subquery.subquery.as_ref().clone()).limit(0, Some(1))?;
    let counted = rows.aggregate(Vec::<Expr>::new(), [count(lit(1)).alias(MEMBERS)])?;
    let count = Expr::Column(Column::from_name(MEMBERS));
    let found = if exists.negated { count.eq(lit(0i64)) } else { count.gt(lit(0i64)) };
    let subquery = Arc::new(counted.project([found])?.build()?);
    Ok(Expr::ScalarSubquery(Subquery { subquery, outer_ref_columns: Vec::new(), spans: Spans::new() }))
}

/// Whether a question is asked for its denial.
fn is_denied(question: &Expr) -> bool {
    match question {
        Expr::Not(inner) => !is_denied(inner),
        Expr::InSubquery(InSubquery { negated, .. }) | Expr::Exists(Exists { negated, .. }) => *negated,
        _ => false,
    }
}

/// The rows of the subquery, and the value in each.
///
/// A subquery that names columns of the query around it is looked into: the engine finds those names only where filters
/// lie directly on what is filtered. So its rows are those before its SELECT list, and the value is the list's only item.
/// None where the names are further down, or cannot be told from those of `value`.
fn members(subquery: &Subquery, value: &Expr) -> Result<Option<(LogicalPlanBuilder, Expr)>> {
    if subquery.outer_ref_columns.is_empty() {
        let members = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).alias(MEMBERS)?;
        let member = Expr::Column(Column::from(members.schema().qualified_field(0)));
        return Ok(Some((members, member)));
    }
    let Some((rows, member)) = before_the_list(&subquery.subquery) else { return Ok(None) };
    let hidden = value.column_refs().into_iter().any(|column| rows.schema().has_column(column));
    if hidden || !names_lie_open(&rows) || member.contains_outer() {
        return Ok(None);
    }
    Ok(Some((LogicalPlanBuilder::from(rows), member)))
}

/// Where neither the engine nor `domain.rs` can do it.
fn refused() -> DataFusionError {
    let error = Error::unsupported("a subquery that depends on the row around it in this way").with_hint(
        "Join the tables instead, or compare with the row in the WHERE clause of the subquery alone.",
    );
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

/// The membership in terms of `EXISTS`; where it may be `lenient` it is whether there is a match.
fn spelled(membership: &InSubquery, schema: &DFSchema, lenient: bool) -> Result<Option<Expr>> {
    let InSubquery { expr, subquery, negated } = membership;
    let value = expr.as_ref().clone();
    let Some((members, member)) = members(subquery, &value)? else { return Ok(None) };
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
    let known = subquery.outer_ref_columns.clone();
    let matched = of(narrowed(members.clone(), member.clone().eq(outer.data))?, references)?;
    let whole = if nullable && !lenient {
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
    Ok(Some(if *negated { not(whole) } else { whole }))
}
