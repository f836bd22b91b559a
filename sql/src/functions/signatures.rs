//! What is asked about functions: their arguments, their result, whether their bare name means them, and PostgreSQL's
//! type `regproc`, whose values are names of functions here.

use super::row_function::Definition;
use super::row_function::Kind::{Bool, Int, OidOrName, Text};
use super::text::int;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::{Function, SystemContext, Value};

pub const DEFINITIONS: &[Definition] = &[
    Definition::asks("pg_function_is_visible", &[&[Int]], Bool, pg_function_is_visible),
    Definition::asks("pg_get_function_result", &[&[Int]], Text, |_, arguments| {
        Ok(Function::of(int(&arguments[0])).and_then(Function::result).into())
    }),
    Definition::asks("pg_get_function_arguments", &[&[Int]], Text, signature),
    Definition::asks("pg_get_function_identity_arguments", &[&[Int]], Text, signature),
    // Everybody may call everything; procedures check what they are called on.
    Definition::asks(
        "has_function_privilege",
        &[&[OidOrName, Text], &[OidOrName, OidOrName, Text]],
        Bool,
        |_, arguments| {
            Ok(match &arguments[arguments.len() - 2] {
                Value::Int(oid) => Function::of(*oid).map(|_| true).into(),
                name => named(name).map(|_| true)?.into(),
            })
        },
    ),
    Definition::asks("regproc_name", &[&[OidOrName]], Text, regproc_name),
    Definition::asks("regproc_oid", &[&[OidOrName]], Int, regproc_oid),
    Definition::asks("to_regproc", &[&[Text]], Text, |_, arguments| match named(&arguments[0]) {
        Ok(function) => Ok(function.name.into()),
        Err(_) => Ok(Value::Null),
    }),
];

fn signature(_: &SystemContext, arguments: &[Value]) -> Result<Value> {
    Ok(Function::of(int(&arguments[0])).map(Function::signature).into())
}

/// Everything in `pg_catalog` is found first; a procedure when its schema is on the search path.
fn pg_function_is_visible(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let Some(function) = Function::of(int(&arguments[0])) else { return Ok(Value::Null) };
    let schema = function.schema_name();
    Ok((schema == "pg_catalog" || context.search_path.iter().any(|name| name == schema)).into())
}

/// The function of a name, with or without its schema and the types of its arguments.
fn named(value: &Value) -> Result<&'static Function> {
    let given = super::text::text(value);
    let name = given.split('(').next().unwrap_or(given).trim();
    let bare = name.strip_prefix("pg_catalog.").or_else(|| name.strip_prefix("system.")).unwrap_or(name);
    let found = Function::named(bare.trim_matches('"')).next();
    found.ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{given}\" does not exist"))
            .with_hint("SELECT proname FROM pg_proc lists the functions there are.")
    })
}

/// A number means the function of that OID, 0 none.
fn regproc_name(_: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let oid = match &arguments[0] {
        Value::Int(oid) => Some(*oid),
        value => super::text::text(value).parse().ok(),
    };
    match oid {
        Some(0) => Ok("-".into()),
        Some(oid) => {
            Ok(Function::of(oid).map_or_else(|| oid.to_string(), |function| function.name.into()).into())
        }
        None if super::text::text(&arguments[0]) == "-" => Ok("-".into()),
        None => Ok(named(&arguments[0])?.name.into()),
    }
}

fn regproc_oid(_: &SystemContext, arguments: &[Value]) -> Result<Value> {
    match &arguments[0] {
        Value::Int(oid) => Ok((*oid).into()),
        Value::Text(text) if text == "-" => Ok(0.into()),
        Value::Text(text) => match text.parse::<i64>() {
            Ok(oid) => Ok(oid.into()),
            Err(_) => Ok(named(&arguments[0])?.oid.into()),
        },
        _ => Ok(Value::Null),
    }
}
