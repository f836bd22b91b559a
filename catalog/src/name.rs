//! Identifiers: which are allowed, and how they are written back as SQL.
//! It must never know which objects exist. Folding to lower case is the parser's work: what arrives here is exact.
//! Next: `object.rs`.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// The longest identifier, in bytes of UTF-8. PostgreSQL cuts names at 63 bytes, so that two long names can become
/// one; here a name that is too long is an error.
pub const IDENTIFIER_BYTES_MAX: usize = 255;

/// Namespaces that exist without a row in the catalog, because the server answers for them.
const VIRTUAL_NAMESPACES: [&str; 3] = ["system", "pg_catalog", "information_schema"];

/// PostgreSQL's words that are read as an expression or a clause where a name is written bare
/// (`RESERVED_KEYWORD` and `TYPE_FUNC_NAME_KEYWORD` of its `kwlist.h`), and its column-name keywords.
const QUOTED_KEYWORDS: &str = "\
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean \
    both case cast char character check coalesce collate collation column concurrently constraint create \
    cross current_catalog current_date current_role current_schema current_time current_timestamp \
    current_user dec decimal default deferrable desc distinct do else end except exists extract false \
    fetch float for foreign freeze from full grant greatest group grouping having ilike in initially \
    inner inout int integer intersect interval into is isnull join lateral leading least left like limit \
    localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric \
    offset on only or order out outer overlaps overlay placing position precision primary qualify real \
    references returning right row select session_user setof similar smallint some substring symmetric \
    table tablesample then time timestamp to trailing treat trim true union unique user using values \
    varchar variadic verbose when where window with";

/// Refuses a name that no object may have.
pub fn check_identifier(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::InvalidName, "zero-length delimited identifier"));
    }
    if name.len() > IDENTIFIER_BYTES_MAX {
        let shown: String = name.chars().take(20).filter(|c| !is_refused(*c)).collect();
        return Err(Error::new(
            ErrorKind::InvalidName,
            format!("identifier \"{shown}...\" is too long: {} bytes", name.len()),
        )
        .with_hint(format!("Use at most {IDENTIFIER_BYTES_MAX} bytes.")));
    }
    match name.chars().find(|c| is_refused(*c)) {
        None => Ok(()),
        Some(refused) => {
            let shown: String = name.chars().filter(|c| !is_refused(*c)).collect();
            Err(Error::new(
                ErrorKind::InvalidName,
                format!("identifier \"{shown}\" contains a character that names may not have"),
            )
            .with_detail(format!("The character is {}.", describe(refused))))
        }
    }
}

/// Refuses a name that no new namespace may have.
pub fn check_namespace_name(name: &str) -> Result<()> {
    check_identifier(name)?;
    let detail = if VIRTUAL_NAMESPACES.contains(&name) {
        format!("The schema \"{name}\" is provided by the server.")
    } else if name.starts_with("pg_") && !is_temporary_namespace(name) {
        "The prefix \"pg_\" is reserved for system schemas.".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidName, format!("unacceptable schema name {}", quote_always(name)))
        .with_detail(detail))
}

/// Whether a namespace is that of one session's temporary tables: `pg_temp_7`. Only a session may make its own.
pub fn is_temporary_namespace(name: &str) -> bool {
    let number = name.strip_prefix("pg_temp_");
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Refuses a name that no new role may have.
pub fn check_role_name(name: &str) -> Result<()> {
    check_identifier(name)?;
    let detail = match name {
        "public" | "none" => format!("The name \"{name}\" has a meaning of its own where roles are named."),
        _ if name.starts_with("pg_") => "Role names starting with \"pg_\" are reserved.".to_owned(),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidName, format!("role name {} is reserved", quote_always(name)))
        .with_detail(detail))
}

/// Writes a name so that the SQL parser reads it back as it is: quoted only when it must be.
pub fn quote(name: &str) -> String {
    if is_bare(name) { name.to_owned() } else { quote_always(name) }
}

fn quote_always(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn is_bare(name: &str) -> bool {
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    starts
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !QUOTED_KEYWORDS.split(' ').any(|keyword| keyword == name)
}

/// Control characters can forge log lines and terminal output, `/` would become a folder, and bidirectional controls
/// (Unicode UAX #9 and the "Trojan Source" paper) make one name look like another.
fn is_refused(character: char) -> bool {
    character.is_control()
        || character == '/'
        || matches!(character, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}')
        || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn describe(character: char) -> String {
    if character == '/' { "\"/\"".to_owned() } else { format!("U+{:04X}", u32::from(character)) }
}

/// The name of a relation inside one catalog. Displayed as SQL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    pub namespace: String,
    pub name: String,
}

impl RelationName {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> RelationName {
        RelationName { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quote(&self.namespace), quote(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: Result<()>, expect: &str) {
        let text = match result {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::InvalidName);
                [Some(error.message), error.detail, error.hint]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" | ")
            }
        };
        assert_eq!(text, expect);
    }

    #[test]
    fn identifiers() {
        check(check_identifier("orders"), "ok");
        check(check_identifier("Größe der Bestellung"), "ok");
        check(check_identifier("a.b\"c"), "ok");
        check(check_identifier(&"x".repeat(255)), "ok");
        check(check_identifier(""), "zero-length delimited identifier");
        check(
            check_identifier(&"x".repeat(256)),
            "identifier \"xxxxxxxxxxxxxxxxxxxx...\" is too long: 256 bytes | Use at most 255 bytes.",
        );
        let refused = |shown, character| {
            format!(
                "identifier \"{shown}\" contains a character that names may not have | The character is {character}."
            )
        };
        check(check_identifier("../etc"), &refused("..etc", "\"/\""));
        check(check_identifier("a\0b"), &refused("ab", "U+0000"));
        check(check_identifier("a\nb"), &refused("ab", "U+000A"));
        check(check_identifier("a\u{202E}b"), &refused("ab", "U+202E"));
        check(check_identifier("a\u{2066}b"), &refused("ab", "U+2066"));
    }

    #[test]
    fn reserved_names() {
        check(check_namespace_name("raw"), "ok");
        check(check_namespace_name("System"), "ok");
        let provided =
            "unacceptable schema name \"system\" | The schema \"system\" is provided by the server.";
        check(check_namespace_name("system"), provided);
        let prefix = "unacceptable schema name \"pg_x\" | The prefix \"pg_\" is reserved for system schemas.";
        check(check_namespace_name("pg_x"), prefix);
        check(check_role_name("alice"), "ok");
        let public = "role name \"public\" is reserved | The name \"public\" has a meaning of its own where roles are named.";
        check(check_role_name("public"), public);
    }

    #[test]
    fn quoting() {
        for (name, expect) in [
            ("orders", "orders"),
            ("_a1", "_a1"),
            ("1a", "\"1a\""),
            ("Orders", "\"Orders\""),
            ("order", "\"order\""),
            ("user", "\"user\""),
            ("a b", "\"a b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("", "\"\""),
        ] {
            assert_eq!(quote(name), expect);
        }
        assert_eq!(RelationName::new("Raw", "t").to_string(), "\"Raw\".t");
    }
}
