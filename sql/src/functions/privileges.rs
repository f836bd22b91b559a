//! `has_…_privilege`: the same decision that guards statements, asked as a question.
//! Each takes the object, or a role and the object, and a list of privileges of which one is enough.

use tarn_catalog::access::{Need, Principal, Privilege, Requirement, decide};
use tarn_catalog::object::Securable;
use tarn_catalog::{ErrorKind, NamespaceId, RoleId};

use super::casts::relation_argument;
use super::row_function::Definition;
use super::row_function::Kind::{Bool, OidOrName, Text};
use super::text::text;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::{SystemContext, Value};

pub const DEFINITIONS: &[Definition] = &[
    Definition::asks(
        "has_table_privilege",
        &[&[OidOrName, Text], &[OidOrName, OidOrName, Text]],
        Bool,
        has_table_privilege,
    ),
    Definition::asks(
        "has_any_column_privilege",
        &[&[OidOrName, Text], &[OidOrName, OidOrName, Text]],
        Bool,
        has_table_privilege,
    ),
    Definition::asks(
        "has_column_privilege",
        &[&[OidOrName, OidOrName, Text], &[OidOrName, OidOrName, OidOrName, Text]],
        Bool,
        has_column_privilege,
    ),
    Definition::asks(
        "has_schema_privilege",
        &[&[OidOrName, Text], &[OidOrName, OidOrName, Text]],
        Bool,
        has_schema_privilege,
    ),
    Definition::asks(
        "has_database_privilege",
        &[&[OidOrName, Text], &[OidOrName, OidOrName, Text]],
        Bool,
        has_database_privilege,
    ),
    Definition::asks("pg_has_role", &[&[OidOrName, Text], &[OidOrName, OidOrName, Text]], Bool, pg_has_role),
];

/// Splits off the role when one is named; without, the asking role is meant.
fn split_role<'a>(
    context: &SystemContext,
    arguments: &'a [Value],
    with_role: usize,
) -> Result<(Principal, &'a [Value])> {
    if arguments.len() < with_role {
        return Ok((context.principal.clone(), arguments));
    }
    let id = role_argument(context, &arguments[0])?;
    let principal = context.reader.principal(id)?;
    let principal = principal.ok_or_else(|| no_such_role(&arguments[0]))?;
    Ok((principal, &arguments[1..]))
}

fn role_argument(context: &SystemContext, value: &Value) -> Result<RoleId> {
    match value {
        Value::Text(name) => {
            let role = context.reader.role(name)?;
            Ok(role.ok_or_else(|| no_such_role(value))?.id)
        }
        other => u64::try_from(super::text::int(other)).map(RoleId).map_err(|_| no_such_role(value)),
    }
}

fn no_such_role(value: &Value) -> Error {
    let name = if let Value::Int(oid) = value { oid.to_string() } else { text(value).to_string() };
    Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

/// The privileges asked for, each with whether it must be grantable. PostgreSQL's that do not exist here are held by
/// nobody.
fn privileges(list: &str) -> Result<Vec<(Option<Privilege>, bool)>> {
    list.split(',').map(|word| privilege(word.trim())).collect()
}

fn privilege(word: &str) -> Result<(Option<Privilege>, bool)> {
    let word = word.to_ascii_uppercase();
    let grantable = word.ends_with(" WITH GRANT OPTION");
    let name = word.trim_end_matches(" WITH GRANT OPTION");
    if let Some(privilege) = Privilege::ALL.into_iter().find(|privilege| privilege.name() == name) {
        return Ok((Some(privilege), grantable));
    }
    match name {
        "REFERENCES" | "TRIGGER" | "RULE" | "TEMP" | "TEMPORARY" => Ok((None, grantable)),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized privilege type: \"{name}\""),
        )),
    }
}

/// Whether any of the listed privileges on an object is held.
fn holds_any(
    context: &SystemContext,
    principal: &Principal,
    on: Securable,
    owner: RoleId,
    list: &str,
) -> Result<Value> {
    let grants = context.reader.grants_on(on)?;
    for (privilege, grantable) in privileges(list)? {
        let Some(privilege) = privilege else { continue };
        let need = if grantable { Need::Grantable(privilege) } else { Need::Privilege(privilege) };
        let requirement = Requirement { on: Some(on), owner: Some(owner), need, object: String::new() };
        match decide(principal, &requirement, &grants) {
            Ok(()) => return Ok(true.into()),
            Err(error) if error.kind == ErrorKind::Denied => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false.into())
}

fn has_table_privilege(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let (principal, arguments) = split_role(context, arguments, 3)?;
    table_privilege(context, &principal, &arguments[0], text(&arguments[1]))
}

/// There are no privileges on single columns; the table's count.
fn has_column_privilege(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let (principal, arguments) = split_role(context, arguments, 4)?;
    table_privilege(context, &principal, &arguments[0], text(&arguments[2]))
}

fn table_privilege(
    context: &SystemContext,
    principal: &Principal,
    table: &Value,
    list: &str,
) -> Result<Value> {
    let oid = relation_argument(context, table)?;
    let Some(oid) = oid else {
        let message = format!("relation \"{}\" does not exist", text(table));
        return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
    };
    if let Some(found) = context.relation_by_oid(oid)? {
        let relation = found.relation;
        return holds_any(context, principal, Securable::Relation(relation.id), relation.owner, list);
    }
    // Everybody may read a system table and nobody may change one.
    match context.relation_name(oid)? {
        Some(_) => Ok(privileges(list)?.contains(&(Some(Privilege::Select), false)).into()),
        None => Ok(Value::Null),
    }
}

fn has_schema_privilege(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let (principal, arguments) = split_role(context, arguments, 3)?;
    let list = text(&arguments[1]);
    let oid = match &arguments[0] {
        Value::Text(name) => context.schema_oid(name)?,
        other => Some(super::text::int(other)),
    };
    let Some(oid) = oid else {
        let message = format!("schema \"{}\" does not exist", text(&arguments[0]));
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
    };
    if let Some(namespace) = context.namespace_by_oid(oid)? {
        let on = Securable::Namespace(NamespaceId(namespace.id.0));
        return holds_any(context, &principal, on, namespace.owner, list);
    }
    match context.schema_name(oid)? {
        Some(_) => Ok(privileges(list)?.contains(&(Some(Privilege::Usage), false)).into()),
        None => Ok(Value::Null),
    }
}

/// Whoever is in may connect; CREATE on a database is the right to make schemas.
fn has_database_privilege(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let (principal, arguments) = split_role(context, arguments, 3)?;
    let holds = text(&arguments[1]).split(',').any(|word| match word.trim().to_ascii_uppercase().as_str() {
        "CONNECT" => true,
        "CREATE" => principal.superuser || principal.create_schema,
        _ => false,
    });
    Ok(holds.into())
}

fn pg_has_role(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let (principal, arguments) = split_role(context, arguments, 3)?;
    let role = role_argument(context, &arguments[0])?;
    Ok(principal.acts_as(role).into())
}
