//! The PostgreSQL door: protocol 3.0 over TCP, and nothing else. Everything a statement means is in `tarn_sql`; here it
//! is text, parameters and an [`Outcome`](tarn_sql::Outcome).
//!
//! ```text
//!  network runtime                              statement runtime
//!  accept.rs   one task per connection
//!    startup.rs  encryption (socket.rs), login    ------->  connection.rs  one task per session
//!    frame.rs    bytes -> frames      --frames->  simple.rs, extended.rs -> Session
//!    client gone: cancel                          portal.rs    rows -> encode/ -> output.rs -> socket
//!                                                 copy/        COPY: bytes -> rows, and rows -> bytes
//! ```
//!
//! The two halves run apart so that a statement that takes all processors neither delays new connections nor the
//! request that cancels it. Results are written as they are made: the reader of the socket sets the pace, and no result
//! is ever held whole. For that and for cancelling while rows are sent, the loops here are ours and not pgwire's, whose
//! types make the messages.

mod accept;
mod cancel;
mod connection;
mod copy;
mod decode;
mod encode;
mod error;
mod extended;
mod frame;
mod inbox;
mod logins;
mod output;
mod portal;
mod simple;
mod socket;
mod startup;

use std::sync::Arc;
use std::time::Duration;

use tarn_sql::{Canceller, Engine};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use accept::serve;

use crate::login::Roles;
use crate::metrics::Metrics;
use cancel::{Cancels, Key, Registration};

/// What all connections share.
pub struct Door {
    engine: Arc<Engine>,
    roles: Roles,
    metrics: Arc<Metrics>,
    /// Where sessions run.
    statements: Handle,
    /// One permit per session.
    connections: Arc<Semaphore>,
    statement_timeout: Option<Duration>,
    encryption: Encryption,
    cancels: Arc<Cancels>,
    /// Set when the server is to end: no connection is accepted, and idle ones are closed.
    stopping: CancellationToken,
    /// One task per connection.
    connected: TaskTracker,
}

/// Whether connections may, or must, be encrypted.
pub struct Encryption {
    /// None if there is no certificate.
    pub acceptor: Option<TlsAcceptor>,
    /// A session in clear is refused.
    pub required: bool,
}

impl Door {
    pub fn new(
        engine: Arc<Engine>,
        roles: Roles,
        metrics: Arc<Metrics>,
        statements: Handle,
        limits: &crate::settings::Limits,
        encryption: Encryption,
    ) -> Arc<Door> {
        Arc::new(Door {
            engine,
            roles,
            metrics,
            statements,
            connections: Arc::new(Semaphore::new(limits.connections)),
            statement_timeout: limits.statement_timeout,
            encryption,
            cancels: Arc::default(),
            stopping: CancellationToken::new(),
            connected: TaskTracker::new(),
        })
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Where sessions run.
    pub fn statements(&self) -> &Handle {
        &self.statements
    }

    /// A place among the sessions that there may be, of this door and others; given back when it is dropped.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// The number that the next session goes by.
    pub fn next_process(&self) -> i32 {
        self.cancels.next_process()
    }

    /// Makes a session of another door known to the end of the process, which cancels all; no request can name it.
    pub fn register(&self, process: i32, canceller: Canceller) -> Registration {
        let mut secret = [0; 4];
        self.roles.random(&mut secret);
        self.cancels.register(Key { process, secret: i32::from_be_bytes(secret) }, canceller)
    }

    /// The settings that every session begins with.
    pub fn options(&self) -> Vec<(String, String)> {
        let timeout = self.statement_timeout.map(|timeout| timeout.as_millis().to_string());
        timeout.map(|timeout| ("statement_timeout".to_owned(), timeout)).into_iter().collect()
    }

    /// What the end of the server waits for.
    pub fn connected(&self) -> &TaskTracker {
        &self.connected
    }

    /// Set when the server is to end.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Accepts no more connections, closes the idle ones, and waits until the others have ended their statements; those
    /// that run longer than `grace` are cancelled. Returns whether all connections ended.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stopping.cancel();
        self.connected.close();
        if tokio::time::timeout(grace, self.connected.wait()).await.is_ok() {
            return true;
        }
        tracing::warn!(
            connections = self.connected.len(),
            "the grace time is over: cancelling running statements"
        );
        self.cancels.cancel_all();
        tokio::time::timeout(CANCELLED_STATEMENT_TIME, self.connected.wait()).await.is_ok()
    }
}

/// How long a cancelled statement may take to end, and its client to read of it, before its connection is cut.
const CANCELLED_STATEMENT_TIME: Duration = Duration::from_secs(5);
