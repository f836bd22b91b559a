//! How a text becomes a value: the one set of rules that inference and reading share, so that a type chosen from the
//! text of a file always reads that text. It accepts only forms that keep their meaning as the value: `00172` is no
//! number, `+5` and `1,000` neither. It must never see a file or an array.

use chrono::NaiveDate;

/// Microseconds in one second, one minute and one day.
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;
/// Days from 0001-01-01 (day 1 of the Common Era) to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;
/// A decimal text with more digits than this does not come back from a double unchanged. Who writes an exponent has
/// written a double.
const DOUBLE_DIGITS_MAX: usize = 17;

/// What stands for a value that is missing, in columns of anything but text.
const NULL_WORDS: [&str; 21] = [
    "na", "n/a", "n.a.", "#n/a", "#na", "#null!", "null", "(null)", "none", "nan", "nil", "nd", "-", "--",
    "?", ".", "..", "...", ":", "\\n", "missing",
];

/// Whether a text says that there is no value. Where a column is text, it is a text like any other.
pub fn is_null_word(text: &str) -> bool {
    let possible = text.len() <= 7 && !text.starts_with(|first: char| first.is_ascii_digit());
    possible && NULL_WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// `true` or `false`, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A whole number as it would be printed: no plus sign, no leading zero, no `-0`.
pub fn long(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let canonical = match digits {
        [] => false,
        [b'0'] => !text.starts_with('-'),
        [b'0', ..] => false,
        all => all.iter().all(u8::is_ascii_digit),
    };
    if canonical { text.parse().ok() } else { None }
}

/// A decimal number. An exponent counts only beside a decimal point or a sign: `1E5` may be a product code.
pub fn double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole_fits = digits(whole) && (whole.len() == 1 || !whole.starts_with('0'));
    let fraction_fits = fraction.is_none_or(digits);
    let exponent_fits = exponent.is_none_or(|exponent| {
        let signed = exponent.starts_with(['+', '-']);
        (signed || fraction.is_some()) && digits(exponent.trim_start_matches(['+', '-']))
    });
    let leading_point = whole.is_empty() && fraction.is_some();
    if !(whole_fits || leading_point) || !fraction_fits || !exponent_fits {
        return None;
    }
    let significant = mantissa.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if significant > DOUBLE_DIGITS_MAX && exponent.is_none() {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `YYYY-MM-DD`, as days since 1970-01-01.
pub fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = number(&bytes[0..4])?;
    let month = number(&bytes[5..7])?;
    let day = number(&bytes[8..10])?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(chrono::Datelike::num_days_from_ce(&date) - EPOCH_FROM_CE)
}

/// The first moment of a day given as days since 1970-01-01, in microseconds.
pub fn midnight(day: i32) -> i64 {
    i64::from(day) * DAY
}

/// A point in time as a text names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since 1970-01-01, in UTC when `zoned`, else as read off the clock on the wall.
    pub micros: i64,
    /// The text names its offset from UTC.
    pub zoned: bool,
}

/// `YYYY-MM-DD hh:mm[:ss[.fraction]]` with `T` or a space between, and an optional offset: `Z`, `+02`, `+0200` or
/// `+02:00`. Digits beyond microseconds are cut off.
pub fn moment(text: &str) -> Option<Moment> {
    let day = date(text.get(..10)?)?;
    let rest = text.get(10..)?.strip_prefix(['T', ' ', 't'])?;
    let (clock, offset) = split_offset(rest)?;
    let micros = midnight(day) + clock_micros(clock)?;
    Some(Moment { micros: micros - offset.unwrap_or(0), zoned: offset.is_some() })
}

/// The time of day and the offset from UTC in microseconds, if there is one.
fn split_offset(text: &str) -> Option<(&str, Option<i64>)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, Some(0)));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, None)) };
    let (clock, offset) = text.split_at(at);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let offset = &offset.as_bytes()[1..];
    let (hours, minutes) = match offset.len() {
        2 => (number(offset)?, 0),
        4 => (number(&offset[..2])?, number(&offset[2..])?),
        5 if offset[2] == b':' => (number(&offset[..2])?, number(&offset[3..])?),
        _ => return None,
    };
    let within = hours <= 15 && minutes < 60;
    within.then(|| (clock.trim_end(), Some(sign * (i64::from(hours) * 60 + i64::from(minutes)) * MINUTE)))
}

pub(super) fn clock_micros(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock.as_bytes(), Some(fraction)),
        None => (text.as_bytes(), None),
    };
    let (hour, minute, second) = match clock.len() {
        5 if clock[2] == b':' && fraction.is_none() => (number(&clock[..2])?, number(&clock[3..])?, 0),
        8 if clock[2] == b':' && clock[5] == b':' => {
            (number(&clock[..2])?, number(&clock[3..5])?, number(&clock[6..])?)
        }
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * SECOND + fraction.map_or(Some(0), fraction_micros)?)
}

fn fraction_micros(text: &str) -> Option<i64> {
    if !digits(text) || text.len() > 9 {
        return None;
    }
    let shown = &text[..text.len().min(6)];
    let micros: i64 = shown.parse().ok()?;
    Some(micros * 10_i64.pow(u32::try_from(6 - shown.len()).ok()?))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0_u32, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_their_text() {
        for (text, expect) in [
            ("0", Some(0)),
            ("172", Some(172)),
            ("-5", Some(-5)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("00172", None),
            ("-0", None),
            ("+5", None),
            ("1,000", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1.0", None),
        ] {
            assert_eq!(long(text), expect, "{text:?}");
        }
    }

    #[test]
    fn decimal_numbers_keep_their_meaning() {
        for (text, expect) in [
            ("1.5", Some(1.5)),
            ("-0.25", Some(-0.25)),
            (".5", Some(0.5)),
            ("12", Some(12.0)),
            ("1.5e3", Some(1500.0)),
            ("1e-3", Some(0.001)),
            ("1.000000000000000000e+00", Some(1.0)),
            ("1E5", None),
            ("12e7", None),
            ("00.5", None),
            ("007", None),
            ("5.", None),
            ("1.2.3", None),
            ("NaN", None),
            ("inf", None),
            ("1e+999", None),
            ("$5.00", None),
            ("0.1234567890123456789", None),
        ] {
            assert_eq!(double(text), expect, "{text:?}");
        }
    }

    #[test]
    fn dates_are_iso_days() {
        for (text, expect) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("1732-02-22", Some(-86_876)),
            ("2024-02-29", Some(19_782)),
            ("2023-02-29", None),
            ("2024-1-01", None),
            ("01/02/2024", None),
            ("20240101", None),
        ] {
            assert_eq!(date(text), expect, "{text:?}");
        }
    }

    #[test]
    fn moments_know_whether_they_have_a_zone() {
        let local = |micros| Some(Moment { micros, zoned: false });
        let zoned = |micros| Some(Moment { micros, zoned: true });
        for (text, expect) in [
            ("1970-01-01 00:00:01", local(SECOND)),
            ("1970-01-01T00:01", local(MINUTE)),
            ("1970-01-01T00:00:00.5", local(500_000)),
            ("1970-01-01T00:00:00.123456789", local(123_456)),
            ("1970-01-01T02:00:00+02:00", zoned(0)),
            ("1970-01-01 00:00:00-0130", zoned(90 * MINUTE)),
            ("1970-01-01T00:00:00Z", zoned(0)),
            ("1970-01-01 00:00:00+01", zoned(-60 * MINUTE)),
            ("1970-01-01", None),
            ("1970-01-01 24:00:00", None),
            ("1970-01-01 00:00:60", None),
            ("1970-01-01 0:00:00", None),
            ("1970-01-01 00:00:00 CET", None),
        ] {
            assert_eq!(moment(text), expect, "{text:?}");
        }
    }

    #[test]
    fn booleans_are_words() {
        assert_eq!(boolean("TRUE"), Some(true));
        assert_eq!(boolean("false"), Some(false));
        assert_eq!(boolean("yes"), None);
        assert_eq!(boolean("1"), None);
    }
}
