//! One latch per table, so that two commits to a table do not both build on the same version of it. A latch only spares
//! work: correctness rests on the decision, which compares pointers. It must never be held by anything but a commit.

use std::collections::BTreeSet;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::by_table::ByTable;
use crate::id::RelationId;

/// Released when it is dropped.
pub type Latch = OwnedMutexGuard<()>;

/// The latches that somebody holds or waits for.
#[derive(Debug, Default)]
pub struct Latches(ByTable<Mutex<()>>);

impl Latches {
    /// Takes the latches of all these tables, in the order of their ids so that two commits cannot wait for each other.
    pub async fn lock(&self, relations: &BTreeSet<RelationId>) -> Vec<Latch> {
        let mut held = Vec::with_capacity(relations.len());
        for relation in relations {
            held.push(self.0.of(*relation).lock_owned().await);
        }
        held
    }
}
