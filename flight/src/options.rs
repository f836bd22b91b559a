//! Session options: the settings of SQL by another way, with `catalog` and `schema` as the protocol names them. The
//! messages are those of Flight.proto, which the library does not have yet.

use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use futures::{FutureExt, TryStreamExt};
use tarn_sql::{Error, Session, SqlState};

use crate::guest::Visit;
use crate::query::{Taken, one, take};
use crate::transaction::quoted;

/// Where names without a schema are looked for first.
const SCHEMA: &str = "schema";

/// The database, of which there is one.
const CATALOG: &str = "catalog";

/// Whether columns of dictionaries are sent as such; no setting of SQL.
const DICTIONARIES: &str = "keep_dictionaries";

#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SetRequest {
    #[prost(map = "string, message", tag = "1")]
    pub options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, SetError>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SetError {
    #[prost(enumeration = "Problem", tag = "1")]
    pub problem: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Problem {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetResult {
    #[prost(map = "string, message", tag = "1")]
    pub options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CloseResult {
    /// 1: it is closed.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// Sets options, each by itself; tells which could not be set.
pub async fn set(visit: &Visit, request: SetRequest) -> Result<SetResult, Error> {
    let mut errors = HashMap::new();
    // One must not depend on the order in which they come out of the message.
    let mut options: Vec<(String, OptionValue)> = request.options.into_iter().collect();
    options.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (name, value) in options {
        if let Err(error) = set_one(visit, &name, value.value).await {
            tracing::debug!(option = name, %error, "an option that cannot be set");
            errors.insert(name, SetError { problem: problem(&error) as i32 });
        }
    }
    Ok(SetResult { errors })
}

fn problem(error: &Error) -> Problem {
    match error.sqlstate {
        SqlState::UNDEFINED_OBJECT | SqlState::INVALID_NAME => Problem::InvalidName,
        SqlState::INVALID_PARAMETER_VALUE
        | SqlState::INVALID_CATALOG_NAME
        | SqlState::INVALID_SCHEMA_NAME
        | SqlState::SYNTAX_ERROR => Problem::InvalidValue,
        _ => Problem::Error,
    }
}

async fn set_one(visit: &Visit, name: &str, value: Option<Value>) -> Result<(), Error> {
    match (name, value) {
        (DICTIONARIES, value) => match value {
            None => visit.set_keeps_dictionaries(false),
            Some(Value::Boolean(keeps)) => visit.set_keeps_dictionaries(keeps),
            Some(_) => return Err(wrong("keep_dictionaries is true or false")),
        },
        (CATALOG, Some(Value::Text(catalog))) => {
            let known = visit.main().run(|session| async move { Ok(session.database()) }.boxed()).await?;
            if catalog != known {
                let message = format!("database \"{catalog}\" does not exist");
                return Err(Error::new(SqlState::INVALID_CATALOG_NAME, message));
            }
        }
        (CATALOG, None) => {}
        (SCHEMA, Some(Value::Text(schema))) => {
            apply(visit, format!("SET search_path TO {}", quoted(&schema))).await?;
        }
        (SCHEMA, None) => apply(visit, "RESET search_path".to_owned()).await?,
        (CATALOG | SCHEMA, Some(_)) => return Err(wrong("catalog and schema are texts")),
        (name, value) => apply(visit, statement(name, value)?).await?,
    }
    Ok(())
}

/// The statement that sets a setting, or sets it back.
fn statement(name: &str, value: Option<Value>) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Error::new(SqlState::INVALID_NAME, format!("\"{name}\" is no name of a setting")));
    }
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let value = match value {
        None => return Ok(format!("RESET {name}")),
        Some(Value::Text(text)) => literal(&text),
        Some(Value::Boolean(boolean)) => if boolean { "on" } else { "off" }.to_owned(),
        Some(Value::Integer(number)) => literal(&number.to_string()),
        Some(Value::Float(number)) => literal(&number.to_string()),
        Some(Value::Texts(texts)) if !texts.values.is_empty() => {
            texts.values.iter().map(|text| literal(text)).collect::<Vec<_>>().join(", ")
        }
        Some(Value::Texts(_)) => return Err(wrong("an empty list of values")),
    };
    Ok(format!("SET {name} TO {value}"))
}

fn wrong(message: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

async fn apply(visit: &Visit, text: String) -> Result<(), Error> {
    let applied = visit.main().run(move |session| {
        async move {
            let parsed = one(session.parse(&text)?)?;
            session.run(parsed).await.map(drop)
        }
        .boxed()
    });
    applied.await
}

/// All options with their values.
pub async fn get(visit: &Visit) -> Result<GetResult, Error> {
    let mut options = visit.main().run(|session| settings(session).boxed()).await?;
    options.insert(DICTIONARIES.to_owned(), Value::Boolean(visit.keeps_dictionaries()));
    let value = |(name, value)| (name, OptionValue { value: Some(value) });
    Ok(GetResult { options: options.into_iter().map(value).collect() })
}

async fn settings(session: &mut Session) -> Result<HashMap<String, Value>, Error> {
    let mut options = HashMap::new();
    for (name, value) in texts(session, "SHOW ALL").await? {
        options.insert(name, Value::Text(value));
    }
    options.insert(CATALOG.to_owned(), Value::Text(session.database().to_owned()));
    let current = "SELECT 'schema', coalesce(current_schema(), '')";
    for (name, value) in texts(session, current).await? {
        options.insert(name, Value::Text(value));
    }
    Ok(options)
}

/// The first two columns of a query, as texts.
async fn texts(session: &mut Session, query: &str) -> Result<Vec<(String, String)>, Error> {
    let parsed = one(session.parse(query)?)?;
    let Taken::Rows(_, rows) = take(session.run(parsed).await?).await? else {
        return Err(Error::internal(format!("{query} gave no rows")));
    };
    let batches: Vec<_> = rows.try_collect().await?;
    let mut pairs = Vec::new();
    for batch in batches {
        let column = |place: usize| {
            let text = arrow::compute::cast(batch.column(place), &arrow::datatypes::DataType::Utf8);
            text.map_err(|error| Error::internal(error.to_string()))
        };
        let (names, values) = (column(0)?, column(1)?);
        let (names, values) = (names.as_string::<i32>(), values.as_string::<i32>());
        let present = (0..batch.num_rows()).filter(|row| names.is_valid(*row) && values.is_valid(*row));
        pairs.extend(present.map(|row| (names.value(row).to_owned(), values.value(row).to_owned())));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn settings_are_statements() {
        let check = |name: &str, value: Option<Value>, expect: &str| {
            assert_eq!(statement(name, value).ok().as_deref(), Some(expect));
        };
        check("timezone", Some(Value::Text("a'b".to_owned())), "SET timezone TO 'a''b'");
        check("enable_x", Some(Value::Boolean(false)), "SET enable_x TO off");
        check("statement_timeout", Some(Value::Integer(5)), "SET statement_timeout TO '5'");
        check("statement_timeout", None, "RESET statement_timeout");
        let list = Texts { values: vec!["a".to_owned(), "b".to_owned()] };
        check("search_path", Some(Value::Texts(list)), "SET search_path TO 'a', 'b'");
        for name in ["", "a b", "a;DROP", "\"a\"", "1a"] {
            let error = statement(name, None).expect_err("it is no name");
            assert_eq!(problem(&error), Problem::InvalidName);
        }
    }

    /// The bytes as Flight.proto has them.
    #[test]
    fn messages_are_as_specified() {
        let value = OptionValue { value: Some(Value::Integer(1)) };
        let request = SetRequest { options: HashMap::from([("a".to_owned(), value)]) };
        let bytes = b"\x0a\x0e\x0a\x01a\x12\x09\x19\x01\0\0\0\0\0\0\0";
        assert_eq!(request.encode_to_vec(), bytes);
        assert_eq!(SetRequest::decode(bytes.as_slice()).ok(), Some(request));
        assert_eq!(CloseResult { status: 1 }.encode_to_vec(), b"\x08\x01");
    }
}
