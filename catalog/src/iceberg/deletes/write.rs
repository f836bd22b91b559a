//! Writes delete files: for each data file that loses rows one, which takes the place of those it has. In format version
//! 3 they are deletion vectors, all of a commit in one Puffin file; in version 2 position-delete files of one data file
//! each. It runs under the table's latch, so that what it merges with is what the table has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::metadata_columns::{RESERVED_FIELD_ID_DELETE_FILE_PATH, RESERVED_FIELD_ID_DELETE_FILE_POS};
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, TableMetadata,
};
use roaring::RoaringTreemap;

use super::index::{DeleteIndex, FileDeletes, PositionDeletes, SnapshotFiles, is_vector, referenced};
use super::load::deleted_positions;
use super::positions;
use super::puffin::Puffin;
use super::vector;
use crate::error::{Error, Result};
use crate::iceberg::data_file::build;
use crate::iceberg::location::delete_file_location;
use crate::iceberg::manifest::{FileKey, LiveFile, ManifestOutput, READS_AT_ONCE, file_key};
use crate::storage::Storage;

/// A data file that loses rows.
#[derive(Debug)]
pub struct Shrunk {
    pub data: LiveFile,
    /// Rows to be deleted; none when its delete files are only merged.
    pub rows: RoaringTreemap,
}

/// A data file with all the rows that its new delete file names.
#[derive(Debug)]
pub struct Merged {
    pub data: LiveFile,
    pub rows: RoaringTreemap,
    /// No row is left, whatever other delete files say.
    pub empty: bool,
}

/// Adds to the rows that are to be deleted those that a file's own delete files name already.
pub async fn merge_rows(
    storage: &Storage,
    metadata: &TableMetadata,
    deletes: &DeleteIndex,
    shrunk: Vec<Shrunk>,
) -> Result<Vec<Merged>> {
    let merges: Vec<_> = shrunk.into_iter().map(|each| merge_one(storage, metadata, deletes, each)).collect();
    stream::iter(merges).buffered(READS_AT_ONCE).try_collect().await
}

async fn merge_one(
    storage: &Storage,
    metadata: &TableMetadata,
    deletes: &DeleteIndex,
    shrunk: Shrunk,
) -> Result<Merged> {
    let Shrunk { data, rows: new } = shrunk;
    let path = data.file.file_path();
    let all = deletes.of(&data);
    let own = of_own(&all, metadata.format_version());
    let mut rows = deleted_positions(storage, metadata, &own, path).await?.as_ref().clone();
    rows |= new;
    if rows.max().is_some_and(|last| last >= data.file.record_count()) {
        let text = format!("row {:?} of \"{path}\" is to be deleted and does not exist", rows.max());
        return Err(Error::internal(text));
    }
    let mut everything = deleted_positions(storage, metadata, &all, path).await?.as_ref().clone();
    everything |= &rows;
    Ok(Merged { empty: everything.len() == data.file.record_count(), data, rows })
}

/// The delete files that a new one takes the place of: in version 3 all that name positions, in version 2 those of no
/// other data file.
fn of_own(all: &FileDeletes, format_version: FormatVersion) -> FileDeletes {
    let Some(positions) = &all.positions else { return FileDeletes::default() };
    let is_own = |live: &&LiveFile| format_version >= FormatVersion::V3 || is_of_one(&live.file);
    let files: Vec<LiveFile> = positions.files.iter().filter(is_own).cloned().collect();
    let positions =
        (!files.is_empty()).then(|| Arc::new(PositionDeletes { files, data_rows: positions.data_rows }));
    FileDeletes { positions, equality: Vec::new() }
}

fn is_of_one(file: &DataFile) -> bool {
    is_vector(file) || referenced(file).is_some()
}

/// The delete files that apply to nothing once these data files are gone and those have new delete files. Equality
/// deletes that are newer than `rewritten_at`, the data sequence number of rewritten files, stay for their sake.
pub fn superseded(
    files: &SnapshotFiles,
    removed: &HashSet<&str>,
    replaced: &HashSet<&str>,
    format_version: FormatVersion,
    rewritten_at: Option<i64>,
) -> Vec<LiveFile> {
    let mut needed: HashSet<FileKey> = HashSet::new();
    for data in files.data.iter().filter(|data| !removed.contains(data.file.file_path())) {
        let all = files.deletes.of(data);
        let own = |live: &LiveFile| format_version >= FormatVersion::V3 || is_of_one(&live.file);
        let is_replaced = replaced.contains(data.file.file_path());
        let positions = all.positions.iter().flat_map(|positions| &positions.files);
        needed.extend(positions.filter(|live| !is_replaced || !own(live)).map(|live| file_key(&live.file)));
        needed.extend(all.equality.iter().map(|live| file_key(&live.file)));
    }
    let for_rewritten = |live: &LiveFile| {
        live.file.content_type() == DataContentType::EqualityDeletes
            && rewritten_at.is_some_and(|at| live.sequence_number > at)
    };
    let unneeded = |live: &&LiveFile| !needed.contains(&file_key(&live.file)) && !for_rewritten(live);
    files.deletes.files().iter().filter(unneeded).cloned().collect()
}

/// Writes the delete files; gives each with its partition spec.
pub async fn write_deletes(
    output: &mut ManifestOutput<'_>,
    merged: &[Merged],
) -> Result<Vec<(i32, DataFile)>> {
    if merged.is_empty() {
        return Ok(Vec::new());
    }
    if output.format_version >= FormatVersion::V3 {
        return write_vectors(output, merged).await;
    }
    let mut writes = Vec::with_capacity(merged.len());
    for (number, each) in merged.iter().enumerate() {
        let url = delete_file_location(output.table, output.write, &output.attempt, number, "parquet");
        output.files.push(url.clone());
        writes.push(write_positions(output.storage, output.table, url, each));
    }
    stream::iter(writes).buffered(READS_AT_ONCE).try_collect().await
}

async fn write_vectors(output: &mut ManifestOutput<'_>, merged: &[Merged]) -> Result<Vec<(i32, DataFile)>> {
    let url = delete_file_location(output.table, output.write, &output.attempt, 0, "puffin");
    let mut puffin = Puffin::new();
    let mut places = Vec::with_capacity(merged.len());
    for Merged { data, rows, .. } in merged {
        let blob = vector::encode(rows)
            .map_err(|source| Error::internal("a deletion vector cannot be written").with_source(source))?;
        places.push((puffin.add(data.file.file_path(), rows.len(), &blob), blob.len()));
    }
    let content = puffin.finish();
    let bytes = content.len() as u64;
    output.files.push(url.clone());
    let path = output.storage.guard().table_file(output.table, &url)?;
    output.storage.put(&path, content.into()).await?;
    let describe = |(each, (offset, length)): (&Merged, (usize, usize))| {
        let mut builder = description(&url, DataFileFormat::Puffin, bytes, each);
        builder.content_offset(i64::try_from(offset).ok()).content_size_in_bytes(i64::try_from(length).ok());
        Ok((each.data.spec_id, build(&builder)?))
    };
    merged.iter().zip(places).map(describe).collect()
}

async fn write_positions(
    storage: &Arc<Storage>,
    table: &str,
    url: String,
    merged: &Merged,
) -> Result<(i32, DataFile)> {
    let data_file = merged.data.file.file_path().to_string();
    let rows = merged.rows.clone();
    let (first, last) = (rows.min().unwrap_or(0), rows.max().unwrap_or(0));
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::internal("a position-delete file cannot be written").with_source(source)
    };
    let encoded = tokio::task::spawn_blocking({
        let data_file = data_file.clone();
        move || positions::encode(&data_file, &rows)
    });
    let content = encoded.await.map_err(|panic| failed(panic.into()))?.map_err(failed)?;
    let mut builder = description(&url, DataFileFormat::Parquet, content.len() as u64, merged);
    storage.put(&storage.guard().table_file(table, &url)?, content.into()).await?;
    let (path, position) = (RESERVED_FIELD_ID_DELETE_FILE_PATH, RESERVED_FIELD_ID_DELETE_FILE_POS);
    // Equal bounds tell readers of before `referenced_data_file` that the deletes are of this file alone.
    let bounds = |row: u64| {
        let row = i64::try_from(row).unwrap_or(i64::MAX);
        HashMap::from([(path, Datum::string(&data_file)), (position, Datum::long(row))])
    };
    let counts = |count: u64| HashMap::from([(path, count), (position, count)]);
    builder
        .lower_bounds(bounds(first))
        .upper_bounds(bounds(last))
        .value_counts(counts(merged.rows.len()))
        .null_value_counts(counts(0))
        .split_offsets(Some(vec![4]));
    Ok((merged.data.spec_id, build(&builder)?))
}

/// What both kinds of delete files have: the partition is that of the data file.
fn description(url: &str, format: DataFileFormat, bytes: u64, merged: &Merged) -> DataFileBuilder {
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::PositionDeletes)
        .file_path(url.to_string())
        .file_format(format)
        .partition(merged.data.file.partition().clone())
        .partition_spec_id(merged.data.spec_id)
        .record_count(merged.rows.len())
        .file_size_in_bytes(bytes)
        .referenced_data_file(Some(merged.data.file.file_path().to_string()));
    builder
}
