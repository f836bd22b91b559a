//! `INSERT`, `INSERT OVERWRITE` and `TRUNCATE`.

use super::{Cursor, query};
use crate::error::{Error, Result};
use crate::statement::{Insert, Statement};

pub(super) fn insert(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("INSERT")?;
    let overwrite = cursor.eat("OVERWRITE");
    if overwrite {
        let _ = cursor.eat("INTO");
    } else {
        cursor.expect("INTO")?;
    }
    let _ = cursor.peek_is("TABLE") && cursor.eat("TABLE");
    let table = cursor.name()?;
    for clause in ["AS", "PARTITION", "DEFAULT", "OVERRIDING"] {
        if cursor.peek_is(clause) {
            return Err(Error::unsupported(format!("INSERT … {clause}")).with_position(cursor.position()));
        }
    }
    let mut columns = Vec::new();
    let list =
        cursor.peek_is("(") && !matches!(cursor.peek_nth(1).as_str(), "SELECT" | "WITH" | "VALUES" | "(");
    if list {
        cursor.expect("(")?;
        columns = cursor.comma_separated(Cursor::identifier)?;
        cursor.expect(")")?;
    }
    let source = query(cursor)?;
    for clause in ["ON", "RETURNING"] {
        if cursor.peek_is(clause) {
            return Err(Error::unsupported(format!("INSERT … {clause}")).with_position(cursor.position()));
        }
    }
    Ok(Statement::Insert(Insert { table, columns, source, overwrite }))
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
