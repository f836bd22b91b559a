//! `DECLARE`, `FETCH`, `MOVE` and `CLOSE` of SQL cursors; `PREPARE`, `EXECUTE` and `DEALLOCATE`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Cursor, query};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Declare, Direction, Discard, Execute, Fetch, Prepare, Statement};

/// `DECLARE name [BINARY] [[NO] SCROLL] CURSOR [{WITH | WITHOUT} HOLD] FOR query`.
pub(super) fn declare(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("DECLARE")?;
    let name = cursor.folded()?;
    let mut scroll = None;
    loop {
        let position = cursor.position();
        let given = if cursor.eat("NO SCROLL") {
            false
        } else if cursor.eat("SCROLL") {
            true
        } else if cursor.eat("ASENSITIVE") || cursor.eat("INSENSITIVE") {
            // A cursor reads one version of everything, so it is insensitive.
            continue;
        } else if cursor.peek_is("BINARY") {
            return Err(Error::unsupported("BINARY cursor")
                .with_hint("Ask for binary results in the extended protocol.")
                .with_position(position));
        } else {
            break;
        };
        if scroll.is_some_and(|before| before != given) {
            let message = "cannot specify both SCROLL and NO SCROLL";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(position));
        }
        scroll = Some(given);
    }
    cursor.expect("CURSOR")?;
    let hold = cursor.eat("WITH HOLD");
    let _ = !hold && cursor.eat("WITHOUT HOLD");
    cursor.expect("FOR")?;
    Ok(Statement::Declare(Declare { name, scroll: scroll == Some(true), hold, query: query(cursor)? }))
}

/// `FETCH` or `MOVE` `[direction] [FROM | IN] name`.
pub(super) fn fetch(cursor: &mut Cursor) -> Result<Statement> {
    let moves = cursor.word()? == "MOVE";
    let direction = direction(cursor)?;
    let _ = cursor.eat("FROM") || cursor.eat("IN");
    Ok(Statement::Fetch(Fetch { name: cursor.folded()?, direction, moves }))
}

fn direction(cursor: &mut Cursor) -> Result<Direction> {
    let backward = |count: i64| Direction::Forward(count.saturating_neg());
    if is_number(cursor) {
        return Ok(Direction::Forward(count(cursor)?));
    }
    // Any of these words may be the cursor's name instead; then nothing follows it.
    if cursor.peek_nth(1).is_empty() || cursor.peek_nth(1) == ";" {
        return Ok(Direction::Forward(1));
    }
    if cursor.eat("NEXT") {
        return Ok(Direction::Forward(1));
    }
    if cursor.eat("PRIOR") {
        return Ok(backward(1));
    }
    if cursor.eat("FIRST") {
        return Ok(Direction::Absolute(1));
    }
    if cursor.eat("LAST") {
        return Ok(Direction::Absolute(-1));
    }
    if cursor.eat("ABSOLUTE") {
        return Ok(Direction::Absolute(count(cursor)?));
    }
    if cursor.eat("RELATIVE") {
        return Ok(Direction::Relative(count(cursor)?));
    }
    if cursor.eat("ALL") {
        return Ok(Direction::Forward(i64::MAX));
    }
    for (word, turn) in [("FORWARD", false), ("BACKWARD", true)] {
        if cursor.eat(word) {
            let count = if cursor.eat("ALL") {
                i64::MAX
            } else if is_number(cursor) {
                count(cursor)?
            } else {
                1
            };
            return Ok(if turn { backward(count) } else { Direction::Forward(count) });
        }
    }
    Ok(Direction::Forward(1))
}

fn is_number(cursor: &Cursor) -> bool {
    matches!(cursor.peek(), Token::Number(..) | Token::Minus | Token::Plus)
}

/// A whole number with a sign.
fn count(cursor: &mut Cursor) -> Result<i64> {
    let position = cursor.position();
    let negative = cursor.eat("-");
    let _ = !negative && cursor.eat("+");
    let number = cursor.unsigned()?;
    let signed = i64::try_from(number).map(|number| if negative { -number } else { number });
    signed.map_err(|_| {
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("row count {number} is out of range"))
            .with_position(position)
    })
}

/// `CLOSE name` or `CLOSE ALL`.
pub(super) fn close(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("CLOSE")?;
    Ok(Statement::Close(if cursor.eat("ALL") { None } else { Some(cursor.folded()?) }))
}

/// `PREPARE name [(types)] AS statement`.
pub(super) fn prepare(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("PREPARE")?;
    if cursor.peek_is("TRANSACTION") {
        return Err(Error::unsupported("PREPARE TRANSACTION").with_position(cursor.position()));
    }
    let name = cursor.folded()?;
    let mut types = Vec::new();
    if cursor.eat("(") {
        types = cursor.comma_separated(|cursor| cursor.with(|parser| parser.parse_data_type()))?;
        cursor.expect(")")?;
    }
    cursor.expect("AS")?;
    let (start, position) = (cursor.offset(), cursor.position());
    let word = cursor.peek_word();
    let statement = super::inner_statement(cursor)?;
    let rows = matches!(
        statement,
        Statement::Query(_)
            | Statement::Insert(_)
            | Statement::Delete(_)
            | Statement::Update(_)
            | Statement::Merge(_)
    );
    if !rows {
        return Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\""))
            .with_detail("PREPARE takes SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE.")
            .with_position(position));
    }
    let text = cursor.text_from(start).to_owned();
    Ok(Statement::Prepare(Prepare { name, types, statement: Box::new(statement), text }))
}

/// `EXECUTE name [(values)]`.
pub(super) fn execute(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("EXECUTE")?;
    let name = cursor.folded()?;
    let mut values = Vec::new();
    if cursor.eat("(") && !cursor.eat(")") {
        values = cursor.comma_separated(|cursor| cursor.with(|parser| parser.parse_expr()))?;
        cursor.expect(")")?;
    }
    Ok(Statement::Execute(Execute { name, values }))
}

/// `DEALLOCATE [PREPARE] {name | ALL}`.
pub(super) fn deallocate(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("DEALLOCATE")?;
    // PREPARE may be the statement's name.
    let _ = !matches!(cursor.peek_nth(1).as_str(), "" | ";") && cursor.eat("PREPARE");
    Ok(if cursor.eat("ALL") {
        Statement::Discard(Discard::Plans)
    } else {
        Statement::Deallocate(cursor.folded()?)
    })
}
