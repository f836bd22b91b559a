//! Functions that the engine has under another name or in another shape: `ceiling`, `mod`, `json_extract_path`, functions
//! that give rows in a SELECT list, and EXISTS as a value.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, ObjectName, Query, Select, SelectItem, SetExpr, TimezoneInfo, Value,
};

use super::{build, subqueries, tables};
use crate::functions::{SUBSCRIPTS, json_edit};

/// Rewrites one call.
pub fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let Some(name) = bare_name(function) else { return };
    if let Some(other) = other_name(&name) {
        rename(function, other);
        return;
    }
    match name.as_str() {
        "mod" => {
            if let [left, right] = &mut plain_arguments(function)[..] {
                let operator = Expr::BinaryOp {
                    left: Box::new(Expr::Nested(Box::new(left.clone()))),
                    op: BinaryOperator::Modulo,
                    right: Box::new(Expr::Nested(Box::new(right.clone()))),
                };
                *expr = Expr::Nested(Box::new(operator));
            }
        }
        // From midnight of today.
        "age" => {
            if let [from] = &plain_arguments(function)[..] {
                let today = build::cast(
                    build::call("current_date", Vec::new()),
                    DataType::Timestamp(Some(6), TimezoneInfo::None),
                );
                *expr = build::call("age", vec![today, (*from).clone()]);
            }
        }
        "json_extract_path" | "jsonb_extract_path" => part_at(expr, json_edit::PART),
        "json_extract_path_text" | "jsonb_extract_path_text" => part_at(expr, json_edit::PART_TEXT),
        "gen_random_uuid" => *expr = build::call("to_uuid", vec![build::call("uuid", Vec::new())]),
        _ => {}
    }
}

/// `json_extract_path(x, 'a', 'b')` is `x #> ARRAY['a', 'b']`.
fn part_at(expr: &mut Expr, name: &str) {
    let Expr::Function(function) = expr else { return };
    let mut arguments = plain_arguments(function).into_iter().map(|argument| argument.clone());
    let Some(document) = arguments.next() else { return };
    let path = Expr::Array(Array { elem: arguments.collect(), named: true });
    *expr = build::call(name, vec![document, path]);
}

/// The function's name in lower case, if it has no schema.
fn bare_name(function: &Function) -> Option<String> {
    let [part] = &function.name.0[..] else { return None };
    Some(part.as_ident()?.value.to_ascii_lowercase())
}

fn rename(function: &mut Function, name: &str) {
    function.name = ObjectName::from(vec![Ident::new(name)]);
}

/// The engine's name of a function that it has under another.
fn other_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "ceiling" => "ceil",
        "every" => "bool_and",
        "variance" => "var_samp",
        "clock_timestamp" | "statement_timestamp" | "transaction_timestamp" => "now",
        _ => return None,
    })
}

fn plain_arguments(function: &mut Function) -> Vec<&mut Expr> {
    let FunctionArguments::List(list) = &mut function.args else { return Vec::new() };
    let mut plain = Vec::new();
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
            plain.push(expr);
        }
    }
    plain
}

/// What PostgreSQL calls a column that is such a call.
pub fn output_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Exists { .. } => Some(Ident::with_quote('"', "exists")),
        Expr::Function(function) => {
            let name = build::builtin_name(&function.name)?;
            let lower = name.value.to_ascii_lowercase();
            let rewritten = other_name(&lower).is_some()
                || tables::row_function(&lower).is_some()
                || ["mod", "gen_random_uuid", "generate_series"].contains(&lower.as_str())
                || lower.contains("_extract_path");
            rewritten.then(|| Ident::with_quote('"', lower))
        }
        _ => None,
    }
}

/// Rewrites what stands in a SELECT list only: functions that give a row per value, and EXISTS as a value.
pub fn rewrite_projection(select: &mut Select) {
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        rows_of_function(expr);
        exists_as_value(expr);
    }
}

fn rows_of_function(expr: &mut Expr) {
    field_of_expanded(expr);
    let Expr::Function(function) = expr else { return };
    let Some(name) = build::builtin_name(&function.name).map(|name| name.value.to_ascii_lowercase()) else {
        return;
    };
    let list_function = match (name.as_str(), tables::row_function(&name)) {
        ("generate_series", _) => "generate_series",
        (_, Some((_, Some(list_function)))) => list_function,
        _ => return,
    };
    rename(function, list_function);
    *expr = build::call("unnest", vec![expr.clone()]);
}

/// `(_pg_expandarray(list)).n` is the places of the list, `.x` its elements.
fn field_of_expanded(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    let (Expr::Nested(inner), [AccessExpr::Dot(Expr::Identifier(field))]) =
        (root.as_ref(), &access_chain[..])
    else {
        return;
    };
    let Expr::Function(function) = inner.as_ref() else { return };
    let name = build::builtin_name(&function.name);
    if !name.is_some_and(|name| name.value.eq_ignore_ascii_case("_pg_expandarray")) {
        return;
    }
    let mut function = function.clone();
    let list: Vec<Expr> = plain_arguments(&mut function).into_iter().map(|list| list.clone()).collect();
    *expr = match field.value.to_lowercase().as_str() {
        "n" => {
            let list = list.into_iter().chain([build::number("1")]).collect();
            build::call("unnest", vec![build::call(SUBSCRIPTS, list)])
        }
        "x" => build::call("unnest", list),
        _ => return,
    };
}

/// The engine knows EXISTS in conditions only; as a value it is a count.
fn exists_as_value(expr: &mut Expr) {
    let Expr::Exists { subquery, negated } = expr else { return };
    let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
    let mut query = subquery.as_ref().clone();
    let count = build::call("count", vec![build::value(Value::Boolean(true))]);
    if !count_instead(&mut query, count) {
        return;
    }
    let (count, none) = (build::subquery(query), build::number("0"));
    *expr = Expr::BinaryOp { left: Box::new(count), op, right: Box::new(none) };
}

/// Makes the query count its rows; false when it does not give rows as they are.
fn count_instead(query: &mut Query, count: Expr) -> bool {
    if !subqueries::is_ungrouped(query) || query.limit_clause.is_some() || query.fetch.is_some() {
        return false;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    // Rows that are told apart or not are there all the same.
    select.distinct = None;
    select.projection = vec![SelectItem::UnnamedExpr(count)];
    query.order_by = None;
    true
}
