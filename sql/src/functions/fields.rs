//! The parts of dates, times and intervals: `extract`, `date_part` and `date_trunc`. Where the engine has the same part,
//! it computes it, because it does so for whole columns and knows how to find rows by it; the rest is done here, value
//! by value. `extract` gives numerics and `date_part` floating-point numbers, as in PostgreSQL.

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use chrono::Datelike;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};

use super::datum::Datum;
use super::moments::{moment, span_of};
use super::overload::Type::{Date, Float, Interval, Numeric, Text, Time, Timestamp, Timestamptz};
use super::overload::{Call, Function, Overload};
use super::span::{DAY, HOUR, MINUTE, SECOND, Span};
use super::{decimal, fault, moment_input};
use crate::error::{Error, Result};

const EXTRACT: &str = "extract";
const DATE_PART: &str = "date_part";
const DATE_TRUNC: &str = "date_trunc";

/// Days from the first day of the Julian calendar to 1970-01-01.
const JULIAN_OF_EPOCH: i64 = 2_440_588;

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        EXTRACT,
        &[
            Overload::new(&[Text, Date], Numeric, extract).scaled(digits),
            Overload::new(&[Text, Time], Numeric, extract).scaled(digits),
            Overload::new(&[Text, Timestamp], Numeric, extract).scaled(digits),
            Overload::new(&[Text, Timestamptz], Numeric, extract).scaled(digits),
            Overload::new(&[Text, Interval], Numeric, extract).scaled(digits),
        ],
    )
    .of_zone(),
    Function::new(
        DATE_PART,
        &[
            Overload::new(&[Text, Date], Float, date_part),
            Overload::new(&[Text, Time], Float, date_part),
            Overload::new(&[Text, Timestamp], Float, date_part),
            Overload::new(&[Text, Timestamptz], Float, date_part),
            Overload::new(&[Text, Interval], Float, date_part),
        ],
    )
    .of_zone(),
    Function::new(
        DATE_TRUNC,
        &[
            Overload::new(&[Text, Date], Timestamp, |_, values| {
                Ok(Datum::Moment(truncated(
                    values[0].as_str(),
                    moment(&values[1]),
                    "timestamp without time zone",
                )?))
            }),
            Overload::new(&[Text, Timestamp], Timestamp, |_, values| {
                Ok(Datum::Moment(truncated(
                    values[0].as_str(),
                    moment(&values[1]),
                    "timestamp without time zone",
                )?))
            }),
            Overload::new(&[Text, Timestamptz], Timestamptz, |call, values| {
                truncated_in(values[0].as_str(), moment(&values[1]), call.zone)
            }),
            Overload::new(&[Text, Timestamptz, Text], Timestamptz, |_, values| {
                truncated_in(
                    values[0].as_str(),
                    moment(&values[1]),
                    super::moments::zone(values[2].as_str())?,
                )
            }),
            Overload::new(&[Text, Interval], Interval, |_, values| {
                Ok(Datum::Span(truncated_span(values[0].as_str(), span_of(&values[1]))?))
            }),
            Overload::new(&[Text, Time], Interval, |_, values| {
                let span = Span { micros: moment(&values[1]), ..Span::default() };
                Ok(Datum::Span(truncated_span(values[0].as_str(), span)?))
            }),
        ],
    )
    .of_zone(),
];

/// Whole parts that the engine has, of dates and of times without a zone.
const ENGINE_PARTS: [&str; 9] = ["year", "quarter", "month", "week", "day", "doy", "dow", "hour", "minute"];
const ENGINE_UNITS: [&str; 8] = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"];
/// Digits of such a part.
const PART_DIGITS: u8 = 10;

/// Hands what the engine can do to the engine.
#[derive(Debug)]
pub struct EngineParts;

impl FunctionRewrite for EngineParts {
    fn name(&self) -> &str {
        "engine_parts"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> EngineResult<Transformed<Expr>> {
        let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
        let (name, [Expr::Literal(field, _), value]) = (call.func.name(), call.args.as_slice()) else {
            return Ok(Transformed::no(expr));
        };
        let Some(field) = field.try_as_str().flatten().map(str::to_lowercase) else {
            return Ok(Transformed::no(expr));
        };
        let is_ours = call.func.inner().is::<super::overload::Overloaded>();
        let data_type = value.get_type(schema)?;
        let plain = match &data_type {
            DataType::Timestamp(_, None) => true,
            DataType::Date32 => !["hour", "minute"].contains(&field.as_str()) || name == DATE_TRUNC,
            _ => false,
        };
        let known = match name {
            EXTRACT | DATE_PART => ENGINE_PARTS.contains(&field.as_str()),
            DATE_TRUNC => ENGINE_UNITS.contains(&field.as_str()),
            _ => false,
        };
        if !(is_ours && plain && known) {
            return Ok(Transformed::no(expr));
        }
        let arguments = vec![lit(field), value.clone()];
        Ok(Transformed::yes(match name {
            EXTRACT => {
                let part = datafusion::functions::datetime::date_part().call(arguments);
                cast(part, DataType::Decimal128(PART_DIGITS, 0))
            }
            DATE_PART => {
                cast(datafusion::functions::datetime::date_part().call(arguments), DataType::Float64)
            }
            _ => {
                let value = cast(value.clone(), DataType::Timestamp(TimeUnit::Microsecond, None));
                datafusion::functions::datetime::date_trunc().call(vec![arguments[0].clone(), value])
            }
        }))
    }
}

/// Digits of an extracted part, by its name where that is a constant.
fn digits(fields: &[FieldRef], constants: &[Option<&ScalarValue>]) -> (u8, i8) {
    let part = constants.first().copied().flatten().and_then(|part| part.try_as_str().flatten());
    let of_date = fields.get(1).is_some_and(|field| *field.data_type() == DataType::Date32);
    match part.map(str::to_lowercase).as_deref() {
        Some("second" | "seconds" | "sec" | "secs") => (8, 6),
        Some("milliseconds" | "millisecond" | "msec" | "ms") => (8, 3),
        Some("epoch") if !of_date => (38, 6),
        Some("julian") if !of_date => (38, 20),
        Some(_) => (20, 0),
        None => (38, 6),
    }
}

fn extract<'a>(call: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    match part(call, values)? {
        Part::Whole(value) => Ok(Datum::Int(value)),
        Part::Fraction(value, scale) => Ok(Datum::Numeric(value, scale)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "date_part is a floating-point number")]
fn date_part<'a>(call: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    Ok(Datum::Float(match part(call, values)? {
        Part::Whole(value) => value as f64,
        Part::Fraction(value, scale) => decimal::shown(value, scale).parse().unwrap_or(f64::NAN),
    }))
}

enum Part {
    Whole(i64),
    /// Digits, and how many stand after the point.
    Fraction(i128, i8),
}

fn part(call: &Call, values: &[Datum]) -> Result<Part> {
    let name = values[0].as_str().trim().to_lowercase();
    let part = match &values[1] {
        Datum::Span(span) => span_part(&name, *span),
        Datum::Time(micros) => clock_part(&name, *micros),
        Datum::Date(days) => match date_part_of(&name, i64::from(*days))? {
            Some(value) => Some(Part::Whole(value)),
            None if name == "epoch" => Some(Part::Whole(i64::from(*days) * 86400)),
            // A date is the start of its day to `date_part`, but has no clock to `extract`.
            None if call.returns == &DataType::Float64 => moment_part(&name, i64::from(*days) * DAY)?,
            None => None,
        },
        Datum::Instant(micros) => instant_part(&name, *micros, call)?,
        other => moment_part(&name, moment(other))?,
    };
    part.ok_or_else(|| unsupported(&name, type_name(&values[1])))
}

fn type_name(datum: &Datum) -> &'static str {
    match datum {
        Datum::Span(_) => "interval",
        Datum::Time(_) => "time without time zone",
        Datum::Date(_) => "date",
        Datum::Instant(_) => "timestamp with time zone",
        _ => "timestamp without time zone",
    }
}

fn unsupported(name: &str, type_name: &str) -> Error {
    const KNOWN: [&str; 24] = [
        "century",
        "day",
        "decade",
        "dow",
        "doy",
        "epoch",
        "hour",
        "isodow",
        "isoyear",
        "julian",
        "microseconds",
        "millennium",
        "milliseconds",
        "minute",
        "month",
        "quarter",
        "second",
        "timezone",
        "timezone_hour",
        "timezone_minute",
        "week",
        "year",
        "timezone_h",
        "timezone_m",
    ];
    match KNOWN.contains(&name) {
        true => Error::unsupported(format!("unit \"{name}\" for type {type_name}")),
        false => fault::parameter(format!("unit \"{name}\" not recognized for type {type_name}")),
    }
}

fn moment_part(name: &str, micros: i64) -> Result<Option<Part>> {
    let (days, within) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    if name == "epoch" {
        return Ok(Some(Part::Fraction(micros.into(), 6)));
    }
    if name == "julian" {
        let fraction = (i128::from(within) * 10i128.pow(20) + i128::from(DAY / 2)) / i128::from(DAY);
        return Ok(Some(Part::Fraction(i128::from(days + JULIAN_OF_EPOCH) * 10i128.pow(20) + fraction, 20)));
    }
    match clock_part(name, within) {
        Some(part) => Ok(Some(part)),
        None => Ok(date_part_of(name, days)?.map(Part::Whole)),
    }
}

fn instant_part(name: &str, micros: i64, call: &Call) -> Result<Option<Part>> {
    let offset = moment_input::offset_seconds(micros, call.zone)?;
    Ok(match name {
        "epoch" => Some(Part::Fraction(micros.into(), 6)),
        "timezone" => Some(Part::Whole(offset)),
        "timezone_hour" | "timezone_h" => Some(Part::Whole(offset / 3600)),
        "timezone_minute" | "timezone_m" => Some(Part::Whole(offset / 60 % 60)),
        _ => moment_part(name, micros + offset * SECOND)?,
    })
}

/// Parts of a time of day, and those of intervals that go by the same names.
fn clock_part(name: &str, micros: i64) -> Option<Part> {
    let minute = micros % MINUTE;
    Some(match name {
        "hour" | "hours" | "hr" | "hrs" | "h" => Part::Whole(micros / HOUR),
        "minute" | "minutes" | "min" | "mins" | "m" => Part::Whole(micros / MINUTE % 60),
        "second" | "seconds" | "sec" | "secs" | "s" => Part::Fraction(minute.into(), 6),
        "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" => Part::Fraction(minute.into(), 3),
        "microsecond" | "microseconds" | "usec" | "usecs" | "us" => Part::Whole(minute),
        "epoch" => Part::Fraction(micros.into(), 6),
        _ => return None,
    })
}

/// Parts of a date that are whole numbers.
fn date_part_of(name: &str, days: i64) -> Result<Option<i64>> {
    let date = moment_input::naive(days.saturating_mul(DAY))?.date();
    let astronomical = i64::from(date.year());
    // There is no year 0 before the first.
    let year = if astronomical > 0 { astronomical } else { astronomical - 1 };
    Ok(Some(match name {
        "year" | "years" | "yr" | "yrs" | "y" => year,
        "month" | "months" | "mon" | "mons" => date.month().into(),
        "day" | "days" | "d" => date.day().into(),
        "quarter" | "qtr" => i64::from(date.month0() / 3 + 1),
        "week" | "weeks" | "w" => date.iso_week().week().into(),
        "dow" => date.weekday().num_days_from_sunday().into(),
        "isodow" => date.weekday().number_from_monday().into(),
        "doy" => date.ordinal().into(),
        "isoyear" => {
            let isoyear = i64::from(date.iso_week().year());
            if isoyear > 0 { isoyear } else { isoyear - 1 }
        }
        "decade" | "decades" => astronomical.div_euclid(10),
        "century" | "centuries" => hundreds(year, 100),
        "millennium" | "millennia" => hundreds(year, 1000),
        "julian" => days + JULIAN_OF_EPOCH,
        _ => return Ok(None),
    }))
}

/// Centuries and millennia begin with year 1.
fn hundreds(year: i64, size: i64) -> i64 {
    if year > 0 { (year + size - 1) / size } else { -((size - 1 - year) / size) }
}

fn span_part(name: &str, span: Span) -> Option<Part> {
    let (years, months) = (i64::from(span.months / 12), i64::from(span.months % 12));
    Some(match name {
        "year" | "years" | "yr" | "yrs" | "y" => Part::Whole(years),
        "month" | "months" | "mon" | "mons" => Part::Whole(months),
        "quarter" | "qtr" => Part::Whole(months / 3 + 1),
        "day" | "days" | "d" => Part::Whole(span.days.into()),
        "decade" | "decades" => Part::Whole(years / 10),
        "century" | "centuries" => Part::Whole(years / 100),
        "millennium" | "millennia" => Part::Whole(years / 1000),
        "epoch" => {
            // A year has 365.25 days, a month 30.
            let days = i128::from(years) * 36525 + i128::from(months) * 3000 + i128::from(span.days) * 100;
            Part::Fraction(days * i128::from(DAY / 100) + i128::from(span.micros), 6)
        }
        other => return clock_part(other, span.micros),
    })
}

fn truncated_in<'a>(unit: &str, micros: i64, zone: arrow::array::timezone::Tz) -> Result<Datum<'a>> {
    let local = moment_input::to_local(micros, zone)?;
    let truncated = truncated(unit, local, "timestamp with time zone")?;
    Ok(Datum::Instant(moment_input::to_utc(truncated, zone)?))
}

/// The start of the unit that a time is in.
fn truncated(unit: &str, micros: i64, type_name: &str) -> Result<i64> {
    let unit = unit.trim().to_lowercase();
    let below = |size: i64| Ok(micros - micros.rem_euclid(size));
    let date = moment_input::naive(micros)?.date();
    let (year, month) = (i64::from(date.year()), date.month());
    let (year, month) = match unit.as_str() {
        "microsecond" | "microseconds" => return Ok(micros),
        "millisecond" | "milliseconds" => return below(1000),
        "second" | "seconds" => return below(SECOND),
        "minute" | "minutes" => return below(MINUTE),
        "hour" | "hours" => return below(HOUR),
        "day" | "days" => return below(DAY),
        "week" | "weeks" => {
            let back = i64::from(date.weekday().num_days_from_monday());
            return Ok(micros - micros.rem_euclid(DAY) - back * DAY);
        }
        "month" | "months" => (year, month),
        "quarter" => (year, (month - 1) / 3 * 3 + 1),
        "year" | "years" => (year, 1),
        "decade" | "decades" => (year.div_euclid(10) * 10, 1),
        "century" | "centuries" => ((year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" | "millennia" => ((year - 1).div_euclid(1000) * 1000 + 1, 1),
        other => {
            let message = format!("unit \"{other}\" not recognized for type {type_name}");
            return Err(fault::parameter(message));
        }
    };
    let first = i32::try_from(year).ok().and_then(|year| chrono::NaiveDate::from_ymd_opt(year, month, 1));
    let first = first.ok_or_else(|| fault::overflow("timestamp out of range"))?;
    Ok((i64::from(first.num_days_from_ce()) - 719_163) * DAY)
}

fn truncated_span(unit: &str, span: Span) -> Result<Span> {
    let unit = unit.trim().to_lowercase();
    let months = |size: i32| Span { months: span.months / size * size, ..Span::default() };
    let below = |size: i64| Span { micros: span.micros / size * size, ..span };
    Ok(match unit.as_str() {
        "millennium" | "millennia" => months(12_000),
        "century" | "centuries" => months(1200),
        "decade" | "decades" => months(120),
        "year" | "years" => months(12),
        "quarter" => months(3),
        "month" | "months" => months(1),
        "day" | "days" => Span { micros: 0, ..span },
        "hour" | "hours" => below(HOUR),
        "minute" | "minutes" => below(MINUTE),
        "second" | "seconds" => below(SECOND),
        "millisecond" | "milliseconds" => below(1000),
        "microsecond" | "microseconds" => span,
        other => {
            let message = format!("unit \"{other}\" not recognized for type interval");
            return Err(fault::parameter(message));
        }
    })
}
