//! One schema from several: columns by name, each with the narrowest type that holds both. It must never see a value.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};

use super::kinds::date_order;

/// Where Arrow marks a field as of a type that it knows by name only, such as UUID.
const EXTENSION_NAME_KEY: &str = "ARROW:extension:name";

/// The columns of `one`, then those that only `other` has. None when a column's types have nothing in common and
/// `text_holds_all` is false; with it, such a column becomes text.
pub fn merged(one: &Schema, other: &Schema, text_holds_all: bool) -> Option<Schema> {
    merged_fields(one.fields(), other.fields(), text_holds_all).map(Schema::new)
}

fn merged_fields(one: &Fields, other: &Fields, text_holds_all: bool) -> Option<Vec<FieldRef>> {
    let mut fields: Vec<FieldRef> = Vec::with_capacity(one.len());
    for field in one {
        fields.push(match other.find(field.name()) {
            Some((_, same)) => Arc::new(merged_field(field, same, text_holds_all)?),
            None => Arc::clone(field),
        });
    }
    fields.extend(other.iter().filter(|field| one.find(field.name()).is_none()).cloned());
    Some(fields)
}

/// One column of two. Days that are written in different orders have only text in common.
fn merged_field(one: &Field, other: &Field, text_holds_all: bool) -> Option<Field> {
    let mut metadata = one.metadata().clone();
    let data_type = match (one.data_type(), other.data_type()) {
        (DataType::Null, known) => {
            metadata.extend(other.metadata().clone());
            known.clone()
        }
        (known, DataType::Null) => known.clone(),
        (known @ DataType::Utf8, _) | (_, known @ DataType::Utf8) => {
            widened(one.data_type(), other.data_type(), text_holds_all)?;
            known.clone()
        }
        (one_type, other_type) if date_order(one) == date_order(other) => {
            widened(one_type, other_type, text_holds_all)?
        }
        _ => DataType::Utf8,
    };
    if data_type == DataType::Utf8 {
        metadata.retain(|key, _| key == EXTENSION_NAME_KEY);
    }
    Some(one.clone().with_data_type(data_type).with_metadata(metadata))
}

/// The narrowest type that holds the values of both types.
fn widened(one: &DataType, other: &DataType, text_holds_all: bool) -> Option<DataType> {
    use DataType::{
        Date32, Decimal128, Float32, Float64, Int32, Int64, List, Map, Null, Struct, Timestamp, Utf8,
    };
    let wider = match (one, other) {
        (one, other) if one == other => Some(one.clone()),
        (Null, known) | (known, Null) => Some(known.clone()),
        (Int32, Int64) | (Int64, Int32) => Some(Int64),
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        (Int32 | Int64, Float32 | Float64) | (Float32 | Float64, Int32 | Int64) => Some(Float64),
        (Int32 | Int64, Decimal128(precision, scale)) | (Decimal128(precision, scale), Int32 | Int64) => {
            Some(wider_decimal((19, 0), (*precision, *scale)))
        }
        (Decimal128(..), Float32 | Float64) | (Float32 | Float64, Decimal128(..)) => Some(Float64),
        (Decimal128(p1, s1), Decimal128(p2, s2)) => Some(wider_decimal((*p1, *s1), (*p2, *s2))),
        (Date32, Timestamp(TimeUnit::Microsecond, None))
        | (Timestamp(TimeUnit::Microsecond, None), Date32) => Some(Timestamp(TimeUnit::Microsecond, None)),
        (List(one), List(other)) => widened(one.data_type(), other.data_type(), text_holds_all)
            .map(|element| List(Arc::new(one.as_ref().clone().with_data_type(element)))),
        (Struct(one), Struct(other)) => {
            merged_fields(one, other, text_holds_all).map(|fields| Struct(fields.into()))
        }
        (List(_) | Struct(_) | Map(..), _) | (_, List(_) | Struct(_) | Map(..)) => None,
        _ => Some(Utf8),
    };
    wider.or(text_holds_all.then_some(Utf8))
}

/// The decimal with enough digits before and after the point for both; a double when there is none.
fn wider_decimal((p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> DataType {
    let scale = s1.max(s2);
    let whole = (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2));
    match u8::try_from(whole + i16::from(scale)) {
        Ok(precision) if precision <= 38 => DataType::Decimal128(precision, scale),
        _ => DataType::Float64,
    }
}

/// The schema of a table: what is still unknown becomes text, which holds whatever comes. Of the fields' metadata only
/// the mark of a UUID is kept.
pub fn finished(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(finished_field).collect::<Vec<FieldRef>>())
}

fn finished_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Null => DataType::Utf8,
        DataType::List(element) => DataType::List(finished_field(element)),
        DataType::Struct(fields) if fields.is_empty() => DataType::Utf8,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(finished_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(finished_field(entries), *sorted),
        other => other.clone(),
    };
    let plain = Field::new(field.name(), data_type, field.is_nullable());
    let uuid = field.metadata().iter().filter(|(key, _)| *key == EXTENSION_NAME_KEY);
    Arc::new(plain.with_metadata(uuid.map(|(key, name)| (key.clone(), name.clone())).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> Schema {
        Schema::new(fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>())
    }

    fn list(element: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("element", element, true)))
    }

    #[test]
    fn types_widen() {
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (one, other, expect) in [
            (DataType::Int64, DataType::Int64, Some(DataType::Int64)),
            (DataType::Null, DataType::Int64, Some(DataType::Int64)),
            (DataType::Int32, DataType::Float32, Some(DataType::Float64)),
            (DataType::Date32, timestamp.clone(), Some(timestamp)),
            (DataType::Int64, DataType::Utf8, Some(DataType::Utf8)),
            (DataType::Boolean, DataType::Date32, Some(DataType::Utf8)),
            (DataType::Decimal128(10, 2), DataType::Decimal128(8, 4), Some(DataType::Decimal128(12, 4))),
            (DataType::Decimal128(38, 0), DataType::Decimal128(38, 10), Some(DataType::Float64)),
            (list(DataType::Null), list(DataType::Utf8), Some(list(DataType::Utf8))),
            (list(DataType::Int64), DataType::Int64, None),
        ] {
            assert_eq!(widened(&one, &other, false), expect, "{one} with {other}");
            assert_eq!(widened(&other, &one, false), expect, "{other} with {one}");
        }
        assert_eq!(widened(&list(DataType::Int64), &DataType::Int64, true), Some(DataType::Utf8));
    }

    #[test]
    fn new_columns_come_last() {
        let one = schema(&[("id", DataType::Int64), ("old", DataType::Utf8)]);
        let other = schema(&[("new", DataType::Boolean), ("id", DataType::Float64)]);
        let expect =
            schema(&[("id", DataType::Float64), ("old", DataType::Utf8), ("new", DataType::Boolean)]);
        assert_eq!(merged(&one, &other, false), Some(expect));
    }

    #[test]
    fn what_is_unknown_becomes_text() {
        let found = finished(&schema(&[("a", DataType::Null), ("b", list(DataType::Null))]));
        assert_eq!(found, schema(&[("a", DataType::Utf8), ("b", list(DataType::Utf8))]));
    }
}
