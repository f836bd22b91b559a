//! Manifests as they are written, for people who look at a table from the inside: every entry, removed ones too, and
//! those of delete files. Nothing is kept; what queries read again and again is in `read.rs`.

use std::sync::Arc;

use iceberg::spec::{DataFile, ManifestFile, ManifestStatus, TableMetadata};

use super::read::{manifest_list, parse_bytes};
use super::uuids::parse_manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// An entry of a manifest, with what it inherits filled in.
#[derive(Debug, Clone)]
pub struct ManifestRow {
    pub status: ManifestStatus,
    pub spec_id: i32,
    pub snapshot_id: i64,
    pub sequence_number: Option<i64>,
    pub file_sequence_number: Option<i64>,
    pub first_row_id: Option<i64>,
    pub file: Arc<DataFile>,
}

impl ManifestRow {
    /// Whether the file is part of the snapshots that have this manifest.
    pub fn is_live(&self) -> bool {
        self.status != ManifestStatus::Deleted
    }
}

/// The manifests of a snapshot.
pub async fn manifests_of(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> Result<Arc<Vec<ManifestFile>>> {
    manifest_list(storage, metadata, snapshot_id).await
}

/// Every entry of a manifest of the table at `table_location`.
pub async fn manifest_rows(
    storage: &Storage,
    table_location: &str,
    manifest: &ManifestFile,
) -> Result<Vec<ManifestRow>> {
    if manifest.key_metadata.is_some() {
        return Err(Error::new(ErrorKind::Unsupported, "encrypted tables are not read yet"));
    }
    let file = storage.guard().table_file(table_location, &manifest.manifest_path)?;
    let bytes = storage.get(&file).await?;
    let (entries, _) = parse_bytes(bytes, &file, |bytes| parse_manifest(&bytes)).await?;
    let mut next_row_id = manifest.first_row_id;
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        // Only what a manifest adds inherits; manifests of format version 1 have sequence number 0 throughout.
        let inherits = entry.status == ManifestStatus::Added || manifest.sequence_number == 0;
        let inherited = inherits.then_some(manifest.sequence_number);
        let file = &entry.data_file;
        let first_row_id = match (file.first_row_id(), next_row_id) {
            (None, Some(next)) if entry.status != ManifestStatus::Deleted => {
                next_row_id = Some(next + file.record_count());
                i64::try_from(next).ok()
            }
            (own, _) => own,
        };
        rows.push(ManifestRow {
            status: entry.status,
            spec_id: manifest.partition_spec_id,
            snapshot_id: entry.snapshot_id.unwrap_or(manifest.added_snapshot_id),
            sequence_number: entry.sequence_number.or(inherited),
            file_sequence_number: entry.file_sequence_number.or(inherited),
            first_row_id,
            file: Arc::new(file.clone()),
        });
    }
    Ok(rows)
}
