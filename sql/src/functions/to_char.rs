//! `to_char` of dates, times and intervals, with PostgreSQL's patterns (`time_pattern.rs`); that of numbers is in
//! `number_text.rs`.

use std::fmt::Write;

use arrow::array::timezone::Tz;
use chrono::{Datelike, NaiveDateTime, Timelike};

use super::datum::Datum;
use super::moments::{moment, span_of};
use super::overload::Type::{Bigint, Float, Interval, Numeric, Text, Time, Timestamp, Timestamptz};
use super::overload::{Function, Overload};
use super::span::{HOUR, MINUTE, SECOND, Span};
use super::time_pattern::{Field, Part, read};
use super::{moment_input, number_text, shown};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        "to_char",
        &[
            Overload::new(&[Timestamp, Text], Text, |_, values| {
                let time = moment_input::naive(moment(&values[0]))?;
                written(values[1].as_str(), |field, out| put_moment(out, time, field, None))
            }),
            Overload::new(&[Timestamptz, Text], Text, |call, values| {
                let utc = moment(&values[0]);
                let time = moment_input::naive(moment_input::to_local(utc, call.zone)?)?;
                let zone = Some(Zone { utc, zone: call.zone, name: call.zone_name });
                written(values[1].as_str(), |field, out| put_moment(out, time, field, zone))
            }),
            Overload::new(&[Time, Text], Text, |_, values| {
                let span = Span { micros: moment(&values[0]), ..Span::default() };
                written(values[1].as_str(), |field, out| put_span(out, span, field))
            }),
            Overload::new(&[Interval, Text], Text, |_, values| {
                let span = span_of(&values[0]);
                written(values[1].as_str(), |field, out| put_span(out, span, field))
            }),
            Overload::new(&[Bigint, Text], Text, number_text::to_char),
            Overload::new(&[Numeric, Text], Text, number_text::to_char),
            Overload::new(&[Float, Text], Text, number_text::to_char),
        ],
    )
    .of_zone(),
    Function::new(
        "to_number",
        &[Overload::new(&[Text, Text], Numeric, number_text::to_number).scaled(|_, constants| {
            let pattern =
                constants.get(1).copied().flatten().and_then(|pattern| pattern.try_as_str().flatten());
            number_text::digits_of_pattern(pattern)
        })],
    ),
];

/// The text of all parts of a pattern; there is none of an empty one.
fn written<'a>(pattern: &str, put: impl Fn(&Field, &mut String) -> Result<()>) -> Result<Datum<'a>> {
    if pattern.is_empty() {
        return Ok(Datum::Null);
    }
    let mut out = String::new();
    for part in read(pattern) {
        match part {
            Part::Text(character, _) => out.push(character),
            Part::Field(field) => {
                let start = out.len();
                put(&field, &mut out)?;
                if let Some(upper) = field.ordinal
                    && out[start..].chars().all(|digit| digit.is_ascii_digit() || digit == '-')
                {
                    let suffix = number_text::ordinal(&out[start..]);
                    out.push_str(&if upper { suffix.to_uppercase() } else { suffix.to_owned() });
                }
            }
        }
    }
    Ok(out.into())
}

/// A number with zeros before it, unless they are left out.
fn put_number(out: &mut String, number: i64, width: usize, fill: bool) {
    // Writing to a String cannot fail.
    let sign = if number < 0 { "-" } else { "" };
    let _ = match fill {
        true => write!(out, "{sign}{:0width$}", number.unsigned_abs()),
        false => write!(out, "{number}"),
    };
}

/// The zone that a time is shown in.
#[derive(Clone, Copy)]
struct Zone<'a> {
    utc: i64,
    zone: Tz,
    name: &'a str,
}

fn put_moment(out: &mut String, time: NaiveDateTime, field: &Field, zone: Option<Zone>) -> Result<()> {
    let week = time.iso_week();
    // There is no year 0 before the first.
    let years = |year: i32| i64::from(if year > 0 { year } else { 1 - year });
    let (year, iso_year) = (years(time.year()), years(week.year()));
    let (number, width): (i64, usize) = match field.name {
        "YYYY" => (year, 4),
        "YYY" => (year % 1000, 3),
        "YY" => (year % 100, 2),
        "Y" => (year % 10, 1),
        "Y,YYY" => {
            let _ = write!(out, "{},{:03}", year / 1000, year % 1000);
            return Ok(());
        }
        "IYYY" => (iso_year, 4),
        "IYY" => (iso_year % 1000, 3),
        "IY" => (iso_year % 100, 2),
        "I" => (iso_year % 10, 1),
        "MM" => (time.month().into(), 2),
        "DD" => (time.day().into(), 2),
        "DDD" => (time.ordinal().into(), 3),
        "IDDD" => {
            let day = i64::from(week.week() - 1) * 7 + i64::from(time.weekday().number_from_monday());
            (day, 3)
        }
        "D" => (i64::from(time.weekday().number_from_sunday()), 1),
        "ID" => (i64::from(time.weekday().number_from_monday()), 1),
        "IW" => (week.week().into(), 2),
        "WW" => ((time.ordinal0() / 7 + 1).into(), 2),
        "W" => ((time.day0() / 7 + 1).into(), 1),
        "Q" => ((time.month0() / 3 + 1).into(), 1),
        "CC" => {
            let century = if time.year() > 0 { (year + 99) / 100 } else { -((year + 99) / 100) };
            (century, 2)
        }
        "J" => (i64::from(time.num_days_from_ce()) + 1_721_425, 1),
        "SSSS" | "SSSSS" => (time.num_seconds_from_midnight().into(), 1),
        name => {
            let micros = i64::from(time.nanosecond() / 1000);
            let clock = Clock {
                hour: time.hour().into(),
                minute: time.minute().into(),
                second: time.second().into(),
                micros,
            };
            match clock.number(name) {
                Some(number) => number,
                None if name.starts_with("TZ") || name == "OF" => return put_zone(out, field, zone),
                None => {
                    put_word(out, time, field);
                    return Ok(());
                }
            }
        }
    };
    put_number(out, number, width, field.fill);
    Ok(())
}

/// The parts of a time of day.
struct Clock {
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Clock {
    fn number(&self, name: &str) -> Option<(i64, usize)> {
        let digits = name.strip_prefix("FF").and_then(|digits| digits.parse::<usize>().ok());
        if let Some(digits) = digits {
            let divisor = 10i64.pow(6 - u32::try_from(digits.min(6)).unwrap_or(6));
            return Some((self.micros / divisor, digits));
        }
        Some(match name {
            "HH24" => (self.hour, 2),
            "HH12" | "HH" => (if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2),
            "MI" => (self.minute, 2),
            "SS" => (self.second, 2),
            "MS" => (self.micros / 1000, 3),
            "US" => (self.micros, 6),
            _ => return None,
        })
    }
}

/// The name of the session's zone, or its distance from Greenwich; nothing for a time without a zone.
fn put_zone(out: &mut String, field: &Field, zone: Option<Zone>) -> Result<()> {
    let seconds = match zone {
        Some(Zone { utc, zone, .. }) => moment_input::offset_seconds(utc, zone)?,
        None => 0,
    };
    match (field.name, zone) {
        ("TZ", Some(Zone { name, .. })) => {
            if !["UTC", "Etc/UTC", "+00:00", "GMT"].contains(&name) {
                return Err(Error::unsupported("the pattern TZ in a time zone other than UTC")
                    .with_hint("OF gives the distance from UTC."));
            }
            out.push_str(if field.spelled == "tz" { "utc" } else { "UTC" });
        }
        ("TZ", None) => {}
        ("TZH", _) => {
            let _ = write!(out, "{}{:02}", if seconds < 0 { '-' } else { '+' }, seconds.abs() / 3600);
        }
        ("TZM", _) => put_number(out, seconds.abs() / 60 % 60, 2, true),
        _ => out.push_str(&shown::offset_text(seconds, false)),
    }
    Ok(())
}

/// Names are spelled as the pattern is (`MONTH`, `Month`, `month`), and full names filled up to nine characters.
fn put_word(out: &mut String, time: NaiveDateTime, field: &Field) {
    const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
    let morning = time.hour() < 12;
    let after_christ = time.year() > 0;
    let (word, width) = match field.name {
        "MONTH" => (time.format("%B").to_string(), 9),
        "MON" => (time.format("%b").to_string(), 0),
        "DAY" => (time.format("%A").to_string(), 9),
        "DY" => (time.format("%a").to_string(), 0),
        "RM" => (ROMAN[time.month0() as usize].to_owned(), 4),
        "A.M." | "P.M." => (if morning { "A.M." } else { "P.M." }.to_owned(), 0),
        "A.D." | "B.C." => (if after_christ { "A.D." } else { "B.C." }.to_owned(), 0),
        "AD" | "BC" => (if after_christ { "AD" } else { "BC" }.to_owned(), 0),
        _ => (if morning { "AM" } else { "PM" }.to_owned(), 0),
    };
    let first_lower = field.spelled.chars().next().is_some_and(char::is_lowercase);
    let rest_lower = field.spelled.chars().nth(1).is_some_and(char::is_lowercase);
    let word = match (first_lower, rest_lower) {
        (true, _) => word.to_lowercase(),
        (false, true) => word,
        (false, false) => word.to_uppercase(),
    };
    let width = if field.fill { width } else { 0 };
    let _ = write!(out, "{word:width$}");
}

/// An interval has no day of the week, no name of a month and no era.
fn put_span(out: &mut String, span: Span, field: &Field) -> Result<()> {
    let micros = span.micros;
    let clock = Clock {
        hour: micros / HOUR,
        minute: micros / MINUTE % 60,
        second: micros / SECOND % 60,
        micros: micros % SECOND,
    };
    let (years, months) = (i64::from(span.months / 12), i64::from(span.months % 12));
    let days = i64::from(span.days);
    let (number, width) = match field.name {
        "YYYY" | "IYYY" => (years, 4),
        "YYY" | "IYY" => (years % 1000, 3),
        "YY" | "IY" => (years % 100, 2),
        "Y" | "I" => (years % 10, 1),
        "MM" => (months, 2),
        "DD" => (days, 2),
        "DDD" => (i64::from(span.months) * 30 + days, 3),
        "Q" if months == 0 => return Ok(()),
        "Q" => ((months - 1) / 3 + 1, 1),
        "CC" => (years / 100, 2),
        "SSSS" | "SSSSS" => (micros / SECOND, 1),
        "HH12" | "HH" => {
            let hour = clock.hour % 12;
            (if hour == 0 { 12 } else { hour }, 2)
        }
        "AM" | "PM" | "A.M." | "P.M." => {
            put_word(out, half_day(clock.hour)?, field);
            return Ok(());
        }
        name => match clock.number(name) {
            Some(number) => number,
            None => {
                let message = "invalid format specification for an interval value";
                return Err(Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
                    .with_hint("Intervals are not tied to specific calendar dates."));
            }
        },
    };
    put_number(out, number, width, field.fill);
    Ok(())
}

/// Some time in the morning or afternoon.
fn half_day(hour: i64) -> Result<NaiveDateTime> {
    moment_input::naive(hour.rem_euclid(24) * HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, expect: &str) {
        let time = moment_input::naive(1_706_976_306_007_008).expect("a time");
        let text = written(pattern, |field, out| put_moment(out, time, field, None)).expect("written");
        assert_eq!(text.as_str(), expect, "{pattern}");
    }

    /// The expected texts are what PostgreSQL 15 gives for timestamp '2024-02-03 16:05:06.007008'.
    #[test]
    fn patterns_of_postgresql() {
        check("YYYY-MM-DD HH24:MI:SS.US", "2024-02-03 16:05:06.007008");
        check("DD/MM/YY HH12:MI AM", "03/02/24 04:05 PM");
        check(
            "Month|MONTH|month|Mon|MON|Dy|DAY|Day",
            "February |FEBRUARY |february |Feb|FEB|Sat|SATURDAY |Saturday ",
        );
        check("FMMonth FMDD, YYYY", "February 3, 2024");
        check("\"year\" YYYY \"Q\"Q", "year 2024 Q1");
        check("DDD D ID IW IYYY WW W J MS SSSS", "034 7 6 05 2024 05 1 2460344 007 57906");
        check("HH:MI:SS p.m.", "04:05:06 p.m.");
        check("DDth FMDDTH Y,YYY IDDD RM YYYY BC", "03rd 3RD 2,024 034 II   2024 AD");
    }
}
