//! One connection's state: who it is, its settings and its transaction. It takes a statement through the steps:
//! resolve, authorize, plan, execute. It must never know which door it serves.
//! Next: `parse/mod.rs` for the first step, `resolve/mod.rs` for the second.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use parking_lot::Mutex;
use tarn_catalog::access::Principal;
use tarn_catalog::{Reader, RelationId, RoleId, Turn};
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, Doing, Listed};
use crate::advisory::{EndOfStatement, LockOwner, SessionLocks};
use crate::again::{Attempts, Next};
use crate::authorize::authorize;
use crate::constant::{Constants, is_constant};
use crate::engine::{Engine, Login};
use crate::error::{Error, Result};
use crate::execute;
use crate::notify::{Listener, Notification};
use crate::outcome::{Notice, Outcome};
use crate::parse::{Parsed, parse};
use crate::plan::{self, Context};
use crate::portal::Cursors;
use crate::prepared::{Prepared, Statements};
use crate::probes::{Probe, is_unhandled};
use crate::resolve::{DATABASE, Scope, resolve, tables_read};
use crate::settings::Settings;
use crate::sqlstate::SqlState;
use crate::statement::{Statement, Transaction};
use crate::stop::Stop;
use crate::system::{Shapes, Wanted};
use crate::temporary;
use crate::transaction::{Isolation, Open};

/// Where a session stands between statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionStatus {
    #[default]
    Idle,
    InTransaction,
    /// A statement failed; everything but the end of the transaction is refused.
    Failed,
}

/// Stops the statement that a session is running, from anywhere.
#[derive(Debug, Clone, Default)]
pub struct Canceller(Arc<Mutex<CancellationToken>>);

impl Canceller {
    pub fn cancel(&self) {
        self.0.lock().cancel();
    }

    /// A token for the next statement; a request that came before it no longer counts.
    fn renew(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.0.lock() = token.clone();
        token
    }
}

/// One attempt at a statement.
struct Attempt {
    in_turn: bool,
    /// The table that the statement changes if it may be tried again after a conflict: it commits by itself, and does
    /// nothing but change rows.
    changes: Option<RelationId>,
}

/// One connection's state.
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    user: RoleId,
    settings: Settings,
    pub(crate) open: Option<Open>,
    /// Something temporary may have been made.
    pub(crate) temporary: bool,
    /// What the last statement has wanted to be set.
    wanted: Wanted,
    notices: Vec<Notice>,
    canceller: Canceller,
    backend_pid: i32,
    pub(crate) cursors: Cursors,
    pub(crate) statements: Statements,
    constants: Constants,
    pub(crate) listener: Listener,
    pub(crate) locks: SessionLocks,
    pub(crate) listed: Listed,
}

impl Session {
    pub(crate) fn new(engine: Arc<Engine>, user: RoleId, login: &Login) -> Result<Session> {
        let mut settings = Settings::default();
        for (name, value) in &login.options {
            settings.set(&name.to_lowercase(), Some(value))?;
        }
        settings.fix("application_name", &login.application_name);
        settings.fix("session_authorization", &login.user);
        settings.fix("server_version", format!("15.0 (Tarn {})", engine.version()));
        let superuser =
            engine.catalog().reader().principal(user)?.is_some_and(|principal| principal.superuser);
        settings.fix("is_superuser", if superuser { "on" } else { "off" });
        settings.take_changes();
        let (notices, canceller) = (Vec::new(), Canceller::default());
        let backend_pid = login.backend_pid;
        let (cursors, statements) = (Cursors::default(), Statements::default());
        let listener = Listener::new(Arc::clone(engine.switchboard()), backend_pid);
        let locks = SessionLocks(LockOwner::new(Arc::clone(engine.advisory_locks()), backend_pid));
        let listed = engine.sessions().enter(Activity {
            pid: backend_pid,
            role: user,
            user: login.user.clone(),
            peer: login.peer,
            started_at: engine.catalog().env().now_ms() * 1000,
            canceller: canceller.clone(),
            ends: CancellationToken::new(),
            doing: Mutex::new(Doing::new(&login.application_name)),
        });
        Ok(Session {
            engine,
            user,
            settings,
            open: None,
            temporary: false,
            wanted: Wanted::default(),
            notices,
            canceller,
            backend_pid,
            cursors,
            statements,
            constants: Constants::default(),
            listener,
            locks,
            listed,
        })
    }

    /// Reads all statements of a text; an empty text has none.
    ///
    /// # Errors
    ///
    /// As [`parse`].
    pub fn parse(&self, sql: &str) -> Result<Vec<Parsed>> {
        parse(sql)
    }

    /// Finds the types of a statement's parameters and result without running it. Types that the client knows
    /// are given from the left; None is found out.
    ///
    /// # Errors
    ///
    /// Whatever executing it would say about its names, rights and types.
    pub async fn prepare(&mut self, parsed: Parsed, types: &[Option<DataType>]) -> Result<Prepared> {
        self.refuse_when_failed(&parsed.statement)?;
        self.set_wanted();
        self.see_the_newest(&parsed.statement).await;
        self.ensure_temporary(&parsed.statement).await?;
        if let Some(columns) = self.columns_by_name(&parsed.statement)? {
            return Ok(Prepared { parsed, parameters: Vec::new(), columns });
        }
        let context = self.context(&parsed.statement).await?;
        let described = async {
            let resolved = resolve(parsed.statement.clone(), &context.scope).await?;
            let authorized = authorize(resolved, &context.scope)?;
            plan::describe(authorized, &context, types).await
        };
        let described = described.await.map_err(|error: Error| {
            self.remember_probe(&error, &parsed.text);
            error.locate(&parsed.source)
        })?;
        Ok(Prepared { parsed, parameters: described.parameters, columns: described.columns })
    }

    /// Runs a prepared statement; rights are checked again. Each parameter is an array of one value.
    ///
    /// # Errors
    ///
    /// Whatever the statement meets. A failure inside a transaction fails the transaction.
    pub async fn execute(&mut self, prepared: &Prepared, parameters: &[ArrayRef]) -> Result<Outcome> {
        if parameters.len() != prepared.parameters.len() {
            let message = format!(
                "bind message supplies {} parameters, but the statement requires {}",
                parameters.len(),
                prepared.parameters.len()
            );
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
        }
        self.run_with(prepared.parsed.clone(), parameters).await
    }

    /// Runs a statement that has no parameters.
    ///
    /// # Errors
    ///
    /// As [`Session::execute`].
    pub async fn run(&mut self, parsed: Parsed) -> Result<Outcome> {
        self.run_with(parsed, &[]).await
    }

    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Messages beside the results since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Messages of other sessions, and of its own, that have arrived. Outside a transaction what its statements said is
    /// sent first; within one nothing is heard.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        if self.open.is_some() {
            return Vec::new();
        }
        self.listener.commit();
        self.listener.take()
    }

    /// Waits until [`Session::take_notifications`] has something to give.
    pub async fn notification_arrived(&self) {
        match self.open {
            Some(_) => std::future::pending().await,
            None => self.listener.arrived().await,
        }
    }

    /// Waits until another session ends this one, with `pg_terminate_backend`.
    pub async fn told_to_end(&self) {
        self.listed.told_to_end().await;
    }

    /// Whether another session has said that this one is to end.
    pub fn is_told_to_end(&self) -> bool {
        self.listed.is_told_to_end()
    }

    /// Settings that the client must be told of, as PostgreSQL spells them, since the last call.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.set_wanted();
        self.settings.take_changes()
    }

    /// Every setting that a client is told of at start-up.
    pub fn reported_parameters(&self) -> Vec<(String, String)> {
        self.settings.reported()
    }

    /// The time zone that times are printed in.
    pub fn time_zone(&self) -> String {
        self.settings.time_zone()
    }

    /// Sets what the last statement has asked for with `set_config`; the values have been checked then.
    fn set_wanted(&mut self) {
        let wanted = std::mem::take(&mut *self.wanted.lock());
        for set in wanted {
            if let Err(error) = execute::set(&set, self) {
                tracing::warn!(setting = set.setting, %error, "a setting that was checked is refused");
            }
        }
    }

    async fn run_with(&mut self, parsed: Parsed, parameters: &[ArrayRef]) -> Result<Outcome> {
        self.set_wanted();
        self.refuse_when_failed(&parsed.statement)?;
        let token = self.canceller.renew();
        let timeout = self.settings.statement_timeout();
        let deadline = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
        let source = Arc::clone(&parsed.source);
        parsed.notes.iter().for_each(|note| self.notices.push(Notice::plain(note.clone())));
        let asked = parsed.text.clone();
        let application_name = self.settings.get("application_name").unwrap_or_default();
        let running = self.listed.begin(&asked, application_name, self.engine.catalog().env());
        // Outside a transaction the statement is one, and ends when its rows have been read.
        let ends = self.open.is_none().then(|| EndOfStatement(self.locks.0.clone()));
        let outcome = self.steps(parsed, parameters, Stop { token, deadline }).await;
        match outcome {
            Ok(done) => {
                self.listed.stands(self.status());
                Ok(done.until_read((ends, running)))
            }
            Err(error) => {
                self.fail().await;
                self.remember_probe(&error, &asked);
                Err(error.locate(&source))
            }
        }
    }

    /// Everything up to the commit stops when it is told to; a commit that has begun is always waited for, so that
    /// what the user hears is what happened.
    async fn steps(&mut self, parsed: Parsed, parameters: &[ArrayRef], stop: Stop) -> Result<Outcome> {
        self.see_the_newest(&parsed.statement).await;
        if let Some(open) = &mut self.open
            && !parsed.statement.is_about_the_session()
        {
            open.count();
        }
        if parameters.is_empty()
            && let Some(answer) = self.constants.answer(parsed.text())
        {
            return Ok(answer);
        }
        let told = self.notices.len();
        let mut attempts = Attempts::first();
        let catalog = Arc::clone(self.engine.catalog());
        let mut turn: Option<Turn> = None;
        loop {
            let mut attempt = Attempt { in_turn: turn.is_some(), changes: None };
            // Boxed: it is large, and would be here twice.
            let work = Box::pin(self.attempt(parsed.clone(), parameters, &stop, &mut attempt));
            let answer = match turn.take() {
                Some(turn) => turn.during(work).await,
                None => work.await,
            };
            let (error, relation) = match (answer, attempt.changes) {
                // It has not happened and its client has seen nothing of it, so it may as well have come later.
                (Err(error), Some(relation)) => (error, relation),
                (answer, _) => return answer,
            };
            let Some(next) = attempts.next(&error, catalog.env().as_ref()) else { return Err(error) };
            self.notices.truncate(told);
            let next = async {
                Ok(match next {
                    Next::Turn => Some(catalog.take_turn(relation).await),
                    Next::Pause(pause) => {
                        tokio::time::sleep(pause).await;
                        None
                    }
                })
            };
            turn = stop.or(next).await?;
        }
    }

    /// Takes a statement through its steps once.
    async fn attempt(
        &mut self,
        parsed: Parsed,
        parameters: &[ArrayRef],
        stop: &Stop,
        attempt: &mut Attempt,
    ) -> Result<Outcome> {
        self.ensure_temporary(&parsed.statement).await?;
        let text = parsed.text.clone();
        let mut context = self.context(&parsed.statement).await?;
        self.wanted = Arc::clone(&context.system.wanted);
        context.stop = stop.clone();
        context.in_turn = attempt.in_turn;
        let planned = stop.or(async {
            let resolved = resolve(parsed.statement, &context.scope).await?;
            let authorized = authorize(resolved, &context.scope)?;
            let reads = match context.isolation() {
                Isolation::Serializable => tables_read(authorized.action()),
                Isolation::Snapshot => Vec::new(),
            };
            Ok((plan::plan(authorized, &context, parameters).await?, reads))
        });
        let (plan, reads) = planned.await?;
        context.remember_reads(reads).await;
        attempt.changes = execute::changes_rows(&plan).filter(|_| self.open.is_none());
        let constant = parameters.is_empty() && plan.query().is_some_and(is_constant);
        match execute::execute(plan, &mut context, self).await? {
            rows @ Outcome::Rows { .. } if constant => self.constants.keep(&text, rows).await,
            Outcome::Rows { schema, rows, tag } => {
                let rows = stop.clone().guard(rows, context.scope.reader.clone());
                Ok(Outcome::Rows { schema, rows, tag })
            }
            Outcome::CopyOut { schema, rows, options, file } => {
                let rows = stop.clone().guard(rows, context.scope.reader.clone());
                Ok(Outcome::CopyOut { schema, rows, options, file })
            }
            done => Ok(done),
        }
    }

    /// What one statement works with: the newest catalog version, or what the transaction sees.
    pub(crate) async fn context(&self, statement: &Statement) -> Result<Context> {
        let (reader, block) = match &self.open {
            // What ends a transaction must not depend on what became of it.
            Some(open) if matches!(statement, Statement::Transaction(_)) => (open.base().clone(), None),
            Some(open) => (open.reader().await, Some(Arc::clone(&open.block))),
            None => (self.engine.catalog().reader(), None),
        };
        let mut context = self.context_of(reader)?;
        context.block = block;
        Ok(context)
    }

    /// What describes the relations that the next statement would see.
    ///
    /// # Errors
    ///
    /// 28000 if the role of the session has been dropped.
    pub async fn shapes(&self) -> Result<Shapes> {
        let reader = match &self.open {
            Some(open) => open.reader().await,
            None => self.engine.catalog().reader(),
        };
        Ok(Shapes::new(self.context_of(reader)?.system))
    }

    fn context_of(&self, reader: Reader) -> Result<Context> {
        let principal = self.principal(&reader)?;
        let temporary = self.temporary.then(|| self.temporary_schema());
        let scope = Scope { reader, principal, search_path: self.settings.search_path(), temporary };
        let outbox = self.listener.outbox.clone();
        let mut locks = self.locks.0.clone();
        locks.timeout = self.settings.lock_timeout();
        Context::new(Arc::clone(&self.engine), scope, &self.settings, self.backend_pid, outbox, locks)
    }

    /// The name of the schema of its temporary tables.
    pub(crate) fn temporary_schema(&self) -> String {
        temporary::schema_name(self.backend_pid)
    }

    fn principal(&self, reader: &Reader) -> Result<Principal> {
        reader.principal(self.user)?.ok_or_else(|| {
            Error::new(SqlState::INVALID_AUTHORIZATION, "the role of this session has been dropped")
        })
    }

    fn refuse_when_failed(&self, statement: &Statement) -> Result<()> {
        let ends = matches!(
            statement,
            Statement::Transaction(
                Transaction::Commit { .. } | Transaction::Rollback { .. } | Transaction::RollbackTo(_)
            )
        );
        if self.status() == TransactionStatus::Failed && !ends {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Error::new(SqlState::IN_FAILED_SQL_TRANSACTION, message));
        }
        Ok(())
    }

    /// Keeps a question that the catalogs have no answer to.
    fn remember_probe(&self, error: &Error, query: &str) {
        if !is_unhandled(error, query) {
            return;
        }
        let role = self.settings.get("session_authorization").unwrap_or_default();
        let application_name = self.settings.get("application_name").unwrap_or_default();
        let (at_ms, query) = (self.engine.catalog().env().now_ms(), query.to_owned());
        let (sqlstate, message) = (error.sqlstate.code(), error.message.clone());
        self.engine.probes().record(Probe { at_ms, role, application_name, sqlstate, message, query });
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn settings_mut(&mut self) -> &mut Settings {
        self.constants.clear();
        &mut self.settings
    }

    pub(crate) fn notify(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn user(&self) -> RoleId {
        self.user
    }

    /// The statement being run is the first of a pipeline.
    pub(crate) fn is_alone(&self) -> bool {
        self.open.as_ref().is_some_and(Open::is_only_prepared_for)
    }

    /// The database every session is in.
    pub fn database(&self) -> &'static str {
        DATABASE
    }
}
