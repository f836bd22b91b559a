//! Functions of dates, times and intervals: `age`, `make_*`, `justify_*`, `date_bin`, `timezone`, arithmetic with
//! intervals, and reading and writing of times in the session's zone. Next: `fields.rs` for the parts of a time.

use chrono::{Datelike, Months, NaiveDate};

use super::datum::Datum;
use super::overload::Type::{Bigint, Bool, Date, Float, Int, Interval, Text, Time, Timestamp, Timestamptz};
use super::overload::{Call, Function, Overload};
use super::span::{self, DAY, HOUR, MINUTE, SECOND, Span};
use super::{fault, moment_input};
use crate::error::{Error, Result};

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        "age",
        &[
            Overload::new(&[Timestamp, Timestamp], Interval, |_, values| {
                age(moment(&values[0]), moment(&values[1]))
            }),
            Overload::new(&[Timestamptz, Timestamptz], Interval, |call, values| {
                age(local(call, &values[0])?, local(call, &values[1])?)
            }),
        ],
    )
    .of_zone(),
    Function::new("make_date", &[Overload::new(&[Int, Int, Int], Date, make_date)]),
    Function::new(
        "make_time",
        &[Overload::new(&[Int, Int, Float], Time, |_, values| Ok(Datum::Time(clock(values)?)))],
    ),
    Function::new(
        "make_timestamp",
        &[Overload::new(&[Int, Int, Int, Int, Int, Float], Timestamp, |_, values| {
            Ok(Datum::Moment(date_and_clock(values)?))
        })],
    ),
    Function::new(
        "make_timestamptz",
        &[
            Overload::new(&[Int, Int, Int, Int, Int, Float], Timestamptz, |call, values| {
                Ok(Datum::Instant(moment_input::to_utc(date_and_clock(values)?, call.zone)?))
            }),
            Overload::new(&[Int, Int, Int, Int, Int, Float, Text], Timestamptz, |_, values| {
                let name = values[6].as_str();
                let zone = moment_input::named_zone(name).ok_or_else(|| unknown_zone(name))?;
                Ok(Datum::Instant(moment_input::to_utc(date_and_clock(values)?, zone)?))
            }),
        ],
    )
    .of_zone(),
    Function::new(
        "make_interval",
        &[Overload::new(&[Int, Int, Int, Int, Int, Int, Float], Interval, make_interval)],
    ),
    Function::new(
        "justify_hours",
        &[Overload::new(&[Interval], Interval, |_, v| Ok(Datum::Span(span_of(&v[0]).justify_hours()?)))],
    ),
    Function::new(
        "justify_days",
        &[Overload::new(&[Interval], Interval, |_, v| Ok(Datum::Span(span_of(&v[0]).justify_days()?)))],
    ),
    Function::new(
        "justify_interval",
        &[Overload::new(&[Interval], Interval, |_, v| Ok(Datum::Span(span_of(&v[0]).justify_interval()?)))],
    ),
    Function::new(
        "date_bin",
        &[
            Overload::new(&[Interval, Timestamp, Timestamp], Timestamp, |_, values| {
                Ok(Datum::Moment(date_bin(values)?))
            }),
            Overload::new(&[Interval, Timestamptz, Timestamptz], Timestamptz, |_, values| {
                Ok(Datum::Instant(date_bin(values)?))
            }),
        ],
    ),
    Function::new(
        "timezone",
        &[
            Overload::new(&[Text, Timestamptz], Timestamp, |_, values| {
                Ok(Datum::Moment(moment_input::to_local(moment(&values[1]), zone(values[0].as_str())?)?))
            }),
            Overload::new(&[Text, Timestamp], Timestamptz, |_, values| {
                Ok(Datum::Instant(moment_input::to_utc(moment(&values[1]), zone(values[0].as_str())?)?))
            }),
            Overload::new(&[Interval, Timestamptz], Timestamp, |_, values| {
                Ok(Datum::Moment(moment(&values[1]) + offset(&values[0])?))
            }),
            Overload::new(&[Interval, Timestamp], Timestamptz, |_, values| {
                Ok(Datum::Instant(moment(&values[1]) - offset(&values[0])?))
            }),
        ],
    )
    .of_zone(),
    Function::new(
        "isfinite",
        &[
            Overload::new(&[Date], Bool, |_, _| Ok(true.into())),
            Overload::new(&[Timestamp], Bool, |_, _| Ok(true.into())),
            Overload::new(&[Timestamptz], Bool, |_, _| Ok(true.into())),
            Overload::new(&[Interval], Bool, |_, _| Ok(true.into())),
        ],
    ),
    Function::new(
        "to_timestamp",
        &[
            Overload::new(&[Float], Timestamptz, |_, values| from_epoch(values[0].as_float())),
            Overload::new(&[Text, Text], Timestamptz, |call, values| {
                let local = super::moment_pattern::read(values[0].as_str(), values[1].as_str())?;
                Ok(Datum::Instant(local.instant(call.zone)?))
            }),
        ],
    )
    .of_zone(),
    Function::new(
        "to_date",
        &[Overload::new(&[Text, Text], Date, |_, values| {
            let local = super::moment_pattern::read(values[0].as_str(), values[1].as_str())?;
            Ok(Datum::Date(local.date()?))
        })],
    ),
    // What the operators on intervals and times of day are planned as.
    Function::new(
        "interval_multiply",
        &[Overload::new(&[Interval, Float], Interval, |_, v| {
            Ok(Datum::Span(span_of(&v[0]).times(v[1].as_float())?))
        })],
    ),
    Function::new(
        "interval_divide",
        &[Overload::new(&[Interval, Float], Interval, |_, v| {
            Ok(Datum::Span(span_of(&v[0]).divided(v[1].as_float())?))
        })],
    ),
    Function::new(
        "interval_length",
        &[Overload::new(&[Interval], super::overload::Type::Numeric, |_, v| {
            Ok(Datum::Numeric(span_of(&v[0]).length(), 0))
        })
        .scaled(|_, _| (38, 0))],
    ),
    Function::new(
        "time_plus",
        &[Overload::new(&[Time, Interval], Time, |_, values| {
            let Datum::Time(time) = values[0] else { return Ok(Datum::Null) };
            Ok(Datum::Time((time + span_of(&values[1]).micros % DAY).rem_euclid(DAY)))
        })],
    ),
    Function::new(
        "date_plus_time",
        &[Overload::new(&[Date, Time], Timestamp, |_, values| match values {
            [Datum::Date(days), Datum::Time(time)] => Ok(Datum::Moment(i64::from(*days) * DAY + time)),
            _ => Ok(Datum::Null),
        })],
    ),
    Function::new(
        "moments_between",
        &[
            Overload::new(&[Timestamp, Timestamp], Interval, between),
            Overload::new(&[Timestamptz, Timestamptz], Interval, between),
        ],
    ),
    Function::new(
        "overlaps",
        &[
            Overload::new(&[Bigint, Bigint, Bigint, Bigint], Bool, overlaps),
            Overload::new(&[Timestamptz, Timestamptz, Timestamptz, Timestamptz], Bool, overlaps),
            Overload::new(&[Timestamp, Timestamp, Timestamp, Timestamp], Bool, overlaps),
            Overload::new(&[Date, Date, Date, Date], Bool, overlaps),
            Overload::new(&[Time, Time, Time, Time], Bool, overlaps),
        ],
    )
    .with_nulls(),
];

/// The microseconds of a timestamp of either kind.
pub fn moment(datum: &Datum) -> i64 {
    match datum {
        Datum::Moment(micros) | Datum::Instant(micros) | Datum::Time(micros) => *micros,
        Datum::Date(days) => i64::from(*days) * DAY,
        other => other.as_int(),
    }
}

/// What the session's clocks show at an instant.
fn local(call: &Call, datum: &Datum) -> Result<i64> {
    moment_input::to_local(moment(datum), call.zone)
}

pub fn span_of(datum: &Datum) -> Span {
    if let Datum::Span(span) = datum { *span } else { Span::default() }
}

pub fn zone(name: &str) -> Result<arrow::array::timezone::Tz> {
    // In POSIX's way, which PostgreSQL follows here, what stands after a name-less sign is west of Greenwich.
    if let Some(digits) = name.strip_prefix(['+', '-'])
        && digits.starts_with(|first: char| first.is_ascii_digit())
    {
        let sign = if name.starts_with('-') { '+' } else { '-' };
        let padded = if digits.len() == 1 { format!("0{digits}") } else { digits.to_owned() };
        let padded = if padded.len() == 2 { format!("{padded}:00") } else { padded };
        if let Ok(zone) = format!("{sign}{padded}").parse() {
            return Ok(zone);
        }
    }
    moment_input::named_zone(name).ok_or_else(|| unknown_zone(name))
}

fn unknown_zone(name: &str) -> Error {
    fault::parameter(format!("time zone \"{name}\" not recognized"))
}

fn offset(datum: &Datum) -> Result<i64> {
    let span = span_of(datum);
    if span.months != 0 || span.days != 0 {
        return Err(fault::parameter(format!(
            "interval time zone \"{span}\" must not include months or days"
        )));
    }
    Ok(span.micros)
}

/// Years, months, days and the rest between two times, as one counts an age (`timestamp_age`).
fn age<'a>(later: i64, earlier: i64) -> Result<Datum<'a>> {
    let negative = later < earlier;
    let (high, low) = if negative { (earlier, later) } else { (later, earlier) };
    let (to, from) = (moment_input::naive(high)?, moment_input::naive(low)?);
    let mut months = (to.year() - from.year()) * 12 + to.month().cast_signed() - from.month().cast_signed();
    let mut days = to.day().cast_signed() - from.day().cast_signed();
    let mut micros = high.rem_euclid(DAY) - low.rem_euclid(DAY);
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    if days < 0 {
        months -= 1;
        days += days_in_month(from.year(), from.month());
    }
    let span = Span { months, days, micros };
    Ok(Datum::Span(if negative { span.negated()? } else { span }))
}

pub fn days_in_month(year: i32, month: u32) -> i32 {
    let first = NaiveDate::from_ymd_opt(year, month, 1);
    let next = first.and_then(|first| first.checked_add_months(Months::new(1)));
    match (first, next) {
        (Some(first), Some(next)) => i32::try_from((next - first).num_days()).unwrap_or(30),
        _ => 30,
    }
}

/// A year before the first is counted from -1 down.
fn day_of(values: &[Datum]) -> Result<NaiveDate> {
    let [year, month, day] = [0, 1, 2].map(|place| values[place].as_int());
    let bad = || fault::overflow(format!("date field value out of range: {year}-{month:02}-{day:02}"));
    let astronomical = match year {
        0 => return Err(bad()),
        year if year < 0 => year + 1,
        year => year,
    };
    let parts = (i32::try_from(astronomical), u32::try_from(month), u32::try_from(day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return Err(bad()) };
    NaiveDate::from_ymd_opt(year, month, day).ok_or_else(bad)
}

fn days_since_epoch(day: NaiveDate) -> i32 {
    day.num_days_from_ce() - 719_163
}

fn make_date<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    Ok(Datum::Date(days_since_epoch(day_of(values)?)))
}

/// Hour, minute and second as microseconds.
fn clock(values: &[Datum]) -> Result<i64> {
    let (hour, minute, second) = (values[0].as_int(), values[1].as_int(), values[2].as_float());
    let whole = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    if !whole || (hour == 24 && (minute > 0 || second > 0.0)) {
        let second = super::shown::float8(second);
        let second = if second.find('.').unwrap_or(second.len()) < 2 { format!("0{second}") } else { second };
        return Err(fault::overflow(format!("time field value out of range: {hour}:{minute:02}:{second}")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most a minute")]
    let micros = (second * 1e6).round_ties_even() as i64;
    Ok(hour * HOUR + minute * MINUTE + micros)
}

fn date_and_clock(values: &[Datum]) -> Result<i64> {
    let days = days_since_epoch(day_of(values)?);
    Ok(i64::from(days) * DAY + clock(&values[3..])?)
}

fn make_interval<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let [years, months, weeks, days, hours, minutes] = [0, 1, 2, 3, 4, 5].map(|place| values[place].as_int());
    let seconds = values[6].as_float();
    let out_of_range = || fault::overflow("interval out of range");
    if !seconds.is_finite() || seconds.abs() > 9.2e12 {
        return Err(out_of_range());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    let seconds = (seconds * 1e6).round_ties_even() as i64;
    let narrow = |value: i64| i32::try_from(value).map_err(|_| out_of_range());
    Ok(Datum::Span(Span {
        months: narrow(years * 12 + months)?,
        days: narrow(weeks * 7 + days)?,
        micros: (hours * HOUR + minutes * MINUTE).checked_add(seconds).ok_or_else(out_of_range)?,
    }))
}

/// The start of the stretch of time, counted from an origin, that a time is in.
fn date_bin(values: &[Datum]) -> Result<i64> {
    let stride = span_of(&values[0]);
    if stride.months != 0 {
        return Err(Error::unsupported("binning timestamps into intervals of months or years"));
    }
    let stride = i64::from(stride.days).checked_mul(DAY).and_then(|days| days.checked_add(stride.micros));
    let stride = stride.ok_or_else(|| fault::overflow("interval out of range"))?;
    if stride <= 0 {
        return Err(fault::overflow("stride must be greater than zero"));
    }
    let (source, origin) = (moment(&values[1]), moment(&values[2]));
    Ok(origin + (source - origin).div_euclid(stride) * stride)
}

fn from_epoch<'a>(seconds: f64) -> Result<Datum<'a>> {
    if seconds.is_nan() {
        return Err(fault::overflow("timestamp cannot be NaN"));
    }
    let micros = seconds * span::micros_as_float(SECOND);
    if micros.abs() > 8.2e18 {
        return Err(fault::overflow(format!(
            "timestamp out of range: \"{}\"",
            super::shown::float8(seconds)
        )));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    Ok(Datum::Instant(micros.round_ties_even() as i64))
}

/// Days and the rest between two times.
fn between<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let micros = moment(&values[0]).checked_sub(moment(&values[1]));
    let micros = micros.ok_or_else(|| fault::overflow("interval out of range"))?;
    Ok(Datum::Span(Span { micros, ..Span::default() }.justify_hours()?))
}

/// Whether two stretches of time have a moment in common, by the SQL standard's rules for NULLs.
fn overlaps<'a>(_: &Call, values: &[Datum<'a>]) -> Result<Datum<'a>> {
    let time = |place: usize| (!values[place].is_null()).then(|| moment(&values[place]));
    let ordered = |first: Option<i64>, second: Option<i64>| match (first, second) {
        (Some(first), Some(second)) if first > second => (Some(second), Some(first)),
        (None, second) => (second, None),
        both => both,
    };
    let (first, second) = (ordered(time(0), time(1)), ordered(time(2), time(3)));
    let (Some(start), Some(other_start)) = (first.0, second.0) else { return Ok(Datum::Null) };
    // The end of the one that starts first, and the start and end of the other.
    let (end, later, later_end) = match start.cmp(&other_start) {
        std::cmp::Ordering::Less => (first.1, other_start, second.1),
        std::cmp::Ordering::Greater => (second.1, start, first.1),
        std::cmp::Ordering::Equal => {
            return Ok(if first.1.is_some() && second.1.is_some() { true.into() } else { Datum::Null });
        }
    };
    Ok(match end {
        None => Datum::Null,
        Some(end) if later < end => true.into(),
        Some(_) if later_end.is_none() => Datum::Null,
        Some(_) => false.into(),
    })
}
