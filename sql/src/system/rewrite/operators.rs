//! PostgreSQL's long forms of operators and functions, as its own clients write them so that no user's object can
//! come between: `OPERATOR(pg_catalog.~)`, `COLLATE pg_catalog.default`, `pg_catalog.lower(x)`.

use datafusion::sql::sqlparser::ast::{AccessExpr, Array, BinaryOperator, Expr, Ident, ObjectName};

use super::build;

pub fn rewrite(expr: &mut Expr) {
    match expr {
        // Text is compared byte by byte whatever the collation.
        Expr::Collate { expr: inner, .. } => {
            *expr = take(inner);
            rewrite(expr);
        }
        Expr::BinaryOp { op, right, .. } => {
            let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
            if let Some(builtin) = parts.last().and_then(|name| operator(name)) {
                *op = builtin;
            }
            if let Expr::Collate { expr: inner, .. } = right.as_mut() {
                **right = take(inner);
            }
            simplify_pattern(expr);
        }
        Expr::Function(function) => strip(&mut function.name),
        // `(s).field`, where `s` is a struct.
        Expr::CompoundFieldAccess { access_chain, .. } => access_chain.iter_mut().for_each(name_field),
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            if let Some(elements) = build::as_string(right).and_then(array_elements) {
                **right = elements;
            }
        }
        Expr::Identifier(name) if name.quote_style.is_none() && is_parameterless(&name.value) => {
            *expr = build::call(&name.value.to_ascii_lowercase(), Vec::new());
        }
        _ => {}
    }
}

/// What PostgreSQL calls a column that is a field of a struct: `(s).field`.
pub fn output_name(expr: &Expr) -> Option<Ident> {
    let Expr::CompoundFieldAccess { access_chain, .. } = expr else { return None };
    match access_chain.last() {
        Some(AccessExpr::Dot(Expr::Identifier(name))) => Some(name.clone()),
        _ => None,
    }
}

/// A field after a dot is a name, which folds to lower case unless it is quoted.
fn name_field(access: &mut AccessExpr) {
    let AccessExpr::Dot(Expr::Identifier(name)) = access else { return };
    let name = match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    };
    *access = AccessExpr::Dot(build::string(&name));
}

/// An array written as text, `{a,b}`. Elements that are all whole numbers are numbers.
fn array_elements(text: &str) -> Option<Expr> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inner.contains(['{', '"', '\\']) {
        return None;
    }
    let elements: Vec<&str> = inner.split(',').map(str::trim).filter(|element| !element.is_empty()).collect();
    let numbers = elements.iter().all(|element| element.parse::<i64>().is_ok());
    let element = |element: &&str| if numbers { build::number(element) } else { build::string(element) };
    Some(Expr::Array(Array { elem: elements.iter().map(element).collect(), named: true }))
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, build::string(""))
}

fn operator(name: &str) -> Option<BinaryOperator> {
    Some(match name {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        _ => return None,
    })
}

/// psql turns the name in `\d orders` into the pattern `^(orders)$`, and `\d o*` into `^(o.*)$`. As an equality or a
/// prefix it can be looked up.
fn simplify_pattern(expr: &mut Expr) {
    let Expr::BinaryOp { left, op: BinaryOperator::PGRegexMatch, right } = expr else { return };
    let pattern = build::as_string(right).and_then(|text| text.strip_prefix("^(")?.strip_suffix(")$"));
    let Some(pattern) = pattern else { return };
    if is_plain(pattern) {
        let (left, name) = (left.clone(), build::string(pattern));
        *expr = Expr::BinaryOp { left, op: BinaryOperator::Eq, right: Box::new(name) };
    } else if let Some(prefix) = pattern.strip_suffix(".*").filter(|prefix| is_plain(prefix)) {
        let like = build::string(&format!("{}%", prefix.replace('_', "\\_")));
        let (expression, pattern) = (left.clone(), Box::new(like));
        *expr = Expr::Like { negated: false, any: false, expr: expression, pattern, escape_char: None };
    }
}

/// No character of it means anything in a pattern.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_alphanumeric() || "_- ".contains(character))
}

/// Functions live in one flat space here; PostgreSQL's are all in `pg_catalog`.
pub fn strip(name: &mut ObjectName) {
    if name.0.len() == 2
        && let Some(bare) = build::builtin_name(name).cloned()
    {
        *name = ObjectName::from(vec![bare]);
    }
}

/// Words that PostgreSQL takes for a call without parentheses and the parser for a column.
fn is_parameterless(word: &str) -> bool {
    ["current_schema", "current_role"].iter().any(|name| word.eq_ignore_ascii_case(name))
}
