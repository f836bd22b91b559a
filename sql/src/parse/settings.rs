//! `SET`, `RESET`, `SHOW`, `DESCRIBE` and `DISCARD`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Cursor, define};
use crate::error::{Error, Result};
use crate::notify::Intended;
use crate::statement::{Discard, Set, Show, ShowObjects, Statement, Transaction};

pub(super) fn set(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("SET")?;
    let local = cursor.eat("LOCAL");
    let _ = cursor.eat("SESSION");
    if cursor.eat("CHARACTERISTICS AS TRANSACTION") {
        return Ok(Statement::Transaction(Transaction::SetDefault(super::transaction::modes(cursor)?)));
    }
    if cursor.eat("TRANSACTION") {
        return Ok(Statement::Transaction(Transaction::Set(super::transaction::modes(cursor)?)));
    }
    if cursor.eat("TIME ZONE") {
        let value =
            if cursor.eat("LOCAL") || cursor.eat("DEFAULT") { None } else { Some(time_zone(cursor)?) };
        return Ok(set_value("timezone", value, local));
    }
    if cursor.eat("NAMES") {
        return Ok(set_value("client_encoding", Some(value(cursor)?), local));
    }
    for word in ["ROLE", "AUTHORIZATION", "CONSTRAINTS"] {
        if cursor.peek_is(word) {
            return Err(Error::unsupported(format!("SET {word}")).with_position(cursor.position()));
        }
    }
    let setting = setting_name(cursor)?;
    if !cursor.eat("TO") {
        cursor.expect("=")?;
    }
    if cursor.eat("DEFAULT") {
        return Ok(set_value(&setting, None, local));
    }
    let values = cursor.comma_separated(value)?;
    Ok(set_value(&setting, Some(values.join(", ")), local))
}

/// A name or an offset; the offset may be an interval, `INTERVAL '+02:00' HOUR TO MINUTE`.
fn time_zone(cursor: &mut Cursor) -> Result<String> {
    let interval = cursor.eat("INTERVAL");
    let zone = value(cursor)?;
    if interval {
        let _ = cursor.eat("HOUR TO MINUTE");
    }
    Ok(zone)
}

fn set_value(setting: &str, value: Option<String>, local: bool) -> Statement {
    Statement::Set(Set { setting: setting.to_owned(), value, local, ..Set::default() })
}

fn setting_name(cursor: &mut Cursor) -> Result<String> {
    let mut name = cursor.folded()?.to_lowercase();
    while cursor.eat(".") {
        name = format!("{name}.{}", cursor.folded()?.to_lowercase());
    }
    Ok(name)
}

fn value(cursor: &mut Cursor) -> Result<String> {
    let minus = if cursor.eat("-") { "-" } else { "" };
    match cursor.peek().clone() {
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) => cursor.string(),
        Token::Number(number, _) => {
            cursor.next();
            Ok(format!("{minus}{number}"))
        }
        Token::Word(_) => cursor.folded(),
        _ => Err(cursor.expected("a value")),
    }
}

pub(super) fn reset(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("RESET")?;
    if cursor.eat("ALL") {
        return Ok(Statement::Set(Set { all: true, reset: true, ..Set::default() }));
    }
    let setting = if cursor.eat("TIME ZONE") {
        "timezone".to_owned()
    } else if cursor.eat("SESSION AUTHORIZATION") {
        "session_authorization".to_owned()
    } else if cursor.eat("TRANSACTION ISOLATION LEVEL") {
        "transaction_isolation".to_owned()
    } else {
        setting_name(cursor)?
    };
    Ok(Statement::Set(Set { setting, reset: true, ..Set::default() }))
}

pub(super) fn show(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("SHOW")?;
    if cursor.eat("ALL") {
        return Ok(Statement::Show(Show::All));
    }
    if cursor.eat("SCHEMAS") {
        if cursor.eat("FROM") || cursor.eat("IN") {
            // There is one catalog to show the schemas of; its name is checked like any other.
            let _ = cursor.eat("DATABASE");
            cursor.folded()?;
        }
        return Ok(Statement::ShowObjects(ShowObjects::Schemas { like: like(cursor)? }));
    }
    if cursor.eat("TABLES") {
        let from = cursor.eat("FROM") || cursor.eat("IN");
        let _ = from && cursor.eat("SCHEMA");
        let schema = if from { Some(define::schema_name(cursor)?) } else { None };
        return Ok(Statement::ShowObjects(ShowObjects::Tables { schema, like: like(cursor)? }));
    }
    if cursor.eat("CRAWLERS") {
        return Ok(Statement::ShowObjects(ShowObjects::Crawlers { like: like(cursor)? }));
    }
    if cursor.eat("INFERENCE") {
        cursor.expect("FOR")?;
        return Ok(Statement::ShowObjects(ShowObjects::Inference { table: cursor.name()? }));
    }
    if cursor.eat("COLUMNS") {
        if !cursor.eat("FROM") {
            cursor.expect("IN")?;
        }
        let _ = cursor.eat("TABLE");
        return Ok(Statement::ShowObjects(ShowObjects::Columns { table: cursor.name()? }));
    }
    if cursor.eat("TIME ZONE") {
        return Ok(Statement::Show(Show::One("timezone".to_owned())));
    }
    if cursor.eat("TRANSACTION ISOLATION LEVEL") {
        return Ok(Statement::Show(Show::One("transaction_isolation".to_owned())));
    }
    if cursor.eat("SESSION AUTHORIZATION") {
        return Ok(Statement::Show(Show::One("session_authorization".to_owned())));
    }
    if cursor.peek_is("CREATE") || cursor.peek_is("FUNCTIONS") {
        return Err(
            Error::unsupported(format!("SHOW {}", cursor.peek_word())).with_position(cursor.position())
        );
    }
    Ok(Statement::Show(Show::One(setting_name(cursor)?)))
}

fn like(cursor: &mut Cursor) -> Result<Option<String>> {
    if cursor.eat("LIKE") { cursor.string().map(Some) } else { Ok(None) }
}

pub(super) fn describe(cursor: &mut Cursor) -> Result<Statement> {
    cursor.next();
    let _ = cursor.peek_is("TABLE") && !cursor.peek_nth(1).is_empty() && cursor.eat("TABLE");
    Ok(Statement::Describe(cursor.name()?))
}

/// `LISTEN channel`, `UNLISTEN {channel | *}` and `NOTIFY channel [, 'payload']`.
pub(super) fn notify(cursor: &mut Cursor) -> Result<Statement> {
    let word = cursor.word()?;
    if word == "UNLISTEN" && cursor.eat("*") {
        return Ok(Statement::Intended(Intended::Unlisten(None)));
    }
    let channel = cursor.folded()?;
    Ok(Statement::Intended(match word.as_str() {
        "LISTEN" => Intended::Listen(channel),
        "UNLISTEN" => Intended::Unlisten(Some(channel)),
        _ => {
            let payload = if cursor.eat(",") { cursor.string()? } else { String::new() };
            Intended::Notify { channel, payload }
        }
    }))
}

/// `DISCARD`, which drivers send when a connection goes back to its pool.
pub(super) fn discard(cursor: &mut Cursor) -> Result<Statement> {
    let position = cursor.position();
    let word = cursor.word()?;
    let things = [
        ("DISCARD", "PLANS", Discard::Nothing("DISCARD PLANS")),
        ("DISCARD", "TEMP", Discard::Temporary),
        ("DISCARD", "TEMPORARY", Discard::Temporary),
        ("DISCARD", "SEQUENCES", Discard::Nothing("DISCARD SEQUENCES")),
        ("DISCARD", "ALL", Discard::All),
    ];
    for (statement, thing, discard) in things {
        if word == statement && cursor.eat(thing) {
            return Ok(Statement::Discard(discard));
        }
    }
    Err(Error::unsupported(format!("{word} {}", cursor.peek_word())).with_position(position))
}
