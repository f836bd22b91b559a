//! Which delete files apply to which data file (specification, "Scan Planning"). It must never open a delete file:
//! `load.rs` does, when somebody reads the data file.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::metadata_columns::RESERVED_FIELD_ID_DELETE_FILE_PATH;
use iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, Literal, ManifestContentType, ManifestFile, PartitionSpec,
    PrimitiveLiteral, Struct, TableMetadata,
};

use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::manifest::{Decoded, LiveFile, READS_AT_ONCE, decode, is_live, manifest_list};
use crate::storage::Storage;

/// About what a delete file takes in an index beside its entry, which it shares with its manifest.
const DELETE_FILE_BYTES: usize = 256;

/// All live files of a snapshot.
#[derive(Debug, Default)]
pub struct SnapshotFiles {
    pub data: Vec<LiveFile>,
    pub deletes: DeleteIndex,
}

/// The delete files of a snapshot, found by what they apply to.
#[derive(Debug, Default)]
pub struct DeleteIndex {
    files: Vec<LiveFile>,
    /// Deletion vectors, by their data file.
    vectors: HashMap<String, usize>,
    /// Position-delete files of one data file each, by that.
    of_file: HashMap<String, Vec<usize>>,
    /// Position-delete files of many data files, by partition.
    of_partition: HashMap<PartitionKey, Vec<usize>>,
    equality: HashMap<PartitionKey, Vec<usize>>,
    /// Equality deletes of an unpartitioned spec apply to the whole table.
    equality_everywhere: Vec<usize>,
}

/// A partition of one spec.
type PartitionKey = (i32, Struct);

/// What takes rows out of one data file.
#[derive(Debug, Clone, Default)]
pub struct FileDeletes {
    /// Read by [`super::deleted_positions`].
    pub positions: Option<Arc<PositionDeletes>>,
    /// Files whose rows say which values are deleted, oldest first.
    pub equality: Vec<LiveFile>,
}

/// Files that name rows of a data file by their position.
#[derive(Debug)]
pub struct PositionDeletes {
    /// One deletion vector, or any number of position-delete files.
    pub files: Vec<LiveFile>,
    /// Rows of the data file; no position may be higher.
    pub data_rows: u64,
}

impl PositionDeletes {
    /// The deletion vector, whose record count is exactly the number of deleted rows. Position-delete files may name a
    /// row twice.
    pub fn vector(&self) -> Option<&LiveFile> {
        self.files.first().filter(|live| is_vector(&live.file))
    }
}

impl FileDeletes {
    /// Every row of the file is live.
    pub fn is_empty(&self) -> bool {
        self.positions.is_none() && self.equality.is_empty()
    }
}

/// The files of a snapshot, and which of them delete rows of which others.
pub async fn snapshot_files(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> Result<SnapshotFiles> {
    let manifests = manifest_list(storage, metadata, snapshot_id).await?;
    files_of(storage, metadata, &manifests).await
}

/// What a scan of a snapshot is planned from.
#[derive(Debug)]
pub struct SnapshotManifests {
    /// Those of data files that may have live ones.
    pub data: Vec<ManifestFile>,
    pub deletes: Arc<DeleteIndex>,
}

/// The data manifests of a snapshot, not read yet, and its delete files, which are kept.
pub async fn snapshot_manifests(
    storage: &Storage,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> Result<SnapshotManifests> {
    let manifests = manifest_list(storage, metadata, snapshot_id).await?;
    let of = |content: ManifestContentType| -> Vec<ManifestFile> {
        let wanted = |manifest: &&ManifestFile| manifest.content == content && is_live(manifest);
        manifests.iter().filter(wanted).cloned().collect()
    };
    let (data, deletes) = (of(ManifestContentType::Data), of(ManifestContentType::Deletes));
    if deletes.is_empty() {
        return Ok(SnapshotManifests { data, deletes: Arc::default() });
    }
    let key = format!("deletes of {} in snapshot {snapshot_id}", metadata.location());
    if let Some(deletes) = storage.decoded().get::<DeleteIndex>(&key) {
        return Ok(SnapshotManifests { data, deletes });
    }
    let index = Arc::new(files_of(storage, metadata, &deletes).await?.deletes);
    let bytes = index.files.len() * (size_of::<LiveFile>() + DELETE_FILE_BYTES);
    storage.decoded().insert(key, Arc::clone(&index), bytes);
    Ok(SnapshotManifests { data, deletes: index })
}

/// The live files that these manifests list.
pub async fn files_of(
    storage: &Storage,
    metadata: &TableMetadata,
    manifests: &[ManifestFile],
) -> Result<SnapshotFiles> {
    let live: Vec<&ManifestFile> = manifests.iter().filter(|manifest| is_live(manifest)).collect();
    // Collected first: a closure that lives across the wait would keep the compiler from seeing that this is `Send`.
    let reads: Vec<_> = live.iter().map(|manifest| decode(storage, metadata.location(), manifest)).collect();
    let decoded: Vec<Arc<Decoded>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    let mut files = SnapshotFiles::default();
    for (manifest, decoded) in live.into_iter().zip(decoded) {
        match manifest.content {
            ManifestContentType::Data => files.data.extend(decoded.live.iter().cloned()),
            ManifestContentType::Deletes => {
                for live in &decoded.live {
                    files.deletes.add(live.clone(), &decoded.spec)?;
                }
            }
        }
    }
    Ok(files)
}

impl DeleteIndex {
    /// There are no deletes: every row of every data file is live.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// All delete files, in the order of their manifests.
    pub fn files(&self) -> &[LiveFile] {
        &self.files
    }

    /// The delete files that apply to a data file. Those that are older than it do not: the file was written by a
    /// commit that had seen them.
    pub fn of(&self, data: &LiveFile) -> FileDeletes {
        if self.is_empty() {
            return FileDeletes::default();
        }
        let path = data.file.file_path();
        let since = |indexes: &[usize], oldest: i64| -> Vec<LiveFile> {
            let files = indexes.iter().map(|index| &self.files[*index]);
            files.filter(|live| live.sequence_number >= oldest).cloned().collect()
        };
        let mut positions = match self.vectors.get(path) {
            Some(vector) => since(&[*vector], data.sequence_number),
            None => Vec::new(),
        };
        // A deletion vector holds what the position-delete files of its data file said, so they do not count any more.
        let mut equality = since(&self.equality_everywhere, data.sequence_number + 1);
        if positions.is_empty() {
            let of_file = self.of_file.get(path).map_or(&[][..], Vec::as_slice);
            positions = since(of_file, data.sequence_number);
        }
        if !self.of_partition.is_empty() || !self.equality.is_empty() {
            let key = partition_key(data.spec_id, data.file.partition());
            if positions.first().is_none_or(|live| !is_vector(&live.file)) {
                let of_partition = self.of_partition.get(&key).map_or(&[][..], Vec::as_slice);
                positions.extend(since(of_partition, data.sequence_number));
            }
            let of_partition = self.equality.get(&key).map_or(&[][..], Vec::as_slice);
            equality.extend(since(of_partition, data.sequence_number + 1));
        }
        equality.sort_by_key(|live| live.sequence_number);
        let positions = (!positions.is_empty())
            .then(|| Arc::new(PositionDeletes { files: positions, data_rows: data.file.record_count() }));
        FileDeletes { positions, equality }
    }

    fn add(&mut self, live: LiveFile, spec: &PartitionSpec) -> Result<()> {
        let index = self.files.len();
        let file = live.file.as_ref();
        let key = || partition_key(live.spec_id, file.partition());
        match file.content_type() {
            DataContentType::Data => {
                let text = format!("file \"{}\" is listed as a delete file and is none", file.file_path());
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
            DataContentType::PositionDeletes => match referenced(file) {
                Some(data) if is_vector(file) => {
                    if let Some(other) = self.vectors.get(&data) {
                        return Err(two_vectors(&data, &self.files[*other], file));
                    }
                    self.vectors.insert(data, index);
                }
                None if is_vector(file) => {
                    let text = format!("deletion vector \"{}\" does not say of which file", file.file_path());
                    return Err(Error::new(ErrorKind::Unsupported, text));
                }
                Some(data) => self.of_file.entry(data).or_default().push(index),
                None => self.of_partition.entry(key()).or_default().push(index),
            },
            DataContentType::EqualityDeletes if spec.is_unpartitioned() => {
                self.equality_everywhere.push(index)
            }
            DataContentType::EqualityDeletes => self.equality.entry(key()).or_default().push(index),
        }
        self.files.push(live);
        Ok(())
    }
}

/// A deletion vector is a position-delete entry whose file is a Puffin file (trap T5: it is no Parquet file).
pub fn is_vector(file: &DataFile) -> bool {
    file.content_type() == DataContentType::PositionDeletes && file.file_format() == DataFileFormat::Puffin
}

/// The only data file that a position-delete file has rows of, where it says so: in its own field, or because all its
/// paths are the same.
pub fn referenced(file: &DataFile) -> Option<String> {
    file.referenced_data_file().or_else(|| {
        let lower = file.lower_bounds().get(&RESERVED_FIELD_ID_DELETE_FILE_PATH)?;
        let upper = file.upper_bounds().get(&RESERVED_FIELD_ID_DELETE_FILE_PATH)?;
        match (lower.literal(), upper.literal()) {
            (PrimitiveLiteral::String(lower), PrimitiveLiteral::String(upper)) if lower == upper => {
                Some(lower.clone())
            }
            _ => None,
        }
    })
}

/// A partition as a key. Manifests hold partition values with the type that the column had when they were written, and
/// a column may have been widened since.
pub fn partition_key(spec_id: i32, partition: &Struct) -> PartitionKey {
    let widened = |value: Option<&Literal>| match value {
        Some(Literal::Primitive(PrimitiveLiteral::Int(value))) => Some(Literal::long(*value)),
        Some(Literal::Primitive(PrimitiveLiteral::Float(value))) => {
            Some(Literal::double(f64::from(value.into_inner())))
        }
        value => value.cloned(),
    };
    (spec_id, Struct::from_iter(partition.iter().map(widened)))
}

fn two_vectors(data: &str, one: &LiveFile, other: &DataFile) -> Error {
    let text = format!("data file \"{data}\" has two deletion vectors");
    let detail = format!("They are in \"{}\" and \"{}\".", one.file.file_path(), other.file_path());
    Error::new(ErrorKind::Unsupported, text).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{DataFileBuilder, Datum, Transform};

    use super::*;

    fn live(
        path: &str,
        content: DataContentType,
        sequence_number: i64,
        partition: Option<Literal>,
        change: impl FnOnce(&mut DataFileBuilder),
    ) -> LiveFile {
        let mut builder = DataFileBuilder::default();
        builder
            .content(content)
            .file_path(path.to_string())
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([partition]))
            .record_count(10)
            .file_size_in_bytes(1);
        change(&mut builder);
        let file = Arc::new(builder.build().expect("a description"));
        let file_sequence_number = sequence_number;
        LiveFile {
            file,
            spec_id: 1,
            sequence_number,
            file_sequence_number,
            snapshot_id: 1,
            first_row_id: None,
        }
    }

    fn spec(transform: Transform) -> PartitionSpec {
        let field = iceberg::spec::NestedField::optional(
            1,
            "id",
            iceberg::spec::Type::Primitive(iceberg::spec::PrimitiveType::Long),
        );
        let schema = iceberg::spec::Schema::builder().with_fields([field.into()]).build().expect("a schema");
        let builder = PartitionSpec::builder(Arc::new(schema)).with_spec_id(1);
        builder.add_partition_field("id", "p", transform).expect("a field").build().expect("a spec")
    }

    fn names(files: &[LiveFile]) -> Vec<&str> {
        files.iter().map(|live| live.file.file_path()).collect()
    }

    fn positions(deletes: &FileDeletes) -> Vec<&str> {
        deletes.positions.as_ref().map_or(Vec::new(), |positions| names(&positions.files))
    }

    #[test]
    fn sequence_numbers_and_partitions_decide() {
        use DataContentType::{Data, EqualityDeletes, PositionDeletes};
        let one = || Some(Literal::long(1));
        let mut index = DeleteIndex::default();
        let by_id = spec(Transform::Identity);
        for sequence in [4, 5, 6] {
            let add = |name: &str, content, partition: Option<Literal>| {
                live(&format!("{name}{sequence}"), content, sequence, partition, |_| {})
            };
            index.add(add("p", PositionDeletes, one()), &by_id).expect("it is added");
            index.add(add("e", EqualityDeletes, one()), &by_id).expect("it is added");
            index.add(add("other", PositionDeletes, Some(Literal::long(2))), &by_id).expect("it is added");
            index.add(add("all", EqualityDeletes, one()), &spec(Transform::Void)).expect("it is added");
        }
        // The partition value was written before the column was widened.
        let data = live("a", Data, 5, Some(Literal::int(1)), |_| {});
        let deletes = index.of(&data);
        assert_eq!(positions(&deletes), ["p5", "p6"]);
        assert_eq!(names(&deletes.equality), ["all6", "e6"]);
        let elsewhere = live("b", Data, 5, Some(Literal::long(3)), |_| {});
        assert_eq!(positions(&index.of(&elsewhere)), Vec::<&str>::new());
        assert_eq!(names(&index.of(&elsewhere).equality), ["all6"]);
        assert!(index.of(&live("c", Data, 6, None, |_| {})).is_empty());
    }

    #[test]
    fn a_deletion_vector_takes_the_place_of_position_delete_files() {
        use DataContentType::{Data, PositionDeletes};
        let mut index = DeleteIndex::default();
        let by_id = spec(Transform::Identity);
        let mut add = |name: &str, sequence: i64, change: &dyn Fn(&mut DataFileBuilder)| {
            index.add(live(name, PositionDeletes, sequence, None, |builder| change(builder)), &by_id)
        };
        let path = |name: &str| HashMap::from([(RESERVED_FIELD_ID_DELETE_FILE_PATH, Datum::string(name))]);
        add("many", 5, &|_| {}).expect("it is added");
        add("bounds", 5, &|builder| {
            builder.lower_bounds(path("a")).upper_bounds(path("a"));
        })
        .expect("it is added");
        add("wide", 5, &|builder| {
            builder.lower_bounds(path("a")).upper_bounds(path("b"));
        })
        .expect("it is added");
        let vector = |builder: &mut DataFileBuilder| {
            builder.file_format(DataFileFormat::Puffin).referenced_data_file(Some("b".to_string()));
        };
        add("vector", 6, &vector).expect("it is added");
        let twice = add("again", 7, &vector).expect_err("one file has one vector");
        assert!(twice.message.contains("\"b\""), "{}", twice.message);
        assert_eq!(positions(&index.of(&live("a", Data, 5, None, |_| {}))), ["bounds", "many", "wide"]);
        let b = index.of(&live("b", Data, 5, None, |_| {}));
        assert_eq!(positions(&b), ["vector"]);
        assert!(b.positions.is_some_and(|positions| positions.vector().is_some()));
    }
}
