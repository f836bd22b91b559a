//! Small pieces of syntax tree for the rewriting rules.

use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, OrderByExpr, Query, SelectItem, SetExpr,
    Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// A call `name(arguments)`.
pub fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    call_ordered(name, arguments, Vec::new())
}

/// A call `name(arguments ORDER BY …)`.
pub fn call_ordered(name: &str, arguments: Vec<Expr>, order_by: Vec<OrderByExpr>) -> Expr {
    let unnamed = |argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument));
    let clauses =
        if order_by.is_empty() { Vec::new() } else { vec![FunctionArgumentClause::OrderBy(order_by)] };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(unnamed).collect(),
            clauses,
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(expr), data_type, array: false, format: None }
}

pub fn number(text: &str) -> Expr {
    value(Value::Number(text.to_string(), false))
}

pub fn string(text: &str) -> Expr {
    value(Value::SingleQuotedString(text.to_string()))
}

pub fn value(value: Value) -> Expr {
    Expr::Value(ValueWithSpan::from(value))
}

/// `SELECT expression AS alias`.
pub fn query_of(expr: Expr, alias: Ident) -> Query {
    let mut query = TEMPLATE.clone();
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::ExprWithAlias { expr, alias }];
    }
    query
}

static TEMPLATE: LazyLock<Query> = LazyLock::new(|| {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT 1");
    let query = parsed.and_then(|mut parser| parser.parse_query());
    *query.expect("the template is a query; a test of functions in FROM uses it")
});

pub fn subquery(query: Query) -> Expr {
    Expr::Subquery(Box::new(query))
}

/// `CASE WHEN condition THEN result END`.
pub fn when(condition: Expr, result: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: None,
    }
}

/// The text of a string literal, plain or escaped.
pub fn as_string(expr: &Expr) -> Option<&str> {
    let Expr::Value(value) = expr else { return None };
    match &value.value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
        _ => None,
    }
}

/// The last part of a name when what stands before it is `pg_catalog` or `information_schema`, or nothing.
pub fn builtin_name(name: &ObjectName) -> Option<&Ident> {
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    match parts.as_slice() {
        [name] => Some(name),
        [schema, name] if is_builtin_schema(schema) => Some(name),
        _ => None,
    }
}

pub fn is_builtin_schema(schema: &Ident) -> bool {
    ["pg_catalog", "information_schema"].iter().any(|name| schema.value.eq_ignore_ascii_case(name))
}
