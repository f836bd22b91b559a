//! DataFusion's view of the process's object stores: every URL is answered by the catalog's `Storage`, so there is one
//! client and one set of credentials. Which files are read is decided before, by the providers, which pass every path
//! through the guard. It must never open a store by itself. Next: `scan.rs`.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use tarn_catalog::storage::Storage;
use url::Url;

/// Gives DataFusion the stores of a `Storage`; DataFusion can add none of its own.
#[derive(Debug)]
pub struct StoreRegistry {
    storage: Arc<Storage>,
}

impl StoreRegistry {
    pub fn new(storage: Arc<Storage>) -> StoreRegistry {
        StoreRegistry { storage }
    }
}

impl ObjectStoreRegistry for StoreRegistry {
    /// Refused without an error, because the trait has none: the next read still gets the catalog's own store.
    fn register_store(&self, url: &Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        tracing::warn!(%url, "an object store was offered to the query engine and not taken");
        None
    }

    fn get_store(&self, url: &Url) -> datafusion::common::Result<Arc<dyn ObjectStore>> {
        self.storage
            .store_of(url)
            .map_err(|error| DataFusionError::External(Box::new(crate::Error::from(error))))
    }
}
