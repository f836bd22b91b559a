//! A view that SQL has made, as Iceberg describes views: one version, with the text in PostgreSQL's dialect, and columns of
//! the types that Iceberg has. Types that it has no word for are text to other engines.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tarn_catalog::RelationId;
use tarn_catalog::object::{Relation, View, ViewColumn};
use uuid::Uuid;

use super::request::PREFIX;

/// PostgreSQL's OIDs of plain types, and of arrays of them, with Iceberg's words. `numeric` depends on its modifier.
pub const TYPES: [(u32, u32, &str); 17] = [
    (16, 1000, "boolean"),
    (21, 1005, "int"),
    (23, 1007, "int"),
    (20, 1016, "long"),
    (700, 1021, "float"),
    (701, 1022, "double"),
    (25, 1009, "string"),
    (1043, 1015, "string"),
    (1042, 1014, "string"),
    (1082, 1182, "date"),
    (1083, 1183, "time"),
    (1114, 1115, "timestamp"),
    (1184, 1185, "timestamptz"),
    (2950, 2951, "uuid"),
    (17, 1001, "binary"),
    (114, 199, "string"),
    (3802, 3807, "string"),
];

pub const NUMERIC: u32 = 1700;
const NUMERIC_ARRAY: u32 = 1231;

/// The UUID of a view that has no other: always the same for the same view.
pub fn own_uuid(id: RelationId, created_at_ms: i64) -> Uuid {
    let mut digest = Sha256::new();
    digest.update("view");
    digest.update(id.0.to_be_bytes());
    digest.update(created_at_ms.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Iceberg's description of a view, whose names are looked up in `default_namespace`.
pub fn described(location: &str, default_namespace: &str, relation: &Relation, view: &View) -> Value {
    let uuid = own_uuid(relation.id, relation.created_at_ms);
    let mut last_id = i32::try_from(view.columns.len()).unwrap_or(i32::MAX);
    let fields: Vec<Value> = (1_i32..)
        .zip(&view.columns)
        .map(|(id, column)| {
            let mut field = json!({
                "id": id, "name": column.name, "required": false, "type": type_of(column, &mut last_id),
            });
            if let Some(comment) = &column.comment {
                field["doc"] = json!(comment);
            }
            field
        })
        .collect();
    let comment = relation.comment.iter().map(|comment| ("comment".to_owned(), json!(comment)));
    json!({
        "view-uuid": uuid,
        "format-version": 1,
        "location": location,
        "current-version-id": 1,
        "versions": [{
            "version-id": 1,
            "timestamp-ms": relation.created_at_ms,
            "schema-id": 0,
            "summary": { "engine-name": "tarn", "engine-version": crate::VERSION },
            "representations": [{ "type": "sql", "sql": view.sql, "dialect": "postgresql" }],
            "default-catalog": PREFIX,
            "default-namespace": [default_namespace],
        }],
        "version-log": [{ "version-id": 1, "timestamp-ms": relation.created_at_ms }],
        "schemas": [{ "type": "struct", "schema-id": 0, "fields": fields }],
        "properties": comment.collect::<serde_json::Map<_, _>>(),
    })
}

/// The Iceberg type of a column; the element of a list gets the next id.
fn type_of(column: &ViewColumn, last_id: &mut i32) -> Value {
    let mut list = |element: Value| {
        *last_id += 1;
        json!({ "type": "list", "element-id": *last_id, "element-required": false, "element": element })
    };
    match column.type_oid {
        NUMERIC => json!(decimal(column.type_modifier)),
        NUMERIC_ARRAY => list(json!(decimal(column.type_modifier))),
        oid => match TYPES.iter().find(|(plain, array, _)| *plain == oid || *array == oid) {
            Some((plain, _, word)) if *plain == oid => json!(word),
            Some((_, _, word)) => list(json!(word)),
            None => json!("string"),
        },
    }
}

/// A modifier is the precision and the scale, and 4.
fn decimal(modifier: i32) -> String {
    let given = modifier.checked_sub(4).filter(|given| *given >= 0);
    match given.map(|given| (given >> 16, given & 0x7ff)) {
        Some((precision @ 1..=38, scale)) if scale <= precision => format!("decimal({precision}, {scale})"),
        // Without one the engine computes with this.
        _ => "decimal(38, 10)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_oid: u32, type_modifier: i32) -> ViewColumn {
        ViewColumn { name: "c".into(), type_oid, type_modifier, comment: None }
    }

    #[test]
    fn types_are_said_in_icebergs_words() {
        let check = |oid, modifier, expected: Value| {
            assert_eq!(type_of(&column(oid, modifier), &mut 7), expected, "{oid}");
        };
        check(20, -1, json!("long"));
        check(1043, 14, json!("string"));
        check(1700, (12 << 16) + 2 + 4, json!("decimal(12, 2)"));
        check(1700, -1, json!("decimal(38, 10)"));
        check(1186, -1, json!("string"));
        let list = json!({ "type": "list", "element-id": 8, "element-required": false, "element": "int" });
        check(1007, -1, list);
    }

    #[test]
    fn a_view_keeps_its_uuid() {
        assert_eq!(own_uuid(RelationId(7), 1), own_uuid(RelationId(7), 1));
        assert_ne!(own_uuid(RelationId(7), 1), own_uuid(RelationId(8), 1));
        assert_ne!(own_uuid(RelationId(7), 1), own_uuid(RelationId(7), 2));
    }
}
