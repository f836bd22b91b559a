//! PostgreSQL's long forms of operators and functions, as its own clients write them so that no user's object can
//! come between: `OPERATOR(pg_catalog.~)`, `COLLATE pg_catalog.default`, `pg_catalog.lower(x)`.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CaseWhen, Expr, Ident, ObjectName, Subscript, Value, ValueWithSpan,
};

use super::{build, casts};
use crate::functions::regex_text;
use crate::system::declared;

pub fn rewrite(expr: &mut Expr) {
    match expr {
        // Text is compared byte by byte whatever the collation.
        Expr::Collate { expr: inner, .. } => {
            *expr = take(inner);
            rewrite(expr);
        }
        Expr::BinaryOp { op, right, .. } => {
            let BinaryOperator::PGCustomBinaryOperator(parts) = op else {
                spell_pattern(expr);
                return;
            };
            if let Some(builtin) = parts.last().and_then(|name| operator(name)) {
                *op = builtin;
            }
            if let Expr::Collate { expr: inner, .. } = right.as_mut() {
                **right = take(inner);
            }
            simplify_pattern(expr);
            spell_pattern(expr);
        }
        Expr::Function(function) => strip(&mut function.name),
        // The engine knows the backslash alone.
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            let Some(escape) = escape_char.take_if(|escape| !is_backslash(escape)) else { return };
            let escape = build::value(escape.value);
            **pattern = build::call("like_escape", vec![take(pattern), escape]);
        }
        // `(s).field`, where `s` is a struct.
        Expr::CompoundFieldAccess { root, access_chain } => {
            qualify_column(root, access_chain);
            access_chain.iter_mut().for_each(name_field);
            count_from_one(root, access_chain);
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            if let Some(elements) = build::as_string(right).and_then(casts::array_literal).map(with_numbers) {
                **right = elements;
            }
        }
        Expr::Case { operand, conditions, .. } => compare_operand(operand, conditions),
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

fn is_backslash(escape: &ValueWithSpan) -> bool {
    matches!(&escape.value, Value::SingleQuotedString(text) if text == "\\")
}

/// `CASE flag WHEN 't' THEN …` is `CASE WHEN flag = 't' THEN …`: the engine reads a literal as what it is compared with
/// only there.
fn compare_operand(operand: &mut Option<Box<Expr>>, conditions: &mut [CaseWhen]) {
    let column = |operand: &mut Box<Expr>| {
        matches!(operand.as_ref(), Expr::Identifier(_) | Expr::CompoundIdentifier(_))
    };
    if !conditions.iter().any(|when| build::as_string(&when.condition).is_some()) {
        return;
    }
    let Some(operand) = operand.take_if(column) else { return };
    for when in conditions {
        let right = Box::new(take(&mut when.condition));
        when.condition = Expr::BinaryOp { left: operand.clone(), op: BinaryOperator::Eq, right };
    }
}

/// `t.list[1]` is read as the field `list` of a column `t`, which only `(t).list` is.
fn qualify_column(root: &mut Expr, access_chain: &mut Vec<AccessExpr>) {
    let (Expr::Identifier(relation), Some(AccessExpr::Dot(Expr::Identifier(column)))) =
        (&*root, access_chain.first())
    else {
        return;
    };
    *root = Expr::CompoundIdentifier(vec![relation.clone(), column.clone()]);
    access_chain.remove(0);
}

/// The older kind of array in the catalogs is counted from 0: `indkey[0]`.
fn count_from_one(root: &Expr, access_chain: &mut [AccessExpr]) {
    let column = match root {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    if !column.is_some_and(|column| declared::is_vector(&column.value)) {
        return;
    }
    if let [AccessExpr::Subscript(Subscript::Index { index })] = access_chain {
        *index = Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(take(index)))),
            op: BinaryOperator::Plus,
            right: Box::new(build::number("1")),
        };
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

/// Elements of an array literal that are all whole numbers are numbers.
fn with_numbers(array: Expr) -> Expr {
    let Expr::Array(Array { elem, named }) = &array else { return array };
    let numbers = elem.iter().map(|element| {
        let text = build::as_string(element)?;
        text.parse::<i64>().is_ok().then(|| build::number(text))
    });
    match numbers.collect::<Option<Vec<_>>>() {
        Some(elem) if !elem.is_empty() => Expr::Array(Array { elem, named: *named }),
        _ => array,
    }
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

/// A pattern that the engine would read in another way, as it reads it.
fn spell_pattern(expr: &mut Expr) {
    let Expr::BinaryOp { op, right, .. } = expr else { return };
    let matches = matches!(
        op,
        BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
    );
    let pattern = build::as_string(right).filter(|pattern| matches && regex_text::differs(pattern));
    if let Some(pattern) = pattern.map(regex_text::for_engine) {
        **right = build::string(&pattern);
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
