//! Values: mostly a few that are near each other, so that conditions and joins meet; some at the edges of their type,
//! where bounds, truncation and overflow go wrong.

use super::generator::Generator;
use crate::calendar::{DAY_MICROS, days};
use crate::differential::features::Feature;
use crate::differential::value::{Type, Value};
use rand::Rng;

const TYPES: [Type; 15] = [
    Type::Boolean,
    Type::Integer,
    Type::Integer,
    Type::Bigint,
    Type::Real,
    Type::Double,
    Type::Decimal(9, 2),
    Type::Decimal(18, 4),
    Type::Date,
    Type::Timestamp,
    Type::Timestamptz,
    Type::Text,
    Type::Text,
    Type::Binary,
    Type::Uuid,
];

impl Generator {
    pub fn kind(&mut self) -> Type {
        TYPES[self.random.random_range(0..TYPES.len())]
    }

    pub fn value_or_null(&mut self, kind: Type) -> Value {
        if self.chance(12) { Value::Null } else { self.value(kind) }
    }

    pub fn value(&mut self, kind: Type) -> Value {
        let is_edge = self.chance(8);
        match kind {
            Type::Boolean => Value::Boolean(self.chance(50)),
            Type::Integer if is_edge => self.integer_of(&[i32::MIN.into(), i32::MAX.into(), 0]),
            Type::Bigint if is_edge => {
                self.integer_of(&[i64::MIN, i64::MAX, i64::from(i32::MAX) + 1, 1 << 53, (1 << 53) + 1])
            }
            Type::Integer | Type::Bigint => Value::Integer(self.random.random_range(-4..24)),
            Type::Real | Type::Double if is_edge && self.has(Feature::Nan) && self.chance(40) => {
                Value::Float(f64::NAN)
            }
            Type::Real if is_edge => self.float_of(&[f64::INFINITY, f64::NEG_INFINITY]),
            Type::Double if is_edge => self.float_of(&[f64::INFINITY, -1e300, 1e-300]),
            Type::Real | Type::Double => Value::Float(f64::from(self.random.random_range(-40..40)) / 4.0),
            Type::Decimal(precision, scale) if is_edge => {
                let largest = 10_i128.pow(precision.min(18).into()) - 1;
                Value::Decimal(if self.chance(50) { largest } else { -largest }, scale)
            }
            Type::Decimal(_, scale) => Value::Decimal(self.random.random_range(-500..500), scale),
            Type::Date if is_edge => {
                let edges = [days(1, 1, 1), days(9999, 12, 31), days(2024, 2, 29), days(1969, 12, 31)];
                Value::Date(edges[self.random.random_range(0..edges.len())])
            }
            Type::Date => Value::Date(self.random.random_range(-20..60)),
            Type::Timestamp | Type::Timestamptz if is_edge => {
                let day = i64::from(self.random.random_range(-800..20_000));
                Value::Timestamp(day * DAY_MICROS - 1)
            }
            Type::Timestamp | Type::Timestamptz => {
                Value::Timestamp(self.random.random_range(-60_i64..100) * 1_800_000_000)
            }
            Type::Text => Value::Text(self.text(is_edge)),
            Type::Binary => {
                let length = self.random.random_range(0..4);
                Value::Bytes((0..length).map(|_| self.random.random_range(0xfd..=0xff)).collect())
            }
            Type::Uuid => {
                let mut bytes = vec![0x80; 16];
                bytes[0] = self.random.random_range(0x7e..0x82);
                Value::Bytes(bytes)
            }
        }
    }

    fn integer_of(&mut self, numbers: &[i64]) -> Value {
        Value::Integer(numbers[self.random.random_range(0..numbers.len())])
    }

    fn float_of(&mut self, numbers: &[f64]) -> Value {
        Value::Float(numbers[self.random.random_range(0..numbers.len())])
    }

    fn text(&mut self, is_edge: bool) -> String {
        if is_edge {
            // Bounds are cut after 16 characters and footers after 64 bytes; the last one has no upper bound.
            let tail = self.random.random_range(0..3);
            return match self.random.random_range(0..4) {
                0 => format!("a common beginning of many letters {tail}"),
                1 => format!("{}{tail}", "z".repeat(70)),
                2 => format!("{}{tail}", "\u{10ffff}".repeat(20)),
                _ => format!("{}{tail}", "ÿ".repeat(17)),
            };
        }
        let pool = [
            "", "a", "A", "ab", "abc", "abd", "b", "zwölf", "100%", "x_y", "it's", "row 1", "row 2", "☃", " ",
        ];
        pool[self.random.random_range(0..pool.len())].to_string()
    }

    pub fn pattern(&mut self) -> String {
        let pool =
            ["a%", "%b", "%o%", "_", "a_%", "", "%", "row _", "zw_lf", "%\u{2603}", "a common%", "zzzz%"];
        pool[self.random.random_range(0..pool.len())].to_string()
    }
}
