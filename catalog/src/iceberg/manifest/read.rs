//! Which data files a snapshot has. Manifests are decoded once and kept as long as their bytes fit the cache.
//!
//! What an entry inherits from the manifest list is filled in here: sequence numbers, and the first row id of format
//! version 3, which the Iceberg crate leaves out (trap T6). Every path passes the guard before anybody sees it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::spec::{
    DataContentType, DataFile, Datum, ManifestContentType, ManifestEntry, ManifestFile, ManifestList,
    ManifestStatus, PartitionSpec, PrimitiveLiteral, SchemaRef, TableMetadata,
};

use super::uuids::parse_manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::basis::PROVISIONAL_ROW_ID;
use crate::storage::{Checked, Storage};

/// Manifests of one table that are read at the same time.
pub const READS_AT_ONCE: usize = 8;

/// A data file that is part of a snapshot.
#[derive(Debug, Clone)]
pub struct LiveFile {
    pub file: Arc<DataFile>,
    /// The partition spec that the file's partition values are of.
    pub spec_id: i32,
    /// The data sequence number: deletes of a higher or equal one apply.
    pub sequence_number: i64,
    pub file_sequence_number: i64,
    /// The snapshot that added the file.
    pub snapshot_id: i64,
    /// The row id of the file's first row, in format version 3.
    pub first_row_id: Option<i64>,
}

/// A manifest.
#[derive(Debug)]
pub struct Decoded {
    /// The schema that the manifest was written with; its bounds are of these types.
    pub schema: SchemaRef,
    pub spec: PartitionSpec,
    pub live: Vec<LiveFile>,
    /// Files that the snapshot which wrote the manifest took out of the table.
    pub gone: Vec<LiveFile>,
}

/// Tells the files of a table apart: deletion vectors share a file, and begin at different bytes of it.
pub type FileKey = (String, Option<i64>);

pub fn file_key(file: &DataFile) -> FileKey {
    (file.file_path().to_string(), file.content_offset())
}

/// All data files of a snapshot. A table with row-level deletes is refused: leaving the deletes out would bring
/// deleted rows back.
pub async fn live_files(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> Result<Vec<LiveFile>> {
    let manifests = manifest_list(storage, metadata, snapshot_id).await?;
    let data = manifests_without_deletes(&manifests)?;
    // Collected first: a closure that lives across the wait would keep the compiler from seeing that this is `Send`.
    let reads: Vec<_> =
        data.into_iter().map(|manifest| decode(storage, metadata.location(), manifest)).collect();
    let decoded: Vec<Arc<Decoded>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    Ok(decoded.iter().flat_map(|manifest| manifest.live.iter().cloned()).collect())
}

/// The manifests of a snapshot.
pub async fn manifest_list(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> Result<Arc<Vec<ManifestFile>>> {
    let Some(snapshot) = metadata.snapshot_by_id(snapshot_id) else {
        return Err(Error::invalid(format!("there is no snapshot {snapshot_id}"))
            .with_hint("It may have expired; the table's snapshots say which ones there are."));
    };
    if snapshot.encryption_key_id().is_some() {
        return Err(encrypted());
    }
    let file = storage.guard().table_file(metadata.location(), snapshot.manifest_list())?;
    let key = list_key(metadata.location(), file.as_str());
    if let Some(list) = storage.decoded().get::<Vec<ManifestFile>>(&key) {
        return Ok(list);
    }
    let list = Arc::new(read_list(storage, metadata, &file).await?);
    remember_list(storage, metadata.location(), file.as_str(), list.clone());
    Ok(list)
}

/// A manifest list from its file.
pub async fn read_list(
    storage: &Storage,
    metadata: &TableMetadata,
    file: &Checked,
) -> Result<Vec<ManifestFile>> {
    let version = metadata.format_version();
    let list = parse(storage, file, move |bytes| ManifestList::parse_with_version(bytes, version)).await?;
    Ok(list.entries().to_vec())
}

/// Keeps a manifest list for whoever reads or changes the table next.
pub fn remember_list(storage: &Storage, table_location: &str, url: &str, list: Arc<Vec<ManifestFile>>) {
    let bytes = list.iter().map(manifest_file_bytes).sum();
    storage.decoded().insert(list_key(table_location, url), list, bytes);
}

fn list_key(table_location: &str, url: &str) -> String {
    format!("manifest list of {table_location}: {url}")
}

/// The data manifests of a list, if none of the others still deletes rows.
pub fn manifests_without_deletes(manifests: &[ManifestFile]) -> Result<Vec<&ManifestFile>> {
    let deletes =
        |manifest: &&ManifestFile| manifest.content == ManifestContentType::Deletes && is_live(manifest);
    if manifests.iter().any(|manifest| deletes(&manifest)) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the table has row-level delete files, which this does not read",
        )
        .with_detail("Reading it without them would bring deleted rows back.")
        .with_hint(
            "Compact the table with the engine that wrote it, and set its properties write.delete.mode, \
                 write.update.mode and write.merge.mode to copy-on-write.",
        ));
    }
    Ok(manifests.iter().filter(|manifest| manifest.content == ManifestContentType::Data).collect())
}

/// True when a manifest may have entries that are part of the snapshot; counts that are missing may hide some.
pub fn is_live(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}

/// Reads one manifest of the table at `table_location`, or takes it from the cache.
pub async fn decode(
    storage: &Storage,
    table_location: &str,
    manifest: &ManifestFile,
) -> Result<Arc<Decoded>> {
    let key = manifest_key(storage, table_location, manifest)?;
    if let Some(decoded) = storage.decoded().get::<Decoded>(&key) {
        return Ok(decoded);
    }
    let decoded = Arc::new(decode_uncached(storage, table_location, manifest).await?);
    let bytes =
        decoded.live.iter().chain(&decoded.gone).map(live_file_bytes).sum::<usize>() + size_of::<Decoded>();
    storage.decoded().insert(key, decoded.clone(), bytes);
    Ok(decoded)
}

/// The name of a decoded manifest. What the entries inherit is part of it: an upgrade to version 3 gives old manifests
/// a first row id.
pub(super) fn manifest_key(
    storage: &Storage,
    table_location: &str,
    manifest: &ManifestFile,
) -> Result<String> {
    let file = storage.guard().table_file(table_location, &manifest.manifest_path)?;
    Ok(format!(
        "manifest of {table_location}: {file} {} {} {:?}",
        manifest.added_snapshot_id, manifest.sequence_number, manifest.first_row_id
    ))
}

/// Reads one manifest and keeps nothing.
pub(super) async fn decode_uncached(
    storage: &Storage,
    table_location: &str,
    manifest: &ManifestFile,
) -> Result<Decoded> {
    if manifest.key_metadata.is_some() {
        return Err(encrypted());
    }
    let file = storage.guard().table_file(table_location, &manifest.manifest_path)?;
    let (entries, metadata) = parse(storage, &file, parse_manifest).await?;
    let (live, gone) = inherit(entries.into_iter().map(Arc::unwrap_or_clone), manifest, &file)?;
    for entry in live.iter().chain(&gone) {
        storage.guard().table_file(table_location, entry.file.file_path())?;
        check_content(manifest.content, &entry.file, &file)?;
    }
    Ok(Decoded { schema: metadata.schema, spec: metadata.partition_spec, live, gone })
}

/// Reads and parses a file away from the async threads.
async fn parse<T: Send + 'static>(
    storage: &Storage,
    file: &Checked,
    parse: impl FnOnce(&[u8]) -> iceberg::Result<T> + Send + 'static,
) -> Result<T> {
    let bytes = storage.get(file).await?;
    parse_bytes(bytes, file, move |bytes| parse(&bytes)).await
}

/// Parses the content of a file away from the async threads. One that makes the parser panic is a damaged file.
pub async fn parse_bytes<
    T: Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
>(
    bytes: Bytes,
    file: &Checked,
    parse: impl FnOnce(Bytes) -> Result<T, E> + Send + 'static,
) -> Result<T> {
    let damaged = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Unsupported, format!("table file \"{file}\" cannot be read"))
            .with_source(source)
    };
    let parsed =
        tokio::task::spawn_blocking(move || parse(bytes)).await.map_err(|panic| damaged(panic.into()))?;
    parsed.map_err(|error| damaged(error.into()))
}

/// Parts the live entries from those that went, and fills in what they inherit (specification, "Sequence Number Inheritance" and "First Row ID
/// Inheritance").
fn inherit(
    entries: impl Iterator<Item = ManifestEntry>,
    manifest: &ManifestFile,
    file: &Checked,
) -> Result<(Vec<LiveFile>, Vec<LiveFile>)> {
    let (mut live, mut gone) = (Vec::new(), Vec::new());
    let mut next_row_id = manifest.first_row_id;
    for entry in entries {
        // Only what a manifest adds inherits; manifests of format version 1 have sequence number 0 throughout.
        let inherited = (entry.status == ManifestStatus::Added || manifest.sequence_number == 0)
            .then_some(manifest.sequence_number);
        let sequence_number = entry.sequence_number.or(inherited);
        let file_sequence_number = entry.file_sequence_number.or(inherited);
        let (Some(sequence_number), Some(file_sequence_number)) = (sequence_number, file_sequence_number)
        else {
            let text = format!("table file \"{file}\" has an existing entry without a sequence number");
            return Err(Error::new(ErrorKind::Unsupported, text));
        };
        let first_row_id = match (entry.data_file.first_row_id(), next_row_id) {
            (_, None) => None,
            (Some(own), _) => Some(own),
            (None, _) if !entry.is_alive() => None,
            (None, Some(next)) => {
                next_row_id = Some(next + entry.data_file.record_count());
                i64::try_from(next).ok()
            }
        };
        // Rows that a transaction has added and not committed have no ids yet.
        let first_row_id = first_row_id.filter(|first| u64::try_from(*first).is_ok_and(is_final));
        let list = if entry.is_alive() { &mut live } else { &mut gone };
        list.push(LiveFile {
            spec_id: manifest.partition_spec_id,
            sequence_number,
            file_sequence_number,
            snapshot_id: entry.snapshot_id.unwrap_or(manifest.added_snapshot_id),
            first_row_id,
            file: Arc::new(entry.data_file),
        });
    }
    Ok((live, gone))
}

fn is_final(row_id: u64) -> bool {
    row_id < PROVISIONAL_ROW_ID
}

/// A data file among the deletes, or the reverse, would be read as what it is not.
fn check_content(content: ManifestContentType, entry: &DataFile, manifest: &Checked) -> Result<()> {
    let is_data = entry.content_type() == DataContentType::Data;
    if is_data == (content == ManifestContentType::Data) {
        return Ok(());
    }
    let kind = if is_data { "a data file among delete files" } else { "a delete file among data files" };
    let text = format!("table file \"{manifest}\" lists \"{}\", {kind}", entry.file_path());
    Err(Error::new(ErrorKind::Unsupported, text))
}

fn encrypted() -> Error {
    Error::new(ErrorKind::Unsupported, "the table is encrypted, and encrypted tables are not read yet")
}

fn manifest_file_bytes(manifest: &ManifestFile) -> usize {
    let summaries = manifest.partitions.as_ref().map_or(0, |summaries| summaries.len() * 96);
    size_of::<ManifestFile>() + manifest.manifest_path.len() + summaries
}

/// Bytes that one entry takes in memory, allocations included.
pub(super) fn live_file_bytes(entry: &LiveFile) -> usize {
    size_of::<LiveFile>() + data_file_bytes(&entry.file)
}

/// Bytes that the description of a data file takes in memory; its Avro form is a little smaller.
pub(super) fn data_file_bytes(file: &DataFile) -> usize {
    // A hash map keeps up to half of its slots free, and a control byte per slot.
    let counts = |map: &HashMap<i32, u64>| map.capacity() * (size_of::<(i32, u64)>() + 1) * 8 / 7;
    let bounds = |map: &HashMap<i32, Datum>| {
        let slots = map.capacity() * (size_of::<(i32, Datum)>() + 1) * 8 / 7;
        slots + map.values().map(datum_heap_bytes).sum::<usize>()
    };
    size_of::<DataFile>()
        + file.file_path().len()
        + counts(file.column_sizes())
        + counts(file.value_counts())
        + counts(file.null_value_counts())
        + counts(file.nan_value_counts())
        + bounds(file.lower_bounds())
        + bounds(file.upper_bounds())
        + file.split_offsets().map_or(0, |offsets| offsets.len() * 8)
        + std::mem::size_of_val(file.partition().fields())
        + file.referenced_data_file().map_or(0, |path| path.len())
}

fn datum_heap_bytes(datum: &Datum) -> usize {
    match datum.literal() {
        PrimitiveLiteral::String(text) => text.len(),
        PrimitiveLiteral::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}
