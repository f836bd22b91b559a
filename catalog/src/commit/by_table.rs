//! One lock per table, which is there for as long as somebody holds it or waits for it. It must never know what the lock
//! is for.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::id::RelationId;

/// The locks that somebody uses.
#[derive(Debug)]
pub struct ByTable<L>(Mutex<HashMap<RelationId, Weak<L>>>);

impl<L> Default for ByTable<L> {
    fn default() -> Self {
        ByTable(Mutex::default())
    }
}

impl<L: Default> ByTable<L> {
    pub fn of(&self, relation: RelationId) -> Arc<L> {
        let mut locks = self.0.lock();
        if let Some(lock) = locks.get(&relation).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() == locks.capacity() {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(L::default());
        locks.insert(relation, Arc::downgrade(&lock));
        lock
    }
}
