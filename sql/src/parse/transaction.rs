//! Transaction control: `BEGIN`, `COMMIT`, `ROLLBACK`, savepoints and `SET TRANSACTION`.

use super::Cursor;
use crate::error::{Error, Result};
use crate::statement::{Modes, Statement, Transaction};

/// The levels as they are written and as the setting has them.
const LEVELS: [(&str, &str); 4] = [
    ("SERIALIZABLE", "serializable"),
    ("REPEATABLE READ", "repeatable read"),
    ("READ COMMITTED", "read committed"),
    ("READ UNCOMMITTED", "read uncommitted"),
];

pub(super) fn transaction(cursor: &mut Cursor) -> Result<Statement> {
    let first = cursor.word()?;
    Ok(Statement::Transaction(match first.as_str() {
        "BEGIN" => {
            noise(cursor);
            Transaction::Begin { tag: "BEGIN", modes: modes(cursor)? }
        }
        "START" => {
            cursor.expect("TRANSACTION")?;
            Transaction::Begin { tag: "START TRANSACTION", modes: modes(cursor)? }
        }
        "SAVEPOINT" => Transaction::Savepoint(cursor.folded()?),
        "RELEASE" => {
            let _ = cursor.eat("SAVEPOINT");
            Transaction::Release(cursor.folded()?)
        }
        _ => ending(cursor, &first)?,
    }))
}

fn noise(cursor: &mut Cursor) {
    let _ = cursor.eat("WORK") || cursor.eat("TRANSACTION");
}

fn ending(cursor: &mut Cursor, first: &str) -> Result<Transaction> {
    let commits = matches!(first, "COMMIT" | "END");
    if cursor.peek_is("PREPARED") {
        return Err(Error::unsupported(format!("{first} PREPARED")));
    }
    noise(cursor);
    if first == "ROLLBACK" && cursor.eat("TO") {
        let _ = cursor.eat("SAVEPOINT");
        return Ok(Transaction::RollbackTo(cursor.folded()?));
    }
    let chain = !cursor.eat("AND NO CHAIN") && cursor.eat("AND CHAIN");
    Ok(if commits { Transaction::Commit { chain } } else { Transaction::Rollback { chain } })
}

/// Isolation levels and access modes.
pub(super) fn modes(cursor: &mut Cursor) -> Result<Modes> {
    let mut modes = Modes::default();
    loop {
        if cursor.eat("ISOLATION LEVEL") {
            let level = LEVELS.iter().find(|(written, _)| cursor.eat(written));
            modes.isolation = Some(level.ok_or_else(|| cursor.leftover())?.1);
        } else if cursor.eat("READ ONLY") {
            modes.read_only = Some(true);
        } else if cursor.eat("READ WRITE") {
            modes.read_only = Some(false);
        } else if !(cursor.eat("NOT DEFERRABLE") || cursor.eat("DEFERRABLE") || cursor.eat(",")) {
            // A deferrable transaction waits until it cannot fail; one that only reads never fails here.
            return Ok(modes);
        }
    }
}
