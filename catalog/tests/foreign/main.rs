//! Tables that somebody else wrote: manifests that name files outside the table, row-level deletes, damaged files.
//! Whoever can write into the bucket can write these, so none of them may be followed or silently misread.

mod commits;

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::io::Storage as _;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, MAIN_BRANCH, ManifestFile,
    ManifestListWriter, ManifestWriterBuilder, NestedField, Operation, PrimitiveType, Schema, Snapshot,
    Summary, TableMetadata, Type, UnboundPartitionSpec,
};
use tarn_catalog::iceberg::{NewTable, live_files, new_table, parse_metadata};
use tarn_catalog::storage::{Storage, StorageOptions, TableStorage};
use tarn_catalog::{Error, ErrorKind};

struct World {
    _folder: tempfile::TempDir,
    storage: Arc<Storage>,
    location: String,
    metadata: TableMetadata,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let warehouse = format!("file://{}/warehouse", folder.path().display());
        let location = format!("{warehouse}/t");
        let options = StorageOptions { warehouse, ..StorageOptions::default() };
        let field = NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long)).into();
        let table = NewTable {
            schema: Schema::builder().with_fields([field]).build().expect("a schema"),
            partition: UnboundPartitionSpec::default(),
            order: Vec::new(),
            properties: HashMap::new(),
            location: location.clone(),
            format_version: FormatVersion::V2,
        };
        let metadata = new_table(table, uuid::Uuid::nil(), 1_000).expect("a table");
        World { _folder: folder, storage: Storage::new(options).expect("storage"), location, metadata }
    }

    fn table_storage(&self) -> TableStorage {
        TableStorage::new(self.storage.clone(), &self.location)
    }

    fn manifest_builder(&self, name: &str) -> ManifestWriterBuilder {
        let url = format!("{}/metadata/{name}.avro", self.location);
        let output = self.table_storage().new_output(&url).expect("an output");
        let spec = self.metadata.default_partition_spec().as_ref().clone();
        ManifestWriterBuilder::new(output, Some(1), self.metadata.current_schema().clone(), spec)
    }

    async fn data_manifest(&self, file: &str) -> ManifestFile {
        let mut writer = self.manifest_builder("data").build_v2_data();
        writer.add_file(describe(DataContentType::Data, file), -1).expect("an entry");
        writer.write_manifest_file().await.expect("a manifest")
    }

    async fn delete_manifest(&self, gone: bool) -> ManifestFile {
        let mut writer = self.manifest_builder("deletes").build_v2_deletes();
        let file =
            describe(DataContentType::PositionDeletes, &format!("{}/data/deletes.parquet", self.location));
        match gone {
            true => writer.add_delete_file(file, 1, Some(1)).expect("an entry"),
            false => writer.add_file(file, -1).expect("an entry"),
        }
        writer.write_manifest_file().await.expect("a manifest")
    }

    /// The table with one snapshot of these manifests.
    async fn with(&self, list: &str, manifests: Vec<ManifestFile>) -> TableMetadata {
        let output = self.table_storage().writer(list).await.expect("a writer");
        let mut writer = ManifestListWriter::v2(output, 1, None, 1);
        writer.add_manifests(manifests.into_iter()).expect("the manifests");
        writer.close().await.expect("the list is written");
        self.pointing_at(list)
    }

    fn pointing_at(&self, list: &str) -> TableMetadata {
        let snapshot = Snapshot::builder()
            .with_snapshot_id(1)
            .with_sequence_number(1)
            .with_timestamp_ms(2_000)
            .with_manifest_list(list)
            .with_summary(Summary { operation: Operation::Append, additional_properties: HashMap::new() })
            .with_schema_id(0)
            .build();
        let builder = self.metadata.clone().into_builder(None);
        let built = builder.set_branch_snapshot(snapshot, MAIN_BRANCH).and_then(|builder| builder.build());
        built.expect("metadata").metadata
    }

    fn list_location(&self) -> String {
        format!("{}/metadata/snap-1.avro", self.location)
    }

    async fn refused(&self, metadata: &TableMetadata) -> Error {
        live_files(&self.storage, metadata, 1).await.expect_err("the table is refused")
    }
}

fn describe(content: DataContentType, path: &str) -> DataFile {
    DataFileBuilder::default()
        .content(content)
        .file_path(path.to_string())
        .file_format(DataFileFormat::Parquet)
        .record_count(1)
        .file_size_in_bytes(1)
        .build()
        .expect("a description")
}

#[tokio::test]
async fn files_of_the_table_are_listed() {
    let world = World::new();
    let file = format!("{}/data/a.parquet", world.location);
    let metadata = world.with(&world.list_location(), vec![world.data_manifest(&file).await]).await;
    let live = live_files(&world.storage, &metadata, 1).await.expect("the files");
    assert_eq!(live.iter().map(|live| live.file.file_path()).collect::<Vec<_>>(), [file]);
    assert!(world.storage.decoded().bytes() > 0, "the manifest is kept");
}

#[tokio::test]
async fn a_manifest_that_names_a_file_elsewhere_is_refused_by_that_name() {
    for file in ["file:///etc/passwd", "s3://somebody/else/a.parquet"] {
        let world = World::new();
        let metadata = world.with(&world.list_location(), vec![world.data_manifest(file).await]).await;
        let refused = world.refused(&metadata).await;
        assert_eq!(refused.kind, ErrorKind::Denied);
        assert!(refused.message.contains(file), "{}", refused.message);
    }
    let world = World::new();
    let file = format!("{}/../other/a.parquet", world.location);
    let metadata = world.with(&world.list_location(), vec![world.data_manifest(&file).await]).await;
    assert_eq!(world.refused(&metadata).await.kind, ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_manifest_or_a_list_elsewhere_is_not_read() {
    let world = World::new();
    let mut manifest = world.data_manifest(&format!("{}/data/a.parquet", world.location)).await;
    manifest.manifest_path = "file:///etc/passwd".to_string();
    let metadata = world.with(&world.list_location(), vec![manifest]).await;
    assert_eq!(world.refused(&metadata).await.kind, ErrorKind::Denied);
    let metadata = world.pointing_at("file:///etc/passwd");
    assert_eq!(world.refused(&metadata).await.kind, ErrorKind::Denied);
}

#[tokio::test]
async fn row_level_deletes_are_refused_and_never_ignored() {
    let world = World::new();
    let data = world.data_manifest(&format!("{}/data/a.parquet", world.location)).await;
    let metadata = world.with(&world.list_location(), vec![data, world.delete_manifest(false).await]).await;
    let refused = world.refused(&metadata).await;
    assert_eq!(refused.kind, ErrorKind::Unsupported);
    assert!(refused.hint.as_deref().is_some_and(|hint| hint.contains("write.delete.mode")), "{refused:?}");
}

#[tokio::test]
async fn deletes_that_are_themselves_gone_do_not_matter() {
    let world = World::new();
    let data = world.data_manifest(&format!("{}/data/a.parquet", world.location)).await;
    let metadata = world.with(&world.list_location(), vec![data, world.delete_manifest(true).await]).await;
    assert_eq!(live_files(&world.storage, &metadata, 1).await.expect("the files").len(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_a_missing_one_is_missing() {
    let world = World::new();
    let list = world.list_location();
    let metadata = world.pointing_at(&list);
    let missing = world.refused(&metadata).await;
    assert!(matches!(missing.kind, ErrorKind::NotFound(_)), "{missing:?}");
    let good =
        world.with(&list, vec![world.data_manifest(&format!("{}/data/a", world.location)).await]).await;
    let file = world.storage.guard().table_file(&world.location, &list).expect("a file of the table");
    let content = world.storage.get(&file).await.expect("the list");
    for damage in [&b""[..], b"not avro", &content[..content.len() / 2]] {
        let world = World::new();
        let file =
            world.storage.guard().table_file(&world.location, &world.list_location()).expect("its list");
        world.storage.put(&file, damage.to_vec().into()).await.expect("the damage is done");
        let refused = world.refused(&world.pointing_at(&world.list_location())).await;
        assert_eq!(refused.kind, ErrorKind::Unsupported, "{refused:?}");
        assert!(refused.message.contains("snap-1.avro"), "{}", refused.message);
    }
    assert!(live_files(&world.storage, &good, 1).await.is_ok());
}

#[tokio::test]
async fn metadata_that_is_not_understood_is_unsupported() {
    for json in [&b""[..], b"{}", br#"{"format-version": 9}"#, b"\xff\xfe"] {
        assert_eq!(parse_metadata(json).expect_err("it is refused").kind, ErrorKind::Unsupported);
    }
}

#[tokio::test]
async fn table_storage_carries_no_stores_when_it_is_written_down() {
    let world = World::new();
    let list = world.list_location();
    let metadata = world.with(&list, vec![]).await;
    assert!(metadata.current_snapshot().is_some());
    let written: Box<dyn iceberg::io::Storage> = Box::new(world.table_storage());
    let json = serde_json::to_string(&written).expect("JSON");
    let read: Box<dyn iceberg::io::Storage> = serde_json::from_str(&json).expect("it is read again");
    assert!(read.read(&list).await.is_err(), "it has no stores");
    let read: TableStorage = serde_json::from_str(&json).expect("it is read again");
    let attached = read.attach(world.storage.clone());
    assert!(attached.read(&list).await.is_ok());
    assert!(attached.read("file:///etc/passwd").await.is_err());
    assert!(attached.delete_prefix(&world.location).await.is_err());
}
