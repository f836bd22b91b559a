//! Looks at every pointer and file of a table and says what is wrong: metadata, its log, manifest lists, manifests, data
//! and delete files, sequence numbers, row ids and totals. One problem never hides another. It must never change
//! anything. Next: `check/files.rs` for what is looked at in a single file.

mod files;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use iceberg::spec::{
    DataContentType, FormatVersion, ManifestFile, ManifestStatus, SnapshotRef, TableMetadata,
};

use super::reach::{read_list, statistics_files};
use crate::error::{Error, Result};
use crate::iceberg::manifest::{Decoded, LiveFile, decode, parse_manifest};
use crate::iceberg::metadata::parse_metadata;
use crate::reader::TableVersion;
use crate::storage::Storage;

/// Files looked at at the same time.
const FILES_AT_ONCE: usize = 16;
/// Problems that are reported; a table with more is beyond listing them.
const PROBLEMS_MAX: usize = 10_000;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Queries may fail or answer wrongly.
    Error,
    /// Nothing is wrong with the answers.
    Warning,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// A few words that tell one kind of problem from another.
    pub problem: &'static str,
    /// The file or snapshot it is about.
    pub about: String,
    pub detail: String,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Read the data too, and compare it with the bounds and counts that the manifests state.
    pub deep: bool,
}

/// What was found so far.
struct Check<'a> {
    storage: &'a Storage,
    table: &'a TableVersion,
    problems: Vec<Problem>,
}

/// One manifest with what was read of it.
struct Seen {
    file: ManifestFile,
    decoded: Arc<Decoded>,
}

/// Checks a table. What cannot be read is a problem, not an error.
pub async fn check_table(
    storage: &Storage,
    table: &TableVersion,
    options: CheckOptions,
) -> Result<Vec<Problem>> {
    let mut check = Check { storage, table, problems: Vec::new() };
    check.metadata_files().await;
    let metadata = &table.metadata;
    let mut manifests: BTreeMap<String, Option<Seen>> = BTreeMap::new();
    for snapshot in metadata.snapshots() {
        let list = check.list(snapshot).await;
        for file in &list {
            if !manifests.contains_key(&file.manifest_path) {
                let seen = check.manifest(file).await;
                manifests.insert(file.manifest_path.clone(), seen);
            }
        }
        let live: Vec<&LiveFile> = list
            .iter()
            .filter_map(|file| manifests.get(&file.manifest_path)?.as_ref())
            .flat_map(|seen| &seen.decoded.live)
            .collect();
        check.problems.extend(rows::of_snapshot(metadata, snapshot, &live));
    }
    let seen: Vec<Seen> = manifests.into_values().flatten().collect();
    check.files(&seen, options).await;
    check.problems.truncate(PROBLEMS_MAX);
    check.problems.sort_by(|one, other| {
        (one.severity, one.problem, &one.about).cmp(&(other.severity, other.problem, &other.about))
    });
    Ok(check.problems)
}

impl Check<'_> {
    fn metadata(&self) -> &TableMetadata {
        &self.table.metadata
    }

    fn found(&mut self, severity: Severity, problem: &'static str, about: &str, detail: impl Into<String>) {
        let (about, detail) = (about.to_owned(), detail.into());
        self.problems.push(Problem { severity, problem, about, detail });
    }

    fn failed(&mut self, problem: &'static str, about: &str, error: &Error) {
        self.found(Severity::Error, problem, about, error.to_string());
    }

    /// The pointer's file, the log and the statistics.
    async fn metadata_files(&mut self) {
        let location = self.metadata().location().to_owned();
        if self.table.pointer.location != location {
            let detail = format!("The catalog says {}.", self.table.pointer.location);
            self.found(Severity::Error, "other location", &location, detail);
        }
        let current = self.table.pointer.metadata_location.clone();
        match self.read(&location, &current).await {
            Err(error) => self.failed("metadata file", &current, &error),
            Ok(json) => match parse_metadata(&json) {
                Err(error) => self.failed("metadata file", &current, &error),
                Ok(written) if written != **self.table_metadata() => {
                    let detail = "The file says something else than the catalog's copy of it.";
                    self.found(Severity::Error, "metadata file", &current, detail);
                }
                Ok(_) => {}
            },
        }
        let logged: Vec<String> =
            self.metadata().metadata_log().iter().map(|entry| entry.metadata_file.clone()).collect();
        for url in logged {
            if let Err(error) = self.size(&location, &url).await {
                self.found(Severity::Warning, "metadata log", &url, error.to_string());
            }
        }
        for url in statistics_files(self.metadata()) {
            if let Err(error) = self.size(&location, &url).await {
                self.found(Severity::Warning, "statistics file", &url, error.to_string());
            }
        }
        self.history();
    }

    fn table_metadata(&self) -> &Arc<TableMetadata> {
        &self.table.metadata
    }

    /// Numbers that must fit each other within the metadata.
    fn history(&mut self) {
        let metadata = Arc::clone(self.table_metadata());
        let mut numbers = BTreeSet::new();
        for snapshot in metadata.snapshots() {
            let about = format!("snapshot {}", snapshot.snapshot_id());
            let number = snapshot.sequence_number();
            if number > metadata.last_sequence_number() {
                let detail = format!(
                    "It is {number}, and the table's last one is {}.",
                    metadata.last_sequence_number()
                );
                self.found(Severity::Error, "sequence number", &about, detail);
            }
            if metadata.format_version() != FormatVersion::V1 && !numbers.insert(number) {
                let detail = format!("Another snapshot has {number} too.");
                self.found(Severity::Error, "sequence number", &about, detail);
            }
            if snapshot.schema_id().is_some_and(|id| metadata.schema_by_id(id).is_none()) {
                self.found(Severity::Error, "schema", &about, "Its columns are not in the metadata.");
            }
        }
        let current = metadata.current_snapshot_id();
        if current.is_some_and(|id| metadata.snapshot_by_id(id).is_none()) {
            self.found(Severity::Error, "current snapshot", "main", "It is not among the snapshots.");
        }
    }

    async fn list(&mut self, snapshot: &SnapshotRef) -> Vec<ManifestFile> {
        let location = self.metadata().location().to_owned();
        let url = snapshot.manifest_list();
        if let Err(error) = self.size(&location, url).await {
            self.failed("manifest list", url, &error);
            return Vec::new();
        }
        let list = read_list(self.storage, &location, url, self.metadata().format_version()).await;
        let list = match list {
            Ok(list) => list,
            Err(error) => {
                self.failed("manifest list", url, &error);
                return Vec::new();
            }
        };
        for manifest in &list {
            if manifest.sequence_number > snapshot.sequence_number() {
                let detail = format!(
                    "It is {}, and the snapshot's is {}.",
                    manifest.sequence_number,
                    snapshot.sequence_number()
                );
                self.found(Severity::Error, "sequence number", &manifest.manifest_path, detail);
            }
        }
        list
    }

    async fn manifest(&mut self, file: &ManifestFile) -> Option<Seen> {
        let location = self.metadata().location().to_owned();
        let url = file.manifest_path.as_str();
        match self.size(&location, url).await {
            Ok(size) if i64::try_from(size).ok() != Some(file.manifest_length) => {
                let detail = format!("It has {size} bytes, and its list says {}.", file.manifest_length);
                self.found(Severity::Error, "size", url, detail);
            }
            Ok(_) => {}
            Err(error) => {
                self.failed("manifest", url, &error);
                return None;
            }
        }
        if self.metadata().partition_spec_by_id(file.partition_spec_id).is_none() {
            let detail = format!("The table has no partition spec {}.", file.partition_spec_id);
            self.found(Severity::Error, "partition spec", url, detail);
        }
        if let Err(error) = self.counts(&location, file).await {
            self.failed("manifest", url, &error);
        }
        match decode(self.storage, &location, file).await {
            Ok(decoded) => Some(Seen { file: file.clone(), decoded }),
            Err(error) => {
                self.failed("manifest", url, &error);
                None
            }
        }
    }

    /// The figures that a manifest list states of a manifest.
    async fn counts(&mut self, location: &str, file: &ManifestFile) -> Result<()> {
        let bytes = self.read(location, &file.manifest_path).await?;
        let parsed = tokio::task::spawn_blocking(move || parse_manifest(&bytes)).await;
        let (entries, _) =
            parsed.map_err(|panic| Error::internal("it cannot be read").with_source(panic))??;
        let figure = |status: ManifestStatus| {
            let entries = entries.iter().filter(move |entry| entry.status() == status);
            entries.fold((0u32, 0u64), |(files, rows), entry| (files + 1, rows + entry.record_count()))
        };
        let stated = [
            ("added", ManifestStatus::Added, file.added_files_count, file.added_rows_count),
            ("existing", ManifestStatus::Existing, file.existing_files_count, file.existing_rows_count),
            ("deleted", ManifestStatus::Deleted, file.deleted_files_count, file.deleted_rows_count),
        ];
        for (word, status, files, rows) in stated {
            let (found_files, found_rows) = figure(status);
            if files.is_some_and(|files| files != found_files) || rows.is_some_and(|rows| rows != found_rows)
            {
                let detail = format!(
                    "It has {found_files} {word} files with {found_rows} rows, and its list says {} and {}.",
                    files.unwrap_or(found_files),
                    rows.unwrap_or(found_rows)
                );
                self.found(Severity::Error, "manifest counts", &file.manifest_path, detail);
            }
        }
        Ok(())
    }

    /// Every data and delete file once, whichever snapshots have it.
    async fn files(&mut self, manifests: &[Seen], options: CheckOptions) {
        let mut files: HashMap<(&str, Option<i64>), (&LiveFile, &Decoded)> = HashMap::new();
        for seen in manifests {
            for live in &seen.decoded.live {
                if live.sequence_number < seen.file.min_sequence_number {
                    let detail = format!(
                        "It is {}, below the manifest's least, {}.",
                        live.sequence_number, seen.file.min_sequence_number
                    );
                    self.found(Severity::Error, "sequence number", live.file.file_path(), detail);
                }
                files.insert((live.file.file_path(), live.file.content_offset()), (live, &seen.decoded));
            }
        }
        let (storage, location) = (self.storage, self.metadata().location().to_owned());
        // Collected first: a closure that lives across the wait would keep the compiler from seeing that this is `Send`.
        let looks: Vec<_> = files
            .into_values()
            .map(|(live, decoded)| files::look(storage, &location, live, decoded, options))
            .collect();
        let found: Vec<Vec<Problem>> = stream::iter(looks).buffer_unordered(FILES_AT_ONCE).collect().await;
        self.problems.extend(found.into_iter().flatten());
    }

    async fn size(&self, location: &str, url: &str) -> Result<u64> {
        files::size(self.storage, location, url).await
    }

    async fn read(&self, location: &str, url: &str) -> Result<bytes::Bytes> {
        self.storage.get(&self.storage.guard().table_file(location, url)?).await
    }
}

/// What a file is, in the words of a problem.
fn kind_of(content: DataContentType) -> &'static str {
    super::reach::FileKind::of(content).name()
}
