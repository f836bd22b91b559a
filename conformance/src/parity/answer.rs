//! What a server said to one statement: its columns with their types, its rows as text, the count of its command tag;
//! or the SQLSTATE of its refusal.

use crate::client::{self, Failure};
use std::time::Duration;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

pub type Cell = Option<String>;

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: Type,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// Of the command tag; of a query the rows.
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Rows(Rows),
    /// SQLSTATE and message.
    Refused(String, String),
    /// The connection is gone, which is never right.
    Lost(String),
}

/// All tables are tiny; what takes this long on a busy machine never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Describes the statement over the extended protocol, then runs it over the simple one.
pub async fn ask(client: &Client, sql: &str) -> Answer {
    match tokio::time::timeout(PATIENCE, answer(client, sql)).await {
        Ok(Ok(rows)) => Answer::Rows(rows),
        Ok(Err(Failure::Refused(error))) => Answer::Refused(error.sqlstate, error.message),
        Ok(Err(Failure::Lost(reason))) => Answer::Lost(reason),
        Err(_) => Answer::Lost(format!("no answer within {PATIENCE:?}")),
    }
}

async fn answer(client: &Client, sql: &str) -> Result<Rows, Failure> {
    let statement = client.prepare(sql).await.map_err(client::failure)?;
    let described = statement.columns().iter();
    let column = |column: &tokio_postgres::Column| Column {
        name: column.name().to_string(),
        kind: column.type_().clone(),
    };
    let mut rows = Rows { columns: described.map(column).collect(), ..Rows::default() };
    for message in client.simple_query(sql).await.map_err(client::failure)? {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|place| row.get(place).map(str::to_string));
                rows.rows.push(cells.collect());
            }
            SimpleQueryMessage::CommandComplete(count) => rows.count = count,
            _ => {}
        }
    }
    Ok(rows)
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Refused(sqlstate, message) => write!(f, "{sqlstate} {message}"),
            Answer::Lost(reason) => write!(f, "connection lost: {reason}"),
            Answer::Rows(rows) => {
                let columns = rows.columns.iter().map(|column| format!("{} {}", column.name, column.kind));
                write!(f, "{} rows ({})", rows.count, columns.collect::<Vec<_>>().join(", "))?;
                for row in rows.rows.iter().take(SHOWN_ROWS) {
                    let cells = row.iter().map(|cell| cell.as_deref().unwrap_or("NULL"));
                    write!(f, "\n      {}", cells.collect::<Vec<_>>().join(" | "))?;
                }
                Ok(())
            }
        }
    }
}

const SHOWN_ROWS: usize = 12;
