//! `CALL`, and the literal arguments that procedures and file functions take.

use datafusion::sql::sqlparser::ast;

use super::{Cursor, fold};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue, Call, Name, Statement, TableProcedure};

pub(super) fn call(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect("CALL")?;
    let procedure = cursor.name()?;
    Ok(Statement::Call(Call { procedure, arguments: arguments(cursor)?, tag: "CALL", quiet: false }))
}

/// `EXECUTE procedure[(arguments)] [WHERE filter]`, after `ALTER TABLE t`.
pub(super) fn execute(cursor: &mut Cursor, table: Name, if_exists: bool) -> Result<Statement> {
    cursor.expect("EXECUTE")?;
    let procedure = cursor.folded()?;
    let arguments = if cursor.peek_is("(") { arguments(cursor)? } else { Vec::new() };
    let filter = match cursor.eat("WHERE") {
        true => Some(Box::new(cursor.with(|parser| parser.parse_expr())?)),
        false => None,
    };
    let tag = "ALTER TABLE";
    let quiet = false;
    Ok(Statement::TableProcedure(TableProcedure {
        table,
        if_exists,
        procedure,
        arguments,
        filter,
        tag,
        quiet,
    }))
}

fn arguments(cursor: &mut Cursor) -> Result<Vec<Argument>> {
    cursor.expect("(")?;
    let mut arguments = Vec::new();
    while !cursor.eat(")") {
        let name = if cursor.peek_nth(1) == "=>" { Some(cursor.folded()?) } else { None };
        if name.is_some() {
            cursor.expect("=>")?;
        }
        let expression = cursor.with(|parser| parser.parse_expr())?;
        let value = literal(&expression).unwrap_or_else(|_| ArgumentValue::Expression(Box::new(expression)));
        arguments.push(Argument { name, value });
        if !cursor.eat(",") && !cursor.peek_is(")") {
            return Err(cursor.expected(", or )"));
        }
    }
    Ok(arguments)
}

/// The arguments of a table function, which must be literals: files are found before the query is planned.
pub(crate) fn arguments_of(arguments: &[ast::FunctionArg]) -> Result<Vec<Argument>> {
    arguments.iter().map(argument).collect()
}

fn argument(argument: &ast::FunctionArg) -> Result<Argument> {
    let (name, value) = match argument {
        ast::FunctionArg::Unnamed(value) => (None, value),
        ast::FunctionArg::Named { name, arg, .. } => (Some(fold(name)), arg),
        ast::FunctionArg::ExprNamed { name: ast::Expr::Identifier(name), arg, .. } => (Some(fold(name)), arg),
        ast::FunctionArg::ExprNamed { name, .. } => return Err(not_literal(name)),
    };
    match value {
        ast::FunctionArgExpr::Expr(value) => Ok(Argument { name, value: literal(value)? }),
        other => Err(not_literal(other)),
    }
}

fn literal(expression: &ast::Expr) -> Result<ArgumentValue> {
    use ast::Value;
    match expression {
        ast::Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                Ok(ArgumentValue::Text(text.clone()))
            }
            Value::DollarQuotedString(text) => Ok(ArgumentValue::Text(text.value.clone())),
            Value::Number(text, _) => Ok(ArgumentValue::Number(text.to_string())),
            Value::Boolean(truth) => Ok(ArgumentValue::Boolean(*truth)),
            Value::Null => Ok(ArgumentValue::Null),
            _ => Err(not_literal(expression)),
        },
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => match literal(expr)? {
            ArgumentValue::Number(text) => Ok(ArgumentValue::Number(format!("-{text}"))),
            _ => Err(not_literal(expression)),
        },
        _ => Err(not_literal(expression)),
    }
}

fn not_literal(what: impl std::fmt::Display) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("argument {what} is not a literal"))
        .with_hint("Give a quoted text, a number, true, false or NULL.")
}
