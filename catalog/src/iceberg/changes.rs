//! Which files of a snapshot go with a write, and which come. `validate.rs` has said before that they may.

use std::collections::{BTreeMap, HashSet};

use iceberg::spec::{DataFile, Struct, TableMetadata};
use roaring::RoaringTreemap;

use super::deletes::{Merged, Shrunk, SnapshotFiles, merge_rows, partition_key, superseded, write_deletes};
use super::manifest::{LiveFile, ManifestOutput};
use super::start::conflict;
use super::write::{Operation, TableWrite};
use crate::error::{Error, ErrorKind, Result};

/// The files of a snapshot that go, and the delete files that come.
#[derive(Debug, Default)]
pub struct Changes {
    pub removed: Vec<LiveFile>,
    pub removed_deletes: Vec<LiveFile>,
    /// With the partition spec that each is of.
    pub added_deletes: Vec<(i32, DataFile)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.removed_deletes.is_empty() && self.added_deletes.is_empty()
    }
}

/// Decides what goes, and writes the delete files.
pub async fn changes(
    output: &mut ManifestOutput<'_>,
    write: &TableWrite,
    metadata: &TableMetadata,
    files: &SnapshotFiles,
) -> Result<Changes> {
    let Decided { mut removed, shrunk, may_empty, rewritten_at } = decide(write, metadata, files)?;
    let merged = merge_rows(output.storage, metadata, &files.deletes, shrunk).await?;
    // A file of which no row is left goes as a whole.
    let (empty, merged): (Vec<Merged>, Vec<Merged>) = merged
        .into_iter()
        .filter(|merged| !merged.rows.is_empty())
        .partition(|merged| may_empty && merged.empty);
    removed.extend(empty.into_iter().map(|merged| merged.data));
    let added_deletes = write_deletes(output, &merged).await?;
    let gone: HashSet<&str> = removed.iter().map(|live| live.file.file_path()).collect();
    let replaced: HashSet<&str> = merged.iter().map(|merged| merged.data.file.file_path()).collect();
    let untouched = files.deletes.is_empty() || (gone.is_empty() && replaced.is_empty());
    let removed_deletes = match untouched {
        true => Vec::new(),
        false => superseded(files, &gone, &replaced, metadata.format_version(), rewritten_at),
    };
    Ok(Changes { removed, removed_deletes, added_deletes })
}

/// What the operation asks for.
#[derive(Default)]
struct Decided {
    removed: Vec<LiveFile>,
    shrunk: Vec<Shrunk>,
    /// A file whose rows are all deleted may be taken out.
    may_empty: bool,
    rewritten_at: Option<i64>,
}

/// Pure.
fn decide(write: &TableWrite, metadata: &TableMetadata, files: &SnapshotFiles) -> Result<Decided> {
    let all = || Decided { removed: files.data.clone(), ..Decided::default() };
    match &write.operation {
        Operation::CreateEmpty | Operation::Append | Operation::Update { .. } => Ok(Decided::default()),
        Operation::OverwriteAll | Operation::Truncate => Ok(all()),
        Operation::OverwritePartitions => match overwritten(write, metadata) {
            None => Ok(all()),
            Some(partitions) if partitions.of_files.is_empty() => Ok(Decided::default()),
            Some(partitions) => {
                let mut removed = Vec::new();
                for live in &files.data {
                    if partitions.hold(live)? {
                        removed.push(live.clone());
                    }
                }
                Ok(Decided { removed, ..Decided::default() })
            }
        },
        Operation::RowDelta(delta) => {
            let mut wanted = Wanted::new(&delta.deleted, &delta.removed);
            let (removed, shrunk) = wanted.find(write, files)?;
            Ok(Decided { removed, shrunk, may_empty: true, rewritten_at: None })
        }
        Operation::Rewrite(rewrite) => {
            let merged = rewrite.merged_deletes.iter().map(|path| (path.clone(), RoaringTreemap::new()));
            let merged: BTreeMap<String, RoaringTreemap> = merged.collect();
            let mut wanted = Wanted::new(&merged, &rewrite.removed);
            let (removed, shrunk) = wanted.find(write, files)?;
            let rewritten_at = rewrite.data_sequence_number;
            Ok(Decided { removed, shrunk, may_empty: false, rewritten_at })
        }
    }
}

/// Data files that a write names.
struct Wanted<'a> {
    deleted: BTreeMap<&'a str, &'a RoaringTreemap>,
    removed: HashSet<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(deleted: &'a BTreeMap<String, RoaringTreemap>, removed: &'a [String]) -> Wanted<'a> {
        let removed: HashSet<&str> = removed.iter().map(String::as_str).collect();
        let deleted = deleted.iter().map(|(path, rows)| (path.as_str(), rows));
        Wanted { deleted: deleted.filter(|(path, _)| !removed.contains(path)).collect(), removed }
    }

    /// Finds them all among the live files, or tells that one has gone.
    fn find(&mut self, write: &TableWrite, files: &SnapshotFiles) -> Result<(Vec<LiveFile>, Vec<Shrunk>)> {
        let (mut removed, mut shrunk) = (Vec::new(), Vec::new());
        for live in &files.data {
            let path = live.file.file_path();
            if self.removed.remove(path) {
                removed.push(live.clone());
            } else if let Some(rows) = self.deleted.remove(path) {
                shrunk.push(Shrunk { data: live.clone(), rows: rows.clone() });
            }
        }
        match self.removed.iter().chain(self.deleted.keys()).next() {
            Some(path) => {
                Err(conflict(write, "was changed")
                    .with_detail(format!("It has no file \"{path}\" any more.")))
            }
            None => Ok((removed, shrunk)),
        }
    }
}

/// The partitions that a write overwrites.
#[derive(Debug)]
pub struct Partitions {
    spec_id: i32,
    of_files: HashSet<(i32, Struct)>,
}

/// None: all of the table, which is one partition when it is not partitioned.
pub fn overwritten(write: &TableWrite, metadata: &TableMetadata) -> Option<Partitions> {
    let spec = metadata.default_partition_spec();
    let spec_id = spec.spec_id();
    let of_files = write.added.iter().map(|file| partition_key(spec_id, file.partition())).collect();
    (!spec.is_unpartitioned()).then_some(Partitions { spec_id, of_files })
}

impl Partitions {
    /// Whether a file lies in one of them. A file of another spec may hold rows of several partitions of this one.
    fn hold(&self, live: &LiveFile) -> Result<bool> {
        if live.spec_id == self.spec_id {
            return Ok(self.of_files.contains(&partition_key(live.spec_id, live.file.partition())));
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "the table has files of an older partitioning, so single partitions cannot be overwritten",
        )
        .with_hint(
            "First bring them under the new partitioning with ALTER TABLE … EXECUTE optimize, or say which rows go \
             with INSERT OVERWRITE … PARTITION (…).",
        ))
    }

    /// Whether a data or delete file may be about rows of one of them.
    pub fn may_hold(&self, metadata: &TableMetadata, live: &LiveFile) -> bool {
        let spec = metadata.partition_spec_by_id(live.spec_id);
        // Deletes of an unpartitioned spec may be about the whole table.
        spec.is_none_or(|spec| spec.is_unpartitioned()) || self.hold(live).unwrap_or(true)
    }
}
