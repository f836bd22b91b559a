//! `INSERT`, `INSERT OVERWRITE` and `TRUNCATE`.

use datafusion::sql::sqlparser::ast::With;

use super::change::{assignments, expression, new_value, returning};
use super::{Cursor, query, with_ctes};
use crate::error::{Error, Result};
use crate::statement::{Assignment, ChangeTarget, Conflict, ConflictAction, Insert, Overwrite, Statement};

pub(super) fn insert(cursor: &mut Cursor, with: Option<With>) -> Result<Statement> {
    cursor.expect("INSERT")?;
    let mut overwrite = cursor.eat("OVERWRITE").then_some(Overwrite::Written);
    if overwrite.is_some() {
        let _ = cursor.eat("INTO");
    } else {
        cursor.expect("INTO")?;
    }
    let _ = cursor.peek_is("TABLE") && cursor.eat("TABLE");
    let name = cursor.name()?;
    let alias = if cursor.eat("AS") { Some(cursor.identifier()?) } else { None };
    let target = ChangeTarget { name, alias };
    if cursor.peek_is("PARTITION") {
        if overwrite.is_none() {
            return Err(Error::unsupported("INSERT INTO … PARTITION")
                .with_hint("Give the values of all columns; each row finds its partition by itself.")
                .with_position(cursor.position()));
        }
        overwrite = Some(Overwrite::Rows(partition(cursor)?));
    }
    let mut columns = Vec::new();
    let list =
        cursor.peek_is("(") && !matches!(cursor.peek_nth(1).as_str(), "SELECT" | "WITH" | "VALUES" | "(");
    if list {
        cursor.expect("(")?;
        columns = cursor.comma_separated(Cursor::identifier)?;
        cursor.expect(")")?;
    }
    if cursor.peek_is("OVERRIDING") {
        return Err(Error::unsupported("INSERT … OVERRIDING").with_position(cursor.position()));
    }
    let source = if cursor.eat("DEFAULT VALUES") { None } else { Some(with_ctes(with, query(cursor)?)) };
    let place = cursor.position();
    let conflict = if cursor.eat("ON CONFLICT") { Some(conflict(cursor)?) } else { None };
    let returning = returning(cursor)?;
    if overwrite.is_some() && (conflict.is_some() || !returning.is_empty()) {
        let clause = if conflict.is_some() { "ON CONFLICT" } else { "RETURNING" };
        return Err(Error::unsupported(format!("INSERT OVERWRITE … {clause}")).with_position(place));
    }
    Ok(Statement::Insert(Insert { target, columns, source, conflict, returning, overwrite }))
}

/// `PARTITION (column = value, …)`.
fn partition(cursor: &mut Cursor) -> Result<Vec<Assignment>> {
    cursor.expect("PARTITION")?;
    cursor.expect("(")?;
    let values = cursor.comma_separated(|cursor| {
        let column = cursor.identifier()?;
        cursor.expect("=")?;
        Ok(Assignment { column, value: new_value(cursor)? })
    })?;
    cursor.expect(")")?;
    Ok(values)
}

fn conflict(cursor: &mut Cursor) -> Result<Conflict> {
    let position = cursor.position();
    if cursor.eat("ON CONSTRAINT") {
        return Err(Error::unsupported("ON CONFLICT ON CONSTRAINT")
            .with_hint(
                "Constraints are declared and not enforced: name the key columns, as in ON CONFLICT (id).",
            )
            .with_position(position));
    }
    let mut key = Vec::new();
    if cursor.eat("(") {
        key = cursor.comma_separated(Cursor::identifier)?;
        cursor.expect(")")?;
        if cursor.peek_is("WHERE") {
            return Err(Error::unsupported("ON CONFLICT (…) WHERE").with_position(cursor.position()));
        }
    }
    if key.is_empty() {
        return Err(Error::unsupported("ON CONFLICT without key columns")
            .with_detail("There are no unique indexes that could say what a conflict is.")
            .with_hint("Name the key columns, as in ON CONFLICT (id) DO NOTHING.")
            .with_position(position));
    }
    cursor.expect("DO")?;
    let action = if cursor.eat("NOTHING") {
        ConflictAction::Nothing
    } else {
        cursor.expect("UPDATE SET")?;
        let assignments = assignments(cursor)?;
        let selection = if cursor.eat("WHERE") { Some(expression(cursor)?) } else { None };
        ConflictAction::Update { assignments, selection }
    };
    Ok(Conflict { key, action })
}

pub(super) fn truncate(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("TRUNCATE")?;
    let _ = cursor.eat("TABLE");
    let _ = cursor.eat("ONLY");
    let names = cursor.names()?;
    let _ = cursor.eat("CONTINUE IDENTITY");
    let _ = cursor.eat("RESTRICT");
    Ok(Statement::Truncate(names))
}
