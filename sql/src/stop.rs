//! When a statement must stop: its user asks, or its time is over. Work is raced against it, except a commit that
//! has begun.

use std::future::Future;

use futures::StreamExt;
use tarn_catalog::Reader;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::outcome::Rows;
use crate::sqlstate::SqlState;

/// Batches that are made before they are read.
const BATCHES_AHEAD: usize = 2;

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

    /// The same rows, ending with an error when the statement must stop. They are made by a task of their own, so
    /// that the answer does not wait for an operator that computes for long between two batches; the task ends when
    /// nobody reads any more. As long as it runs, the files of the version that it reads are kept by `reader`.
    pub fn guard(self, mut rows: Rows, reader: Reader) -> Rows {
        let (sender, receiver) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let _reading = reader;
            while let Some(batch) = rows.next().await {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        }));
        let stopped = Box::pin(async move { self.stopped().await });
        futures::stream::unfold(Some((receiver, task, stopped)), |state| async move {
            let (mut receiver, mut task, mut stopped) = state?;
            let next = tokio::select! {
                biased;
                error = &mut stopped => return Some((Err(error), None)),
                next = receiver.recv() => next,
            };
            match next {
                Some(Ok(batch)) => Some((Ok(batch), Some((receiver, task, stopped)))),
                Some(Err(error)) => Some((Err(error), None)),
                None => match (&mut task).await {
                    Ok(()) => None,
                    Err(error) => {
                        Some((Err(Error::internal(format!("the statement broke off: {error}"))), None))
                    }
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
