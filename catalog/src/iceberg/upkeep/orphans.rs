//! The files of a table's folder that nothing leads to: leftovers of other engines' failed writes, for example.
//! The listing is streamed; of the files that are in use only a hash is kept. A hash that two files share keeps an orphan
//! alive and never takes a file away. It must never delete. Next: `../../catalog/upkeep.rs`, which does.
//!
//! A listing that does not show every file that the table has cannot be trusted: the paths may be spelled otherwise in
//! the listing than in the metadata, and then everything would look like an orphan. So that is an error.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use futures::TryStreamExt;
use iceberg::spec::TableMetadata;

use super::reach::{present, read_list, statistics_files};
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::manifest::{decode, manifest_list};
use crate::reader::TableVersion;
use crate::storage::{Checked, Storage};

/// No file younger than this is an orphan: 24 hours. A write of another engine may still be on its way to its commit.
pub const ORPHAN_AGE_MIN_MS: i64 = 24 * 60 * 60 * 1000;

/// Orphans that one run finds; the next finds the others.
const ORPHANS_MAX: usize = 100_000;

/// A file that nothing leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub url: String,
    pub bytes: u64,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orphans {
    pub found: Vec<Orphan>,
    /// Files in the folder.
    pub listed: u64,
    /// There are more.
    pub more: bool,
}

/// Hashes of the locations of files that are in use.
#[derive(Default)]
struct InUse(HashSet<u64>);

impl InUse {
    /// The location is hashed as the guard reads it, so that `s3a://` and `s3://` are one.
    fn add(&mut self, storage: &Storage, table: &str, url: &str) -> Result<()> {
        self.0.insert(hash(&storage.guard().table_file(table, url)?));
        Ok(())
    }
}

fn hash(file: &Checked) -> u64 {
    let mut hasher = DefaultHasher::new();
    file.place().hash(&mut hasher);
    hasher.finish()
}

/// Looks for orphans older than `cutoff_ms` below the table's folder.
///
/// `marks` are the ids of open writes: no file whose name contains one is an orphan. `expired` are the manifest lists of
/// snapshots that expired, whose files some query may still read.
pub async fn find_orphans(
    storage: &Storage,
    table: &TableVersion,
    cutoff_ms: i64,
    marks: &[String],
    expired: &[String],
) -> Result<Orphans> {
    let metadata = &table.metadata;
    let mut live = InUse::default();
    collect(storage, table, &mut live).await?;
    let mut soon_gone = InUse::default();
    collect_expired(storage, metadata, expired, &mut soon_gone).await?;
    let folder = storage.guard().table_folder(metadata.location())?;
    let mut unseen = live.0.clone();
    let mut orphans = Orphans::default();
    let mut listing = storage.list(&folder);
    while let Some((file, meta)) = listing.try_next().await? {
        orphans.listed += 1;
        let hash = hash(&file);
        unseen.remove(&hash);
        let name = file.as_str().rsplit('/').next().unwrap_or_default();
        let in_use = live.0.contains(&hash)
            || soon_gone.0.contains(&hash)
            || meta.last_modified.timestamp_millis() >= cutoff_ms
            || marks.iter().any(|mark| name.contains(mark.as_str()));
        if in_use {
            continue;
        }
        if orphans.found.len() == ORPHANS_MAX {
            orphans.more = true;
            continue;
        }
        orphans.found.push(Orphan { url: file.to_string(), bytes: meta.size });
    }
    if unseen.is_empty() {
        return Ok(orphans);
    }
    let message = format!(
        "the listing of \"{}\" does not show {} of the {} files that the table has",
        metadata.location(),
        unseen.len(),
        live.0.len()
    );
    Err(Error::new(ErrorKind::Storage, message)
        .with_detail(
            "Nothing was deleted: a listing that leaves files out cannot tell which ones are orphans.",
        )
        .with_hint("See with CALL system.check_table what the table lacks, or run this again."))
}

/// Every file that the table leads to, through any snapshot or its log of metadata files.
async fn collect(storage: &Storage, table: &TableVersion, in_use: &mut InUse) -> Result<()> {
    let metadata = &table.metadata;
    let location = metadata.location();
    in_use.add(storage, location, &table.pointer.metadata_location)?;
    for url in statistics_files(metadata) {
        in_use.add(storage, location, &url)?;
    }
    let mut seen = HashSet::new();
    for snapshot in metadata.snapshots() {
        in_use.add(storage, location, snapshot.manifest_list())?;
        for manifest in manifest_list(storage, metadata, snapshot.snapshot_id()).await?.iter() {
            if !seen.insert(manifest.manifest_path.clone()) {
                continue;
            }
            in_use.add(storage, location, &manifest.manifest_path)?;
            for live in &decode(storage, location, manifest).await?.live {
                in_use.add(storage, location, live.file.file_path())?;
            }
        }
    }
    // A metadata file of the log may be gone, which harms nobody, so these are kept but not asked for.
    for entry in metadata.metadata_log() {
        let file = storage.guard().table_file(location, &entry.metadata_file)?;
        if present(storage.head(&file).await)?.is_some() {
            in_use.0.insert(hash(&file));
        }
    }
    Ok(())
}

async fn collect_expired(
    storage: &Storage,
    metadata: &TableMetadata,
    lists: &[String],
    in_use: &mut InUse,
) -> Result<()> {
    let location = metadata.location();
    for list in lists {
        in_use.add(storage, location, list)?;
        for manifest in read_list(storage, location, list, metadata.format_version()).await? {
            in_use.add(storage, location, &manifest.manifest_path)?;
            let Some(decoded) = present(decode(storage, location, &manifest).await)? else { continue };
            for live in &decoded.live {
                in_use.add(storage, location, live.file.file_path())?;
            }
        }
    }
    Ok(())
}
