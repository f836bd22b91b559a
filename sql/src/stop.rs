//! When a statement must stop: its user asks, or its time is over. Work is raced against it, except a commit that
//! has begun.

use std::future::Future;

use futures::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::outcome::Rows;
use crate::sqlstate::SqlState;

/// The two reasons to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    pub token: CancellationToken,
    pub deadline: Option<Instant>,
}

impl Stop {
    /// Does the work, or ends with 57014 when it must stop; the work is then dropped.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            error = self.stopped() => Err(error),
            outcome = work => outcome,
        }
    }

    /// The same rows, ending with an error when the statement must stop.
    pub fn guard(self, rows: Rows) -> Rows {
        let stopped = Box::pin(async move { self.stopped().await });
        futures::stream::unfold(Some((rows, stopped)), |state| async move {
            let (mut rows, mut stopped) = state?;
            tokio::select! {
                biased;
                error = &mut stopped => Some((Err(error), None)),
                next = rows.next() => match next? {
                    Ok(batch) => Some((Ok(batch), Some((rows, stopped)))),
                    Err(error) => Some((Err(error), None)),
                },
            }
        })
        .boxed()
    }

    async fn stopped(&self) -> Error {
        let Some(deadline) = self.deadline else {
            self.token.cancelled().await;
            return cancelled();
        };
        tokio::select! {
            () = self.token.cancelled() => cancelled(),
            () = tokio::time::sleep_until(deadline) => {
                Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
                    .with_hint("SET statement_timeout to a longer time, or to 0 for no limit.")
            }
        }
    }
}

fn cancelled() -> Error {
    Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}
