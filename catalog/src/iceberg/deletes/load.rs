//! Reads the delete files of a data file into the set of its rows that are deleted. Decoded files are kept as long as
//! their bytes fit the cache. A delete file that is not what the manifest says is an error: leaving it out would bring
//! deleted rows back, and following it would take rows of another file.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::spec::{DataFile, DataFileFormat, TableMetadata};
use roaring::RoaringTreemap;

use super::index::{FileDeletes, PositionDeletes, is_vector, referenced};
use super::positions::{self, DeletedRows};
use super::puffin::{self, BlobEntry, Footer};
use super::vector;
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::manifest::{LiveFile, READS_AT_ONCE, parse_bytes};
use crate::storage::{Checked, Storage};

/// Bytes of the largest deletion vector that is read: rows of a file of 2^32 rows, none of them in a run.
const VECTOR_BYTES_MAX: i64 = 1 << 29;

/// Bytes of the end of a Puffin file that are read at first: all of most.
const END_BYTES: u64 = 1 << 16;

/// The rows of a data file that position deletes take out of it. `data_file` is the file's URL as its manifest has it.
pub async fn deleted_positions(
    storage: &Storage,
    metadata: &TableMetadata,
    deletes: &FileDeletes,
    data_file: &str,
) -> Result<Arc<RoaringTreemap>> {
    let Some(positions) = &deletes.positions else { return Ok(Arc::default()) };
    let rows = match positions.vector() {
        Some(live) => vector_of(storage, metadata.location(), &live.file, data_file).await?,
        None => union(storage, metadata.location(), positions, data_file).await?,
    };
    match rows.max() {
        Some(last) if last >= positions.data_rows => {
            let names: Vec<&str> = positions.files.iter().map(|live| live.file.file_path()).collect();
            let detail =
                format!("It deletes row {last} of \"{data_file}\", which has {} rows.", positions.data_rows);
            Err(wrong(&names.join("\", \""), "does not belong to its data file").with_detail(detail))
        }
        _ => Ok(rows),
    }
}

async fn union(
    storage: &Storage,
    table: &str,
    positions: &PositionDeletes,
    data_file: &str,
) -> Result<Arc<RoaringTreemap>> {
    let reads: Vec<_> = positions.files.iter().map(|live| rows_of(storage, table, live, data_file)).collect();
    let read: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    let mut read = read.into_iter().flatten();
    let Some(first) = read.next() else { return Ok(Arc::default()) };
    let more: Vec<Arc<RoaringTreemap>> = read.collect();
    if more.is_empty() {
        return Ok(first);
    }
    let mut all = Arc::unwrap_or_clone(first);
    more.iter().for_each(|rows| all |= rows.as_ref());
    Ok(Arc::new(all))
}

/// What one position-delete file says of a data file.
async fn rows_of(
    storage: &Storage,
    table: &str,
    live: &LiveFile,
    data_file: &str,
) -> Result<Option<Arc<RoaringTreemap>>> {
    let decoded = decode_positions(storage, table, &live.file).await?;
    Ok(decoded.of_file.get(data_file).cloned())
}

async fn decode_positions(storage: &Storage, table: &str, file: &DataFile) -> Result<Arc<DeletedRows>> {
    let path = storage.guard().table_file(table, file.file_path())?;
    if is_vector(file) || file.file_format() != DataFileFormat::Parquet {
        let text =
            format!("delete file \"{path}\" is a {} file, and only Parquet is read", file.file_format());
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    encrypted(file, &path)?;
    let key = format!("position deletes of {table}: {path}");
    if let Some(decoded) = storage.decoded().get::<DeletedRows>(&key) {
        return Ok(decoded);
    }
    let bytes = storage.get(&path).await?;
    let decoded = parse_bytes(bytes, &path, positions::decode).await?;
    check(storage, table, file, &decoded)?;
    let weight = decoded.bytes();
    let decoded = Arc::new(decoded);
    storage.decoded().insert(key, decoded.clone(), weight);
    Ok(decoded)
}

/// A delete file that was swapped with another tells itself by its number of rows, or by the files it is about.
fn check(storage: &Storage, table: &str, file: &DataFile, decoded: &DeletedRows) -> Result<()> {
    if decoded.rows != file.record_count() {
        let detail = format!("It has {} rows, and its manifest says {}.", decoded.rows, file.record_count());
        return Err(wrong(file.file_path(), "is not the one that was committed").with_detail(detail));
    }
    let only = referenced(file);
    for path in decoded.of_file.keys() {
        let foreign = match &only {
            Some(only) => path != only,
            None => !path.starts_with(table) && storage.guard().table_file(table, path).is_err(),
        };
        if foreign {
            let detail = format!("It deletes rows of \"{path}\".");
            return Err(wrong(file.file_path(), "points to where it should not").with_detail(detail));
        }
    }
    Ok(())
}

/// The deletion vector of a data file: some bytes within a Puffin file.
async fn vector_of(
    storage: &Storage,
    table: &str,
    file: &DataFile,
    data_file: &str,
) -> Result<Arc<RoaringTreemap>> {
    let path = storage.guard().table_file(table, file.file_path())?;
    encrypted(file, &path)?;
    let place = place_of(file, &path)?;
    let key = format!("deletion vector of {table}: {path} {} {}", place.start, place.end);
    let rows = match storage.decoded().get::<RoaringTreemap>(&key) {
        Some(rows) => rows,
        None => {
            let end = end_of(storage, &path, file.file_size_in_bytes()).await?;
            check_blob(&end.blobs, &place, data_file, &path)?;
            let bytes: Bytes = match end.bytes_at(&place) {
                Some(bytes) => bytes,
                None => storage.get_range(&path, place).await?,
            };
            let rows = Arc::new(parse_bytes(bytes, &path, |bytes| vector::decode(&bytes)).await?);
            storage.decoded().insert(key, rows.clone(), vector::bytes(&rows));
            rows
        }
    };
    if rows.len() != file.record_count() {
        let detail = format!(
            "The deletion vector of \"{data_file}\" has {} rows, and its manifest says {}.",
            rows.len(),
            file.record_count()
        );
        return Err(wrong(path.as_str(), "is not the one that was committed").with_detail(detail));
    }
    Ok(rows)
}

/// Where a deletion vector is in its file, as its manifest says.
fn place_of(file: &DataFile, path: &Checked) -> Result<Range<u64>> {
    let (Some(offset), Some(length)) = (file.content_offset(), file.content_size_in_bytes()) else {
        return Err(wrong(path.as_str(), "holds a deletion vector that its manifest does not locate"));
    };
    let end = offset.checked_add(length).and_then(|end| u64::try_from(end).ok());
    let (Ok(start), Some(end)) = (u64::try_from(offset), end) else {
        return Err(wrong(path.as_str(), "holds a deletion vector at an impossible place"));
    };
    if end <= start || length > VECTOR_BYTES_MAX {
        return Err(wrong(path.as_str(), "holds a deletion vector of an impossible length"));
    }
    Ok(start..end)
}

/// The end of a Puffin file, and what its footer says.
struct End {
    /// None where the footer is compressed.
    blobs: Option<Arc<Vec<BlobEntry>>>,
    bytes: Bytes,
    begin: u64,
}

impl End {
    fn bytes_at(&self, place: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(place.start.checked_sub(self.begin)?).ok()?;
        let end = usize::try_from(place.end.checked_sub(self.begin)?).ok()?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

/// Reads the end of a Puffin file: mostly that is all of it. Its footer is kept.
async fn end_of(storage: &Storage, path: &Checked, stated: u64) -> Result<End> {
    let key = format!("footer of {path}");
    if let Some(blobs) = storage.decoded().get::<Vec<BlobEntry>>(&key) {
        return Ok(End { blobs: Some(blobs), bytes: Bytes::new(), begin: 0 });
    }
    let mut wanted = END_BYTES;
    loop {
        let begin = stated.saturating_sub(wanted);
        let bytes = storage.get_range(path, begin..stated).await?;
        let of_end = bytes.clone();
        let read = parse_bytes(of_end, path, |bytes| puffin::footer(&bytes)).await?;
        match read {
            Footer::Blobs(blobs) => {
                let weight = blobs.len() * size_of::<BlobEntry>() + bytes.len();
                let blobs = Arc::new(blobs);
                storage.decoded().insert(key, blobs.clone(), weight);
                return Ok(End { blobs: Some(blobs), bytes, begin });
            }
            Footer::Compressed => return Ok(End { blobs: None, bytes, begin }),
            Footer::Longer(needed) if begin > 0 => wanted = needed as u64,
            Footer::Longer(_) => return Err(wrong(path.as_str(), "has a footer that is longer than itself")),
        }
    }
}

/// A vector of another data file would take other rows away: what the manifest leads to must be what the file says it is.
fn check_blob(
    blobs: &Option<Arc<Vec<BlobEntry>>>,
    place: &Range<u64>,
    data_file: &str,
    path: &Checked,
) -> Result<()> {
    let Some(blobs) = blobs else { return Ok(()) };
    let lies_there = |blob: &&BlobEntry| {
        blob.kind == puffin::DELETION_VECTOR
            && blob.offset == place.start
            && blob.offset.checked_add(blob.length) == Some(place.end)
    };
    let Some(blob) = blobs.iter().find(lies_there) else {
        return Err(wrong(path.as_str(), "has no deletion vector where its manifest says"));
    };
    match blob.properties.get(puffin::REFERENCED_DATA_FILE) {
        Some(other) if other != data_file => {
            let detail = format!("It deletes rows of \"{other}\", and its manifest says of \"{data_file}\".");
            Err(wrong(path.as_str(), "points to where it should not").with_detail(detail))
        }
        _ => Ok(()),
    }
}

fn encrypted(file: &DataFile, path: &Checked) -> Result<()> {
    match file.key_metadata() {
        Some(_) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("delete file \"{path}\" is encrypted, and encrypted tables are not read yet"),
        )),
        None => Ok(()),
    }
}

fn wrong(path: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("delete file \"{path}\" {what}"))
        .with_hint("Restore the file, or roll the table back to a snapshot from before it.")
}
