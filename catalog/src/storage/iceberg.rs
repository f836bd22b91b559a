//! Our stores as the Iceberg crate wants them, for the manifest writers that insist on its `OutputFile`.
//!
//! Each value belongs to one table and lets through only files under that table's location.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{FileMetadata, FileRead, FileWrite, InputFile, OutputFile};
use iceberg::{Error, ErrorKind, Result};
use object_store::ObjectStoreExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::guard::Checked;
use super::registry::Storage;

/// Files of one table that are written at the same time.
const WRITES_AT_ONCE: usize = 8;

/// The files of one table.
///
/// The trait asks that this can be written down and read again. What is read again has the location only: credentials
/// do not travel, so it can do nothing until the process that read it attaches its own stores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableStorage {
    table_location: String,
    #[serde(skip)]
    storage: Option<Arc<Storage>>,
    #[serde(skip)]
    held: Option<HeldFiles>,
}

/// Files that are written together later, and so do not wait for each other: what a manifest list needs to know of a
/// manifest is known before the store has it.
#[derive(Debug, Clone, Default)]
pub struct HeldFiles(Arc<Mutex<Vec<(Checked, Bytes)>>>);

impl HeldFiles {
    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        self.0.lock().iter().map(|(_, content)| content.len()).sum()
    }

    /// Writes them all.
    pub async fn write(&self, storage: &Storage) -> crate::Result<()> {
        let held = std::mem::take(&mut *self.0.lock());
        let writes: Vec<_> = held.into_iter().map(|(file, content)| put(storage, file, content)).collect();
        futures::stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect().await
    }

    /// Changes a file that is held.
    pub fn change(
        &self,
        url: &str,
        change: impl FnOnce(&Bytes) -> crate::Result<Bytes>,
    ) -> crate::Result<()> {
        let mut held = self.0.lock();
        let found = held.iter_mut().rev().find(|(file, _)| file.as_str() == url);
        let (_, content) = found.ok_or_else(|| crate::Error::internal(format!("file {url} is not held")))?;
        *content = change(content)?;
        Ok(())
    }

    fn push(&self, file: Checked, content: Bytes) {
        self.0.lock().push((file, content));
    }
}

async fn put(storage: &Storage, file: Checked, content: Bytes) -> crate::Result<()> {
    storage.put(&file, content).await
}

impl TableStorage {
    pub fn new(storage: Arc<Storage>, table_location: &str) -> TableStorage {
        TableStorage { table_location: table_location.to_string(), storage: Some(storage), held: None }
    }

    /// What is written through this goes to `held` first.
    pub fn holding(storage: Arc<Storage>, table_location: &str, held: HeldFiles) -> TableStorage {
        TableStorage { held: Some(held), ..TableStorage::new(storage, table_location) }
    }

    /// Gives stores to a value that was read again.
    pub fn attach(self, storage: Arc<Storage>) -> TableStorage {
        TableStorage { storage: Some(storage), ..self }
    }

    fn checked(&self, path: &str) -> Result<(&Arc<Storage>, Checked)> {
        let Some(storage) = &self.storage else {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "no object stores are attached to this table storage",
            ));
        };
        let file = storage.guard().table_file(&self.table_location, path).map_err(foreign)?;
        Ok((storage, file))
    }
}

#[async_trait]
#[typetag::serde(name = "tarn")]
impl iceberg::io::Storage for TableStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        let (storage, file) = self.checked(path)?;
        match storage.head(&file).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, crate::ErrorKind::NotFound(_)) => Ok(false),
            Err(error) => Err(foreign(error)),
        }
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let (storage, file) = self.checked(path)?;
        Ok(FileMetadata { size: storage.head(&file).await.map_err(foreign)?.size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        let (storage, file) = self.checked(path)?;
        storage.get(&file).await.map_err(foreign)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        let (storage, file) = self.checked(path)?;
        Ok(Box::new(RangeReader { storage: storage.clone(), file }))
    }

    async fn write(&self, path: &str, content: Bytes) -> Result<()> {
        let (storage, file) = self.checked(path)?;
        storage.put(&file, content).await.map_err(foreign)
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let (storage, file) = self.checked(path)?;
        let (storage, held) = (storage.clone(), self.held.clone());
        Ok(Box::new(WholeWriter { storage, held, file, content: Vec::new() }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let (storage, file) = self.checked(path)?;
        storage.delete(&file).await.map_err(foreign)
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        // Only files that committed metadata lists are deleted, each by its own name.
        Err(Error::new(ErrorKind::FeatureUnsupported, format!("\"{path}\" is not deleted as a whole folder")))
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        self.checked(path)?;
        Ok(InputFile::new(Arc::new(self.clone()), path.to_string()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        self.checked(path)?;
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_string()))
    }
}

/// Reads ranges of one file.
struct RangeReader {
    storage: Arc<Storage>,
    file: Checked,
}

#[async_trait]
impl FileRead for RangeReader {
    async fn read(&self, range: std::ops::Range<u64>) -> Result<Bytes> {
        let (store, path) = self.storage.resolve(&self.file).map_err(foreign)?;
        store.get_range(&path, range).await.map_err(|error| foreign(error.into()))
    }
}

/// Collects a file and writes it in one request when it is closed. Manifests are rolled at 8 MB, so this stays small.
struct WholeWriter {
    storage: Arc<Storage>,
    held: Option<HeldFiles>,
    file: Checked,
    content: Vec<u8>,
}

#[async_trait]
impl FileWrite for WholeWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.content.extend_from_slice(&bytes);
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let content = std::mem::take(&mut self.content);
        if let Some(held) = &self.held {
            held.push(self.file.clone(), content.into());
            return Ok(());
        }
        self.storage.put(&self.file, content.into()).await.map_err(foreign)
    }
}

/// Our error inside the Iceberg crate's; [`crate::iceberg`] takes it out again.
fn foreign(error: crate::Error) -> Error {
    Error::new(ErrorKind::Unexpected, error.message.clone()).with_source(error)
}
