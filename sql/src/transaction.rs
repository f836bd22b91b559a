//! A session's transaction: who began it, how far it has come, and how it ends. A transaction is begun by the user
//! (`BEGIN`), or by the door for the statements of one message or of one pipeline, which stand or fall together as in
//! PostgreSQL. Outside one, each statement commits by itself. It must never know what a statement does.
//!
//! ```text
//! idle ── BEGIN, or a door ──> open ── COMMIT ──────────> idle
//!                              │  ^ └─ ROLLBACK ────────> idle
//!                          error  └── ROLLBACK TO ──┐
//!                              └──> failed ─────────┴──── COMMIT, ROLLBACK: nothing happened ──> idle
//! ```

use std::sync::Arc;

use tarn_catalog::{Block, Reader, Savepoint};
use tokio::sync::Mutex;

use crate::advisory::EndOfStatement;
use crate::error::{Error, Result};
use crate::execute;
use crate::outcome::Notice;
use crate::session::{Session, TransactionStatus};
use crate::settings::Settings;
use crate::sqlstate::SqlState;
use crate::statement::{Modes, Statement};

/// What the statements of a transaction share. Empty once the transaction has ended.
pub(crate) type SharedBlock = Arc<Mutex<Option<Block>>>;

/// The setting that says how isolated the open transaction is.
pub(crate) const ISOLATION: &str = "transaction_isolation";
pub(crate) const READ_ONLY: &str = "transaction_read_only";

/// How much of what others do at the same time a transaction may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// It reads one version of everything, and its writes fail when others wrote the same rows first. All levels below
    /// `serializable` are met by this one.
    Snapshot,
    /// What it read must still be so when it commits.
    Serializable,
}

/// Who began a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `BEGIN`.
    Explicit,
    /// The door, for a message of several statements.
    Message,
    /// The door, for statements up to the next synchronisation.
    Pipeline,
}

/// A transaction that has not ended.
#[derive(Debug)]
pub(crate) struct Open {
    pub block: SharedBlock,
    pub origin: Origin,
    failed: bool,
    /// The version at its beginning, which can be read whatever has become of the rest.
    base: Reader,
    savepoints: Vec<Point>,
    /// As they were at the beginning: a rollback takes what `SET` did back too.
    settings: Settings,
    /// Cursors from this number on were declared in it.
    first_cursor: u64,
    /// How much had been said before.
    said: usize,
    /// Values that `SET LOCAL` changed, to be put back at the end.
    local: Vec<(String, Option<String>)>,
    /// Statements so far, other than those about the transaction or the session.
    statements: usize,
}

/// A savepoint.
#[derive(Debug)]
struct Point {
    name: String,
    block: Savepoint,
    settings: Settings,
    first_cursor: u64,
    said: usize,
    local: usize,
}

impl Open {
    /// What a statement reads: everything so far, or of a failed transaction what was there before.
    pub async fn reader(&self) -> Reader {
        let block = self.block.lock().await;
        match block.as_ref() {
            Some(block) if !self.failed => block.reader(),
            _ => self.base.clone(),
        }
    }

    /// The version at its beginning.
    pub fn base(&self) -> &Reader {
        &self.base
    }

    /// Counts a statement. The first one fixes what the transaction is.
    pub fn count(&mut self) {
        self.statements += 1;
    }

    /// Nothing has been asked or changed in it.
    fn is_untouched(&self) -> bool {
        self.origin == Origin::Explicit && self.statements == 0 && self.savepoints.is_empty() && !self.failed
    }

    /// The door has begun it in case more statements come, and none has.
    pub fn is_only_prepared_for(&self) -> bool {
        self.origin == Origin::Pipeline && self.statements <= 1
    }
}

impl Session {
    pub fn status(&self) -> TransactionStatus {
        match &self.open {
            Some(Open { origin: Origin::Explicit, failed: true, .. }) => TransactionStatus::Failed,
            Some(Open { origin: Origin::Explicit, .. }) => TransactionStatus::InTransaction,
            Some(_) | None => TransactionStatus::Idle,
        }
    }

    /// How long the client may leave the open transaction alone; None for as long as it likes.
    pub fn idle_limit(&self) -> Option<std::time::Duration> {
        self.open.as_ref().and_then(|_| self.settings().idle_in_transaction_timeout())
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// `BEGIN`. A transaction that a door has begun goes on as the user's own.
    pub(crate) fn begin(&mut self, modes: &Modes) -> Result<()> {
        match &mut self.open {
            Some(Open { origin: Origin::Explicit, .. }) => {
                let message = "there is already a transaction in progress";
                self.notify(Notice::warning(SqlState::ACTIVE_SQL_TRANSACTION, message));
            }
            Some(open) => open.origin = Origin::Explicit,
            None => self.open(Origin::Explicit),
        }
        self.set_modes(modes)
    }

    /// What a transaction sees is fixed by its first statement, as in PostgreSQL, not by BEGIN: a client may begin one long
    /// before it uses it.
    pub(crate) async fn see_the_newest(&mut self, statement: &Statement) {
        let engine = Arc::clone(self.engine());
        let user = self.user();
        let Some(open) = self.open.as_mut().filter(|open| open.is_untouched()) else { return };
        if statement.is_about_the_session() {
            return;
        }
        let block = engine.catalog().begin_block(user);
        open.base = block.base().clone();
        if let Some(old) = open.block.lock().await.replace(block) {
            engine.catalog().roll_back(old).await;
        }
    }

    /// Begins a transaction for statements that stand or fall together, unless there is one.
    pub fn begin_implicit(&mut self, origin: Origin) {
        if self.open.is_none() {
            self.open(origin);
        }
    }

    fn open(&mut self, origin: Origin) {
        let block = self.engine().catalog().begin_block(self.user());
        let base = block.base().clone();
        let settings = self.settings().clone();
        let (first_cursor, said) = (self.cursors.next_number(), self.listener.outbox.said());
        self.open = Some(Open {
            block: Arc::new(Mutex::new(Some(block))),
            origin,
            failed: false,
            base,
            savepoints: Vec::new(),
            settings,
            first_cursor,
            said,
            local: Vec::new(),
            statements: 0,
        });
        for (setting, default) in
            [(ISOLATION, "default_transaction_isolation"), (READ_ONLY, "default_transaction_read_only")]
        {
            if let Ok(value) = self.settings().get(default) {
                self.settings_mut().fix(setting, value);
            }
        }
    }

    /// `BEGIN` with modes, or `SET TRANSACTION`.
    pub(crate) fn set_modes(&mut self, modes: &Modes) -> Result<()> {
        let Some(open) = &self.open else {
            let message = "SET TRANSACTION can only be used in transaction blocks";
            self.notify(Notice::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
            return Ok(());
        };
        let begun = open.statements > 0;
        let too_late = |message| Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        if let Some(isolation) = modes.isolation {
            if begun && self.settings().get(ISOLATION)? != isolation {
                return too_late("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
            self.settings_mut().fix(ISOLATION, isolation);
        }
        if let Some(read_only) = modes.read_only {
            if begun && !read_only && self.settings().get(READ_ONLY)? == "on" {
                return too_late("transaction read-write mode must be set before any query");
            }
            self.settings_mut().fix(READ_ONLY, if read_only { "on" } else { "off" });
        }
        Ok(())
    }

    /// `COMMIT`; tells what it came to. Whatever that is, the transaction is over.
    pub(crate) async fn commit(&mut self) -> Result<&'static str> {
        self.warn_without_transaction();
        let Some(open) = self.open.take() else { return Ok("COMMIT") };
        let _ends = EndOfStatement(self.locks.0.clone());
        if open.failed {
            self.undo(open).await;
            return Ok("ROLLBACK");
        }
        let block = open.block.lock().await.take();
        if let Some(block) = block
            && let Err(error) = execute::commit_block(block, self.engine()).await
        {
            self.settings_mut().restore(open.settings);
            self.cursors.forget_from(open.first_cursor);
            self.listener.outbox.take_back(open.said);
            return Err(error);
        }
        self.cursors.end_transaction();
        for (setting, value) in open.local.into_iter().rev() {
            // The value was accepted before, so it is again.
            let _ = self.settings_mut().set(&setting, value.as_deref());
        }
        self.settings_mut().unfix(&[ISOLATION, READ_ONLY]);
        Ok("COMMIT")
    }

    /// `ROLLBACK`.
    pub(crate) async fn roll_back(&mut self) {
        self.warn_without_transaction();
        if let Some(open) = self.open.take() {
            self.undo(open).await;
        }
    }

    fn warn_without_transaction(&mut self) {
        if self.open.as_ref().is_none_or(|open| open.origin != Origin::Explicit) {
            let message = "there is no transaction in progress";
            self.notify(Notice::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
    }

    async fn undo(&mut self, open: Open) {
        let _ends = EndOfStatement(self.locks.0.clone());
        self.settings_mut().restore(open.settings);
        self.cursors.forget_from(open.first_cursor);
        self.listener.outbox.take_back(open.said);
        if let Some(block) = open.block.lock().await.take() {
            self.engine().catalog().roll_back(block).await;
        }
    }

    /// Commits a transaction that a door has begun; nothing to do if there is none.
    ///
    /// # Errors
    ///
    /// As a commit: 40001, or 40003 when nobody knows.
    pub async fn end_implicit(&mut self) -> Result<()> {
        if self.open.as_ref().is_some_and(|open| open.origin != Origin::Explicit) {
            let open = self.open.as_mut();
            // It ends as the user's own would, without the warning that there was none.
            open.into_iter().for_each(|open| open.origin = Origin::Explicit);
            self.commit().await?;
        }
        Ok(())
    }

    /// An error, whoever found it, fails the user's transaction and ends one that a door has begun.
    pub async fn fail(&mut self) {
        match &mut self.open {
            Some(open) if open.origin == Origin::Explicit => open.failed = true,
            Some(_) => {
                if let Some(open) = self.open.take() {
                    self.undo(open).await;
                }
            }
            None => self.listener.outbox.take_back(0),
        }
        self.listed.stands(self.status());
    }

    /// Ends the session: what its transaction did is taken back.
    pub async fn close(mut self) {
        if let Some(open) = self.open.take() {
            self.undo(open).await;
        }
        if let Err(error) = self.drop_temporary().await {
            tracing::warn!(%error, "temporary tables stay until their schema is used again");
        }
    }

    /// Forgets a transaction that a door has begun and in which nothing was done: the next statement commits by itself.
    pub(crate) fn forget_prepared(&mut self) {
        if let Some(open) = self.open.take() {
            self.settings_mut().restore(open.settings);
        }
    }

    /// Remembers a setting's value, to be put back at the end of the transaction.
    pub(crate) fn keep_until_end(&mut self, setting: &str) {
        let value = self.settings().get(setting).ok();
        if let Some(open) = &mut self.open {
            open.local.push((setting.to_owned(), value));
        }
    }

    fn explicit(&mut self, statement: &str) -> Result<&mut Open> {
        match &mut self.open {
            Some(open) if open.origin == Origin::Explicit => Ok(open),
            Some(_) | None => {
                let message = format!("{statement} can only be used in transaction blocks");
                Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message))
            }
        }
    }

    /// Refuses `AND CHAIN` where there is nothing to chain to; otherwise tells the modes to go on with.
    pub(crate) fn chained(&mut self, statement: &str) -> Result<Modes> {
        self.explicit(&format!("{statement} AND CHAIN"))?;
        let isolation = self.settings().get(ISOLATION)?;
        let isolation = crate::settings::ISOLATION.iter().copied().find(|known| *known == isolation);
        Ok(Modes { isolation, read_only: Some(self.settings().get(READ_ONLY)? == "on") })
    }

    pub(crate) async fn savepoint(&mut self, name: String) -> Result<()> {
        let (settings, first_cursor) = (self.settings().clone(), self.cursors.next_number());
        let said = self.listener.outbox.said();
        let open = self.explicit("SAVEPOINT")?;
        let block = open.block.lock().await.as_ref().map(Block::savepoint);
        let block = block.ok_or_else(|| Error::internal("the transaction has ended already"))?;
        let local = open.local.len();
        open.savepoints.push(Point { name, block, settings, first_cursor, said, local });
        Ok(())
    }

    /// `RELEASE SAVEPOINT`: the savepoint and those after it are gone; what was done since stays.
    pub(crate) fn release(&mut self, name: &str) -> Result<()> {
        let open = self.explicit("RELEASE SAVEPOINT")?;
        let place = place_of(&open.savepoints, name)?;
        open.savepoints.truncate(place);
        Ok(())
    }

    /// `ROLLBACK TO SAVEPOINT`: what was done since is gone, an error too; the savepoint stays.
    pub(crate) async fn roll_back_to(&mut self, name: &str) -> Result<()> {
        let catalog = Arc::clone(self.engine().catalog());
        let open = self.explicit("ROLLBACK TO SAVEPOINT")?;
        let place = place_of(&open.savepoints, name)?;
        open.savepoints.truncate(place + 1);
        let Some(point) = open.savepoints.last() else {
            return Err(Error::internal("a savepoint is gone"));
        };
        if let Some(block) = open.block.lock().await.as_mut() {
            catalog.roll_back_to(block, &point.block).await;
        }
        open.local.truncate(point.local);
        open.failed = false;
        let (settings, first_cursor, said) = (point.settings.clone(), point.first_cursor, point.said);
        self.settings_mut().restore(settings);
        self.cursors.forget_from(first_cursor);
        self.listener.outbox.take_back(said);
        Ok(())
    }
}

/// A session that is dropped, because its client went away in the middle of a statement, ends in the background.
impl Drop for Session {
    fn drop(&mut self) {
        let (Some(open), Ok(runtime)) = (self.open.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let catalog = Arc::clone(self.engine().catalog());
        runtime.spawn(async move {
            if let Some(block) = open.block.lock().await.take() {
                catalog.roll_back(block).await;
            }
        });
    }
}

/// The newest savepoint of a name hides older ones.
fn place_of(savepoints: &[Point], name: &str) -> Result<usize> {
    savepoints.iter().rposition(|point| point.name == name).ok_or_else(|| {
        let message = format!("savepoint \"{name}\" does not exist");
        Error::new(SqlState::INVALID_SAVEPOINT, message)
    })
}
