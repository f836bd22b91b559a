//! Functions of numbers that answer otherwise in PostgreSQL than in the engine, or are not there: errors where the engine
//! gives NaN or infinity, numerics that stay numerics, and angles in degrees.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;

use super::datum::Datum;
use super::overload::Type::{Bigint, Float, Int, Numeric};
use super::overload::{Call, Function, Overload};
use super::{decimal, fault};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

macro_rules! float_function {
    ($name:literal, $run:expr) => {
        Function::new(
            $name,
            &[Overload::new(&[Float], Float, |_, values| {
                let run: fn(f64) -> Result<f64> = $run;
                Ok(Datum::Float(run(values[0].as_float())?))
            })],
        )
    };
}

pub const FUNCTIONS: &[Function] = &[
    float_function!("sqrt", |x| match x < 0.0 {
        true => Err(power_error("cannot take square root of a negative number")),
        false => Ok(x.sqrt()),
    }),
    float_function!("ln", |x| positive(x).map(f64::ln)),
    float_function!("log10", |x| positive(x).map(f64::log10)),
    Function::new(
        "log",
        &[
            Overload::new(&[Float], Float, |_, v| Ok(Datum::Float(positive(v[0].as_float())?.log10()))),
            Overload::new(&[Float, Float], Float, |_, v| {
                let (base, value) = (positive(v[0].as_float())?, positive(v[1].as_float())?);
                if base == 1.0 {
                    return Err(fault::division_by_zero());
                }
                Ok(Datum::Float(logarithm(base, value)))
            }),
        ],
    ),
    Function::new(
        "power",
        &[Overload::new(&[Float, Float], Float, |_, v| power(v[0].as_float(), v[1].as_float()))],
    ),
    Function::new(
        "pow",
        &[Overload::new(&[Float, Float], Float, |_, v| power(v[0].as_float(), v[1].as_float()))],
    ),
    float_function!("asin", |x| within_one(x).map(f64::asin)),
    float_function!("acos", |x| within_one(x).map(f64::acos)),
    float_function!("acosh", |x| if x < 1.0 { Err(input_out_of_range()) } else { Ok(x.acosh()) }),
    float_function!("atanh", |x| within_one(x).map(f64::atanh)),
    Function::new(
        "atan2",
        &[Overload::new(&[Float, Float], Float, |_, v| {
            Ok(Datum::Float(v[0].as_float().atan2(v[1].as_float())))
        })],
    ),
    float_function!("sind", |x| Ok(sin_degrees(x))),
    float_function!("cosd", |x| Ok(sin_degrees(90.0 - x.abs() % 360.0))),
    float_function!("tand", |x| Ok(tan_degrees(x))),
    float_function!("cotd", |x| Ok(1.0 / tan_degrees(x))),
    float_function!("asind", |x| within_one(x).map(|x| if x == 0.5 {
        30.0
    } else if x == -0.5 {
        -30.0
    } else {
        x.asin().to_degrees()
    })),
    float_function!("acosd", |x| within_one(x).map(|x| if x == 0.5 {
        60.0
    } else if x == -0.5 {
        120.0
    } else {
        x.acos().to_degrees()
    })),
    float_function!("atand", |x| Ok(x.atan().to_degrees())),
    Function::new(
        "atan2d",
        &[Overload::new(&[Float, Float], Float, |_, v| {
            Ok(Datum::Float(v[0].as_float().atan2(v[1].as_float()).to_degrees()))
        })],
    ),
    Function::new(
        "sign",
        &[
            Overload::new(&[Bigint], Float, |_, v| {
                Ok(Datum::Float(super::span::micros_as_float(v[0].as_int().signum())))
            }),
            Overload::new(&[Numeric], Numeric, |_, v| Ok(Datum::Numeric(number(&v[0]).0.signum(), 0)))
                .scaled(|_, _| (1, 0)),
            Overload::new(&[Float], Float, |_, v| {
                Ok(Datum::Float(match v[0].as_float() {
                    0.0 => 0.0,
                    other => other.signum(),
                }))
            }),
        ],
    ),
    Function::new(
        "ceil",
        &[
            Overload::new(&[Bigint], Float, |_, v| {
                Ok(Datum::Float(super::span::micros_as_float(v[0].as_int())))
            }),
            Overload::new(&[Numeric], Numeric, |_, v| whole(&v[0], 1)).scaled(whole_digits),
            Overload::new(&[Float], Float, |_, v| Ok(Datum::Float(v[0].as_float().ceil()))),
        ],
    ),
    Function::new(
        "floor",
        &[
            Overload::new(&[Bigint], Float, |_, v| {
                Ok(Datum::Float(super::span::micros_as_float(v[0].as_int())))
            }),
            Overload::new(&[Numeric], Numeric, |_, v| whole(&v[0], -1)).scaled(whole_digits),
            Overload::new(&[Float], Float, |_, v| Ok(Datum::Float(v[0].as_float().floor()))),
        ],
    ),
    Function::new(
        "trunc",
        &[
            Overload::new(&[Bigint], Float, |_, v| {
                Ok(Datum::Float(super::span::micros_as_float(v[0].as_int())))
            }),
            Overload::new(&[Numeric], Numeric, |_, v| Ok(cut(&v[0], 0))).scaled(whole_digits),
            Overload::new(&[Float], Float, |_, v| Ok(Datum::Float(v[0].as_float().trunc()))),
            Overload::new(&[Numeric, Int], Numeric, |_, v| Ok(cut(&v[0], v[1].as_int()))).scaled(cut_digits),
        ],
    ),
    Function::new("div", &[Overload::new(&[Numeric, Numeric], Numeric, div).scaled(|_, _| (38, 0))]),
    Function::new(
        "scale",
        &[Overload::new(&[Numeric], Int, |_, v| Ok(Datum::Int(number(&v[0]).1.max(0).into())))],
    ),
    Function::new(
        "min_scale",
        &[Overload::new(&[Numeric], Int, |_, v| {
            let (value, scale) = number(&v[0]);
            Ok(Datum::Int(decimal::trimmed(value, scale).1.max(0).into()))
        })],
    ),
    Function::new("factorial", &[Overload::new(&[Bigint], Numeric, factorial).scaled(|_, _| (38, 0))]),
    Function::new(
        "gcd",
        &[
            Overload::new(&[Bigint, Bigint], Bigint, |_, v| whole_gcd(&v[0], &v[1])),
            Overload::new(&[Numeric, Numeric], Numeric, |_, v| common(v, false)).scaled(widest),
        ],
    ),
    Function::new(
        "lcm",
        &[
            Overload::new(&[Bigint, Bigint], Bigint, |_, v| whole_lcm(&v[0], &v[1])),
            Overload::new(&[Numeric, Numeric], Numeric, |_, v| common(v, true)).scaled(widest),
        ],
    ),
];

fn power_error(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

fn input_out_of_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn positive(x: f64) -> Result<f64> {
    let message = match x {
        0.0 => "cannot take logarithm of zero",
        negative if negative < 0.0 => "cannot take logarithm of a negative number",
        _ => return Ok(x),
    };
    Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, message))
}

fn within_one(x: f64) -> Result<f64> {
    if x.abs() > 1.0 { Err(input_out_of_range()) } else { Ok(x) }
}

/// Exact where the base is one that has a function of its own.
fn logarithm(base: f64, value: f64) -> f64 {
    if base == 10.0 {
        value.log10()
    } else if base == 2.0 {
        value.log2()
    } else {
        value.ln() / base.ln()
    }
}

fn power<'a>(base: f64, exponent: f64) -> Result<Datum<'a>> {
    if base == 0.0 && exponent < 0.0 {
        return Err(power_error("zero raised to a negative power is undefined"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(power_error("a negative number raised to a non-integer power yields a complex result"));
    }
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
    }
    Ok(Datum::Float(result))
}

/// Exact at multiples of 30 degrees.
fn sin_degrees(x: f64) -> f64 {
    let turned = x % 360.0;
    let (sign, turned) = if turned < 0.0 { (-1.0, -turned) } else { (1.0, turned) };
    let (sign, turned) = if turned > 180.0 { (-sign, 360.0 - turned) } else { (sign, turned) };
    let acute = if turned > 90.0 { 180.0 - turned } else { turned };
    let sine = match acute {
        0.0 => 0.0,
        30.0 => 0.5,
        90.0 => 1.0,
        other => other.to_radians().sin(),
    };
    sign * sine
}

fn tan_degrees(x: f64) -> f64 {
    match x % 180.0 {
        eighth if eighth == 45.0 || eighth == -135.0 => 1.0,
        eighth if eighth == -45.0 || eighth == 135.0 => -1.0,
        _ => sin_degrees(x) / sin_degrees(90.0 - x.abs() % 360.0),
    }
}

/// A numeric or whole number as digits and how many stand after the point.
fn number(datum: &Datum) -> (i128, i8) {
    match datum {
        Datum::Numeric(value, scale) => (*value, *scale),
        other => (other.as_int().into(), 0),
    }
}

/// Digits of a numeric or whole argument.
fn digits(fields: &[FieldRef]) -> (u8, i8) {
    match fields.first().map(|field| field.data_type()) {
        Some(DataType::Decimal128(precision, scale)) => (*precision, *scale),
        _ => (19, 0),
    }
}

fn whole_digits(fields: &[FieldRef], _: &[Option<&ScalarValue>]) -> (u8, i8) {
    let (precision, scale) = digits(fields);
    let whole = i16::from(precision) - i16::from(scale) + 1;
    (u8::try_from(whole.clamp(1, 38)).unwrap_or(38), 0)
}

fn cut_digits(fields: &[FieldRef], constants: &[Option<&ScalarValue>]) -> (u8, i8) {
    let (precision, scale) = digits(fields);
    let wanted = constants.get(1).copied().flatten().and_then(|wanted| match wanted {
        ScalarValue::Int64(wanted) => *wanted,
        _ => None,
    });
    let kept = wanted
        .map_or(scale, |wanted| i8::try_from(wanted.clamp(0, i64::from(scale.max(0)))).unwrap_or(scale));
    (precision, kept)
}

/// The number without the digits from that place after the point on; a negative place is before it.
fn cut<'a>(datum: &Datum, places: i64) -> Datum<'a> {
    let (value, scale) = number(datum);
    let gone = u32::try_from(i64::from(scale) - places).unwrap_or(0);
    match decimal::power_of_ten(gone) {
        Some(power) => Datum::Numeric(value / power * power, scale),
        None => Datum::Numeric(0, 0),
    }
}

/// The nearest whole number above (1) or below (-1).
fn whole<'a>(datum: &Datum, way: i128) -> Result<Datum<'a>> {
    let (value, scale) = number(datum);
    let power = decimal::power_of_ten(u32::try_from(scale.max(0)).unwrap_or(0))
        .ok_or_else(|| fault::out_of_range("numeric"))?;
    let below = value.div_euclid(power);
    let above = below + i128::from(value.rem_euclid(power) != 0);
    Ok(Datum::Numeric(if way > 0 { above } else { below }, 0))
}

fn aligned(values: &[Datum]) -> Result<(i128, i128, i8)> {
    let ((left, from), (right, to)) = (number(&values[0]), number(&values[1]));
    let scale = from.max(to);
    match (decimal::rescale(left, from, scale), decimal::rescale(right, to, scale)) {
        (Some(left), Some(right)) => Ok((left, right, scale)),
        _ => Err(fault::out_of_range("numeric")),
    }
}

fn div<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let (left, right, _) = aligned(values)?;
    match right {
        0 => Err(fault::division_by_zero()),
        right => Ok(Datum::Numeric(left / right, 0)),
    }
}

fn factorial<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let number = values[0].as_int();
    if number < 0 {
        let message = "factorial of a negative number is undefined";
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    let product = (2..=i128::from(number)).try_fold(1i128, i128::checked_mul);
    product.map(|product| Datum::Numeric(product, 0)).ok_or_else(|| fault::out_of_range("numeric"))
}

fn widest(fields: &[FieldRef], _: &[Option<&ScalarValue>]) -> (u8, i8) {
    let scale = |field: &FieldRef| match field.data_type() {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    };
    (38, fields.iter().map(scale).max().unwrap_or(0))
}

fn greatest_divisor(mut left: u128, mut right: u128) -> u128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

fn to_bigint<'a>(value: u128) -> Result<Datum<'a>> {
    i64::try_from(value).map(Datum::Int).map_err(|_| fault::out_of_range("bigint"))
}

fn least_multiple(left: u128, right: u128) -> Option<u128> {
    match greatest_divisor(left, right) {
        0 => Some(0),
        divisor => (left / divisor).checked_mul(right),
    }
}

fn whole_gcd<'a>(left: &Datum, right: &Datum) -> Result<Datum<'a>> {
    to_bigint(greatest_divisor(left.as_int().unsigned_abs().into(), right.as_int().unsigned_abs().into()))
}

fn whole_lcm<'a>(left: &Datum, right: &Datum) -> Result<Datum<'a>> {
    let multiple = least_multiple(left.as_int().unsigned_abs().into(), right.as_int().unsigned_abs().into());
    to_bigint(multiple.ok_or_else(|| fault::out_of_range("bigint"))?)
}

fn common<'a>(values: &[Datum<'a>], multiple: bool) -> Result<Datum<'a>> {
    let (left, right, scale) = aligned(values)?;
    let (left, right) = (left.unsigned_abs(), right.unsigned_abs());
    let found = if multiple { least_multiple(left, right) } else { Some(greatest_divisor(left, right)) };
    let found = found.and_then(|found| i128::try_from(found).ok());
    found.map(|found| Datum::Numeric(found, scale)).ok_or_else(|| fault::out_of_range("numeric"))
}
