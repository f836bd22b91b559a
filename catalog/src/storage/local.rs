//! The local file system as an object store that has what it acknowledged after a power cut.
//!
//! `object_store`'s own local store writes to a temporary name and renames, which is atomic, but it never calls fsync:
//! a commit in the catalog could then outlive the files it points to. This store adds the missing syncs and leaves
//! everything else to the inner one. It must never know what the files are.
//!
//! ```text
//! write temporary file -> fsync it -> rename or link -> fsync every folder that gained an entry -> acknowledge
//! ```

use std::fs::File;
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// The whole local file system, with durable writes.
#[derive(Debug)]
pub struct DurableLocal {
    inner: LocalFileSystem,
}

impl DurableLocal {
    pub fn new() -> DurableLocal {
        DurableLocal { inner: LocalFileSystem::new() }
    }

    /// Makes the parent folders of a file, durably, and says where the file will be.
    async fn prepare(&self, location: &Path) -> Result<PathBuf> {
        let path = self.inner.path_to_filesystem(location)?;
        let folder = path.parent().map(FilePath::to_path_buf).unwrap_or_default();
        blocking(move || create_folders(&folder)).await?;
        Ok(path)
    }
}

impl std::fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("local files")
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = self.prepare(location).await?;
        // The inner store gives the name its content in one step, so syncing the file after that step and before the
        // acknowledgement is as good as before it: a cut in between leaves a file that nobody was told about.
        let result = self.inner.put_opts(location, payload, options).await?;
        blocking(move || sync_file(&path)).await?;
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.prepare(location).await?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(DurableUpload { inner, path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let path = self.prepare(to).await?;
        self.inner.copy_opts(from, to, options).await?;
        blocking(move || sync_file(&path)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let path = self.prepare(to).await?;
        self.inner.rename_opts(from, to, options).await?;
        blocking(move || sync_file(&path)).await
    }
}

/// A file written in parts, synced when it is complete.
#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let path = self.path.clone();
        blocking(move || sync_file(&path)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// Makes a folder and its missing parents, and syncs each folder that gained an entry.
fn create_folders(folder: &FilePath) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(FilePath::new("/"));
    create_folders(parent)?;
    match std::fs::create_dir(folder) {
        // Somebody else made it at the same moment; they may not have synced it yet, so we do.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        other => other?,
    }
    File::open(parent)?.sync_all()
}

/// Syncs a file's content and its entry in its folder.
fn sync_file(path: &FilePath) -> std::io::Result<()> {
    File::open(path)?.sync_all()?;
    File::open(path.parent().unwrap_or(FilePath::new("/")))?.sync_all()
}

/// Runs blocking file work away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|source| failed(Box::new(source)))?;
    done.map_err(|source| failed(Box::new(source)))
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic { store: "local files", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{ObjectStoreExt, PutMode};

    #[tokio::test]
    async fn folders_are_made_and_create_is_exclusive() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = DurableLocal::new();
        let path = Path::from_absolute_path(folder.path().join("a/b/c#x y%41.txt")).expect("a path");
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&path, "one".into(), create.clone()).await.expect("the first write");
        let again = store.put_opts(&path, "two".into(), create).await;
        assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
        let bytes = store.get(&path).await.expect("the file").bytes().await.expect("its bytes");
        assert_eq!(&bytes[..], b"one");
    }

    #[tokio::test]
    async fn one_of_many_concurrent_creators_wins() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = Path::from_absolute_path(folder.path().join("x/f")).expect("a path");
        let mut tasks = Vec::new();
        for number in 0..16 {
            let path = path.clone();
            tasks.push(tokio::spawn(async move {
                let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                DurableLocal::new().put_opts(&path, format!("{number}").into(), create).await.is_ok()
            }));
        }
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.expect("the task ends"));
        }
        assert_eq!(winners, 1);
    }
}
