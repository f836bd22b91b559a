//! Writes manifests: as many as the entries need, none larger than a reader likes.

use std::sync::Arc;

use iceberg::spec::{
    DataFile, FormatVersion, ManifestContentType, ManifestFile, ManifestWriter, ManifestWriterBuilder,
    PartitionSpec, SchemaRef,
};

use super::read::{LiveFile, data_file_bytes};
use super::uuids::UuidFields;
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
        let mut open: Option<Open> = None;
        let (mut count, mut bytes) = (0, 0);
        for entry in entries {
            let size = entry.bytes();
            if count == MANIFEST_ENTRIES_MAX || (count > 0 && bytes + size > MANIFEST_BYTES_MAX) {
                written.extend(self.close(open.take()).await?);
                (count, bytes) = (0, 0);
                if self.held.bytes() > HELD_BYTES_MAX {
                    self.held.write(self.storage).await?;
                }
            }
            if open.is_none() {
                open = Some(self.begin(schema, spec, content)?);
            }
            if let Some(open) = &mut open {
                open.add(entry)?;
            }
            count += 1;
            bytes += size;
        }
        written.extend(self.close(open).await?);
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
    ) -> Result<Open> {
        use iceberg::io::Storage as _;
        let url = manifest_location(self.table, self.write, &self.attempt, self.begun);
        let output = self.store().new_output(&url)?;
        let uuids = UuidFields::of(spec, schema)?;
        let schema = uuids.as_ref().map_or(schema, UuidFields::schema).clone();
        let builder = ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec.clone());
        let writer = match (self.format_version, content) {
            (FormatVersion::V1, _) => return Err(version_1_is_not_written()),
            (FormatVersion::V2, ManifestContentType::Data) => builder.build_v2_data(),
            (FormatVersion::V2, ManifestContentType::Deletes) => builder.build_v2_deletes(),
            (FormatVersion::V3, ManifestContentType::Data) => builder.build_v3_data(),
            (FormatVersion::V3, ManifestContentType::Deletes) => builder.build_v3_deletes(),
        };
        self.begun += 1;
        self.files.push(url.clone());
        Ok(Open { writer, url, uuids })
    }

    async fn close(&self, open: Option<Open>) -> Result<Option<ManifestFile>> {
        let Some(Open { writer, url, uuids }) = open else { return Ok(None) };
        let mut manifest = writer.write_manifest_file().await?;
        if let Some(uuids) = uuids {
            self.held.change(&url, |content| uuids.finish(content, &mut manifest))?;
        }
        Ok(Some(manifest))
    }
}

/// A manifest that is being written.
struct Open {
    writer: ManifestWriter,
    url: String,
    uuids: Option<UuidFields>,
}

impl Open {
    fn add(&mut self, entry: Entry) -> Result<()> {
        match entry {
            Entry::Added(file, sequence) => {
                let file = self.writable(file)?;
                self.writer.add_file(file, sequence.unwrap_or(INHERITED))?;
            }
            Entry::Existing(live) => {
                let (file, sequence) = (self.writable(carried(&live)?)?, live.sequence_number);
                let file_sequence = Some(live.file_sequence_number);
                self.writer.add_existing_file(file, live.snapshot_id, sequence, file_sequence)?;
            }
            Entry::Deleted(live) => {
                let (file, sequence) = (self.writable(carried(&live)?)?, live.sequence_number);
                self.writer.add_delete_file(file, sequence, Some(live.file_sequence_number))?;
            }
        }
        Ok(())
    }

    fn writable(&mut self, file: DataFile) -> Result<DataFile> {
        match &mut self.uuids {
            Some(uuids) => uuids.entry(&file),
            None => Ok(file),
        }
    }
}

pub fn version_1_is_not_written() -> Error {
    Error::new(ErrorKind::Unsupported, "tables of Iceberg format version 1 are read and not written")
        .with_hint("Create the table again with CREATE TABLE ... AS SELECT.")
}
