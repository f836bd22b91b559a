//! One connection's state: who it is, its settings and its transaction. It takes a statement through the steps:
//! resolve, authorize, plan, execute. It must never know which door it serves.
//! Next: `parse/mod.rs` for the first step, `resolve/mod.rs` for the second.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use tarn_catalog::access::Principal;
use tarn_catalog::{Reader, RoleId};
use tokio_util::sync::CancellationToken;

use crate::authorize::authorize;
use crate::engine::{Engine, Login};
use crate::error::{Error, Result};
use crate::execute;
use crate::outcome::{Notice, Outcome};
use crate::parse::{Parsed, parse};
use crate::plan::{self, Context};
use crate::resolve::{DATABASE, Scope, resolve};
use crate::settings::Settings;
use crate::sqlstate::SqlState;
use crate::statement::{Statement, Transaction};
use crate::stop::Stop;

/// Where a session stands between statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InTransaction,
    /// A statement failed; everything but the end of the transaction is refused.
    Failed,
}

/// A statement that has been parsed and described, to be executed any number of times.
#[derive(Debug, Clone)]
pub struct Prepared {
    parsed: Parsed,
    parameters: Vec<DataType>,
    columns: Option<SchemaRef>,
}

impl Prepared {
    /// The types of the parameters `$1`, `$2`, ….
    pub fn parameters(&self) -> &[DataType] {
        &self.parameters
    }

    /// The columns of the result; None when the statement gives no rows.
    pub fn columns(&self) -> Option<&SchemaRef> {
        self.columns.as_ref()
    }

    pub fn text(&self) -> &str {
        self.parsed.text()
    }
}

/// Stops the statement that a session is running, from anywhere.
#[derive(Debug, Clone, Default)]
pub struct Canceller(Arc<parking_lot::Mutex<CancellationToken>>);

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

/// One connection's state.
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    user: RoleId,
    settings: Settings,
    status: TransactionStatus,
    /// The catalog version that all statements of an open transaction read.
    pinned: Option<Reader>,
    notices: Vec<Notice>,
    canceller: Canceller,
    /// Values that `SET LOCAL` changed, to be put back at the end of the transaction.
    until_end: Vec<(String, Option<String>)>,
    backend_pid: i32,
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
        let status = TransactionStatus::Idle;
        let (notices, canceller) = (Vec::new(), Canceller::default());
        Ok(Session {
            engine,
            user,
            settings,
            status,
            pinned: None,
            notices,
            canceller,
            until_end: Vec::new(),
            backend_pid: login.backend_pid,
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
        let context = self.context()?;
        let described = async {
            let resolved = resolve(parsed.statement.clone(), &context.scope).await?;
            let authorized = authorize(resolved, &context.scope)?;
            plan::describe(authorized, &context, types).await
        };
        let described = described.await.map_err(|error: Error| error.locate(&parsed.source))?;
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

    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Messages beside the results since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Settings that the client must be told of, as PostgreSQL spells them, since the last call.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
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

    /// An error met while rows were being read fails the transaction like any other.
    pub fn fail_transaction(&mut self) {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
    }

    async fn run_with(&mut self, parsed: Parsed, parameters: &[ArrayRef]) -> Result<Outcome> {
        self.refuse_when_failed(&parsed.statement)?;
        let token = self.canceller.renew();
        let timeout = self.settings.statement_timeout();
        let deadline = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
        let source = Arc::clone(&parsed.source);
        let outcome = self.steps(parsed, parameters, Stop { token, deadline }).await;
        match outcome {
            Ok(done) => Ok(done),
            Err(error) => {
                self.fail_transaction();
                Err(error.locate(&source))
            }
        }
    }

    /// Everything up to the commit stops when it is told to; a commit that has begun is always waited for, so that
    /// what the user hears is what happened.
    async fn steps(&mut self, parsed: Parsed, parameters: &[ArrayRef], stop: Stop) -> Result<Outcome> {
        let context = Context { stop: stop.clone(), ..self.context()? };
        let plan = stop.or(async {
            let resolved = resolve(parsed.statement, &context.scope).await?;
            let authorized = authorize(resolved, &context.scope)?;
            plan::plan(authorized, &context, parameters).await
        });
        let plan = plan.await?;
        match execute::execute(plan, &context, self).await? {
            Outcome::Rows { schema, rows, tag } => {
                Ok(Outcome::Rows { schema, rows: stop.guard(rows, context.scope.reader.clone()), tag })
            }
            done => Ok(done),
        }
    }

    /// What one statement works with: the newest catalog version, or the transaction's.
    fn context(&self) -> Result<Context> {
        let reader = self.pinned.clone().unwrap_or_else(|| self.engine.catalog().reader());
        let principal = self.principal(&reader)?;
        let scope = Scope { reader, principal, search_path: self.settings.search_path() };
        Context::new(Arc::clone(&self.engine), scope, &self.settings, self.backend_pid)
    }

    fn principal(&self, reader: &Reader) -> Result<Principal> {
        reader.principal(self.user)?.ok_or_else(|| {
            Error::new(SqlState::INVALID_AUTHORIZATION, "the role of this session has been dropped")
        })
    }

    fn refuse_when_failed(&self, statement: &Statement) -> Result<()> {
        let ends = matches!(statement, Statement::Transaction(Transaction::Commit | Transaction::Rollback));
        if self.status == TransactionStatus::Failed && !ends {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Error::new(SqlState::IN_FAILED_SQL_TRANSACTION, message));
        }
        Ok(())
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    pub(crate) fn notify(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.status != TransactionStatus::Idle
    }

    /// Remembers a setting's value, to be put back at the end of the transaction.
    pub(crate) fn keep_until_end(&mut self, setting: &str) {
        let value = self.settings.get(setting).ok();
        self.until_end.push((setting.to_owned(), value));
    }

    /// `BEGIN`: all statements until the end read the version that is newest now.
    pub(crate) fn begin(&mut self) {
        if self.in_transaction() {
            let message = "there is already a transaction in progress";
            self.notify(Notice::warning(SqlState::ACTIVE_SQL_TRANSACTION, message));
            return;
        }
        self.status = TransactionStatus::InTransaction;
        self.pinned = Some(self.engine.catalog().reader());
    }

    /// `COMMIT` or `ROLLBACK`; tells what it came to.
    pub(crate) fn end(&mut self, commit: bool) -> &'static str {
        if !self.in_transaction() {
            let message = "there is no transaction in progress";
            self.notify(Notice::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        let failed = self.status == TransactionStatus::Failed;
        self.status = TransactionStatus::Idle;
        self.pinned = None;
        for (setting, value) in std::mem::take(&mut self.until_end).into_iter().rev() {
            // The value was accepted before, so it is again.
            let _ = self.settings.set(&setting, value.as_deref());
        }
        if commit && !failed { "COMMIT" } else { "ROLLBACK" }
    }

    /// The database every session is in.
    pub fn database(&self) -> &'static str {
        DATABASE
    }
}
