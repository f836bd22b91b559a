//! Advisory locks (`pg_advisory_lock` and its kin): numbers that sessions of this process lock for themselves or share, and
//! that mean what applications agree on. A lock belongs to a session until it is given back as often as it was taken, or to
//! a transaction until that ends. Who waits gets its turn in the order of asking. Nothing of it outlives the process, and
//! nothing of it protects rows. Next: `functions/advisory.rs`, which calls it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// Different locks of one session. They cost memory of the server, so there is an end to them.
const LOCKS_MAX: usize = 65_536;

/// What is locked: one number of 64 bits, or two of 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockKey {
    /// `pg_locks.classid`: the upper half, or the first number.
    pub class: u32,
    /// `pg_locks.objid`: the lower half, or the second number.
    pub object: u32,
    /// `pg_locks.objsubid`: 1 for one number, 2 for two.
    pub kind: i32,
}

impl LockKey {
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)] // the bits are what is meant
    pub fn one(number: i64) -> LockKey {
        LockKey { class: (number >> 32) as u32, object: number as u32, kind: 1 }
    }

    #[allow(clippy::cast_sign_loss)] // the bits are what is meant
    pub fn two(first: i32, second: i32) -> LockKey {
        LockKey { class: first as u32, object: second as u32, kind: 2 }
    }
}

/// How and for how long a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockMode {
    pub shared: bool,
    /// Until the transaction ends.
    pub transaction: bool,
}

/// One entry of `pg_locks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRow {
    pub key: LockKey,
    pub session: i32,
    pub shared: bool,
    pub granted: bool,
}

/// The locks of all sessions.
#[derive(Debug, Default)]
pub(crate) struct AdvisoryLocks {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    held: HashMap<LockKey, Vec<Held>>,
    /// In the order of asking.
    waiting: Vec<Waiting>,
    next_ticket: u64,
}

/// How often one session has a lock in one strength.
#[derive(Debug)]
struct Held {
    session: i32,
    shared: bool,
    by_session: u32,
    by_transaction: u32,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    session: i32,
    key: LockKey,
    shared: bool,
}

impl Table {
    /// Whether a session may have a lock now. One that has it already does not wait behind others.
    fn is_free(&self, key: LockKey, session: i32, shared: bool, ticket: Option<u64>) -> bool {
        let held = self.held.get(&key).map(Vec::as_slice).unwrap_or_default();
        if held.iter().any(|held| held.session != session && !(held.shared && shared)) {
            return false;
        }
        let own = held.iter().any(|held| held.session == session);
        own || !self.waiting.iter().any(|waiting| {
            waiting.key == key
                && waiting.session != session
                && ticket.is_none_or(|ticket| waiting.ticket < ticket)
                && !(waiting.shared && shared)
        })
    }

    fn take(&mut self, key: LockKey, session: i32, mode: LockMode) {
        let held = self.held.entry(key).or_default();
        let place = held.iter().position(|held| held.session == session && held.shared == mode.shared);
        let place = place.unwrap_or_else(|| {
            held.push(Held { session, shared: mode.shared, by_session: 0, by_transaction: 0 });
            held.len() - 1
        });
        let held = &mut held[place];
        let count = if mode.transaction { &mut held.by_transaction } else { &mut held.by_session };
        *count = count.saturating_add(1);
    }

    /// The sessions that have what somebody waits for.
    fn blockers(&self, session: i32) -> Vec<i32> {
        let wanted = self.waiting.iter().filter(|waiting| waiting.session == session);
        let holders = wanted.flat_map(|waiting| {
            let held = self.held.get(&waiting.key).map(Vec::as_slice).unwrap_or_default();
            let in_the_way = |held: &&Held| held.session != session && !(held.shared && waiting.shared);
            held.iter().filter(in_the_way).map(|held| held.session)
        });
        holders.collect()
    }

    /// Whether a session waits for itself in the end.
    fn is_deadlocked(&self, session: i32) -> bool {
        let (mut seen, mut next) = (Vec::new(), self.blockers(session));
        while let Some(other) = next.pop() {
            if other == session {
                return true;
            }
            if !seen.contains(&other) {
                seen.push(other);
                next.extend(self.blockers(other));
            }
        }
        false
    }

    /// Changes the counts of a session's locks; those without any are gone.
    fn release(&mut self, session: i32, change: impl Fn(&mut Held)) {
        self.held.retain(|_, held| {
            held.iter_mut().filter(|held| held.session == session).for_each(&change);
            held.retain(|held| held.by_session + held.by_transaction > 0);
            !held.is_empty()
        });
    }
}

/// One session's hand on the locks; all of its clones are the same session.
#[derive(Debug, Clone)]
pub struct LockOwner {
    locks: Arc<AdvisoryLocks>,
    session: i32,
    /// None waits for ever.
    pub(crate) timeout: Option<Duration>,
}

impl LockOwner {
    pub(crate) fn new(locks: Arc<AdvisoryLocks>, session: i32) -> LockOwner {
        LockOwner { locks, session, timeout: None }
    }

    /// Takes a lock if nobody is in the way.
    ///
    /// # Errors
    ///
    /// 53200 when the session has too many.
    pub(crate) fn try_lock(&self, key: LockKey, mode: LockMode) -> Result<bool> {
        let mut table = self.locks.table.lock();
        self.check_room(&table)?;
        let free = table.is_free(key, self.session, mode.shared, None);
        if free {
            table.take(key, self.session, mode);
        }
        Ok(free)
    }

    /// Takes a lock, and waits for it if need be. Who is not polled any more does not wait any more.
    ///
    /// # Errors
    ///
    /// 40P01 when the session would wait for itself, 55P03 after `lock_timeout`, 53200 when it has too many.
    pub(crate) async fn lock(&self, key: LockKey, mode: LockMode) -> Result<()> {
        let Some(queued) = self.queue(key, mode)? else { return Ok(()) };
        let granted = async {
            loop {
                let changed = self.locks.changed.notified();
                tokio::pin!(changed);
                // Whoever gives a lock back from here on is heard.
                changed.as_mut().enable();
                if self.is_granted(&queued, mode) {
                    return;
                }
                changed.await;
            }
        };
        let Some(timeout) = self.timeout else {
            granted.await;
            return Ok(());
        };
        tokio::time::timeout(timeout, granted).await.map_err(|_| {
            Error::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
                .with_hint("SET lock_timeout to a longer time, or to 0 for no limit.")
        })
    }

    /// A place among those who wait; None when the lock was free and is taken.
    fn queue(&self, key: LockKey, mode: LockMode) -> Result<Option<Queued>> {
        let mut table = self.locks.table.lock();
        self.check_room(&table)?;
        if table.is_free(key, self.session, mode.shared, None) {
            table.take(key, self.session, mode);
            return Ok(None);
        }
        let ticket = table.next_ticket;
        table.next_ticket += 1;
        table.waiting.push(Waiting { ticket, session: self.session, key, shared: mode.shared });
        let deadlocked = table.is_deadlocked(self.session);
        drop(table);
        let queued = Queued { locks: Arc::clone(&self.locks), key, ticket };
        if deadlocked {
            return Err(Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
                .with_detail("Each of several sessions waits for an advisory lock that another one has.")
                .with_hint("Take locks in the same order everywhere."));
        }
        Ok(Some(queued))
    }

    fn is_granted(&self, queued: &Queued, mode: LockMode) -> bool {
        let mut table = self.locks.table.lock();
        let free = table.is_free(queued.key, self.session, mode.shared, Some(queued.ticket));
        if free {
            table.take(queued.key, self.session, mode);
        }
        free
    }

    fn check_room(&self, table: &Table) -> Result<()> {
        // Only a table that is large as a whole is looked through.
        if table.held.len() < LOCKS_MAX {
            return Ok(());
        }
        let own = table.held.values().flatten().filter(|held| held.session == self.session).count();
        if own < LOCKS_MAX {
            return Ok(());
        }
        Err(Error::new(SqlState::OUT_OF_MEMORY, "too many advisory locks")
            .with_detail(format!("A session may have {LOCKS_MAX}.")))
    }

    /// Gives back a lock that the session has taken for itself, once; whether it had it.
    pub(crate) fn unlock(&self, key: LockKey, shared: bool) -> bool {
        let mut table = self.locks.table.lock();
        let held = table.held.get_mut(&key).and_then(|held| {
            held.iter_mut()
                .find(|held| held.session == self.session && held.shared == shared && held.by_session > 0)
        });
        let Some(held) = held else { return false };
        held.by_session -= 1;
        table.release(self.session, |_| {});
        drop(table);
        self.locks.changed.notify_waiters();
        true
    }

    /// Gives back what the session has taken for itself.
    pub(crate) fn unlock_all(&self) {
        self.release(|held| held.by_session = 0);
    }

    /// Gives back what the transaction has taken.
    pub(crate) fn end_transaction(&self) {
        self.release(|held| held.by_transaction = 0);
    }

    /// Gives back everything.
    pub(crate) fn end_session(&self) {
        self.release(|held| (held.by_session, held.by_transaction) = (0, 0));
    }

    fn release(&self, change: impl Fn(&mut Held)) {
        let mut table = self.locks.table.lock();
        if table.held.is_empty() {
            return;
        }
        table.release(self.session, change);
        drop(table);
        self.locks.changed.notify_waiters();
    }

    /// All locks of all sessions, and who waits for them.
    pub fn rows(&self) -> Vec<LockRow> {
        let table = self.locks.table.lock();
        let held = table.held.iter().flat_map(|(key, held)| {
            let row = |held: &Held| LockRow {
                key: *key,
                session: held.session,
                shared: held.shared,
                granted: true,
            };
            held.iter().map(row)
        });
        let waiting = table.waiting.iter().map(|waiting| LockRow {
            key: waiting.key,
            session: waiting.session,
            shared: waiting.shared,
            granted: false,
        });
        let mut rows: Vec<LockRow> = held.chain(waiting).collect();
        rows.sort_by_key(|row| (row.key, !row.granted, row.session));
        rows
    }
}

/// A place among those who wait, given up when it is dropped.
struct Queued {
    locks: Arc<AdvisoryLocks>,
    key: LockKey,
    ticket: u64,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.locks.table.lock().waiting.retain(|waiting| waiting.ticket != self.ticket);
        self.locks.changed.notify_waiters();
    }
}

/// Gives back what a statement that is a transaction by itself has taken, when it is dropped.
#[derive(Debug)]
pub(crate) struct EndOfStatement(pub LockOwner);

impl Drop for EndOfStatement {
    fn drop(&mut self) {
        self.0.end_transaction();
    }
}

/// A session's locks, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct SessionLocks(pub LockOwner);

impl Drop for SessionLocks {
    fn drop(&mut self) {
        self.0.end_session();
    }
}

#[cfg(test)]
#[path = "advisory_tests.rs"]
mod tests;
