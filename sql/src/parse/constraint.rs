//! Constraints of columns and tables: `PRIMARY KEY`, `UNIQUE`, `REFERENCES`, `FOREIGN KEY` and `CHECK`, each with
//! what PostgreSQL lets follow it.

use super::{Cursor, allow};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Constraint, ConstraintRule, ForeignKey};

/// Whether a constraint of the table is next, and not a column of such a name.
pub(super) fn at_table_constraint(cursor: &Cursor) -> bool {
    let second = cursor.peek_nth(1);
    match cursor.peek_word().as_str() {
        "CONSTRAINT" => true,
        "PRIMARY" | "FOREIGN" => second == "KEY",
        "UNIQUE" => matches!(second.as_str(), "(" | "NULLS"),
        "CHECK" => second == "(",
        _ => false,
    }
}

/// A constraint of the table.
pub(super) fn table_constraint(cursor: &mut Cursor) -> Result<Constraint> {
    let name = constraint_name(cursor)?;
    let position = cursor.position();
    let rule = if cursor.eat("PRIMARY KEY") {
        ConstraintRule::PrimaryKey(columns(cursor)?)
    } else if cursor.eat("UNIQUE") {
        distinct_nulls(cursor)?;
        ConstraintRule::Unique(columns(cursor)?)
    } else if cursor.eat("FOREIGN KEY") {
        let columns = columns(cursor)?;
        ConstraintRule::ForeignKey(references(cursor, columns)?)
    } else if cursor.eat("CHECK") {
        check(cursor, None)?
    } else {
        return Err(
            Error::unsupported(format!("table constraint {}", cursor.peek_word())).with_position(position)
        );
    };
    attributes(cursor, name, rule)
}

/// A constraint of a column, if one is next.
pub(super) fn column_constraint(cursor: &mut Cursor, column: &str) -> Result<Option<Constraint>> {
    let named = cursor.peek_is("CONSTRAINT");
    let first = cursor.peek_nth(if named { 2 } else { 0 });
    if !matches!(first.as_str(), "PRIMARY" | "UNIQUE" | "REFERENCES" | "CHECK") {
        return Ok(None);
    }
    let name = constraint_name(cursor)?;
    let rule = if cursor.eat("PRIMARY KEY") {
        ConstraintRule::PrimaryKey(vec![column.to_owned()])
    } else if cursor.eat("UNIQUE") {
        distinct_nulls(cursor)?;
        ConstraintRule::Unique(vec![column.to_owned()])
    } else if cursor.peek_is("REFERENCES") {
        ConstraintRule::ForeignKey(references(cursor, vec![column.to_owned()])?)
    } else {
        cursor.expect("CHECK")?;
        check(cursor, Some(column.to_owned()))?
    };
    attributes(cursor, name, rule).map(Some)
}

fn constraint_name(cursor: &mut Cursor) -> Result<Option<String>> {
    if cursor.eat("CONSTRAINT") { cursor.folded().map(Some) } else { Ok(None) }
}

fn columns(cursor: &mut Cursor) -> Result<Vec<String>> {
    cursor.expect("(")?;
    let columns = cursor.comma_separated(Cursor::folded)?;
    cursor.expect(")")?;
    Ok(columns)
}

/// `NULLS DISTINCT` is what holds anyway.
fn distinct_nulls(cursor: &mut Cursor) -> Result<()> {
    let position = cursor.position();
    if cursor.eat("NULLS NOT DISTINCT") {
        return Err(Error::unsupported("UNIQUE NULLS NOT DISTINCT").with_position(position));
    }
    let _ = cursor.eat("NULLS DISTINCT");
    Ok(())
}

fn check(cursor: &mut Cursor, column: Option<String>) -> Result<ConstraintRule> {
    cursor.expect("(")?;
    let condition = Box::new(cursor.with(|parser| parser.parse_expr())?);
    cursor.expect(")")?;
    allow::check_clauses(condition.as_ref())?;
    if cursor.eat("NO INHERIT") {
        // Nothing inherits from a table.
    }
    Ok(ConstraintRule::Check { condition, column })
}

fn references(cursor: &mut Cursor, own: Vec<String>) -> Result<ForeignKey> {
    cursor.expect("REFERENCES")?;
    let table = cursor.name()?;
    let references = if cursor.peek_is("(") { columns(cursor)? } else { Vec::new() };
    let mut key = ForeignKey { columns: own, table, references, on_update: 'a', on_delete: 'a', full: false };
    loop {
        let position = cursor.position();
        if cursor.eat("MATCH FULL") {
            key.full = true;
        } else if cursor.eat("MATCH PARTIAL") {
            return Err(Error::unsupported("MATCH PARTIAL").with_position(position));
        } else if cursor.eat("ON UPDATE") {
            key.on_update = referential_action(cursor)?;
        } else if cursor.eat("ON DELETE") {
            key.on_delete = referential_action(cursor)?;
        } else if !cursor.eat("MATCH SIMPLE") {
            return Ok(key);
        }
    }
}

fn referential_action(cursor: &mut Cursor) -> Result<char> {
    let actions =
        [("NO ACTION", 'a'), ("RESTRICT", 'r'), ("CASCADE", 'c'), ("SET NULL", 'n'), ("SET DEFAULT", 'd')];
    match actions.into_iter().find(|(words, _)| cursor.eat(words)) {
        Some((_, letter)) => Ok(letter),
        None => Err(cursor.expected("NO ACTION, RESTRICT, CASCADE, SET NULL or SET DEFAULT")),
    }
}

/// What follows every constraint. An index's own options mean nothing where there is no index.
fn attributes(cursor: &mut Cursor, name: Option<String>, rule: ConstraintRule) -> Result<Constraint> {
    let mut constraint =
        Constraint { name, rule, enforced: None, deferrable: false, deferred: false, validated: true };
    let is_check = matches!(constraint.rule, ConstraintRule::Check { .. });
    let is_index = matches!(constraint.rule, ConstraintRule::PrimaryKey(_) | ConstraintRule::Unique(_));
    loop {
        let position = cursor.position();
        if cursor.eat("NOT ENFORCED") {
            constraint.enforced = Some(false);
        } else if cursor.eat("ENFORCED") {
            if !is_check {
                let message = format!("an enforced {}", constraint.rule.words());
                return Err(Error::unsupported(message)
                    .with_hint("Keys are declared and not enforced: leave ENFORCED out.")
                    .with_position(position));
            }
            constraint.enforced = Some(true);
        } else if cursor.eat("NOT DEFERRABLE") {
            constraint.deferrable = false;
        } else if !is_check && cursor.eat("DEFERRABLE") {
            constraint.deferrable = true;
        } else if !is_check && cursor.eat("INITIALLY DEFERRED") {
            (constraint.deferrable, constraint.deferred) = (true, true);
        } else if cursor.eat("INITIALLY IMMEDIATE") {
            constraint.deferred = false;
        } else if !is_index && cursor.eat("NOT VALID") {
            constraint.validated = false;
        } else if is_index && cursor.eat("USING INDEX TABLESPACE") {
            cursor.folded()?;
        } else if is_index && cursor.peek_is("WITH") && cursor.peek_nth(1) == "(" {
            index_options(cursor)?;
        } else {
            return Ok(constraint);
        }
    }
}

/// `WITH (fillfactor = 70)`.
fn index_options(cursor: &mut Cursor) -> Result<()> {
    cursor.expect("WITH (")?;
    let position = cursor.position();
    for (name, _) in cursor.comma_separated(super::define::property)? {
        if !name.eq_ignore_ascii_case("fillfactor") {
            let message = format!("unrecognized parameter \"{name}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_position(position));
        }
    }
    cursor.expect(")")
}
