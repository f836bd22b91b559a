//! How a transaction becomes true: gather (write the new metadata files, read what the decision needs), decide (a pure
//! function), write (one synced batch). Read `commit/gather.rs`, `commit/decide.rs` and `commit/group.rs` in this order;
//! `commit/fold.rs` comes first, where several appends are one transaction;
//! `commit/stage.rs` is what happens before, statement by statement, in a transaction of several; `commit/turn.rs` lets
//! whoever has lost too often come next.
//! It must never run a query.

mod answer;
mod by_table;
mod decide;
mod facts;
mod fold;
mod gather;
mod group;
mod intent;
mod latch;
mod look;
mod reads;
mod stage;
mod turn;
mod upkeep;

use std::sync::Arc;

pub use answer::{Answer, Answered};
pub(crate) use fold::{Folds, commit};
pub(crate) use gather::{tables, unused};
pub(crate) use group::{Committer, Prepared, Work};
pub(crate) use intent::{IntentChange, WriteIntent};
use latch::Latch;
pub(crate) use latch::Latches;
pub(crate) use stage::stage;
pub use turn::Turn;
pub(crate) use turn::Turns;
pub(crate) use upkeep::UpkeepChange;
pub use upkeep::{Discard, UpkeepRecord};

use crate::change::Change;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::held::Held;
use crate::iceberg::Operation;
use crate::id::CommitSequence;
use crate::pins::Pins;
use crate::reader::{Reader, remember};
use crate::storage::Storage;
use crate::store::Store;
use crate::transaction::Transaction;

/// What a commit works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) latches: Latches,
    pub(crate) turns: Turns,
    pub(crate) folds: Folds,
    pub(crate) committer: Arc<Committer>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) held: Arc<Held>,
}

impl Parts {
    pub(crate) fn reader(&self) -> Reader {
        self.reader_at(CommitSequence(u64::MAX))
    }

    /// The catalog as it was after a commit; as it is now if there was no such commit yet.
    pub(crate) fn reader_at(&self, sequence: CommitSequence) -> Reader {
        let pin = self.pins.pin(|| sequence.min(self.store.head().sequence));
        Reader::new(self.store.clone(), self.storage.clone(), pin)
    }
}

/// Makes a transaction's changes, all or none of them. An error of kind `OutcomeUnknown` says that it may have happened;
/// every other error says that it did not, and leaves none of the files that were written here.
async fn commit_alone(parts: &Parts, transaction: Transaction) -> Result<CommitSequence> {
    commit_holding(parts, transaction, None).await
}

/// The same under the latches of its tables, if they are held already.
async fn commit_holding(
    parts: &Parts,
    transaction: Transaction,
    latches: Option<Vec<Latch>>,
) -> Result<CommitSequence> {
    let mut produced = gather::Produced::default();
    let result = try_commit(parts, transaction, latches, &mut produced).await;
    match &result {
        Ok(_) => {
            for (location, metadata, json_bytes) in produced.parsed {
                remember(&parts.storage, &location, metadata, json_bytes);
            }
        }
        Err(error) if error.kind == ErrorKind::OutcomeUnknown => {}
        Err(_) => produced.delete(&parts.storage).await,
    }
    result
}

async fn try_commit(
    parts: &Parts,
    mut transaction: Transaction,
    latches: Option<Vec<Latch>>,
    produced: &mut gather::Produced,
) -> Result<CommitSequence> {
    let latches = match latches {
        Some(latches) => latches,
        None => parts.latches.lock(&gather::tables(&transaction)).await,
    };
    // Taken under the latches: nobody moves these tables until the answer is there.
    let reader = parts.reader();
    give_way(parts, &transaction)?;
    reads::check(&transaction, &reader).await?;
    let moves = gather::produce_writes(parts, &reader, &transaction, produced).await?;
    let base = transaction.reader().sequence();
    let unused = gather::unused(&transaction);
    let mut changes = std::mem::take(&mut transaction.changes);
    changes.retain(|change| !matches!(change, Change::FinishWrite(write) if unused.contains(write)));
    changes.extend(moves);
    let prepared =
        Prepared { principal: transaction.principal, base, changes, unchanged: transaction.unchanged };
    parts.committer.submit(Work::Commit(prepared), latches).await
}

/// Compaction must not move rows that an open transaction has named.
fn give_way(parts: &Parts, transaction: &Transaction) -> Result<()> {
    for write in transaction.table_writes() {
        let Operation::Rewrite(rewrite) = &write.operation else { continue };
        if rewrite.removed.iter().any(|file| parts.held.contains(file)) {
            let message = format!("files of table {} are in use by an open transaction", write.name);
            return Err(Error::new(ErrorKind::Conflict, message).with_hint("Try again when it has ended."));
        }
    }
    Ok(())
}
