//! Which part of the rows a predicate keeps, guessed from what is known of the columns. Comparisons with constants
//! follow the column's range and number of values; of the rest there are customary guesses.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::estimate::{Estimate, Facts, as_number};

const EQUAL: f64 = 0.1;
const COMPARED: f64 = 1.0 / 3.0;
/// What is asked of an aggregate is seldom true of many groups.
const OF_AGGREGATE: f64 = 0.1;
const STARTS_WITH: f64 = 0.05;
const CONTAINS: f64 = 0.1;
const ANYTHING: f64 = 0.3;
/// No guess says that nothing is left.
const LEAST: f64 = 1e-9;

/// The rows that all of some predicates keep.
pub(super) fn narrow<'a>(
    mut rows: Estimate,
    schema: &DFSchema,
    predicates: impl Iterator<Item = &'a Expr>,
) -> Estimate {
    for predicate in predicates {
        for part in split_conjunction(predicate) {
            let kept = selectivity(part, schema, &rows);
            narrow_column(part, schema, &mut rows, kept);
            rows.rows *= kept;
        }
    }
    rows.rows = rows.rows.max(1.0);
    for column in &mut rows.columns {
        column.distinct = column.distinct.min(rows.rows).max(1.0);
    }
    rows
}

/// A condition between relations, of whose columns nothing is known here.
pub(super) fn unknown_condition(condition: &Expr) -> f64 {
    match condition {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Eq, .. }) => EQUAL,
        Expr::BinaryExpr(BinaryExpr { op: Operator::NotEq, .. }) => 0.9,
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            either(unknown_condition(left), unknown_condition(right))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            unknown_condition(left) * unknown_condition(right)
        }
        _ => ANYTHING,
    }
}

fn either(left: f64, right: f64) -> f64 {
    left + right - left * right
}

/// The part of the rows for which one predicate is true.
pub(super) fn selectivity(predicate: &Expr, schema: &DFSchema, rows: &Estimate) -> f64 {
    let again = |part: &Expr| selectivity(part, schema, rows);
    let kept = match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => again(left) * again(right),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => either(again(left), again(right)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => compared(left, *op, right, schema, rows),
        Expr::Not(inner) => 1.0 - again(inner),
        Expr::Between(Between { expr, negated, low, high }) => {
            let inside = (compared(expr, Operator::GtEq, low, schema, rows)
                + compared(expr, Operator::LtEq, high, schema, rows)
                - 1.0)
                .max(0.01);
            negate(inside, *negated)
        }
        Expr::InList(InList { expr, list, negated }) => {
            let one = match column_facts(expr, schema, rows) {
                Some(facts) => 1.0 / facts.distinct.max(1.0),
                None => EQUAL,
            };
            negate((one * list.len() as f64).min(0.9), *negated)
        }
        Expr::Like(Like { negated, pattern, .. }) | Expr::SimilarTo(Like { negated, pattern, .. }) => {
            let anywhere = pattern.as_literal().is_some_and(|text| text.to_string().starts_with(['%', '_']));
            negate(if anywhere { CONTAINS } else { STARTS_WITH }, *negated)
        }
        Expr::IsNull(inner) => column_facts(inner, schema, rows).map_or(EQUAL, |facts| facts.nulls),
        Expr::IsNotNull(inner) => column_facts(inner, schema, rows).map_or(0.9, |facts| 1.0 - facts.nulls),
        Expr::Literal(value, _) => match value {
            datafusion::common::ScalarValue::Boolean(Some(true)) => 1.0,
            _ => LEAST,
        },
        Expr::Column(_) => 0.5,
        _ => ANYTHING,
    };
    kept.clamp(LEAST, 1.0)
}

fn negate(kept: f64, negated: bool) -> f64 {
    if negated { 1.0 - kept } else { kept }
}

fn column_facts(expression: &Expr, schema: &DFSchema, rows: &Estimate) -> Option<Facts> {
    rows.facts(schema, column_of(expression)?)
}

/// The column that an expression is, casts aside.
fn column_of(expression: &Expr) -> Option<&Column> {
    match expression {
        Expr::Column(column) => Some(column),
        Expr::Cast(cast) => column_of(&cast.expr),
        Expr::TryCast(cast) => column_of(&cast.expr),
        Expr::Alias(alias) => column_of(&alias.expr),
        _ => None,
    }
}

fn constant(expression: &Expr) -> Option<f64> {
    match expression {
        Expr::Literal(value, _) => as_number(value),
        Expr::Cast(cast) => constant(&cast.expr),
        _ => None,
    }
}

fn compared(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema, rows: &Estimate) -> f64 {
    if matches!(left, Expr::Literal(..))
        && !matches!(right, Expr::Literal(..))
        && let Some(swapped) = op.swap()
    {
        return compared(right, swapped, left, schema, rows);
    }
    let facts = column_facts(left, schema, rows);
    let other = column_facts(right, schema, rows);
    let distinct = |facts: Option<Facts>| facts.map(|facts| facts.distinct);
    match op {
        Operator::Eq => match (distinct(facts), distinct(other)) {
            (Some(a), Some(b)) => 1.0 / a.max(b).max(1.0),
            (Some(a), None) | (None, Some(a)) => equal(facts, constant(right), a),
            (None, None) => EQUAL,
        },
        Operator::NotEq => 1.0 - compared(left, Operator::Eq, right, schema, rows),
        Operator::Lt | Operator::LtEq => below(facts, constant(right), false).unwrap_or(COMPARED),
        Operator::Gt | Operator::GtEq => {
            below(facts, constant(right), true).map_or(COMPARED, |part| 1.0 - part)
        }
        Operator::LikeMatch | Operator::ILikeMatch => CONTAINS,
        _ => ANYTHING,
    }
}

fn equal(facts: Option<Facts>, value: Option<f64>, distinct: f64) -> f64 {
    let outside = match (facts.and_then(|f| f.lowest), facts.and_then(|f| f.highest), value) {
        (Some(lowest), Some(highest), Some(value)) => value < lowest || value > highest,
        _ => false,
    };
    if outside { LEAST } else { 1.0 / distinct.max(1.0) }
}

/// The part of a column's range that lies below a value; `above` says which part is asked for.
fn below(facts: Option<Facts>, value: Option<f64>, above: bool) -> Option<f64> {
    let facts = facts?;
    if facts.computed {
        return Some(if above { 1.0 - OF_AGGREGATE } else { OF_AGGREGATE });
    }
    let value = value?;
    let (lowest, highest) = (facts.lowest?, facts.highest?);
    if highest <= lowest {
        return None;
    }
    // One value of many is not nothing.
    let least = (1.0 / facts.distinct.max(1.0)).min(0.5);
    Some(((value - lowest) / (highest - lowest)).clamp(least, 1.0 - least))
}

/// Remembers in a column what a comparison with a constant says about it, so that the next one starts from there.
fn narrow_column(predicate: &Expr, schema: &DFSchema, rows: &mut Estimate, kept: f64) {
    let (column, op, value) = match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column_of(left), column_of(right)) {
            (Some(column), None) => (column, *op, constant(right)),
            (None, Some(column)) => match op.swap() {
                Some(swapped) => (column, swapped, constant(left)),
                None => return,
            },
            _ => return,
        },
        Expr::InList(InList { expr, list, negated: false }) => match column_of(expr) {
            Some(column) => {
                if let Some(facts) = facts_mut(column, schema, rows) {
                    facts.distinct = facts.distinct.min(list.len() as f64);
                }
                return;
            }
            None => return,
        },
        _ => return,
    };
    let Some(facts) = facts_mut(column, schema, rows) else { return };
    match op {
        Operator::Eq => {
            facts.distinct = 1.0;
            (facts.lowest, facts.highest) = (value, value);
        }
        Operator::Lt | Operator::LtEq => {
            facts.distinct = (facts.distinct * kept).max(1.0);
            facts.highest = value.or(facts.highest);
        }
        Operator::Gt | Operator::GtEq => {
            facts.distinct = (facts.distinct * kept).max(1.0);
            facts.lowest = value.or(facts.lowest);
        }
        _ => {}
    }
}

fn facts_mut<'a>(column: &Column, schema: &DFSchema, rows: &'a mut Estimate) -> Option<&'a mut Facts> {
    rows.columns.get_mut(schema.maybe_index_of_column(column)?)
}
