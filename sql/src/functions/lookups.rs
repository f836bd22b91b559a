//! Functions that look something up in the catalog by OID: names, comments, definitions, visibility.
//! What the asking role may not see, they do not know.

use tarn_catalog::object::RelationKind;
use tarn_catalog::{PUBLIC_ROLE, RoleId};

use super::row_function::Definition;
use super::row_function::Kind::{Bool, Int, OidOrName, Text};
use super::text::{int, text};
use crate::error::Result;
use crate::system::{SystemContext, Value};

pub const DEFINITIONS: &[Definition] = &[
    Definition::asks("pg_get_userbyid", &[&[Int]], Text, pg_get_userbyid),
    Definition::asks("pg_table_is_visible", &[&[Int]], Bool, pg_table_is_visible),
    Definition::asks("pg_get_viewdef", &[&[OidOrName], &[OidOrName, Bool]], Text, pg_get_viewdef),
    Definition::asks("pg_get_constraintdef", &[&[Int], &[Int, Bool]], Text, |context, arguments| {
        Ok(context.constraint_definition(int(&arguments[0]))?.into())
    }),
    Definition::asks("pg_get_indexdef", &[&[Int], &[Int, Int, Bool]], Text, |context, arguments| {
        let column = arguments.get(1).map_or(0, int);
        Ok(context.index_definition(int(&arguments[0]), column)?.into())
    }),
    Definition::asks("obj_description", &[&[Int], &[Int, Text]], Text, obj_description),
    Definition::asks("shobj_description", &[&[Int, Text]], Text, shobj_description),
];

/// PostgreSQL's own words for an owner that is gone.
fn pg_get_userbyid(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let oid = int(&arguments[0]);
    Ok(role_name(context, oid)?.unwrap_or_else(|| format!("unknown (OID={oid})")).into())
}

/// The name of the role with that OID.
pub fn role_name(context: &SystemContext, oid: i64) -> Result<Option<String>> {
    let Ok(id) = u64::try_from(oid) else { return Ok(None) };
    if RoleId(id) == PUBLIC_ROLE {
        return Ok(None);
    }
    Ok(context.reader.role_by_id(RoleId(id))?.map(|role| role.name))
}

/// Whether the relation's bare name means it: its schema is on the search path, and no schema before that one has a
/// relation of the same name.
fn pg_table_is_visible(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let oid = int(&arguments[0]);
    let Some((_, name)) = context.relation_name(oid)? else { return Ok(Value::Null) };
    Ok(context.is_reached_by_name(oid, &name)?.into())
}

/// The view's text as it was written.
fn pg_get_viewdef(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Some(oid) = super::casts::relation_argument(context, &arguments[0])? else { return Ok(Value::Null) };
    let Some(found) = context.relation_by_oid(oid)? else { return Ok(Value::Null) };
    match found.relation.kind {
        RelationKind::View(view) => Ok(format!(" {};", view.sql.trim().trim_end_matches(';')).into()),
        RelationKind::Table | RelationKind::External(_) => Ok(Value::Null),
    }
}

/// The comment on a schema or relation. OIDs are unique over both, so the catalog's name only excludes.
fn obj_description(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let oid = int(&arguments[0]);
    let class = arguments.get(1).map(text);
    if class.is_none_or(|class| class == "pg_class")
        && let Some(found) = context.relation_by_oid(oid)?
    {
        return Ok(context.comment(&found.relation)?.into());
    }
    if class.is_none_or(|class| class == "pg_namespace") {
        return Ok(context.schema_comment(oid)?.into());
    }
    Ok(Value::Null)
}

fn shobj_description(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Ok(id) = u64::try_from(int(&arguments[0])) else { return Ok(Value::Null) };
    match text(&arguments[1]) {
        "pg_authid" => Ok(context.reader.role_by_id(RoleId(id))?.and_then(|role| role.comment).into()),
        _ => Ok(Value::Null),
    }
}
