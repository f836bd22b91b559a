//! Cursors and prepared statements: `DECLARE`, `FETCH`, `MOVE`, `CLOSE`, `PREPARE` and `DEALLOCATE`.

use futures::{StreamExt, TryStreamExt};

use super::query;
use crate::error::{Error, Result};
use crate::outcome::{Outcome, Rows};
use crate::plan::{Context, QueryPlan};
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::statement::{Declare, Fetch, Prepare};

/// Starts a cursor's query; its rows are made when they are fetched.
pub(super) async fn declare(
    declare: Declare,
    plan: QueryPlan,
    context: &Context,
    session: &mut Session,
) -> Result<Outcome> {
    if !declare.hold && !session.in_transaction() {
        let message = "DECLARE CURSOR can only be used in transaction blocks";
        return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message)
            .with_hint("Use BEGIN first, or declare it WITH HOLD."));
    }
    session.cursors.check_new(&declare.name)?;
    let schema = plan.schema();
    let Outcome::Rows { rows, .. } = context.stop.or(query::run(plan, context)).await? else {
        return Err(Error::internal("a query gave no rows"));
    };
    // The files of its version stay as long as somebody may fetch from them.
    let reader = context.scope.reader.clone();
    let kept = move |_: &_| {
        let _reading = &reader;
    };
    let rows: Rows = rows.inspect(kept).boxed();
    session.cursors.declare(declare, (schema, rows), &context.state.runtime_env().memory_pool)?;
    Ok(Outcome::done("DECLARE CURSOR"))
}

pub(super) async fn fetch(fetch: &Fetch, context: &Context, session: &Session) -> Result<Outcome> {
    let (schema, mut rows) = session.cursors.fetch(&fetch.name, fetch.direction)?;
    if !fetch.moves {
        return Ok(Outcome::Rows { schema, rows, tag: "FETCH" });
    }
    let passed = async {
        let mut passed = 0;
        while let Some(batch) = rows.try_next().await? {
            passed += batch.num_rows();
        }
        Ok(passed)
    };
    Ok(Outcome::done(format!("MOVE {}", context.stop.or(passed).await?)))
}

pub(super) fn close(name: Option<&str>, session: &mut Session) -> Result<Outcome> {
    let Some(name) = name else {
        session.cursors.close_all();
        return Ok(Outcome::done("CLOSE CURSOR ALL"));
    };
    session.cursors.close(name)?;
    Ok(Outcome::done("CLOSE CURSOR"))
}

pub(super) async fn prepare(prepare: Prepare, session: &mut Session) -> Result<Outcome> {
    session.prepare_named(prepare).await?;
    Ok(Outcome::done("PREPARE"))
}

pub(super) fn deallocate(name: &str, session: &mut Session) -> Result<Outcome> {
    session.statements.remove(name)?;
    Ok(Outcome::done("DEALLOCATE"))
}
