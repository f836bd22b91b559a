//! Single values: Iceberg's literals, as defaults and partition values are kept, and DataFusion's.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use iceberg::spec::{PrimitiveLiteral, PrimitiveType};

/// A value as Iceberg keeps it; None for NULL and for types that have no literal.
pub(crate) fn literal_of(scalar: &ScalarValue) -> Option<PrimitiveLiteral> {
    Some(match scalar {
        ScalarValue::Boolean(Some(value)) => PrimitiveLiteral::Boolean(*value),
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => PrimitiveLiteral::Int(*value),
        ScalarValue::Int64(Some(value))
        | ScalarValue::Time64Microsecond(Some(value))
        | ScalarValue::TimestampMicrosecond(Some(value), _)
        | ScalarValue::TimestampNanosecond(Some(value), _) => PrimitiveLiteral::Long(*value),
        ScalarValue::Float32(Some(value)) => PrimitiveLiteral::Float((*value).into()),
        ScalarValue::Float64(Some(value)) => PrimitiveLiteral::Double((*value).into()),
        ScalarValue::Decimal128(Some(value), _, _) => PrimitiveLiteral::Int128(*value),
        ScalarValue::Utf8(Some(value)) => PrimitiveLiteral::String(value.clone()),
        ScalarValue::Binary(Some(value)) => PrimitiveLiteral::Binary(value.clone()),
        ScalarValue::FixedSizeBinary(16, Some(value)) => {
            PrimitiveLiteral::UInt128(u128::from_be_bytes(value.as_slice().try_into().ok()?))
        }
        _ => return None,
    })
}

/// A value of an Iceberg type in Arrow's terms; None if it is not of that type.
pub(crate) fn scalar_of(value: &PrimitiveLiteral, primitive: &PrimitiveType) -> Option<ScalarValue> {
    let utc = || Some(Arc::from("UTC"));
    Some(match (primitive, value) {
        (PrimitiveType::Boolean, PrimitiveLiteral::Boolean(value)) => ScalarValue::Boolean(Some(*value)),
        (PrimitiveType::Int, PrimitiveLiteral::Int(value)) => ScalarValue::Int32(Some(*value)),
        (PrimitiveType::Date, PrimitiveLiteral::Int(value)) => ScalarValue::Date32(Some(*value)),
        // A column that was widened keeps the literal it was given.
        (PrimitiveType::Long, PrimitiveLiteral::Int(value)) => ScalarValue::Int64(Some((*value).into())),
        (PrimitiveType::Long, PrimitiveLiteral::Long(value)) => ScalarValue::Int64(Some(*value)),
        (PrimitiveType::Time, PrimitiveLiteral::Long(value)) => ScalarValue::Time64Microsecond(Some(*value)),
        (PrimitiveType::Timestamp, PrimitiveLiteral::Long(value)) => {
            ScalarValue::TimestampMicrosecond(Some(*value), None)
        }
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(value)) => {
            ScalarValue::TimestampMicrosecond(Some(*value), utc())
        }
        (PrimitiveType::TimestampNs, PrimitiveLiteral::Long(value)) => {
            ScalarValue::TimestampNanosecond(Some(*value), None)
        }
        (PrimitiveType::TimestamptzNs, PrimitiveLiteral::Long(value)) => {
            ScalarValue::TimestampNanosecond(Some(*value), utc())
        }
        (PrimitiveType::Float, PrimitiveLiteral::Float(value)) => ScalarValue::Float32(Some(value.0)),
        (PrimitiveType::Double, PrimitiveLiteral::Float(value)) => {
            ScalarValue::Float64(Some(f64::from(value.0)))
        }
        (PrimitiveType::Double, PrimitiveLiteral::Double(value)) => ScalarValue::Float64(Some(value.0)),
        (PrimitiveType::Decimal { precision, scale }, PrimitiveLiteral::Int128(value)) => {
            let (precision, scale) = (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
            ScalarValue::Decimal128(Some(*value), precision, scale)
        }
        (PrimitiveType::String, PrimitiveLiteral::String(value)) => ScalarValue::Utf8(Some(value.clone())),
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(value)) => ScalarValue::Binary(Some(value.clone())),
        (PrimitiveType::Uuid, PrimitiveLiteral::UInt128(value)) => {
            ScalarValue::FixedSizeBinary(16, Some(value.to_be_bytes().to_vec()))
        }
        (PrimitiveType::Fixed(length), PrimitiveLiteral::Binary(value)) => {
            ScalarValue::FixedSizeBinary(i32::try_from(*length).ok()?, Some(value.clone()))
        }
        _ => return None,
    })
}
