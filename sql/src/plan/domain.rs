//! Subqueries that depend on the row around them in ways that the engine cannot make a join of: below an aggregate or a
//! limit, or by something else than equality. They are answered once for each combination of the values that they depend
//! on (their *domain*), and the answers are joined to the rows around (Neumann and Kemper, "Unnesting Arbitrary
//! Queries", 2015):
//!
//! ```text
//! rows around ── distinct values ── domain ── joined into the subquery, where its values stand for the row's ─┐
//!      └──────────────────────────────── left join on equal values, NULL being equal to NULL ──── answers ────┘
//! ```
//!
//! What is grouped in the subquery is then grouped by the domain too, and what is limited is counted for each of its
//! values. The rows around are read twice, so they must be the same both times. Next: `membership.rs`, which asks.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, ExprSchema, NullEquality, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::bool_or;
use datafusion::logical_expr::{
    Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, binary_expr, lit, when,
};

use super::correlation::gives_one_row;
use super::spread::Spread;

/// What a subquery is asked.
pub(super) enum Question<'a> {
    /// `EXISTS`.
    Exists,
    /// Whether a value compares so with one in it; with `=`, whether it is in it.
    Member { value: &'a Expr, operator: Operator },
    /// The value of its only row.
    Value,
}

/// The rows of `input` with the answer to each, and the answer as an expression; none where that cannot be done.
pub(super) fn answered(
    input: &LogicalPlan,
    subquery: &Subquery,
    question: &Question,
    number: usize,
) -> Result<Option<(LogicalPlan, Expr)>> {
    if matches!(question, Question::Value) && !gives_one_row(&subquery.subquery) {
        return Ok(None);
    }
    let Some((input, keys)) = with_keys(input, subquery, question, number)? else { return Ok(None) };
    let spread = domain(&input, &keys, number)?;
    let Some(rows) = spread.plan(&subquery.subquery)? else { return Ok(None) };
    let answers = match question {
        Question::Exists => spread.found(rows)?,
        Question::Member { value, operator } => membership(&spread, rows, (value, *operator), &keys, number)?,
        Question::Value => {
            let value = Expr::Column(Column::from(rows.schema().qualified_field(0))).alias(ANSWER);
            LogicalPlanBuilder::from(rows).project(spread.columns().into_iter().chain([value]))?.build()?
        }
    };
    let name = format!("pg_answers_{number}");
    let answers = LogicalPlanBuilder::from(answers).alias(&*name)?.build()?;
    let theirs = (0..keys.len()).map(|place| Column::new(Some(name.as_str()), key_name(place)));
    let on = (keys.clone(), theirs.collect::<Vec<_>>());
    let joined = LogicalPlanBuilder::from(input)
        .join_detailed(answers, JoinType::Left, on, None, NullEquality::NullEqualsNull)?
        .build()?;
    let answer = Expr::Column(Column::new(Some(name), ANSWER));
    let answer = match question {
        Question::Exists => answer.is_not_null(),
        Question::Value => answer,
        Question::Member { .. } => when(answer.clone().eq(lit(TRUE)), lit(true))
            .when(answer.eq(lit(UNKNOWN)), lit(ScalarValue::Boolean(None)))
            .otherwise(lit(false))?,
    };
    Ok(Some((joined, answer)))
}

/// The distinct values of the keys among the rows around.
pub(super) fn domain(input: &LogicalPlan, keys: &[Column], number: usize) -> Result<Spread> {
    let name = format!("pg_domain_{number}");
    let list = keys.iter().enumerate().map(|(place, key)| Expr::Column(key.clone()).alias(key_name(place)));
    let domain = LogicalPlanBuilder::from(input.clone()).project(list)?.distinct()?.alias(&*name)?.build()?;
    let values = (0..keys.len()).map(|place| Column::new(Some(name.as_str()), key_name(place)));
    Ok(Spread { domain, values: keys.iter().cloned().zip(values).collect() })
}

/// The column of the answer, whose absence is false.
pub(super) const ANSWER: &str = "answer";
const TRUE: i32 = 2;
const UNKNOWN: i32 = 1;

fn key_name(place: usize) -> String {
    format!("c{place}")
}

/// The columns of the rows around that the answer depends on, a value that is looked for among them.
fn with_keys(
    input: &LogicalPlan,
    subquery: &Subquery,
    question: &Question,
    number: usize,
) -> Result<Option<(LogicalPlan, Vec<Column>)>> {
    if !is_repeatable(input)? {
        return Ok(None);
    }
    let mut keys: Vec<Column> = Vec::new();
    for reference in &subquery.outer_ref_columns {
        let Expr::OuterReferenceColumn(_, column) = reference else { return Ok(None) };
        if !keys.contains(column) {
            keys.push(column.clone());
        }
    }
    let mut input = input.clone();
    if let Question::Member { value, .. } = question {
        if has_subquery(value) || value.contains_outer() || value.is_volatile() {
            return Ok(None);
        }
        let key = value_key(value, number);
        if !matches!(value, Expr::Column(_)) {
            let mut list: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
            list.push((*value).clone().alias_qualified(key.relation.clone(), key.name.as_str()));
            input = LogicalPlanBuilder::from(input).project(list)?.build()?;
        }
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let plain = |key: &Column| {
        let field = input.schema().field_from_column(key).ok();
        field.is_some_and(|field| is_comparable(field.data_type()))
    };
    Ok(keys.iter().all(plain).then_some((input, keys)))
}

/// Whether rows can be grouped and joined by values of a type: lists of plain values, but not records.
fn is_comparable(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => !item.data_type().is_nested(),
        other => !other.is_nested(),
    }
}

/// The column that a value is looked for by.
fn value_key(value: &Expr, number: usize) -> Column {
    match value {
        Expr::Column(column) => column.clone(),
        _ => Column::new(Some(format!("pg_value_{number}")), "value"),
    }
}

/// `IN` is an OR of equalities, and ANY of other comparisons: true where one is, else NULL where one is NULL.
fn membership(
    spread: &Spread,
    rows: LogicalPlan,
    (value, operator): (&Expr, Operator),
    keys: &[Column],
    number: usize,
) -> Result<LogicalPlan> {
    let member = Expr::Column(Column::from(rows.schema().qualified_field(0)));
    let place = keys.iter().position(|key| *key == value_key(value, number)).unwrap_or_default();
    let value = spread.values.get(place).map(|(_, value)| Expr::Column(value.clone()));
    let equal = match value {
        Some(value) => binary_expr(value, operator, member),
        None => return datafusion::common::internal_err!("a value is not in its own domain"),
    };
    let grouped = LogicalPlanBuilder::from(rows)
        .aggregate(
            spread.columns(),
            [bool_or(equal.clone()).alias("hit"), bool_or(equal.is_null()).alias("unknown")],
        )?
        .build()?;
    let flag = |name: &str| Expr::Column(Column::from_name(name));
    let answer = when(flag("hit"), lit(TRUE)).when(flag("unknown"), lit(UNKNOWN)).otherwise(lit(0i32))?;
    let list = spread.columns().into_iter().chain([answer.alias(ANSWER)]);
    LogicalPlanBuilder::from(grouped).project(list)?.build()
}

/// Whether rows are the same whenever they are read, and depend on nothing around them.
pub(super) fn is_repeatable(plan: &LogicalPlan) -> Result<bool> {
    let varies = |plan: &LogicalPlan| {
        let mut varies = plan.contains_outer_reference();
        plan.apply_expressions(|expression| {
            varies |= expression.is_volatile();
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        })?;
        Ok(varies)
    };
    Ok(!plan.exists(varies)?)
}

/// True also when it cannot be told.
pub(super) fn has_subquery(expression: &Expr) -> bool {
    let found = expression.exists(|inner| {
        Ok(matches!(
            inner,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
        ))
    });
    found.unwrap_or(true)
}

/// The expression with the values of the domain for those of the row around; none where it has others.
pub(super) fn replaced(expression: &Expr, values: &[(Column, Column)]) -> Result<Option<Expr>> {
    let mut unknown = false;
    let replaced = expression
        .clone()
        .transform(|inner| {
            Ok(match inner {
                Expr::OuterReferenceColumn(field, column) => {
                    match values.iter().find(|(around, _)| *around == column) {
                        Some((_, value)) => Transformed::yes(Expr::Column(value.clone())),
                        None => {
                            unknown = true;
                            Transformed::no(Expr::OuterReferenceColumn(field, column))
                        }
                    }
                }
                Expr::ScalarSubquery(ref subquery)
                | Expr::Exists(datafusion::logical_expr::expr::Exists { ref subquery, .. })
                | Expr::InSubquery(datafusion::logical_expr::expr::InSubquery { ref subquery, .. }) => {
                    let ours = |reference: &Expr| {
                        matches!(reference, Expr::OuterReferenceColumn(_, column)
                            if values.iter().any(|(around, _)| around == column))
                    };
                    unknown |= subquery.outer_ref_columns.iter().any(ours);
                    Transformed::no(inner)
                }
                other => Transformed::no(other),
            })
        })
        .data()?;
    Ok((!unknown).then_some(replaced))
}
