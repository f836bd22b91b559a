//! Whether a write still holds on what others have made of its table since its statement read it (design, "Commit").
//! Appends always do. Compaction by others changes no row, so only who names its input files meets it.
//!
//! | a write that | must find |
//! |---|---|
//! | deletes rows | their data files live, and the rows not deleted by others; other rows of the same files may be |
//! | removes data files | them live, and no row of them deleted by others |
//! | overwrites partitions | nothing changed in them |
//! | overwrites everything | nothing changed |
//! | is serializable | no data file added that its read set lets through |
//!
//! It must never write.

use std::collections::HashMap;

use iceberg::spec::{Operation as SnapshotOperation, Snapshot, TableMetadata};
use roaring::RoaringTreemap;

use super::basis::Basis;
use super::changes::{Partitions, overwritten};
use super::deletes::{FileDeletes, SnapshotFiles, deleted_positions, snapshot_files};
use super::difference::snapshot_changes;
use super::manifest::{FileKey, LiveFile, file_key};
use super::start::{branch_head, conflict};
use super::write::{Operation, ReadSet, TableWrite};
use crate::error::Result;
use crate::storage::Storage;

/// Fails with a conflict when others have changed what the write rests on.
pub async fn validate(storage: &Storage, write: &TableWrite, basis: &Basis<'_>) -> Result<()> {
    let Some((base, head)) = basis.changed_between(write) else { return Ok(()) };
    if matches!(
        write.operation,
        Operation::CreateEmpty | Operation::Append | Operation::Truncate | Operation::Update { .. }
    ) {
        return Ok(());
    }
    // A branch that the statement read is there now or else the commit says so; one that it made itself is not yet.
    let of = |metadata| branch_head(metadata, &write.branch).ok().flatten();
    let (from, to) = (of(base), of(head));
    let id = |snapshot: Option<&Snapshot>| snapshot.map(Snapshot::snapshot_id);
    if id(from) == id(to) {
        return Ok(());
    }
    let meanwhile = Meanwhile { storage, write, base, from, head, to, history: history(head, from, to) };
    match &write.operation {
        Operation::OverwriteAll => meanwhile.overwrite_all(),
        Operation::OverwritePartitions => match overwritten(write, base) {
            Some(partitions) => meanwhile.overwrite_partitions(&partitions).await,
            None => meanwhile.overwrite_all(),
        },
        Operation::RowDelta(delta) => {
            meanwhile.files(delta.deleted.keys().chain(&delta.removed), Some(&delta.deleted), None).await?;
            match &delta.read {
                Some(read) => meanwhile.read(read).await,
                None => Ok(()),
            }
        }
        Operation::Rewrite(rewrite) => {
            meanwhile.files(rewrite.removed.iter(), None, rewrite.data_sequence_number).await
        }
        _ => Ok(()),
    }
}

/// How the head of a branch came from where a statement read it.
#[derive(Debug)]
enum History<'a> {
    /// By these snapshots.
    Since(Vec<&'a Snapshot>),
    /// Some of the snapshots on the way have expired.
    Expired,
    /// Not at all: the branch was rolled back or replaced.
    Apart,
}

struct Meanwhile<'a> {
    storage: &'a Storage,
    write: &'a TableWrite,
    base: &'a TableMetadata,
    from: Option<&'a Snapshot>,
    head: &'a TableMetadata,
    to: Option<&'a Snapshot>,
    history: History<'a>,
}

impl Meanwhile<'_> {
    fn conflict(&self, detail: &str) -> crate::Error {
        conflict(self.write, "was changed").with_detail(detail)
    }

    /// Snapshots that changed rows; none when it is not known which.
    fn changing(&self) -> Option<impl Iterator<Item = &&Snapshot>> {
        match &self.history {
            History::Since(snapshots) => Some(
                snapshots
                    .iter()
                    .filter(|snapshot| snapshot.summary().operation != SnapshotOperation::Replace),
            ),
            History::Expired | History::Apart => None,
        }
    }

    fn overwrite_all(&self) -> Result<()> {
        match self.changing().map(|mut changing| changing.next()) {
            Some(None) => Ok(()),
            _ => Err(self.conflict("This statement overwrites all of it.")),
        }
    }

    async fn overwrite_partitions(&self, partitions: &Partitions) -> Result<()> {
        let touched = || Err(self.conflict("A partition that this statement overwrites has other rows now."));
        let Some(changing) = self.changing() else { return touched() };
        for snapshot in changing {
            let changes = snapshot_changes(self.storage, self.head, snapshot.snapshot_id()).await?;
            let all = [&changes.added, &changes.removed, &changes.added_deletes, &changes.removed_deletes];
            if all.into_iter().flatten().any(|live| partitions.may_hold(self.head, live)) {
                return touched();
            }
        }
        Ok(())
    }

    /// Checks the data files that a write changes. `deleted` are the rows that it takes out of them; a file that it names
    /// and that is not there goes as a whole, as all do without it.
    async fn files(
        &self,
        paths: impl Iterator<Item = &String>,
        deleted: Option<&std::collections::BTreeMap<String, RoaringTreemap>>,
        rewritten_at: Option<i64>,
    ) -> Result<()> {
        let then = self.snapshot(self.base, self.from).await?;
        let now = self.snapshot(self.head, self.to).await?;
        let (by_path_then, by_path_now) = (by_path(&then), by_path(&now));
        for path in paths {
            // One that was not there then was made by an earlier statement of the same transaction.
            let Some(data_then) = by_path_then.get(path.as_str()) else { continue };
            let Some(data_now) = by_path_now.get(path.as_str()) else {
                return Err(self.conflict("Rows that this statement changes were changed or moved."));
            };
            let (deletes_then, deletes_now) = (then.deletes.of(data_then), now.deletes.of(data_now));
            let mine = deleted.and_then(|deleted| deleted.get(path));
            self.rows(path, &deletes_then, &deletes_now, mine).await?;
            self.equality(&deletes_then, &deletes_now, rewritten_at)?;
        }
        Ok(())
    }

    async fn snapshot(&self, metadata: &TableMetadata, snapshot: Option<&Snapshot>) -> Result<SnapshotFiles> {
        match snapshot {
            Some(snapshot) => snapshot_files(self.storage, metadata, snapshot.snapshot_id()).await,
            None => Ok(SnapshotFiles::default()),
        }
    }

    /// Rows that others deleted must not be mine. Without `mine` every row of the file is.
    async fn rows(
        &self,
        path: &str,
        then: &FileDeletes,
        now: &FileDeletes,
        mine: Option<&RoaringTreemap>,
    ) -> Result<()> {
        let keys = |deletes: &FileDeletes| -> Vec<FileKey> {
            let positions = deletes.positions.iter().flat_map(|positions| &positions.files);
            positions.map(|live| file_key(&live.file)).collect()
        };
        if keys(then) == keys(now) {
            return Ok(());
        }
        let then = deleted_positions(self.storage, self.base, then, path).await?;
        let now = deleted_positions(self.storage, self.head, now, path).await?;
        let theirs = now.as_ref() - then.as_ref();
        let overlaps = mine.map_or(!theirs.is_empty(), |mine| !theirs.is_disjoint(mine));
        if overlaps {
            return Err(self.conflict("Rows that this statement changes were changed or deleted."));
        }
        if !then.is_subset(&now) {
            return Err(self.conflict("Rows that were deleted when this statement read them are back."));
        }
        Ok(())
    }

    /// Equality deletes name no rows, so a new one may be about any row of a file. Files that are rewritten as of their
    /// old sequence number are still reached by it.
    fn equality(&self, then: &FileDeletes, now: &FileDeletes, rewritten_at: Option<i64>) -> Result<()> {
        let known: Vec<FileKey> = then.equality.iter().map(|live| file_key(&live.file)).collect();
        let is_new = |live: &&LiveFile| !known.contains(&file_key(&live.file));
        let reaches = |live: &LiveFile| rewritten_at.is_some_and(|at| live.sequence_number > at);
        match now.equality.iter().filter(is_new).all(reaches) {
            true => Ok(()),
            false => Err(self.conflict("Rows were deleted by their values from files that this changes.")),
        }
    }

    async fn read(&self, read: &ReadSet) -> Result<()> {
        let mut added = Vec::new();
        match self.changing() {
            Some(changing) => {
                for snapshot in changing {
                    let changes = snapshot_changes(self.storage, self.head, snapshot.snapshot_id()).await?;
                    added.extend(changes.added);
                }
            }
            None => {
                let then = self.snapshot(self.base, self.from).await?;
                let known = by_path(&then);
                let now = self.snapshot(self.head, self.to).await?.data;
                added.extend(now.into_iter().filter(|live| !known.contains_key(live.file.file_path())));
            }
        }
        match read.0.may_match(self.head, &added).contains(&true) {
            true => Err(self.conflict("Rows were added that this statement would have read.")),
            false => Ok(()),
        }
    }
}

/// The snapshots after `from` up to `to`, newest first.
fn history<'a>(
    metadata: &'a TableMetadata,
    from: Option<&Snapshot>,
    to: Option<&'a Snapshot>,
) -> History<'a> {
    let from_id = from.map(Snapshot::snapshot_id);
    let mut since = Vec::new();
    let mut next = to;
    while let Some(snapshot) = next {
        if Some(snapshot.snapshot_id()) == from_id {
            return History::Since(since);
        }
        since.push(snapshot);
        next = match snapshot.parent_snapshot_id() {
            None => None,
            Some(parent) => match metadata.snapshot_by_id(parent) {
                Some(parent) => Some(parent.as_ref()),
                // What was read is gone too, or lies below what is gone.
                None if from_id.is_none_or(|from| metadata.snapshot_by_id(from).is_none()) => {
                    return History::Expired;
                }
                None => return History::Apart,
            },
        };
    }
    if from_id.is_none() { History::Since(since) } else { History::Apart }
}

fn by_path(files: &SnapshotFiles) -> HashMap<&str, &LiveFile> {
    files.data.iter().map(|live| (live.file.file_path(), live)).collect()
}
