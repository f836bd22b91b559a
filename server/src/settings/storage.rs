//! Section `[storage]`: where the catalog and the tables are kept, and which local files a user may name.

use std::path::{Component, Path, PathBuf};

use super::layers::{Error, Layers, Result};
use super::value;

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The folder of the catalog; made if it is missing. Absolute. Default `./tarn-data`.
    pub data_dir: PathBuf,
    /// URL of the folder or prefix that tables are kept under, without a slash at its end. A path is taken as a
    /// `file://` URL. Default: `warehouse` in the data folder.
    pub warehouse: String,
    /// The only local folders whose files superusers may name in SQL. Default: every path the process can read.
    pub local_roots: Option<Vec<PathBuf>>,
}

impl Storage {
    pub fn from_layers(layers: &Layers) -> Result<Storage> {
        let data_dir = match layers.get("storage.data_dir", value::text)? {
            Some(text) => absolute(Path::new(&text))?,
            None => absolute(Path::new("tarn-data"))?,
        };
        let warehouse = match layers.get("storage.warehouse", value::text)? {
            Some(text) => warehouse_url(&text)?,
            None => file_url(&data_dir.join("warehouse"))?,
        };
        let local_roots = match layers.get("storage.local_roots", value::text)? {
            Some(text) => {
                Some(text.split(',').map(|root| absolute(Path::new(root.trim()))).collect::<Result<_>>()?)
            }
            None => None,
        };
        Ok(Storage { data_dir, warehouse, local_roots })
    }
}

/// `path` from the root, without `.` and `..` but with symbolic links as they are.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let full = std::path::absolute(path).map_err(|error| {
        Error::new(format!("the path {} cannot be made absolute: {error}", path.display()))
    })?;
    let mut clean = PathBuf::new();
    for component in full.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

fn warehouse_url(text: &str) -> Result<String> {
    let trimmed = text.trim_end_matches('/').to_owned();
    match text.split_once("://") {
        None => file_url(&absolute(Path::new(text))?),
        Some(("file", path)) if path.starts_with('/') && !path.trim_matches('/').is_empty() => Ok(trimmed),
        Some(("s3", bucket)) if !bucket.is_empty() && !bucket.starts_with('/') => Ok(trimmed),
        Some(_) => Err(Error::new(format!(
            "storage.warehouse (--warehouse) is {text:?}: give a folder, file:///folder or s3://bucket/prefix"
        ))),
    }
}

/// The path is written as it is: locations are never percent-decoded.
fn file_url(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) => Ok(format!("file://{text}")),
        None => Err(Error::new(format!("the path {} is not UTF-8", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warehouses() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(warehouse_url(text).ok().as_deref(), expect, "{text}");
        };
        check("s3://lake/tables/", Some("s3://lake/tables"));
        check("s3://lake", Some("s3://lake"));
        check("s3://", None);
        check("s3:///lake", None);
        check("gs://lake", None);
        check("file:///srv/lake/", Some("file:///srv/lake"));
        check("file://srv/lake", None);
        check("/srv/my lake/../lake", Some("file:///srv/lake"));
        check("/srv/my lake", Some("file:///srv/my lake"));
    }
}
