//! What the writers do until the server is gone: mostly small INSERTs into one common table, so that commits of many
//! clients meet on one pointer, and beside them transactions over two tables, and tables created, dropped and
//! overwritten. Every statement is written down with what the server said about it.

use super::journal::{Event, Journal, Operation, Outcome};
use crate::Result;
use crate::client::{self, Failure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::Client;

/// More of a writer's own tables than this are not kept; the next step drops one.
const OWN_TABLES_MAX: usize = 3;
const ROWS_PER_INSERT_MAX: u64 = 5;
/// The server says that it does not know whether the statement happened (statement_completion_unknown).
const UNKNOWN: &str = "40003";

/// The schema of a round: the common table, the one that only transactions of both write to, and one table per writer that is overwritten.
pub async fn prepare(client: &Client, schema: &str, writers: u32) -> Result<()> {
    run(client, &format!("CREATE SCHEMA {schema}")).await?;
    let columns = "writer integer NOT NULL, statement bigint NOT NULL, ordinal bigint NOT NULL, payload text";
    for table in ["rows", "postings"] {
        run(client, &format!("CREATE TABLE {schema}.{table} ({columns})")).await?;
    }
    for writer in 0..writers {
        run(client, &format!("CREATE TABLE {schema}.latest_{writer} (statement bigint NOT NULL)")).await?;
    }
    Ok(())
}

pub async fn clear(client: &Client, schema: &str) -> Result<()> {
    run(client, &format!("DROP SCHEMA {schema} CASCADE")).await
}

async fn run(client: &Client, sql: &str) -> Result<()> {
    client::run(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    Ok(())
}

/// What an answer says about a statement, and whether the connection is lost.
fn heard(answer: std::result::Result<client::Answer, Failure>) -> (Outcome, bool) {
    match answer {
        Ok(_) => (Outcome::Acknowledged, false),
        Err(Failure::Refused(error)) if error.sqlstate == UNKNOWN => (Outcome::Unknown, false),
        Err(Failure::Refused(_)) => (Outcome::Refused, false),
        Err(Failure::Lost(_)) => (Outcome::Unknown, true),
    }
}

pub struct Work {
    writer: u32,
    schema: String,
    next_statement: u64,
    own_tables: Vec<String>,
    random: StdRng,
}

impl Work {
    pub fn new(writer: u32, schema: &str, journal: &Journal, seed: u64) -> Work {
        Work {
            writer,
            schema: schema.to_string(),
            next_statement: journal.next_statement(writer),
            own_tables: journal.own_tables(writer),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Runs statements until the connection is lost; gives what was said about each of them.
    pub async fn run(mut self, client: Client) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let operation = self.choose();
            let (outcome, is_lost) = match operation {
                Operation::Block { rows, commits } => self.block(&client, rows, commits).await,
                _ => heard(client::run(&client, &self.sql(&operation)).await),
            };
            self.remember(&operation, outcome);
            events.push(Event { writer: self.writer, statement: self.next_statement, operation, outcome });
            self.next_statement += 1;
            if is_lost {
                return events;
            }
        }
    }

    /// A transaction over two tables. Before COMMIT is sent nothing can have happened, whatever is lost.
    async fn block(&self, client: &Client, rows: u64, commits: bool) -> (Outcome, bool) {
        let steps = ["BEGIN".to_owned(), self.insert("rows", rows), self.insert("postings", rows)];
        for step in steps {
            match heard(client::run(client, &step).await) {
                (Outcome::Acknowledged, _) => {}
                (_, is_lost) => {
                    client::run(client, "ROLLBACK").await.ok();
                    return (Outcome::Refused, is_lost);
                }
            }
        }
        let end = if commits { "COMMIT" } else { "ROLLBACK" };
        match heard(client::run(client, end).await) {
            (_, is_lost) if !commits => (Outcome::Refused, is_lost),
            answer => answer,
        }
    }

    fn insert(&self, table: &str, rows: u64) -> String {
        let Work { writer, schema, next_statement: statement, .. } = self;
        let values = (0..rows).map(|ordinal| format!("({writer}, {statement}, {ordinal}, 'payload')"));
        format!("INSERT INTO {schema}.{table} VALUES {}", values.collect::<Vec<_>>().join(", "))
    }

    fn choose(&mut self) -> Operation {
        if self.own_tables.len() > OWN_TABLES_MAX {
            return Operation::Drop { table: self.own_tables.remove(0) };
        }
        match self.random.random_range(0..100) {
            0..50 => Operation::Insert { rows: self.random.random_range(1..=ROWS_PER_INSERT_MAX) },
            50..70 => {
                let rows = self.random.random_range(1..=ROWS_PER_INSERT_MAX);
                Operation::Block { rows, commits: self.random.random_range(0..5) > 0 }
            }
            70..85 => {
                let table = format!("small_{}_{}", self.writer, self.next_statement);
                Operation::Create { table, rows: self.random.random_range(1..=ROWS_PER_INSERT_MAX) }
            }
            _ => Operation::Overwrite,
        }
    }

    fn sql(&self, operation: &Operation) -> String {
        let Work { writer, schema, next_statement: statement, .. } = self;
        match operation {
            Operation::Insert { rows } | Operation::Block { rows, .. } => self.insert("rows", *rows),
            Operation::Create { table, rows } => {
                format!(
                    "CREATE TABLE {schema}.{table} AS SELECT value FROM generate_series(1, {rows}) AS g(value)"
                )
            }
            Operation::Drop { table } => format!("DROP TABLE {schema}.{table}"),
            Operation::Overwrite => format!("INSERT OVERWRITE {schema}.latest_{writer} VALUES ({statement})"),
        }
    }

    fn remember(&mut self, operation: &Operation, outcome: Outcome) {
        match (operation, outcome) {
            (Operation::Create { table, .. }, Outcome::Acknowledged) => self.own_tables.push(table.clone()),
            (Operation::Drop { table }, Outcome::Refused) => self.own_tables.push(table.clone()),
            _ => {}
        }
    }
}
