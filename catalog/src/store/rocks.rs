//! The store on disk: RocksDB, one column family per space, one synced batch per group of commits.
//! It must never know what a row means, and nothing outside this file may name RocksDB. Next: `settings.rs`.

mod settings;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use rocksdb::{ColumnFamily, DB, WriteBatch, WriteOptions};

use crate::error::{Error, ErrorKind, Result};
use crate::id::CommitSequence;
use crate::store::{Batch, Head, Row, Space, Store, Versioned, Write, keys, values};

/// The version of the layout in `keys.rs`; a store with another one is refused.
const FORMAT: &[u8] = b"1";

/// Of a row in a versioned space: a value follows. A deletion is stored as no bytes at all.
const PRESENT: u8 = 1;

/// A catalog store in a folder of its own.
pub struct Rocks {
    database: DB,
    path: PathBuf,
    head: RwLock<Head>,
    /// A write failed, so what is on disk is unknown until the store is opened again.
    failed: AtomicBool,
    /// Held as long as the database is open; the last field, because fields are dropped in order.
    _lock: File,
}

impl Rocks {
    /// Opens the store in `path`, or makes one where there is none.
    pub fn open(path: &Path) -> Result<Rocks> {
        std::fs::create_dir_all(path).map_err(|error| unusable(path, error))?;
        let lock = lock(path)?;
        let database = DB::open_cf_descriptors(&settings::database(), path, settings::column_families())
            .map_err(|error| open_error(path, error))?;
        let store = Rocks {
            database,
            path: path.to_owned(),
            head: RwLock::new(Head::empty()),
            failed: AtomicBool::new(false),
            _lock: lock,
        };
        store.check_format()?;
        if let Some(head) = store.get(Space::System, keys::HEAD, CommitSequence(0))? {
            *store.head.write() = values::decode_head(&head.value)?;
        }
        Ok(store)
    }

    /// Marks a new store with the layout's version; refuses a store that has another.
    fn check_format(&self) -> Result<()> {
        match self.get(Space::System, keys::FORMAT, CommitSequence(0))? {
            Some(found) if found.value == FORMAT => Ok(()),
            Some(found) => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the catalog in {} has format {}, and this program reads format {}",
                    self.path.display(),
                    String::from_utf8_lossy(&found.value),
                    String::from_utf8_lossy(FORMAT)
                ),
            )
            .with_hint("Start the version of tarn that last used this folder.")),
            None => {
                let write = Write {
                    space: Space::System,
                    key: keys::FORMAT.to_vec(),
                    value: Some(Bytes::from_static(FORMAT)),
                    sequence: CommitSequence(0),
                };
                self.apply(Batch { head: Head::empty(), writes: vec![write] })
            }
        }
    }

    fn family(&self, space: Space) -> Result<&ColumnFamily> {
        self.database.cf_handle(space.name()).ok_or_else(|| {
            Error::internal(format!("the catalog store has no column family {}", space.name()))
        })
    }

    fn read_error(&self, error: rocksdb::Error) -> Error {
        let kind = match error.kind() {
            rocksdb::ErrorKind::Corruption => ErrorKind::Corrupt,
            _ => ErrorKind::Storage,
        };
        Error::new(kind, format!("cannot read the catalog in {}", self.path.display())).with_source(error)
    }

    fn get_version(&self, space: Space, key: &[u8], at: CommitSequence) -> Result<Option<Versioned>> {
        let mut rows = self.database.raw_iterator_cf(self.family(space)?);
        rows.seek(keys::versioned(key, at));
        let found = match rows.item().and_then(|(stored, value)| Some((keys::split_version(stored)?, value)))
        {
            Some(((found, written_at), value)) if found == key => present(value, written_at),
            _ => None,
        };
        rows.status().map_err(|error| self.read_error(error))?;
        Ok(found)
    }

    fn get_plain(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>> {
        let value =
            self.database.get_pinned_cf(self.family(space)?, key).map_err(|error| self.read_error(error))?;
        Ok(value
            .map(|value| Versioned { value: Bytes::copy_from_slice(&value), written_at: CommitSequence(0) }))
    }
}

impl std::fmt::Debug for Rocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rocks").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store for Rocks {
    fn head(&self) -> Head {
        *self.head.read()
    }

    fn get(&self, space: Space, key: &[u8], at: CommitSequence) -> Result<Option<Versioned>> {
        if space.is_versioned() { self.get_version(space, key, at) } else { self.get_plain(space, key) }
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        at: CommitSequence,
    ) -> Result<Vec<Row>> {
        let mut options = rocksdb::ReadOptions::default();
        if let Some(end) = keys::after_prefix(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let mut rows = self.database.raw_iterator_cf_opt(self.family(space)?, options);
        rows.seek(after.map_or(prefix, |after| after.max(prefix)));
        let mut found: Vec<Row> = Vec::new();
        // The key whose version at `at` has been seen, so that older versions of it are passed over.
        let mut done: Option<Vec<u8>> = after.map(<[u8]>::to_vec);
        while found.len() < limit
            && let Some((stored, value)) = rows.item()
        {
            let (key, version) = if space.is_versioned() {
                keys::split_version(stored).ok_or_else(|| short_key(space))?
            } else {
                (stored, CommitSequence(0))
            };
            if done.as_deref() != Some(key) && (!space.is_versioned() || version <= at) {
                done = Some(key.to_vec());
                let row = if space.is_versioned() { present(value, version) } else { Some(plain(value)) };
                found.extend(row.map(|row| (key.to_vec(), row)));
            }
            rows.next();
        }
        rows.status().map_err(|error| self.read_error(error))?;
        Ok(found)
    }

    fn apply(&self, batch: Batch) -> Result<()> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Storage, "the catalog takes no more writes since one failed")
                .with_detail("What the failed write left on disk is known only after a restart.")
                .with_hint("Look at the server's log, repair the disk, and restart the server."));
        }
        let mut rows = WriteBatch::default();
        for write in &batch.writes {
            let family = self.family(write.space)?;
            match (&write.value, write.space.is_versioned()) {
                (Some(value), false) => rows.put_cf(family, &write.key, value),
                (None, false) => rows.delete_cf(family, &write.key),
                (value, true) => {
                    let stored = value.as_ref().map_or(Vec::new(), |value| [&[PRESENT], &value[..]].concat());
                    rows.put_cf(family, keys::versioned(&write.key, write.sequence), stored);
                }
            }
        }
        rows.put_cf(self.family(Space::System)?, keys::HEAD, values::encode_head(&batch.head));
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.database.write_opt(rows, &options).map_err(|error| {
            self.failed.store(true, Ordering::SeqCst);
            Error::new(ErrorKind::OutcomeUnknown, "the catalog could not confirm a write")
                .with_detail("The change may or may not have been made.")
                .with_hint(
                    "Restart the server, then look whether the change is there before making it again.",
                )
                .with_source(error)
        })?;
        *self.head.write() = batch.head;
        Ok(())
    }
}

fn present(stored: &[u8], written_at: CommitSequence) -> Option<Versioned> {
    let (tag, value) = stored.split_first()?;
    (*tag == PRESENT).then(|| Versioned { value: Bytes::copy_from_slice(value), written_at })
}

fn plain(value: &[u8]) -> Versioned {
    Versioned { value: Bytes::copy_from_slice(value), written_at: CommitSequence(0) }
}

fn short_key(space: Space) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a key in {} is too short to have a version", space.name()))
}

/// Takes the folder for this process. RocksDB has a lock of its own, but moves log files about before it looks at it.
fn lock(path: &Path) -> Result<File> {
    let open = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"));
    let file = open.map_err(|error| unusable(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(unusable(path, error)),
    }
}

fn in_use(path: &Path) -> Error {
    let folder = path.parent().unwrap_or(path).display();
    Error::new(ErrorKind::InUse, format!("data folder {folder} is in use by another tarn process"))
        .with_hint("Stop that process, or choose another folder with --data-dir.")
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot use the catalog folder {}", path.display()))
        .with_hint("Choose a folder that this user may write to, with --data-dir.")
        .with_source(error)
}

/// RocksDB tells the lock from other failures only by text.
fn open_error(path: &Path, error: rocksdb::Error) -> Error {
    let text = error.to_string();
    if text.contains("lock file") || text.contains("lock hold by current process") {
        return in_use(path).with_source(error);
    }
    match error.kind() {
        rocksdb::ErrorKind::Corruption => {
            Error::new(ErrorKind::Corrupt, format!("the catalog in {} is damaged", path.display()))
                .with_hint("Restore the data folder from a backup.")
                .with_source(error)
        }
        _ => Error::new(ErrorKind::Storage, format!("cannot open the catalog in {}", path.display()))
            .with_hint(
                "Check that the folder may be read and written by this user and that the disk is not full.",
            )
            .with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Result<Rocks> {
        Rocks::open(&folder.join("catalog"))
    }

    fn set_format(store: &Rocks, format: &'static [u8]) -> Result<()> {
        let sequence = CommitSequence(0);
        let value = Some(Bytes::from_static(format));
        let write = Write { space: Space::System, key: keys::FORMAT.to_vec(), value, sequence };
        store.apply(Batch { head: store.head(), writes: vec![write] })
    }

    #[test]
    fn a_store_of_another_format_is_refused_with_both_versions() -> Result<()> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        set_format(&open(folder.path())?, b"2")?;
        let error = open(folder.path()).expect_err("the format is another");
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(
            error.message.contains("has format 2") && error.message.contains("reads format 1"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn a_store_whose_write_failed_takes_no_more() -> Result<()> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = open(folder.path())?;
        store.failed.store(true, Ordering::SeqCst);
        let refused = set_format(&store, b"1").map_err(|error| error.kind);
        assert_eq!(refused, Err(ErrorKind::Storage));
        drop(store);
        set_format(&open(folder.path())?, b"1")
    }
}
