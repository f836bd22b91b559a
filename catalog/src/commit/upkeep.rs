//! The rows of upkeep: files that are no longer in use and wait for their deletion, and what was done to a table when.
//! A discard is written by the commit that ends the files' use, so a crash can neither lose it nor bring it forward; it
//! goes away when its files have. It must never touch a file. Next: `../catalog/upkeep.rs`, which deletes.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::error::Result;
use crate::id::{CommitSequence, RelationId};
use crate::store::{Space, keys, values};

/// Files of a table that no snapshot of its newest version leads to.
///
/// Only what leads to them is kept: which of them are still in use is decided again right before they are deleted,
/// against the version that the catalog points to then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discard {
    pub id: uuid::Uuid,
    pub relation: RelationId,
    /// Iceberg's UUID and the folder of the table: the files of a table that took its place are not touched.
    pub table: uuid::Uuid,
    pub location: String,
    /// Of snapshots that expired.
    pub manifest_lists: Vec<String>,
    /// Statistics and old metadata.
    pub files: Vec<String>,
    /// The table was dropped, and everything in its folder goes, unless a table is there again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
    /// The commit that ended their use; who reads a version from before it may need them.
    #[serde(default)]
    pub after: CommitSequence,
}

/// What the server did to a table, and when it will look again. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UpkeepRecord {
    #[serde(default)]
    pub last_run_ms: Option<i64>,
    #[serde(default)]
    pub next_run_ms: Option<i64>,
    #[serde(default)]
    pub last_orphans_ms: Option<i64>,
    /// What the last run did, or why it failed.
    #[serde(default)]
    pub last_result: Option<String>,
    /// Runs that failed one after the other.
    #[serde(default)]
    pub failures: u32,
}

#[derive(Debug)]
pub enum UpkeepChange {
    /// Its files are gone.
    Discarded(Discard),
    Record(RelationId, UpkeepRecord),
    /// The table is gone.
    Forget(RelationId),
    /// Answers that nobody asks for again.
    ForgetAnswers(Vec<uuid::Uuid>),
}

pub fn decide(change: &UpkeepChange, facts: &mut Facts) -> Result<()> {
    match change {
        UpkeepChange::Discarded(discard) => {
            facts.set(Space::Upkeep, keys::discard(discard.after, discard.id), None);
        }
        UpkeepChange::Record(relation, record) => {
            facts.set(Space::Upkeep, keys::upkeep_record(*relation), Some(values::encode(record)?));
        }
        UpkeepChange::Forget(relation) => {
            facts.set(Space::Upkeep, keys::upkeep_record(*relation), None);
        }
        UpkeepChange::ForgetAnswers(answers) => {
            answers.iter().for_each(|key| facts.set(Space::Upkeep, keys::answer(*key), None));
        }
    }
    Ok(())
}

/// Makes a discard part of the commit `sequence`.
pub fn discard(sequence: CommitSequence, discard: &Discard, facts: &mut Facts) -> Result<()> {
    let discard = Discard { after: sequence, ..discard.clone() };
    let row = values::encode(&discard)?;
    facts.set(Space::Upkeep, keys::discard(sequence, discard.id), Some(row));
    Ok(())
}
