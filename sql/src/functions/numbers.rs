//! Arithmetic that gives another result in PostgreSQL than in the engine: a cast to an integer rounds instead of
//! cutting off, `round` of a float goes to the even neighbour, and a date with an interval of hours is a timestamp.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::functions::math::round;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    cast, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry.register_expr_planner(Arc::new(DatesAndIntervals))?;
    registry.register_function_rewrite(Arc::new(Rounding))
}

/// Rounds where PostgreSQL rounds.
#[derive(Debug)]
struct Rounding;

impl FunctionRewrite for Rounding {
    fn name(&self) -> &str {
        "rounding"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Cast(Cast { expr, field }) if is_untidy(&expr) && field.data_type().is_numeric() => {
                Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(tidy(*expr)), field })))
            }
            Expr::Cast(Cast { expr, field }) if field.data_type().is_integer() => {
                let rounded = match expr.get_type(schema)? {
                    data_type if data_type.is_floating() => to_even(*expr),
                    data_type if data_type.is_decimal() => round().call(vec![*expr]),
                    _ => return Ok(Transformed::no(Expr::Cast(Cast { expr, field }))),
                };
                Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(rounded), field })))
            }
            // The engine tells the digits of a result from a literal of 32 bits, and from any other value none. Were it
            // made one only later, the type would change under what was planned with it.
            Expr::ScalarFunction(mut call) if call.func.name() == "round" && call.args.len() == 2 => {
                let Some(digits) = literal_digits(&call.args[1]) else {
                    return Ok(Transformed::no(Expr::ScalarFunction(call)));
                };
                call.args[1] = lit(digits);
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            Expr::ScalarFunction(mut call) if call.func.name() == "round" && call.args.len() == 1 => {
                match call.args[0].get_type(schema)?.is_floating() {
                    true => Ok(Transformed::yes(to_even(call.args.remove(0)))),
                    false => Ok(Transformed::no(Expr::ScalarFunction(call))),
                }
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Whether a text literal has spaces around it, which PostgreSQL does not mind around a number, or nothing in it, which the
/// engine takes for the number zero.
fn is_untidy(literal: &Expr) -> bool {
    text_of(literal).is_some_and(|text| text.trim().len() < text.len() || text.is_empty())
}

fn text_of(literal: &Expr) -> Option<&str> {
    match literal {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// The literal without spaces; an empty one as something that is no number either.
fn tidy(literal: Expr) -> Expr {
    match text_of(&literal).map(str::trim) {
        Some("") => lit("\"\""),
        Some(text) => lit(text.to_owned()),
        None => literal,
    }
}

/// A whole number that is written out, with or without a sign.
fn literal_digits(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(digits)), _) => i32::try_from(*digits).ok(),
        Expr::Literal(ScalarValue::Int32(Some(digits)), _) => Some(*digits),
        Expr::Negative(digits) => literal_digits(digits)?.checked_neg(),
        Expr::Cast(cast) => literal_digits(&cast.expr),
        _ => None,
    }
}

fn to_even(expr: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(RoundToEven::default()));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![cast(expr, DataType::Float64)]))
}

/// The nearest whole number, of two the even one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RoundToEven {
    signature: Signature,
}

impl Default for RoundToEven {
    fn default() -> RoundToEven {
        RoundToEven { signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RoundToEven {
    fn name(&self) -> &str {
        "round_to_even"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &call.args[0] {
            ColumnarValue::Scalar(ScalarValue::Float64(value)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::Float64(value.map(f64::round_ties_even))))
            }
            value => {
                let array = value.to_array(call.number_rows)?;
                let rounded: Float64Array = array.as_primitive::<Float64Type>().unary(f64::round_ties_even);
                Ok(ColumnarValue::Array(Arc::new(rounded)))
            }
        }
    }
}

/// `date ± interval` is a timestamp. The engine keeps the date, which is right for whole days and lets files be pruned
/// by it; for anything else the date is made a timestamp first.
#[derive(Debug)]
struct DatesAndIntervals;

impl ExprPlanner for DatesAndIntervals {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, mut left, mut right } = expr;
        if matches!(op, BinaryOperator::Plus | BinaryOperator::Minus) {
            if is_date(&left, schema) && is_interval(&right, schema) && !is_whole_days(&right) {
                left = cast(left, DataType::Timestamp(TimeUnit::Microsecond, None));
            } else if is_interval(&left, schema) && is_date(&right, schema) && !is_whole_days(&left) {
                right = cast(right, DataType::Timestamp(TimeUnit::Microsecond, None));
            }
        }
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

fn is_date(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type == DataType::Date32)
}

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| matches!(data_type, DataType::Interval(_)))
}

fn is_whole_days(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) => value.nanoseconds == 0,
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => true,
        _ => false,
    }
}
