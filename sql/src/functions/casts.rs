//! PostgreSQL's OID alias types (`regclass`, `regtype`, `regnamespace`, `regrole`) as functions: the rewriter turns a
//! cast to such a type into a call of one of these. `…_oid` takes a name or number and gives the OID; `…_name` takes
//! an OID and gives the name as PostgreSQL would print it. `to_…` gives NULL where the cast gives an error.

use super::lookups::role_name;
use super::row_function::Definition;
use super::row_function::Kind::{Int, List, OidOrName, Text, TextList};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::{SystemContext, Value};
use crate::types;
use tarn_catalog::name::quote;

pub const DEFINITIONS: &[Definition] = &[
    Definition::asks("regclass_oid", &[&[OidOrName]], Int, regclass_oid),
    Definition::asks("regclass_name", &[&[OidOrName]], Text, regclass_name),
    Definition::asks("regtype_oid", &[&[OidOrName]], Int, regtype_oid),
    Definition::asks("regtype_name", &[&[OidOrName]], Text, regtype_name),
    Definition::pure("regtype_names", &[&[List]], TextList, regtype_names),
    Definition::asks("regnamespace_oid", &[&[OidOrName]], Int, regnamespace_oid),
    Definition::asks("regnamespace_name", &[&[OidOrName]], Text, regnamespace_name),
    Definition::asks("regrole_oid", &[&[OidOrName]], Int, regrole_oid),
    Definition::asks("regrole_name", &[&[OidOrName]], Text, regrole_name),
    Definition::asks("to_regclass", &[&[Text]], Int, |context, values| {
        or_null(regclass_oid(context, values))
    }),
    Definition::asks("to_regtype", &[&[Text]], Int, |context, values| or_null(regtype_oid(context, values))),
    Definition::asks("to_regnamespace", &[&[Text]], Int, |context, values| {
        or_null(regnamespace_oid(context, values))
    }),
    Definition::asks("to_regrole", &[&[Text]], Int, |context, values| or_null(regrole_oid(context, values))),
];

/// NULL instead of an error about the name; other errors stay.
fn or_null(result: Result<Value>) -> Result<Value> {
    match result {
        Err(error) if is_missing(error.sqlstate) => Ok(Value::Null),
        other => other,
    }
}

fn is_missing(state: SqlState) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_OBJECT, SqlState::INVALID_SCHEMA_NAME].contains(&state)
}

/// A name or number: a number, also as text, is the OID itself.
enum Reference<'a> {
    Oid(i64),
    Name(&'a str),
}

fn reference(value: &Value) -> Reference<'_> {
    match value {
        Value::Text(text) => match text.parse() {
            Ok(oid) => Reference::Oid(oid),
            Err(_) => Reference::Name(text),
        },
        other => Reference::Oid(super::text::int(other)),
    }
}

/// The OID of the relation that an argument names, None when there is no such relation.
pub fn relation_argument(context: &SystemContext, value: &Value) -> Result<Option<i64>> {
    match reference(value) {
        Reference::Oid(oid) => Ok(Some(oid)),
        Reference::Name(name) => {
            let parts = split_name(name);
            match parts.as_slice() {
                [name] => context.relation_oid(None, name),
                [schema, name] => context.relation_oid(Some(schema), name),
                [database, schema, name] if *database == context.database => {
                    context.relation_oid(Some(schema), name)
                }
                _ => Ok(None),
            }
        }
    }
}

fn regclass_oid(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let oid = relation_argument(context, &arguments[0])?;
    let oid = oid.ok_or_else(|| missing(SqlState::UNDEFINED_TABLE, "relation", &arguments[0]))?;
    Ok(oid.into())
}

/// The bare name where that means the relation, else with its schema; an OID of nothing is printed as the number.
fn regclass_name(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Value::Int(oid) = regclass_oid(context, arguments)? else { return Ok(Value::Null) };
    let Some((schema, name)) = context.relation_name(oid)? else { return Ok(number_or_dash(oid)) };
    if context.is_reached_by_name(oid, &name)? {
        return Ok(quote(&name).into());
    }
    Ok(format!("{}.{}", quote(&schema), quote(&name)).into())
}

fn number_or_dash(oid: i64) -> Value {
    if oid == 0 { "-".into() } else { oid.to_string().into() }
}

fn regtype_oid(_: &SystemContext, arguments: &[Value]) -> Result<Value> {
    match reference(&arguments[0]) {
        Reference::Oid(oid) => Ok(oid.into()),
        Reference::Name(name) => {
            let oid = types::type_oid(&type_name(name));
            Ok(oid.ok_or_else(|| missing(SqlState::UNDEFINED_OBJECT, "type", &arguments[0]))?.into())
        }
    }
}

/// The name of a type without its schema, which can only be `pg_catalog`, its quotes and its length.
fn type_name(name: &str) -> String {
    let name = match name.contains('"') {
        true => split_name(name).join("."),
        false => name.to_lowercase(),
    };
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    name.split_once('(').map_or(name, |(head, _)| head).trim().to_owned()
}

fn regtype_name(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Value::Int(oid) = regtype_oid(context, arguments)? else { return Ok(Value::Null) };
    Ok(types::format_type(u32::try_from(oid).unwrap_or(u32::MAX), -1).into())
}

/// The names of a list of types.
fn regtype_names(arguments: &[Value]) -> Result<Value> {
    let Value::List(oids) = &arguments[0] else { return Ok(Value::Null) };
    let name = |oid: &Value| match oid {
        Value::Int(oid) => types::format_type(u32::try_from(*oid).unwrap_or(u32::MAX), -1).into(),
        _ => Value::Null,
    };
    Ok(Value::List(oids.iter().map(name).collect()))
}

fn regnamespace_oid(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    match reference(&arguments[0]) {
        Reference::Oid(oid) => Ok(oid.into()),
        Reference::Name(name) => {
            let schema = split_name(name).join(".");
            let oid = context.schema_oid(&schema)?;
            Ok(oid.ok_or_else(|| missing(SqlState::INVALID_SCHEMA_NAME, "schema", &arguments[0]))?.into())
        }
    }
}

fn regnamespace_name(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Value::Int(oid) = regnamespace_oid(context, arguments)? else { return Ok(Value::Null) };
    Ok(context.schema_name(oid)?.map_or_else(|| number_or_dash(oid), |name| quote(&name).into()))
}

fn regrole_oid(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    match reference(&arguments[0]) {
        Reference::Oid(oid) => Ok(oid.into()),
        Reference::Name(name) => {
            let role = context.reader.role(&split_name(name).join("."))?;
            let role = role.ok_or_else(|| missing(SqlState::UNDEFINED_OBJECT, "role", &arguments[0]))?;
            Ok(role.id.oid().into())
        }
    }
}

fn regrole_name(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Value::Int(oid) = regrole_oid(context, arguments)? else { return Ok(Value::Null) };
    Ok(role_name(context, oid)?.map_or_else(|| number_or_dash(oid), |name| quote(&name).into()))
}

fn missing(state: SqlState, kind: &str, name: &Value) -> Error {
    Error::new(state, format!("{kind} \"{}\" does not exist", super::text::text(name)))
}

/// The parts of a dotted name: quoted parts keep their case, others fold to lower case.
fn split_name(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = name.trim().chars().peekable();
    while let Some(character) = characters.next() {
        let part = parts.last_mut().expect("there is always a part");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                part.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other if quoted => part.push(other),
            // Spaces may stand around a dot.
            other if other.is_whitespace() => {}
            other => part.extend(other.to_lowercase()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_with_and_without_a_schema() {
        for (name, expect) in [
            ("Integer", "integer"),
            ("numeric(10,2)", "numeric"),
            ("timestamp with time zone", "timestamp with time zone"),
            ("pg_catalog.int4", "int4"),
            ("\"pg_catalog\".\"int4\"", "int4"),
            ("\"int4\"", "int4"),
        ] {
            assert_eq!(type_name(name), expect, "{name}");
        }
    }

    #[test]
    fn names_split_at_dots_outside_quotes() {
        for (name, expect) in [
            ("Orders", vec!["orders"]),
            ("public.orders", vec!["public", "orders"]),
            ("raw.\"My.Table\"", vec!["raw", "My.Table"]),
            ("\"a\"\"b\"", vec!["a\"b"]),
            ("\"a b\" . c", vec!["a b", "c"]),
        ] {
            assert_eq!(split_name(name), expect, "{name}");
        }
    }
}
