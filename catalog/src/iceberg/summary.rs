//! The figures of a snapshot, under the names that every engine reads (specification, "Optional Snapshot Summary
//! Fields"). Pure.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{DataContentType, DataFile, Snapshot, Struct};

use super::changes::Changes;
use super::deletes::{SnapshotFiles, is_vector};
use super::manifest::LiveFile;
use crate::id::WriteId;

/// What some files hold.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    data_files: u64,
    records: u64,
    /// Of data and delete files.
    bytes: u64,
    delete_files: u64,
    position_delete_files: u64,
    vectors: u64,
    equality_delete_files: u64,
    position_deletes: u64,
    equality_deletes: u64,
}

impl Figures {
    fn of<'a>(files: impl IntoIterator<Item = &'a DataFile>) -> Figures {
        let mut sum = Figures::default();
        for file in files {
            let vector = file.content_size_in_bytes().and_then(|bytes| u64::try_from(bytes).ok());
            sum.bytes += vector.filter(|_| is_vector(file)).unwrap_or(file.file_size_in_bytes());
            let rows = file.record_count();
            match file.content_type() {
                DataContentType::Data => {
                    sum.data_files += 1;
                    sum.records += rows;
                }
                DataContentType::PositionDeletes => {
                    sum.delete_files += 1;
                    sum.position_deletes += rows;
                    *if is_vector(file) { &mut sum.vectors } else { &mut sum.position_delete_files } += 1;
                }
                DataContentType::EqualityDeletes => {
                    sum.delete_files += 1;
                    sum.equality_delete_files += 1;
                    sum.equality_deletes += rows;
                }
            }
        }
        sum
    }

    /// Of all files of a snapshot.
    pub fn of_snapshot(files: &SnapshotFiles) -> Figures {
        let all = files.data.iter().chain(files.deletes.files());
        Figures::of(all.map(|live| live.file.as_ref()))
    }
}

/// The totals that a snapshot's summary states, if it states those of its data files.
pub fn stated_totals(parent: &Snapshot) -> Option<Figures> {
    let figure = |name: &str| parent.summary().additional_properties.get(name)?.parse().ok();
    Some(Figures {
        data_files: figure("total-data-files")?,
        records: figure("total-records")?,
        bytes: figure("total-files-size")?,
        delete_files: figure("total-delete-files").unwrap_or(0),
        position_deletes: figure("total-position-deletes").unwrap_or(0),
        equality_deletes: figure("total-equality-deletes").unwrap_or(0),
        ..Figures::default()
    })
}

/// The summary of a snapshot that makes these changes to a table that had `before`.
pub fn summarize(
    added: &[DataFile],
    changes: &Changes,
    before: Figures,
    write: WriteId,
) -> HashMap<String, String> {
    let added_deletes = changes.added_deletes.iter().map(|(_, file)| file);
    let removed =
        || changes.removed.iter().chain(&changes.removed_deletes).map(|live: &LiveFile| &*live.file);
    let plus = Figures::of(added.iter().chain(added_deletes));
    let minus = Figures::of(removed());
    let mut summary = HashMap::new();
    let mut set = |name: &str, value: u64| summary.insert(name.to_string(), value.to_string());
    let total = |of: fn(&Figures) -> u64| of(&before).saturating_add(of(&plus)).saturating_sub(of(&minus));
    set("total-data-files", total(|figures| figures.data_files));
    set("total-records", total(|figures| figures.records));
    set("total-files-size", total(|figures| figures.bytes));
    set("total-delete-files", total(|figures| figures.delete_files));
    set("total-position-deletes", total(|figures| figures.position_deletes));
    set("total-equality-deletes", total(|figures| figures.equality_deletes));
    let added_deletes = changes.added_deletes.iter().map(|(_, file)| file);
    let touched = added.iter().chain(added_deletes).chain(removed()).map(DataFile::partition);
    // Partition values of another spec count as others only where they differ; the figure is for people.
    set("changed-partition-count", touched.collect::<HashSet<&Struct>>().len() as u64);
    let figures = [
        ("added-data-files", plus.data_files),
        ("added-records", plus.records),
        ("added-files-size", plus.bytes),
        ("added-delete-files", plus.delete_files),
        ("added-position-delete-files", plus.position_delete_files),
        ("added-dvs", plus.vectors),
        ("added-position-deletes", plus.position_deletes),
        ("deleted-data-files", minus.data_files),
        ("deleted-records", minus.records),
        ("removed-files-size", minus.bytes),
        ("removed-delete-files", minus.delete_files),
        ("removed-position-delete-files", minus.position_delete_files),
        ("removed-dvs", minus.vectors),
        ("removed-position-deletes", minus.position_deletes),
        ("removed-equality-delete-files", minus.equality_delete_files),
        ("removed-equality-deletes", minus.equality_deletes),
    ];
    for (name, value) in figures.into_iter().filter(|(_, value)| *value > 0) {
        set(name, value);
    }
    summary.insert("engine-name".to_string(), "tarn".to_string());
    // Lets whoever lost the answer to a commit see whether it happened.
    summary.insert("tarn.write-id".to_string(), write.to_string());
    summary
}
