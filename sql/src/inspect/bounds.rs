//! Statistics of a file's columns: maps by field id as other engines have them, and one text for people.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, Int64Builder, MapBuilder, MapFieldNames, StringBuilder};
use arrow::datatypes::{DataType, Field, Fields};
use iceberg::spec::{DataFile, Datum, PrimitiveLiteral, TableMetadata};
use serde_json::{Map, Value, json};

const ENTRIES: &str = "key_value";

pub fn map_type(value: DataType) -> DataType {
    let entries = vec![Field::new("key", DataType::Int32, false), Field::new("value", value, true)];
    let entries = Field::new(ENTRIES, DataType::Struct(Fields::from(entries)), false);
    DataType::Map(Arc::new(entries), false)
}

fn names() -> Option<MapFieldNames> {
    Some(MapFieldNames { entry: ENTRIES.to_owned(), key: "key".to_owned(), value: "value".to_owned() })
}

/// Keys in order, so that the same file always looks the same.
fn sorted<V>(map: &HashMap<i32, V>) -> Vec<(&i32, &V)> {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by_key(|(id, _)| **id);
    pairs
}

pub fn counts<'a>(
    maps: impl Iterator<Item = &'a HashMap<i32, u64>>,
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let mut builder = MapBuilder::new(names(), Int32Builder::new(), Int64Builder::new());
    for map in maps {
        for (id, count) in sorted(map) {
            builder.keys().append_value(*id);
            builder.values().append_option(i64::try_from(*count).ok());
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

pub fn texts<'a>(
    maps: impl Iterator<Item = &'a HashMap<i32, Datum>>,
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let mut builder = MapBuilder::new(names(), Int32Builder::new(), StringBuilder::new());
    for map in maps {
        for (id, bound) in sorted(map) {
            builder.keys().append_value(*id);
            builder.values().append_value(text(bound));
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn text(bound: &Datum) -> String {
    match bound.literal() {
        PrimitiveLiteral::String(text) => text.clone(),
        _ => bound.to_string(),
    }
}

/// All that is known of each column, by its name today.
pub fn readable_metrics(file: &DataFile, metadata: &TableMetadata) -> String {
    let schema = metadata.current_schema();
    let mut columns = Map::new();
    let mut ids: Vec<i32> = schema.field_id_to_name_map().keys().copied().collect();
    ids.sort_unstable();
    for id in ids {
        let known = file.value_counts().contains_key(&id) || file.column_sizes().contains_key(&id);
        let bounded = file.lower_bounds().contains_key(&id) || file.upper_bounds().contains_key(&id);
        let Some(name) = schema.name_by_field_id(id).filter(|_| known || bounded) else { continue };
        let bound = |map: &HashMap<i32, Datum>| map.get(&id).map_or(Value::Null, |bound| json!(text(bound)));
        let count = |map: &HashMap<i32, u64>| map.get(&id).map_or(Value::Null, |count| json!(count));
        let metrics = json!({
            "column_size": count(file.column_sizes()),
            "value_count": count(file.value_counts()),
            "null_value_count": count(file.null_value_counts()),
            "nan_value_count": count(file.nan_value_counts()),
            "lower_bound": bound(file.lower_bounds()),
            "upper_bound": bound(file.upper_bounds()),
        });
        columns.insert(name.to_owned(), metrics);
    }
    Value::Object(columns).to_string()
}
