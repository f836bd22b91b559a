//! Dividing numerics: at least sixteen digits after the point where there is room for them, the last one rounded away from
//! zero, as PostgreSQL's `select_div_scale` comes to for quotients of up to four digits. The engine's own division keeps
//! four digits more than the dividend has, and cuts the rest off. `avg` of numerics and of whole numbers is such a
//! quotient too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, Decimal128Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, DecimalType, i256};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// Digits after the point that a quotient has if there is room.
const DIGITS_WANTED: i8 = 16;
/// So many more than the dividend has, if there is no room for those.
const DIGITS_MORE: i8 = 4;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry.register_expr_planner(Arc::new(NumericDivision(Arc::new(Quotient::function()))))
}

/// Plans `/` between numerics, and between one and a whole number.
#[derive(Debug)]
struct NumericDivision(Arc<ScalarUDF>);

impl ExprPlanner for NumericDivision {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let types = (expr.left.get_type(schema), expr.right.get_type(schema));
        let (BinaryOperator::Divide, (Ok(left), Ok(right))) = (&expr.op, types) else {
            return Ok(PlannerResult::Original(expr));
        };
        let numeric = |data_type: &DataType| matches!(data_type, DataType::Decimal128(..));
        let exact = |data_type: &DataType| numeric(data_type) || data_type.is_integer();
        if !(exact(&left) && exact(&right) && (numeric(&left) || numeric(&right))) {
            return Ok(PlannerResult::Original(expr));
        }
        Ok(PlannerResult::Planned(self.0.call(vec![expr.left, expr.right])))
    }
}

/// The quotient of two numerics.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Quotient {
    signature: Signature,
}

impl Quotient {
    fn function() -> ScalarUDF {
        ScalarUDF::new_from_impl(Quotient { signature: Signature::user_defined(Volatility::Immutable) })
    }
}

/// A whole number as a numeric that holds every one of its type.
fn as_numeric(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::UInt8 => DataType::Decimal128(3, 0),
        DataType::Int16 | DataType::UInt16 => DataType::Decimal128(5, 0),
        DataType::Int32 | DataType::UInt32 => DataType::Decimal128(10, 0),
        DataType::Int64 => DataType::Decimal128(19, 0),
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Null => DataType::Decimal128(1, 0),
        other => other.clone(),
    }
}

/// The type of a quotient.
pub(super) fn quotient_type(dividend: (u8, i8), divisor: (u8, i8)) -> DataType {
    let most = DECIMAL128_MAX_PRECISION.cast_signed();
    let whole = (dividend.0.cast_signed() - dividend.1).saturating_add(divisor.1).clamp(1, most);
    let room = most - whole;
    let more = dividend.1.saturating_add(DIGITS_MORE);
    let scale = [room.min(DIGITS_WANTED), more.min(DIGITS_WANTED), dividend.1, divisor.1];
    let scale = scale.into_iter().max().unwrap_or(DIGITS_WANTED).min(most);
    DataType::Decimal128(whole.saturating_add(scale).min(most).cast_unsigned(), scale)
}

fn decimal(data_type: &DataType) -> Result<(u8, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) => Ok((*precision, *scale)),
        other => Err(DataFusionError::Internal(format!("{other} is no numeric"))),
    }
}

impl ScalarUDFImpl for Quotient {
    fn name(&self) -> &str {
        "numeric_divide"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.iter().map(as_numeric).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [dividend, divisor] = types else {
            return Err(DataFusionError::Internal("a quotient has two operands".to_owned()));
        };
        Ok(quotient_type(decimal(&as_numeric(dividend))?, decimal(&as_numeric(divisor))?))
    }

    /// Plans and columns show the operator.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} / {}", left.schema_name(), right.schema_name())),
            _ => Ok(self.name().to_owned()),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalars = call.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let operands = ColumnarValue::values_to_arrays(&call.args)?;
        let [dividends, divisors] = operands.as_slice() else {
            return Err(DataFusionError::Internal("a quotient has two operands".to_owned()));
        };
        let quotients = divide(dividends, divisors, call.return_field.data_type())?;
        if scalars {
            return datafusion::common::ScalarValue::try_from_array(&quotients, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(quotients))
    }
}

fn divide(dividends: &ArrayRef, divisors: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = decimal(data_type)?;
    let (from, by) = (decimal(dividends.data_type())?.1, decimal(divisors.data_type())?.1);
    let shift = u32::try_from(scale - from + by)
        .map_err(|_| DataFusionError::Internal("a quotient has fewer digits than its operands".to_owned()))?;
    let factor = i256::from_i128(10).pow_checked(shift).map_err(|_| overflow())?;
    let (dividends, divisors) =
        (dividends.as_primitive::<Decimal128Type>(), divisors.as_primitive::<Decimal128Type>());
    let quotient = |(dividend, divisor): (Option<i128>, Option<i128>)| {
        let (Some(dividend), Some(divisor)) = (dividend, divisor) else { return Ok(None) };
        rounded_quotient(dividend, factor, divisor, precision, scale).map(Some)
    };
    let quotients = dividends.iter().zip(divisors).map(quotient).collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(quotients.with_precision_and_scale(precision, scale)?))
}

/// `dividend * factor / divisor`, rounded to the nearest, of two the one away from zero.
pub(super) fn rounded_quotient(
    dividend: i128,
    factor: i256,
    divisor: i128,
    precision: u8,
    scale: i8,
) -> Result<i128> {
    if divisor == 0 {
        let error = Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
            .with_hint("Use nullif(divisor, 0) to get NULL instead.");
        return Err(DataFusionError::External(Box::new(error)));
    }
    let narrow = factor.to_i128().and_then(|factor| dividend.checked_mul(factor));
    let quotient = match narrow {
        Some(shifted) => {
            // The one quotient that does not fit has no room for digits either.
            let (whole, rest) = (shifted.checked_div(divisor), shifted.checked_rem(divisor));
            let (Some(whole), Some(rest)) = (whole, rest) else { return Err(overflow()) };
            let up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
            let away = if (shifted < 0) == (divisor < 0) { 1 } else { -1 };
            Some(if up && rest != 0 { whole + away } else { whole })
        }
        None => wide_quotient(i256::from_i128(dividend), factor, i256::from_i128(divisor)),
    };
    let quotient = quotient.ok_or_else(overflow)?;
    Decimal128Type::validate_decimal_precision(quotient, precision, scale).map_err(|_| overflow())?;
    Ok(quotient)
}

fn wide_quotient(dividend: i256, factor: i256, divisor: i256) -> Option<i128> {
    let shifted = dividend.checked_mul(factor)?;
    let (whole, rest) = (shifted.checked_div(divisor)?, shifted.checked_rem(divisor)?);
    let (rest, size) = (rest.wrapping_abs(), divisor.wrapping_abs());
    let up = rest != i256::ZERO && rest >= size.wrapping_sub(rest);
    let away = if shifted.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    (if up { whole.checked_add(away)? } else { whole }).to_i128()
}

fn overflow() -> DataFusionError {
    let error = Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
        .with_detail("The quotient and the digits after its point are more than 38 digits.")
        .with_hint("Cast the operands to numerics of fewer digits, or to double precision.");
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_has_sixteen_digits_where_there_is_room() {
        let check = |dividend, divisor, expect| {
            assert_eq!(quotient_type(dividend, divisor), expect, "{dividend:?} by {divisor:?}");
        };
        check((2, 1), (10, 0), DataType::Decimal128(17, 16));
        check((15, 2), (15, 2), DataType::Decimal128(31, 16));
        check((25, 2), (19, 0), DataType::Decimal128(38, 15));
        check((38, 9), (38, 9), DataType::Decimal128(38, 13));
        check((38, 20), (38, 0), DataType::Decimal128(38, 20));
        check((10, 2), (30, 20), DataType::Decimal128(38, 20));
    }

    #[test]
    fn the_last_digit_is_rounded_away_from_zero() {
        let check = |dividend: i128, shift: u32, divisor: i128, expect: Option<i128>| {
            let factor = i256::from_i128(10).wrapping_pow(shift);
            let quotient = rounded_quotient(dividend, factor, divisor, 38, 0).ok();
            assert_eq!(quotient, expect, "{dividend}e{shift} / {divisor}");
        };
        check(1, 4, 3, Some(3333));
        check(2, 4, 3, Some(6667));
        check(-2, 4, 3, Some(-6667));
        check(2, 4, -3, Some(-6667));
        check(1, 0, 2, Some(1));
        check(-1, 0, 2, Some(-1));
        check(1, 0, -2, Some(-1));
        check(9, 0, 3, Some(3));
        check(0, 30, 7, Some(0));
        check(5, 0, i128::MIN, Some(0));
        // More than 128 bits on the way.
        check(10i128.pow(37), 20, 10i128.pow(20), Some(10i128.pow(37)));
        check(
            -2 * 10i128.pow(37),
            20,
            3 * 10i128.pow(20),
            Some(-6_666_666_666_666_666_666_666_666_666_666_666_667),
        );
        check(10i128.pow(37), 20, 1, None);
        check(1, 4, 0, None);
    }
}
