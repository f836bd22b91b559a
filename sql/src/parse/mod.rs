//! From text to [`Statement`]: the SQL of PostgreSQL with our statements added. Every statement is read clause by
//! clause, so what is left over is an error with its name, never silently dropped (trap T13).
//! It must never look at the catalog. Next: `../statement.rs` for the result, `cursor.rs` for how words are read.

mod allow;
mod alter;
mod call;
mod chain;
mod change;
mod constraint;
mod copy;
mod crawler;
mod cursor;
mod define;
mod grant;
mod portal;
mod reference;
mod settings;
#[cfg(test)]
mod tests;
mod transaction;
mod travel;
mod types;
mod upkeep;
mod write;

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Explain, Name, Statement};

pub(crate) use allow::check_query;
pub(crate) use call::arguments_of;
pub(crate) use change::is_default;
pub(crate) use cursor::{Cursor, fold, fold_name};
pub(crate) use travel::{Moment, moment_of};

/// The longest text of one message, bytes. Data in bulk belongs in a file.
pub const STATEMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most levels of parentheses, subqueries and the like.
const NESTING_MAX: usize = 256;

/// One statement and the text it came from.
#[derive(Debug, Clone)]
pub struct Parsed {
    pub(crate) statement: Statement,
    /// The statement's own text, without the semicolon.
    pub(crate) text: String,
    /// The whole text it came in; positions count in this one.
    pub(crate) source: Arc<str>,
    /// What the user should be told beside the result.
    pub(crate) notes: Vec<String>,
}

impl Parsed {
    /// The statement's own text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Reads all statements of a text; an empty text has none.
///
/// # Errors
///
/// 42601 with a position for a syntax error, 0A000 for a clause or statement we do not have, 54000 and 54001 for
/// a text too long or too deep.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "statement is too long")
            .with_detail(format!("It has {} bytes; the limit is {STATEMENT_BYTES_MAX}.", sql.len()))
            .with_hint("Put the data into a file and read it with read_csv, read_json or read_parquet."));
    }
    let mut cursor = Cursor::new(sql, NESTING_MAX)?;
    let mut statements = Vec::new();
    let source: Arc<str> = Arc::from(sql);
    loop {
        while cursor.eat_semicolon() {}
        if cursor.at_end() {
            return Ok(statements);
        }
        let start = cursor.offset();
        let statement = statement(&mut cursor)?;
        if !cursor.at_end() && !cursor.at_semicolon() {
            return Err(cursor.leftover());
        }
        let text = sql[start..cursor.offset()].trim_end().to_owned();
        let notes = cursor.take_notes();
        statements.push(Parsed { statement, text, source: Arc::clone(&source), notes });
    }
}

/// Reads one query, as a view definition is kept.
///
/// # Errors
///
/// As [`parse`]; 42601 if it is another statement.
pub(crate) fn parse_query(sql: &str) -> Result<Box<ast::Query>> {
    match parse(sql)?.pop().map(|parsed| parsed.statement) {
        Some(Statement::Query(query)) => Ok(query),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "a query was expected")),
    }
}

/// Reads a condition, as a CHECK is kept.
///
/// # Errors
///
/// 42601 if it is none.
pub(crate) fn parse_condition(text: &str) -> Result<ast::Expr> {
    let mut cursor = Cursor::new(text, NESTING_MAX)?;
    let condition = cursor.with(|parser| parser.parse_expr())?;
    if cursor.at_end() { Ok(condition) } else { Err(cursor.leftover()) }
}

/// Reads the name of a table, as procedures take it in a text.
///
/// # Errors
///
/// 42601 if it is not a name of one to three parts.
pub(crate) fn parse_name(text: &str) -> Result<Name> {
    let mut cursor = Cursor::new(text, NESTING_MAX)?;
    let name = cursor.name().and_then(|name| if cursor.at_end() { Ok(name) } else { Err(cursor.leftover()) });
    name.map_err(|error| {
        Error::new(SqlState::SYNTAX_ERROR, format!("\"{text}\" is not the name of a table"))
            .with_detail(format!("{}.", error.message))
            .with_hint("Write 'table', 'schema.table', or 'schema.\"table@branch\"'.")
    })
}

fn statement(cursor: &mut Cursor) -> Result<Statement> {
    match cursor.peek_word().as_str() {
        "SELECT" | "VALUES" | "TABLE" | "(" => Ok(Statement::Query(query(cursor)?)),
        "WITH" => with_statement(cursor),
        "EXPLAIN" => explain(cursor),
        "INSERT" => write::insert(cursor, None),
        "DELETE" => change::delete(cursor, None),
        "UPDATE" => change::update(cursor, None),
        "MERGE" => change::merge(cursor, None),
        "TRUNCATE" => write::truncate(cursor),
        "COPY" => copy::copy(cursor),
        "CREATE" => define::create(cursor),
        "DROP" => define::drop(cursor),
        "ALTER" => define::alter(cursor),
        "COMMENT" => define::comment(cursor),
        "GRANT" => grant::grant(cursor),
        "REVOKE" => grant::revoke(cursor),
        "CALL" => call::call(cursor),
        "ANALYZE" => upkeep::analyze(cursor),
        "OPTIMIZE" => upkeep::optimize(cursor),
        "VACUUM" => upkeep::vacuum(cursor),
        "SHOW" => settings::show(cursor),
        "DESCRIBE" | "DESC" => settings::describe(cursor),
        "SET" => settings::set(cursor),
        "RESET" => settings::reset(cursor),
        "DISCARD" => settings::discard(cursor),
        "LISTEN" | "UNLISTEN" | "NOTIFY" => settings::notify(cursor),
        "DECLARE" => portal::declare(cursor),
        "FETCH" | "MOVE" => portal::fetch(cursor),
        "CLOSE" => portal::close(cursor),
        "PREPARE" => portal::prepare(cursor),
        "EXECUTE" => portal::execute(cursor),
        "DEALLOCATE" => portal::deallocate(cursor),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
            transaction::transaction(cursor)
        }
        _ => Err(cursor.unknown_statement()),
    }
}

/// A query, or a change of rows that begins with common table expressions.
fn with_statement(cursor: &mut Cursor) -> Result<Statement> {
    let with = cursor.with(|parser| parser.maybe_parse(changing_with))?;
    let Some(with) = with else { return Ok(Statement::Query(query(cursor)?)) };
    allow::check_clauses(&with)?;
    match cursor.peek_word().as_str() {
        "INSERT" => write::insert(cursor, Some(with)),
        "DELETE" => change::delete(cursor, Some(with)),
        "UPDATE" => change::update(cursor, Some(with)),
        _ => change::merge(cursor, Some(with)),
    }
}

/// The common table expressions in front of a statement that changes rows; an error in front of any other.
fn changing_with(parser: &mut Parser) -> Result<ast::With, ParserError> {
    let with_token = parser.expect_keyword(Keyword::WITH)?;
    let recursive = parser.parse_keyword(Keyword::RECURSIVE);
    let cte_tables = parser.parse_comma_separated(Parser::parse_cte)?;
    let changes = [Keyword::INSERT, Keyword::DELETE, Keyword::UPDATE, Keyword::MERGE];
    match parser.peek_one_of_keywords(&changes) {
        Some(_) => Ok(ast::With { with_token: with_token.into(), recursive, cte_tables }),
        None => Err(ParserError::ParserError("a query".to_owned())),
    }
}

/// The query with the common table expressions of its statement in front.
fn with_ctes(with: Option<ast::With>, mut query: Box<ast::Query>) -> Box<ast::Query> {
    let Some(with) = with else { return query };
    if query.with.is_none() {
        query.with = Some(with);
        return query;
    }
    Box::new(ast::Query {
        with: Some(with),
        body: Box::new(ast::SetExpr::Query(query)),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    })
}

/// A query with every clause searched for what nobody consumes.
pub(super) fn query(cursor: &mut Cursor) -> Result<Box<ast::Query>> {
    let query = cursor.query()?;
    check_query(&query)?;
    Ok(query)
}

/// A statement within EXPLAIN, PREPARE or COPY. Those take none of their own kind, which might be nested without an end.
fn inner_statement(cursor: &mut Cursor) -> Result<Statement> {
    let word = cursor.peek_word();
    match word.as_str() {
        "EXPLAIN" | "PREPARE" | "COPY" => {
            let message = format!("syntax error at or near \"{word}\"");
            Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(cursor.position()))
        }
        _ => statement(cursor),
    }
}

fn explain(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("EXPLAIN")?;
    let (mut analyze, mut verbose) = (false, false);
    if cursor.eat("(") {
        loop {
            match cursor.word()?.as_str() {
                "ANALYZE" => analyze = cursor.boolean_or(true)?,
                "VERBOSE" => verbose = cursor.boolean_or(true)?,
                // The figures they ask for are always, or never, part of our plans.
                "COSTS" | "TIMING" | "SUMMARY" => drop(cursor.boolean_or(true)?),
                "FORMAT" => cursor.expect("TEXT")?,
                other => return Err(Error::unsupported(format!("EXPLAIN option {other}"))),
            }
            if !cursor.eat(",") {
                break;
            }
        }
        cursor.expect(")")?;
    } else {
        analyze = cursor.eat("ANALYZE");
        verbose = cursor.eat("VERBOSE");
    }
    let position = cursor.position();
    let word = cursor.peek_word();
    let explained = inner_statement(cursor)?;
    let writes = match &explained {
        Statement::Query(_) => false,
        Statement::Insert(_) | Statement::Delete(_) | Statement::Update(_) | Statement::Merge(_) => true,
        Statement::CreateTable(table) if table.query.is_some() => true,
        _ => return Err(Error::unsupported(format!("EXPLAIN {word}")).with_position(position)),
    };
    if writes && analyze {
        return Err(Error::unsupported(format!("EXPLAIN ANALYZE {word}"))
            .with_hint("Analyze the query of the statement alone.")
            .with_position(position));
    }
    Ok(Statement::Explain(Explain { analyze, verbose, statement: Box::new(explained) }))
}
