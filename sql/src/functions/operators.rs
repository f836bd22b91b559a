//! Operators that PostgreSQL has and the engine lacks, or takes in another way, as functions: intervals times numbers,
//! times of day with intervals, comparisons of intervals, lists that overlap, and JSON that is changed or asked.
//! They are planned before the engine's own planners are asked.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::overload::{Function, udf};
use super::{json_edit, lists, moments};
use crate::types;

/// The planner, which is to be asked before the engine's own.
pub fn planner() -> Arc<dyn ExprPlanner> {
    let groups: [&'static [Function]; 3] = [moments::FUNCTIONS, lists::FUNCTIONS, json_edit::FUNCTIONS];
    let functions = groups.into_iter().flatten().map(|function| (function.name, Arc::new(udf(function))));
    Arc::new(Operators { functions: functions.collect() })
}

#[derive(Debug)]
struct Operators {
    functions: HashMap<&'static str, Arc<ScalarUDF>>,
}

/// What kind of value an operand is, as far as operators depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interval,
    Number,
    Date,
    Time,
    Timestamp,
    List,
    Json,
    Text,
    Null,
    Other,
}

fn kind(expr: &Expr, schema: &DFSchema) -> Kind {
    let Ok((_, field)) = expr.to_field(schema) else { return Kind::Other };
    match field.data_type() {
        _ if types::is_json(&field) => Kind::Json,
        DataType::Interval(_) | DataType::Duration(_) => Kind::Interval,
        DataType::Date32 => Kind::Date,
        DataType::Time64(_) | DataType::Time32(_) => Kind::Time,
        DataType::Timestamp(_, None) => Kind::Timestamp,
        DataType::List(_) | DataType::LargeList(_) => Kind::List,
        DataType::Null => Kind::Null,
        text if text.is_string() => Kind::Text,
        number if number.is_numeric() => Kind::Number,
        _ => Kind::Other,
    }
}

impl Operators {
    fn call(&self, name: &str, arguments: Vec<Expr>) -> Result<Expr> {
        let function = self.functions.get(name).ok_or_else(|| {
            DataFusionError::Internal(format!("an operator is planned as {name}, which is not there"))
        })?;
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), arguments)))
    }

    fn planned(&self, name: &str, arguments: Vec<Expr>) -> Result<PlannerResult<RawBinaryExpr>> {
        Ok(PlannerResult::Planned(self.call(name, arguments)?))
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as Op;
        let (left, right) = (kind(&expr.left, schema), kind(&expr.right, schema));
        let RawBinaryExpr { op, left: first, right: second } = expr.clone();
        let factor = |kind: Kind| matches!(kind, Kind::Number | Kind::Null | Kind::Text);
        match (&op, left, right) {
            (Op::Multiply, Kind::Interval, other) if factor(other) => {
                self.planned("interval_multiply", vec![first, second])
            }
            (Op::Multiply, other, Kind::Interval) if factor(other) => {
                self.planned("interval_multiply", vec![second, first])
            }
            (Op::Divide, Kind::Interval, other) if factor(other) => {
                self.planned("interval_divide", vec![first, second])
            }
            (Op::Plus, Kind::Time, Kind::Interval) => self.planned("time_plus", vec![first, second]),
            (Op::Plus, Kind::Interval, Kind::Time) => self.planned("time_plus", vec![second, first]),
            (Op::Minus, Kind::Time, Kind::Interval) => {
                let negated = self.call("interval_multiply", vec![second, lit(-1.0)])?;
                self.planned("time_plus", vec![first, negated])
            }
            (Op::Plus, Kind::Date, Kind::Time) => self.planned("date_plus_time", vec![first, second]),
            (Op::Plus, Kind::Time, Kind::Date) => self.planned("date_plus_time", vec![second, first]),
            (Op::Minus, Kind::Timestamp, Kind::Date) | (Op::Minus, Kind::Date, Kind::Timestamp) => {
                self.planned("moments_between", vec![first, second])
            }
            (
                Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq,
                Kind::Interval,
                Kind::Interval | Kind::Text,
            )
            | (Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq, Kind::Text, Kind::Interval) => {
                let left = self.call("interval_length", vec![first])?;
                let right = self.call("interval_length", vec![second])?;
                Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
            }
            (Op::PGOverlap, Kind::List, _) | (Op::PGOverlap, _, Kind::List) => {
                self.planned(lists::OVERLAP, vec![first, second])
            }
            // Nothing is not an element.
            (Op::StringConcat, Kind::List, Kind::Null) => Ok(PlannerResult::Planned(first)),
            (Op::StringConcat, Kind::Null, Kind::List) => Ok(PlannerResult::Planned(second)),
            (Op::PGStartsWith, ..) => Ok(PlannerResult::Planned(
                datafusion::functions::string::starts_with().call(vec![first, second]),
            )),
            (_, Kind::Json, _) => self.of_json(expr, right),
            // Columns of tables hold JSON as plain text, and these operators are there for nothing else.
            (
                Op::Question
                | Op::QuestionPipe
                | Op::QuestionAnd
                | Op::HashMinus
                | Op::Arrow
                | Op::LongArrow
                | Op::HashArrow
                | Op::HashLongArrow,
                Kind::Text,
                _,
            ) => self.of_json(expr, right),
            (Op::Minus, Kind::Text, _) if is_column(&first) => self.of_json(expr, right),
            (Op::StringConcat, Kind::Text, Kind::Json) if is_column(&first) => self.of_json(expr, right),
            _ => Ok(PlannerResult::Original(expr)),
        }
    }
}

impl Operators {
    fn of_json(&self, expr: RawBinaryExpr, right: Kind) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as Op;
        let name = match (&expr.op, right) {
            (Op::Question, _) => json_edit::EXISTS,
            (Op::QuestionPipe, _) => json_edit::EXISTS_ANY,
            (Op::QuestionAnd, _) => json_edit::EXISTS_ALL,
            (Op::HashMinus, _) => json_edit::DELETE_PATH,
            (Op::Minus, Kind::Number | Kind::Text | Kind::List) => json_edit::DELETE,
            (Op::StringConcat, Kind::Json) => json_edit::CONCAT,
            (Op::StringConcat, Kind::Text) if is_column(&expr.right) => json_edit::CONCAT,
            (Op::HashArrow, _) => json_edit::PART,
            (Op::HashLongArrow, _) => json_edit::PART_TEXT,
            // A place from the end.
            (Op::Arrow | Op::LongArrow, _) => {
                let Some(place) = negative_place(&expr.right) else {
                    return Ok(PlannerResult::Original(expr));
                };
                let path = lit(format!("{{{place}}}"));
                let name = if expr.op == Op::Arrow { json_edit::PART } else { json_edit::PART_TEXT };
                return self.planned(name, vec![expr.left, path]);
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        self.planned(name, vec![expr.left, expr.right])
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_) | Expr::OuterReferenceColumn(..))
}

fn negative_place(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(place)), _) if *place < 0 => Some(*place),
        Expr::Negative(inner) => match inner.as_ref() {
            Expr::Literal(ScalarValue::Int64(Some(place)), _) => Some(-place),
            _ => None,
        },
        _ => None,
    }
}
