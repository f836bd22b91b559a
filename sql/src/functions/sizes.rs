//! Functions that tell how many bytes tables take, from the figures in the catalog. Nothing is read for them.

use tarn_catalog::object::RelationKind;

use super::casts::relation_argument;
use super::row_function::Definition;
use super::row_function::Kind::{Int, OidOrName, Text};
use crate::error::Result;
use crate::system::{SystemContext, Value};

pub const DEFINITIONS: &[Definition] = &[
    Definition::asks("pg_relation_size", &[&[OidOrName], &[OidOrName, Text]], Int, relation_size),
    Definition::asks("pg_table_size", &[&[OidOrName]], Int, relation_size),
    Definition::asks("pg_total_relation_size", &[&[OidOrName]], Int, relation_size),
    Definition::asks("pg_indexes_size", &[&[OidOrName]], Int, |_, _| Ok(0.into())),
    Definition::asks("pg_database_size", &[&[OidOrName]], Int, database_size),
];

/// The data files of the table's current snapshot; NULL when there is no such relation.
fn relation_size(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Some(oid) = relation_argument(context, &arguments[0])? else { return Ok(Value::Null) };
    if context.relation_name(oid)?.is_none() {
        return Ok(Value::Null);
    }
    let Some(found) = context.relation_by_oid(oid)? else { return Ok(0.into()) };
    Ok(match &found.relation.kind {
        RelationKind::Table => {
            context.reader.pointer(found.relation.id)?.map_or(0, |pointer| pointer.bytes).into()
        }
        RelationKind::External(table) => {
            table.properties.get("bytes").and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0).into()
        }
        RelationKind::View(_) => 0.into(),
    })
}

/// The data files of all tables that the asking role may see.
fn database_size(context: &SystemContext, _: &[Value]) -> Result<Value> {
    let mut bytes: u64 = 0;
    for found in context.all_relations()? {
        if let Some(pointer) = context.reader.pointer(found.relation.id)? {
            bytes = bytes.saturating_add(pointer.bytes);
        }
    }
    Ok(bytes.into())
}
