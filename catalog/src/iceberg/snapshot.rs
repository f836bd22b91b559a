//! Turns a write into a new version of its table: delete files, manifests, manifest list and metadata.json in object
//! storage, and the pointer that the commit will store (design, "Commit"). Nobody sees any of it until the pointer moves.
//!
//! ```text
//! start      which version to build on, or Conflict      pure
//! validate   what others have done since, or Conflict    reads manifests and delete files
//! changes    which live files go; new delete files       writes
//! manifests  new, rewritten and merged ones              writes
//! snapshot   manifest list -> Snapshot                   writes
//! metadata   builder -> metadata.json, only if absent    writes
//! ```
//!
//! It must never move a pointer, and it runs inside the table's latch, so the head it is given is the head.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::io::Storage as _;
use iceberg::spec::{
    DataFile, FormatVersion, ManifestContentType, ManifestFile, ManifestListWriter,
    Operation as SnapshotOperation, PartitionSpecRef, SchemaRef, Snapshot, Summary, TableMetadata,
    UNASSIGNED_SEQUENCE_NUMBER,
};

use super::basis::{Basis, PROVISIONAL_ROW_ID};
use super::changes::{Changes, changes};
use super::check::check_branch;
use super::deletes::{SnapshotFiles, snapshot_files};
use super::location::{manifest_list_location, metadata_location};
use super::manifest::{
    Entry, ManifestOutput, manifest_list, merge, remember_list, remove, version_1_is_not_written,
};
use super::metadata::{pointer_to, updated_at};
use super::start::{Start, branch_head, check_added, start, written_for};
use super::summary::{Figures, stated_totals, summarize};
use super::update::update;
use super::validate::validate;
use super::write::{Operation, Produced, TableWrite};
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{HeldFiles, Storage};

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

async fn build(
    storage: &Arc<Storage>,
    env: &dyn Env,
    write: &TableWrite,
    basis: &Basis<'_>,
    start: Start,
    files: &mut Vec<String>,
) -> Result<(TableMetadata, Bytes, String)> {
    let Start { metadata, previous, version } = start;
    let held = HeldFiles::default();
    let table = metadata.location().to_string();
    let metadata = match &write.operation {
        Operation::CreateEmpty => create_empty(env, metadata, previous)?,
        Operation::Update { requirements, updates } => {
            update(metadata, previous, requirements, updates, env.now_ms())?
        }
        _ => {
            validate(storage, write, basis).await?;
            let snapshot = add_snapshot(storage, env, write, basis, &metadata, &held, files).await?;
            metadata.into_builder(previous).set_branch_snapshot(snapshot, &write.branch)?.build()?.metadata
        }
    };
    let json = serde_json::to_vec(&metadata)
        .map_err(|source| Error::internal("table metadata cannot be written as JSON").with_source(source))?;
    let json = Bytes::from(json);
    let location = metadata_location(&table, version, write.write);
    if basis.staged {
        held.write(storage).await?;
    } else {
        // None of these files means anything before the pointer moves, so they need not wait for each other.
        let file = storage.guard().table_file(&table, &location)?;
        let (put, written) = futures::join!(storage.put_if_absent(&file, json.clone()), held.write(storage));
        if !put.as_ref().is_err_and(|error| matches!(error.kind, ErrorKind::AlreadyExists(_))) {
            // Else it is somebody else's, so it is not ours to delete.
            files.push(location.clone());
        }
        put.and(written)?;
    }
    if cfg!(debug_assertions) {
        check_branch(storage, &metadata, &write.branch).await?;
    }
    Ok((metadata, json, location))
}

fn create_empty(env: &dyn Env, metadata: TableMetadata, previous: Option<String>) -> Result<TableMetadata> {
    let Some(previous) = previous else { return Ok(metadata) };
    let now_ms = env.now_ms().max(metadata.last_updated_ms());
    updated_at(metadata.into_builder(Some(previous)).build()?.metadata, now_ms, None)
}

/// Writes the delete files, the manifests and the manifest list of the next snapshot.
async fn add_snapshot(
    storage: &Arc<Storage>,
    env: &dyn Env,
    write: &TableWrite,
    basis: &Basis<'_>,
    metadata: &TableMetadata,
    held: &HeldFiles,
    files: &mut Vec<String>,
) -> Result<Snapshot> {
    if metadata.format_version() == FormatVersion::V1 {
        return Err(version_1_is_not_written());
    }
    let parent = branch_head(metadata, &write.branch)?;
    let manifests = match parent {
        Some(parent) => manifest_list(storage, metadata, parent.snapshot_id()).await?,
        None => Arc::default(),
    };
    let mut output = ManifestOutput {
        storage,
        table: metadata.location(),
        format_version: metadata.format_version(),
        snapshot_id: basis.snapshot_id.unwrap_or_else(|| new_snapshot_id(env, metadata)),
        write: write.write,
        attempt: attempt(env),
        held: held.clone(),
        begun: 0,
        files,
    };
    let stated = parent.and_then(stated_totals);
    let live = match parent {
        Some(parent) if stated.is_none() || !matches!(write.operation, Operation::Append) => {
            snapshot_files(storage, metadata, parent.snapshot_id()).await?
        }
        _ => SnapshotFiles::default(),
    };
    let changes = changes(&mut output, write, metadata, &live).await?;
    let mut all = add_files(&mut output, write, metadata, &changes).await?;
    let gone: Vec<_> = changes.removed.iter().chain(&changes.removed_deletes).cloned().collect();
    let kept = remove(&mut output, &manifests, &gone).await?;
    let at_once = matches!(&write.operation, Operation::Rewrite(rewrite) if rewrite.merge_manifests);
    all.extend(merge(&mut output, metadata, kept, at_once).await?);
    let before = stated.unwrap_or_else(|| Figures::of_snapshot(&live));
    let summary = Summary {
        operation: operation(write, &changes),
        additional_properties: summarize(&write.added, &changes, before, write.write),
    };
    let list = List {
        parent: parent.map(Snapshot::snapshot_id),
        timestamp_ms: snapshot_time(env, metadata),
        first_row_id: if basis.staged { PROVISIONAL_ROW_ID } else { metadata.next_row_id() },
        summary,
    };
    write_list(&mut output, metadata, all, list).await
}

/// What a snapshot did, in the words of the specification.
fn operation(write: &TableWrite, changes: &Changes) -> SnapshotOperation {
    match write.operation {
        Operation::CreateEmpty | Operation::Append | Operation::Update { .. } => SnapshotOperation::Append,
        Operation::OverwriteAll | Operation::OverwritePartitions => SnapshotOperation::Overwrite,
        Operation::Truncate => SnapshotOperation::Delete,
        Operation::Rewrite(_) => SnapshotOperation::Replace,
        Operation::RowDelta(_) if write.added.is_empty() => SnapshotOperation::Delete,
        Operation::RowDelta(_) if changes.is_empty() => SnapshotOperation::Append,
        Operation::RowDelta(_) => SnapshotOperation::Overwrite,
    }
}

/// Writes the manifests of the files that come.
async fn add_files(
    output: &mut ManifestOutput<'_>,
    write: &TableWrite,
    metadata: &TableMetadata,
    changes: &Changes,
) -> Result<Vec<ManifestFile>> {
    let sequence = match &write.operation {
        Operation::Rewrite(rewrite) => rewrite.data_sequence_number,
        _ => None,
    };
    let made_for = written_for(write);
    let schema = metadata.schema_by_id(made_for.current_schema_id());
    let spec = spec_of(metadata, made_for.default_partition_spec_id())?;
    let added = write.added.iter().map(|file| Entry::Added(file.clone(), sequence)).collect();
    let schema = schema.unwrap_or_else(|| metadata.current_schema());
    let mut all = output.write(schema, spec, ManifestContentType::Data, added).await?;
    let mut deletes: BTreeMap<i32, Vec<&DataFile>> = BTreeMap::new();
    for (spec, file) in &changes.added_deletes {
        deletes.entry(*spec).or_default().push(file);
    }
    for (spec, files) in deletes {
        let spec = spec_of(metadata, spec)?;
        let entries = files.into_iter().map(|file| Entry::Added(file.clone(), None)).collect();
        let schema = schema_for(metadata, spec);
        all.extend(output.write(schema, spec, ManifestContentType::Deletes, entries).await?);
    }
    Ok(all)
}

fn spec_of(metadata: &TableMetadata, spec_id: i32) -> Result<&PartitionSpecRef> {
    metadata.partition_spec_by_id(spec_id).ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            format!("the table has files of partition spec {spec_id}, and no such spec"),
        )
    })
}

/// A schema that has the source columns of a spec: of an old spec they may have been dropped since.
fn schema_for<'a>(metadata: &'a TableMetadata, spec: &PartitionSpecRef) -> &'a SchemaRef {
    let current = metadata.current_schema();
    let fits = |schema: &&SchemaRef| spec.partition_type(schema).is_ok();
    if fits(&current) {
        return current;
    }
    metadata.schemas_iter().filter(fits).max_by_key(|schema| schema.schema_id()).unwrap_or(current)
}

/// What goes into a snapshot besides its manifests.
struct List {
    parent: Option<i64>,
    timestamp_ms: i64,
    first_row_id: u64,
    summary: Summary,
}

/// Writes the manifest list, which gives the new manifests their sequence number and, in version 3, their row ids.
async fn write_list(
    output: &mut ManifestOutput<'_>,
    metadata: &TableMetadata,
    manifests: Vec<ManifestFile>,
    snapshot: List,
) -> Result<Snapshot> {
    let List { parent, timestamp_ms, first_row_id, summary } = snapshot;
    let id = output.snapshot_id;
    let sequence_number = metadata.next_sequence_number();
    let url = manifest_list_location(output.table, id, output.write, &output.attempt);
    let file = output.store().writer(&url).await?;
    output.files.push(url.clone());
    let mut list = match metadata.format_version() {
        FormatVersion::V1 => return Err(version_1_is_not_written()),
        FormatVersion::V2 => ManifestListWriter::v2(file, id, parent, sequence_number),
        FormatVersion::V3 => ManifestListWriter::v3(file, id, parent, sequence_number, Some(first_row_id)),
    };
    list.add_manifests(manifests.iter().cloned())?;
    let next_row_id = list.next_row_id();
    list.close().await?;
    let manifests = assigned(manifests, sequence_number, next_row_id.map(|_| first_row_id));
    remember_list(output.storage, output.table, &url, manifests.into());
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

/// The manifests as the list that was just written has them: with the snapshot's sequence number where they had none,
/// and in version 3 with the first of their row ids.
fn assigned(
    mut manifests: Vec<ManifestFile>,
    sequence_number: i64,
    mut next_row_id: Option<u64>,
) -> Vec<ManifestFile> {
    for manifest in &mut manifests {
        for number in [&mut manifest.sequence_number, &mut manifest.min_sequence_number] {
            *number = if *number == UNASSIGNED_SEQUENCE_NUMBER { sequence_number } else { *number };
        }
        if manifest.content == ManifestContentType::Deletes {
            manifest.first_row_id = None;
        } else if let (None, Some(next)) = (manifest.first_row_id, next_row_id) {
            manifest.first_row_id = Some(next);
            let rows = manifest.existing_rows_count.unwrap_or(0) + manifest.added_rows_count.unwrap_or(0);
            next_row_id = Some(next + rows);
        }
    }
    manifests
}

/// Names the files of one attempt to write a snapshot.
fn attempt(env: &dyn Env) -> String {
    let mut random = [0; 4];
    env.random(&mut random);
    format!("{:08x}", u32::from_be_bytes(random))
}

/// Snapshots of one table never share a time, so that time travel by time has one answer, even when the clock goes back.
fn snapshot_time(env: &dyn Env, metadata: &TableMetadata) -> i64 {
    let step = i64::from(metadata.snapshots().len() > 0);
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
