//! One session of the engine, which does one thing at a time. Calls come at any time and from several connections, so
//! each waits for its turn; what it does then runs on the statement runtime. A call whose client goes away cancels what
//! it is doing, and nothing of another call.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tarn_sql::{Canceller, Error, Session, SqlState};
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;

use crate::host::{Host, Seat};

/// Between two statements of a call there is nothing to cancel yet, so it is tried again until the call has ended.
const CANCEL_AGAIN: Duration = Duration::from_millis(20);

/// A session that calls share.
pub struct Lane {
    host: Arc<dyn Host>,
    /// None once it is closed.
    session: Mutex<Option<Session>>,
    canceller: Canceller,
    /// Its place among the sessions that there may be.
    _place: Box<dyn Any + Send + Sync>,
}

impl Lane {
    pub fn new(host: Arc<dyn Host>, seat: Seat) -> Arc<Lane> {
        let canceller = seat.session.canceller();
        Arc::new(Lane { host, session: Mutex::new(Some(seat.session)), canceller, _place: seat.place })
    }

    /// Does some work with the session when it is free. An error fails the transaction that is open, whoever found it,
    /// as at the PostgreSQL door.
    ///
    /// # Errors
    ///
    /// What the work says; 57014 when the session was closed meanwhile.
    pub async fn run<T, W>(self: &Arc<Self>, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a mut Session) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
    {
        let gone = CancellationToken::new();
        // When our caller is dropped, so is this.
        let _guard = gone.clone().drop_guard();
        let (sender, answer) = oneshot::channel();
        let lane = Arc::clone(self);
        self.host.statements().spawn(async move {
            // If nobody waits any more, nobody wants to know.
            let _ = sender.send(lane.turn(work, gone).await);
        });
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn turn<T, W>(&self, work: W, gone: CancellationToken) -> Result<T, Error>
    where
        W: for<'a> FnOnce(&'a mut Session) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
    {
        let mut place = tokio::select! {
            biased;
            () = gone.cancelled() => return Err(closed()),
            place = self.session.lock() => place,
        };
        if place.as_ref().is_some_and(Session::is_told_to_end)
            && let Some(session) = place.take()
        {
            session.close().await;
        }
        let session = place.as_mut().ok_or_else(closed)?;
        let answer = {
            let mut work = std::pin::pin!(AssertUnwindSafe(work(session)).catch_unwind());
            loop {
                tokio::select! {
                    biased;
                    answer = &mut work => break answer,
                    () = cancel_when(&gone, &self.canceller) => {}
                }
            }
        };
        let answer = answer.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        if answer.is_err() {
            session.fail().await;
        }
        forget_messages(session);
        answer
    }

    /// A statement whose rows were on their way has met an error; a transaction that is open has failed with it.
    pub fn fail(self: &Arc<Self>) {
        let lane = Arc::clone(self);
        self.host.statements().spawn(async move {
            if let Some(session) = lane.session.lock().await.as_mut() {
                session.fail().await;
            }
        });
    }

    /// How long the open transaction may be left alone; None if that is no matter, or something is being done.
    pub fn idle_limit(&self) -> Option<Duration> {
        let session = self.session.try_lock().ok()?;
        session.as_ref().and_then(Session::idle_limit)
    }

    /// Whether another session wants it to end, and it does nothing now.
    pub fn is_told_to_end(&self) -> bool {
        self.session.try_lock().is_ok_and(|session| session.as_ref().is_some_and(Session::is_told_to_end))
    }

    /// Stops what it does, and ends it: what its transaction did is taken back.
    pub async fn close(self: &Arc<Self>) {
        let lane = Arc::clone(self);
        let closing = self.host.statements().spawn(async move {
            let mut session = loop {
                lane.canceller.cancel();
                if let Ok(session) = tokio::time::timeout(CANCEL_AGAIN, lane.session.lock()).await {
                    break session;
                }
            };
            if let Some(session) = session.take() {
                session.close().await;
            }
        });
        // It does not panic, and if the runtime ends there is nothing left to close.
        let _ = closing.await;
    }
}

/// Comes back after it has tried to cancel; never, as long as somebody waits for the work.
async fn cancel_when(gone: &CancellationToken, canceller: &Canceller) {
    gone.cancelled().await;
    canceller.cancel();
    tokio::time::sleep(CANCEL_AGAIN).await;
}

/// There is no message of the protocol for notices, changed settings and notifications; they must not pile up.
fn forget_messages(session: &mut Session) {
    for notice in session.take_notices() {
        tracing::debug!(message = notice.message, "a notice that the protocol has no place for");
    }
    drop(session.take_parameter_changes());
    drop(session.take_notifications());
}

fn closed() -> Error {
    Error::new(SqlState::QUERY_CANCELED, "canceling statement because its session has ended")
        .with_hint("Log in again.")
}

/// A panic is a bug of ours; this call has failed, and the server lives.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a statement panicked");
    Error::internal("internal error: the statement was stopped by a bug in the server")
        .with_hint("Please report it with the server's log.")
}
