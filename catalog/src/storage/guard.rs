//! The one gate in front of every store. A location that a user typed, that metadata names or that we made up becomes a
//! [`Checked`] here or nowhere, and only a [`Checked`] can be read, written, listed or deleted.
//!
//! The server holds the credentials and follows paths that others wrote, so it is a confused deputy by construction;
//! this file decides whose path may lead where (decision 12). It must never look at grants: who the principal is has
//! been established before.
//!
//! One limit is known: a symbolic link that somebody with a shell on this machine changes between the check and the use
//! is followed. Such a person can read the files without us.

use std::fmt;
use std::path::{Path, PathBuf};

use super::location::{Location, Scheme, has_scheme, shown};
use super::options::StorageOptions;
use crate::access::Principal;
use crate::error::{Error, ErrorKind, Result};

/// Characters that begin a pattern of file names.
const GLOB: [char; 4] = ['*', '?', '[', '{'];

/// A location that passed the guard. Its `Display` is the URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checked {
    url: String,
    location: Location,
    pattern: Option<String>,
}

impl Checked {
    /// The location as a URL.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// For a location with wildcards, the part of the path from the first wildcard on, relative to the folder that the
    /// location itself then names.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_deref()
    }

    /// The text ended with a slash, or is the folder above a pattern.
    pub fn is_folder(&self) -> bool {
        self.location.folder
    }

    /// Where it is, however it was written: two spellings of one place are equal.
    pub fn place(&self) -> impl std::hash::Hash + Eq + fmt::Debug + '_ {
        (self.location.scheme, self.location.bucket.as_str(), self.location.key.as_str())
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    fn of(location: Location) -> Checked {
        Checked { url: location.to_string(), location, pattern: None }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Decides which locations may be used.
#[derive(Debug)]
pub struct StorageGuard {
    /// With symbolic links followed, as are the roots.
    forbidden: Vec<PathBuf>,
    /// As it was written, which is how the URLs of our own files begin.
    warehouse: Location,
    /// With symbolic links followed, which is how users' paths arrive.
    warehouse_resolved: Location,
    local_roots: Option<Vec<PathBuf>>,
}

impl StorageGuard {
    pub(super) fn new(options: &StorageOptions) -> Result<StorageGuard> {
        let canonical =
            |paths: &[PathBuf]| paths.iter().map(|path| resolve(path)).collect::<Result<Vec<_>>>();
        let warehouse = Location::parse(&options.warehouse)?;
        Ok(StorageGuard {
            forbidden: canonical(&options.forbidden)?,
            warehouse_resolved: resolve_location(&warehouse)?,
            warehouse,
            local_roots: options.local_roots.as_deref().map(canonical).transpose()?,
        })
    }

    /// A file, folder or pattern of files that a user names: a path, absolute or relative to the server's working
    /// directory, or a URL.
    pub fn user_path(&self, principal: &Principal, text: &str) -> Result<Checked> {
        self.check_principal(principal, text)?;
        self.external_location(text)
    }

    /// A location that was checked when it was stored in the catalog, looked at again before its use: all that
    /// [`StorageGuard::user_path`] asks, but of no principal. Whoever may read the external table may come this far.
    pub fn external_location(&self, text: &str) -> Result<Checked> {
        let (location, pattern) = split_pattern(parse_user_text(text)?);
        let mut checked = match location.scheme {
            Scheme::File => Checked::of(self.canonical(&location)?),
            Scheme::S3 => Checked::of(location),
            Scheme::Memory => return Err(memory_is_not_for_users(text)),
        };
        self.check_warehouse(&checked.location, text)?;
        checked.pattern = pattern;
        Ok(checked)
    }

    /// The `LOCATION` that a user gives a new table. It must hold nothing of ours: neither lie in the data folder or the
    /// warehouse, nor above one of them.
    pub fn table_location(&self, principal: &Principal, text: &str) -> Result<Checked> {
        self.check_principal(principal, text)?;
        let parsed = parse_user_text(text)?;
        if parsed.scheme == Scheme::Memory {
            return Err(memory_is_not_for_users(text));
        }
        if parsed.key.contains(GLOB) || parsed.key.is_empty() {
            return Err(Error::invalid(format!("location \"{}\" is not the folder of a table", shown(text)))
                .with_hint("Name a folder without wildcards, such as s3://bucket/tables/orders."));
        }
        let mut location = match parsed.scheme {
            Scheme::File => self.canonical(&parsed)?,
            _ => parsed,
        };
        location.folder = false;
        self.check_warehouse(&location, text)?;
        let holds_folder =
            |folder: &PathBuf| location.scheme == Scheme::File && folder.starts_with(location.file_path());
        if self.warehouse_resolved.within(&location) || self.forbidden.iter().any(holds_folder) {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("location \"{}\" holds the server's own files", shown(text)),
            )
            .with_hint("Name a folder that is used for nothing else."));
        }
        Ok(Checked::of(location))
    }

    /// A file that a table's metadata or one of its manifests names, or that we are about to write for it. It must lie
    /// under the table's own location.
    pub fn table_file(&self, table_location: &str, url: &str) -> Result<Checked> {
        let table = Location::parse(table_location)?;
        let location = Location::parse(url)?;
        if table.key.is_empty() || location.key.len() <= table.key.len() || !location.within(&table) {
            return Err(outside(url, table_location));
        }
        if location.scheme == Scheme::File {
            let folder = resolve(&table.file_path())?;
            if !resolve(&location.file_path())?.starts_with(&folder) {
                return Err(outside(url, table_location));
            }
        }
        Ok(Checked { url: url.to_string(), location, pattern: None })
    }

    /// A table's own folder: in the warehouse, or where its `LOCATION` put it.
    pub fn table_folder(&self, table_location: &str) -> Result<Checked> {
        self.own(table_location).or_else(|_| self.external_location(table_location))
    }

    /// A location under the warehouse that we made up ourselves.
    pub fn own(&self, url: &str) -> Result<Checked> {
        let location = Location::parse(url)?;
        if !location.within(&self.warehouse) {
            return Err(Error::internal(format!("location \"{}\" is not in the warehouse", shown(url))));
        }
        Ok(Checked::of(location))
    }

    /// True when one of the two locations holds the other. Two tables must never overlap: dropping one would delete
    /// files of the other.
    pub fn overlaps(&self, one: &str, other: &str) -> Result<bool> {
        let (one, other) = (Location::parse(one)?, Location::parse(other)?);
        Ok(one.within(&other) || other.within(&one))
    }

    /// A file that listing `folder` found. None when the listing led, by a link or from above, to where users may not
    /// look; such files do not exist for them.
    pub(super) fn listed(&self, folder: &Checked, key: &str) -> Result<Option<Checked>> {
        let location = Location { key: key.to_string(), folder: false, ..folder.location.clone() };
        if folder.location.within(&self.warehouse) {
            return Ok(Some(Checked::of(location)));
        }
        if location.within(&self.warehouse_resolved) {
            return Ok(None);
        }
        if location.scheme == Scheme::File {
            let Ok(path) = std::fs::canonicalize(location.file_path()) else { return Ok(None) };
            let warehouse = self.warehouse_resolved.scheme == Scheme::File
                && path.starts_with(self.warehouse_resolved.file_path());
            if warehouse || self.is_forbidden(&path) || !self.is_below_a_root(&path) {
                return Ok(None);
            }
        }
        Ok(Some(Checked::of(location)))
    }

    fn check_principal(&self, principal: &Principal, text: &str) -> Result<()> {
        if principal.superuser {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, format!("permission denied for location \"{}\"", shown(text)))
            .with_detail("Only superusers may name files and folders.")
            .with_hint("Ask a superuser for an external table over these files, and for SELECT on it."))
    }

    /// The location with symbolic links followed, if users may go there.
    fn canonical(&self, location: &Location) -> Result<Location> {
        let path = resolve(&location.file_path())?;
        if self.is_forbidden(&path) {
            return Err(in_data_folder(&location.to_string()));
        }
        if !self.is_below_a_root(&path) {
            let roots = self.local_roots.iter().flatten();
            let roots: Vec<String> = roots.map(|root| root.display().to_string()).collect();
            return Err(Error::new(
                ErrorKind::Denied,
                format!("permission denied for location \"{location}\""),
            )
            .with_detail(format!("The setting storage.local_roots allows {}.", roots.join(", ")))
            .with_hint("Move the files there, or ask the administrator to widen the setting."));
        }
        if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Err(Error::invalid(format!("location \"{location}\" is neither a file nor a folder")));
        }
        let mut canonical = resolve_location(location)?;
        canonical.folder = location.folder || canonical.folder;
        Ok(canonical)
    }

    fn is_forbidden(&self, path: &Path) -> bool {
        self.forbidden.iter().any(|folder| path.starts_with(folder))
    }

    fn is_below_a_root(&self, path: &Path) -> bool {
        self.local_roots.as_ref().is_none_or(|roots| roots.iter().any(|root| path.starts_with(root)))
    }

    fn check_warehouse(&self, location: &Location, text: &str) -> Result<()> {
        if location.within(&self.warehouse_resolved) { Err(in_data_folder(text)) } else { Ok(()) }
    }
}

fn resolve_location(location: &Location) -> Result<Location> {
    if location.scheme != Scheme::File {
        return Ok(location.clone());
    }
    match resolve(&location.file_path())?.to_str() {
        Some(path) => Location::local(path),
        None => Err(Error::invalid(format!("location \"{location}\" leads to a name that is not UTF-8"))),
    }
}

/// Follows symbolic links of the part of a path that exists; what does not exist yet is kept as it is.
fn resolve(path: &Path) -> Result<PathBuf> {
    let mut rest = Vec::new();
    let mut existing = path;
    loop {
        match std::fs::canonicalize(existing) {
            Ok(canonical) => return Ok(rest.iter().rev().fold(canonical, |path, name| path.join(name))),
            // A link to nowhere, or in a circle: it could lead anywhere by the time the file is opened.
            Err(source)
                if std::fs::symlink_metadata(existing).is_ok_and(|metadata| metadata.is_symlink()) =>
            {
                let text = format!("location \"{}\" is a link that leads nowhere", path.display());
                return Err(Error::invalid(text).with_source(source));
            }
            Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                let text = format!("the server may not look into \"{}\"", existing.display());
                return Err(Error::new(ErrorKind::Denied, text).with_source(source));
            }
            Err(source) => match (existing.parent(), existing.file_name()) {
                (Some(parent), Some(name)) => {
                    rest.push(name);
                    existing = parent;
                }
                _ => {
                    let text = format!("location \"{}\" cannot be followed", path.display());
                    return Err(Error::new(ErrorKind::Storage, text).with_source(source));
                }
            },
        }
    }
}

/// A path or URL as a user writes it.
fn parse_user_text(text: &str) -> Result<Location> {
    if has_scheme(text) {
        return Location::parse(text);
    }
    if text.starts_with('/') {
        return Location::local(text);
    }
    if text.is_empty() {
        return Err(Error::invalid("the location is empty"));
    }
    let working = std::env::current_dir().map_err(|source| {
        Error::new(ErrorKind::Storage, "the server has no working directory").with_source(source)
    })?;
    let Some(working) = working.to_str() else {
        return Err(Error::invalid(
            "relative paths cannot be used: the server's working directory is not UTF-8",
        ));
    };
    Location::local(&format!("{}/{text}", working.trim_end_matches('/')))
}

/// Splits at the first segment with a wildcard: the folder above it, and the pattern below that folder.
fn split_pattern(location: Location) -> (Location, Option<String>) {
    let segments: Vec<&str> = location.key.split('/').collect();
    let Some(first) = segments.iter().position(|segment| segment.contains(GLOB)) else {
        return (location, None);
    };
    let pattern = segments[first..].join("/");
    let folder = Location { key: segments[..first].join("/"), folder: true, ..location };
    (folder, Some(pattern))
}

fn outside(url: &str, table_location: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("file \"{}\" lies outside its table", shown(url)))
        .with_detail(format!("The table's location is \"{}\".", shown(table_location)))
        .with_hint("A table may use files under its own location only. Write the data into the table again.")
}

fn in_data_folder(text: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("permission denied for location \"{}\"", shown(text)))
        .with_detail("The server's data folder and warehouse are not read as files.")
        .with_hint("Query the tables by their names.")
}

fn memory_is_not_for_users(text: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("location \"{}\" is not read", shown(text)))
        .with_hint("Use a file path, file:// or s3://bucket/key.")
}

#[cfg(test)]
mod tests;
