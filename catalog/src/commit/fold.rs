//! Appends to one table that would wait for each other become one snapshot: a commit that finds the table's latch taken
//! leaves its files in a queue, and whoever gets the latch next commits them all at once. Many writers to one table then
//! cost as many manifest lists and metadata files as there are turns, not as there are writers.
//!
//! ```text
//! append ─┐          ┌─ one snapshot, one batch ─> an answer to each
//! append ─┼─> queue ─┤
//! append ─┘          └─ refused? then each by itself, so that only the guilty one fails
//! ```
//!
//! It must never fold what could meet a conflict: only appends always hold.

use std::collections::{HashMap, VecDeque};

use iceberg::spec::TableMetadata;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::group::again;
use super::{Parts, commit_alone, commit_holding};
use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::{Operation, TableWrite, Target};
use crate::id::{CommitSequence, RelationId};
use crate::transaction::{Planned, Transaction};

/// Appends that become one snapshot; more would make the first wait for the last.
const FOLDED_MAX: usize = 256;

/// Appends that wait for their table's latch.
#[derive(Debug, Default)]
pub struct Folds(Mutex<HashMap<RelationId, VecDeque<Waiting>>>);

#[derive(Debug)]
struct Waiting {
    transaction: Transaction,
    answer: oneshot::Sender<Result<CommitSequence>>,
}

/// Makes a transaction's changes, with those of others if they and it only append to one table.
pub async fn commit(parts: &Parts, transaction: Transaction) -> Result<CommitSequence> {
    let Some(relation) = append_of(&transaction).map(|write| write.relation) else {
        return commit_alone(parts, transaction).await;
    };
    // Dropped after the receiver, so that it finds the answer that nobody waits for.
    let _forget = Forget { folds: &parts.folds, relation };
    let (answer, mut answered) = oneshot::channel();
    parts.folds.push(relation, Waiting { transaction, answer });
    let table = [relation].into();
    let latches = tokio::select! {
        biased;
        answer = &mut answered => return received(answer),
        latches = parts.latches.lock(&table) => latches,
    };
    let (transactions, answers) = parts.folds.take(relation);
    if transactions.is_empty() {
        // Somebody has taken this one in the meantime, and may need the latch to make it.
        drop(latches);
    } else {
        let folded = commit_holding(parts, fold(&transactions), Some(latches)).await;
        answer_all(parts, transactions, answers, folded).await;
    }
    received(answered.await)
}

async fn answer_all(
    parts: &Parts,
    transactions: Vec<Transaction>,
    answers: Vec<oneshot::Sender<Result<CommitSequence>>>,
    folded: Result<CommitSequence>,
) {
    let is_certain = folded.as_ref().is_err_and(|error| error.kind != ErrorKind::OutcomeUnknown);
    let apart = is_certain && transactions.len() > 1;
    for (transaction, answer) in transactions.into_iter().zip(answers) {
        let result = match &folded {
            Ok(sequence) => Ok(*sequence),
            Err(_) if apart => commit_alone(parts, transaction).await,
            Err(error) => Err(again(error)),
        };
        // Nobody listens to a caller that was cancelled; the commit stands all the same.
        drop(answer.send(result));
    }
}

fn received(
    answer: std::result::Result<Result<CommitSequence>, oneshot::error::RecvError>,
) -> Result<CommitSequence> {
    answer.unwrap_or_else(|_| {
        let text = "the outcome of the commit is unknown";
        Err(Error::new(ErrorKind::OutcomeUnknown, text)
            .with_detail("The commit that it was made part of was cut short."))
    })
}

/// The append that is all of a transaction.
fn append_of(transaction: &Transaction) -> Option<&TableWrite> {
    let [Planned { write, snapshot_id: None }] = transaction.writes.as_slice() else { return None };
    let only_finishes = transaction.changes.iter().all(|change| matches!(change, Change::FinishWrite(_)));
    let appends = matches!(write.operation, Operation::Append) && read_of(write).is_some();
    (appends && only_finishes && transaction.reads.is_empty()).then_some(write)
}

fn read_of(write: &TableWrite) -> Option<&TableMetadata> {
    match &write.target {
        Target::Existing { base } => Some(&base.metadata),
        Target::New(_) | Target::Replace { .. } => None,
    }
}

/// Whether the files of two transactions fit into one manifest, and their changes into one entry of the log.
fn fit(one: &Transaction, other: &Transaction) -> bool {
    let key = |transaction: &Transaction| {
        let write = append_of(transaction)?;
        let metadata = read_of(write)?;
        let made_for = (metadata.uuid(), metadata.current_schema_id(), metadata.default_partition_spec_id());
        Some((transaction.principal, write.branch.clone(), made_for))
    };
    key(one) == key(other)
}

/// One transaction for all: on the oldest version that one of them read, so that it assumes no more than each did.
fn fold(transactions: &[Transaction]) -> Transaction {
    let oldest = transactions.iter().min_by_key(|transaction| transaction.reader().sequence());
    let mut folded = oldest.unwrap_or(&transactions[0]).clone();
    let mut added = Vec::new();
    folded.changes.clear();
    folded.unchanged.clear();
    for transaction in transactions {
        for Planned { write, .. } in &transaction.writes {
            added.extend(write.added.iter().cloned());
            let finished = [Change::FinishWrite(write.write)];
            for change in transaction.changes.iter().chain(&finished) {
                if !folded.changes.contains(change) {
                    folded.changes.push(change.clone());
                }
            }
        }
        folded.unchanged.extend(transaction.unchanged.iter().copied());
    }
    if let Some(planned) = folded.writes.first_mut() {
        planned.write.added = added;
    }
    folded
}

impl Folds {
    fn push(&self, relation: RelationId, waiting: Waiting) {
        self.0.lock().entry(relation).or_default().push_back(waiting);
    }

    /// The first that waits, and those that go with it.
    fn take(&self, relation: RelationId) -> (Vec<Transaction>, Vec<oneshot::Sender<Result<CommitSequence>>>) {
        let mut folds = self.0.lock();
        let Some(queue) = folds.get_mut(&relation) else { return Default::default() };
        let (mut taken, mut answers, mut left) = (Vec::new(), Vec::new(), VecDeque::new());
        for waiting in queue.drain(..) {
            let goes = taken.len() < FOLDED_MAX
                && taken.first().is_none_or(|first| fit(first, &waiting.transaction));
            if goes {
                taken.push(waiting.transaction);
                answers.push(waiting.answer);
            } else {
                left.push_back(waiting);
            }
        }
        if left.is_empty() {
            folds.remove(&relation);
        } else {
            *queue = left;
        }
        (taken, answers)
    }
}

/// Takes a transaction out of the queue when its caller stops waiting.
struct Forget<'a> {
    folds: &'a Folds,
    relation: RelationId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut folds = self.folds.0.lock();
        if let Some(queue) = folds.get_mut(&self.relation) {
            queue.retain(|waiting| !waiting.answer.is_closed());
            if queue.is_empty() {
                folds.remove(&self.relation);
            }
        }
    }
}
