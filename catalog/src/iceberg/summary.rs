//! The figures of a snapshot, under the names that every engine reads (specification, "Optional Snapshot Summary
//! Fields"). Pure.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{DataFile, Snapshot, Struct};

use super::manifest::LiveFile;
use crate::id::WriteId;

/// Totals that a table carries from snapshot to snapshot.
const TOTALS: [&str; 6] = [
    "total-data-files",
    "total-records",
    "total-files-size",
    "total-delete-files",
    "total-position-deletes",
    "total-equality-deletes",
];

/// Rows, bytes and number of some data files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    pub files: u64,
    pub records: u64,
    pub bytes: u64,
}

impl Figures {
    pub fn of<'a>(files: impl IntoIterator<Item = &'a DataFile>) -> Figures {
        files.into_iter().fold(Figures::default(), |sum, file| Figures {
            files: sum.files + 1,
            records: sum.records + file.record_count(),
            bytes: sum.bytes + file.file_size_in_bytes(),
        })
    }
}

/// The totals that a snapshot's summary states, if it states those of its data files.
pub fn stated_totals(parent: &Snapshot) -> Option<Figures> {
    let figure = |name: &str| parent.summary().additional_properties.get(name)?.parse().ok();
    Some(Figures {
        files: figure("total-data-files")?,
        records: figure("total-records")?,
        bytes: figure("total-files-size")?,
    })
}

/// The summary of a snapshot that adds and removes these files from a table that had `before`.
pub fn summarize(
    added: &[DataFile],
    removed: &[LiveFile],
    before: Figures,
    parent: Option<&Snapshot>,
    write: WriteId,
) -> HashMap<String, String> {
    let plus = Figures::of(added);
    let minus = Figures::of(removed.iter().map(|live| live.file.as_ref()));
    let mut summary = HashMap::new();
    let mut set = |name: &str, value: u64| summary.insert(name.to_string(), value.to_string());
    for name in TOTALS {
        // Delete files are never ours; a table that has some keeps their figures.
        let kept = parent.and_then(|parent| parent.summary().additional_properties.get(name)?.parse().ok());
        set(name, kept.unwrap_or(0));
    }
    let total = |before: u64, plus: u64, minus: u64| before.saturating_add(plus).saturating_sub(minus);
    set("total-data-files", total(before.files, plus.files, minus.files));
    set("total-records", total(before.records, plus.records, minus.records));
    set("total-files-size", total(before.bytes, plus.bytes, minus.bytes));
    set("changed-partition-count", changed_partitions(added, removed));
    let changes = [
        ("added-data-files", plus.files),
        ("added-records", plus.records),
        ("added-files-size", plus.bytes),
        ("deleted-data-files", minus.files),
        ("deleted-records", minus.records),
        ("removed-files-size", minus.bytes),
    ];
    for (name, value) in changes {
        if value > 0 {
            set(name, value);
        }
    }
    summary.insert("engine-name".to_string(), "tarn".to_string());
    // Lets whoever lost the answer to a commit see whether it happened.
    summary.insert("tarn.write-id".to_string(), write.to_string());
    summary
}

/// Partition values of another spec count as others only where they differ; the figure is for people.
fn changed_partitions(added: &[DataFile], removed: &[LiveFile]) -> u64 {
    let removed = removed.iter().map(|live| live.file.partition());
    let partitions: HashSet<&Struct> = added.iter().map(DataFile::partition).chain(removed).collect();
    partitions.len() as u64
}
