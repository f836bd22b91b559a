//! The files that snapshots lead to, and those that only some of them lead to: what an expired snapshot leaves behind.
//! It must never delete. Files that are not there any more are passed over, so that a deletion that was cut short is
//! found again where it stopped. Next: `../../catalog/upkeep.rs`, which deletes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use iceberg::spec::{DataContentType, FormatVersion, ManifestFile, ManifestList, TableMetadata};

use crate::error::{Error, ErrorKind, ObjectKind, Result};
use crate::iceberg::location::metadata_version;
use crate::iceberg::manifest::{Decoded, decode, manifest_list};
use crate::storage::Storage;

/// What a file of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    Data,
    PositionDeletes,
    EqualityDeletes,
    Manifest,
    ManifestList,
    Statistics,
    Metadata,
}

impl FileKind {
    /// As result columns call it.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Data => "data file",
            FileKind::PositionDeletes => "position delete file",
            FileKind::EqualityDeletes => "equality delete file",
            FileKind::Manifest => "manifest",
            FileKind::ManifestList => "manifest list",
            FileKind::Statistics => "statistics file",
            FileKind::Metadata => "metadata file",
        }
    }

    pub(super) fn of(content: DataContentType) -> FileKind {
        match content {
            DataContentType::Data => FileKind::Data,
            DataContentType::PositionDeletes => FileKind::PositionDeletes,
            DataContentType::EqualityDeletes => FileKind::EqualityDeletes,
        }
    }
}

/// Files that nothing leads to any more, in the order in which they may be deleted: whatever leads to a file goes after
/// it, so that the rest is found again after a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreached {
    pub files: Vec<(FileKind, String)>,
}

/// The files that these manifest lists of expired snapshots lead to and no snapshot of `kept` does.
pub async fn unreached(
    storage: &Storage,
    kept: &TableMetadata,
    manifest_lists: &[String],
) -> Result<Unreached> {
    let table = kept.location();
    let kept_lists: HashSet<&str> = kept.snapshots().map(|snapshot| snapshot.manifest_list()).collect();
    let lists: BTreeSet<&String> =
        manifest_lists.iter().filter(|url| !kept_lists.contains(url.as_str())).collect();
    let mut candidates: BTreeMap<String, ManifestFile> = BTreeMap::new();
    for url in &lists {
        for manifest in read_list(storage, table, url, kept.format_version()).await? {
            candidates.insert(manifest.manifest_path.clone(), manifest);
        }
    }
    let mut files: BTreeMap<String, FileKind> = BTreeMap::new();
    for manifest in candidates.values() {
        let Some(decoded) = present(decode(storage, table, manifest).await)? else { continue };
        let live = decoded.live.iter();
        files.extend(
            live.map(|live| (live.file.file_path().to_owned(), FileKind::of(live.file.content_type()))),
        );
    }
    take_out_reached(storage, kept, &mut candidates, &mut files).await?;
    let data = files.into_iter().map(|(url, kind)| (kind, url));
    let manifests = candidates.into_keys().map(|url| (FileKind::Manifest, url));
    let lists = lists.into_iter().map(|url| (FileKind::ManifestList, url.clone()));
    Ok(Unreached { files: data.chain(manifests).chain(lists).collect() })
}

/// Takes out what a snapshot that stays leads to. Stops when nothing is left to lose.
async fn take_out_reached(
    storage: &Storage,
    kept: &TableMetadata,
    manifests: &mut BTreeMap<String, ManifestFile>,
    files: &mut BTreeMap<String, FileKind>,
) -> Result<()> {
    let mut seen = HashSet::new();
    for snapshot in kept.snapshots() {
        for manifest in manifest_list(storage, kept, snapshot.snapshot_id()).await?.iter() {
            manifests.remove(&manifest.manifest_path);
            if files.is_empty() || !seen.insert(manifest.manifest_path.clone()) {
                continue;
            }
            let decoded: Arc<Decoded> = decode(storage, kept.location(), manifest).await?;
            for live in &decoded.live {
                files.remove(live.file.file_path());
            }
        }
    }
    Ok(())
}

/// The manifests of a snapshot.
pub async fn manifests(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> Result<Arc<Vec<ManifestFile>>> {
    manifest_list(storage, metadata, snapshot_id).await
}

/// The manifests of a list by its URL; none when the list is gone.
pub(super) async fn read_list(
    storage: &Storage,
    table: &str,
    url: &str,
    version: FormatVersion,
) -> Result<Vec<ManifestFile>> {
    let file = storage.guard().table_file(table, url)?;
    let Some(bytes) = present(storage.get(&file).await)? else { return Ok(Vec::new()) };
    let parsed = tokio::task::spawn_blocking(move || {
        ManifestList::parse_with_version(&bytes, version).map(|list| list.entries().to_vec())
    });
    let damaged = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Unsupported, format!("table file \"{url}\" cannot be read")).with_source(source)
    };
    parsed.await.map_err(|panic| damaged(panic.into()))?.map_err(|error| damaged(error.into()))
}

/// None for a file that is not there.
pub(super) fn present<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind == ErrorKind::NotFound(ObjectKind::File) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The statistics files that a version of a table names.
pub fn statistics_files(metadata: &TableMetadata) -> BTreeSet<String> {
    let table = metadata.statistics_iter().map(|file| file.statistics_path.clone());
    let partitions = metadata.partition_statistics_iter().map(|file| file.statistics_path.clone());
    table.chain(partitions).collect()
}

/// Metadata files older than all that the table's log of them names. `names` are the files of its metadata folder.
pub fn old_metadata_files(metadata: &TableMetadata, current: &str, names: &[String]) -> Vec<String> {
    let logged: HashSet<&str> =
        metadata.metadata_log().iter().map(|entry| entry.metadata_file.as_str()).collect();
    let Some(oldest) = logged.iter().map(|url| metadata_version(url)).min() else { return Vec::new() };
    let is_old = |url: &&String| {
        let name = url.rsplit('/').next().unwrap_or_default();
        let is_metadata = name.ends_with(".metadata.json") && name.starts_with(|c: char| c.is_ascii_digit());
        let elsewhere = url.as_str() != current && !logged.contains(url.as_str());
        is_metadata && elsewhere && metadata_version(url) < oldest
    };
    names.iter().filter(is_old).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metadata_files_from_before_the_log_are_old() {
        let json = serde_json::json!({
            "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "memory:///t",
            "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 1, "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": []}],
            "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
            "metadata-log": [
                {"timestamp-ms": 1, "metadata-file": "memory:///t/metadata/00007-a.metadata.json"},
                {"timestamp-ms": 1, "metadata-file": "memory:///t/metadata/00008-b.metadata.json"},
            ],
        });
        let metadata: TableMetadata = serde_json::from_value(json).expect("the metadata is good");
        let names = ["00006-x", "00007-a", "00007-lost", "00008-b", "00009-now", "00010-coming", "backup"]
            .map(|name| format!("memory:///t/metadata/{name}.metadata.json"));
        let others = ["memory:///t/metadata/00001-snap.avro".to_owned()];
        let names = [&names[..], &others].concat();
        let old = old_metadata_files(&metadata, "memory:///t/metadata/00009-now.metadata.json", &names);
        assert_eq!(old, ["memory:///t/metadata/00006-x.metadata.json"]);
    }
}
