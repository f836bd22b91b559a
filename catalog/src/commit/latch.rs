//! One latch per table, so that two commits to a table do not both build on the same version of it. A latch only spares
//! work: correctness rests on the decision, which compares pointers. It must never be held by anything but a commit.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::id::RelationId;

/// Released when it is dropped.
pub type Latch = OwnedMutexGuard<()>;

/// The latches that somebody holds or waits for.
#[derive(Debug, Default)]
pub struct Latches(Mutex<HashMap<RelationId, Weak<tokio::sync::Mutex<()>>>>);

impl Latches {
    /// Takes the latches of all these tables, in the order of their ids so that two commits cannot wait for each other.
    pub async fn lock(&self, relations: &BTreeSet<RelationId>) -> Vec<Latch> {
        let mut held = Vec::with_capacity(relations.len());
        for relation in relations {
            let latch = self.latch(*relation);
            held.push(latch.lock_owned().await);
        }
        held
    }

    fn latch(&self, relation: RelationId) -> Arc<tokio::sync::Mutex<()>> {
        let mut latches = self.0.lock();
        if let Some(latch) = latches.get(&relation).and_then(Weak::upgrade) {
            return latch;
        }
        if latches.len() == latches.capacity() {
            latches.retain(|_, latch| latch.strong_count() > 0);
        }
        let latch = Arc::new(tokio::sync::Mutex::new(()));
        latches.insert(relation, Arc::downgrade(&latch));
        latch
    }
}
