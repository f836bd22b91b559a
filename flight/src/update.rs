//! Statements that are executed for their count. A prepared one is executed for each row of parameters that comes, and
//! all of them are one commit.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandStatementUpdate;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tarn_sql::{CopyIn, Error, Origin, Outcome, Prepared, Session};

use crate::guest::Visit;
use crate::host::Ending;
use crate::ingest::{Batches, fitting};
use crate::parameters;
use crate::query::{Taken, Values, take};

/// Runs the statements of a text; several stand or fall together. Gives the count of changed rows.
pub async fn run(visit: &Visit, command: CommandStatementUpdate) -> Result<i64, Error> {
    let lane = visit.lane(command.transaction_id.as_ref())?;
    let text = command.query;
    let mut watch = visit.host().begin(&text);
    let counted = lane.run(move |session| run_text(session, text).boxed()).await;
    watch.end(Ending::of(&counted));
    counted
}

async fn run_text(session: &mut Session, text: String) -> Result<i64, Error> {
    let statements = session.parse(&text)?;
    let (several, mut count) = (statements.len() > 1, 0);
    for statement in statements {
        // What comes after a COMMIT among them is the next transaction.
        if several {
            session.begin_implicit(Origin::Message);
        }
        count += counted(session.run(statement).await?).await?;
    }
    session.end_implicit().await?;
    Ok(count)
}

/// The count of rows that a statement has changed, or has given.
async fn counted(outcome: Outcome) -> Result<i64, Error> {
    match take(outcome).await? {
        Taken::Done(count) => Ok(count),
        Taken::Rows(_, rows) => {
            let sum = |sum: usize, batch: RecordBatch| async move { Ok(sum + batch.num_rows()) };
            Ok(i64::try_from(rows.try_fold(0, sum).await?).unwrap_or(i64::MAX))
        }
    }
}

/// Executes a prepared statement for each row of parameters that comes; if none comes, with what is bound.
pub async fn run_prepared(visit: &Visit, handle: &[u8], mut batches: Batches) -> Result<i64, Error> {
    let statement = visit.statement(handle)?;
    let lane = Arc::clone(statement.lane());
    let Some(first) = batches.next().await.transpose()? else {
        let (described, values) = statement.ready()?;
        let mut watch = visit.host().begin(described.text());
        let counted = lane.run(move |session| run_bound(session, described, values).boxed()).await;
        watch.end(Ending::of(&counted));
        return counted;
    };
    let described = statement.for_types(&first.schema()).await?;
    let mut watch = visit.host().begin(described.text());
    let batches = futures::stream::iter([Ok(first)]).chain(batches).boxed();
    let counted = lane.run(move |session| run_rows(session, described, batches).boxed()).await;
    watch.end(Ending::of(&counted));
    counted
}

async fn run_bound(session: &mut Session, statement: Prepared, values: Vec<Values>) -> Result<i64, Error> {
    match values.as_slice() {
        [values] => counted(session.execute(&statement, values).await?).await,
        several => {
            let batch = parameters::batch(several, statement.parameters())?;
            run_rows(session, statement, futures::stream::iter([Ok(batch)]).boxed()).await
        }
    }
}

async fn run_rows(session: &mut Session, statement: Prepared, mut batches: Batches) -> Result<i64, Error> {
    session.begin_implicit(Origin::Message);
    let mut count = 0;
    if let Some((mut copy, places)) = session.insert_many(&statement).await? {
        match send(&mut copy, &places, statement.parameters(), batches).await {
            Ok(()) => count = i64::try_from(copy.finish().await?).unwrap_or(i64::MAX),
            Err(error) => {
                copy.abandon().await;
                return Err(error);
            }
        }
    } else {
        while let Some(batch) = batches.next().await {
            for values in parameters::rows(&batch?, statement.parameters())? {
                count += counted(session.execute(&statement, &values).await?).await?;
            }
        }
    }
    session.end_implicit().await?;
    Ok(count)
}

/// Hands values over as rows, each in the column that its parameter stands for.
async fn send(
    copy: &mut CopyIn,
    places: &[usize],
    types: &[DataType],
    mut batches: Batches,
) -> Result<(), Error> {
    while let Some(batch) = batches.next().await {
        let values = parameters::columns(&batch?, types)?;
        let columns: Vec<ArrayRef> = places.iter().map(|place| Arc::clone(&values[*place])).collect();
        let rows = fitting(&columns, copy)?;
        copy.send(rows).await?;
    }
    Ok(())
}
