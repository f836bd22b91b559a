//! The files of a location, found at the time they are asked for: one file, the files of a folder, or those that a
//! pattern matches. Every one has passed the guard. It must never open a file. Next: `scan.rs`, `../crawl/group.rs`.

use std::sync::Arc;

use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::{ObjectMeta, ObjectStore};
use tarn_catalog::storage::{Checked, Storage};
use tarn_catalog::{ErrorKind, ObjectKind};

use super::name;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// The most files one location may have; more are refused rather than held in memory.
pub const FILES_MAX: usize = 1_000_000;
/// The most patterns that the braces of one pattern may stand for.
const ALTERNATIVES_MAX: usize = 256;

/// A file that was found.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// Its URL.
    pub url: String,
    /// Its path below the location, with `/` between folders; the file name when the location is the file itself.
    pub relative: String,
    pub meta: ObjectMeta,
}

impl FoundFile {
    /// The file name without folders.
    pub fn name(&self) -> &str {
        self.relative.rsplit('/').next().unwrap_or(&self.relative)
    }

    /// The folders between the location and the file.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let (folders, _) = self.relative.rsplit_once('/').unwrap_or(("", ""));
        folders.split('/').filter(|folder| !folder.is_empty())
    }

    /// The file as users write it: a path when it is a local file, else its URL.
    pub fn shown(&self) -> &str {
        shown(&self.url)
    }
}

/// A URL as users write it.
pub fn shown(url: &str) -> &str {
    url.strip_prefix("file://").unwrap_or(url)
}

/// The files of a location.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The URL of the file, or of the folder with a slash at its end.
    pub location: String,
    /// The location is a folder, or a pattern in one.
    pub folder: bool,
    pub store: Arc<dyn ObjectStore>,
    /// The store's name for the query engine.
    pub store_url: String,
    /// Sorted by path.
    pub files: Vec<FoundFile>,
}

/// Lists a location; a folder with all its subfolders.
pub async fn list(storage: &Arc<Storage>, location: &Checked) -> Result<Listing> {
    let (store, _) = storage.resolve(location)?;
    let mut listing = Listing {
        location: location.to_string(),
        folder: true,
        store,
        store_url: storage.store_url(location),
        files: Vec::new(),
    };
    if location.pattern().is_none() && !location.is_folder() {
        match storage.head(location).await {
            Ok(meta) => {
                let relative = meta.location.filename().unwrap_or_default().to_owned();
                listing.folder = false;
                listing.files.push(FoundFile { url: location.to_string(), relative, meta });
                return Ok(listing);
            }
            Err(error) if error.kind == ErrorKind::NotFound(ObjectKind::File) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !listing.location.ends_with('/') {
        listing.location.push('/');
    }
    listing.files = below(storage, location, &listing.location).await?;
    if listing.files.is_empty() && location.pattern().is_none() {
        return Err(Error::new(
            SqlState::UNDEFINED_FILE,
            format!("there is no file or folder \"{}\", or it is empty", shown(location.as_str())),
        )
        .with_hint("Check the location; the server looks for it on its own machine or in its own buckets."));
    }
    Ok(listing)
}

/// Lists a location whose name has characters of patterns in it that mean themselves. `above` is the folder that the
/// guard made of it, `location` the URL to the letter.
pub async fn list_literally(storage: &Arc<Storage>, above: &Checked, location: &str) -> Result<Listing> {
    let (store, _) = storage.resolve(above)?;
    let folder = location.ends_with('/');
    let mut files = Vec::new();
    let mut found = storage.list(above);
    while let Some((file, meta)) = found.try_next().await? {
        let url = file.to_string();
        let relative = match url.strip_prefix(location) {
            Some(relative) if folder => relative.to_owned(),
            Some("") => meta.location.filename().unwrap_or_default().to_owned(),
            _ => continue,
        };
        files.push(FoundFile { url, relative, meta });
    }
    if files.is_empty() {
        let text = format!("there is no file or folder \"{}\" any more", shown(location));
        return Err(Error::new(SqlState::UNDEFINED_FILE, text).with_hint("Put it back, or drop the table."));
    }
    files.sort_by(|one: &FoundFile, other| one.relative.cmp(&other.relative));
    let (location, store_url) = (location.to_owned(), storage.store_url(above));
    Ok(Listing { location, folder, store, store_url, files })
}

/// The files below a folder whose paths match the location's pattern, if it has one.
async fn below(storage: &Arc<Storage>, location: &Checked, folder: &str) -> Result<Vec<FoundFile>> {
    let matcher = location.pattern().map(Matcher::new).transpose()?;
    let mut files = Vec::new();
    let mut found = storage.list(location);
    while let Some((file, meta)) = found.try_next().await? {
        let url = file.to_string();
        let Some(relative) = url.strip_prefix(folder).map(str::to_owned) else { continue };
        if matcher.as_ref().is_some_and(|matcher| !matcher.matches(&relative)) {
            continue;
        }
        if files.len() == FILES_MAX {
            let text = format!("\"{}\" has more than {FILES_MAX} files", shown(folder));
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text)
                .with_hint("Name a folder further down, or a pattern that matches fewer files."));
        }
        files.push(FoundFile { url, relative, meta });
    }
    files.sort_by(|one, other| one.relative.cmp(&other.relative));
    Ok(files)
}

/// A pattern of file paths: `*` and `?` within one folder, `**` over folders, `[...]` and `{a,b}`.
#[derive(Debug)]
pub struct Matcher {
    text: String,
    patterns: Vec<Pattern>,
}

impl Matcher {
    pub fn new(text: &str) -> Result<Matcher> {
        let malformed = |reason: String| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("pattern \"{text}\" is malformed: {reason}"),
            )
            .with_hint("Patterns have *, ?, ** for any folders, [a-z] and {csv,tsv}.")
        };
        let mut patterns = Vec::new();
        for alternative in alternatives(text).map_err(malformed)? {
            patterns.push(Pattern::new(&alternative).map_err(|error| malformed(error.msg.to_owned()))?);
        }
        Ok(Matcher { text: text.to_owned(), patterns })
    }

    /// A file whose name is the pattern to the letter matches as well: names may have brackets.
    pub fn matches(&self, path: &str) -> bool {
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        self.text == path || self.patterns.iter().any(|pattern| pattern.matches_with(path, options))
    }
}

/// The patterns that a pattern with braces stands for.
fn alternatives(text: &str) -> std::result::Result<Vec<String>, String> {
    let mut open = vec![text.to_owned()];
    let mut done = Vec::new();
    while let Some(pattern) = open.pop() {
        let Some(start) = pattern.find('{') else {
            done.push(pattern);
            continue;
        };
        let Some(length) = pattern[start..].find('}') else {
            return Err("a { is never closed".to_owned());
        };
        let (before, after) = (&pattern[..start], &pattern[start + length + 1..]);
        for choice in pattern[start + 1..start + length].split(',') {
            open.push(format!("{before}{choice}{after}"));
        }
        if open.len() + done.len() > ALTERNATIVES_MAX {
            return Err(format!("its braces stand for more than {ALTERNATIVES_MAX} patterns"));
        }
    }
    Ok(done)
}

/// Whether a file below the folder of an external table belongs to it: it lies in the folder itself or below folders
/// that are partitions or dates, and it is no junk.
pub fn belongs(file: &FoundFile) -> bool {
    let partitioned = |folder: &str| name::partition(folder).is_some() || name::date_part(folder);
    !name::hidden(file.name()) && file.folders().all(|folder| !name::hidden(folder) && partitioned(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_paths() {
        for (pattern, path, expect) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "x/a.csv", false),
            ("**/*.csv", "x/y/a.csv", true),
            ("**/*.csv", "a.csv", true),
            ("*.{csv,tsv}", "a.tsv", true),
            ("*.{csv,tsv}", "a.json", false),
            ("a[1-3].csv", "a2.csv", true),
            ("a[1].csv", "a[1].csv", true),
            ("*", ".hidden", false),
        ] {
            let matcher = Matcher::new(pattern).expect("the pattern is well-formed");
            assert_eq!(matcher.matches(path), expect, "{pattern} on {path}");
        }
        assert!(Matcher::new("{a").is_err());
        assert!(Matcher::new(&"{a,b}".repeat(20)).is_err());
    }
}
