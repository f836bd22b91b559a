//! `generate_series` as a list, of whole numbers, numerics and times, and `width_bucket`. A series of whole numbers is
//! the engine's.

use arrow::datatypes::{DataType, FieldRef};
use chrono::{Datelike, Days, Months};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::datum::Datum;
use super::moments::{moment, span_of};
use super::overload::Type::{
    Bigint, ElementOf, Float, Int, Interval, List, ListOf, Numeric, Numerics, Timestamp, Timestamptz,
};
use super::overload::{Call, Function, Overload};
use super::span::{DAY, Span};
use super::{decimal, fault, moment_input};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

const SERIES: &str = "generate_series";
/// The most rows of a series that is made as a list.
const ELEMENTS_MAX: usize = 10_000_000;

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        SERIES,
        &[
            Overload::new(&[Bigint, Bigint], ListOf(0), |_, v| whole(v[0].as_int(), v[1].as_int(), 1)),
            Overload::new(&[Bigint, Bigint, Bigint], ListOf(0), |_, v| {
                whole(v[0].as_int(), v[1].as_int(), v[2].as_int())
            }),
            Overload::new(&[Numeric, Numeric], Numerics, numerics).scaled(widest),
            Overload::new(&[Numeric, Numeric, Numeric], Numerics, numerics).scaled(widest),
            Overload::new(&[Timestamp, Timestamp, Interval], ListOf(0), |_, v| {
                moments(v, plus, Datum::Moment)
            }),
            Overload::new(&[Timestamptz, Timestamptz, Interval], ListOf(0), |call, v| {
                let next = |micros, step| {
                    let local = plus_days(moment_input::to_local(micros, call.zone)?, step)?;
                    Ok(moment_input::to_utc(local, call.zone)? + step.micros)
                };
                moments(v, next, Datum::Instant)
            }),
        ],
    )
    .of_zone(),
    Function::new(
        "width_bucket",
        &[
            Overload::new(&[Float, Float, Float, Int], Int, float_bucket),
            Overload::new(&[Numeric, Numeric, Numeric, Int], Int, numeric_bucket),
            Overload::new(&[ElementOf(1), List], Int, list_bucket),
        ],
    ),
];

fn too_many() -> Error {
    let message = format!("a series of more than {ELEMENTS_MAX} values");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("Make it of whole numbers, in the FROM clause.")
}

fn zero_step() -> Error {
    fault::parameter("step size cannot equal zero")
}

fn whole<'a>(start: i64, stop: i64, step: i64) -> Result<Datum<'a>> {
    if step == 0 {
        return Err(zero_step());
    }
    let (mut values, mut next) = (Vec::new(), Some(start));
    while let Some(value) = next.filter(|value| if step > 0 { *value <= stop } else { *value >= stop }) {
        if values.len() == ELEMENTS_MAX {
            return Err(too_many());
        }
        values.push(Datum::Int(value));
        next = value.checked_add(step);
    }
    Ok(Datum::List(values))
}

/// As many digits after the point as the one that has most.
fn widest(fields: &[FieldRef], _: &[Option<&ScalarValue>]) -> (u8, i8) {
    let scale = |field: &FieldRef| match field.data_type() {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    };
    (38, fields.iter().map(scale).max().unwrap_or(0))
}

fn number(datum: &Datum) -> (i128, i8) {
    match datum {
        Datum::Numeric(value, scale) => (*value, *scale),
        other => (other.as_int().into(), 0),
    }
}

fn at_scale(datum: &Datum, scale: i8) -> Result<i128> {
    let (value, from) = number(datum);
    decimal::rescale(value, from, scale).ok_or_else(|| fault::out_of_range("numeric"))
}

fn numerics<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let scale = values.iter().map(|value| number(value).1).max().unwrap_or(0);
    let (mut next, stop) = (at_scale(&values[0], scale)?, at_scale(&values[1], scale)?);
    let step = values
        .get(2)
        .map_or(Ok(decimal::power_of_ten(scale.unsigned_abs().into()).unwrap_or(1)), |step| {
            at_scale(step, scale)
        })?;
    if step == 0 {
        return Err(zero_step());
    }
    let mut series = Vec::new();
    while if step > 0 { next <= stop } else { next >= stop } {
        if series.len() == ELEMENTS_MAX {
            return Err(too_many());
        }
        series.push(Datum::Numeric(next, scale));
        next = next.checked_add(step).ok_or_else(|| fault::out_of_range("numeric"))?;
    }
    Ok(Datum::List(series))
}

fn moments<'a>(
    values: &[Datum<'a>],
    following: impl Fn(i64, Span) -> Result<i64>,
    datum: fn(i64) -> Datum<'a>,
) -> Result<Datum<'a>> {
    let (mut next, stop, step) = (moment(&values[0]), moment(&values[1]), span_of(&values[2]));
    if step.length() == 0 {
        return Err(zero_step());
    }
    let forward = step.length() > 0;
    let mut series = Vec::new();
    while if forward { next <= stop } else { next >= stop } {
        if series.len() == ELEMENTS_MAX {
            return Err(too_many());
        }
        series.push(datum(next));
        next = following(next, step)?;
    }
    Ok(Datum::List(series))
}

fn plus(micros: i64, span: Span) -> Result<i64> {
    let days = plus_days(micros, span)?;
    days.checked_add(span.micros).ok_or_else(|| fault::overflow("timestamp out of range"))
}

/// Months and days are added on the calendar: a month after January 31 is the last day of February.
fn plus_days(micros: i64, span: Span) -> Result<i64> {
    let out_of_range = || fault::overflow("timestamp out of range");
    let date = moment_input::naive(micros)?.date();
    let months = Months::new(span.months.unsigned_abs());
    let date =
        if span.months < 0 { date.checked_sub_months(months) } else { date.checked_add_months(months) };
    let days = Days::new(span.days.unsigned_abs().into());
    let date = date.and_then(|date| match span.days < 0 {
        true => date.checked_sub_days(days),
        false => date.checked_add_days(days),
    });
    let date = date.ok_or_else(out_of_range)?;
    Ok(i64::from(date.num_days_from_ce() - 719_163) * DAY + micros.rem_euclid(DAY))
}

fn bucket_error(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message)
}

fn bucket_count(datum: &Datum) -> Result<i64> {
    let count = datum.as_int();
    if count > 0 { Ok(count) } else { Err(bucket_error("count must be greater than zero")) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a bucket's number is at most the count"
)]
fn float_bucket<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let [operand, low, high] = [0, 1, 2].map(|place| values[place].as_float());
    let count = bucket_count(&values[3])?;
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return Err(bucket_error("operand, lower bound, and upper bound cannot be NaN"));
    }
    if !low.is_finite() || !high.is_finite() {
        return Err(bucket_error("lower and upper bounds must be finite"));
    }
    let (distance, range) =
        if low < high { (operand - low, high - low) } else { (low - operand, low - high) };
    if range == 0.0 {
        return Err(bucket_error("lower bound cannot equal upper bound"));
    }
    Ok(Datum::Int(match distance {
        below if below < 0.0 => 0,
        above if above >= range => count + 1,
        within => ((within / range * count as f64) as i64).min(count - 1) + 1,
    }))
}

fn numeric_bucket<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let scale = values[..3].iter().map(|value| number(value).1).max().unwrap_or(0);
    let [operand, low, high] = [0, 1, 2].map(|place| at_scale(&values[place], scale));
    let (operand, low, high) = (operand?, low?, high?);
    let count = bucket_count(&values[3])?;
    let (distance, range) =
        if low < high { (operand - low, high - low) } else { (low - operand, low - high) };
    if range == 0 {
        return Err(bucket_error("lower bound cannot equal upper bound"));
    }
    if distance < 0 {
        return Ok(Datum::Int(0));
    }
    if distance >= range {
        return Ok(Datum::Int(count + 1));
    }
    let product = distance.checked_mul(count.into()).ok_or_else(|| fault::out_of_range("numeric"))?;
    Ok(Datum::Int(i64::try_from(product / range).unwrap_or(count - 1) + 1))
}

/// How many of the thresholds, which ascend, are not above the value.
fn list_bucket<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let thresholds = values[1].elements();
    if thresholds.iter().any(Datum::is_null) {
        return Err(fault::null_value("thresholds array must not contain NULLs"));
    }
    let reached = thresholds.iter().take_while(|threshold| !is_below(&values[0], threshold)).count();
    Ok(reached.into())
}

fn is_below(left: &Datum, right: &Datum) -> bool {
    match (left, right) {
        (Datum::Text(left), Datum::Text(right)) => left < right,
        (Datum::Date(left), Datum::Date(right)) => left < right,
        (Datum::Float(_) | Datum::Real(_), _) | (_, Datum::Float(_) | Datum::Real(_)) => {
            as_float(left) < as_float(right)
        }
        (Datum::Int(_) | Datum::Numeric(..), Datum::Int(_) | Datum::Numeric(..)) => {
            let scale = number(left).1.max(number(right).1);
            matches!((at_scale(left, scale), at_scale(right, scale)), (Ok(left), Ok(right)) if left < right)
        }
        (Datum::Span(left), Datum::Span(right)) => left.length() < right.length(),
        _ => moment(left) < moment(right),
    }
}

fn as_float(datum: &Datum) -> f64 {
    match datum {
        Datum::Int(_) | Datum::Numeric(..) => {
            let (value, scale) = number(datum);
            decimal::shown(value, scale).parse().unwrap_or(f64::NAN)
        }
        other => other.as_float(),
    }
}

/// Leaves series of whole numbers to the engine.
#[derive(Debug)]
pub struct WholeSeries;

impl FunctionRewrite for WholeSeries {
    fn name(&self) -> &str {
        "whole_series"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> EngineResult<Transformed<Expr>> {
        let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
        if call.func.name() != SERIES || !call.func.inner().is::<super::overload::Overloaded>() {
            return Ok(Transformed::no(expr));
        }
        for argument in &call.args {
            if !argument.get_type(schema)?.is_integer() {
                return Ok(Transformed::no(expr));
            }
        }
        let arguments = call
            .args
            .iter()
            .map(|argument| datafusion::logical_expr::cast(argument.clone(), DataType::Int64));
        let engine = datafusion::functions_nested::range::gen_series_udf();
        Ok(Transformed::yes(engine.call(arguments.collect())))
    }
}
