//! Statements that give rows: described when they are asked about, run when their rows are fetched. A statement that
//! changes something is run when it is asked about: clients that execute one fetch what it gave, or not, and in any case
//! expect it to have happened.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::sql::CommandStatementQuery;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tarn_sql::types::{pg_type, sql_name};
use tarn_sql::{Error, Origin, Outcome, Parsed, Prepared, Rows, Session, SqlState, TransactionStatus};
use tokio_util::sync::CancellationToken;

use crate::encode::{Sending, cancelled, changed, wire_schema};
use crate::guest::Visit;
use crate::host::Ending;
use crate::info::{Planned, ticket};
use crate::lane::Lane;

/// The values of a statement's parameters for one execution, each an array of one value.
pub type Values = Vec<ArrayRef>;

/// A result that a ticket names.
pub struct Held {
    lane: Arc<Lane>,
    /// As it was announced.
    schema: SchemaRef,
    source: Source,
    pub cancel: CancellationToken,
}

enum Source {
    /// It changes nothing and is run each time that its rows are fetched, once for each set of values.
    Statement { statement: Prepared, values: Vec<Values> },
    /// It has been run; the rows are there once.
    Once(Mutex<Option<Rows>>),
}

/// The one statement of a text.
///
/// # Errors
///
/// 42601 for none or several.
pub fn one(mut parsed: Vec<Parsed>) -> Result<Parsed, Error> {
    let several = parsed.len() > 1;
    match (parsed.pop(), several) {
        (Some(parsed), false) => Ok(parsed),
        (None, _) => Err(Error::new(SqlState::SYNTAX_ERROR, "the text has no statement")),
        (Some(_), true) => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "cannot insert multiple commands into a prepared statement",
        )
        .with_hint("Send one statement at a time.")),
    }
}

/// Reads and describes a statement.
pub async fn describe(lane: &Arc<Lane>, text: String) -> Result<Prepared, Error> {
    lane.run(move |session| {
        async move {
            let parsed = one(session.parse(&text)?)?;
            session.prepare(parsed, &[]).await
        }
        .boxed()
    })
    .await
}

/// The columns that a statement announces; none if it gives no rows.
pub fn announced(visit: &Visit, statement: &Prepared) -> SchemaRef {
    let empty = Schema::empty();
    let columns = statement.columns().map_or(&empty, AsRef::as_ref);
    wire_schema(columns, visit.keeps_dictionaries())
}

/// The schema of a statement, which is not run.
pub async fn schema(visit: &Visit, command: CommandStatementQuery) -> Result<SchemaRef, Error> {
    let lane = visit.lane(command.transaction_id.as_ref())?;
    Ok(announced(visit, &describe(&lane, command.query).await?))
}

/// Plans a statement.
pub async fn plan(visit: &Visit, command: CommandStatementQuery) -> Result<Planned, Error> {
    let lane = visit.lane(command.transaction_id.as_ref())?;
    let statement = describe(&lane, command.query).await?;
    if !statement.parameters().is_empty() {
        let message = "there is no parameter $1";
        return Err(Error::new(SqlState::UNDEFINED_PARAMETER, message)
            .with_hint("Prepare the statement, and bind its parameters."));
    }
    hold(visit, lane, statement, vec![Vec::new()]).await
}

/// Keeps what a statement gives for the client to fetch; runs it if it does more than read.
pub async fn hold(
    visit: &Visit,
    lane: Arc<Lane>,
    statement: Prepared,
    values: Vec<Values>,
) -> Result<Planned, Error> {
    let cancel = CancellationToken::new();
    let (source, schema, records, expires) = if statement.only_reads() {
        let schema = announced(visit, &statement);
        (Source::Statement { statement, values }, schema, -1, true)
    } else {
        let done = run_now(visit, &lane, statement, values).await?;
        let schema = wire_schema(&done.schema, visit.keeps_dictionaries());
        (Source::Once(Mutex::new(Some(done.rows))), schema, done.records, false)
    };
    let held = Held { lane, schema: Arc::clone(&schema), source, cancel };
    let ticket = ticket(visit.keep_result(held));
    Ok(Planned { schema, ticket, records, expires })
}

/// What a statement that changes something gave.
struct Ran {
    schema: SchemaRef,
    rows: Rows,
    records: i64,
}

async fn run_now(
    visit: &Visit,
    lane: &Arc<Lane>,
    statement: Prepared,
    values: Vec<Values>,
) -> Result<Ran, Error> {
    let mut watch = visit.host().begin(statement.text());
    let ran = lane.run(move |session| run_all(session, statement, values).boxed()).await;
    watch.end(Ending::of(&ran));
    ran
}

/// Runs a statement for each set of values; all together or none.
async fn run_all(session: &mut Session, statement: Prepared, values: Vec<Values>) -> Result<Ran, Error> {
    if let [values] = values.as_slice() {
        return match take(session.execute(&statement, values).await?).await? {
            Taken::Rows(schema, rows) => Ok(Ran { schema, rows, records: -1 }),
            Taken::Done(records) => Ok(no_rows(records)),
        };
    }
    session.begin_implicit(Origin::Message);
    let (mut records, mut columns, mut batches) = (0, None, Vec::new());
    for values in &values {
        match take(session.execute(&statement, values).await?).await? {
            Taken::Rows(schema, rows) => {
                batches.extend(rows.try_collect::<Vec<_>>().await?);
                columns = Some(schema);
            }
            Taken::Done(count) => records += count,
        }
    }
    session.end_implicit().await?;
    let Some(schema) = columns else { return Ok(no_rows(records)) };
    let rows = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
    Ok(Ran { schema, rows, records: -1 })
}

fn no_rows(records: i64) -> Ran {
    Ran { schema: Arc::new(Schema::empty()), rows: futures::stream::empty().boxed(), records }
}

/// What a statement gave, as far as this door has a place for it.
pub enum Taken {
    Rows(SchemaRef, Rows),
    /// No rows, but so many were changed.
    Done(i64),
}

/// Takes what a statement gave.
///
/// # Errors
///
/// 0A000 for a copy: its bytes are a matter of the PostgreSQL protocol.
pub async fn take(outcome: Outcome) -> Result<Taken, Error> {
    match outcome {
        Outcome::Rows { schema, rows, tag: _ } => Ok(Taken::Rows(schema, rows)),
        Outcome::Done { tag } => Ok(Taken::Done(count(&tag))),
        Outcome::CopyOut { .. } => {
            Err(Error::unsupported("COPY TO over Flight SQL").with_hint("Run the query itself."))
        }
        Outcome::CopyIn(copy) => {
            copy.abandon().await;
            Err(Error::unsupported("COPY FROM STDIN over Flight SQL")
                .with_hint("Ingest the rows (CommandStatementIngest, adbc_ingest)."))
        }
    }
}

/// The count at the end of a command tag; 0 if there is none.
fn count(tag: &str) -> i64 {
    tag.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Begins to send the rows of a ticket.
pub async fn fetch(visit: Visit, handle: &Bytes) -> Result<Sending, Error> {
    let held = visit.result(handle)?;
    let (lane, schema, cancel) = (Arc::clone(&held.lane), Arc::clone(&held.schema), held.cancel.clone());
    let (rows, in_transaction, watch) = match &held.source {
        Source::Once(rows) => {
            let rows = rows.lock().take();
            let gone = || {
                Error::new(
                    SqlState::INVALID_CURSOR_NAME,
                    "the rows of this statement have been fetched already",
                )
                .with_hint("They are there once, because the statement has changed something.")
            };
            (rows.ok_or_else(gone)?, false, None)
        }
        Source::Statement { statement, values } => {
            let mut watch = visit.host().begin(statement.text());
            let rows = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(cancelled()),
                rows = rows_of_all(&lane, statement.clone(), values.clone()) => rows,
            };
            if rows.is_err() {
                watch.end(Ending::of(&rows));
            }
            let (rows, in_transaction) = rows?;
            (rows, in_transaction, Some(watch))
        }
    };
    let fails = in_transaction.then_some(lane);
    Ok(Sending { visit, fails, rows, schema, cancel, watch })
}

/// The rows of a statement for one set of values after the other. The first is run now, so that what comes next in its
/// session comes after it. Tells whether it was run in a transaction.
async fn rows_of_all(
    lane: &Arc<Lane>,
    statement: Prepared,
    values: Vec<Values>,
) -> Result<(Rows, bool), Error> {
    let mut values = values.into_iter();
    let Some(first) = values.next() else { return Ok((futures::stream::empty().boxed(), false)) };
    let (first, in_transaction) = rows_of(Arc::clone(lane), statement.clone(), first).await?;
    let lane = Arc::clone(lane);
    let others = futures::stream::iter(values)
        .then(move |values| rows_of(Arc::clone(&lane), statement.clone(), values))
        .map_ok(|(rows, _)| rows)
        .try_flatten();
    Ok((first.chain(others).boxed(), in_transaction))
}

async fn rows_of(lane: Arc<Lane>, statement: Prepared, values: Values) -> Result<(Rows, bool), Error> {
    lane.run(move |session| execute(session, statement, values).boxed()).await
}

async fn execute(session: &mut Session, statement: Prepared, values: Values) -> Result<(Rows, bool), Error> {
    let taken = take(session.execute(&statement, &values).await?).await?;
    let Taken::Rows(schema, rows) = taken else { return Err(changed()) };
    let known = statement.columns().ok_or_else(changed)?;
    let types = |schema: &Schema| schema.fields().iter().map(|field| pg_type(field).oid).collect::<Vec<_>>();
    if types(known) == types(&schema) {
        Ok((rows, session.status() == TransactionStatus::InTransaction))
    } else {
        let names = |schema: &Schema| {
            schema.fields().iter().map(|field| sql_name(field)).collect::<Vec<_>>().join(", ")
        };
        Err(changed().with_detail(format!("Its columns were {}, and are {}.", names(known), names(&schema))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_how_many_rows() {
        for (tag, expect) in [
            ("INSERT 0 5", 5),
            ("UPDATE 12", 12),
            ("SELECT 3", 3),
            ("CREATE TABLE", 0),
            ("BEGIN", 0),
            ("", 0),
        ] {
            assert_eq!(count(tag), expect, "{tag}");
        }
    }
}
