//! What one snapshot changed, from the manifests that it wrote itself. It must never know why.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::spec::{ManifestContentType, ManifestFile, TableMetadata};

use super::manifest::{Decoded, LiveFile, READS_AT_ONCE, decode, manifest_list};
use crate::error::Result;
use crate::storage::Storage;

/// Files that came and went with a snapshot.
#[derive(Debug, Default)]
pub struct SnapshotChanges {
    pub added: Vec<LiveFile>,
    pub removed: Vec<LiveFile>,
    pub added_deletes: Vec<LiveFile>,
    pub removed_deletes: Vec<LiveFile>,
}

/// What a snapshot changed against the one before it.
pub async fn snapshot_changes(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> Result<SnapshotChanges> {
    let manifests = manifest_list(storage, metadata, snapshot_id).await?;
    let own: Vec<&ManifestFile> =
        manifests.iter().filter(|manifest| manifest.added_snapshot_id == snapshot_id).collect();
    let reads: Vec<_> = own.iter().map(|manifest| decode(storage, metadata.location(), manifest)).collect();
    let decoded: Vec<Arc<Decoded>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    let mut changes = SnapshotChanges::default();
    for (manifest, decoded) in own.into_iter().zip(decoded) {
        let (added, removed) = match manifest.content {
            ManifestContentType::Data => (&mut changes.added, &mut changes.removed),
            ManifestContentType::Deletes => (&mut changes.added_deletes, &mut changes.removed_deletes),
        };
        // Entries of earlier snapshots are carried on; they are no change.
        added.extend(decoded.live.iter().filter(|live| live.snapshot_id == snapshot_id).cloned());
        removed.extend(decoded.gone.iter().cloned());
    }
    Ok(changes)
}
