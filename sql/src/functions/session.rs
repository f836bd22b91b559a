//! Functions that tell facts of the session: who, where, since when.

use super::row_function::Definition;
use super::row_function::Kind::{Bool, Int, Text, TextList, Time};
use super::text::text;
use crate::activity::Activity;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::sqlstate::SqlState;
use crate::statement::Set;
use crate::system::{SystemContext, Value};

pub const DEFINITIONS: &[Definition] = &[
    Definition::asks("version", &[&[]], Text, |context, _| Ok(context.version.as_str().into())),
    Definition::asks("current_database", &[&[]], Text, |context, _| Ok(context.database.as_str().into())),
    Definition::asks("current_catalog", &[&[]], Text, |context, _| Ok(context.database.as_str().into())),
    Definition::asks("current_user", &[&[]], Text, |context, _| Ok(context.principal.name.as_str().into())),
    Definition::asks("session_user", &[&[]], Text, |context, _| Ok(context.principal.name.as_str().into())),
    Definition::asks("current_role", &[&[]], Text, |context, _| Ok(context.principal.name.as_str().into())),
    Definition::asks("user", &[&[]], Text, |context, _| Ok(context.principal.name.as_str().into())),
    Definition::asks("current_schema", &[&[]], Text, current_schema),
    Definition::asks("current_schemas", &[&[Bool]], TextList, current_schemas),
    Definition::asks("current_setting", &[&[Text], &[Text, Bool]], Text, current_setting),
    Definition::acts("set_config", &[&[Text, Text, Bool]], Text, set_config),
    Definition::asks("pg_my_temp_schema", &[&[]], Int, |context, _| match &context.temporary {
        Some(schema) => Ok(context.schema_oid(schema)?.unwrap_or(0).into()),
        None => Ok(0.into()),
    }),
    Definition::asks("pg_backend_pid", &[&[]], Int, |context, _| Ok(context.backend_pid.into())),
    Definition::asks("pg_postmaster_start_time", &[&[]], Time, started_at),
    Definition::asks("pg_conf_load_time", &[&[]], Time, started_at),
    Definition::acts("pg_cancel_backend", &[&[Int]], Bool, |context, pid| {
        signal(context, pid, Activity::cancel)
    }),
    Definition::acts("pg_terminate_backend", &[&[Int], &[Int, Int]], Bool, |context, pid| {
        signal(context, pid, Activity::terminate)
    }),
    Definition::acts("pg_notify", &[&[Text, Text]], Text, pg_notify),
    Definition::asks("txid_current", &[&[]], Int, |context, _| Ok(context.reader.sequence().0.into())),
];

fn started_at(context: &SystemContext, _: &[Value]) -> Result<Value> {
    Ok((context.server_started_at_ms * 1000).into())
}

/// The first schema of the search path that exists and may be seen.
fn current_schema(context: &SystemContext, _: &[Value]) -> Result<Value> {
    Ok(existing_path(context)?.into_iter().next().into())
}

fn current_schemas(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let mut path = existing_path(context)?;
    let with_implicit = arguments[0] == Value::Bool(true);
    if with_implicit && !path.iter().any(|schema| schema == "pg_catalog") {
        path.insert(0, "pg_catalog".to_string());
    }
    if let Some(temporary) = context.temporary.as_ref().filter(|_| with_implicit)
        && context.schema_oid(temporary)?.is_some()
    {
        path.insert(0, temporary.clone());
    }
    Ok(path.into())
}

fn existing_path(context: &SystemContext) -> Result<Vec<String>> {
    let mut path = Vec::new();
    for schema in &context.search_path {
        if context.schema_oid(schema)?.is_some() {
            path.push(schema.clone());
        }
    }
    Ok(path)
}

/// False for a number that no session has. PostgreSQL waits for the end if it is given a time; here the session has
/// been told by then, and ends as soon as its statement has stopped.
fn signal(context: &SystemContext, arguments: &[Value], signal: fn(&Activity)) -> Result<Value> {
    let Some(Value::Int(pid)) = arguments.first() else { return Ok(Value::Null) };
    let found = i32::try_from(*pid).ok().and_then(|pid| context.sessions.find(pid));
    let Some(session) = found else { return Ok(false.into()) };
    if !context.principal.acts_as(session.role) {
        let message = "permission denied to end or cancel another role's session or statement";
        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
            .with_hint("Be a member of the role whose session it is, or a superuser."));
    }
    signal(&session);
    Ok(true.into())
}

/// Nothing comes back: as text, what a function without a result gives is empty.
fn pg_notify(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let text = |value: &Value| if *value == Value::Null { String::new() } else { text(value).to_owned() };
    context.outbox.notify(text(&arguments[0]), text(&arguments[1]))?;
    Ok("".into())
}

/// As SET does it; the session takes the value when the statement is done. NULL means the default.
fn set_config(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let setting = text(&arguments[0]).to_lowercase();
    let value = if let Value::Text(value) = &arguments[1] { Some(value.clone()) } else { None };
    let mut checked = Settings::default();
    checked.set(&setting, value.as_deref())?;
    let shown = checked.get(&setting)?;
    let local = arguments[2] == Value::Bool(true);
    context.wanted.lock().push(Set { setting, value, local, ..Set::default() });
    Ok(shown.into())
}

fn current_setting(context: &SystemContext, arguments: &[Value]) -> Result<Value> {
    let name = text(&arguments[0]);
    let missing_ok = arguments.get(1) == Some(&Value::Bool(true));
    match context.setting(name) {
        Some(setting) => Ok(setting.value.as_str().into()),
        None if missing_ok => Ok(Value::Null),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )
        .with_hint("SHOW ALL lists the parameters there are.")),
    }
}
