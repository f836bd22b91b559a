//! Write intents: a row that says "files whose names contain this id may lie in this folder". It is written before the
//! first file and goes away in the commit that uses the files, so a row that is still there when the catalog opens means
//! that the commit did not happen. Giving a write up marks its row first, in the same queue as commits: either the
//! commit sees the mark and fails, or the mark finds no row and no file is deleted. It must never touch a file.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, Lookup};
use crate::error::{Error, ErrorKind, Result};
use crate::id::WriteId;
use crate::store::{Space, keys, values};

/// The files of a write that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteIntent {
    pub write: WriteId,
    /// URL of the folder that the files are in, however deep.
    pub location: String,
    /// Milliseconds since the Unix epoch.
    pub begun_at_ms: i64,
    /// Its files are being deleted; no commit may use them.
    pub abandoned: bool,
}

#[derive(Debug)]
pub enum IntentChange {
    Begin(WriteIntent),
    Abandon(WriteId),
    /// After its files are deleted.
    Remove(WriteId),
}

impl IntentChange {
    fn key(&self) -> Vec<u8> {
        match self {
            IntentChange::Begin(intent) => keys::intent(intent.write),
            IntentChange::Abandon(write) | IntentChange::Remove(write) => keys::intent(*write),
        }
    }
}

pub fn lookups(change: &IntentChange) -> Vec<Lookup> {
    vec![Lookup::Row(Space::Intent, change.key())]
}

/// `Conflict` says that the write was committed, or given up and cleaned up, already.
pub fn decide(change: &IntentChange, facts: &mut Facts) -> Result<()> {
    let key = change.key();
    let found: Option<WriteIntent> = facts.read(Space::Intent, &key)?;
    let gone = || Error::new(ErrorKind::Conflict, "the write is finished already");
    match (change, found) {
        (IntentChange::Begin(intent), None) => facts.set(Space::Intent, key, Some(values::encode(intent)?)),
        (IntentChange::Begin(_), Some(_)) => {
            return Err(Error::internal("the id of a new write is in use already"));
        }
        (IntentChange::Abandon(_) | IntentChange::Remove(_), None) => return Err(gone()),
        (IntentChange::Abandon(_), Some(intent)) => {
            let intent = WriteIntent { abandoned: true, ..intent };
            facts.set(Space::Intent, key, Some(values::encode(&intent)?));
        }
        (IntentChange::Remove(_), Some(_)) => facts.set(Space::Intent, key, None),
    }
    Ok(())
}
