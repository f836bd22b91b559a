//! The store in memory: for tests, and the model that the RocksDB store is compared with. It is written to be
//! obviously right, not fast, and must share no code with `rocks.rs` beyond the trait.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::error::Result;
use crate::id::CommitSequence;
use crate::store::{Batch, Head, Row, Space, Store, Versioned};

/// The versions of a row, oldest first; None is a deletion.
type History = Vec<(CommitSequence, Option<Bytes>)>;

#[derive(Debug)]
struct State {
    head: Head,
    spaces: BTreeMap<Space, BTreeMap<Vec<u8>, History>>,
}

/// A catalog store that lives as long as its process.
#[derive(Debug)]
pub struct Memory(RwLock<State>);

impl Memory {
    pub fn new() -> Memory {
        Memory(RwLock::new(State { head: Head::empty(), spaces: BTreeMap::new() }))
    }
}

impl Store for Memory {
    fn head(&self) -> Head {
        self.0.read().head
    }

    fn get(&self, space: Space, key: &[u8], at: CommitSequence) -> Result<Option<Versioned>> {
        let state = self.0.read();
        let history = state.spaces.get(&space).and_then(|rows| rows.get(key));
        Ok(history.and_then(|history| version_at(history, at)))
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        at: CommitSequence,
    ) -> Result<Vec<Row>> {
        let state = self.0.read();
        let Some(rows) = state.spaces.get(&space) else { return Ok(Vec::new()) };
        Ok(rows
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after))
            .filter_map(|(key, history)| Some((key.clone(), version_at(history, at)?)))
            .take(limit)
            .collect())
    }

    fn apply(&self, batch: Batch) -> Result<()> {
        let mut state = self.0.write();
        for write in batch.writes {
            let rows = state.spaces.entry(write.space).or_default();
            if write.space.is_versioned() {
                let history = rows.entry(write.key).or_default();
                history.retain(|(sequence, _)| *sequence != write.sequence);
                history.push((write.sequence, write.value));
            } else if let Some(value) = write.value {
                rows.insert(write.key, vec![(CommitSequence(0), Some(value))]);
            } else {
                rows.remove(&write.key);
            }
        }
        state.head = batch.head;
        Ok(())
    }
}

fn version_at(history: &History, at: CommitSequence) -> Option<Versioned> {
    let (written_at, value) =
        history.iter().filter(|(sequence, _)| *sequence <= at).max_by_key(|(s, _)| *s)?;
    value.clone().map(|value| Versioned { value, written_at: *written_at })
}
