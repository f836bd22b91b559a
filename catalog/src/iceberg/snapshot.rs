//! Turns a write into a new version of its table: manifests, manifest list and metadata.json in object storage, and the
//! pointer that the commit will store (design, "Commit"). Nobody sees any of it until the pointer moves.
//!
//! ```text
//! start      which version to build on, or Conflict      pure
//! removal    which live files go, or Conflict            reads manifests
//! manifests  new, rewritten and merged ones              writes
//! snapshot   manifest list -> Snapshot                   writes
//! metadata   builder -> metadata.json, only if absent    writes
//! ```
//!
//! It must never move a pointer, and it runs inside the table's latch, so the head it is given is the head.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use iceberg::io::Storage as _;
use iceberg::spec::{
    DataContentType, FormatVersion, MAIN_BRANCH, ManifestFile, ManifestListWriter,
    Operation as SnapshotOperation, Snapshot, Summary, TableMetadata,
};

use super::basis::{Basis, PROVISIONAL_ROW_ID};
use super::location::{manifest_list_location, metadata_location, metadata_version};
use super::manifest::{
    Entry, LiveFile, ManifestOutput, Removal, live_files, manifest_list, merge, remove,
    version_1_is_not_written,
};
use super::metadata::{pointer_to, updated_at};
use super::summary::{Figures, stated_totals, summarize};
use super::update::update;
use super::write::{Operation, Produced, TableWrite, Target};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::object::TablePointer;
use crate::storage::{Storage, TableStorage};

/// The version of the table that the new one follows.
#[derive(Debug)]
struct Start {
    metadata: TableMetadata,
    /// Where the version before is written; none for a new table.
    previous: Option<String>,
    /// Number of the new metadata file.
    version: u32,
}

/// Writes the metadata of a new version of a table. When this fails, what it had written is deleted.
pub async fn produce(
    storage: &Arc<Storage>,
    env: &dyn Env,
    write: &TableWrite,
    basis: Basis<'_>,
) -> Result<Produced> {
    let start = start(write, basis.head)?;
    check_added(storage, write, &start.metadata)?;
    let table = start.metadata.location().to_string();
    let mut files = Vec::new();
    match build(storage, env, write, &basis, start, &mut files).await {
        Ok((metadata, json, location)) => {
            Ok(Produced { pointer: pointer_to(&metadata, location), metadata, json, files })
        }
        Err(error) => {
            delete_written(storage, &table, &files).await;
            Err(error)
        }
    }
}

/// Decides what to build on. An append to a table that has grown since is an append to the grown table; a table whose
/// columns or partitioning have changed since is another table, and the files that were made do not fit it. Pure.
fn start(write: &TableWrite, head: Option<(&TableMetadata, &TablePointer)>) -> Result<Start> {
    let follow = |metadata: &TableMetadata, pointer: &TablePointer| Start {
        metadata: metadata.clone(),
        previous: Some(pointer.metadata_location.clone()),
        version: metadata_version(&pointer.metadata_location) + 1,
    };
    match (&write.target, head) {
        (Target::New(metadata), None) => {
            Ok(Start { metadata: metadata.as_ref().clone(), previous: None, version: 0 })
        }
        // An earlier write of the same transaction made it, and this one fills it.
        (Target::New(made), Some((metadata, pointer))) if made.uuid() == metadata.uuid() => {
            Ok(follow(metadata, pointer))
        }
        (Target::New(_), Some(_)) => {
            Err(Error::internal(format!("table {} exists and is made again", write.name)))
        }
        (_, None) => Err(conflict(write, "was dropped")),
        (Target::Replace { staged, base }, Some((_, pointer))) if pointer == base => {
            Ok(follow(staged, pointer))
        }
        (Target::Replace { .. }, Some(_)) => Err(conflict(write, "was changed")),
        (Target::Existing { base }, Some((metadata, pointer))) => {
            let base = &base.metadata;
            if metadata.uuid() != base.uuid() {
                return Err(conflict(write, "was dropped and made again"));
            }
            let differs = metadata.current_schema_id() != base.current_schema_id()
                || metadata.default_partition_spec_id() != base.default_partition_spec_id();
            if differs && !matches!(write.operation, Operation::Update { .. }) {
                return Err(conflict(write, "was given other columns or another partitioning"));
            }
            Ok(follow(metadata, pointer))
        }
    }
}

/// Asserts what the writer of the files promised. A file elsewhere would be read with our credentials for ever after.
fn check_added(storage: &Storage, write: &TableWrite, metadata: &TableMetadata) -> Result<()> {
    let fields = metadata.default_partition_spec().fields().len();
    for file in &write.added {
        storage.guard().table_file(metadata.location(), file.file_path())?;
        if file.content_type() != DataContentType::Data || file.partition().fields().len() != fields {
            let text = format!("file \"{}\" does not fit table {}", file.file_path(), write.name);
            return Err(Error::internal(text));
        }
    }
    let may_add =
        !matches!(write.operation, Operation::CreateEmpty | Operation::Truncate | Operation::Update { .. });
    if may_add || write.added.is_empty() {
        return Ok(());
    }
    Err(Error::internal(format!("{:?} of table {} adds files", write.operation, write.name)))
}

async fn build(
    storage: &Arc<Storage>,
    env: &dyn Env,
    write: &TableWrite,
    basis: &Basis<'_>,
    start: Start,
    files: &mut Vec<String>,
) -> Result<(TableMetadata, Bytes, String)> {
    let Start { metadata, previous, version } = start;
    let table = metadata.location().to_string();
    let metadata = match &write.operation {
        Operation::CreateEmpty => create_empty(env, metadata, previous)?,
        Operation::Update { requirements, updates } => {
            update(metadata, previous, requirements, updates, env.now_ms())?
        }
        _ => {
            let snapshot = add_snapshot(storage, env, write, basis, &metadata, files).await?;
            metadata.into_builder(previous).set_branch_snapshot(snapshot, MAIN_BRANCH)?.build()?.metadata
        }
    };
    let json = serde_json::to_vec(&metadata)
        .map_err(|source| Error::internal("table metadata cannot be written as JSON").with_source(source))?;
    let json = Bytes::from(json);
    let location = metadata_location(&table, version, write.write);
    if basis.staged {
        return Ok((metadata, json, location));
    }
    files.push(location.clone());
    let put = storage.put_if_absent(&storage.guard().table_file(&table, &location)?, json.clone()).await;
    if put.as_ref().is_err_and(|error| matches!(error.kind, ErrorKind::AlreadyExists(_))) {
        // It is somebody else's, so it is not ours to delete.
        files.pop();
    }
    put.map(|()| (metadata, json, location))
}

fn create_empty(env: &dyn Env, metadata: TableMetadata, previous: Option<String>) -> Result<TableMetadata> {
    let Some(previous) = previous else { return Ok(metadata) };
    let now_ms = env.now_ms().max(metadata.last_updated_ms());
    updated_at(metadata.into_builder(Some(previous)).build()?.metadata, now_ms, None)
}

/// Writes the manifests and the manifest list of the next snapshot.
async fn add_snapshot(
    storage: &Arc<Storage>,
    env: &dyn Env,
    write: &TableWrite,
    basis: &Basis<'_>,
    metadata: &TableMetadata,
    files: &mut Vec<String>,
) -> Result<Snapshot> {
    if metadata.format_version() == FormatVersion::V1 {
        return Err(version_1_is_not_written());
    }
    let parent = metadata.current_snapshot();
    let removal = removal(write, metadata);
    check_unchanged(storage, write, basis, &removal).await?;
    let before = match parent {
        Some(parent) => totals(storage, metadata, parent).await?,
        None => Figures::default(),
    };
    let manifests = match parent {
        Some(parent) => manifest_list(storage, metadata, parent.snapshot_id()).await?,
        None => Arc::default(),
    };
    let snapshot_id = basis.snapshot_id.unwrap_or_else(|| new_snapshot_id(env, metadata));
    let mut output = ManifestOutput {
        storage,
        table: metadata.location(),
        format_version: metadata.format_version(),
        snapshot_id,
        write: write.write,
        begun: 0,
        files,
    };
    let added = write.added.iter().cloned().map(Entry::Added).collect();
    let mut all = output.write(metadata.current_schema(), metadata.default_partition_spec(), added).await?;
    let (kept, removed) = remove(&mut output, &manifests, &removal).await?;
    all.extend(merge(&mut output, metadata, kept).await?);
    let summary = Summary {
        operation: match write.operation {
            Operation::CreateEmpty | Operation::Append => SnapshotOperation::Append,
            Operation::OverwriteAll | Operation::OverwritePartitions => SnapshotOperation::Overwrite,
            Operation::Truncate => SnapshotOperation::Delete,
            Operation::RowDelta(_) | Operation::Rewrite(_) | Operation::Update { .. } => {
                return Err(not_yet(&write.operation));
            }
        },
        additional_properties: summarize(
            &write.added,
            &removed,
            before,
            parent.map(AsRef::as_ref),
            write.write,
        ),
    };
    let timestamp_ms = snapshot_time(env, metadata);
    let first_row_id = if basis.staged { PROVISIONAL_ROW_ID } else { metadata.next_row_id() };
    write_list(&mut output, metadata, all, summary, timestamp_ms, first_row_id).await
}

/// Writes the manifest list, which gives the new manifests their sequence number and, in version 3, their row ids.
async fn write_list(
    output: &mut ManifestOutput<'_>,
    metadata: &TableMetadata,
    manifests: Vec<ManifestFile>,
    summary: Summary,
    timestamp_ms: i64,
    first_row_id: u64,
) -> Result<Snapshot> {
    let id = output.snapshot_id;
    let parent = metadata.current_snapshot_id();
    let sequence_number = metadata.next_sequence_number();
    let url = manifest_list_location(output.table, id, output.write);
    let file = TableStorage::new(output.storage.clone(), output.table).writer(&url).await?;
    output.files.push(url.clone());
    let mut list = match metadata.format_version() {
        FormatVersion::V1 => return Err(version_1_is_not_written()),
        FormatVersion::V2 => ManifestListWriter::v2(file, id, parent, sequence_number),
        FormatVersion::V3 => ManifestListWriter::v3(file, id, parent, sequence_number, Some(first_row_id)),
    };
    list.add_manifests(manifests.into_iter())?;
    let next_row_id = list.next_row_id();
    list.close().await?;
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(parent)
        .with_sequence_number(sequence_number)
        .with_timestamp_ms(timestamp_ms)
        .with_manifest_list(url)
        .with_summary(summary)
        .with_schema_id(metadata.current_schema_id());
    Ok(match next_row_id {
        Some(next) => snapshot.with_row_range(first_row_id, next - first_row_id).build(),
        None => snapshot.build(),
    })
}

/// Which files go. An unpartitioned table is one partition.
fn removal(write: &TableWrite, metadata: &TableMetadata) -> Removal {
    let spec = metadata.default_partition_spec();
    match write.operation {
        Operation::CreateEmpty
        | Operation::Append
        | Operation::RowDelta(_)
        | Operation::Rewrite(_)
        | Operation::Update { .. } => Removal::None,
        Operation::OverwriteAll | Operation::Truncate => Removal::All,
        Operation::OverwritePartitions if spec.fields().is_empty() => Removal::All,
        Operation::OverwritePartitions => Removal::Partitions {
            spec_id: spec.spec_id(),
            partitions: write.added.iter().map(|file| file.partition().clone()).collect::<HashSet<_>>(),
        },
    }
}

/// An overwrite replaces what its statement could see. If somebody has added or removed files there since, their rows
/// would go unseen, so that is a conflict. A truncation asks for nothing but emptiness and follows whatever came before.
async fn check_unchanged(
    storage: &Storage,
    write: &TableWrite,
    basis: &Basis<'_>,
    removal: &Removal,
) -> Result<()> {
    let Some((base, head)) = basis.changed_between(write) else { return Ok(()) };
    if matches!(write.operation, Operation::Truncate)
        || matches!(removal, Removal::None)
        || base.current_snapshot_id() == head.current_snapshot_id()
    {
        return Ok(());
    }
    let unchanged = matches!(removal, Removal::Partitions { .. })
        && taken(storage, base, removal).await? == taken(storage, head, removal).await?;
    if unchanged { Ok(()) } else { Err(conflict(write, "was changed where this statement overwrites it")) }
}

/// The files of a version that a removal takes.
async fn taken(storage: &Storage, metadata: &TableMetadata, removal: &Removal) -> Result<BTreeSet<String>> {
    let Some(snapshot_id) = metadata.current_snapshot_id() else { return Ok(BTreeSet::new()) };
    let mut taken = BTreeSet::new();
    for live in live_files(storage, metadata, snapshot_id).await? {
        if removal.takes(&live)? {
            taken.insert(live.file.file_path().to_string());
        }
    }
    Ok(taken)
}

/// Totals of the parent: those it states, or, where an engine left them out, those of its files.
async fn totals(storage: &Storage, metadata: &TableMetadata, parent: &Snapshot) -> Result<Figures> {
    if let Some(stated) = stated_totals(parent) {
        return Ok(stated);
    }
    let live: Vec<LiveFile> = live_files(storage, metadata, parent.snapshot_id()).await?;
    Ok(Figures::of(live.iter().map(|live| live.file.as_ref())))
}

/// Snapshots of one table never share a time, so that time travel by time has one answer, even when the clock goes back.
fn snapshot_time(env: &dyn Env, metadata: &TableMetadata) -> i64 {
    let step = i64::from(metadata.current_snapshot_id().is_some());
    env.now_ms().max(metadata.last_updated_ms() + step)
}

fn new_snapshot_id(env: &dyn Env, metadata: &TableMetadata) -> i64 {
    loop {
        let mut random = [0; 8];
        env.random(&mut random);
        // Iceberg's ids are positive by custom.
        let id = i64::from_be_bytes(random) & i64::MAX;
        if id != 0 && metadata.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

/// Deletes the files of a version that will not be. What cannot be deleted now is found by the write's intent later.
async fn delete_written(storage: &Storage, table: &str, files: &[String]) {
    for url in files {
        let deleted = match storage.guard().table_file(table, url) {
            Ok(file) => storage.delete(&file).await,
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            tracing::warn!(file = %url, %error, "a file of a failed commit stays until the next sweep");
        }
    }
}

fn not_yet(operation: &Operation) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{operation:?}"))
}

fn conflict(write: &TableWrite, what: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("table {} {what} by another transaction", write.name))
        .with_hint("Run the statement again.")
}
