//! Reads the rows that a decision asks for, from whatever store it is made over. It must never decide.

use super::facts::{Facts, Lookup};
use crate::error::Result;
use crate::id::CommitSequence;
use crate::store::Store;

/// The rows as they are at a version.
pub fn look(store: &dyn Store, at: CommitSequence, lookups: Vec<Lookup>) -> Result<Facts> {
    let mut facts = Facts::default();
    for lookup in lookups {
        match lookup {
            Lookup::Row(space, key) => {
                let row = store.get(space, &key, at)?;
                facts.add_row(space, key, row);
            }
            Lookup::Prefix(space, prefix, limit) => {
                let rows = store.scan(space, &prefix, None, limit, at)?;
                facts.add_prefix(space, prefix, rows);
            }
        }
    }
    Ok(facts)
}
