//! A store with rows laid over it that nobody else sees: what a transaction of several statements has made so far, or the
//! commits of a batch before it is written. It must never write to the store below. Reads over `rows` cost one look
//! at them each; a clone shares them until one of the two adds more.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::id::CommitSequence;
use crate::store::{Batch, Head, Row, Space, Store, Versioned};

/// A row over the store's own: its value, none where it is deleted, and the commit it is said to be of.
type Laid = (Option<Bytes>, CommitSequence);

/// Rows over a store.
#[derive(Debug, Clone)]
pub struct Overlay {
    below: Arc<dyn Store>,
    rows: Arc<BTreeMap<(Space, Vec<u8>), Laid>>,
}

impl Overlay {
    pub fn new(below: Arc<dyn Store>) -> Overlay {
        Overlay { below, rows: Arc::default() }
    }

    /// Lays rows over the store, as of the commit that they belong or would belong to.
    pub fn lay(&mut self, writes: BTreeMap<(Space, Vec<u8>), Option<Bytes>>, at: CommitSequence) {
        let rows = Arc::make_mut(&mut self.rows);
        rows.extend(writes.into_iter().map(|(key, value)| (key, (value, at))));
    }

    /// Whether a row is laid over the store's, or over where it has none.
    pub fn covers(&self, space: Space, key: &[u8]) -> bool {
        self.rows.contains_key(&(space, key.to_vec()))
    }
}

impl Store for Overlay {
    fn head(&self) -> Head {
        self.below.head()
    }

    fn get(&self, space: Space, key: &[u8], at: CommitSequence) -> Result<Option<Versioned>> {
        match self.rows.get(&(space, key.to_vec())) {
            Some((value, written_at)) => {
                Ok(value.clone().map(|value| Versioned { value, written_at: *written_at }))
            }
            None => self.below.get(space, key, at),
        }
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        at: CommitSequence,
    ) -> Result<Vec<Row>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded((space, after.to_vec())),
            _ => Bound::Included((space, prefix.to_vec())),
        };
        let ours: Vec<_> = self
            .rows
            .range((from, Bound::Unbounded))
            .take_while(|((of, key), _)| *of == space && key.starts_with(prefix))
            .collect();
        // Each of our rows may take one away from what the store has.
        let enough = limit.saturating_add(ours.len());
        let mut rows: BTreeMap<Vec<u8>, Versioned> =
            self.below.scan(space, prefix, after, enough, at)?.into_iter().collect();
        for ((_, key), (value, written_at)) in ours {
            match value.clone() {
                Some(value) => rows.insert(key.clone(), Versioned { value, written_at: *written_at }),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    fn apply(&self, _batch: Batch) -> Result<()> {
        Err(Error::internal("rows laid over the catalog's store are written by a commit only"))
    }
}
