//! Expressions that SQL spells with keywords and symbols, as calls of functions: `AT TIME ZONE`, `EXTRACT`, `SIMILAR TO`,
//! `OVERLAPS`, `LIKE ANY`, `|/`, patterns in `substring`; intervals and numbers in all of PostgreSQL's forms; and
//! arrays that are cut without saying where.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Interval, Subscript, TimezoneInfo, UnaryOperator, Value,
};

use super::build;
use crate::functions::{Span, expanded_number, regexes};

/// Rewrites one expression.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = build::call("timezone", vec![take(time_zone), take(timestamp)]);
        }
        Expr::Extract { field, expr: from, .. } => {
            let field = field.to_string().to_lowercase();
            let field = field.trim_matches(['\'', '"']).to_owned();
            *expr = build::call("extract", vec![build::string(&field), take(from)]);
        }
        Expr::SimilarTo { negated, expr: text, pattern, escape_char } => {
            let escape = match escape_char {
                Some(escape) => build::value(escape.value.clone()),
                None => build::string("\\"),
            };
            let similar = build::call(regexes::SIMILAR, vec![take(text), take(pattern), escape]);
            *expr = denied(similar, *negated);
        }
        Expr::Like { .. } | Expr::ILike { .. } => like_list(expr),
        Expr::Substring { expr: text, substring_from: Some(from), substring_for, .. } => {
            let literal = |expr: &Expr| build::as_string(expr).is_some();
            if literal(from) && substring_for.as_deref().is_none_or(literal) {
                let arguments = [Some(take(text)), Some(take(from)), substring_for.as_deref_mut().map(take)];
                *expr = build::call(regexes::SUBSTRING, arguments.into_iter().flatten().collect());
            }
        }
        Expr::UnaryOp { op, expr: operand } => unary(*op, operand).map_or((), |rewritten| *expr = rewritten),
        Expr::Interval(interval) => whole_interval(interval),
        Expr::Value(value) => {
            let Value::Number(digits, _) = &value.value else { return };
            if let Some(number) = number(digits) {
                *expr = number;
            }
        }
        Expr::CompoundFieldAccess { access_chain, .. } => access_chain.iter_mut().for_each(subscript),
        Expr::Function(function) => match bare_word(function).and_then(|word| local_time(&word)) {
            Some(time) => *expr = time,
            None => name_arguments(function),
        },
        _ => {}
    }
}

/// What PostgreSQL calls a column that is such an expression.
pub fn output_name(expr: &Expr) -> Option<Ident> {
    let name = match expr {
        Expr::AtTimeZone { .. } => "timezone",
        Expr::Extract { .. } => "extract",
        Expr::Substring { .. } => "substring",
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. } => "overlaps",
        Expr::SimilarTo { .. } | Expr::UnaryOp { .. } => "?column?",
        Expr::Value(_) if has_exponent(expr) => "?column?",
        Expr::Cast { expr: inner, data_type: DataType::DoublePrecision | DataType::Float8, .. }
            if has_exponent(inner) =>
        {
            "float8"
        }
        Expr::Function(function) => {
            let word = bare_word(function).filter(|word| local_time(word).is_some())?;
            return Some(Ident::with_quote('"', word.to_lowercase()));
        }
        _ => return None,
    };
    Some(Ident::with_quote('"', name))
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, build::string(""))
}

fn denied(expr: Expr, negated: bool) -> Expr {
    match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(expr))) },
        false => expr,
    }
}

/// `x LIKE ANY (ARRAY['a%', 'b%'])`, and with ALL: a LIKE for each pattern.
fn like_list(expr: &mut Expr) {
    let (Expr::Like { pattern, any, .. } | Expr::ILike { pattern, any, .. }) = &*expr else { return };
    let (list, op) = match (*any, pattern.as_ref()) {
        (true, list) => (array(list), BinaryOperator::Or),
        (false, Expr::Function(function)) if is_named(function, "all") => {
            (arguments(function).first().and_then(|list| array(list)), BinaryOperator::And)
        }
        _ => return,
    };
    let Some(patterns) = list.filter(|list| !list.is_empty()) else { return };
    let each = patterns.into_iter().map(|pattern| {
        let mut like = expr.clone();
        if let Expr::Like { pattern: wanted, any, .. } | Expr::ILike { pattern: wanted, any, .. } = &mut like
        {
            (**wanted, *any) = (pattern, false);
        }
        like
    });
    let joined = each.reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    });
    if let Some(joined) = joined {
        *expr = Expr::Nested(Box::new(joined));
    }
}

fn array(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Array(array) => Some(array.elem.clone()),
        Expr::Nested(inner) => array(inner),
        Expr::Cast { expr, .. } => {
            build::as_string(expr).and_then(super::casts::array_literal).as_ref().and_then(array)
        }
        literal => build::as_string(literal).and_then(super::casts::array_literal).as_ref().and_then(array),
    }
}

fn is_named(function: &Function, name: &str) -> bool {
    build::builtin_name(&function.name).is_some_and(|known| known.value.eq_ignore_ascii_case(name))
}

fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let plain = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(plain).collect()
}

fn unary(op: UnaryOperator, operand: &mut Box<Expr>) -> Option<Expr> {
    Some(match op {
        UnaryOperator::PGSquareRoot => build::call("sqrt", vec![take(operand)]),
        UnaryOperator::PGCubeRoot => build::call("cbrt", vec![take(operand)]),
        UnaryOperator::PGAbs => build::call("abs", vec![take(operand)]),
        // All bits turned: -1 less the number.
        UnaryOperator::BitwiseNot => {
            let left = Box::new(build::number("-1"));
            let right = Box::new(Expr::Nested(Box::new(take(operand))));
            Expr::Nested(Box::new(Expr::BinaryOp { left, op: BinaryOperator::Minus, right }))
        }
        UnaryOperator::Minus if matches!(operand.as_ref(), Expr::Interval(_)) => {
            let Expr::Interval(interval) = operand.as_mut() else { return None };
            let text = build::as_string(&interval.value).filter(|_| interval.leading_field.is_none())?;
            let span = Span::parse(text).and_then(Span::negated).ok()?;
            *interval.value = build::string(&engine_words(span));
            take(operand)
        }
        // A sign binds more tightly than a power.
        UnaryOperator::Minus => {
            let Expr::BinaryOp { left, op: BinaryOperator::PGExp, .. } = operand.as_mut() else {
                return None;
            };
            let negated = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(take(left)) };
            **left = Expr::Nested(Box::new(negated));
            take(operand)
        }
        _ => return None,
    })
}

/// An interval in the one form that the engine reads as PostgreSQL does. What is none stays, so that it is refused.
fn whole_interval(interval: &mut Interval) {
    if interval.leading_field.is_some() {
        return;
    }
    let Some(span) = build::as_string(&interval.value).and_then(|text| Span::parse(text).ok()) else {
        return;
    };
    *interval.value = build::string(&engine_words(span));
}

/// `14 months 3 days 7200.500000 seconds`
fn engine_words(span: Span) -> String {
    let mut parts = Vec::new();
    if span.months != 0 {
        parts.push(format!("{} months", span.months));
    }
    if span.days != 0 {
        parts.push(format!("{} days", span.days));
    }
    if span.micros != 0 || parts.is_empty() {
        let sign = if span.micros < 0 { "-" } else { "" };
        let micros = span.micros.unsigned_abs();
        parts.push(format!("{sign}{}.{:06} seconds", micros / 1_000_000, micros % 1_000_000));
    }
    parts.join(" ")
}

fn has_exponent(expr: &Expr) -> bool {
    let Expr::Value(value) = expr else { return false };
    matches!(&value.value, Value::Number(digits, _) if digits.contains(['e', 'E']))
}

/// `1e15` is written out; what has more digits than a numeric can have is a floating-point number.
fn number(digits: &str) -> Option<Expr> {
    if !digits.contains(['e', 'E']) {
        return None;
    }
    Some(match expanded_number(digits) {
        Some(written) if written.contains('.') => build::number(&written),
        // It is a numeric all the same.
        Some(written) => {
            let digits = u64::try_from(written.len()).unwrap_or(1);
            let numeric = DataType::Numeric(ExactNumberInfo::PrecisionAndScale(digits, 0));
            build::cast(build::number(&written), numeric)
        }
        None => build::cast(build::string(digits), DataType::DoublePrecision),
    })
}

/// The word of a call without parentheses.
fn bare_word(function: &Function) -> Option<String> {
    let bare = matches!(function.args, FunctionArguments::None);
    build::builtin_name(&function.name).filter(|_| bare).map(|name| name.value.clone())
}

/// `localtimestamp` and `localtime`, which the engine does not know.
fn local_time(word: &str) -> Option<Expr> {
    let data_type = match word.to_lowercase().as_str() {
        "localtimestamp" => DataType::Timestamp(Some(6), TimezoneInfo::None),
        "localtime" => DataType::Time(None, TimezoneInfo::None),
        _ => return None,
    };
    Some(build::cast(build::call("now", Vec::new()), data_type))
}

/// No element has a negative place, and a slice may leave its ends out.
fn subscript(access: &mut AccessExpr) {
    let AccessExpr::Subscript(subscript) = access else { return };
    match subscript {
        Subscript::Index { index } => {
            if let Expr::UnaryOp { op: UnaryOperator::Minus, expr } = index
                && matches!(expr.as_ref(), Expr::Value(_))
            {
                *index = build::number("0");
            }
        }
        Subscript::Slice { lower_bound, upper_bound, .. } => {
            lower_bound.get_or_insert_with(|| build::number("1"));
            upper_bound.get_or_insert_with(|| build::number(&i32::MAX.to_string()));
        }
    }
}

/// The names of the arguments of functions that are called by name, with what they are when left out.
fn argument_names(function: &str) -> Option<(&'static [&'static str], Option<&'static str>)> {
    Some(match function {
        "make_interval" => (&["years", "months", "weeks", "days", "hours", "mins", "secs"], Some("0")),
        "make_date" => (&["year", "month", "day"], None),
        "make_time" => (&["hour", "min", "sec"], None),
        "make_timestamp" | "make_timestamptz" => (&["year", "month", "mday", "hour", "min", "sec"], None),
        _ => return None,
    })
}

/// `make_interval(days => 10)` with all of its arguments in their places.
fn name_arguments(function: &mut Function) {
    let name = build::builtin_name(&function.name).map(|name| name.value.to_ascii_lowercase());
    let Some((names, default)) = name.as_deref().and_then(argument_names) else { return };
    let FunctionArguments::List(list) = &mut function.args else { return };
    let mut places: Vec<Option<Expr>> = vec![None; names.len()];
    for (place, argument) in list.args.iter().enumerate() {
        let (place, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(place), value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                (names.iter().position(|known| name.value.eq_ignore_ascii_case(known)), value)
            }
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                ..
            } => (names.iter().position(|known| name.value.eq_ignore_ascii_case(known)), value),
            _ => return,
        };
        let Some(slot) = place.and_then(|place| places.get_mut(place)) else { return };
        *slot = Some(value.clone());
    }
    let filled = places.into_iter().map(|value| value.or_else(|| default.map(build::number)));
    let Some(filled) = filled.collect::<Option<Vec<Expr>>>() else { return };
    list.args = filled.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
}
