//! `VACUUM`, `ANALYZE` and `OPTIMIZE`, other spellings of procedures on a table; and maintenance policies.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::Cursor;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue, PolicyOn, SetPolicy, Statement, TableProcedure};

/// `ANALYZE [VERBOSE] [TABLE] t [(columns)]`, or with a list of options. Without VERBOSE it tells no figures.
pub(super) fn analyze(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("ANALYZE")?;
    let words = words(cursor)?;
    let _ = cursor.eat("TABLE");
    if cursor.at_end() || cursor.at_semicolon() {
        return Err(every_table("ANALYZE"));
    }
    let table = cursor.name()?;
    let mut arguments = Vec::new();
    if cursor.eat("(") {
        let columns = cursor.comma_separated(Cursor::folded)?;
        cursor.expect(")")?;
        let text = |name: String| ast::Expr::Value(ast::Value::SingleQuotedString(name).into());
        let list = ast::Array { elem: columns.into_iter().map(text).collect(), named: true };
        let value = ArgumentValue::Expression(Box::new(ast::Expr::Array(list)));
        arguments.push(Argument { name: Some("columns".to_owned()), value });
    }
    Ok(procedure("analyze", table, arguments, None, "ANALYZE", !words.verbose))
}

/// `VACUUM [FULL] [VERBOSE] [ANALYZE] t`, or with a list of options.
pub(super) fn vacuum(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("VACUUM")?;
    let words = words(cursor)?;
    let mut arguments = Vec::new();
    if words.analyze {
        let value = ArgumentValue::Boolean(true);
        arguments.push(Argument { name: Some("analyze".to_owned()), value });
    }
    if cursor.at_end() || cursor.at_semicolon() {
        return Err(every_table("VACUUM"));
    }
    let table = cursor.name()?;
    Ok(procedure("vacuum", table, arguments, None, "VACUUM", !words.verbose))
}

/// What is said between the statement's word and the table.
#[derive(Default)]
struct Words {
    verbose: bool,
    analyze: bool,
}

fn words(cursor: &mut Cursor) -> Result<Words> {
    let mut words = Words::default();
    if !cursor.eat("(") {
        let _ = cursor.eat("FULL");
        let _ = cursor.eat("FREEZE");
        words.verbose = cursor.eat("VERBOSE");
        words.analyze = cursor.eat("ANALYZE");
        return Ok(words);
    }
    loop {
        let position = cursor.position();
        match cursor.word()?.as_str() {
            "VERBOSE" => words.verbose = cursor.boolean_or(true)?,
            "ANALYZE" => words.analyze = cursor.boolean_or(true)?,
            // They are about pages, which there are none of.
            "FULL" | "FREEZE" | "SKIP_LOCKED" | "DISABLE_PAGE_SKIPPING" | "TRUNCATE" | "PROCESS_TOAST" => {
                cursor.boolean_or(true)?;
            }
            "PARALLEL" => drop(cursor.unsigned()?),
            "INDEX_CLEANUP" if cursor.eat("AUTO") => {}
            "INDEX_CLEANUP" => drop(cursor.boolean_or(true)?),
            other => {
                let message = format!("unrecognized VACUUM option \"{}\"", other.to_lowercase());
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_position(position));
            }
        }
        if !cursor.eat(",") {
            cursor.expect(")")?;
            return Ok(words);
        }
    }
}

/// `OPTIMIZE t [REWRITE DATA USING BIN_PACK] [WHERE filter]`, as Athena has it.
pub(super) fn optimize(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("OPTIMIZE")?;
    let _ = cursor.eat("TABLE");
    let table = cursor.name()?;
    if cursor.eat("REWRITE DATA") {
        let _ = cursor.eat("USING BIN_PACK");
    }
    let filter = match cursor.eat("WHERE") {
        true => Some(Box::new(cursor.with(|parser| parser.parse_expr())?)),
        false => None,
    };
    Ok(procedure("optimize", table, Vec::new(), filter, "OPTIMIZE", false))
}

fn procedure(
    name: &str,
    table: crate::statement::Name,
    arguments: Vec<Argument>,
    filter: Option<Box<ast::Expr>>,
    tag: &'static str,
    quiet: bool,
) -> Statement {
    let (procedure, if_exists) = (name.to_owned(), false);
    Statement::TableProcedure(TableProcedure { table, if_exists, procedure, arguments, filter, tag, quiet })
}

/// The words that begin what becomes of a policy.
pub(super) fn at_policy(cursor: &Cursor) -> bool {
    matches!(cursor.peek_nth(0).as_str(), "SET" | "RESET") && cursor.peek_nth(1) == "MAINTENANCE"
}

/// `SET MAINTENANCE POLICY (name = value, …)` or `RESET MAINTENANCE POLICY`, after the object.
pub(super) fn policy(cursor: &mut Cursor, on: PolicyOn) -> Result<Statement> {
    if cursor.eat("RESET MAINTENANCE POLICY") {
        return Ok(Statement::SetPolicy(SetPolicy { on, options: None }));
    }
    cursor.expect("SET MAINTENANCE POLICY")?;
    cursor.expect("(")?;
    let options = cursor.comma_separated(option)?;
    cursor.expect(")")?;
    Ok(Statement::SetPolicy(SetPolicy { on, options: Some(options) }))
}

fn option(cursor: &mut Cursor) -> Result<(String, String)> {
    let name = cursor.folded()?;
    cursor.expect("=")?;
    let value = match cursor.next().token {
        Token::SingleQuotedString(text) | Token::Number(text, _) => text,
        Token::Word(word) => word.value,
        other => {
            let message = format!("syntax error at or near \"{other}\"");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message)
                .with_detail(format!("Expected a value for {name}.")));
        }
    };
    Ok((name, value))
}

fn every_table(statement: &str) -> Error {
    Error::unsupported(format!("{statement} of all tables"))
        .with_hint("Name the table, or let the server do it with SET MAINTENANCE POLICY.")
}
