//! Four sources, one answer: every setting has one key (`limits.connections`), and the last source that names a key
//! gives its value. Values stay text until their section parses them, so a setting means the same wherever it comes
//! from. It must never know what a key means; the sections do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::DEFAULT_FILE;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A setting that cannot be used: one line that names the setting and where it was given.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub fn new(message: impl Into<String>) -> Error {
        Error(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Every key there is, with the variable that sets it. What each means is documented on its section's struct.
const KEYS: &[(&str, &str)] = &[
    ("listen.postgres", "TARN_POSTGRES"),
    ("listen.flight", "TARN_FLIGHT"),
    ("listen.http", "TARN_HTTP"),
    ("tls.certificate", "TARN_TLS_CERTIFICATE"),
    ("tls.key", "TARN_TLS_KEY"),
    ("tls.client_authorities", "TARN_TLS_CLIENT_AUTHORITIES"),
    ("tls.self_signed", "TARN_TLS_SELF_SIGNED"),
    ("tls.required", "TARN_TLS_REQUIRED"),
    ("storage.data_dir", "TARN_DATA_DIR"),
    ("storage.warehouse", "TARN_WAREHOUSE"),
    ("storage.local_roots", "TARN_STORAGE_LOCAL_ROOTS"),
    ("s3.endpoint", "TARN_S3_ENDPOINT"),
    ("s3.region", "TARN_S3_REGION"),
    ("s3.access_key_id", "TARN_S3_ACCESS_KEY_ID"),
    ("s3.secret_access_key", "TARN_S3_SECRET_ACCESS_KEY"),
    ("s3.session_token", "TARN_S3_SESSION_TOKEN"),
    ("s3.profile", "TARN_S3_PROFILE"),
    ("s3.allow_http", "TARN_S3_ALLOW_HTTP"),
    ("s3.path_style", "TARN_S3_PATH_STYLE"),
    ("limits.memory", "TARN_LIMITS_MEMORY"),
    ("limits.column_cache", "TARN_LIMITS_COLUMN_CACHE"),
    ("limits.spill_dir", "TARN_LIMITS_SPILL_DIR"),
    ("limits.connections", "TARN_LIMITS_CONNECTIONS"),
    ("limits.statement_timeout", "TARN_LIMITS_STATEMENT_TIMEOUT"),
    ("limits.shutdown_grace", "TARN_LIMITS_SHUTDOWN_GRACE"),
    ("log.format", "TARN_LOG_FORMAT"),
    ("log.level", "TARN_LOG_LEVEL"),
];

/// The variable that names the settings file, and variables that start like ours but belong to a section are checked
/// for typing errors. Others (`TARN_PORT` as Kubernetes sets it for a service called tarn) are left alone.
const FILE_VARIABLE: &str = "TARN_CONFIG";
const CHECKED_PREFIXES: &[&str] = &["TARN_STORAGE_", "TARN_TLS_", "TARN_S3_", "TARN_LIMITS_", "TARN_LOG_"];

/// A value as it was given, and by whom.
#[derive(Debug, Clone)]
struct Given {
    text: String,
    source: String,
}

/// The values of all keys that any source names.
#[derive(Debug, Default)]
pub struct Layers(BTreeMap<&'static str, Given>);

impl Layers {
    /// Adds one value over what is there.
    pub fn add(&mut self, key: &'static str, source: &str, text: &str) {
        self.0.insert(key, Given { text: text.to_owned(), source: source.to_owned() });
    }

    /// Adds the keys of a settings file.
    pub fn add_file(&mut self, name: &str, text: &str) -> Result<()> {
        let table: toml::Table = toml::from_str(text).map_err(|error| syntax_error(name, text, &error))?;
        for (section, value) in &table {
            let Some(section_table) = value.as_table() else {
                return Err(unknown_key(name, section));
            };
            for (key, value) in section_table {
                let key = known_key(&format!("{section}.{key}")).map_err(|key| unknown_key(name, &key))?;
                self.add(key, &format!("{name}: {key}"), &plain_text(name, key, value)?);
            }
        }
        Ok(())
    }

    /// Adds the variables that are ours.
    pub fn add_environment(&mut self, environment: &[(String, String)]) -> Result<()> {
        for (name, value) in environment {
            match KEYS.iter().find(|(_, variable)| variable == name) {
                Some((key, _)) => self.add(key, name, value),
                None if CHECKED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => {
                    return Err(Error(format!(
                        "unknown variable {name}; the ones that exist are {}",
                        variables()
                    )));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// The value of `key`, parsed; `None` when no source gives it.
    pub fn get<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>> {
        let Some(given) = self.0.get(key) else { return Ok(None) };
        match parse(given.text.trim()) {
            Ok(value) => Ok(Some(value)),
            Err(problem) => Err(Error(format!("{} is {:?}: {problem}", given.source, given.text))),
        }
    }

    /// The same, for a value that must not appear in a message.
    pub fn get_secret(&self, key: &str) -> Option<String> {
        self.0.get(key).map(|given| given.text.clone())
    }
}

/// The settings file's name and text: the named one, or `tarn.toml` if it exists.
pub fn read_file(named: Option<&Path>, environment: &[(String, String)]) -> Result<Option<(String, String)>> {
    let by_variable = environment.iter().find(|(name, _)| name == FILE_VARIABLE);
    let named = named.map(Path::to_path_buf).or(by_variable.map(|(_, value)| PathBuf::from(value)));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => Err(Error(format!("cannot read the settings file {}: {error}", path.display()))),
    }
}

fn known_key(key: &str) -> Result<&'static str, String> {
    KEYS.iter().map(|(known, _)| *known).find(|known| *known == key).ok_or_else(|| key.to_owned())
}

fn unknown_key(file: &str, key: &str) -> Error {
    let section = key.split_once('.').map(|(section, _)| section);
    let same_section =
        |known: &&str| Some(*known).and_then(|known| known.split_once('.')).map(|pair| pair.0) == section;
    let mut known = KEYS.iter().map(|(known, _)| *known).filter(same_section).collect::<Vec<_>>();
    if known.is_empty() {
        known = KEYS.iter().map(|(known, _)| *known).collect();
    }
    Error(format!("{file}: unknown key {key}; the ones that exist are {}", known.join(", ")))
}

fn variables() -> String {
    KEYS.iter().map(|(_, variable)| *variable).collect::<Vec<_>>().join(", ")
}

fn syntax_error(file: &str, text: &str, error: &toml::de::Error) -> Error {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Error(format!("{file}, line {line}: {}", error.message().replace('\n', ", ")))
}

/// Lists become comma-separated text, as in the environment.
fn plain_text(file: &str, key: &str, value: &toml::Value) -> Result<String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(boolean) => Ok(boolean.to_string()),
        toml::Value::Array(items) => {
            let items = items.iter().map(|item| plain_text(file, key, item)).collect::<Result<Vec<_>>>()?;
            Ok(items.join(","))
        }
        other => Err(Error(format!("{file}: {key} cannot be a {}", other.type_str()))),
    }
}
