//! What must hold for every snapshot that is committed. Debug builds look through each new one before its pointer moves;
//! it must never change anything.

use std::collections::HashSet;

use iceberg::spec::TableMetadata;

use super::deletes::snapshot_files;
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
    let mut seen = HashSet::new();
    for live in files.data.iter().chain(files.deletes.files()) {
        if !seen.insert(file_key(&live.file)) {
            return Err(broken(live, "is listed twice"));
        }
        let newest = live.sequence_number.max(live.file_sequence_number);
        if newest > snapshot.sequence_number() || live.sequence_number > live.file_sequence_number {
            return Err(broken(live, "has a sequence number of the future"));
        }
    }
    let mut ids: Vec<(i64, &LiveFile)> =
        files.data.iter().filter_map(|live| Some((live.first_row_id?, live))).collect();
    ids.sort_by_key(|(first, _)| *first);
    for pair in ids.windows(2) {
        let ((first, live), (next, _)) = (pair[0], pair[1]);
        if i64::try_from(live.file.record_count()).map_or(true, |rows| first + rows > next) {
            return Err(broken(live, "shares row ids with another file"));
        }
    }
    Ok(())
}

fn broken(live: &LiveFile, what: &str) -> Error {
    Error::internal(format!("file \"{}\" {what} in a new snapshot", live.file.file_path()))
}
