//! Decimal numbers as digits and the count of those after the point: to another scale, to text, and from text.

/// The same number with another count of digits after the point, halves away from zero; None when it does not fit.
pub fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    let shift = i32::from(to) - i32::from(from);
    let power = power_of_ten(shift.unsigned_abs());
    match (shift >= 0, power) {
        (true, Some(power)) => value.checked_mul(power),
        (true, None) => (value == 0).then_some(0),
        (false, Some(power)) => Some(rounded(value, power)),
        (false, None) => Some(0),
    }
}

fn rounded(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, value % divisor);
    // Of an odd divisor, half is never met.
    let up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    match up && divisor > 1 {
        true => quotient + value.signum(),
        false => quotient,
    }
}

pub fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// `12.50`
pub fn shown(value: i128, scale: i8) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let Ok(scale) = usize::try_from(scale) else {
        let zeros = usize::from(scale.unsigned_abs());
        return format!("{sign}{digits}{:0<zeros$}", "");
    };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// The digits of a text such as `-12.50` or `1e3`, and how many stand after the point; None for anything else, and for
/// more digits than there is room for.
pub fn parse(text: &str) -> Option<(i128, i8)> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(place) => (&text[..place], text[place + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix(['-', '+']) {
        Some(digits) => (mantissa.starts_with('-'), digits),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value.checked_mul(10)?.checked_add(digit.to_digit(10)?.into())?;
    }
    let value = if negative { -value } else { value };
    let scale = i32::try_from(fraction.len()).ok()? - exponent;
    match scale {
        0.. => Some((value, i8::try_from(scale).ok().filter(|scale| *scale <= 38)?)),
        _ => Some((value.checked_mul(power_of_ten(scale.unsigned_abs())?)?, 0)),
    }
}

/// The number without zeros at the end of its fraction.
pub fn trimmed(mut value: i128, mut scale: i8) -> (i128, i8) {
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    (value, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for (text, expect) in [("12.50", "12.50"), ("-0.5", "-0.5"), ("1e3", "1000"), ("1.5e-3", "0.0015")] {
            let (value, scale) = parse(text).expect(text);
            assert_eq!(shown(value, scale), expect, "{text}");
        }
        for text in ["", "a", "1e", "1.2.3", "-"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        for (value, from, to, expect) in
            [(25, 1, 0, 3), (-25, 1, 0, -3), (24, 1, 0, 2), (149, 2, 0, 1), (5, 0, 2, 500), (50, 2, 0, 1)]
        {
            assert_eq!(rescale(value, from, to), Some(expect), "{value}");
        }
    }

    #[test]
    fn zeros_at_the_end_go() {
        assert_eq!(trimmed(84_100, 4), (841, 2));
        assert_eq!(trimmed(10000, 2), (100, 0));
    }
}
