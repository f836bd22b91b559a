//! Taking turns. A statement that has lost its race too often takes the turn of its table and is done again in it: for so
//! long the commits of all others to that table wait, so that nothing comes between what it reads and its own commit.
//! Turns are given in the order in which they were asked for, and the commits that wait come between two turns, so that
//! each waits for one. Both have a limit, so that nobody waits for ever for somebody who is slow.
//!
//! ```text
//! commit A ── pass ───┐                          in this order, and never the other way round:
//!                     v                            turn or passes (in the order of the tables' ids)
//! turn 1 ──────────── waits ── reads, commits ─┐     -> latches (in the same order) -> a place in the group
//! commit B ── pass ─────────── waits ──────────┴──> commits ─┐
//! turn 2 ───────────────────── waits ─────────────────────── v ── reads, commits
//! ```
//!
//! A turn only spares work, as a latch does: whoever stops waiting goes on, and the decision finds the conflict. It must
//! never be waited for by somebody who holds a latch.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::by_table::ByTable;
use crate::id::RelationId;

/// A statement that takes longer goes on without its turn.
const TURN_MAX: Duration = Duration::from_secs(5);
/// A commit that has waited so long for the turns before it goes on.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The turns that somebody has or waits for.
#[derive(Debug)]
pub struct Turns {
    queues: ByTable<Mutex<()>>,
    tables: ByTable<RwLock<()>>,
    turn_max: Duration,
    wait_max: Duration,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns {
            queues: ByTable::default(),
            tables: ByTable::default(),
            turn_max: TURN_MAX,
            wait_max: WAIT_MAX,
        }
    }
}

/// The right to be the only one who commits to a table, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    max: Duration,
    // Let go of first, so that the commits that wait are before the next turn.
    _alone: OwnedRwLockWriteGuard<()>,
    _queue: OwnedMutexGuard<()>,
}

/// What a commit holds while nobody has the turn of its table.
pub type Pass = OwnedRwLockReadGuard<()>;

impl Turns {
    /// Waits for the commits that are under way and for the turns asked for before.
    pub async fn take(&self, relation: RelationId) -> Turn {
        let queue = self.queues.of(relation).lock_owned().await;
        Turn { max: self.turn_max, _alone: self.tables.of(relation).write_owned().await, _queue: queue }
    }

    /// Waits until none of these tables is in somebody's turn, or for long enough.
    pub async fn pass(&self, relations: &BTreeSet<RelationId>) -> Vec<Pass> {
        let mut passes = Vec::with_capacity(relations.len());
        let end = tokio::time::Instant::now() + self.wait_max;
        for relation in relations {
            let pass = self.tables.of(*relation).read_owned();
            passes.extend(tokio::time::timeout_at(end, pass).await);
        }
        passes
    }
}

impl Turn {
    /// Does something in this turn, which ends with it, or before if it takes too long.
    pub async fn during<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = tokio::time::sleep(self.max) => drop(self),
        }
        work.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const TABLE: RelationId = RelationId(7);

    async fn settle() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn turns_come_in_the_order_of_asking_and_commits_between_them() {
        let (turns, order) = (Arc::new(Turns::default()), Arc::new(parking_lot::Mutex::new(Vec::new())));
        let first = turns.pass(&[TABLE].into()).await;
        let mut asked = Vec::new();
        for (name, alone) in [("turn 1", true), ("commit 2", false), ("turn 3", true), ("commit 4", false)] {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            asked.push(tokio::spawn(async move {
                if alone {
                    turns.take(TABLE).await.during(async { order.lock().push(name) }).await;
                } else {
                    let _pass = turns.pass(&[TABLE].into()).await;
                    order.lock().push(name);
                }
            }));
            settle().await;
        }
        assert!(order.lock().is_empty(), "the first commit is still under way");
        drop(first);
        for task in asked {
            task.await.expect("no panic");
        }
        assert_eq!(*order.lock(), ["turn 1", "commit 2", "commit 4", "turn 3"]);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let [turn_max, wait_max] = [30, 60].map(Duration::from_millis);
        let turns = Arc::new(Turns { turn_max, wait_max, ..Turns::default() });
        let slow = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.take(TABLE).await.during(std::future::pending::<()>()).await })
        };
        settle().await;
        assert_eq!(turns.pass(&[TABLE].into()).await.len(), 1, "the slow one has lost its turn");
        slow.abort();
        let _stuck = turns.take(TABLE).await;
        let other = RelationId(8);
        assert_eq!(turns.pass(&[TABLE, other].into()).await.len(), 1, "it goes on without the pass");
    }
}
