//! `CALL` and `ALTER TABLE … EXECUTE`: the procedure is found in the table of procedures, its arguments are checked,
//! and its table and rows are resolved like any other statement's.

use super::names::Scope;
use super::query::resolve_query;
use super::target::{entry_of, table_target};
use super::{Action, changelog, create_view, is_missing};
use crate::error::{Error, Result};
use crate::parse::{parse_name, parse_query};
use crate::procedure::{Arguments, On, Procedure, ProcedureCall, TABLE_PARAMETER, find};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue, Call, Name, TableProcedure};

/// `CALL system.name(…)`.
pub(super) async fn resolve_call(call: Call, scope: &Scope) -> Result<Action> {
    let name = &call.procedure;
    if name.schema.as_deref().unwrap_or("system") != "system" {
        return Err(Error::new(SqlState::UNDEFINED_FUNCTION, format!("procedure {name} does not exist"))
            .with_hint("Procedures are in the schema system."));
    }
    if name.name == changelog::PROCEDURE {
        return create_view(changelog::changelog_view(call.arguments, scope).await?, scope).await;
    }
    let procedure = find(&name.name)?;
    let mut given = call.arguments;
    let filter = if procedure.filter { take(&mut given, "where", None)? } else { None };
    let on_table = procedure.on != On::Nothing;
    let table = if on_table { take(&mut given, TABLE_PARAMETER, Some(0))? } else { None };
    let table = match table {
        Some(text) => Some(parse_name(&text)?),
        None if on_table => {
            let message = format!("{} needs the argument \"{TABLE_PARAMETER}\"", procedure.name);
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint(format!("Write {TABLE_PARAMETER} => 'schema.table'.")));
        }
        None => None,
    };
    let mut action = resolve_procedure(procedure, table, given, filter, call.tag, scope).await?;
    if let Action::Procedure(procedure) = &mut action {
        procedure.quiet = call.quiet;
    }
    Ok(action)
}

/// `ALTER TABLE t EXECUTE name(…) [WHERE …]`.
pub(super) async fn resolve_execute(
    execute: TableProcedure,
    scope: &Scope,
    notices: &mut Vec<String>,
) -> Result<Action> {
    let procedure = find(&execute.procedure)?;
    if procedure.on == On::Nothing {
        let message = format!("{} does not work on a table", procedure.name);
        return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message)
            .with_hint(format!("Run it with CALL system.{}(…).", procedure.name)));
    }
    if execute.filter.is_some() && !procedure.filter {
        return Err(Error::unsupported(format!("WHERE after {}", procedure.name)));
    }
    let filter = execute.filter.map(|filter| filter.to_string());
    let resolved = resolve_procedure(
        procedure,
        Some(execute.table.clone()),
        execute.arguments,
        filter,
        execute.tag,
        scope,
    );
    let quiet = execute.quiet;
    let resolved = resolved.await.map(|mut action| {
        if let Action::Procedure(call) = &mut action {
            call.quiet = quiet;
        }
        action
    });
    match resolved {
        Err(error) if execute.if_exists && is_missing(&error) => {
            notices.push(format!("relation \"{}\" does not exist, skipping", execute.table));
            Ok(Action::Nothing { tag: execute.tag })
        }
        resolved => resolved,
    }
}

async fn resolve_procedure(
    procedure: &'static Procedure,
    table: Option<Name>,
    given: Vec<Argument>,
    filter: Option<String>,
    tag: &'static str,
    scope: &Scope,
) -> Result<Action> {
    let target = match &table {
        Some(name) if procedure.on == On::Table => Some(table_target(name, scope).await?),
        _ => None,
    };
    let found = match (&target, &table) {
        (Some(target), _) => Some(target.found.clone()),
        (None, Some(name)) => Some(entry_of(scope.relation(name)?)?),
        (None, None) => None,
    };
    let arguments = Arguments::check(procedure.name, procedure.parameters, given)?;
    let filter = match (filter, &table) {
        (Some(filter), Some(name)) => {
            let query = parse_query(&format!("SELECT * FROM {name} WHERE {filter}"))?;
            Some(resolve_query(query, scope, 0).await?)
        }
        _ => None,
    };
    let quiet = false;
    Ok(Action::Procedure(Box::new(ProcedureCall { procedure, target, found, arguments, filter, tag, quiet })))
}

/// Takes a text out of the arguments, by name or by place.
fn take(given: &mut Vec<Argument>, name: &str, place: Option<usize>) -> Result<Option<String>> {
    let is = |argument: &Argument| argument.name.as_deref() == Some(name);
    let by_place = place.filter(|place| given.get(*place).is_some_and(|argument| argument.name.is_none()));
    let Some(at) = given.iter().position(is).or(by_place) else { return Ok(None) };
    match given.remove(at).value {
        ArgumentValue::Text(text) => Ok(Some(text)),
        _ => {
            let message = format!("argument \"{name}\" must be a text");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}
