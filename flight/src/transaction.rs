//! Transactions and savepoints by their handles. They are the engine's own, begun and ended by its statements.

use std::sync::Arc;

use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionResult,
    ActionEndSavepointRequest, ActionEndTransactionRequest, EndTransaction,
};
use futures::FutureExt;
use tarn_sql::{Error, Outcome, SqlState, TransactionStatus};

use crate::guest::Visit;
use crate::handle::Kind;
use crate::host::Ending;
use crate::lane::Lane;
use crate::query::one;
use crate::status::violation;

/// How a savepoint ends, in its message's numbers.
const RELEASE: i32 = 1;
const ROLL_BACK: i32 = 2;

/// Begins a transaction.
pub async fn begin(visit: &Visit) -> Result<ActionBeginTransactionResult, Error> {
    let (number, main) = visit.reserve_transaction()?;
    let begun = begin_on(visit, main).await;
    match begun {
        Ok(lane) => Ok(ActionBeginTransactionResult { transaction_id: visit.keep_transaction(number, lane) }),
        Err(error) => {
            visit.forget_transaction(number);
            Err(error)
        }
    }
}

async fn begin_on(visit: &Visit, main: bool) -> Result<Arc<Lane>, Error> {
    if main && begin_here(visit, visit.main()).await? {
        return Ok(Arc::clone(visit.main()));
    }
    let lane = visit.new_lane()?;
    begin_here(visit, &lane).await?;
    Ok(lane)
}

/// Begins a transaction, unless a statement has begun one already.
async fn begin_here(visit: &Visit, lane: &Arc<Lane>) -> Result<bool, Error> {
    let mut watch = visit.host().begin("BEGIN");
    let begun = lane.run(|session| {
        async move {
            if session.status() != TransactionStatus::Idle {
                return Ok(false);
            }
            let begin = one(session.parse("BEGIN")?)?;
            session.run(begin).await.map(|_| true)
        }
        .boxed()
    });
    let begun = begun.await;
    watch.end(Ending::of(&begun));
    begun
}

/// Ends a transaction. Whatever comes of it, it is over.
pub async fn end(visit: &Visit, request: ActionEndTransactionRequest) -> Result<(), Error> {
    let text = match request.action() {
        EndTransaction::Commit => "COMMIT",
        EndTransaction::Rollback => "ROLLBACK",
        EndTransaction::Unspecified => return Err(violation("a transaction ends by commit or rollback")),
    };
    let (number, lane) = visit.transaction(&request.transaction_id)?;
    let ended = say(visit, &lane, text.to_owned()).await;
    visit.forget_transaction(number);
    if !Arc::ptr_eq(&lane, visit.main()) {
        lane.close().await;
    }
    match (text, ended?.as_str()) {
        ("COMMIT", "ROLLBACK") => {
            let message = "the transaction has failed and was rolled back";
            Err(Error::new(SqlState::IN_FAILED_SQL_TRANSACTION, message)
                .with_hint("One of its statements had met an error; begin again."))
        }
        _ => Ok(()),
    }
}

/// Begins a savepoint.
pub async fn begin_savepoint(
    visit: &Visit,
    request: ActionBeginSavepointRequest,
) -> Result<ActionBeginSavepointResult, Error> {
    let (transaction, lane) = visit.transaction(&request.transaction_id)?;
    let (number, savepoint) = visit.reserve_savepoint(transaction, &request.name)?;
    match say(visit, &lane, format!("SAVEPOINT {}", quoted(&savepoint.name))).await {
        Ok(_) => Ok(ActionBeginSavepointResult { savepoint_id: visit.handle(Kind::Savepoint, number) }),
        Err(error) => {
            visit.forget_savepoint(number);
            Err(error)
        }
    }
}

/// Releases a savepoint, or goes back to it.
pub async fn end_savepoint(visit: &Visit, request: ActionEndSavepointRequest) -> Result<(), Error> {
    let (number, savepoint, lane) = visit.savepoint(&request.savepoint_id)?;
    let words = match request.action {
        RELEASE => "RELEASE SAVEPOINT",
        ROLL_BACK => "ROLLBACK TO SAVEPOINT",
        _ => return Err(violation("a savepoint ends by release or rollback")),
    };
    say(visit, &lane, format!("{words} {}", quoted(&savepoint.name))).await?;
    // One that was gone back to is still there, as in SQL.
    if request.action == RELEASE {
        visit.forget_savepoint(number);
    }
    Ok(())
}

/// Runs a statement and gives its tag.
async fn say(visit: &Visit, lane: &Arc<Lane>, text: String) -> Result<String, Error> {
    let mut watch = visit.host().begin(&text);
    let said = lane.run(move |session| {
        async move {
            let parsed = one(session.parse(&text)?)?;
            match session.run(parsed).await? {
                Outcome::Done { tag } => Ok(tag),
                other => Err(Error::internal(format!("{text} gave {other:?}"))),
            }
        }
        .boxed()
    });
    let said = said.await;
    watch.end(Ending::of(&said));
    said
}

/// A name in quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
