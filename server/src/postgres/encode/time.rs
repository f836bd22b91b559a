//! Dates, times, timestamps and intervals as PostgreSQL writes them (DateStyle ISO, IntervalStyle postgres). The
//! calendar is computed here, because PostgreSQL's reaches further than the usual libraries'.

use arrow::array::timezone::Tz;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
};
use bytes::BufMut;
use chrono::{DateTime, Offset, TimeZone};
use tarn_sql::{Error, Result, SqlState};

use super::number::pair;
use super::put;
use super::writer::unexpected;

/// Days and microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub const PG_EPOCH_DAYS: i64 = 10_957;
pub const PG_EPOCH_MICROS: i64 = PG_EPOCH_DAYS * DAY_MICROS;

pub const DAY_MILLIS: i64 = 86_400_000;
const DAY_MICROS: i64 = 86_400_000_000;
const SECOND_MICROS: i64 = 1_000_000;

/// What stands between date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    Space,
    /// `T`, and minutes in every offset: as JSON has it.
    Letter,
}

/// A value of `unit` in microseconds. Nanoseconds are cut, as PostgreSQL has none.
pub fn micros(unit: TimeUnit, value: i64) -> Result<i64> {
    let micros = match unit {
        TimeUnit::Second => value.checked_mul(SECOND_MICROS),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
    };
    micros.ok_or_else(out_of_range)
}

pub fn out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "a date or time is out of range")
}

/// Year (0 is 1 BC), month and day of a count of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Howard Hinnant's algorithm: eras of 400 years that start on 1 March.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The date, and whether it is before year 1 and ` BC` must follow at the end.
fn put_date(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    match usize::try_from(year) {
        Ok(year) if year < 10_000 => {
            let ([a, b], [c, d]) = (pair(year / 100), pair(year % 100));
            let ([e, f], [g, h]) = (pair(month as usize), pair(day as usize));
            out.put_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
        }
        _ => put(out, format_args!("{year:04}-{month:02}-{day:02}")),
    }
    before_christ
}

pub fn date(days: i64, out: &mut Vec<u8>) -> Result<()> {
    if put_date(days, out) {
        out.put_slice(b" BC");
    }
    Ok(())
}

/// The time of `micros` since midnight.
pub fn time(micros: i64, out: &mut Vec<u8>) -> Result<()> {
    let seconds = micros / SECOND_MICROS;
    let hours = seconds / 3600;
    if (0..100).contains(&hours) {
        let [a, b] = pair(hours as usize);
        let ([c, d], [e, f]) = (pair((seconds / 60 % 60) as usize), pair((seconds % 60) as usize));
        out.put_slice(&[a, b, b':', c, d, b':', e, f]);
    } else {
        put(out, format_args!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60));
    }
    put_fraction(micros % SECOND_MICROS, out);
    Ok(())
}

/// The microseconds of a second, without zeros at the end.
fn put_fraction(micros: i64, out: &mut Vec<u8>) {
    if micros != 0 {
        put(out, format_args!(".{micros:06}"));
        let zeros = out.iter().rev().take_while(|byte| **byte == b'0').count();
        out.truncate(out.len() - zeros);
    }
}

/// A timestamp, in `zone` and with its offset when it has one.
pub fn timestamp(micros: i64, zone: Option<Tz>, separator: Separator, out: &mut Vec<u8>) -> Result<()> {
    let offset = zone.map(|zone| offset_seconds(micros, zone));
    let local = micros.checked_add(offset.unwrap_or(0) * SECOND_MICROS).ok_or_else(out_of_range)?;
    let before_christ = put_date(local.div_euclid(DAY_MICROS), out);
    out.put_u8(match separator {
        Separator::Space => b' ',
        Separator::Letter => b'T',
    });
    time(local.rem_euclid(DAY_MICROS), out)?;
    if let Some(offset) = offset {
        put_offset(offset, separator == Separator::Letter, out);
    }
    if before_christ {
        out.put_slice(b" BC");
    }
    Ok(())
}

/// How far `zone` is ahead of UTC at a moment. Moments further away than its library reaches are shown in UTC.
fn offset_seconds(micros: i64, zone: Tz) -> i64 {
    DateTime::from_timestamp(micros.div_euclid(SECOND_MICROS), 0)
        .map_or(0, |utc| i64::from(zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()))
}

fn put_offset(offset: i64, with_minutes: bool, out: &mut Vec<u8>) {
    let sign = if offset < 0 { '-' } else { '+' };
    let seconds = offset.abs();
    put(out, format_args!("{sign}{:02}", seconds / 3600));
    if with_minutes || seconds % 3600 != 0 {
        put(out, format_args!(":{:02}", seconds / 60 % 60));
    }
    if seconds % 60 != 0 {
        put(out, format_args!(":{:02}", seconds % 60));
    }
}

/// An interval as PostgreSQL keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// `1 year 2 mons 3 days 04:05:06.7`: zero parts are left out, and a positive part after a negative one has a `+`
/// (`EncodeInterval`).
pub fn interval(interval: &Interval, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    let mut after_negative = false;
    let parts = [(interval.months / 12, "year"), (interval.months % 12, "mon"), (interval.days, "day")];
    for (value, unit) in parts.into_iter().filter(|(value, _)| *value != 0) {
        let space = if out.len() > start { " " } else { "" };
        let plus = if after_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        put(out, format_args!("{space}{plus}{value} {unit}{plural}"));
        after_negative = value < 0;
    }
    if interval.micros != 0 || out.len() == start {
        let space = if out.len() > start { " " } else { "" };
        let sign = match (interval.micros < 0, after_negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        put(out, format_args!("{space}{sign}"));
        time(interval.micros.checked_abs().ok_or_else(out_of_range)?, out)?;
    }
    Ok(())
}

/// Reads times of day in microseconds.
pub fn times<'a>(array: &'a dyn Array) -> Result<Box<dyn Fn(usize) -> i64 + Send + 'a>> {
    Ok(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            let array = array.as_primitive::<Time32SecondType>();
            Box::new(move |row| i64::from(array.value(row)) * SECOND_MICROS)
        }
        DataType::Time32(TimeUnit::Millisecond) => {
            let array = array.as_primitive::<Time32MillisecondType>();
            Box::new(move |row| i64::from(array.value(row)) * 1_000)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let array = array.as_primitive::<Time64MicrosecondType>();
            Box::new(move |row| array.value(row))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            let array = array.as_primitive::<Time64NanosecondType>();
            Box::new(move |row| array.value(row) / 1_000)
        }
        other => return Err(unexpected(other)),
    })
}

/// Reads intervals and durations.
pub fn intervals<'a>(array: &'a dyn Array) -> Result<Box<dyn Fn(usize) -> Result<Interval> + Send + 'a>> {
    // What lies between two times is counted in days and the rest, as PostgreSQL's subtraction does.
    let of_micros = |micros: i64| Interval {
        months: 0,
        days: i32::try_from(micros / DAY_MICROS).unwrap_or(i32::MAX),
        micros: micros % DAY_MICROS,
    };
    Ok(match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            let array = array.as_primitive::<IntervalYearMonthType>();
            Box::new(move |row| Ok(Interval { months: array.value(row), days: 0, micros: 0 }))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let array = array.as_primitive::<IntervalDayTimeType>();
            Box::new(move |row| {
                let value = array.value(row);
                Ok(Interval { months: 0, days: value.days, micros: i64::from(value.milliseconds) * 1_000 })
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let array = array.as_primitive::<IntervalMonthDayNanoType>();
            Box::new(move |row| {
                let value = array.value(row);
                Ok(Interval { months: value.months, days: value.days, micros: value.nanoseconds / 1_000 })
            })
        }
        DataType::Duration(TimeUnit::Second) => {
            let array = array.as_primitive::<DurationSecondType>();
            Box::new(move |row| micros(TimeUnit::Second, array.value(row)).map(of_micros))
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            let array = array.as_primitive::<DurationMillisecondType>();
            Box::new(move |row| micros(TimeUnit::Millisecond, array.value(row)).map(of_micros))
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            let array = array.as_primitive::<DurationMicrosecondType>();
            Box::new(move |row| Ok(of_micros(array.value(row))))
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            let array = array.as_primitive::<DurationNanosecondType>();
            Box::new(move |row| Ok(of_micros(array.value(row) / 1_000)))
        }
        other => return Err(unexpected(other)),
    })
}
