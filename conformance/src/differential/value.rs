//! The values and types of the model: how they compare, how they are written in SQL, and how an answer's text is read
//! back. It must never know a table or a statement. Next: `expression.rs`, which computes with them.

use crate::calendar;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    Boolean,
    Integer,
    Bigint,
    Real,
    Double,
    Decimal(u8, u8),
    Date,
    Timestamp,
    Timestamptz,
    Text,
    Binary,
    Uuid,
}

/// A value is the same whatever the width of its type, so that widening a column changes no row.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// Unscaled number and scale.
    Decimal(i128, u8),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970.
    Timestamp(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Type {
    pub fn sql(self) -> String {
        match self {
            Type::Boolean => "boolean".into(),
            Type::Integer => "integer".into(),
            Type::Bigint => "bigint".into(),
            Type::Real => "real".into(),
            Type::Double => "double precision".into(),
            Type::Decimal(precision, scale) => format!("numeric({precision},{scale})"),
            Type::Date => "date".into(),
            Type::Timestamp => "timestamp".into(),
            Type::Timestamptz => "timestamptz".into(),
            Type::Text => "text".into(),
            Type::Binary => "bytea".into(),
            Type::Uuid => "uuid".into(),
        }
    }

    /// Do values of the two types compare without a cast?
    pub fn is_like(self, other: Type) -> bool {
        self.class() == other.class()
    }

    fn class(self) -> u8 {
        match self {
            Type::Boolean => 0,
            Type::Integer | Type::Bigint => 1,
            Type::Real | Type::Double => 2,
            Type::Decimal(..) => 3,
            Type::Date => 4,
            Type::Timestamp => 5,
            Type::Timestamptz => 6,
            Type::Text => 7,
            Type::Binary => 8,
            Type::Uuid => 9,
        }
    }

    pub fn is_whole_number(self) -> bool {
        matches!(self, Type::Integer | Type::Bigint)
    }

    /// Do `min` and `max` take it?
    pub fn is_orderable(self) -> bool {
        !matches!(self, Type::Boolean | Type::Binary | Type::Uuid)
    }

    /// The wider type that Iceberg lets a column become.
    pub fn widened(self) -> Option<Type> {
        match self {
            Type::Integer => Some(Type::Bigint),
            Type::Real => Some(Type::Double),
            Type::Decimal(precision, scale) if precision < 30 => Some(Type::Decimal(precision + 8, scale)),
            _ => None,
        }
    }

    /// Any value of the type; it stands for a row where only types matter.
    pub fn example(self) -> Value {
        match self {
            Type::Boolean => Value::Boolean(true),
            Type::Integer | Type::Bigint => Value::Integer(1),
            Type::Real | Type::Double => Value::Float(1.0),
            Type::Decimal(_, scale) => Value::Decimal(1, scale),
            Type::Date => Value::Date(1),
            Type::Timestamp | Type::Timestamptz => Value::Timestamp(1),
            Type::Text => Value::Text("x".into()),
            Type::Binary => Value::Bytes(vec![1]),
            Type::Uuid => Value::Bytes(vec![0; 16]),
        }
    }

    /// Reads a cell of an answer.
    pub fn parse(self, text: &str) -> Option<Value> {
        match self {
            Type::Boolean => match text {
                "t" => Some(Value::Boolean(true)),
                "f" => Some(Value::Boolean(false)),
                _ => None,
            },
            Type::Integer | Type::Bigint => text.parse().ok().map(Value::Integer),
            Type::Real => text.parse::<f32>().ok().map(|number| Value::Float(number.into())),
            Type::Double => text.parse().ok().map(Value::Float),
            Type::Decimal(_, scale) => parse_decimal(text, scale),
            Type::Date => calendar::parse_date(text).map(Value::Date),
            Type::Timestamp => calendar::parse_timestamp(text).map(Value::Timestamp),
            Type::Timestamptz => calendar::parse_timestamp(text.strip_suffix("+00")?).map(Value::Timestamp),
            Type::Text => Some(Value::Text(text.to_string())),
            Type::Binary => parse_hex(text.strip_prefix("\\x")?).map(Value::Bytes),
            Type::Uuid => parse_hex(&text.replace('-', "")).map(Value::Bytes),
        }
    }
}

fn parse_decimal(text: &str, scale: u8) -> Option<Value> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > usize::from(scale) {
        return None;
    }
    let digits = format!("{whole}{fraction:0<width$}", width = usize::from(scale));
    digits.parse().ok().map(|unscaled| Value::Decimal(unscaled, scale))
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn fits(&self, kind: Type) -> bool {
        match (self, kind) {
            (Value::Null, _)
            | (Value::Boolean(_), Type::Boolean)
            | (Value::Integer(_), Type::Bigint)
            | (Value::Float(_), Type::Real | Type::Double)
            | (Value::Date(_), Type::Date)
            | (Value::Timestamp(_), Type::Timestamp | Type::Timestamptz)
            | (Value::Text(_), Type::Text)
            | (Value::Bytes(_), Type::Binary) => true,
            (Value::Integer(number), Type::Integer) => i32::try_from(*number).is_ok(),
            (Value::Decimal(unscaled, scale), Type::Decimal(precision, of_type)) => {
                *scale == of_type && unscaled.unsigned_abs() < 10_u128.pow(precision.into())
            }
            (Value::Bytes(bytes), Type::Uuid) => bytes.len() == 16,
            _ => false,
        }
    }

    /// The value in SQL, so that it has this type wherever it stands.
    pub fn sql(&self, kind: Type) -> String {
        match self {
            Value::Null => format!("NULL::{}", kind.sql()),
            Value::Boolean(truth) => truth.to_string(),
            Value::Integer(number) if (-1_000_000..1_000_000).contains(number) => number.to_string(),
            Value::Integer(number) => format!("'{number}'::{}", kind.sql()),
            Value::Float(number) => format!("'{}'::{}", float_text(*number), kind.sql()),
            Value::Decimal(unscaled, scale) => {
                format!("'{}'::{}", decimal_text(*unscaled, *scale), kind.sql())
            }
            Value::Date(days) => format!("DATE '{}'", calendar::date_text(*days)),
            Value::Timestamp(micros) if kind == Type::Timestamptz => {
                format!("TIMESTAMPTZ '{}+00'", calendar::timestamp_text(*micros))
            }
            Value::Timestamp(micros) => format!("TIMESTAMP '{}'", calendar::timestamp_text(*micros)),
            Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Value::Bytes(bytes) if kind == Type::Uuid => format!("'{}'::uuid", hex(bytes)),
            Value::Bytes(bytes) => format!("'\\x{}'::bytea", hex(bytes)),
        }
    }
}

fn float_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        // Rust's short form has an exponent where the number is very large or small.
        format!("{number:?}")
    }
}

fn decimal_text(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let divisor = 10_u128.pow(scale.into());
    let (whole, fraction) = (unscaled.unsigned_abs() / divisor, unscaled.unsigned_abs() % divisor);
    if scale == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{fraction:0width$}", width = usize::from(scale))
}

impl Ord for Value {
    /// PostgreSQL's order: NaN is above every number, text by its bytes, and NULL, where it is asked, comes last.
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => compare_floats(*a, *b),
            (Value::Decimal(a, a_scale), Value::Decimal(b, b_scale)) => {
                let common = (*a_scale).max(*b_scale);
                let raise = |number: i128, scale: u8| number * 10_i128.pow((common - scale).into());
                raise(*a, *a_scale).cmp(&raise(*b, *b_scale))
            }
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn compare_floats(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
    }
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Boolean(_) => 0,
            Value::Integer(_) => 1,
            Value::Float(_) => 2,
            Value::Decimal(..) => 3,
            Value::Date(_) => 4,
            Value::Timestamp(_) => 5,
            Value::Text(_) => 6,
            Value::Bytes(_) => 7,
            Value::Null => 8,
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Value::Boolean(truth) => truth.hash(state),
            Value::Integer(number) => number.hash(state),
            // The two zeros are equal, and so are all the NaNs.
            Value::Float(number) if *number == 0.0 => 0_u64.hash(state),
            Value::Float(number) if number.is_nan() => 1_u64.hash(state),
            Value::Float(number) => number.to_bits().hash(state),
            // Equal numbers of different scales share a bucket.
            Value::Null | Value::Decimal(..) => {}
            Value::Date(days) => days.hash(state),
            Value::Timestamp(micros) => micros.hash(state),
            Value::Text(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let check = |kind: Type, text: &str| {
            let value = kind.parse(text).expect(text);
            let sql = value.sql(kind);
            assert!(sql.contains(text.trim_end_matches("+00")), "{text} became {sql}");
        };
        check(Type::Decimal(9, 2), "-0.05");
        check(Type::Decimal(38, 0), "-17");
        check(Type::Date, "1969-12-31");
        check(Type::Date, "2024-02-29");
        check(Type::Timestamp, "1969-12-31 23:59:59.999999");
        check(Type::Timestamptz, "9999-12-31 00:00:00+00");
        check(Type::Double, "NaN");
        check(Type::Binary, "\\xdead");
    }

    #[test]
    fn nan_is_above_every_number_and_equal_to_itself() {
        assert!(Value::Float(f64::NAN) > Value::Float(f64::INFINITY));
        assert_eq!(Value::Float(f64::NAN), Value::Float(f64::NAN));
        assert_eq!(Value::Decimal(10, 1), Value::Decimal(100, 2));
    }
}
