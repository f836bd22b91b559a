//! Functions of text and numbers that PostgreSQL has and the engine lacks, and the many that answer the same for
//! everybody because Tarn has no object of their kind (rules, triggers).

use tarn_catalog::name::quote;

use super::row_function::Definition;
use super::row_function::Kind::{Bool, Float, Int, List, OidList, OidOrName, Text, TypeName};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::Value;
use crate::types;

pub const DEFINITIONS: &[Definition] = &[
    Definition::pure("quote_ident", &[&[Text]], Text, quote_ident),
    Definition::pure("quote_literal", &[&[Text]], Text, quote_literal),
    Definition::pure("quote_nullable", &[&[Text]], Text, quote_nullable).with_nulls(),
    Definition::pure("format_type", &[&[Int, Int]], Text, format_type).with_nulls(),
    Definition::pure("pg_typeof", &[&[TypeName]], Text, first).with_nulls(),
    Definition::pure("pg_size_pretty", &[&[Float]], Text, pg_size_pretty),
    Definition::pure("getdatabaseencoding", &[&[]], Text, |_| Ok("UTF8".into())),
    Definition::pure("pg_encoding_to_char", &[&[Int]], Text, pg_encoding_to_char),
    Definition::pure("pg_char_to_encoding", &[&[Text]], Int, pg_char_to_encoding),
    Definition::pure("to_oids", &[&[List]], OidList, first),
    // What the rewriter makes of the columns of a composite type.
    Definition::pure("no_ancestors", &[&[OidOrName]], OidList, nothing),
    Definition::pure("no_oids", &[&[]], OidList, nothing),
    Definition::pure("like_escape", &[&[Text, Text]], Text, like_escape),
    Definition::pure("pg_client_encoding", &[&[]], Text, |_| Ok("UTF8".into())),
    // Expressions are stored as their own text, so decompiling one gives it back.
    Definition::pure("pg_get_expr", &[&[Text, Int], &[Text, Int, Bool]], Text, first),
    // Kinds of objects that do not exist have no definition.
    Definition::pure("pg_index_column_has_property", &[&[Int, Int, Text]], Bool, nothing),
    Definition::pure("pg_get_ruledef", &[&[Int], &[Int, Bool]], Text, nothing),
    Definition::pure("pg_get_triggerdef", &[&[Int], &[Int, Bool]], Text, nothing),
    Definition::pure("pg_get_functiondef", &[&[Int]], Text, nothing),
    Definition::pure("pg_get_partkeydef", &[&[Int]], Text, nothing),
    Definition::pure("pg_get_statisticsobjdef_columns", &[&[Int]], Text, nothing),
    Definition::pure("pg_get_serial_sequence", &[&[Text, Text]], Text, nothing),
    Definition::pure("pg_tablespace_location", &[&[Int]], Text, empty),
    Definition::pure("pg_relation_is_publishable", &[&[OidOrName]], Bool, no),
    Definition::pure("pg_is_other_temp_schema", &[&[Int]], Bool, no),
    Definition::pure("pg_is_in_recovery", &[&[]], Bool, no),
    // Everything built in is in pg_catalog, which every search path starts with.
    Definition::pure("pg_type_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_operator_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_opclass_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_opfamily_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_collation_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_conversion_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_statistics_obj_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_ts_config_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_ts_dict_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_ts_parser_is_visible", &[&[Int]], Bool, yes),
    Definition::pure("pg_ts_template_is_visible", &[&[Int]], Bool, yes),
];

/// What `@>` of two JSON texts is planned as.
pub static JSON_CONTAINED: Definition =
    Definition::pure("json_contained", &[&[Text, Text]], Bool, |arguments| {
        Ok(super::json::json_contained(text(&arguments[0]), text(&arguments[1]))?.into())
    });

/// The argument as text; the engine has coerced it before.
pub fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

/// The argument as a number; the engine has coerced it before.
pub fn int(value: &Value) -> i64 {
    if let Value::Int(int) = value { *int } else { 0 }
}

fn first(arguments: &[Value]) -> Result<Value> {
    Ok(arguments.first().cloned().unwrap_or(Value::Null))
}

fn nothing(_: &[Value]) -> Result<Value> {
    Ok(Value::Null)
}

fn empty(_: &[Value]) -> Result<Value> {
    Ok("".into())
}

fn yes(_: &[Value]) -> Result<Value> {
    Ok(true.into())
}

fn no(_: &[Value]) -> Result<Value> {
    Ok(false.into())
}

fn quote_ident(arguments: &[Value]) -> Result<Value> {
    Ok(quote(text(&arguments[0])).into())
}

fn quote_literal(arguments: &[Value]) -> Result<Value> {
    let doubled = text(&arguments[0]).replace('\'', "''");
    // With a backslash in it, PostgreSQL writes an escape string.
    Ok(match doubled.contains('\\') {
        true => format!(" E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
    .trim_start()
    .into())
}

fn quote_nullable(arguments: &[Value]) -> Result<Value> {
    if arguments[0] == Value::Null { Ok("NULL".into()) } else { quote_literal(arguments) }
}

/// NULL for a NULL type; a NULL modifier is no modifier.
fn format_type(arguments: &[Value]) -> Result<Value> {
    let Value::Int(oid) = arguments[0] else { return Ok(Value::Null) };
    let modifier = if let Value::Int(modifier) = arguments[1] { modifier } else { -1 };
    let oid = u32::try_from(oid).unwrap_or(u32::MAX);
    Ok(types::format_type(oid, i32::try_from(modifier).unwrap_or(-1)).into())
}

/// Halves are rounded away from zero, and a unit is used up to 10239 of it (`pg_size_pretty`).
fn pg_size_pretty(arguments: &[Value]) -> Result<Value> {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let Value::Float(mut size) = arguments[0] else { return Ok(Value::Null) };
    let mut unit = 0;
    while size.abs().round() >= 10240.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    Ok(format!("{} {}", size.round(), UNITS[unit]).into())
}

fn pg_encoding_to_char(arguments: &[Value]) -> Result<Value> {
    Ok(if int(&arguments[0]) == 6 { "UTF8" } else { "" }.into())
}

fn pg_char_to_encoding(arguments: &[Value]) -> Result<Value> {
    let utf8 = matches!(text(&arguments[0]).to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode");
    Ok(if utf8 { 6 } else { -1 }.into())
}

/// A pattern with another escape character, or none, as a pattern with the backslash.
fn like_escape(arguments: &[Value]) -> Result<Value> {
    let mut escape = text(&arguments[1]).chars();
    let character = escape.next();
    if escape.next().is_some() {
        return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut pattern = String::new();
    let mut characters = text(&arguments[0]).chars();
    while let Some(next) = characters.next() {
        if Some(next) == character {
            pattern.push('\\');
            pattern.extend(characters.next());
        } else if next == '\\' {
            pattern.push_str("\\\\");
        } else {
            pattern.push(next);
        }
    }
    Ok(pattern.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(run: fn(&[Value]) -> Result<Value>, arguments: &[Value], expect: &str) {
        assert_eq!(run(arguments).expect("these never fail"), expect.into(), "{arguments:?}");
    }

    #[test]
    fn texts_are_quoted_as_postgresql_does() {
        check(quote_ident, &["orders".into()], "orders");
        check(quote_ident, &["Orders".into()], "\"Orders\"");
        check(quote_literal, &["it's".into()], "'it''s'");
        check(quote_literal, &["a\\b".into()], "E'a\\\\b'");
        check(quote_nullable, &[Value::Null], "NULL");
    }

    #[test]
    fn patterns_get_the_backslash_as_escape() {
        for (pattern, escape, expect) in
            [("pg/_%", "/", "pg\\_%"), ("a//b", "/", "a\\/b"), ("a\\b", "", "a\\\\b"), ("a_b", "_", "a\\b")]
        {
            check(like_escape, &[pattern.into(), escape.into()], expect);
        }
        assert!(like_escape(&["a".into(), "ab".into()]).is_err());
    }

    #[test]
    fn sizes_are_rounded_as_postgresql_does() {
        for (bytes, expect) in [
            (0.0, "0 bytes"),
            (10239.0, "10239 bytes"),
            (10240.0, "10 kB"),
            (10.0 * 1024.0 * 1024.0, "10 MB"),
            (7471.0 * 1024.0, "7471 kB"),
        ] {
            check(pg_size_pretty, &[Value::Float(bytes)], expect);
        }
    }

    #[test]
    fn format_type_takes_a_null_modifier() {
        check(format_type, &[1700.into(), 786438.into()], "numeric(12,2)");
        check(format_type, &[20.into(), Value::Null], "bigint");
        assert_eq!(format_type(&[Value::Null, Value::Null]).expect("never fails"), Value::Null);
    }
}
