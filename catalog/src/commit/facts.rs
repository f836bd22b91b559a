//! The rows a decision rests on, gathered before it is made, and what the decision makes of them. Looking at a row that
//! was not gathered is an error, so a decision cannot forget to say what it needs. It must never read a store.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::id::CommitSequence;
use crate::store::{Row, Space, Versioned, values};

/// Rows a decision needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    Row(Space, Vec<u8>),
    /// The first rows whose keys start with the prefix; as many as the limit says.
    Prefix(Space, Vec<u8>, usize),
}

/// A row as the decision sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    pub value: Bytes,
    /// None: written by the transaction that is being decided.
    pub written_at: Option<CommitSequence>,
}

type Key = (Space, Vec<u8>);

/// The gathered rows, with the changes decided so far already made in them.
#[derive(Debug, Default)]
pub struct Facts {
    /// None: looked for, and not there.
    rows: BTreeMap<Key, Option<Fact>>,
    prefixes: Vec<Key>,
    writes: BTreeMap<Key, Option<Bytes>>,
}

impl Facts {
    pub fn add_row(&mut self, space: Space, key: Vec<u8>, row: Option<Versioned>) {
        self.rows.entry((space, key)).or_insert_with(|| row.map(fact));
    }

    pub fn add_prefix(&mut self, space: Space, prefix: Vec<u8>, rows: Vec<Row>) {
        for (key, row) in rows {
            self.rows.entry((space, key)).or_insert_with(|| Some(fact(row)));
        }
        self.prefixes.push((space, prefix));
    }

    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<&Fact>> {
        match self.rows.get(&(space, key.to_vec())) {
            Some(fact) => Ok(fact.as_ref()),
            None if self.prefixes.iter().any(|(of, prefix)| *of == space && key.starts_with(prefix)) => {
                Ok(None)
            }
            None => Err(not_gathered(space)),
        }
    }

    pub fn read<T: DeserializeOwned>(&self, space: Space, key: &[u8]) -> Result<Option<T>> {
        self.get(space, key)?.map(|fact| values::decode(&fact.value)).transpose()
    }

    /// The rows there are under a gathered prefix, in the order of their keys.
    pub fn under(&self, space: Space, prefix: &[u8]) -> Result<Vec<(&[u8], &Fact)>> {
        if !self.prefixes.iter().any(|(of, gathered)| *of == space && prefix.starts_with(gathered)) {
            return Err(not_gathered(space));
        }
        Ok(self
            .rows
            .range((space, prefix.to_vec())..)
            .take_while(|((of, key), _)| *of == space && key.starts_with(prefix))
            .filter_map(|((_, key), fact)| Some((key.as_slice(), fact.as_ref()?)))
            .collect())
    }

    /// Writes a row, or deletes it.
    pub fn set(&mut self, space: Space, key: Vec<u8>, value: Option<Bytes>) {
        let fact = value.clone().map(|value| Fact { value, written_at: None });
        self.rows.insert((space, key.clone()), fact);
        self.writes.insert((space, key), value);
    }

    /// What was written, once per row.
    pub fn into_writes(self) -> BTreeMap<(Space, Vec<u8>), Option<Bytes>> {
        self.writes
    }
}

fn fact(row: Versioned) -> Fact {
    Fact { value: row.value, written_at: Some(row.written_at) }
}

fn not_gathered(space: Space) -> Error {
    Error::internal(format!("a decision looked at a row of {} that was not gathered", space.name()))
}
