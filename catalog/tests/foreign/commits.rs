//! Commits of other engines: what they lead to is looked at before it is believed, and no request leaves the table's folder on
//! the way. A store that writes down what it is asked for proves it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use iceberg::TableUpdate;
use iceberg::io::Storage as _;
use iceberg::spec::{
    MAIN_BRANCH, ManifestListWriter, NestedField, Operation, PrimitiveType, Schema, Snapshot,
    SnapshotReference, SnapshotRetention, Summary, TableMetadata, Type,
};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tarn_catalog::ErrorKind;
use tarn_catalog::iceberg::{Effect, created, examine};

use super::World;

/// The local disk, which writes down every path that it is asked about.
#[derive(Debug)]
struct Recorder {
    inner: LocalFileSystem,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    fn note(&self, path: &Path) {
        self.asked.lock().push(path.to_string());
    }
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("recorder")
    }
}

#[async_trait]
impl ObjectStore for Recorder {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.note(path);
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.note(path);
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.note(path);
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.asked.lock().push("a deletion".to_owned());
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.note(&prefix.cloned().unwrap_or_default());
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.note(&prefix.cloned().unwrap_or_default());
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.note(from);
        self.note(to);
        self.inner.copy_opts(from, to, options).await
    }
}

/// From now on, what is asked of the disk.
fn record(world: &World) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let recorder = Recorder { inner: LocalFileSystem::new(), asked: Arc::clone(&asked) };
    world.storage.replace_store("file:///", Arc::new(recorder)).expect("the store is replaced");
    asked
}

/// The updates that make a snapshot the newest.
fn commit(snapshot: &Snapshot) -> Vec<TableUpdate> {
    let retention = SnapshotRetention::Branch {
        min_snapshots_to_keep: None,
        max_snapshot_age_ms: None,
        max_ref_age_ms: None,
    };
    let reference = SnapshotReference { snapshot_id: snapshot.snapshot_id(), retention };
    vec![
        TableUpdate::AddSnapshot { snapshot: snapshot.clone() },
        TableUpdate::SetSnapshotRef { ref_name: MAIN_BRANCH.to_owned(), reference },
    ]
}

fn newest(metadata: &TableMetadata) -> Vec<TableUpdate> {
    commit(metadata.current_snapshot().expect("a snapshot"))
}

#[tokio::test]
async fn what_a_commit_does_is_found_in_its_files() {
    let world = World::new();
    let file = format!("{}/data/a.parquet", world.location);
    let one = world.with(&world.list_location(), vec![world.data_manifest(&file).await]).await;
    let asked = record(&world);
    let effect = examine(&world.storage, &world.metadata, &newest(&one)).await.expect("it fits");
    assert_eq!(effect, Effect { adds_rows: true, removes_rows: false });
    let folder = world.location.trim_start_matches("file:///");
    let asked = asked.lock().clone();
    assert!(!asked.is_empty() && asked.iter().all(|path| path.starts_with(folder)), "{asked:?}");

    // The next one calls itself an append, and has lost the file.
    let list = format!("{}/metadata/snap-2.avro", world.location);
    let output = world.table_storage().writer(&list).await.expect("a writer");
    ManifestListWriter::v2(output, 2, Some(1), 2).close().await.expect("an empty list");
    let summary = Summary { operation: Operation::Append, additional_properties: Default::default() };
    let two = Snapshot::builder()
        .with_snapshot_id(2)
        .with_parent_snapshot_id(Some(1))
        .with_sequence_number(2)
        .with_timestamp_ms(3_000)
        .with_manifest_list(list)
        .with_summary(summary)
        .with_schema_id(0)
        .build();
    let effect = examine(&world.storage, &one, &commit(&two)).await.expect("it fits");
    assert_eq!(effect, Effect { adds_rows: false, removes_rows: true });
}

#[tokio::test]
async fn nothing_outside_of_the_table_is_asked_for() {
    for file in ["file:///etc/passwd", "s3://somebody/else/a.parquet"] {
        for place in ["data file", "manifest", "manifest list"] {
            let world = World::new();
            let inside = format!("{}/data/a.parquet", world.location);
            let mut manifest =
                world.data_manifest(if place == "data file" { file } else { inside.as_str() }).await;
            if place == "manifest" {
                manifest.manifest_path = file.to_owned();
            }
            let metadata = match place {
                "manifest list" => world.pointing_at(file),
                _ => world.with(&world.list_location(), vec![manifest]).await,
            };
            let asked = record(&world);
            let refused = examine(&world.storage, &world.metadata, &newest(&metadata)).await;
            assert_eq!(refused.expect_err(place).kind, ErrorKind::Denied, "{place} {file}");
            let folder = world.location.trim_start_matches("file:///");
            let asked = asked.lock().clone();
            assert!(asked.iter().all(|path| path.starts_with(folder)), "{asked:?}");
        }
    }
}

#[tokio::test]
async fn files_that_do_not_fit_together_are_refused() {
    let world = World::new();
    let manifest = world.data_manifest(&format!("{}/data/a.parquet", world.location)).await;
    let twice = world.with(&world.list_location(), vec![manifest.clone(), manifest]).await;
    let refused = examine(&world.storage, &world.metadata, &newest(&twice)).await.expect_err("it is twice");
    assert_eq!(refused.kind, ErrorKind::InvalidArgument);
    assert!(refused.message.contains("listed twice"), "{}", refused.message);
    let missing = world.pointing_at(&format!("{}/metadata/none.avro", world.location));
    let refused = examine(&world.storage, &world.metadata, &newest(&missing)).await.expect_err("missing");
    assert_eq!(refused.kind, ErrorKind::InvalidArgument);
    let declared = [("tarn.constraints".to_owned(), "[]".to_owned())].into();
    let updates = [TableUpdate::SetProperties { updates: declared }];
    let refused = examine(&world.storage, &world.metadata, &updates).await.expect_err("it is SQL's");
    assert_eq!(refused.kind, ErrorKind::InvalidArgument);
}

#[test]
fn a_table_is_made_of_the_updates_that_say_all_of_it() {
    let schema = |id| {
        let field = NestedField::optional(id, "id", Type::Primitive(PrimitiveType::Long)).into();
        Schema::builder().with_fields([field]).build().expect("a schema")
    };
    let updates = |id| {
        vec![
            TableUpdate::AddSchema { schema: schema(id) },
            TableUpdate::SetCurrentSchema { schema_id: -1 },
            TableUpdate::SetLocation { location: "file:///warehouse/t".to_owned() },
        ]
    };
    let uuid = uuid::Uuid::from_u128(7);
    let made = created(&updates(1), uuid, 1_000).expect("a table");
    assert_eq!((made.uuid(), made.location()), (uuid, "file:///warehouse/t"));
    // Its files would name the column by an id that it does not get.
    assert_eq!(
        created(&updates(9), uuid, 1_000).map_err(|error| error.kind),
        Err(ErrorKind::InvalidArgument)
    );
    for missing in [0, 2] {
        let mut some = updates(1);
        some.remove(missing);
        assert_eq!(created(&some, uuid, 1_000).map_err(|error| error.kind), Err(ErrorKind::InvalidArgument));
    }
}
