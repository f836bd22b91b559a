//! Decimals of a `COPY FROM`. As PostgreSQL does for a column of that type, digits behind the point that the column does
//! not have are rounded, half away from zero; digits before it that it does not have are an error.

use crate::postgres::error::Report;

/// Exponents beyond this make a number that no column holds, or nothing.
const EXPONENT_MAX: i32 = 1_000;

/// Reads a decimal as a count of its last digits; `None` when the text is no number.
pub fn parse(text: &[u8], precision: u8, scale: i8) -> Option<Result<i128, Report>> {
    let text = text.trim_ascii();
    let (negative, rest) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let mut number = Number { scale: i32::from(scale), ..Number::default() };
    let mut digits = 0usize;
    let mut place = 0;
    while let Some(byte) = rest.get(place) {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' if number.point.is_none() => number.point = Some(digits),
            b'e' | b'E' => break,
            _ => return None,
        }
        place += 1;
    }
    if digits == 0 {
        return None;
    }
    let exponent = match rest.get(place + 1..) {
        _ if place == rest.len() => 0,
        Some(exponent) => std::str::from_utf8(exponent).ok()?.parse::<i32>().ok()?,
        None => return None,
    };
    let before_point = i32::try_from(number.point.unwrap_or(digits)).ok()?;
    // So many of the digits count; the first that does not decides on rounding.
    let kept = before_point.saturating_add(exponent.clamp(-EXPONENT_MAX, EXPONENT_MAX)) + number.scale;
    let mut counted = 0;
    for byte in rest[..place].iter().filter(|byte| **byte != b'.') {
        number.take(byte - b'0', counted, kept);
        counted += 1;
    }
    while counted < kept && number.value != Some(0) {
        number.take(0, counted, kept);
        counted += 1;
    }
    let magnitude = number.value.and_then(|value| value.checked_add(u128::from(number.round_up)));
    let fits = magnitude.filter(|magnitude| *magnitude < 10u128.pow(u32::from(precision)));
    Some(match fits.and_then(|magnitude| i128::try_from(magnitude).ok()) {
        Some(value) => Ok(if negative { -value } else { value }),
        None => Err(overflow(precision, scale)),
    })
}

#[derive(Debug)]
struct Number {
    scale: i32,
    /// How many digits stand before the point.
    point: Option<usize>,
    /// `None` when it has become too large.
    value: Option<u128>,
    round_up: bool,
}

impl Default for Number {
    fn default() -> Number {
        Number { scale: 0, point: None, value: Some(0), round_up: false }
    }
}

impl Number {
    /// The digit after `counted` others, of which `kept` count.
    #[inline]
    fn take(&mut self, digit: u8, counted: i32, kept: i32) {
        if counted < kept {
            let value = self.value.and_then(|value| value.checked_mul(10));
            self.value = value.and_then(|value| value.checked_add(u128::from(digit)));
        } else if counted == kept {
            self.round_up = digit >= 5;
        }
    }
}

fn overflow(precision: u8, scale: i8) -> Report {
    let whole = i16::from(precision) - i16::from(scale);
    Report::new("22003", "numeric field overflow").with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{whole}."
    ))
}

/// The usual binary numerics: at most 28 digits, in groups of four.
#[inline]
pub fn parse_short_binary(value: &[u8], scale: i8, limit: i128) -> Option<i128> {
    let (head, groups) = value.split_first_chunk::<8>()?;
    let field = |place: usize| i16::from_be_bytes([head[place], head[place + 1]]);
    let (count, weight, sign) = (field(0), field(2), field(4));
    let (pairs, rest) = groups.as_chunks::<2>();
    if pairs.len() > 7 || !rest.is_empty() || usize::try_from(count) != Ok(pairs.len()) {
        return None;
    }
    let mut digits = 0i128;
    for pair in pairs {
        let group = u16::from_be_bytes(*pair);
        if group >= 10_000 {
            return None;
        }
        digits = digits * 10_000 + i128::from(group);
    }
    let exponent = (i32::from(weight) - i32::from(count) + 1) * 4 + i32::from(scale);
    let magnitude = match exponent {
        0..=10 => digits * 10i128.pow(exponent.unsigned_abs()),
        -18..0 => {
            let unit = 10i128.pow(exponent.unsigned_abs());
            digits / unit + i128::from(digits % unit >= unit / 2)
        }
        _ => return None,
    };
    match sign {
        0 if magnitude < limit => Some(magnitude),
        0x4000 if magnitude < limit => Some(-magnitude),
        _ => None,
    }
}

/// The usual numbers: a sign, at most 18 digits, and no more of them behind the point than the column has. They must be
/// below `limit`.
#[inline]
pub fn parse_short(text: &[u8], scale: i8, limit: i128) -> Option<i128> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    if digits.len() > 18 {
        return None;
    }
    let (mut value, mut behind, mut point, mut any) = (0i64, 0i8, false, false);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + i64::from(digit);
            behind += i8::from(point);
            any = true;
        } else if *byte == b'.' && !point {
            point = true;
        } else {
            return None;
        }
    }
    let missing = u32::try_from(scale.checked_sub(behind)?).ok()?;
    if !any || missing > 18 {
        return None;
    }
    let value = i128::from(value) * i128::from(10i64.pow(missing));
    if value >= limit {
        return None;
    }
    Some(if negative { -value } else { value })
}
