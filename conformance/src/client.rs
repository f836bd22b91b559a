//! A PostgreSQL client for the runners: rows as the text that the server sends over the simple protocol, and errors
//! taken apart into what a user would see. It holds no expectation about any statement.

use crate::Result;
use crate::server::Addresses;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, types::Type};

/// What a statement gave: rows as text, or the count of its command tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    /// The number in the last command tag (`INSERT 0 5`).
    pub count: u64,
}

/// An error as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub position: Option<u32>,
}

/// Why a statement gave no answer: the server refused it, or the connection is gone and nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Refused(SqlError),
    Lost(String),
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.sqlstate)?;
        if let Some(position) = self.position {
            write!(f, "@{position}")?;
        }
        write!(f, " {}", self.message)?;
        for (label, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if let Some(text) = text {
                write!(f, "\n{label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Refused(error) => error.fmt(f),
            Failure::Lost(reason) => write!(f, "connection lost: {reason}"),
        }
    }
}

impl std::error::Error for Failure {}

pub async fn connect(addresses: &Addresses, user: &str, password: Option<&str>) -> Result<Client> {
    connect_to(addresses, "lake", user, password).await
}

/// Connects to a database of any server that speaks the protocol.
pub async fn connect_to(
    addresses: &Addresses,
    database: &str,
    user: &str,
    password: Option<&str>,
) -> Result<Client> {
    let mut config = Config::new();
    config
        .host(&addresses.host)
        .port(addresses.port)
        .user(user)
        .dbname(database)
        .application_name("conformance");
    if let Some(password) = password {
        config.password(password);
    }
    let (client, connection) = config.connect(NoTls).await.map_err(failure)?;
    // The connection ends when the client is dropped or the server goes; both are seen by the next statement.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

/// Runs one text over the simple protocol; with several statements the answer is the last one's.
pub async fn run(client: &Client, sql: &str) -> std::result::Result<Answer, Failure> {
    let mut answer = Answer::default();
    for message in client.simple_query(sql).await.map_err(failure)? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let columns = columns.iter().map(|column| column.name().to_string()).collect();
                answer = Answer { columns, ..Answer::default() };
            }
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|i| row.get(i).map(str::to_string));
                answer.rows.push(cells.collect());
            }
            SimpleQueryMessage::CommandComplete(count) => answer.count = count,
            _ => {}
        }
    }
    Ok(answer)
}

/// The first cell of the first row, which must be there.
pub async fn scalar(client: &Client, sql: &str) -> Result<String> {
    let answer = run(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    let cell = answer.rows.first().and_then(|row| row.first()).cloned().flatten();
    cell.ok_or_else(|| format!("no value from: {sql}").into())
}

/// The types that the extended protocol announces for a statement, as the letters of a script:
/// B boolean, I integer, R real or numeric, D date, P point in time, T everything else.
pub async fn described_types(client: &Client, sql: &str) -> std::result::Result<String, Failure> {
    let statement = client.prepare(sql).await.map_err(failure)?;
    Ok(statement.columns().iter().map(|column| type_letter(column.type_())).collect())
}

fn type_letter(kind: &Type) -> char {
    match *kind {
        Type::BOOL => 'B',
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => 'I',
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => 'R',
        Type::DATE => 'D',
        Type::TIMESTAMP | Type::TIMESTAMPTZ => 'P',
        _ => 'T',
    }
}

pub fn failure(error: tokio_postgres::Error) -> Failure {
    let Some(sent) = error.as_db_error() else {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        return Failure::Lost(format!("{error}{}", cause.unwrap_or_default()));
    };
    let position = match sent.position() {
        Some(tokio_postgres::error::ErrorPosition::Original(position)) => Some(*position),
        _ => None,
    };
    Failure::Refused(SqlError {
        sqlstate: sent.code().code().to_string(),
        message: sent.message().to_string(),
        detail: sent.detail().map(str::to_string),
        hint: sent.hint().map(str::to_string),
        position,
    })
}
