//! A text literal that is compared with a boolean or with an array is one: `flag = 't'`, `list = '{1,2}'`; and beside a
//! number in arithmetic it is a number: `n + '1'`.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::Error;
use crate::sqlstate::SqlState;
use crate::system::array_elements;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry.register_expr_planner(Arc::new(LiteralComparisons))
}

#[derive(Debug)]
struct LiteralComparisons;

impl ExprPlanner for LiteralComparisons {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, mut left, mut right } = expr;
        if matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq) {
            right = as_compared(right, &left, schema)?;
            left = as_compared(left, &right, schema)?;
        }
        if is_arithmetic(&op) {
            right = as_number(right, &left, schema);
            left = as_number(left, &right, schema);
        }
        if is_comparison(&op) {
            left = without_negative_zero(left, schema);
            right = without_negative_zero(right, schema);
        }
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// A text literal as what it is compared with; everything else as it is.
fn as_compared(literal: Expr, other: &Expr, schema: &DFSchema) -> Result<Expr> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) = &literal else {
        return Ok(literal);
    };
    let value = match other.get_type(schema) {
        Ok(DataType::Boolean) => boolean(text).map(lit),
        Ok(list @ DataType::List(_)) => array_elements(text).map(|elements| {
            let list_of_text = SingleRowListArrayBuilder::new(Arc::new(StringArray::from(elements)));
            cast(lit(list_of_text.build_list_scalar()), list)
        }),
        _ => return Ok(literal),
    };
    value.ok_or_else(|| {
        let message = format!("\"{text}\" is not a value of the type that it is compared with");
        DataFusionError::External(Box::new(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)))
    })
}

fn is_comparison(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// What is computed may be the negative zero, which the engine takes for less than zero. Columns are left alone, so that
/// files can be chosen by them.
fn without_negative_zero(value: Expr, schema: &DFSchema) -> Expr {
    let computed = !matches!(value, Expr::Column(_) | Expr::Literal(..) | Expr::Cast(_));
    match computed.then(|| value.get_type(schema)) {
        Some(Ok(DataType::Float64)) => value + lit(0.0_f64),
        _ => value,
    }
}

fn is_arithmetic(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(operator, Plus | Minus | Multiply | Divide | Modulo)
}

/// A text literal beside a number is a number of the same type.
fn as_number(literal: Expr, other: &Expr, schema: &DFSchema) -> Expr {
    let is_text =
        matches!(&literal, Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)), _));
    match other.get_type(schema) {
        Ok(data_type) if is_text && data_type.is_numeric() => cast(literal, data_type),
        _ => literal,
    }
}

/// By PostgreSQL's spellings.
fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}
