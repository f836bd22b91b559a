//! Which tables there are about a table.

/// A table about a table, by the word after the `$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataTable {
    Snapshots,
    History,
    Refs,
    MetadataLogEntries,
    Properties,
    Manifests,
    AllManifests,
    Files,
    DataFiles,
    DeleteFiles,
    AllFiles,
    AllDataFiles,
    AllDeleteFiles,
    Entries,
    AllEntries,
    Partitions,
}

/// Every one with its name.
const NAMES: [(MetadataTable, &str); 16] = [
    (MetadataTable::Snapshots, "snapshots"),
    (MetadataTable::History, "history"),
    (MetadataTable::Refs, "refs"),
    (MetadataTable::MetadataLogEntries, "metadata_log_entries"),
    (MetadataTable::Properties, "properties"),
    (MetadataTable::Manifests, "manifests"),
    (MetadataTable::AllManifests, "all_manifests"),
    (MetadataTable::Files, "files"),
    (MetadataTable::DataFiles, "data_files"),
    (MetadataTable::DeleteFiles, "delete_files"),
    (MetadataTable::AllFiles, "all_files"),
    (MetadataTable::AllDataFiles, "all_data_files"),
    (MetadataTable::AllDeleteFiles, "all_delete_files"),
    (MetadataTable::Entries, "entries"),
    (MetadataTable::AllEntries, "all_entries"),
    (MetadataTable::Partitions, "partitions"),
];

impl MetadataTable {
    pub fn from_name(name: &str) -> Option<MetadataTable> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(table, _)| *table)
    }

    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(table, _)| *table == self).map_or("", |(_, name)| name)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// Whether it tells of one snapshot, so that it can be read as of another.
    pub fn is_of_snapshot(self) -> bool {
        use MetadataTable::{DataFiles, DeleteFiles, Entries, Files, Manifests, Partitions};
        matches!(self, Manifests | Files | DataFiles | DeleteFiles | Entries | Partitions)
    }

    /// Whether it tells of every snapshot that is still there.
    pub fn is_of_all(self) -> bool {
        use MetadataTable::{AllDataFiles, AllDeleteFiles, AllEntries, AllFiles, AllManifests};
        matches!(self, AllManifests | AllFiles | AllDataFiles | AllDeleteFiles | AllEntries)
    }
}
