//! `CREATE`, `ALTER` and `DROP CRAWLER`: each is a call of the procedure that does it, under a tag of its own.
//!
//! ```text
//! CREATE CRAWLER [IF NOT EXISTS] name INTO SCHEMA schema FROM LOCATION 'a' [, 'b'] [EXCLUDE ('*.bak', …)]
//!   [RUN AS role] [WITH (option = value, …)]
//! ALTER CRAWLER name [FROM LOCATION …] [EXCLUDE (…)] [RUN AS role] [SET (option = value, …)]
//! DROP CRAWLER [IF EXISTS] name
//! ```

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Cursor, define};
use crate::error::Result;
use crate::statement::{Argument, ArgumentValue, Call, Name, Statement};

pub(super) fn create_crawler(cursor: &mut Cursor) -> Result<Statement> {
    let if_not_exists = cursor.eat("IF NOT EXISTS");
    let mut arguments = vec![text("name", cursor.folded()?)];
    if if_not_exists {
        arguments.push(argument("if_not_exists", ArgumentValue::Boolean(true)));
    }
    cursor.expect("INTO")?;
    let _ = cursor.eat("SCHEMA");
    // There is one catalog; its name may stand before the schema's.
    arguments.push(text("schema", define::schema_name(cursor)?.name));
    clauses(cursor, "WITH", &mut arguments)?;
    Ok(call("create_crawler", "CREATE CRAWLER", arguments))
}

pub(super) fn alter_crawler(cursor: &mut Cursor) -> Result<Statement> {
    let mut arguments = vec![text("name", cursor.folded()?)];
    clauses(cursor, "SET", &mut arguments)?;
    Ok(call("alter_crawler", "ALTER CRAWLER", arguments))
}

pub(super) fn drop_crawler(cursor: &mut Cursor) -> Result<Statement> {
    let if_exists = cursor.eat("IF EXISTS");
    let mut arguments = vec![text("name", cursor.folded()?)];
    if if_exists {
        arguments.push(argument("if_exists", ArgumentValue::Boolean(true)));
    }
    Ok(call("drop_crawler", "DROP CRAWLER", arguments))
}

/// The clauses that both statements have, in any order.
fn clauses(cursor: &mut Cursor, options_word: &str, arguments: &mut Vec<Argument>) -> Result<()> {
    loop {
        if cursor.eat("FROM") {
            let _ = cursor.eat("LOCATION");
            arguments.push(texts("locations", cursor.comma_separated(|cursor| cursor.string())?));
        } else if cursor.eat("EXCLUDE") {
            cursor.expect("(")?;
            arguments.push(texts("exclude", cursor.comma_separated(|cursor| cursor.string())?));
            cursor.expect(")")?;
        } else if cursor.eat("RUN AS") {
            let _ = cursor.eat("ROLE");
            arguments.push(text("run_as", cursor.folded()?));
        } else if cursor.eat(options_word) {
            cursor.expect("(")?;
            arguments.extend(cursor.comma_separated(option)?);
            cursor.expect(")")?;
        } else {
            return Ok(());
        }
    }
}

fn option(cursor: &mut Cursor) -> Result<Argument> {
    let name = cursor.folded()?;
    cursor.expect("=")?;
    let value = match cursor.peek() {
        Token::Number(number, _) => {
            let number = number.to_string();
            cursor.next();
            ArgumentValue::Number(number)
        }
        Token::SingleQuotedString(_) => ArgumentValue::Text(cursor.string()?),
        _ => ArgumentValue::Text(cursor.folded()?),
    };
    Ok(Argument { name: Some(name), value })
}

fn call(procedure: &str, tag: &'static str, arguments: Vec<Argument>) -> Statement {
    let schema = Some("system".to_owned());
    let procedure = Name { catalog: None, schema, name: procedure.to_owned() };
    Statement::Call(Call { procedure, arguments, tag, quiet: true })
}

fn argument(name: &str, value: ArgumentValue) -> Argument {
    Argument { name: Some(name.to_owned()), value }
}

fn text(name: &str, value: String) -> Argument {
    argument(name, ArgumentValue::Text(value))
}

fn texts(name: &str, values: Vec<String>) -> Argument {
    let element = |text: String| ast::Expr::Value(ast::Value::SingleQuotedString(text).into());
    let elements = ast::Array { elem: values.into_iter().map(element).collect(), named: true };
    argument(name, ArgumentValue::Expression(Box::new(ast::Expr::Array(elements))))
}
