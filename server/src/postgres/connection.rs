//! One session's loop: takes a message, does what it says, and recovers from errors as the protocol wants it
//! (PostgreSQL 15, §55.2). `simple.rs` and `extended.rs` do the messages.
//!
//! ```text
//! Query     -> results ..., ReadyForQuery          error: ErrorResponse, ReadyForQuery
//! Parse ... -> answers ...                         error: ErrorResponse, then everything is skipped until Sync
//! Sync      -> ReadyForQuery
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use futures::FutureExt;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{NotificationResponse, ReadyForQuery, TransactionStatus as Status};
use pgwire::messages::startup::{BackendKeyData, ParameterStatus, SecretKey};
use tarn_sql::{Canceller, Session, TransactionStatus};
use tokio_util::sync::CancellationToken;

use super::Door;
use super::cancel::{Key, Registration};
use super::error::{Failure, Report, notice_message};
use super::frame::{Frame, Message};
use super::inbox::{Inbound, Inbox};
use super::output::Output;
use super::portal::Portal;
use super::startup::Startup;

/// A connection after login.
pub struct Connection {
    pub(super) door: Arc<Door>,
    pub(super) session: Session,
    pub(super) portals: HashMap<String, Portal>,
    startup: Startup,
    peer: SocketAddr,
    registration: Registration,
    /// After an error in the extended protocol: until Sync.
    skipping: bool,
    /// Nothing has come since the last ReadyForQuery.
    idle: bool,
    /// The message being handled is followed by Sync, so that a statement in it is the last before a commit.
    pub(super) before_sync: bool,
}

/// Whether to go on after a message.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

impl Connection {
    /// `process` is the number that the session goes by.
    pub fn new(
        door: Arc<Door>,
        session: Session,
        process: i32,
        startup: Startup,
        peer: SocketAddr,
    ) -> Connection {
        let mut secret = [0; 4];
        door.roles.random(&mut secret);
        let key = Key { process, secret: i32::from_be_bytes(secret) };
        let registration = door.cancels.register(key, session.canceller());
        Connection {
            door,
            session,
            portals: HashMap::new(),
            startup,
            peer,
            registration,
            skipping: false,
            idle: true,
            before_sync: false,
        }
    }

    pub fn canceller(&self) -> Canceller {
        self.session.canceller()
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Serves the client until it ends the connection, is `gone`, or the server stops.
    pub async fn run(mut self, mut output: Output, mut inbox: Inbox, gone: CancellationToken) {
        tracing::debug!(peer = %self.peer, user = self.startup.user, "session opened");
        let end = self.serve(&mut output, &mut inbox, &gone).await;
        match end {
            Ok(()) => {}
            Err(Failure::Gone(error)) => tracing::debug!(peer = %self.peer, %error, "client went away"),
            Err(Failure::Fatal(report) | Failure::Error(report)) => {
                tracing::info!(
                    peer = %self.peer, sqlstate = report.sqlstate, message = report.message, "session ended"
                );
                // If the client cannot be told, it is gone, and the session ends all the same.
                if output.put(&report.to_message("FATAL")).is_ok() {
                    let _ = output.flush().await;
                }
            }
        }
        tracing::debug!(peer = %self.peer, "session closed");
        self.session.close().await;
    }

    async fn serve(
        &mut self,
        output: &mut Output,
        inbox: &mut Inbox,
        gone: &CancellationToken,
    ) -> Result<(), Failure> {
        self.greet(output)?;
        self.ready(output).await?;
        loop {
            let Some(inbound) = self.next(inbox, output).await? else { return Ok(()) };
            if gone.is_cancelled() {
                return Ok(());
            }
            let (frame, _room) = match inbound {
                Inbound::Frame(frame) => frame,
                Inbound::Broken(failure) => return Err(failure),
            };
            self.idle = false;
            self.before_sync = frame.kind == b'E' && inbox.sync_follows();
            if self.handle(frame, inbox, output).await? == Flow::End {
                return Ok(());
            }
        }
    }

    /// The next message; an idle connection ends here when the server stops.
    async fn next(&mut self, inbox: &mut Inbox, output: &mut Output) -> Result<Option<Inbound>, Failure> {
        if !self.idle {
            return Ok(inbox.next().await);
        }
        loop {
            tokio::select! {
                biased;
                () = self.door.stopping.cancelled() => {
                    return Err(Failure::fatal("57P01", "terminating connection due to administrator command"));
                }
                () = self.session.told_to_end() => {
                    return Err(Failure::fatal("57P01", "terminating connection due to administrator command"));
                }
                inbound = inbox.next() => return Ok(inbound),
                () = self.session.notification_arrived() => {}
                () = idle_too_long(self.session.idle_limit()) => {
                    return Err(Failure::fatal("25P03", "terminating connection due to idle-in-transaction timeout"));
                }
            }
            self.tell_notifications(output)?;
            output.flush().await?;
        }
    }

    /// What a client is told before its first statement.
    fn greet(&mut self, output: &mut Output) -> Result<(), Failure> {
        for (name, value) in self.session.reported_parameters() {
            output.put(&Backend::ParameterStatus(ParameterStatus::new(name, value)))?;
        }
        let key = self.registration.key();
        let secret = SecretKey::I32(key.secret);
        output.put(&Backend::BackendKeyData(BackendKeyData::new(key.process, secret)))
    }

    async fn handle(
        &mut self,
        frame: Frame,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<Flow, Failure> {
        let (kind, extended) = (frame.kind, frame.extended());
        if self.skipping && !matches!(kind, b'S' | b'X') {
            return Ok(Flow::Continue);
        }
        let done = AssertUnwindSafe(self.dispatch(frame, inbox, output)).catch_unwind().await;
        let failure = match done {
            Ok(Ok(flow)) => return Ok(flow),
            Ok(Err(failure)) => failure,
            Err(panic) => panicked(panic.as_ref()),
        };
        output.drop_partial();
        let report = match failure {
            Failure::Error(report) => report,
            fatal => return Err(fatal),
        };
        self.tell(&report, output).await?;
        if extended {
            self.skipping = true;
            output.flush().await?;
        } else {
            self.ready(output).await?;
        }
        Ok(Flow::Continue)
    }

    async fn dispatch(
        &mut self,
        frame: Frame,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<Flow, Failure> {
        match frame.decode()? {
            Message::Query(sql) => {
                self.query(&sql, inbox, output).await?;
                self.ready(output).await?;
            }
            Message::Parse(parse) => self.parse(parse, output).await?,
            Message::Bind(bind) => self.bind(bind, output)?,
            Message::Describe(target) => self.describe(&target, output)?,
            Message::Execute { portal, rows_max } => self.execute(&portal, rows_max, inbox, output).await?,
            Message::Close(target) => self.close(&target, output)?,
            Message::Flush => output.flush().await?,
            Message::Sync => {
                self.skipping = false;
                self.session.end_implicit().await?;
                self.ready(output).await?;
            }
            Message::Copy => {}
            Message::Terminate => return Ok(Flow::End),
        }
        Ok(Flow::Continue)
    }

    /// An error fails an open transaction, whoever found it.
    async fn tell(&mut self, report: &Report, output: &mut Output) -> Result<(), Failure> {
        if report.ours() {
            tracing::error!(
                peer = %self.peer, user = self.startup.user, sqlstate = report.sqlstate, detail = report.detail,
                message = report.message, "statement failed"
            );
        } else {
            tracing::debug!(peer = %self.peer, sqlstate = report.sqlstate, message = report.message, "statement failed");
        }
        self.session.fail().await;
        self.tell_notices(output)?;
        output.put(&report.to_message("ERROR"))
    }

    /// Notices and changed settings, which go out before the statement's end is told.
    pub(super) fn tell_notices(&mut self, output: &mut Output) -> Result<(), Failure> {
        for notice in self.session.take_notices() {
            output.put(&notice_message(notice))?;
        }
        for (name, value) in self.session.take_parameter_changes() {
            output.put(&Backend::ParameterStatus(ParameterStatus::new(name, value)))?;
        }
        Ok(())
    }

    /// Messages of other sessions, which go out between statements.
    fn tell_notifications(&mut self, output: &mut Output) -> Result<(), Failure> {
        for told in self.session.take_notifications() {
            let message = NotificationResponse::new(told.sender, told.channel, told.payload);
            output.put(&Backend::NotificationResponse(message))?;
        }
        Ok(())
    }

    /// Tells the client that it may go on. Outside a transaction no portal lives longer than this.
    async fn ready(&mut self, output: &mut Output) -> Result<(), Failure> {
        let status = match self.session.status() {
            TransactionStatus::Idle => {
                self.portals.clear();
                Status::Idle
            }
            TransactionStatus::InTransaction => Status::Transaction,
            TransactionStatus::Failed => Status::Error,
        };
        self.tell_notifications(output)?;
        output.put(&Backend::ReadyForQuery(ReadyForQuery::new(status)))?;
        self.idle = true;
        output.flush().await
    }

    /// The time zone that times are read and printed in.
    pub(super) fn zone(&self) -> Tz {
        let utc = || "+00:00".parse().expect("UTC is a time zone");
        self.session.time_zone().parse().unwrap_or_else(|_| utc())
    }
}

/// Never, without a limit.
async fn idle_too_long(limit: Option<std::time::Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// A panic is a bug of ours; this statement has failed, and the server lives.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a statement panicked");
    let report = Report::new("XX000", "internal error: the statement was stopped by a bug in the server")
        .with_hint("Please report it with the server's log.");
    Failure::Error(Box::new(report))
}
