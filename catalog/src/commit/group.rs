//! Group commit: commits that arrive while a batch is being synced wait in a queue and share the next one, so that the
//! disk is asked once for all of them. Whoever finds nobody leading leads, on a thread that may block.
//!
//! ```text
//! commit ─┐                         ┌─ decide 1 ─ decide 2 ─ decide 3 ─┐
//! commit ─┼─> queue ─> leader takes ┤  (each sees the ones before it)  ├─ one synced batch ─> an answer to each
//! commit ─┘                         └──────────────────────────────────┘
//! ```
//!
//! It must never wait for an object store.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::decide::{self, Moment};
use super::facts::{Facts, Lookup};
use super::intent::{self, IntentChange};
use super::latch::Latch;
use super::look::look;
use super::upkeep::{self, UpkeepChange};
use crate::change::Change;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CommitSequence, RoleId};
use crate::object::Securable;
use crate::store::{Batch, Head, LogEntry, LogRow, Overlay, Space, Store, Write, keys};
use crate::transaction::Ids;

/// Commits that share a batch; more would make the first wait for the last.
const GROUP_COMMITS_MAX: usize = 512;

/// A transaction with everything known that can be known before its turn.
#[derive(Debug)]
pub struct Prepared {
    pub principal: RoleId,
    pub base: CommitSequence,
    pub changes: Vec<Change>,
    pub unchanged: Vec<Securable>,
}

#[derive(Debug)]
pub enum Work {
    Commit(Prepared),
    Intent(IntentChange),
    Upkeep(UpkeepChange),
}

struct Job {
    work: Work,
    /// Held until the answer is known, even if nobody waits for it any more.
    _latches: Vec<Latch>,
    answer: oneshot::Sender<Result<CommitSequence>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    led: bool,
}

/// Writes commits, in groups, one group at a time.
pub struct Committer {
    store: Arc<dyn Store>,
    env: Arc<dyn Env>,
    ids: Arc<Ids>,
    queue: Mutex<Queue>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Committer {
    pub fn new(store: Arc<dyn Store>, env: Arc<dyn Env>, ids: Arc<Ids>) -> Arc<Committer> {
        Arc::new(Committer { store, env, ids, queue: Mutex::default() })
    }

    /// Waits for its turn and for the disk. The work is done even if the caller stops waiting.
    pub async fn submit(self: &Arc<Self>, work: Work, latches: Vec<Latch>) -> Result<CommitSequence> {
        let (answer, answered) = oneshot::channel();
        let lead = {
            let mut queue = self.queue.lock();
            queue.jobs.push_back(Job { work, _latches: latches, answer });
            !std::mem::replace(&mut queue.led, true)
        };
        if lead {
            let committer = self.clone();
            tokio::task::spawn_blocking(move || committer.lead());
        }
        answered.await.unwrap_or_else(|_| Err(unknown("The server is stopping or met an error of its own.")))
    }

    /// Makes one commit on this thread, before anybody else can: for the first commit of a new catalog.
    pub fn submit_alone(&self, prepared: Prepared) -> Result<CommitSequence> {
        let mut group = Group::new(&self.store);
        let sequence = self.decide(&mut group, Work::Commit(prepared))?;
        self.store.apply(group.into_batch())?;
        Ok(sequence)
    }

    /// Works off the queue until it is empty.
    fn lead(&self) {
        loop {
            let jobs: Vec<Job> = {
                let mut queue = self.queue.lock();
                let count = queue.jobs.len().min(GROUP_COMMITS_MAX);
                if count == 0 {
                    queue.led = false;
                    return;
                }
                queue.jobs.drain(..count).collect()
            };
            // A panic drops the answers of this group, which says that their outcome is unknown, and leaves nothing
            // half done behind: a group exists only on this stack until the store takes it.
            let processed = catch_unwind(AssertUnwindSafe(|| self.process(jobs)));
            if processed.is_err() {
                tracing::error!("a group of commits met a bug");
            }
        }
    }

    fn process(&self, jobs: Vec<Job>) {
        let mut group = Group::new(&self.store);
        let mut decided = Vec::with_capacity(jobs.len());
        for Job { work, _latches, answer } in jobs {
            decided.push((self.decide(&mut group, work), _latches, answer));
        }
        // Refusals are answered after the write too: they may rest on a commit of the same group.
        let written = if group.is_empty() { Ok(()) } else { self.store.apply(group.into_batch()) };
        if let Err(error) = &written {
            tracing::error!(%error, detail = error.detail, "a group of commits could not be written");
        }
        for (decision, _latches, answer) in decided {
            let answered = match (&written, decision) {
                (Ok(()), decision) => decision,
                (Err(_), Err(refused)) => Err(refused),
                (Err(error), Ok(_)) => Err(again(error)),
            };
            // Nobody listens to a caller that was cancelled; the commit stands all the same.
            drop(answer.send(answered));
        }
    }

    fn decide(&self, group: &mut Group, work: Work) -> Result<CommitSequence> {
        match work {
            Work::Commit(prepared) => self.decide_commit(group, &prepared),
            Work::Intent(change) => {
                let mut facts = group.gather(intent::lookups(&change))?;
                intent::decide(&change, &mut facts)?;
                group.add(facts);
                Ok(group.head.sequence)
            }
            Work::Upkeep(change) => {
                let mut facts = Facts::default();
                upkeep::decide(&change, &mut facts)?;
                group.add(facts);
                Ok(group.head.sequence)
            }
        }
    }

    fn decide_commit(&self, group: &mut Group, prepared: &Prepared) -> Result<CommitSequence> {
        let sequence = CommitSequence(group.head.sequence.0 + 1);
        let moment = Moment { base: prepared.base, sequence };
        let mut facts = group.gather(decide::lookups(&prepared.changes, &prepared.unchanged))?;
        decide::decide(moment, &prepared.changes, &prepared.unchanged, &mut facts)?;
        let changes = prepared.changes.iter().map(Change::logged).collect::<Result<Vec<_>>>()?;
        let entry = LogEntry { sequence, at_ms: self.env.now_ms(), principal: prepared.principal, changes };
        let (row, hash) = LogRow::chain(group.head.hash, &entry)?;
        facts.set(Space::Log, keys::log(sequence), Some(row));
        group.head = Head { sequence, hash, next_id: self.ids.next() };
        group.add(facts);
        Ok(sequence)
    }
}

/// The commits of one batch: the store as it will be after them.
struct Group {
    head: Head,
    rows: Overlay,
    writes: Vec<Write>,
}

impl Group {
    fn new(store: &Arc<dyn Store>) -> Group {
        Group { head: store.head(), rows: Overlay::new(store.clone()), writes: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    fn into_batch(self) -> Batch {
        Batch { head: self.head, writes: self.writes }
    }

    fn gather(&self, lookups: Vec<Lookup>) -> Result<Facts> {
        look(&self.rows, self.head.sequence, lookups)
    }

    /// Makes what was decided part of the group.
    fn add(&mut self, facts: Facts) {
        let (decided, sequence) = (facts.into_writes(), self.head.sequence);
        let writes = decided.clone().into_iter();
        self.writes.extend(writes.map(|((space, key), value)| Write { space, key, value, sequence }));
        self.rows.lay(decided, sequence);
    }
}

fn unknown(detail: &str) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "the outcome of the commit is unknown").with_detail(detail)
}

/// The same error for another waiter.
pub fn again(error: &Error) -> Error {
    Error {
        kind: error.kind,
        message: error.message.clone(),
        detail: error.detail.clone(),
        hint: error.hint.clone(),
        source: error.source.as_ref().map(|source| source.to_string().into()),
    }
}
