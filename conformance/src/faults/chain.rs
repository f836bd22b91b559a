//! The snapshot chain of one table: a single path from its first snapshot to its current one, whose sequence numbers
//! rise by one, and whose files are there. `read` takes it from metadata.json, `check` judges it and is pure.

use crate::Result;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// In the order of the metadata file.
    pub snapshots: Vec<Snapshot>,
    pub current: Option<i64>,
    pub last_sequence_number: i64,
    /// Files that the metadata names and that are not there.
    pub missing_files: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub id: i64,
    pub parent: Option<i64>,
    pub sequence_number: i64,
}

/// Reads the chain from a metadata file given as a `file://` URL.
pub fn read(metadata_location: &str) -> Result<Chain> {
    let text = std::fs::read_to_string(local(metadata_location))
        .map_err(|error| format!("{metadata_location}: {error}"))?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|error| format!("{metadata_location}: {error}"))?;
    let snapshots = metadata["snapshots"].as_array().cloned().unwrap_or_default();
    let named = snapshots.iter().filter_map(|snapshot| snapshot["manifest-list"].as_str());
    let earlier = metadata["metadata-log"].as_array().cloned().unwrap_or_default();
    let earlier = earlier.iter().filter_map(|entry| entry["metadata-file"].as_str().map(str::to_string));
    let files: Vec<String> = named.map(str::to_string).chain(earlier).collect();
    Ok(Chain {
        snapshots: snapshots.iter().filter_map(snapshot).collect(),
        // Iceberg writes -1 or leaves it out when there is no snapshot.
        current: metadata["current-snapshot-id"].as_i64().filter(|id| *id != -1),
        last_sequence_number: metadata["last-sequence-number"].as_i64().unwrap_or(0),
        missing_files: files.into_iter().filter(|file| !Path::new(local(file)).exists()).collect(),
    })
}

fn snapshot(value: &Value) -> Option<Snapshot> {
    let id = value["snapshot-id"].as_i64()?;
    let parent = value["parent-snapshot-id"].as_i64();
    Some(Snapshot { id, parent, sequence_number: value["sequence-number"].as_i64().unwrap_or(0) })
}

fn local(url: &str) -> &str {
    url.strip_prefix("file://").unwrap_or(url)
}

pub fn check(table: &str, chain: &Chain) -> Vec<String> {
    let mut violations: Vec<String> =
        chain.missing_files.iter().map(|file| format!("{table}: {file} is named and not there")).collect();
    let mut ordered = chain.snapshots.clone();
    ordered.sort_by_key(|snapshot| snapshot.sequence_number);
    let ids: BTreeSet<i64> = ordered.iter().map(|snapshot| snapshot.id).collect();
    if ids.len() != ordered.len() {
        violations.push(format!("{table}: a snapshot id is used twice"));
    }
    for pair in ordered.windows(2) {
        if pair[1].sequence_number != pair[0].sequence_number + 1 {
            let (before, after) = (pair[0].sequence_number, pair[1].sequence_number);
            violations.push(format!("{table}: sequence number {after} follows {before}"));
        }
        if pair[1].parent != Some(pair[0].id) {
            violations.push(format!(
                "{table}: the parent of {} is {:?}, not {}",
                pair[1].id, pair[1].parent, pair[0].id
            ));
        }
    }
    if let Some(first) = ordered.first()
        && first.parent.is_some()
    {
        violations.push(format!("{table}: the first snapshot {} has a parent", first.id));
    }
    let last = ordered.last();
    if chain.current != last.map(|snapshot| snapshot.id) {
        violations.push(format!("{table}: current is {:?}, the last snapshot is {last:?}", chain.current));
    }
    let last_number = last.map_or(0, |snapshot| snapshot.sequence_number);
    if !ordered.is_empty() && chain.last_sequence_number != last_number {
        let stated = chain.last_sequence_number;
        violations
            .push(format!("{table}: last-sequence-number is {stated}, the last snapshot's {last_number}"));
    }
    violations
}
