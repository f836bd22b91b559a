//! What `SET` changes and `SHOW` shows, as a table: name, default, description and how a value is checked. It must
//! never know who reads a setting.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::resolve::nearest;
use crate::sqlstate::SqlState;
use crate::system::SettingRow;

/// How a value is checked and kept.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Boolean,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// Milliseconds, written with or without a unit.
    Milliseconds,
    OneOf(&'static [&'static str]),
    TimeZone,
    /// Shown, never set.
    Fixed,
}

struct Setting {
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
    /// PostgreSQL's ParameterStatus tells drivers when it changes, under this spelling.
    reported: Option<&'static str>,
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
) -> Setting {
    Setting { name, kind, default, description, reported: None }
}

const fn reported(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
    spelling: &'static str,
) -> Setting {
    Setting { name, kind, default, description, reported: Some(spelling) }
}

const LEVELS: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];
pub(crate) const ISOLATION: &[&str] =
    &["serializable", "repeatable read", "read committed", "read uncommitted"];

static SETTINGS: &[Setting] = &[
    reported(
        "application_name",
        Kind::Text,
        "",
        "The name of the client, for logs and system.queries.",
        "application_name",
    ),
    setting("bytea_output", Kind::OneOf(&["hex"]), "hex", "How binary values are printed."),
    reported(
        "client_encoding",
        Kind::OneOf(&["utf8", "unicode"]),
        "UTF8",
        "The client's character encoding.",
        "client_encoding",
    ),
    setting("client_min_messages", Kind::OneOf(LEVELS), "notice", "The least severe message that is sent."),
    reported("datestyle", Kind::Text, "ISO, MDY", "How dates are printed: always ISO.", "DateStyle"),
    setting(
        "default_table_access_method",
        Kind::OneOf(&["iceberg"]),
        "iceberg",
        "How new tables are stored, as pg_am names it.",
    ),
    setting(
        "default_transaction_isolation",
        Kind::OneOf(ISOLATION),
        "repeatable read",
        "The isolation of new transactions.",
    ),
    setting("default_transaction_read_only", Kind::Boolean, "off", "Whether new transactions refuse writes."),
    setting(
        "enable_column_cache",
        Kind::Boolean,
        "on",
        "Whether decoded columns are kept in memory and read from there.",
    ),
    setting("enable_join_reorder", Kind::Boolean, "on", "Whether joins are put into the cheapest order."),
    setting("extra_float_digits", Kind::Integer(-15, 3), "1", "Kept for drivers; floats always round-trip."),
    reported(
        "in_hot_standby",
        Kind::Fixed,
        "off",
        "Whether the server is a read-only copy.",
        "in_hot_standby",
    ),
    reported("integer_datetimes", Kind::Fixed, "on", "Times are whole microseconds.", "integer_datetimes"),
    reported(
        "intervalstyle",
        Kind::OneOf(&["postgres"]),
        "postgres",
        "How intervals are printed.",
        "IntervalStyle",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        Kind::Milliseconds,
        "0",
        "Ends a session that leaves a transaction open for this time; 0 never.",
    ),
    reported("is_superuser", Kind::Fixed, "off", "Whether the user is a superuser.", "is_superuser"),
    setting("jit", Kind::OneOf(&["off"]), "off", "Whether queries are compiled; they are not."),
    setting("lc_collate", Kind::Fixed, "C", "The order of text: by code point."),
    setting("lc_ctype", Kind::Fixed, "C.UTF-8", "The character classes of text."),
    setting(
        "max_index_keys",
        Kind::Fixed,
        "32",
        "The most columns of a key, for drivers; there are no indexes.",
    ),
    setting(
        "lock_timeout",
        Kind::Milliseconds,
        "0",
        "Ends waiting for an advisory lock; 0 never. Nothing waits for tables or rows.",
    ),
    setting("max_identifier_length", Kind::Fixed, "255", "The longest name, in bytes."),
    setting("row_security", Kind::Boolean, "on", "Kept for drivers."),
    setting(
        "search_path",
        Kind::Text,
        "\"$user\", public",
        "The schemas where unqualified names are looked up.",
    ),
    reported("server_encoding", Kind::Fixed, "UTF8", "The server's character encoding.", "server_encoding"),
    reported(
        "server_version",
        Kind::Fixed,
        "15.0",
        "The PostgreSQL version whose behaviour is offered.",
        "server_version",
    ),
    setting("server_version_num", Kind::Fixed, "150000", "The same as a number."),
    reported("session_authorization", Kind::Fixed, "", "The user of the session.", "session_authorization"),
    reported(
        "standard_conforming_strings",
        Kind::OneOf(&["on"]),
        "on",
        "A backslash in a text is itself.",
        "standard_conforming_strings",
    ),
    setting("statement_timeout", Kind::Milliseconds, "0", "Stops a statement after this time; 0 never."),
    setting(
        "synchronous_commit",
        Kind::OneOf(&["on"]),
        "on",
        "Every commit is on disk before it is acknowledged.",
    ),
    reported(
        "timezone",
        Kind::TimeZone,
        "UTC",
        "The time zone of times that are printed or read without one.",
        "TimeZone",
    ),
    setting(
        "transaction_isolation",
        Kind::OneOf(ISOLATION),
        "repeatable read",
        "The isolation of this transaction.",
    ),
    setting("transaction_read_only", Kind::Boolean, "off", "Whether this transaction refuses writes."),
    setting("xmloption", Kind::OneOf(&["content"]), "content", "Kept for drivers."),
];

/// The settings of one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Values that differ from the default.
    values: BTreeMap<&'static str, String>,
    /// Settings with a dot that belong to nobody here, as PostgreSQL allows.
    custom: BTreeMap<String, String>,
    changes: Vec<(String, String)>,
}

impl Settings {
    /// The value of a setting.
    pub fn get(&self, name: &str) -> Result<String> {
        if let Some(value) = self.custom.get(name) {
            return Ok(value.clone());
        }
        Ok(self.value(find(name)?).to_owned())
    }

    /// The value of a known setting. Outside a transaction its characteristics are those of the next one.
    fn value(&self, setting: &Setting) -> &str {
        let stands_for = match setting.name {
            "transaction_isolation" => Some("default_transaction_isolation"),
            "transaction_read_only" => Some("default_transaction_read_only"),
            _ => None,
        };
        let value = self.values.get(setting.name).or_else(|| self.values.get(stands_for?));
        value.map_or(setting.default, String::as_str)
    }

    /// Checks and keeps a value; None goes back to the default.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        if name.contains('.') {
            match value {
                Some(value) => drop(self.custom.insert(name.to_owned(), value.to_owned())),
                None => drop(self.custom.remove(name)),
            }
            return Ok(());
        }
        let setting = find(name)?;
        if setting.kind == Kind::Fixed {
            let message = format!("parameter \"{name}\" cannot be changed");
            return Err(Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message));
        }
        match value {
            Some(value) => self.values.insert(setting.name, check(setting, value)?),
            None => self.values.remove(setting.name),
        };
        if let Some(spelling) = setting.reported {
            self.changes.push((spelling.to_owned(), self.get(setting.name)?));
        }
        Ok(())
    }

    /// Sets what the session itself decides.
    pub fn fix(&mut self, name: &'static str, value: impl Into<String>) {
        self.values.insert(name, value.into());
    }

    /// Takes back what [`Settings::fix`] did.
    pub fn unfix(&mut self, names: &[&'static str]) {
        names.iter().for_each(|name| drop(self.values.remove(name)));
    }

    /// Goes back to earlier values; the client is told of those that change.
    pub fn restore(&mut self, earlier: Settings) {
        let (now, before) = (self.reported(), earlier.reported());
        let changed = before.into_iter().filter(|setting| !now.contains(setting));
        self.changes.extend(changed.collect::<Vec<_>>());
        self.values = earlier.values;
        self.custom = earlier.custom;
    }

    /// `RESET ALL`.
    pub fn reset_all(&mut self) {
        self.custom.clear();
        let names: Vec<&'static str> = self.values.keys().copied().collect();
        for name in names.into_iter().filter(|name| !name.starts_with("transaction_")) {
            // A fixed setting is the session's own and stays.
            let _ = self.set(name, None);
        }
    }

    /// Name, value and description of all.
    pub fn all(&self) -> Vec<(String, String, String)> {
        let row = |setting: &Setting| {
            (setting.name.to_owned(), self.value(setting).to_owned(), setting.description.to_owned())
        };
        SETTINGS.iter().map(row).collect()
    }

    /// All of them, as system tables show them.
    pub fn rows(&self) -> Vec<SettingRow> {
        let row = |setting: &'static Setting| SettingRow {
            name: setting.name,
            value: self.value(setting).to_owned(),
            default: Some(setting.default.to_owned()),
            description: setting.description,
            settable: setting.kind != Kind::Fixed,
        };
        SETTINGS.iter().map(row).collect()
    }

    /// Every setting that drivers are told, with its spelling on the wire.
    pub fn reported(&self) -> Vec<(String, String)> {
        let spelled = SETTINGS.iter().filter_map(|setting| Some((setting.reported?, setting)));
        spelled
            .map(|(spelling, setting)| {
                let value = self.values.get(setting.name).map_or(setting.default, String::as_str);
                (spelling.to_owned(), value.to_owned())
            })
            .collect()
    }

    pub fn take_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }

    pub fn search_path(&self) -> Vec<String> {
        let path = self.get("search_path").unwrap_or_default();
        let trim = |part: &str| part.trim().trim_matches('"').to_owned();
        path.split(',').map(trim).filter(|part| !part.is_empty()).collect()
    }

    pub fn time_zone(&self) -> String {
        self.get("timezone").unwrap_or_else(|_| "UTC".to_owned())
    }

    /// The value of a setting that is on or off.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_ok_and(|value| value == "on")
    }

    /// None for no limit.
    pub fn statement_timeout(&self) -> Option<std::time::Duration> {
        self.timeout("statement_timeout")
    }

    /// None for no limit.
    pub fn lock_timeout(&self) -> Option<std::time::Duration> {
        self.timeout("lock_timeout")
    }

    /// None for no limit.
    pub fn idle_in_transaction_timeout(&self) -> Option<std::time::Duration> {
        self.timeout("idle_in_transaction_session_timeout")
    }

    fn timeout(&self, name: &str) -> Option<std::time::Duration> {
        let millis = milliseconds(&self.get(name).ok()?)?;
        (millis > 0).then(|| std::time::Duration::from_millis(millis))
    }
}

fn find(name: &str) -> Result<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
        let message = format!("unrecognized configuration parameter \"{name}\"");
        let error = Error::new(SqlState::UNDEFINED_OBJECT, message);
        match nearest(name, SETTINGS.iter().map(|setting| setting.name)) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error.with_hint("SHOW ALL lists the parameters."),
        }
    })
}

fn check(setting: &Setting, value: &str) -> Result<String> {
    let wrong = |hint: String| {
        let message = format!("invalid value for parameter \"{}\": \"{value}\"", setting.name);
        Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint))
    };
    let lower = match setting.name {
        // PostgreSQL compares names of encodings by their letters and digits.
        "client_encoding" => {
            value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
        }
        _ => value.to_lowercase(),
    };
    match setting.kind {
        Kind::Text | Kind::Fixed => Ok(value.to_owned()),
        Kind::Boolean => match lower.as_str() {
            "on" | "true" | "yes" | "1" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" => Ok("off".to_owned()),
            _ => wrong("Use on or off.".to_owned()),
        },
        Kind::Integer(least, most) => match value.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
            _ => wrong(format!("Use a whole number from {least} to {most}.")),
        },
        Kind::Milliseconds => match milliseconds(&lower) {
            Some(millis) => Ok(shown_time(millis)),
            None => wrong("Use a number of milliseconds, or a number with ms, s, min or h.".to_owned()),
        },
        Kind::OneOf(known) if known.contains(&lower.as_str()) => {
            Ok(if setting.name == "client_encoding" { setting.default.to_owned() } else { lower })
        }
        Kind::OneOf(known) => wrong(format!("Available values: {}.", known.join(", "))),
        Kind::TimeZone => match value.parse::<arrow::array::timezone::Tz>() {
            Ok(_) => Ok(value.to_owned()),
            Err(_) if lower == "utc" || lower == "gmt" || lower == "z" => Ok("UTC".to_owned()),
            Err(_) => wrong("Use a name such as Europe/Berlin, or an offset such as +02:00.".to_owned()),
        },
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.trim().trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
    let number: u64 = digits.parse().ok()?;
    let unit = match text.trim()[digits.len()..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// The largest unit that the time is a whole number of, as PostgreSQL shows it.
fn shown_time(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    match units.iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, expect: Result<&str, &str>) {
        let mut settings = Settings::default();
        match (settings.set(name, Some(value)), expect) {
            (Ok(()), Ok(expect)) => assert_eq!(settings.get(name).unwrap(), expect, "{name} = {value}"),
            (Err(error), Err(state)) => assert_eq!(error.sqlstate.code(), state, "{name} = {value}"),
            (got, expect) => panic!("{name} = {value}: {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn values_are_checked() {
        check("statement_timeout", "2000", Ok("2s"));
        check("statement_timeout", "15", Ok("15ms"));
        check("statement_timeout", "0", Ok("0"));
        check("statement_timeout", "soon", Err("22023"));
        check("timezone", "Europe/Berlin", Ok("Europe/Berlin"));
        check("timezone", "+02:00", Ok("+02:00"));
        check("timezone", "Middle/Earth", Err("22023"));
        check("client_encoding", "'utf-8'", Ok("UTF8"));
        check("client_encoding", "latin1", Err("22023"));
        check("server_version", "16", Err("55P02"));
        check("serach_path", "x", Err("42704"));
        check("my.own", "anything", Ok("anything"));
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
