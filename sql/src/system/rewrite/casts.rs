//! Casts to types that the engine does not have. OID alias types become calls (`functions/casts.rs`), the other types
//! of `pg_catalog` the type that holds their values, and types whose meaning differs are spelled out: `float` is
//! double precision, times have microseconds, `varchar(3)` cuts.

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CharacterLength, DataType, Expr, Function, Ident, ObjectName,
    Select, SelectItem, TimezoneInfo, Value,
};

use super::build;
use crate::system::declared;

/// The fractional digits of seconds that are kept.
const SECOND_DIGITS: u64 = 6;

/// The types whose values are OIDs and whose text is a name.
const ALIASES: [&str; 5] = ["regclass", "regtype", "regnamespace", "regrole", REGPROC];

/// Unlike the others, columns of this type hold the name.
const REGPROC: &str = "regproc";

/// Rewrites one cast; what is cast has been rewritten before.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Cast { expr: inner, data_type, .. } => {
            let inner = std::mem::replace(inner.as_mut(), build::string(""));
            *expr = match rewrite_cast(inner, data_type) {
                Ok(rewritten) => rewritten,
                Err(unchanged) => {
                    let Expr::Cast { expr: inner, data_type, .. } = &mut *expr else { return };
                    **inner = unchanged;
                    *data_type = plain_type(data_type);
                    return;
                }
            };
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
            compare_functions(left, right);
            compare_functions(right, left);
            if let (Some(alias), true) = (alias_call(left), alias_call(left) == alias_call(right)) {
                **left = alias_form(left.as_ref().clone(), alias, "oid");
                **right = alias_form(right.as_ref().clone(), alias, "oid");
            }
        }
        Expr::TypedString(typed) => {
            let text = build::value(typed.value.value.clone());
            if let Some(time) = build::as_string(&text).and_then(|word| clock_word(word, &typed.data_type)) {
                *expr = time;
            } else if ["json", "jsonb", "uuid", "bytea"]
                .contains(&type_name(&typed.data_type).as_deref().unwrap_or(""))
            {
                *expr = build::cast(text, typed.data_type.clone());
                rewrite(expr);
            } else {
                typed.data_type = plain_type(&typed.data_type);
            }
        }
        _ => {}
    }
}

/// `p.oid = 'f'::regproc` compares numbers, `t.typinput = 'f'::regproc` names.
fn compare_functions(function: &mut Expr, with: &Expr) {
    let column = matches!(with, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    if alias_call(function) == Some(REGPROC) && column && !is_function_name(with) {
        *function = alias_form(function.clone(), REGPROC, "oid");
    }
}

/// The cast as something else, or what is cast when it stays a cast.
fn rewrite_cast(inner: Expr, data_type: &DataType) -> Result<Expr, Expr> {
    let name = type_name(data_type);
    let alias = ALIASES.into_iter().find(|alias| Some(*alias) == name.as_deref());
    if alias.is_some() && alias_call(&inner) == alias {
        return Ok(inner);
    }
    if let Some(alias) = alias {
        let form = if alias != REGPROC && is_given(&inner) { "oid" } else { "name" };
        return Ok(build::call(&format!("{alias}_{form}"), vec![inner]));
    }
    if let Some(alias) = alias_call(&inner) {
        return match name.as_deref() {
            Some("oid" | "int8") => Ok(build::cast(alias_form(inner, alias, "oid"), DataType::BigInt(None))),
            Some("int4") => Err(alias_form(inner, alias, "oid")),
            Some("text" | "name" | "varchar") => Ok(alias_form(inner, alias, "name")),
            _ => Err(inner),
        };
    }
    match (data_type, name.as_deref()) {
        (_, Some("oid" | "xid" | "cid")) => match build::as_string(&inner).filter(|text| is_number(text)) {
            Some(digits) => Ok(build::number(digits)),
            None if is_function_name(&inner) => {
                Ok(build::cast(build::call("regproc_oid", vec![inner]), DataType::BigInt(None)))
            }
            None => Ok(build::cast(inner, DataType::BigInt(None))),
        },
        // `"char"` in quotes is PostgreSQL's one-byte type.
        (DataType::Custom(custom, _), Some("char")) if is_quoted(custom) => {
            Ok(build::call("left", vec![build::cast(inner, DataType::Text), build::number("1")]))
        }
        (DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)), _)
            if type_name(item).as_deref() == Some("regtype") && unnested(&inner).is_none() =>
        {
            Ok(build::call("regtype_names", vec![inner]))
        }
        (DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)), _)
            if type_name(item).as_deref() == Some("oid") =>
        {
            let list = unnested(&inner).and_then(array_literal).unwrap_or(inner);
            Ok(build::call("to_oids", vec![build::cast(list, plain_type(data_type))]))
        }
        _ if is_array(data_type) => match unnested(&inner).and_then(array_literal) {
            Some(elements) => Err(elements),
            None => Err(inner),
        },
        (_, Some("json")) => Ok(build::call("to_json_text", vec![inner])),
        (_, Some("jsonb")) => Ok(build::call("to_jsonb_text", vec![inner])),
        (_, Some("uuid")) => Ok(build::call("to_uuid", vec![inner])),
        (_, Some("bytea")) => hex_literal(&inner).ok_or(inner),
        (_, Some("varchar" | "char")) => match length(data_type) {
            Some((length, fill)) => Ok(cut(inner, length, fill)),
            None => Err(inner),
        },
        _ => match build::as_string(&inner).and_then(|word| clock_word(word, data_type)) {
            Some(time) => Ok(time),
            None => Err(inner),
        },
    }
}

/// `'today'::date`: words for times, by the clock of the statement.
fn clock_word(word: &str, data_type: &DataType) -> Option<Expr> {
    if !matches!(data_type, DataType::Date | DataType::Timestamp(..)) {
        return None;
    }
    let today = || build::call("current_date", Vec::new());
    let moved = |op| {
        Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(today()),
            op,
            right: Box::new(build::number("1")),
        }))
    };
    let time = match word.trim().to_ascii_lowercase().as_str() {
        "now" => build::call("now", Vec::new()),
        "today" => today(),
        "tomorrow" => moved(BinaryOperator::Plus),
        "yesterday" => moved(BinaryOperator::Minus),
        "epoch" => build::string("1970-01-01 00:00:00+00"),
        _ => return None,
    };
    Some(build::cast(time, plain_type(data_type)))
}

/// A literal or parameter, whose text is a name; anything else is an OID already.
fn is_given(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(inner) => is_given(inner),
        // A name that is put together.
        Expr::BinaryOp { op: BinaryOperator::StringConcat, .. } => true,
        Expr::Function(function) => {
            let name = build::builtin_name(&function.name).map(|name| name.value.to_lowercase());
            name.is_some_and(|name| ["quote_ident", "concat", "format"].contains(&name.as_str()))
        }
        Expr::Cast { expr, data_type, .. } => {
            is_given(expr) && type_name(data_type).as_deref() == Some("text")
        }
        _ => false,
    }
}

fn is_array(data_type: &DataType) -> bool {
    matches!(plain_type(data_type), DataType::Array(_))
}

/// The text of a string literal, in parentheses or not.
fn unnested(expr: &Expr) -> Option<&str> {
    if let Expr::Nested(inner) = expr { unnested(inner) } else { build::as_string(expr) }
}

/// `'{1,"a b",NULL}'` as ARRAY['1', 'a b', NULL].
pub fn array_literal(text: &str) -> Option<Expr> {
    let element = |element: Option<String>| match element {
        Some(text) => build::string(&text),
        None => build::value(Value::Null),
    };
    let elem = array_elements(text)?.into_iter().map(element).collect();
    Some(Expr::Array(Array { elem, named: true }))
}

/// The elements of an array written as text; None for what has more dimensions or is no array.
pub fn array_elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let mut characters = inner.trim().chars().peekable();
    while characters.peek().is_some() {
        let (mut element, mut quoted, mut open) = (String::new(), false, false);
        while let Some(character) = characters.next_if(|character| open || *character != ',') {
            match character {
                '\\' => element.extend(characters.next()),
                '"' => (open, quoted) = (!open, true),
                '{' | '}' if !open => return None,
                other => element.push(other),
            }
        }
        let element = if quoted { element.as_str() } else { element.trim() };
        elements.push(match element {
            "" if !quoted => return None,
            null if !quoted && null.eq_ignore_ascii_case("null") => None,
            text => Some(text.to_string()),
        });
        // A comma promises another element.
        if characters.next().is_some() && characters.peek().is_none() {
            return None;
        }
    }
    Some(elements)
}

/// A column of a catalog that names a function: `typinput`.
fn is_function_name(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    name.is_some_and(|name| declared::is_function_name(&name.value))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_quoted(name: &ObjectName) -> bool {
    build::builtin_name(name).is_some_and(|name| name.quote_style.is_some())
}

/// The OID alias type that a call made by this file stands for.
fn alias_call(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(Function { name, .. }) = expr else { return None };
    let name = name.0.last()?.as_ident()?;
    let (alias, form) = name.value.rsplit_once('_')?;
    let alias = ALIASES.into_iter().find(|known| *known == alias)?;
    ["oid", "name"].contains(&form).then_some(alias)
}

fn alias_form(mut expr: Expr, alias: &str, form: &str) -> Expr {
    if let Expr::Function(function) = &mut expr {
        function.name = ObjectName::from(vec![Ident::new(format!("{alias}_{form}"))]);
    }
    expr
}

/// A whole number in the result is an integer where it fits, as PostgreSQL has it; the engine makes a bigint of it.
pub fn type_numbers(select: &mut Select) {
    for item in &mut select.projection {
        let (number, alias) = match item {
            SelectItem::UnnamedExpr(number) => (number, Ident::with_quote('"', "?column?")),
            SelectItem::ExprWithAlias { expr: number, alias } => (number, alias.clone()),
            _ => continue,
        };
        let fits = match number {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, false) => digits.parse::<i32>().is_ok(),
                _ => false,
            },
            _ => false,
        };
        if fits {
            let expr = build::cast(number.clone(), DataType::Int(None));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
}

/// What a query gives back of an OID alias type is the name: `SELECT 'orders'::regclass`.
pub fn show_names(select: &mut Select) {
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        if let Some(alias) = alias_call(expr) {
            *expr = alias_form(expr.clone(), alias, "name");
        }
    }
}

/// `'\xDEAD'::bytea` gives bytes, not the text of them.
fn hex_literal(expr: &Expr) -> Option<Expr> {
    let digits = build::as_string(expr)?.strip_prefix("\\x")?;
    let whole = digits.len() % 2 == 0 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| build::value(Value::HexStringLiteral(digits.to_string())))
}

/// The length of a character type, and whether shorter values are filled up with spaces.
fn length(data_type: &DataType) -> Option<(u64, bool)> {
    let (length, fill) = match data_type {
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            (length, false)
        }
        DataType::Char(length) | DataType::Character(length) => (length, true),
        _ => return None,
    };
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => Some((*length, fill)),
        // `char` alone is one character.
        None if fill => Some((1, true)),
        _ => None,
    }
}

fn cut(inner: Expr, length: u64, fill: bool) -> Expr {
    let text = build::cast(inner, DataType::Text);
    let function = if fill { "rpad" } else { "left" };
    build::call(function, vec![text, build::number(&length.to_string())])
}

/// PostgreSQL's internal name of a type, where rules depend on it.
fn type_name(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Custom(name, _) => build::builtin_name(name)?.value.to_lowercase(),
        DataType::Regclass => "regclass".to_string(),
        DataType::Text => "text".to_string(),
        DataType::JSON => "json".to_string(),
        DataType::JSONB => "jsonb".to_string(),
        DataType::Uuid => "uuid".to_string(),
        DataType::Bytea => "bytea".to_string(),
        DataType::BigInt(_) | DataType::Int8(_) => "int8".to_string(),
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4".to_string(),
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => {
            "varchar".to_string()
        }
        DataType::Char(_) | DataType::Character(_) => "char".to_string(),
        _ => return None,
    })
}

/// The type that the engine casts to.
fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Custom(name, modifiers) => match build::builtin_name(name) {
            Some(ident) => {
                named_type(&ident.value.to_lowercase(), modifiers).unwrap_or_else(|| data_type.clone())
            }
            None => data_type.clone(),
        },
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, size)) => {
            DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(plain_type(item)), *size))
        }
        DataType::Float(_) => DataType::DoublePrecision,
        DataType::CharacterVarying(_) | DataType::CharVarying(_) | DataType::Varchar(None) => DataType::Text,
        DataType::Timestamp(None, zone) => DataType::Timestamp(Some(SECOND_DIGITS), *zone),
        other => other.clone(),
    }
}

/// A type of `pg_catalog` by its internal name. What is not known stays, so that the engine names it in its error.
fn named_type(name: &str, modifiers: &[String]) -> Option<DataType> {
    if let Some(element) = name.strip_prefix('_') {
        let element = named_type(element, &[])?;
        return Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None)));
    }
    Some(match name {
        "bool" => DataType::Boolean,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Int(None),
        "int8" | "oid" | "xid" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "numeric" if modifiers.is_empty() => {
            DataType::Numeric(datafusion::sql::sqlparser::ast::ExactNumberInfo::None)
        }
        "date" => DataType::Date,
        "time" => DataType::Time(None, TimezoneInfo::None),
        "timestamp" => DataType::Timestamp(Some(SECOND_DIGITS), TimezoneInfo::None),
        "timestamptz" => DataType::Timestamp(Some(SECOND_DIGITS), TimezoneInfo::WithTimeZone),
        "interval" => DataType::Interval { fields: None, precision: None },
        "bytea" => DataType::Bytea,
        "text" | "varchar" | "bpchar" | "name" | "char" | "cstring" | "unknown" | "regproc"
        | "regprocedure" | "aclitem" | "pg_node_tree" | "sql_identifier" | "character_data" | "yes_or_no" => {
            DataType::Text
        }
        "cardinal_number" => DataType::Int(None),
        _ => return None,
    })
}

/// What PostgreSQL calls a column that is a cast which this file rewrites: after what is cast if that has a name,
/// else after the type.
pub fn output_name(expr: &Expr) -> Option<Ident> {
    if let Expr::TypedString(typed) = expr {
        let name = type_name(&typed.data_type)?;
        return ["json", "jsonb", "uuid", "bytea"]
            .contains(&name.as_str())
            .then(|| Ident::with_quote('"', name));
    }
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return None };
    if let Some(name) = inner_name(inner) {
        return Some(name);
    }
    Some(Ident::with_quote('"', type_name(data_type)?))
}

fn inner_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        Expr::Cast { .. } => output_name(expr),
        Expr::Nested(inner) => inner_name(inner),
        Expr::Function(function) => function.name.0.last()?.as_ident().cloned(),
        _ => None,
    }
}
