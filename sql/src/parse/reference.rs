//! Branches and tags: Trino's `CREATE BRANCH b IN TABLE t` and Spark's `ALTER TABLE t CREATE BRANCH b`, which alone has
//! words for retention. Both take the clauses of both.

use datafusion::sql::sqlparser::ast::{Expr, Value};

use super::Cursor;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{
    AlterTable, CreateReference, Existing, ReferenceAction, ReferenceKind, Retention, Statement, TableAction,
};

/// The action of `ALTER TABLE t …`, if it is one on a branch or tag.
pub(super) fn table_action(cursor: &mut Cursor) -> Result<Option<ReferenceAction>> {
    let or_replace = cursor.peek_nth(1) == "OR" && cursor.peek_nth(2) == "REPLACE";
    let noun = cursor.peek_nth(if or_replace { 3 } else { 1 });
    let kind = match noun.as_str() {
        "BRANCH" => ReferenceKind::Branch,
        "TAG" => ReferenceKind::Tag,
        _ => return Ok(None),
    };
    match cursor.peek_word().as_str() {
        "CREATE" => {
            cursor.next();
            let or_replace = cursor.eat("OR REPLACE");
            cursor.next();
            let (name, existing) = created(cursor, or_replace)?;
            finish(cursor, kind, name, existing).map(Some)
        }
        "REPLACE" => {
            cursor.next();
            cursor.next();
            let name = cursor.folded()?;
            finish(cursor, kind, name, Existing::ReplaceOnly).map(Some)
        }
        "DROP" => {
            cursor.next();
            cursor.next();
            let if_exists = cursor.eat("IF EXISTS");
            Ok(Some(ReferenceAction::Drop { kind, name: cursor.folded()?, if_exists }))
        }
        _ => Ok(None),
    }
}

/// `[IF NOT EXISTS] name`.
fn created(cursor: &mut Cursor, or_replace: bool) -> Result<(String, Existing)> {
    let position = cursor.position();
    let existing = match (or_replace, cursor.eat("IF NOT EXISTS")) {
        (true, true) => {
            let message = "OR REPLACE and IF NOT EXISTS cannot be used together";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(position));
        }
        (true, false) => Existing::Replace,
        (false, true) => Existing::Keep,
        (false, false) => Existing::Refuse,
    };
    Ok((cursor.folded()?, existing))
}

/// `CREATE [OR REPLACE] BRANCH [IF NOT EXISTS] b IN TABLE t …`, from after the noun.
pub(super) fn create_in_table(
    cursor: &mut Cursor,
    kind: ReferenceKind,
    or_replace: bool,
) -> Result<Statement> {
    let (name, existing) = created(cursor, or_replace)?;
    let table = in_table(cursor)?;
    let action = finish(cursor, kind, name, existing)?;
    Ok(altered(table, action))
}

/// `DROP BRANCH [IF EXISTS] b IN TABLE t`, from after the noun.
pub(super) fn drop_in_table(cursor: &mut Cursor, kind: ReferenceKind) -> Result<Statement> {
    let if_exists = cursor.eat("IF EXISTS");
    let name = cursor.folded()?;
    let table = in_table(cursor)?;
    Ok(altered(table, ReferenceAction::Drop { kind, name, if_exists }))
}

/// `ALTER BRANCH a IN TABLE t FAST FORWARD TO b`, from after the noun.
pub(super) fn alter_branch(cursor: &mut Cursor) -> Result<Statement> {
    let branch = cursor.folded()?;
    let table = in_table(cursor)?;
    cursor.expect("FAST FORWARD TO")?;
    Ok(altered(table, ReferenceAction::FastForward { branch, to: cursor.folded()? }))
}

fn in_table(cursor: &mut Cursor) -> Result<crate::statement::Name> {
    cursor.expect("IN TABLE")?;
    cursor.name()
}

fn altered(name: crate::statement::Name, action: ReferenceAction) -> Statement {
    Statement::AlterTable(AlterTable {
        name,
        if_exists: false,
        actions: vec![TableAction::Reference(action)],
    })
}

/// `[FROM VERSION n | AS OF VERSION n | FOR VERSION AS OF n] [RETAIN n DAYS] [WITH SNAPSHOT RETENTION …]`.
fn finish(
    cursor: &mut Cursor,
    kind: ReferenceKind,
    name: String,
    existing: Existing,
) -> Result<ReferenceAction> {
    let mut version = None;
    let mut retention = Retention::default();
    loop {
        if cursor.eat("FROM VERSION") || cursor.eat("AS OF VERSION") {
            version = Some(cursor.with(|parser| parser.parse_expr())?);
        } else if cursor.eat("FROM") {
            // Trino: FROM another branch, by name.
            let name = cursor.folded()?;
            version = Some(Expr::Value(Value::SingleQuotedString(name).into()));
        } else if cursor.eat("RETAIN") {
            retention.reference_ms = Some(duration_ms(cursor)?);
        } else if kind == ReferenceKind::Branch && cursor.eat("WITH SNAPSHOT RETENTION") {
            snapshot_retention(cursor, &mut retention)?;
        } else {
            break;
        }
    }
    Ok(ReferenceAction::Create(CreateReference { kind, name, existing, version, retention }))
}

/// `n SNAPSHOTS`, `n DAYS`, or both.
fn snapshot_retention(cursor: &mut Cursor, retention: &mut Retention) -> Result<()> {
    loop {
        if matches!(cursor.peek_nth(1).as_str(), "SNAPSHOT" | "SNAPSHOTS") {
            let position = cursor.position();
            let count = i32::try_from(cursor.unsigned()?).ok().filter(|count| *count > 0);
            cursor.next();
            retention.snapshots = Some(count.ok_or_else(|| {
                let message = "the number of snapshots to keep must be positive";
                Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_position(position)
            })?);
        } else {
            retention.snapshots_ms = Some(duration_ms(cursor)?);
        }
        let more = cursor.peek_nth(1);
        let follows =
            matches!(more.as_str(), "SNAPSHOT" | "SNAPSHOTS" | "DAYS" | "HOURS" | "MINUTES" | "DAY");
        if !(cursor.eat("AND") || follows) {
            return Ok(());
        }
    }
}

/// `n DAYS`, `HOURS` or `MINUTES`.
fn duration_ms(cursor: &mut Cursor) -> Result<i64> {
    let position = cursor.position();
    let count = cursor.unsigned()?;
    let unit_ms: u64 = match cursor.word()?.as_str() {
        "DAY" | "DAYS" => 86_400_000,
        "HOUR" | "HOURS" => 3_600_000,
        "MINUTE" | "MINUTES" => 60_000,
        other => {
            return Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))
                .with_detail("Expected DAYS, HOURS or MINUTES.")
                .with_position(position));
        }
    };
    let length = count.checked_mul(unit_ms).and_then(|length| i64::try_from(length).ok());
    length.filter(|length| *length > 0).ok_or_else(|| {
        let message = "a branch or tag must be kept for a positive time";
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_position(position)
    })
}
