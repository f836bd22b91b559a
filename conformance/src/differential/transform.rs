//! The partition of a row, as the Iceberg specification's transforms have it; needed where a statement's meaning depends
//! on partitions (INSERT OVERWRITE). Independent of the product's own.

use super::table::{Applied, Inapplicable, PartitionField, Row, Table, Transform};
use super::value::{Type, Value};
use crate::calendar::{self, DAY_MICROS};

pub fn partition_of(table: &Table, row: &Row) -> Applied<Vec<Value>> {
    let one = |field: &PartitionField| {
        let column = table.columns.iter().find(|column| column.id == field.column).ok_or(Inapplicable)?;
        apply(field.transform, column.kind, &row.get(column))
    };
    table.partition.iter().map(one).collect()
}

pub fn is_allowed(transform: Transform, kind: Type) -> bool {
    let has_date = matches!(kind, Type::Date | Type::Timestamp | Type::Timestamptz);
    match transform {
        Transform::Identity => !matches!(kind, Type::Real | Type::Double),
        Transform::Year | Transform::Month | Transform::Day => has_date,
        Transform::Hour => has_date && kind != Type::Date,
        Transform::Bucket(_) => {
            has_date
                || kind.is_whole_number()
                || matches!(kind, Type::Text | Type::Decimal(..) | Type::Binary | Type::Uuid)
        }
        Transform::Truncate(_) => {
            kind.is_whole_number() || matches!(kind, Type::Text | Type::Decimal(..) | Type::Binary)
        }
    }
}

fn apply(transform: Transform, kind: Type, value: &Value) -> Applied<Value> {
    let days = match value {
        Value::Date(days) => *days,
        Value::Timestamp(micros) => micros.div_euclid(DAY_MICROS) as i32,
        _ => 0,
    };
    Ok(match (transform, value) {
        (_, Value::Null) => Value::Null,
        (Transform::Identity, value) => value.clone(),
        (Transform::Year, _) => Value::Integer(calendar::civil(days).0.into()),
        (Transform::Month, _) => {
            let (year, month, _) = calendar::civil(days);
            Value::Integer(i64::from(year) * 12 + i64::from(month))
        }
        (Transform::Day, _) => Value::Integer(days.into()),
        (Transform::Hour, Value::Timestamp(micros)) => Value::Integer(micros.div_euclid(3_600_000_000)),
        (Transform::Bucket(count), value) => {
            let hash = murmur3(&hashed_bytes(value, kind)?) & 0x7fff_ffff;
            Value::Integer(i64::from(hash % count))
        }
        (Transform::Truncate(width), Value::Integer(number)) => {
            let rest = number.rem_euclid(i64::from(width));
            Value::Integer(number.checked_sub(rest).ok_or(Inapplicable)?)
        }
        (Transform::Truncate(width), Value::Decimal(unscaled, scale)) => {
            Value::Decimal(unscaled - unscaled.rem_euclid(i128::from(width)), *scale)
        }
        (Transform::Truncate(width), Value::Text(text)) => {
            Value::Text(text.chars().take(width as usize).collect())
        }
        (Transform::Truncate(width), Value::Bytes(bytes)) => {
            Value::Bytes(bytes.iter().copied().take(width as usize).collect())
        }
        _ => return Err(Inapplicable),
    })
}

/// Appendix B of the specification.
fn hashed_bytes(value: &Value, kind: Type) -> Applied<Vec<u8>> {
    Ok(match value {
        Value::Integer(number) => number.to_le_bytes().to_vec(),
        Value::Date(days) => i64::from(*days).to_le_bytes().to_vec(),
        Value::Timestamp(micros) => micros.to_le_bytes().to_vec(),
        Value::Text(text) => text.as_bytes().to_vec(),
        Value::Bytes(bytes) => bytes.clone(),
        Value::Decimal(unscaled, _) if matches!(kind, Type::Decimal(..)) => {
            let bytes = unscaled.to_be_bytes();
            // As few bytes as keep the sign.
            let spare = if *unscaled < 0 { 0xff } else { 0 };
            let mut start = 0;
            while start < 15 && bytes[start] == spare && (bytes[start + 1] & 0x80) == (spare & 0x80) {
                start += 1;
            }
            bytes[start..].to_vec()
        }
        _ => return Err(Inapplicable),
    })
}

/// 32-bit murmur3 of the x86 variant with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let blocks = bytes.chunks_exact(4);
    let rest = blocks.remainder();
    for block in blocks {
        let block = block.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        hash = (hash ^ mix(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        hash ^= mix(rest.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)));
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test values of the specification's appendix B.
    #[test]
    fn hashes_are_those_of_the_specification() {
        let check = |value: Value, kind: Type, expect: i32| {
            let hash = murmur3(&hashed_bytes(&value, kind).expect("a value that is hashed"));
            assert_eq!(hash as i32, expect, "{value:?}");
        };
        check(Value::Integer(34), Type::Integer, 2_017_239_379);
        check(Value::Decimal(1420, 2), Type::Decimal(9, 2), -500_754_589);
        check(Value::Date(17_486), Type::Date, -653_330_422);
        check(Value::Text("iceberg".into()), Type::Text, 1_210_000_089);
        check(Value::Bytes(vec![0, 1, 2, 3]), Type::Binary, -188_683_207);
    }
}
