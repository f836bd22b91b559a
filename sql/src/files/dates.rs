//! Days and moments as people write them: `31.12.2024`, `12/31/2024 5:30 PM`, `31-Dec-2024`, `2024/12/31`. Whether the
//! day or the month comes first is no matter of one text but of a whole column, so it is asked for one order at a time.
//! ISO forms are in `values.rs`. It must never guess.

use chrono::NaiveDate;
use tarn_catalog::object::DateOrder;

use super::values::{clock_micros, midnight};
use crate::functions::MONTHS;

/// Days from 0001-01-01 (day 1 of the Common Era) to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;
/// Microseconds in half a day.
const HALF_DAY: i64 = 12 * 60 * 60 * 1_000_000;
/// Words, besides the names of months, that stand in dates and times.
const WORDS: [&str; 21] = [
    "am",
    "pm",
    "t",
    "z",
    "utc",
    "gmt",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "sept",
];

/// A day, and the time of that day if the text names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Days since 1970-01-01.
    pub day: i32,
    /// Microseconds since midnight.
    pub time: Option<i64>,
}

impl Written {
    /// Microseconds since 1970-01-01.
    pub fn micros(self) -> i64 {
        midnight(self.day) + self.time.unwrap_or(0)
    }
}

/// The day that a text names when its parts come in an order; None when it is not written so.
pub fn written(text: &str, order: DateOrder) -> Option<Written> {
    let (day, rest) = match order {
        DateOrder::YearFirst => year_first(text).or_else(|| month_by_name(text))?,
        DateOrder::DayFirst | DateOrder::MonthFirst => by_numbers(text, order)?,
    };
    let time = match rest.strip_prefix(['T', ' ', ',']) {
        None if rest.is_empty() => None,
        None => return None,
        Some(time) => Some(time_of_day(time.trim_start())?),
    };
    Some(Written { day, time })
}

/// `D/M/YYYY` or `M/D/YYYY` with slashes or hyphens; with points the day comes first everywhere.
fn by_numbers(text: &str, order: DateOrder) -> Option<(i32, &str)> {
    let (first, rest) = number(text, 1, 2)?;
    let separator = rest.chars().next().filter(|char| matches!(char, '/' | '-' | '.'))?;
    let (second, rest) = number(rest.strip_prefix(separator)?, 1, 2)?;
    let (year, rest) = number(rest.strip_prefix(separator)?, 4, 4)?;
    let (month, date) = match order {
        DateOrder::DayFirst => (second, first),
        _ if separator == '.' => return None,
        _ => (first, second),
    };
    Some((day(year, month, date)?, rest))
}

/// `YYYY/M/D` or `YYYY.M.D`.
fn year_first(text: &str) -> Option<(i32, &str)> {
    let (year, rest) = number(text, 4, 4)?;
    let separator = rest.chars().next().filter(|char| matches!(char, '/' | '.'))?;
    let (month, rest) = number(rest.strip_prefix(separator)?, 1, 2)?;
    let (date, rest) = number(rest.strip_prefix(separator)?, 1, 2)?;
    Some((day(year, month, date)?, rest))
}

/// `31-Dec-2024`, `31 December 2024`, `Dec 31, 2024`.
fn month_by_name(text: &str) -> Option<(i32, &str)> {
    if let Some((date, rest)) = number(text, 1, 2) {
        let (month, rest) = month(rest.strip_prefix(['-', ' ', '/'])?)?;
        let (year, rest) = number(rest.strip_prefix(['-', ' ', '/'])?, 4, 4)?;
        return Some((day(year, month, date)?, rest));
    }
    let (month, rest) = month(text)?;
    let (date, rest) = number(rest.strip_prefix([' ', '-'])?, 1, 2)?;
    let rest = rest.strip_prefix(", ").or_else(|| rest.strip_prefix([' ', '-', ',']))?;
    let (year, rest) = number(rest, 4, 4)?;
    Some((day(year, month, date)?, rest))
}

/// `5:30 PM`, `17:30`, `17:30:00.5`.
fn time_of_day(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let afternoon = lower.strip_suffix("pm");
    let half = afternoon.or_else(|| lower.strip_suffix("am"));
    let clock = half.unwrap_or(&lower).trim_end();
    let padded = if clock.as_bytes().get(1) == Some(&b':') { format!("0{clock}") } else { clock.to_owned() };
    let micros = clock_micros(&padded)?;
    if half.is_none() {
        return Some(micros);
    }
    let twelve = (HALF_DAY..HALF_DAY + HALF_DAY / 12).contains(&micros);
    let within = padded.get(..2)?.parse::<u8>().ok().filter(|hour| (1..=12).contains(hour)).is_some();
    let morning = if twelve { micros - HALF_DAY } else { micros };
    within.then_some(if afternoon.is_some() { morning + HALF_DAY } else { morning })
}

/// The number of so many digits that a text starts with, and what follows.
fn number(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    if length < least || length > most { None } else { Some((text[..length].parse().ok()?, &text[length..])) }
}

/// The month whose name, whole or its first three letters, a text starts with, and what follows.
fn month(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let word = text[..length].to_ascii_lowercase();
    let named =
        |name: &&str| word == **name || word == name[..3] || (word == "sept" && name.starts_with("sept"));
    let place = MONTHS.iter().position(named)?;
    Some((u32::try_from(place).ok()? + 1, text[length..].trim_start_matches('.')))
}

fn day(year: u32, month: u32, day: u32) -> Option<i32> {
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(chrono::Datelike::num_days_from_ce(&date) - EPOCH_FROM_CE)
}

/// Whether a text has digits, and of letters only the names of months and what else stands in dates. For the question
/// of what is a header; no value is made of it.
pub fn looks_temporal(text: &str) -> bool {
    let known = |word: &str| {
        let word = word.to_lowercase();
        WORDS.contains(&word.as_str()) || MONTHS.iter().any(|name| word == *name || word == name[..3])
    };
    let mut words = text.split(|char: char| !char.is_alphabetic()).filter(|word| !word.is_empty());
    text.bytes().any(|byte| byte.is_ascii_digit()) && words.all(known) && text.len() <= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * 1_000_000;

    fn check(text: &str, order: DateOrder, expect: Option<(i32, Option<i64>)>) {
        let found = written(text, order).map(|written| (written.day, written.time));
        assert_eq!(found, expect, "{text:?} {order:?}");
    }

    #[test]
    fn the_order_decides() {
        check("01/02/1970", DateOrder::DayFirst, Some((31, None)));
        check("01/02/1970", DateOrder::MonthFirst, Some((1, None)));
        check("13/01/1970", DateOrder::MonthFirst, None);
        check("1.1.1970", DateOrder::DayFirst, Some((0, None)));
        check("1.1.1970", DateOrder::MonthFirst, None);
        check("1/1/70", DateOrder::DayFirst, None);
        check("30/02/2020", DateOrder::DayFirst, None);
        check("1970/1/2", DateOrder::YearFirst, Some((1, None)));
        check("2-Jan-1970", DateOrder::YearFirst, Some((1, None)));
        check("January 2, 1970", DateOrder::YearFirst, Some((1, None)));
        check("2 Sept 1970", DateOrder::YearFirst, Some((244, None)));
        check("2 Foo 1970", DateOrder::YearFirst, None);
        check("1/1/1970x", DateOrder::DayFirst, None);
    }

    #[test]
    fn times_follow_days() {
        check("1/1/1970 0:30", DateOrder::DayFirst, Some((0, Some(30 * MINUTE))));
        check("1/1/1970 12:30 AM", DateOrder::DayFirst, Some((0, Some(30 * MINUTE))));
        check("1/1/1970 1:30:00 pm", DateOrder::DayFirst, Some((0, Some(810 * MINUTE))));
        check("1/1/1970 13:30 PM", DateOrder::DayFirst, None);
        check("1/1/1970 noon", DateOrder::DayFirst, None);
    }

    #[test]
    fn dates_are_told_from_words() {
        for (text, expect) in [("Jan 2020", true), ("12:30 PM", true), ("Jane 2020", false), ("May", false)] {
            assert_eq!(looks_temporal(text), expect, "{text:?}");
        }
    }
}
