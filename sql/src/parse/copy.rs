//! `COPY`, in the form with a list of options and in the one from before PostgreSQL 9, and the checks of its options.
//! An option that nobody knows is an error, as every clause is. The answers are PostgreSQL 15's.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::change::expression;
use super::{Cursor, inner_statement};
use crate::copy::{CopyColumns, CopyFormat, CopyHeader, CopyOptions};
use crate::error::{Error, Result};
use crate::files::ReadFunction;
use crate::sqlstate::SqlState;
use crate::statement::{CopyFrom, CopySource, CopyTo, FromFile, Statement, ToFile};

/// Characters that mean something else in the text format.
const NO_DELIMITERS: &str = "\\.abcdefghijklmnopqrstuvwxyz0123456789";

pub(super) fn copy(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("COPY")?;
    let mut given = Given::default();
    if cursor.eat("(") {
        let source = CopySource::Statement(Box::new(returning_statement(cursor)?));
        cursor.expect(")")?;
        cursor.expect("TO")?;
        given.file = other_end(cursor)?;
        return to(source, given, cursor);
    }
    if cursor.peek_is("BINARY") && cursor.peek_nth(1) != "FROM" && cursor.peek_nth(1) != "TO" {
        cursor.expect("BINARY")?;
        given.format = Some("binary".to_owned());
    }
    let table = cursor.name()?;
    let mut columns = Vec::new();
    if cursor.eat("(") {
        columns = cursor.comma_separated(Cursor::folded)?;
        cursor.expect(")")?;
    }
    if cursor.eat("TO") {
        given.file = other_end(cursor)?;
        old_delimiters(cursor, &mut given)?;
        return to(CopySource::Table { table, columns }, given, cursor);
    }
    cursor.expect("FROM")?;
    given.file = other_end(cursor)?;
    old_delimiters(cursor, &mut given)?;
    options(cursor, &mut given)?;
    let file = given.file.take().map(|location| FromFile { location, read_as: given.read_as() });
    let options =
        given.check_typed(file.as_ref().is_some_and(|file| file.read_as.is_some()), Direction::From)?;
    let filter = if cursor.eat("WHERE") { Some(condition(cursor)?) } else { None };
    Ok(Statement::CopyFrom(CopyFrom { table, columns, options, file, filter }))
}

fn to(source: CopySource, mut given: Given, cursor: &mut Cursor) -> Result<Statement> {
    options(cursor, &mut given)?;
    let parquet = given.read_as() == Some(ReadFunction::Parquet);
    let file = given.file.take().map(|location| ToFile { location, parquet });
    let options = given.check_typed(file.is_some() && parquet, Direction::To)?;
    if cursor.peek_is("WHERE") {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "WHERE clause not allowed with COPY TO")
            .with_hint("Copy a query: COPY (SELECT … WHERE …) TO STDOUT.")
            .with_position(cursor.position()));
    }
    Ok(Statement::CopyTo(CopyTo { source, options, file }))
}

/// A query, or a statement that returns the rows that it changes.
fn returning_statement(cursor: &mut Cursor) -> Result<Statement> {
    let position = cursor.position();
    let found = inner_statement(cursor)?;
    let returning = match &found {
        Statement::Query(_) => return Ok(found),
        Statement::Insert(insert) => &insert.returning,
        Statement::Update(update) => &update.returning,
        Statement::Delete(delete) => &delete.returning,
        Statement::Merge(merge) => &merge.returning,
        _ => {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "only a query can be copied")
                .with_hint("Put a SELECT, or a statement with RETURNING, into the parentheses.")
                .with_position(position));
        }
    };
    if returning.is_empty() {
        let message = "COPY query must have a RETURNING clause";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .with_hint("Add RETURNING with what is to be copied, or run the statement by itself.")
            .with_position(position));
    }
    Ok(found)
}

/// What the data comes from or goes to: a file, or None for the client. As in PostgreSQL, either name stands for the
/// client in either direction.
fn other_end(cursor: &mut Cursor) -> Result<Option<String>> {
    if cursor.eat("STDIN") || cursor.eat("STDOUT") {
        return Ok(None);
    }
    let position = cursor.position();
    match cursor.peek() {
        Token::Word(_) if cursor.peek_is("PROGRAM") => Err(Error::unsupported("COPY with PROGRAM")
            .with_hint("Run the program at the client: \\copy … program in psql.")
            .with_position(position)),
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) => literal(cursor).map(Some),
        _ => Err(cursor.expected("STDIN, STDOUT or a file in quotes")),
    }
}

/// `[USING] DELIMITERS '…'`, from before PostgreSQL 7.3.
fn old_delimiters(cursor: &mut Cursor, given: &mut Given) -> Result<()> {
    if cursor.eat("USING DELIMITERS") || cursor.eat("DELIMITERS") {
        let position = cursor.position();
        given.set("delimiter", Value::Text(literal(cursor)?), position)?;
    }
    Ok(())
}

/// A condition on the rows that come; it may look at nothing else.
fn condition(cursor: &mut Cursor) -> Result<Expr> {
    struct Subqueries;
    impl Visitor for Subqueries {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    let position = cursor.position();
    let condition = expression(cursor)?;
    if condition.visit(&mut Subqueries).is_break() {
        let message = "cannot use subquery in COPY FROM WHERE condition";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .with_hint("Copy into another table first, and INSERT … SELECT from there.")
            .with_position(position));
    }
    Ok(condition)
}

fn options(cursor: &mut Cursor, given: &mut Given) -> Result<()> {
    let _ = cursor.eat("WITH");
    if !cursor.eat("(") {
        while old_option(cursor, given)? {}
        return Ok(());
    }
    loop {
        let position = cursor.position();
        let name = label(cursor)?;
        let value = value(cursor)?;
        given.set(&name, value, position)?;
        if !cursor.eat(",") {
            return cursor.expect(")");
        }
    }
}

/// One option as it was written before PostgreSQL 9; false when there is no more.
fn old_option(cursor: &mut Cursor, given: &mut Given) -> Result<bool> {
    let (position, word) = (cursor.position(), cursor.peek_word());
    let (name, value) = match word.as_str() {
        "BINARY" | "CSV" => {
            cursor.expect(&word)?;
            ("format", Value::Text(word.to_lowercase()))
        }
        "FREEZE" | "HEADER" => {
            cursor.expect(&word)?;
            (if word == "FREEZE" { "freeze" } else { "header" }, Value::None)
        }
        "DELIMITER" | "NULL" | "QUOTE" | "ESCAPE" => {
            cursor.expect(&word)?;
            let _ = cursor.eat("AS");
            let name = OLD_TEXTS.iter().find(|(old, _)| *old == word).map_or("null", |(_, name)| name);
            (name, Value::Text(literal(cursor)?))
        }
        "ENCODING" => {
            cursor.expect(&word)?;
            ("encoding", Value::Text(literal(cursor)?))
        }
        "FORCE" => old_force(cursor)?,
        _ => return Ok(false),
    };
    given.set(name, value, position)?;
    Ok(true)
}

const OLD_TEXTS: [(&str, &str); 3] = [("DELIMITER", "delimiter"), ("QUOTE", "quote"), ("ESCAPE", "escape")];

fn old_force(cursor: &mut Cursor) -> Result<(&'static str, Value)> {
    let name = if cursor.eat("FORCE QUOTE") {
        "force_quote"
    } else if cursor.eat("FORCE NOT NULL") {
        "force_not_null"
    } else {
        cursor.expect("FORCE NULL")?;
        "force_null"
    };
    if name == "force_quote" && cursor.eat("*") {
        return Ok((name, Value::All));
    }
    Ok((name, Value::List(cursor.comma_separated(Cursor::folded)?)))
}

/// The value of an option.
#[derive(Debug)]
enum Value {
    None,
    Text(String),
    All,
    List(Vec<String>),
}

fn label(cursor: &mut Cursor) -> Result<String> {
    match cursor.peek().clone() {
        Token::Word(word) => {
            cursor.next();
            Ok(if word.quote_style.is_some() { word.value } else { word.value.to_lowercase() })
        }
        _ => Err(cursor.expected("the name of an option")),
    }
}

fn value(cursor: &mut Cursor) -> Result<Value> {
    if cursor.eat("(") {
        let names = cursor.comma_separated(Cursor::folded)?;
        cursor.expect(")")?;
        return Ok(Value::List(names));
    }
    if cursor.eat("*") {
        return Ok(Value::All);
    }
    Ok(match cursor.peek().clone() {
        Token::Word(_) => Value::Text(label(cursor)?),
        Token::Number(number, _) => {
            cursor.next();
            Value::Text(number)
        }
        Token::Comma | Token::RParen => Value::None,
        _ => Value::Text(literal(cursor)?),
    })
}

fn literal(cursor: &mut Cursor) -> Result<String> {
    match cursor.peek().clone() {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text) => {
            cursor.next();
            Ok(text)
        }
        Token::DollarQuotedString(text) => {
            cursor.next();
            Ok(text.value)
        }
        _ => Err(cursor.expected("a text in quotes")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    From,
    To,
}

/// The options as they were said, each at most once.
#[derive(Debug, Default)]
struct Given {
    format: Option<String>,
    freeze: Option<bool>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<CopyHeader>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<CopyColumns>,
    force_not_null: Option<CopyColumns>,
    force_null: Option<CopyColumns>,
    encoding: Option<String>,
    /// The other end, if it is not the client.
    file: Option<String>,
}

fn once<T>(place: &mut Option<T>, value: T, position: u32) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => {
            let message = "conflicting or redundant options";
            Err(Error::new(SqlState::SYNTAX_ERROR, message)
                .with_hint("Give each option once.")
                .with_position(position))
        }
    }
}

impl Given {
    fn set(&mut self, name: &str, value: Value, position: u32) -> Result<()> {
        match name {
            "format" => once(&mut self.format, text(name, value)?, position),
            "freeze" => once(&mut self.freeze, boolean(name, &value)?, position),
            "delimiter" => once(&mut self.delimiter, text(name, value)?, position),
            "null" => once(&mut self.null, text(name, value)?, position),
            "header" => once(&mut self.header, header(&value)?, position),
            "quote" => once(&mut self.quote, text(name, value)?, position),
            "escape" => once(&mut self.escape, text(name, value)?, position),
            "force_quote" => once(&mut self.force_quote, columns(name, value)?, position),
            "force_not_null" => once(&mut self.force_not_null, columns(name, value)?, position),
            "force_null" => once(&mut self.force_null, columns(name, value)?, position),
            "encoding" => once(&mut self.encoding, text(name, value)?, position),
            other => {
                let message = format!("option \"{other}\" not recognized");
                Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(position))
            }
        }
    }

    /// How a file is read whose columns have names and types of their own.
    fn read_as(&self) -> Option<ReadFunction> {
        match self.format.as_deref() {
            Some("parquet") => Some(ReadFunction::Parquet),
            Some("json") => Some(ReadFunction::Json),
            _ => None,
        }
    }

    /// The checks; what PostgreSQL says of its own binary format holds of files with types, too.
    fn check_typed(mut self, typed: bool, direction: Direction) -> Result<CopyOptions> {
        if !typed {
            return self.check(direction);
        }
        let format = self.format.replace("binary".to_owned()).unwrap_or_default().to_uppercase();
        self.check(direction).map_err(|error| {
            let message = error.message.replace("BINARY mode", &format!("{format} mode"));
            Error { message, ..error }
        })
    }

    fn format(&self) -> Result<CopyFormat> {
        match self.format.as_deref() {
            None | Some("text") => Ok(CopyFormat::Text),
            Some("csv") => Ok(CopyFormat::Csv),
            Some("binary") => Ok(CopyFormat::Binary),
            Some(other) => Err(invalid(format!("COPY format \"{other}\" not recognized"))
                .with_hint(
                    "The formats are text, csv and binary; those of files are parquet, and in COPY FROM json, too.",
                )),
        }
    }

    /// PostgreSQL's checks, in its order.
    fn check(self, direction: Direction) -> Result<CopyOptions> {
        let format = self.format()?;
        check_encoding(self.encoding.as_deref())?;
        let (csv, binary) = (format == CopyFormat::Csv, format == CopyFormat::Binary);
        let syntax = |message: &str| Err(Error::new(SqlState::SYNTAX_ERROR, message));
        if binary && self.delimiter.is_some() {
            return syntax("cannot specify DELIMITER in BINARY mode");
        }
        if binary && self.null.is_some() {
            return syntax("cannot specify NULL in BINARY mode");
        }
        let defaults = CopyOptions::of_format(format);
        let delimiter =
            self.delimiter.as_deref().map_or(Ok(defaults.delimiter), |text| one("delimiter", text))?;
        let null = self.null.clone().unwrap_or(defaults.null);
        check_delimiter(delimiter, &null, csv)?;
        let header = self.header.unwrap_or(CopyHeader::No);
        if binary && header != CopyHeader::No {
            return unsupported("cannot specify HEADER in BINARY mode");
        }
        if header == CopyHeader::Match && direction == Direction::To {
            return unsupported("cannot use \"match\" with HEADER in COPY TO");
        }
        let (quote, escape) = self.quotes(csv)?;
        if csv && delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        let force_quote = forced("quote", self.force_quote, csv, direction == Direction::To, "COPY TO")?;
        let from = direction == Direction::From;
        let force_not_null = forced("not null", self.force_not_null, csv, from, "COPY FROM")?;
        let force_null = forced("null", self.force_null, csv, from, "COPY FROM")?;
        if null.as_bytes().contains(&delimiter) {
            return unsupported("COPY delimiter must not appear in the NULL specification");
        }
        if csv && null.as_bytes().contains(&quote) {
            return unsupported("CSV quote character must not appear in the NULL specification");
        }
        Ok(CopyOptions {
            format,
            delimiter,
            null,
            header,
            quote,
            escape,
            force_quote,
            force_not_null,
            force_null,
        })
    }

    /// The quote, and what stands before one in a value: the quote itself, if nothing else is said.
    fn quotes(&self, csv: bool) -> Result<(u8, u8)> {
        if !csv && self.quote.is_some() {
            return unsupported("COPY quote available only in CSV mode");
        }
        if !csv && self.escape.is_some() {
            return unsupported("COPY escape available only in CSV mode");
        }
        let quote = self.quote.as_deref().map_or(Ok(b'"'), |text| one("quote", text))?;
        let escape = self.escape.as_deref().map_or(Ok(quote), |text| one("escape", text))?;
        Ok((quote, escape))
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn unsupported<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
}

fn one(option: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => unsupported(format!("COPY {option} must be a single one-byte character")),
    }
}

fn check_delimiter(delimiter: u8, null: &str, csv: bool) -> Result<()> {
    if matches!(delimiter, b'\r' | b'\n') {
        return Err(invalid("COPY delimiter cannot be newline or carriage return"));
    }
    if null.contains(['\r', '\n']) {
        return Err(invalid("COPY null representation cannot use newline or carriage return"));
    }
    if !csv && NO_DELIMITERS.as_bytes().contains(&delimiter) {
        return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(delimiter))));
    }
    Ok(())
}

/// Only of CSV, and only in one direction.
fn forced(
    what: &str,
    columns: Option<CopyColumns>,
    csv: bool,
    fits: bool,
    only: &str,
) -> Result<CopyColumns> {
    let Some(columns) = columns else { return Ok(CopyColumns::none()) };
    if !csv {
        return unsupported(format!("COPY force {what} available only in CSV mode"));
    }
    if !fits {
        return unsupported(format!("COPY force {what} only available using {only}"));
    }
    Ok(columns)
}

fn check_encoding(encoding: Option<&str>) -> Result<()> {
    let Some(encoding) = encoding else { return Ok(()) };
    // Only letters and digits count in the name of an encoding.
    let plain: String = encoding.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    if matches!(plain.as_str(), "utf8" | "unicode") {
        return Ok(());
    }
    Err(Error::unsupported(format!("COPY with the encoding \"{encoding}\""))
        .with_hint("Convert the data to UTF8 first."))
}

fn text(option: &str, value: Value) -> Result<String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::All => Ok("*".to_owned()),
        Value::None | Value::List(_) => {
            Err(Error::new(SqlState::SYNTAX_ERROR, format!("{option} requires a parameter")))
        }
    }
}

fn boolean(option: &str, value: &Value) -> Result<bool> {
    truth(value)
        .ok_or_else(|| Error::new(SqlState::SYNTAX_ERROR, format!("{option} requires a Boolean value")))
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::None => Some(true),
        Value::Text(text) => match text.to_lowercase().as_str() {
            "true" | "on" | "1" => Some(true),
            "false" | "off" | "0" => Some(false),
            _ => None,
        },
        Value::All | Value::List(_) => None,
    }
}

fn header(value: &Value) -> Result<CopyHeader> {
    match (truth(value), value) {
        (Some(true), _) => Ok(CopyHeader::Yes),
        (Some(false), _) => Ok(CopyHeader::No),
        (None, Value::Text(text)) if text.eq_ignore_ascii_case("match") => Ok(CopyHeader::Match),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "header requires a Boolean value or \"match\"")),
    }
}

fn columns(option: &str, value: Value) -> Result<CopyColumns> {
    match value {
        Value::List(names) => Ok(CopyColumns::Named(names)),
        Value::All if option == "force_quote" => Ok(CopyColumns::All),
        _ => Err(invalid(format!("argument to option \"{option}\" must be a list of column names"))),
    }
}
