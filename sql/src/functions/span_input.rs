//! Reading intervals: `1 year 2 mons`, `1-2`, `3 04:05:06.7`, `P1Y2M3DT4H5M6S`, `2 days ago` (PostgreSQL 15, section
//! 8.5.4).

use super::fault;
use super::span::{DAY, HOUR, MINUTE, SECOND, Span};
use crate::error::Result;

const MONTHS_OF_YEAR: i64 = 12;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Months(i64),
    Days(i64),
    Micros(i64),
}

impl Span {
    /// The interval that a text is.
    pub fn parse(text: &str) -> Result<Span> {
        let lower = text.trim().to_lowercase();
        let parsed = match lower.strip_prefix('p') {
            Some(iso) if iso.starts_with(|first: char| first.is_ascii_digit() || "t-+.".contains(first)) => {
                parse_iso(iso)
            }
            _ => parse_words(&lower),
        };
        parsed.ok_or_else(|| fault::syntax("interval", text))
    }

    /// Adds so many of a unit, whose fractions go to the units below.
    fn add(&mut self, number: &str, unit: Unit) -> Option<()> {
        let value: f64 = number.parse().ok().filter(|value: &f64| value.is_finite())?;
        let (whole, fraction) = (value.trunc(), value.fract());
        let (each, days_each) = match unit {
            Unit::Months(each) => (each, 0.0),
            Unit::Days(each) => (each, to_float(each)),
            Unit::Micros(each) => (each, 0.0),
        };
        match unit {
            Unit::Months(_) => {
                let months = (value * to_float(each)).trunc();
                // Of years the fraction is whole months, of months it is days.
                let rest = if each == 1 { fraction * 30.0 } else { 0.0 };
                let months = if each == 1 { whole } else { months };
                self.months = self.months.checked_add(to_int32(months)?)?;
                self.days = self.days.checked_add(to_int32(rest.trunc())?)?;
                self.add_micros(rest.fract() * to_float(DAY))
            }
            Unit::Days(_) => {
                let days = value * days_each;
                self.days = self.days.checked_add(to_int32(days.trunc())?)?;
                self.add_micros(days.fract() * to_float(DAY))
            }
            Unit::Micros(_) => {
                let whole = to_int64(whole)?.checked_mul(each)?;
                self.micros = self.micros.checked_add(whole)?;
                self.add_micros(fraction * to_float(each))
            }
        }
    }

    fn add_micros(&mut self, micros: f64) -> Option<()> {
        self.micros = self.micros.checked_add(to_int64(micros.round_ties_even())?)?;
        Some(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a unit are small")]
fn to_float(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, reason = "checked")]
fn to_int32(value: f64) -> Option<i32> {
    (value.abs() <= f64::from(i32::MAX)).then_some(value as i32)
}

#[expect(clippy::cast_possible_truncation, reason = "checked")]
fn to_int64(value: f64) -> Option<i64> {
    (value.abs() < 9.2e18).then_some(value as i64)
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "millennium" | "millennia" | "millenniums" | "mil" | "mils" => Unit::Months(1000 * MONTHS_OF_YEAR),
        "century" | "centuries" | "cent" | "c" => Unit::Months(100 * MONTHS_OF_YEAR),
        "decade" | "decades" | "dec" | "decs" => Unit::Months(10 * MONTHS_OF_YEAR),
        "year" | "years" | "yr" | "yrs" | "y" => Unit::Months(MONTHS_OF_YEAR),
        "quarter" | "quarters" | "qtr" => Unit::Months(3),
        "month" | "months" | "mon" | "mons" => Unit::Months(1),
        "week" | "weeks" | "w" => Unit::Days(7),
        "day" | "days" | "d" => Unit::Days(1),
        "hour" | "hours" | "hr" | "hrs" | "h" => Unit::Micros(HOUR),
        "minute" | "minutes" | "min" | "mins" | "m" => Unit::Micros(MINUTE),
        "second" | "seconds" | "sec" | "secs" | "s" => Unit::Micros(SECOND),
        "millisecond" | "milliseconds" | "msec" | "msecs" | "msecond" | "mseconds" | "ms" => {
            Unit::Micros(1000)
        }
        "microsecond" | "microseconds" | "usec" | "usecs" | "usecond" | "useconds" | "us" => Unit::Micros(1),
        _ => return None,
    })
}

fn parse_words(text: &str) -> Option<Span> {
    let words = split(text)?;
    let mut span = Span::default();
    let mut rest = words.as_slice();
    let mut ago = false;
    if rest.is_empty() {
        return None;
    }
    while let Some((word, tail)) = rest.split_first() {
        rest = tail;
        if word == "ago" && rest.is_empty() {
            ago = true;
        } else if word == "@" {
            continue;
        } else if word.contains(':') {
            span.micros = span.micros.checked_add(clock(word)?)?;
        } else if let Some(months) = years_and_months(word) {
            span.months = span.months.checked_add(months)?;
        } else if let Some((unit, tail)) =
            rest.split_first().and_then(|(next, tail)| Some((unit(next)?, tail)))
        {
            span.add(word, unit)?;
            rest = tail;
        } else if rest.first().is_some_and(|next| next.contains(':')) {
            span.add(word, Unit::Days(1))?;
        } else if rest.is_empty() {
            span.add(word, Unit::Micros(SECOND))?;
        } else {
            return None;
        }
    }
    if ago { span.negated().ok() } else { Some(span) }
}

/// Words and numbers, also where nothing stands between them: `1day`.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split(|character: char| character.is_whitespace() || character == ',') {
        let mut word = String::new();
        for character in part.chars() {
            let turns =
                word.chars().last().is_some_and(|last| last.is_alphabetic() != character.is_alphabetic());
            if turns {
                words.push(std::mem::take(&mut word));
            }
            word.push(character);
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    // A sign may stand apart from its number.
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(sign) if sign == "-" || sign == "+" => sign.push_str(&word),
            _ => joined.push(word),
        }
    }
    Some(joined)
}

/// `[-]HH:MM[:SS[.fraction]]`
fn clock(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix(['-', '+']) {
        Some(digits) => (word.starts_with('-'), digits),
        None => (false, word),
    };
    let parts: Vec<&str> = digits.split(':').collect();
    let micros = match parts.as_slice() {
        [minutes, seconds] if seconds.contains('.') => {
            minutes.parse::<i64>().ok()?.checked_mul(MINUTE)?.checked_add(seconds_of(seconds)?)?
        }
        [hours, minutes] => hours_and_minutes(hours, minutes)?,
        [hours, minutes, seconds] => hours_and_minutes(hours, minutes)?.checked_add(seconds_of(seconds)?)?,
        _ => return None,
    };
    Some(if negative { -micros } else { micros })
}

fn hours_and_minutes(hours: &str, minutes: &str) -> Option<i64> {
    let minutes = minutes.parse::<i64>().ok().filter(|minutes| (0..60).contains(minutes))?;
    hours.parse::<i64>().ok()?.checked_mul(HOUR)?.checked_add(minutes * MINUTE)
}

fn seconds_of(seconds: &str) -> Option<i64> {
    let seconds: f64 = seconds.parse().ok().filter(|seconds| (0.0..=60.0).contains(seconds))?;
    to_int64((seconds * 1e6).round_ties_even())
}

/// `1-2`: one year and two months.
fn years_and_months(word: &str) -> Option<i32> {
    let (negative, digits) = match word.strip_prefix(['-', '+']) {
        Some(digits) => (word.starts_with('-'), digits),
        None => (false, word),
    };
    let (years, months) = digits.split_once('-')?;
    let months = months.parse::<i32>().ok().filter(|months| (0..12).contains(months))?;
    let months = years.parse::<i32>().ok()?.checked_mul(12)?.checked_add(months)?;
    Some(if negative { -months } else { months })
}

/// What follows the P of `P1Y2M3DT4H5M6S`.
fn parse_iso(text: &str) -> Option<Span> {
    let mut span = Span::default();
    let (mut number, mut time) = (String::new(), false);
    for character in text.chars() {
        if character.is_ascii_digit() || "+-.".contains(character) {
            number.push(character);
            continue;
        }
        let unit = match (character, time) {
            ('t', false) if number.is_empty() => {
                time = true;
                continue;
            }
            ('y', false) => Unit::Months(MONTHS_OF_YEAR),
            ('m', false) => Unit::Months(1),
            ('w', false) => Unit::Days(7),
            ('d', false) => Unit::Days(1),
            ('h', true) => Unit::Micros(HOUR),
            ('m', true) => Unit::Micros(MINUTE),
            ('s', true) => Unit::Micros(SECOND),
            _ => return None,
        };
        span.add(&std::mem::take(&mut number), unit)?;
    }
    number.is_empty().then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected texts are what PostgreSQL 15 gives.
    #[test]
    fn intervals_are_read_as_postgresql_does() {
        for (text, expect) in [
            ("1 year 2 months 3 days 04:05:06.7", "1 year 2 mons 3 days 04:05:06.7"),
            ("1-2", "1 year 2 mons"),
            ("1 2:03:04", "1 day 02:03:04"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("PT36H", "36:00:00"),
            ("1.5 days", "1 day 12:00:00"),
            ("1.5 months", "1 mon 15 days"),
            ("1.5 years", "1 year 6 mons"),
            ("2 weeks", "14 days"),
            ("1 day ago", "-1 days"),
            ("-1 month 2 days", "-1 mons +2 days"),
            ("90", "00:01:30"),
            ("1day 3h", "1 day 03:00:00"),
            ("0.000001 secs", "00:00:00.000001"),
            ("1 decade", "10 years"),
            ("01:02:03.456789", "01:02:03.456789"),
            ("30 days", "30 days"),
        ] {
            assert_eq!(Span::parse(text).expect(text).to_string(), expect, "{text}");
        }
        for text in ["abc", "1 fortnight", "", "1 2 3", "day"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }
}
