//! The commit log as a hash chain: each entry holds the hash of the one before, so that a lost, changed or reordered
//! commit is found when the catalog is opened. It must never know how entries are made or used.
//!
//! ```text
//! row of commit n  =  hash of row n-1 (32 bytes) │ hash of this row (32 bytes) │ entry as JSON
//! hash of this row =  SHA-256(hash of row n-1 │ entry as JSON)
//! ```
//!
//! The JSON is hashed as it is stored and never written again, so the order of its fields does not matter.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{CommitSequence, RoleId};
use crate::store::{Space, Store, keys, values};

/// The hash before the first commit.
pub const GENESIS: [u8; 32] = [0; 32];

/// Entries read at a time when the chain is checked.
const CHECK_ROWS: usize = 1024;

/// What one commit did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    pub sequence: CommitSequence,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub principal: RoleId,
    /// The changes, without passwords' verifiers and without copies of metadata documents.
    pub changes: Vec<serde_json::Value>,
}

/// An entry in its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRow {
    pub previous: [u8; 32],
    pub hash: [u8; 32],
    pub entry: LogEntry,
}

impl LogRow {
    /// Puts `entry` after the entry whose hash is `previous`; gives its row and its hash.
    pub fn chain(previous: [u8; 32], entry: &LogEntry) -> Result<(Bytes, [u8; 32])> {
        let json = values::encode(entry)?;
        let hash = hash(&previous, &json);
        Ok((Bytes::from([&previous[..], &hash[..], &json[..]].concat()), hash))
    }

    /// Reads a row and checks its own hash.
    pub fn read(bytes: &[u8]) -> Result<LogRow> {
        let too_short = || damaged("a log entry is too short");
        let (previous, rest) = bytes.split_first_chunk::<32>().ok_or_else(too_short)?;
        let (stored, json) = rest.split_first_chunk::<32>().ok_or_else(too_short)?;
        if *stored != hash(previous, json) {
            return Err(damaged("a log entry does not match its hash"));
        }
        Ok(LogRow { previous: *previous, hash: *stored, entry: values::decode(json)? })
    }
}

fn hash(previous: &[u8; 32], json: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(json).finalize().into()
}

fn damaged(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, "the catalog's commit log is damaged")
        .with_detail(format!("{}.", what.into()))
}

/// Walks the whole log and compares its end with the head. The time this takes grows with the number of commits ever
/// made; nothing shortens the log yet.
pub fn verify(store: &dyn Store) -> Result<()> {
    let head = store.head();
    let mut sequence = CommitSequence(0);
    let mut previous = GENESIS;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = store.scan(Space::Log, b"", after.as_deref(), CHECK_ROWS, head.sequence)?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        for (key, row) in &rows {
            sequence = CommitSequence(sequence.0 + 1);
            previous = follow(sequence, &previous, key, &row.value)?;
        }
    }
    if (sequence, previous) != (head.sequence, head.hash) {
        let what =
            format!("The log ends at commit {sequence}, but the catalog's head is commit {}", head.sequence);
        return Err(damaged(what));
    }
    Ok(())
}

/// Checks that one row is commit `sequence` and follows `previous`; gives its hash.
fn follow(sequence: CommitSequence, previous: &[u8; 32], key: &[u8], value: &[u8]) -> Result<[u8; 32]> {
    if key != keys::log(sequence) {
        return Err(damaged(format!("Commit {sequence} is missing")));
    }
    let row = LogRow::read(value).map_err(|error| {
        let detail = error.detail.clone().unwrap_or_default();
        error.with_detail(format!("Commit {sequence}: {detail}"))
    })?;
    if row.entry.sequence != sequence || row.previous != *previous {
        return Err(damaged(format!("Commit {sequence} does not follow the commit before it")));
    }
    Ok(row.hash)
}
