//! What must hold for every snapshot that is committed. Debug builds look through each new one before its pointer moves;
//! it must never change anything.

use std::collections::HashSet;

use iceberg::spec::TableMetadata;

use super::deletes::{SnapshotFiles, snapshot_files};
use super::manifest::{LiveFile, file_key, manifest_list, read_list};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// Fails when a live file of a branch is listed twice, has a sequence number of the future, or shares row ids with
/// another, and when the manifest list that is remembered is not the one that was written.
pub async fn check_branch(storage: &Storage, metadata: &TableMetadata, branch: &str) -> Result<()> {
    let Some(snapshot) = metadata.snapshot_for_ref(branch) else { return Ok(()) };
    let remembered = manifest_list(storage, metadata, snapshot.snapshot_id()).await?;
    let list = storage.guard().table_file(metadata.location(), snapshot.manifest_list())?;
    if *remembered != read_list(storage, metadata, &list).await? {
        return Err(Error::internal(format!("manifest list \"{list}\" is remembered wrongly")));
    }
    let files = snapshot_files(storage, metadata, snapshot.snapshot_id()).await?;
    match flaw(&files, snapshot.sequence_number()) {
        Some(flaw) => Err(Error::internal(flaw)),
        None => Ok(()),
    }
}

/// What is wrong with the files of a new snapshot, if anything is.
pub fn flaw(files: &SnapshotFiles, sequence_number: i64) -> Option<String> {
    let mut seen = HashSet::new();
    for live in files.data.iter().chain(files.deletes.files()) {
        if !seen.insert(file_key(&live.file)) {
            return Some(broken(live, "is listed twice"));
        }
        let newest = live.sequence_number.max(live.file_sequence_number);
        if newest > sequence_number || live.sequence_number > live.file_sequence_number {
            return Some(broken(live, "has a sequence number of the future"));
        }
    }
    let mut ids: Vec<(i64, &LiveFile)> =
        files.data.iter().filter_map(|live| Some((live.first_row_id?, live))).collect();
    ids.sort_by_key(|(first, _)| *first);
    ids.windows(2).find_map(|pair| {
        let ((first, live), (next, _)) = (pair[0], pair[1]);
        let shares = i64::try_from(live.file.record_count()).map_or(true, |rows| first + rows > next);
        shares.then(|| broken(live, "shares row ids with another file"))
    })
}

fn broken(live: &LiveFile, what: &str) -> String {
    format!("file \"{}\" {what} in a new snapshot", live.file.file_path())
}
