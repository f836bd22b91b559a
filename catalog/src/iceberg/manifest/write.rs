//! Writes manifests: as many as the entries need, none larger than a reader likes.

use std::sync::Arc;

use iceberg::spec::{
    DataFile, FormatVersion, ManifestContentType, ManifestFile, ManifestWriter, ManifestWriterBuilder,
    PartitionSpec, SchemaRef,
};

use super::read::{LiveFile, data_file_bytes};
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::data_file::carried;
use crate::iceberg::location::manifest_location;
use crate::id::WriteId;
use crate::storage::{HeldFiles, Storage, TableStorage};

/// A manifest is closed when it has this many entries, or about this many bytes (Iceberg's default target).
const MANIFEST_ENTRIES_MAX: usize = 10_000;
const MANIFEST_BYTES_MAX: usize = 8 << 20;
/// Bytes of manifests that are held back so that they are written together.
const HELD_BYTES_MAX: usize = 64 << 20;
/// The sequence number of an entry that takes the one its snapshot will get.
const INHERITED: i64 = -1;

/// One line of a manifest.
#[derive(Debug)]
pub enum Entry {
    /// New in this snapshot, with the data sequence number of it or an older one.
    Added(DataFile, Option<i64>),
    /// There before, and still there.
    Existing(LiveFile),
    /// There before, and gone with this snapshot.
    Deleted(LiveFile),
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Entry::Added(file, _) => data_file_bytes(file),
            Entry::Existing(live) | Entry::Deleted(live) => data_file_bytes(&live.file),
        }
    }
}

/// Where the manifests of one snapshot go.
#[derive(Debug)]
pub struct ManifestOutput<'a> {
    pub storage: &'a Arc<Storage>,
    /// URL of the table's folder.
    pub table: &'a str,
    pub format_version: FormatVersion,
    pub snapshot_id: i64,
    pub write: WriteId,
    /// Tells the files of one attempt from those of another: a transaction's write is made when its statement runs and
    /// again when it commits, and caches go by name.
    pub attempt: String,
    /// Files that wait to be written.
    pub held: HeldFiles,
    /// Manifests begun so far; part of their names.
    pub begun: usize,
    /// URLs of all files that this commit has begun to write.
    pub files: &'a mut Vec<String>,
}

impl ManifestOutput<'_> {
    /// Writes entries of one partition spec, in their order.
    pub async fn write(
        &mut self,
        schema: &SchemaRef,
        spec: &PartitionSpec,
        content: ManifestContentType,
        entries: Vec<Entry>,
    ) -> Result<Vec<ManifestFile>> {
        let mut written = Vec::new();
        let mut open: Option<ManifestWriter> = None;
        let (mut count, mut bytes) = (0, 0);
        for entry in entries {
            let size = entry.bytes();
            if count == MANIFEST_ENTRIES_MAX || (count > 0 && bytes + size > MANIFEST_BYTES_MAX) {
                written.extend(close(open.take()).await?);
                (count, bytes) = (0, 0);
                if self.held.bytes() > HELD_BYTES_MAX {
                    self.held.write(self.storage).await?;
                }
            }
            if open.is_none() {
                open = Some(self.begin(schema, spec, content)?);
            }
            if let Some(writer) = &mut open {
                add(writer, entry)?;
            }
            count += 1;
            bytes += size;
        }
        written.extend(close(open).await?);
        Ok(written)
    }

    /// Where the Iceberg crate's writers write to.
    pub fn store(&self) -> TableStorage {
        TableStorage::holding(self.storage.clone(), self.table, self.held.clone())
    }

    fn begin(
        &mut self,
        schema: &SchemaRef,
        spec: &PartitionSpec,
        content: ManifestContentType,
    ) -> Result<ManifestWriter> {
        use iceberg::io::Storage as _;
        let url = manifest_location(self.table, self.write, &self.attempt, self.begun);
        let output = self.store().new_output(&url)?;
        let builder =
            ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema.clone(), spec.clone());
        let writer = match (self.format_version, content) {
            (FormatVersion::V1, _) => return Err(version_1_is_not_written()),
            (FormatVersion::V2, ManifestContentType::Data) => builder.build_v2_data(),
            (FormatVersion::V2, ManifestContentType::Deletes) => builder.build_v2_deletes(),
            (FormatVersion::V3, ManifestContentType::Data) => builder.build_v3_data(),
            (FormatVersion::V3, ManifestContentType::Deletes) => builder.build_v3_deletes(),
        };
        self.begun += 1;
        self.files.push(url);
        Ok(writer)
    }
}

fn add(writer: &mut ManifestWriter, entry: Entry) -> Result<()> {
    match entry {
        Entry::Added(file, sequence) => writer.add_file(file, sequence.unwrap_or(INHERITED))?,
        Entry::Existing(live) => writer.add_existing_file(
            carried(&live)?,
            live.snapshot_id,
            live.sequence_number,
            Some(live.file_sequence_number),
        )?,
        Entry::Deleted(live) => {
            writer.add_delete_file(carried(&live)?, live.sequence_number, Some(live.file_sequence_number))?;
        }
    }
    Ok(())
}

async fn close(writer: Option<ManifestWriter>) -> Result<Option<ManifestFile>> {
    match writer {
        Some(writer) => Ok(Some(writer.write_manifest_file().await?)),
        None => Ok(None),
    }
}

pub fn version_1_is_not_written() -> Error {
    Error::new(ErrorKind::Unsupported, "tables of Iceberg format version 1 are read and not written")
        .with_hint("Create the table again with CREATE TABLE ... AS SELECT.")
}
