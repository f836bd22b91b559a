//! Dates and times in the form in which PostgreSQL writes them, read without looking for any other.

pub const DAY_MICROS: i64 = 86_400_000_000;

/// Two digits.
#[inline]
fn pair(bytes: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (bytes.get(at)?.wrapping_sub(b'0'), bytes.get(at + 1)?.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// Days since 1970-01-01 of `2024-01-31`.
#[inline]
pub fn date(text: &[u8]) -> Option<i32> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = pair(text, 0)? * 100 + pair(text, 2)?;
    let (month, day) = (pair(text, 5)?, pair(text, 8)?);
    let last = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || !(1..=last).contains(&day) {
        return None;
    }
    // Howard Hinnant's algorithm: years begin on 1 March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    i32::try_from(days).ok()
}

/// Microseconds since midnight of `12:34:56` or `12:34:56.789`.
#[inline]
pub fn time(text: &[u8]) -> Option<i64> {
    let (clock, fraction) = text.split_at_checked(8)?;
    if clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let (hours, minutes, seconds) = (pair(clock, 0)?, pair(clock, 3)?, pair(clock, 6)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let mut micros = 0;
    if let Some((point, digits)) = fraction.split_first() {
        if *point != b'.' || digits.is_empty() || digits.len() > 6 {
            return None;
        }
        for place in 0..6 {
            let digit = digits.get(place).map_or(0, |byte| byte.wrapping_sub(b'0'));
            if digit > 9 {
                return None;
            }
            micros = micros * 10 + i64::from(digit);
        }
    }
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// Microseconds since 1970-01-01 of `2024-01-31 12:34:56.789`, in UTC if a zone must be said.
#[inline]
pub fn timestamp(text: &[u8], with_zone: bool) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let (separator, mut clock) = rest.split_first()?;
    if !matches!(separator, b' ' | b'T') {
        return None;
    }
    if with_zone {
        clock = clock.strip_suffix(b"+00").or_else(|| clock.strip_suffix(b"Z"))?;
    }
    Some(i64::from(date(day)?) * DAY_MICROS + time(clock)?)
}
