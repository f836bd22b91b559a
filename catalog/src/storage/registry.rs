//! Every object store of the process, each opened once, and the few things that are done with a checked location.
//!
//! DataFusion and the Iceberg crate are given their stores from here too, so there is one client, one set of
//! credentials and one retry policy. It must never take a location that is not [`Checked`], except to hand a whole
//! store to the query engine, which reads only files that providers have checked.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::RwLock;

use super::cache::DecodedCache;
use super::guard::{Checked, StorageGuard};
use super::local::DurableLocal;
use super::location::{Location, Scheme};
use super::options::{S3Options, StorageOptions};
use super::s3;
use crate::error::{Error, ErrorKind, ObjectKind, Result};

/// Bytes of the largest file that is read whole. Only metadata is; data files are streamed.
const WHOLE_FILE_BYTES_MAX: u64 = 512 << 20;
/// Bytes of decoded manifests and the like that are kept.
const DECODED_BYTES_MAX: usize = 256 << 20;

/// The stores of this process.
#[derive(Debug)]
pub struct Storage {
    pub(super) s3: S3Options,
    guard: StorageGuard,
    /// By scheme and bucket.
    stores: RwLock<HashMap<(Scheme, String), Arc<dyn ObjectStore>>>,
    decoded: DecodedCache,
    /// Clients whose credentials sign the requests of others, by bucket.
    pub(super) buckets: RwLock<HashMap<String, Arc<s3::Bucket>>>,
}

impl Storage {
    pub fn new(options: StorageOptions) -> Result<Arc<Storage>> {
        let guard = StorageGuard::new(&options)?;
        Ok(Arc::new(Storage {
            s3: options.s3,
            guard,
            stores: RwLock::default(),
            decoded: DecodedCache::new(DECODED_BYTES_MAX),
            buckets: RwLock::default(),
        }))
    }

    /// What decides which locations may be used.
    pub fn guard(&self) -> &StorageGuard {
        &self.guard
    }

    /// Decoded files that never change, such as manifests.
    pub fn decoded(&self) -> &DecodedCache {
        &self.decoded
    }

    /// The store of a location, and the location's path in it.
    pub fn resolve(&self, checked: &Checked) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let location = checked.location();
        let store = self.open(location.scheme, &location.bucket)?;
        let path = Path::parse(&location.key).map_err(|source| {
            Error::invalid(format!("location \"{checked}\" cannot be used")).with_source(source)
        })?;
        Ok((store, path))
    }

    /// The whole store behind a URL's scheme and host: what the query engine registers.
    pub fn store_of(&self, url: &url::Url) -> Result<Arc<dyn ObjectStore>> {
        let bucket = url.host_str().unwrap_or_default();
        let location = Location::parse(&format!("{}://{bucket}/", url.scheme()))?;
        self.open(location.scheme, &location.bucket)
    }

    /// The scheme and bucket of a location as a URL, `s3://bucket` or `file://`: the name of its store.
    pub fn store_url(&self, checked: &Checked) -> String {
        match checked.location().scheme {
            Scheme::File => "file://".to_string(),
            Scheme::S3 => format!("s3://{}", checked.location().bucket),
            Scheme::Memory => "memory://".to_string(),
        }
    }

    /// Puts `store` in the place of the real one behind `location`'s scheme and bucket: for simulations of failure.
    pub fn replace_store(&self, location: &str, store: Arc<dyn ObjectStore>) -> Result<()> {
        let location = Location::parse(location)?;
        self.stores.write().insert((location.scheme, location.bucket), store);
        Ok(())
    }

    /// The whole content of a file.
    pub async fn get(&self, file: &Checked) -> Result<Bytes> {
        let (store, path) = self.resolve(file)?;
        let found = store.get(&path).await.map_err(|error| failed("read", file, error))?;
        if found.meta.size > WHOLE_FILE_BYTES_MAX {
            let text =
                format!("file \"{file}\" has {} bytes, more than {WHOLE_FILE_BYTES_MAX}", found.meta.size);
            return Err(Error::new(ErrorKind::Limit, text));
        }
        found.bytes().await.map_err(|error| failed("read", file, error))
    }

    /// Some bytes of a file; fewer than asked for are an error.
    pub async fn get_range(&self, file: &Checked, range: std::ops::Range<u64>) -> Result<Bytes> {
        let (store, path) = self.resolve(file)?;
        let asked = range.end - range.start;
        let bytes = store.get_range(&path, range).await.map_err(|error| failed("read", file, error))?;
        if bytes.len() as u64 == asked {
            return Ok(bytes);
        }
        Err(Error::new(ErrorKind::Storage, format!("file \"{file}\" is shorter than the table says")))
    }

    /// Size, age and so on of a file.
    pub async fn head(&self, file: &Checked) -> Result<ObjectMeta> {
        let (store, path) = self.resolve(file)?;
        store.head(&path).await.map_err(|error| failed("read", file, error))
    }

    /// Writes a file, replacing one of that name.
    pub async fn put(&self, file: &Checked, content: Bytes) -> Result<()> {
        let (store, path) = self.resolve(file)?;
        store.put(&path, content.into()).await.map_err(|error| failed("write", file, error))?;
        Ok(())
    }

    /// Writes a file that must not exist yet; [`ErrorKind::AlreadyExists`] when it does.
    ///
    /// A store may apply a request whose answer is lost and then refuse the retry. So a file of that name with exactly
    /// this content is our own success.
    pub async fn put_if_absent(&self, file: &Checked, content: Bytes) -> Result<()> {
        let (store, path) = self.resolve(file)?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(&path, content.clone().into(), create).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) if self.get(file).await? == content => Ok(()),
            Err(error @ object_store::Error::AlreadyExists { .. }) => {
                let kind = ErrorKind::AlreadyExists(ObjectKind::File);
                Err(Error::new(kind, format!("file \"{file}\" exists already")).with_source(error))
            }
            Err(error) => Err(failed("write", file, error)),
        }
    }

    /// Deletes a file; one that is not there is as good as deleted.
    pub async fn delete(&self, file: &Checked) -> Result<()> {
        let (store, path) = self.resolve(file)?;
        match store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("delete", file, error)),
        }
    }

    /// Makes a folder where folders are things of their own, as on a disk: other engines do not make them.
    pub async fn make_folder(&self, folder: &Checked) -> Result<()> {
        if folder.location().scheme != Scheme::File {
            return Ok(());
        }
        tokio::fs::create_dir_all(folder.location().file_path()).await.map_err(|source| {
            Error::new(ErrorKind::Storage, format!("cannot make the folder \"{folder}\"")).with_source(source)
        })
    }

    /// All files below a folder, however deep, in no order. Files that users may not name are left out.
    pub fn list<'a>(&'a self, folder: &'a Checked) -> BoxStream<'a, Result<(Checked, ObjectMeta)>> {
        let (store, path) = match self.resolve(folder) {
            Ok(resolved) => resolved,
            Err(error) => return futures::stream::once(async { Err(error) }).boxed(),
        };
        let prefix = (!path.is_root()).then_some(path);
        store
            .list(prefix.as_ref())
            .map_err(move |error| failed("list", folder, error))
            .try_filter_map(move |meta| async move {
                let file = self.guard.listed(folder, meta.location.as_ref())?;
                Ok(file.map(|file| (file, meta)))
            })
            .boxed()
    }

    fn open(&self, scheme: Scheme, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        let key = (scheme, bucket.to_string());
        if let Some(store) = self.stores.read().get(&key) {
            return Ok(store.clone());
        }
        let mut stores = self.stores.write();
        if let Some(store) = stores.get(&key) {
            return Ok(store.clone());
        }
        let store: Arc<dyn ObjectStore> = match scheme {
            Scheme::File => Arc::new(DurableLocal::new()),
            Scheme::S3 => s3::open(bucket, &self.s3)?,
            Scheme::Memory => Arc::new(InMemory::new()),
        };
        stores.insert(key, store.clone());
        Ok(store)
    }
}

/// An object store's error with the file it is about.
fn failed(action: &str, file: &Checked, error: object_store::Error) -> Error {
    let kind = match &error {
        // The library tells a missing bucket by the service's text alone.
        error if action != "write" && error.to_string().contains("NoSuchBucket") => {
            return Error::not_found(ObjectKind::File, format!("the bucket of \"{file}\" does not exist"))
                .with_hint("Check the location and the endpoint in the storage settings.");
        }
        object_store::Error::NotFound { .. } if action == "write" => {
            return Error::new(
                ErrorKind::Storage,
                format!("cannot write \"{file}\": there is no such bucket or folder"),
            )
            .with_hint("Create the bucket first, or correct the location.")
            .with_source(error);
        }
        object_store::Error::NotFound { .. } => {
            return Error::not_found(ObjectKind::File, format!("file \"{file}\" does not exist")).with_hint(
                "Check the location; the server looks for it on its own machine or in its own buckets.",
            );
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::Denied
        }
        _ => ErrorKind::Storage,
    };
    match (action, kind) {
        (_, ErrorKind::Denied) => {
            Error::new(kind, format!("the object store refused to {action} \"{file}\""))
                .with_hint("Check the server's credentials and what the store lets them do.")
        }
        _ => Error::new(kind, format!("cannot {action} \"{file}\"")),
    }
    .with_source(error)
}
