//! The parts of a request, as handlers ask for them.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Error, Result};
use super::route::Operation;

/// The only catalog, which is the prefix of all paths and the name of the warehouse.
pub const PREFIX: &str = "lake";

/// Parts the levels of a namespace in a path.
const SEPARATOR: char = '\u{1f}';

/// A request.
pub struct Request {
    pub operation: Operation,
    /// The names of the path: prefix, namespace, table or view.
    path: Vec<String>,
    query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A table or view as bodies name it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identifier {
    pub namespace: Vec<String>,
    pub name: String,
}

impl Request {
    pub fn new(operation: Operation, path: Vec<String>, parts: &Parts, body: Bytes) -> Result<Request> {
        let text = parts.uri.query().unwrap_or_default();
        let mut query = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if query.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Error::bad_request(format!("the parameter {name} is given twice")));
            }
        }
        Ok(Request { operation, path, query, headers: parts.headers.clone(), body })
    }

    /// Operations on the catalog begin with its name.
    pub fn check_prefix(&self) -> Result<()> {
        match self.path.first() {
            Some(prefix) if prefix != PREFIX => Err(Error::no_warehouse(prefix)),
            _ => Ok(()),
        }
    }

    /// The levels of the path's namespace.
    pub fn namespace(&self) -> Vec<String> {
        levels(self.path.get(1).map_or("", String::as_str))
    }

    /// The path's table or view.
    pub fn identifier(&self) -> Identifier {
        Identifier { namespace: self.namespace(), name: self.path.get(2).cloned().unwrap_or_default() }
    }

    /// Where the path's table is, from the prefix on, as a client would write it. A table that is being made is named by
    /// the body alone, and has no path yet.
    pub fn table_path(&self) -> String {
        let encoded = |name: &String| {
            let bytes = name.bytes().map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            });
            bytes.collect::<String>()
        };
        let namespace = self.path.get(1).map(encoded).unwrap_or_default();
        let named = self.path.get(2).cloned().or_else(|| {
            let body: Value = serde_json::from_slice(&self.body).ok()?;
            Some(body.get("name")?.as_str()?.to_owned())
        });
        format!("namespaces/{namespace}/tables/{}", named.as_ref().map(encoded).unwrap_or_default())
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.parameter(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Error::bad_request(format!("the parameter {name} is true or false"))),
        }
    }

    /// The body, as the operation has it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::bad_request(format!("the body is not what this takes: {error}")))
    }

    pub fn idempotency_key(&self) -> Result<Option<uuid::Uuid>> {
        let Some(value) = self.headers.get("idempotency-key") else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        match uuid::Uuid::try_parse(text) {
            Ok(key) if text.len() == 36 => Ok(Some(key)),
            _ => Err(Error::bad_request("the header Idempotency-Key is a UUID of 36 characters")),
        }
    }

    /// What the request is, for telling it from another under the same key.
    pub fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut digest = Sha256::new();
        digest.update(self.operation.name());
        for text in self.path.iter().chain(self.query.iter().flat_map(|(name, value)| [name, value])) {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
        digest.update(&self.body);
        hex(&digest.finalize())
    }
}

/// The levels of a namespace in a path or a parameter.
pub fn levels(text: &str) -> Vec<String> {
    text.split(SEPARATOR).map(str::to_owned).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
