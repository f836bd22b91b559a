//! A cursor over the tokens of a text: words are eaten or expected by their spelling, and everything that is an
//! expression, a query or a name is left to sqlparser. Errors carry the character position.

use std::cell::Cell;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::{chain, travel};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::Name;

pub(super) static DIALECT: PostgreSqlDialect = PostgreSqlDialect {};

/// Where we are in a text.
pub(crate) struct Cursor<'a> {
    sql: &'a str,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
    /// The last place that was asked for, as line, column and byte offset. The next one mostly follows it, and a line may
    /// be as long as the text.
    last: Cell<(usize, usize, usize)>,
    parser: Parser<'a>,
    /// What the user should be told of the statement that is being read.
    notes: Vec<String>,
}

impl<'a> Cursor<'a> {
    pub fn new(sql: &'a str, nesting_max: usize) -> Result<Cursor<'a>> {
        let lines = std::iter::once(0).chain(sql.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let tokens = Tokenizer::new(&DIALECT, sql).tokenize_with_location();
        let parser = Parser::new(&DIALECT).with_recursion_limit(nesting_max);
        let mut cursor = Cursor { sql, lines, last: Cell::new((0, 0, 0)), parser, notes: Vec::new() };
        let tokens = tokens.map_err(|error| cursor.error(ParserError::from(error)))?;
        if prefixes_in_a_row(&tokens) > nesting_max {
            return Err(too_deep());
        }
        if let Some(location) = chain::too_long(&tokens) {
            // Parentheses that nest too deeply are as deep as a chain, and mended otherwise.
            if open_parentheses(&tokens) > nesting_max {
                return Err(too_deep());
            }
            return Err(too_long().with_position(cursor.position_of(cursor.byte_offset(location))));
        }
        let mut tokens = travel::rewrite(tokens).map_err(|error| cursor.error(error))?;
        reserve_on_conflict(&mut tokens);
        cursor.parser =
            Parser::new(&DIALECT).with_recursion_limit(nesting_max).with_tokens_with_locations(tokens);
        Ok(cursor)
    }

    /// Tells the user something beside the statement's result.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// What has been noted since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    pub fn at_end(&self) -> bool {
        self.parser.peek_token_ref().token == Token::EOF
    }

    pub fn at_semicolon(&self) -> bool {
        self.parser.peek_token_ref().token == Token::SemiColon
    }

    pub fn eat_semicolon(&mut self) -> bool {
        self.parser.consume_token(&Token::SemiColon)
    }

    /// Byte offset of the next token, or of the end.
    pub fn offset(&self) -> usize {
        let token = self.parser.peek_token_ref();
        match token.token {
            Token::EOF => self.sql.len(),
            _ => self.byte_offset(token.span.start),
        }
    }

    /// The next word in upper case, or the symbol; empty at the end.
    pub fn peek_word(&self) -> String {
        spelling(self.parser.peek_token_ref())
    }

    /// The word after the next `n`.
    pub fn peek_nth(&self, n: usize) -> String {
        spelling(self.parser.peek_nth_token_ref(n))
    }

    pub fn peek_is(&self, word: &str) -> bool {
        self.peek_word() == word
    }

    /// Eats the words if all of them are next.
    pub fn eat(&mut self, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        let found = words.iter().enumerate().all(|(at, word)| self.peek_nth(at) == *word);
        if found {
            words.iter().for_each(|_| drop(self.parser.next_token()));
        }
        found
    }

    pub fn expect(&mut self, words: &str) -> Result<()> {
        if self.eat(words) { Ok(()) } else { Err(self.expected(words)) }
    }

    /// The next word in upper case, eaten.
    pub fn word(&mut self) -> Result<String> {
        match self.parser.peek_token_ref().token {
            Token::Word(_) => Ok(spelling(&self.parser.next_token())),
            _ => Err(self.expected("a word")),
        }
    }

    pub fn boolean_or(&mut self, default: bool) -> Result<bool> {
        let truth = self.eat("TRUE") || self.eat("ON");
        let falsehood = !truth && (self.eat("FALSE") || self.eat("OFF"));
        Ok(if truth {
            true
        } else if falsehood {
            false
        } else {
            default
        })
    }

    pub fn query(&mut self) -> Result<Box<ast::Query>> {
        self.with(|parser| parser.parse_query())
    }

    pub fn identifier(&mut self) -> Result<ast::Ident> {
        self.with(|parser| parser.parse_identifier())
    }

    /// One folded identifier.
    pub fn folded(&mut self) -> Result<String> {
        self.identifier().map(|identifier| fold(&identifier))
    }

    /// A name of one to three parts.
    pub fn name(&mut self) -> Result<Name> {
        let start = self.position();
        let object = self.with(|parser| parser.parse_object_name(false))?;
        fold_name(&object).map_err(|error| error.with_position(start))
    }

    pub fn names(&mut self) -> Result<Vec<Name>> {
        self.comma_separated(Cursor::name)
    }

    pub fn string(&mut self) -> Result<String> {
        self.with(|parser| parser.parse_literal_string())
    }

    pub fn unsigned(&mut self) -> Result<u64> {
        self.with(|parser| parser.parse_literal_uint())
    }

    pub fn comma_separated<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Calls into sqlparser and gives its error a position.
    pub fn with<T>(&mut self, read: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>) -> Result<T> {
        read(&mut self.parser).map_err(|error| self.error(error))
    }

    /// The binding of comparisons: what binds tighter is a value, without AND, OR, NOT NULL and the like after it.
    pub fn dialect_precedence(&self) -> u8 {
        DIALECT.prec_value(Precedence::Is)
    }

    /// The next token, eaten whatever it is.
    pub fn next(&mut self) -> TokenWithSpan {
        self.parser.next_token()
    }

    pub fn peek(&self) -> &Token {
        &self.parser.peek_token_ref().token
    }

    /// The text from a byte offset to the next token.
    pub fn text_from(&self, start: usize) -> &'a str {
        self.sql[start..self.offset()].trim_end()
    }

    /// Character position of the next token, from 1.
    pub fn position(&self) -> u32 {
        self.position_of(self.offset())
    }

    pub fn expected(&self, what: &str) -> Error {
        let found = self.found();
        Error::new(SqlState::SYNTAX_ERROR, format!("syntax error {found}"))
            .with_detail(format!("Expected {what}."))
            .with_position(self.position())
    }

    /// Something follows a complete statement: a clause that we do not have, or a mistake. Words that begin clauses which
    /// we do have stand in the wrong place.
    pub fn leftover(&self) -> Error {
        const KNOWN: [Keyword; 12] = [
            Keyword::AS,
            Keyword::BY,
            Keyword::FROM,
            Keyword::GROUP,
            Keyword::HAVING,
            Keyword::JOIN,
            Keyword::LEFT,
            Keyword::LIMIT,
            Keyword::ON,
            Keyword::ORDER,
            Keyword::SELECT,
            Keyword::WHERE,
        ];
        match self.peek() {
            Token::Word(word) if word.keyword != Keyword::NoKeyword && !KNOWN.contains(&word.keyword) => {
                Error::unsupported(format!("clause {} here", self.peek_word())).with_position(self.position())
            }
            _ => Error::new(SqlState::SYNTAX_ERROR, format!("syntax error {}", self.found()))
                .with_position(self.position()),
        }
    }

    pub fn unknown_statement(&self) -> Error {
        let known = [
            "VACUUM",
            "ANALYZE",
            "LOCK",
            "REFRESH",
            "REINDEX",
            "CLUSTER",
            "DO",
            "SAVEPOINT",
            "RELEASE",
            "CHECKPOINT",
            "LOAD",
            "REASSIGN",
            "SECURITY",
            "IMPORT",
            "USE",
            "ATTACH",
            "DETACH",
            "PIVOT",
            "UNLOAD",
        ];
        let word = self.peek_word();
        if known.contains(&word.as_str()) {
            return Error::unsupported(word).with_position(self.position());
        }
        Error::new(SqlState::SYNTAX_ERROR, format!("syntax error {}", self.found()))
            .with_position(self.position())
    }

    fn found(&self) -> String {
        match self.peek() {
            Token::EOF => "at end of input".to_owned(),
            token => {
                let text = token.to_string();
                let short: String = text.chars().take(60).collect();
                format!("at or near \"{short}\"")
            }
        }
    }

    fn byte_offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or(1).max(1) - 1;
        let column = usize::try_from(location.column).unwrap_or(1).max(1) - 1;
        let (before, start) = match self.last.get() {
            (last_line, last, offset) if last_line == line && last <= column => (last, offset),
            _ => (0, self.lines.get(line).copied().unwrap_or(self.sql.len())),
        };
        let place = self.sql[start..].char_indices().nth(column - before);
        let offset = place.map_or(self.sql.len(), |(at, _)| start + at);
        self.last.set((line, column, offset));
        offset
    }

    fn position_of(&self, offset: usize) -> u32 {
        u32::try_from(self.sql[..offset].chars().count() + 1).unwrap_or(u32::MAX)
    }

    fn error(&self, error: ParserError) -> Error {
        let text = match error {
            ParserError::RecursionLimitExceeded => return too_deep(),
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        };
        let (message, location) = split_location(&text);
        let position = location.map(|location| self.position_of(self.byte_offset(location)));
        let error = match message.split_once(", found: ") {
            Some((expected, "EOF")) => Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input")
                .with_detail(format!("{expected}.")),
            Some((expected, found)) => {
                Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{found}\""))
                    .with_detail(format!("{expected}."))
            }
            None if message.starts_with("Unterminated string") => {
                Error::new(SqlState::SYNTAX_ERROR, "unterminated quoted string")
            }
            None if message.starts_with("Expected close delimiter") => {
                Error::new(SqlState::SYNTAX_ERROR, "unterminated quoted identifier")
            }
            None => Error::new(SqlState::SYNTAX_ERROR, format!("syntax error: {message}")),
        };
        match position {
            Some(position) => error.with_position(position),
            None => error,
        }
    }
}

fn too_deep() -> Error {
    Error::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is nested too deeply")
        .with_hint("Use fewer levels of parentheses or subqueries.")
}

fn too_long() -> Error {
    Error::new(SqlState::STATEMENT_TOO_COMPLEX, "statement has too long a chain of operators")
        .with_hint("Put parts of it into parentheses, write a list with IN or = ANY, or join with VALUES.")
}

/// After `SELECT 1` sqlparser takes the `ON` of `ON CONFLICT` for an alias, so it becomes a word that is none.
fn reserve_on_conflict(tokens: &mut [TokenWithSpan]) {
    let words: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    for at in words.windows(3) {
        let follows = matches!(spelling(&tokens[at[2]]).as_str(), "(" | "DO" | "ON");
        if !follows || spelling(&tokens[at[0]]) != "ON" || spelling(&tokens[at[1]]) != "CONFLICT" {
            continue;
        }
        if let Token::Word(word) = &mut tokens[at[0]].token {
            word.keyword = Keyword::RETURNING;
        }
    }
}

/// The longest run of operators before an operand: each is a level, and the parser takes too many for something else.
fn prefixes_in_a_row(tokens: &[TokenWithSpan]) -> usize {
    let (mut longest, mut run) = (0, 0);
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        run = if matches!(spelling(token).as_str(), "NOT" | "-" | "+" | "~") { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// The most parentheses that are open at a time.
fn open_parentheses(tokens: &[TokenWithSpan]) -> usize {
    let (mut most, mut open) = (0, 0_usize);
    for token in tokens {
        match token.token {
            Token::LParen => open += 1,
            Token::RParen => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

pub(super) fn spelling(token: &TokenWithSpan) -> String {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        Token::EOF => String::new(),
        other => other.to_string(),
    }
}

/// sqlparser ends its messages with ` at Line: 1, Column: 8`.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (text, None) };
    match (line.trim().parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (message, Some(Location { line, column })),
        _ => (text, None),
    }
}

/// PostgreSQL's folding: a quoted identifier keeps its case.
pub(crate) fn fold(identifier: &ast::Ident) -> String {
    match identifier.quote_style {
        Some(_) => identifier.value.clone(),
        None => identifier.value.to_lowercase(),
    }
}

/// A name of one to three parts.
pub(crate) fn fold_name(object: &ast::ObjectName) -> Result<Name> {
    let mut parts = Vec::new();
    for part in &object.0 {
        match part.as_ident() {
            Some(identifier) => parts.push(fold(identifier)),
            None => return Err(Error::new(SqlState::SYNTAX_ERROR, format!("\"{object}\" is not a name"))),
        }
    }
    let too_many =
        || Error::new(SqlState::SYNTAX_ERROR, format!("improper qualified name (too many parts): {object}"));
    let name = parts.pop().ok_or_else(too_many)?;
    let schema = parts.pop();
    let catalog = parts.pop();
    if parts.is_empty() { Ok(Name { catalog, schema, name }) } else { Err(too_many()) }
}
