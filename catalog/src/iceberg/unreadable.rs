//! Metadata files that cannot be read in full: why, and what they say of themselves all the same. A table with such a
//! file is listed, can be dropped, and says on being read what is in its way. It must never guess: what a file says is
//! used for listing the table and never for reading rows. Next: `metadata.rs`.

use iceberg::spec::{PrimitiveType, Transform};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::object::TablePointer;

/// The format versions that can be read.
const FORMAT_VERSIONS: std::ops::RangeInclusive<u64> = 1..=3;

/// Nesting of types beyond which nobody looks for the one that is unknown.
const DEPTH_MAX: usize = 64;

/// Why a metadata file that was refused cannot be read, as the end of "it cannot be read: ".
pub(super) fn reason(json: &[u8]) -> String {
    let value: Value = match serde_json::from_slice(json) {
        Ok(value) => value,
        Err(error) if error.is_eof() => return "it ends too early".to_owned(),
        Err(error) => return format!("it is not JSON: {error}"),
    };
    let version = value.get("format-version").and_then(Value::as_u64);
    let Some(version) = version else { return "it has no format version".to_owned() };
    if !FORMAT_VERSIONS.contains(&version) {
        let (first, last) = (FORMAT_VERSIONS.start(), FORMAT_VERSIONS.end());
        return format!("it has format version {version}, and versions {first} to {last} are known");
    }
    let unknown = unknown_type(&value).or_else(|| unknown_transform(&value));
    let wrong = unknown.or_else(|| lacking(&value, version)).or_else(|| contradiction(&value));
    wrong.unwrap_or_else(|| format!("it lacks or contradicts what format version {version} asks for"))
}

/// What every metadata file of a format version must have (specification, "Table Metadata Fields"); one of several names
/// where an older one is known too.
fn lacking(metadata: &Value, version: u64) -> Option<String> {
    const ALWAYS: [&[&str]; 5] = [
        &["location"],
        &["last-updated-ms"],
        &["last-column-id"],
        &["schemas", "schema"],
        &["partition-specs", "partition-spec"],
    ];
    const SINCE_2: [&[&str]; 8] = [
        &["table-uuid"],
        &["last-sequence-number"],
        &["schemas"],
        &["current-schema-id"],
        &["partition-specs"],
        &["default-spec-id"],
        &["last-partition-id"],
        &["sort-orders"],
    ];
    // In version 1 the current schema stands by itself, or is named among others.
    const ONLY_1: [&[&str]; 1] = [&["schema", "current-schema-id"]];
    let since_2 = if version >= 2 { &SINCE_2[..] } else { &ONLY_1[..] };
    let since_3: &[&[&str]] = if version >= 3 { &[&["next-row-id"]] } else { &[] };
    let lacks = |names: &&&[&str]| names.iter().all(|name| metadata.get(name).is_none_or(Value::is_null));
    let names = ALWAYS.iter().chain(since_2).chain(since_3).find(lacks)?;
    Some(format!("it has no \"{}\", which format version {version} asks for", names.first()?))
}

/// The first thing that is named and not there.
fn contradiction(metadata: &Value) -> Option<String> {
    let named = [
        ("current-schema-id", "schemas", "schema-id", "schema"),
        ("default-spec-id", "partition-specs", "spec-id", "partition spec"),
        ("default-sort-order-id", "sort-orders", "order-id", "sort order"),
        ("current-snapshot-id", "snapshots", "snapshot-id", "snapshot"),
    ];
    named.into_iter().find_map(|(name, list, key, word)| {
        let id = metadata.get(name).and_then(Value::as_i64).filter(|id| *id >= 0)?;
        let list = metadata.get(list).and_then(Value::as_array)?;
        let there = list.iter().any(|item| item.get(key).and_then(Value::as_i64) == Some(id));
        (!there).then(|| format!("its \"{name}\" is {id}, and it has no such {word}"))
    })
}

/// The pointer to a metadata file that cannot be read.
///
/// # Errors
///
/// The file does not even say what table it is of.
pub fn pointer_to_unreadable(json: &[u8], metadata_location: String) -> Result<TablePointer> {
    let refused = || {
        let message = format!("the table's metadata cannot be read: {}", reason(json));
        Error::new(ErrorKind::Unsupported, message)
            .with_detail(format!("The file is {metadata_location}."))
            .with_hint("Look for the table's newest metadata file, or restore it.")
    };
    let value: Value = serde_json::from_slice(json).map_err(|_| refused())?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let location = text("location").ok_or_else(refused)?.trim_end_matches('/').to_owned();
    let uuid = text("table-uuid").and_then(|text| Uuid::try_parse(text).ok()).ok_or_else(refused)?;
    let version = value.get("format-version").and_then(Value::as_u64);
    let format_version = version.and_then(|version| u8::try_from(version).ok()).ok_or_else(refused)?;
    let snapshot_id = value.get("current-snapshot-id").and_then(Value::as_i64).filter(|id| *id >= 0);
    Ok(TablePointer {
        metadata_location,
        location,
        uuid,
        format_version,
        snapshot_id,
        row_count: 0,
        bytes: 0,
        constrained: false,
        unsupported: Some(reason(json)),
    })
}

/// The first type in any of the schemas that is not known.
fn unknown_type(metadata: &Value) -> Option<String> {
    let many = metadata.get("schemas").and_then(Value::as_array).into_iter().flatten();
    many.chain(metadata.get("schema")).find_map(|schema| {
        let (path, name) = unknown_field(schema, "", DEPTH_MAX)?;
        Some(format!("column \"{path}\" is of type {name}, which is not known"))
    })
}

fn unknown_field(of: &Value, path: &str, depth: usize) -> Option<(String, String)> {
    let depth = depth.checked_sub(1)?;
    if let Some(name) = of.as_str() {
        let known = serde_json::from_value::<PrimitiveType>(of.clone()).is_ok();
        return (!known).then(|| (path.to_owned(), name.to_owned()));
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match of.get("type").and_then(Value::as_str) {
        Some("struct") => {
            of.get("fields")?.as_array()?.iter().find_map(|field| {
                unknown_field(field.get("type")?, &below(field.get("name")?.as_str()?), depth)
            })
        }
        Some("list") => unknown_field(of.get("element")?, &below("element"), depth),
        Some("map") => {
            ["key", "value"].into_iter().find_map(|side| unknown_field(of.get(side)?, &below(side), depth))
        }
        Some(other) => Some((path.to_owned(), other.to_owned())),
        None => None,
    }
}

/// The first transform of a partition spec or sort order that is not known.
fn unknown_transform(metadata: &Value) -> Option<String> {
    let lists = ["partition-specs", "sort-orders"].into_iter().filter_map(|list| metadata.get(list));
    let fields = lists
        .flat_map(|list| list.as_array().into_iter().flatten())
        .flat_map(|spec| spec.get("fields").and_then(Value::as_array).into_iter().flatten());
    fields.into_iter().find_map(|field| {
        let name = field.get("name").and_then(Value::as_str).unwrap_or("of a sort order");
        if field.get("source-id").is_none() && field.get("source-ids").is_some() {
            return Some(format!("partition field \"{name}\" is made of several columns"));
        }
        let transform = field.get("transform")?;
        let known = serde_json::from_value::<Transform>(transform.clone()).is_ok();
        (!known)
            .then(|| format!("partition field \"{name}\" has the transform {transform}, which is not known"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::iceberg::parse_metadata;

    fn metadata() -> Value {
        json!({
            "format-version": 3, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "file:///w/t/",
            "last-sequence-number": 0, "next-row-id": 0, "last-updated-ms": 1, "last-column-id": 3,
            "current-schema-id": 0, "schemas": [{"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "a", "required": false, "type": "long"},
                {"id": 2, "name": "b", "required": false, "type": {"type": "list", "element-id": 3,
                    "element-required": false, "element": "string"}}]}],
            "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "snapshots": [],
        })
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        let mut value = metadata();
        change(&mut value);
        let json = value.to_string();
        assert!(parse_metadata(json.as_bytes()).is_err(), "{json} is readable");
        reason(json.as_bytes())
    }

    #[test]
    fn the_reason_names_what_is_not_known() {
        parse_metadata(metadata().to_string().as_bytes()).expect("all of it is known");
        let column = refused(|value| value["schemas"][0]["fields"][0]["type"] = json!("variant"));
        assert_eq!(column, "column \"a\" is of type variant, which is not known");
        let nested =
            refused(|value| value["schemas"][0]["fields"][1]["type"]["element"] = json!("geometry(srid:1)"));
        assert_eq!(nested, "column \"b.element\" is of type geometry(srid:1), which is not known");
        let version = refused(|value| value["format-version"] = json!(4));
        assert_eq!(version, "it has format version 4, and versions 1 to 3 are known");
        let several = refused(|value| {
            value["partition-specs"][0]["fields"] =
                json!([{"name": "p", "source-ids": [1, 2], "field-id": 1000, "transform": "bucket[4]"}]);
        });
        assert_eq!(several, "partition field \"p\" is made of several columns");
        let lacking = refused(|value| drop(value.as_object_mut().map(|value| value.remove("schemas"))));
        assert_eq!(lacking, "it has no \"schemas\", which format version 3 asks for");
        let null = refused(|value| value["last-partition-id"] = Value::Null);
        assert_eq!(null, "it has no \"last-partition-id\", which format version 3 asks for");
        let schema = refused(|value| value["current-schema-id"] = json!(7));
        assert_eq!(schema, "its \"current-schema-id\" is 7, and it has no such schema");
        let snapshot = refused(|value| value["current-snapshot-id"] = json!(5));
        assert_eq!(snapshot, "its \"current-snapshot-id\" is 5, and it has no such snapshot");
        let other = refused(|value| value["last-column-id"] = json!("many"));
        assert_eq!(other, "it lacks or contradicts what format version 3 asks for");
        assert_eq!(reason(b"{\"format-version\": 3, \"loc"), "it ends too early");
        assert!(reason(b"PAR1").starts_with("it is not JSON"));
    }

    #[test]
    fn a_table_that_says_where_it_is_can_be_pointed_to() {
        let mut value = metadata();
        value["format-version"] = json!(4);
        let pointer = pointer_to_unreadable(value.to_string().as_bytes(), "file:///w/t/m.json".to_owned());
        let pointer = pointer.expect("it says what it is");
        assert_eq!((pointer.location.as_str(), pointer.format_version), ("file:///w/t", 4));
        assert!(pointer.unsupported.is_some_and(|reason| reason.contains("format version 4")));
        value["location"] = Value::Null;
        let error = pointer_to_unreadable(value.to_string().as_bytes(), "file:///w/t/m.json".to_owned());
        assert_eq!(error.expect_err("it says nothing").kind, ErrorKind::Unsupported);
    }
}
