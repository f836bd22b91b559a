//! A table's life from the outside: it is created, appended to, overwritten, truncated and replaced, and every version
//! is read back through `live_files` and through its metadata.json.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{
    DataFile, FormatVersion, Literal, NestedField, PrimitiveType, Schema, SnapshotReference,
    SnapshotRetention, Struct, TableMetadata, Transform, Type, UnboundPartitionSpec,
};
use iceberg::{TableRequirement, TableUpdate};
use tarn_catalog::env::{Env, SeededEnv};
use tarn_catalog::iceberg::metrics::ColumnMetrics;
use tarn_catalog::iceberg::{
    Basis, FileFacts, LiveFile, NewTable, Operation, Produced, TableWrite, Target, data_file_location,
    default_location, describe_file, live_files, new_table, parse_metadata, produce, replace_table,
};
use tarn_catalog::storage::{Storage, StorageOptions};
use tarn_catalog::{ErrorKind, RelationId, Result, TableVersion, WriteId};

/// A warehouse in a temporary folder, and one table in it.
struct World {
    _folder: tempfile::TempDir,
    storage: Arc<Storage>,
    env: SeededEnv,
    location: String,
    table: Option<Arc<TableVersion>>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let warehouse = format!("file://{}/warehouse", folder.path().display());
        let options = StorageOptions { warehouse: warehouse.clone(), ..StorageOptions::default() };
        let env = SeededEnv::new(7);
        let location = default_location(&warehouse, "public", "orders", env.uuid());
        World {
            _folder: folder,
            storage: Storage::new(options).expect("storage"),
            env,
            location,
            table: None,
        }
    }

    fn definition(&self, partitioned: bool, format_version: FormatVersion) -> NewTable {
        let mut partition = UnboundPartitionSpec::builder();
        if partitioned {
            partition =
                partition.add_partition_field(20, "region", Transform::Identity).expect("a partition field");
        }
        NewTable {
            schema: Schema::builder()
                .with_fields([
                    NestedField::required(10, "id", Type::Primitive(PrimitiveType::Long)).into(),
                    NestedField::optional(20, "region", Type::Primitive(PrimitiveType::String)).into(),
                ])
                .build()
                .expect("a schema"),
            partition: partition.build(),
            order: Vec::new(),
            properties: HashMap::from([("format-version".to_string(), "2".to_string())]),
            location: self.location.clone(),
            format_version,
        }
    }

    fn new_target(&self, partitioned: bool, format_version: FormatVersion) -> Target {
        let definition = self.definition(partitioned, format_version);
        Target::New(Box::new(new_table(definition, self.env.uuid(), self.env.now_ms()).expect("a table")))
    }

    fn existing(&self) -> Target {
        Target::Existing { base: self.table.clone().expect("a table") }
    }

    /// A write of one file of `rows` rows per partition value.
    fn write(&self, target: Target, operation: Operation, files: &[(u64, &str)]) -> TableWrite {
        let metadata = match &target {
            Target::New(metadata) => metadata.as_ref().clone(),
            Target::Replace { staged, .. } => staged.as_ref().clone(),
            Target::Existing { base } => base.metadata.as_ref().clone(),
        };
        let write = WriteId(self.env.uuid());
        let describe = |(number, (rows, region)): (usize, &(u64, &str))| {
            describe(&metadata, write, number, *rows, region)
        };
        TableWrite {
            relation: RelationId(1),
            name: "orders".to_string(),
            target,
            write,
            branch: "main".to_string(),
            operation,
            added: files.iter().enumerate().map(describe).collect(),
        }
    }

    async fn produce(&self, write: &TableWrite) -> Result<Produced> {
        let head = self.table.as_ref().map(|table| (table.metadata.as_ref(), &table.pointer));
        produce(&self.storage, &self.env, write, Basis::head(head)).await
    }

    /// Produces a version and makes it the head, as a commit would.
    async fn commit(&mut self, target: Target, operation: Operation, files: &[(u64, &str)]) -> Produced {
        let write = self.write(target, operation, files);
        let produced = self.produce(&write).await.expect("the write succeeds");
        assert_eq!(parse_metadata(&produced.json).expect("the JSON is read again"), produced.metadata);
        let metadata = Arc::new(produced.metadata.clone());
        let pointer = produced.pointer.clone();
        self.table = Some(Arc::new(TableVersion { relation: RelationId(1), pointer, metadata }));
        produced
    }

    async fn live(&self) -> Vec<LiveFile> {
        let metadata = &self.table.as_ref().expect("a table").metadata;
        match metadata.current_snapshot_id() {
            Some(snapshot) => {
                live_files(&self.storage, metadata, snapshot).await.expect("the files are listed")
            }
            None => Vec::new(),
        }
    }

    /// Rows per file, smallest first.
    async fn rows(&self) -> Vec<u64> {
        let mut rows: Vec<u64> = self.live().await.iter().map(|live| live.file.record_count()).collect();
        rows.sort_unstable();
        rows
    }

    fn summary(&self, name: &str) -> Option<String> {
        let metadata = &self.table.as_ref().expect("a table").metadata;
        metadata.current_snapshot()?.summary().additional_properties.get(name).cloned()
    }

    fn check_summary(&self, expected: &[(&str, Option<&str>)]) {
        for (name, value) in expected {
            assert_eq!(self.summary(name).as_deref(), *value, "{name}");
        }
    }
}

fn describe(metadata: &TableMetadata, write: WriteId, number: usize, rows: u64, region: &str) -> DataFile {
    let partitioned = !metadata.default_partition_spec().fields().is_empty();
    let values = partitioned.then(|| Some(Literal::string(region)));
    let metrics =
        ColumnMetrics { value_count: rows, null_count: 0, nan_count: None, lower: None, upper: None };
    let facts = FileFacts {
        location: data_file_location(metadata, write, number),
        bytes: rows * 100,
        rows,
        partition: Struct::from_iter(values),
        metrics: HashMap::from([(1, metrics)]),
        column_bytes: HashMap::from([(1, rows * 50)]),
        split_offsets: vec![4],
        sort_order_id: None,
    };
    describe_file(metadata, facts).expect("a description")
}

#[tokio::test]
async fn a_table_is_created_appended_overwritten_and_truncated() {
    let mut world = World::new();
    let created = world.commit(world.new_target(false, FormatVersion::V2), Operation::CreateEmpty, &[]).await;
    assert_eq!(created.pointer.snapshot_id, None);
    assert!(
        created.pointer.metadata_location.contains("/metadata/00000-"),
        "{}",
        created.pointer.metadata_location
    );
    assert!(!created.metadata.properties().contains_key("format-version"));
    let ids: Vec<i32> =
        created.metadata.current_schema().as_struct().fields().iter().map(|field| field.id).collect();
    assert_eq!(ids, [1, 2], "field ids are assigned anew");

    for rows in [10, 20, 30] {
        world.commit(world.existing(), Operation::Append, &[(rows, "")]).await;
    }
    assert_eq!(world.rows().await, [10, 20, 30]);
    let mut sequences: Vec<i64> = world.live().await.iter().map(|live| live.sequence_number).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, [1, 2, 3]);
    world.check_summary(&[
        ("total-records", Some("60")),
        ("total-data-files", Some("3")),
        ("total-files-size", Some("6000")),
        ("added-records", Some("30")),
        ("changed-partition-count", Some("1")),
        ("deleted-records", None),
    ]);

    let overwritten = world.commit(world.existing(), Operation::OverwriteAll, &[(5, "")]).await;
    assert_eq!(world.rows().await, [5]);
    assert_eq!((overwritten.pointer.row_count, overwritten.pointer.bytes), (5, 500));
    world.check_summary(&[
        ("total-records", Some("5")),
        ("deleted-records", Some("60")),
        ("deleted-data-files", Some("3")),
    ]);

    let truncated = world.commit(world.existing(), Operation::Truncate, &[]).await;
    assert_eq!(world.rows().await, Vec::<u64>::new());
    assert_eq!(truncated.pointer.row_count, 0);
    world.commit(world.existing(), Operation::Append, &[(7, "")]).await;
    assert_eq!(world.rows().await, [7], "nothing that was deleted comes back");
    check_history(&world);
}

/// Every version follows the one before: parents, sequence numbers, times and the log of metadata files.
fn check_history(world: &World) {
    let metadata = &world.table.as_ref().expect("a table").metadata;
    let mut snapshots: Vec<_> = metadata.snapshots().collect();
    snapshots.sort_by_key(|snapshot| snapshot.sequence_number());
    assert_eq!(snapshots.len(), 6);
    for pair in snapshots.windows(2) {
        assert_eq!(pair[1].parent_snapshot_id(), Some(pair[0].snapshot_id()));
        assert_eq!(pair[1].sequence_number(), pair[0].sequence_number() + 1);
        assert!(pair[1].timestamp_ms() > pair[0].timestamp_ms());
    }
    assert_eq!(metadata.history().len(), 6);
    assert_eq!(metadata.metadata_log().len(), 6);
}

#[tokio::test]
async fn old_snapshots_stay_readable() {
    let mut world = World::new();
    world.commit(world.new_target(false, FormatVersion::V2), Operation::Append, &[(1, "")]).await;
    let first = world.table.clone().expect("a table").metadata.current_snapshot_id().expect("a snapshot");
    world.commit(world.existing(), Operation::OverwriteAll, &[(2, "")]).await;
    let metadata = world.table.clone().expect("a table").metadata.clone();
    let old = live_files(&world.storage, &metadata, first).await.expect("the old files");
    assert_eq!(old.iter().map(|live| live.file.record_count()).collect::<Vec<_>>(), [1]);
    let missing = live_files(&world.storage, &metadata, 42).await.expect_err("there is no such snapshot");
    assert_eq!(missing.kind, ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_dynamic_overwrite_replaces_its_partitions_only() {
    let mut world = World::new();
    let files = [(1, "eu"), (2, "us"), (3, "asia")];
    world.commit(world.new_target(true, FormatVersion::V2), Operation::Append, &files).await;
    world.commit(world.existing(), Operation::OverwritePartitions, &[(20, "us"), (30, "africa")]).await;
    assert_eq!(world.rows().await, [1, 3, 20, 30]);
    world.check_summary(&[("changed-partition-count", Some("2")), ("total-records", Some("54"))]);
}

#[tokio::test]
async fn appends_rebase_and_overwrites_of_changed_files_conflict() {
    let mut world = World::new();
    world.commit(world.new_target(true, FormatVersion::V2), Operation::Append, &[(1, "eu")]).await;
    let stale = world.existing();
    world.commit(world.existing(), Operation::Append, &[(2, "us")]).await;

    let all = world.write(stale.clone(), Operation::OverwriteAll, &[(9, "eu")]);
    assert_eq!(world.produce(&all).await.expect_err("it conflicts").kind, ErrorKind::Conflict);
    let touched = world.write(stale.clone(), Operation::OverwritePartitions, &[(9, "us")]);
    assert_eq!(world.produce(&touched).await.expect_err("it conflicts").kind, ErrorKind::Conflict);

    world.commit(stale.clone(), Operation::Append, &[(3, "eu")]).await;
    assert_eq!(world.rows().await, [1, 2, 3], "an append adds to the head, not to what it read");
    world.commit(world.existing(), Operation::OverwritePartitions, &[(4, "us")]).await;
    assert_eq!(world.rows().await, [1, 3, 4]);
    world.commit(stale, Operation::Truncate, &[]).await;
    assert_eq!(world.rows().await, Vec::<u64>::new());
}

#[tokio::test]
async fn a_table_is_made_and_filled_by_two_writes_of_one_transaction() {
    let mut world = World::new();
    let target = world.new_target(false, FormatVersion::V2);
    world.commit(target.clone(), Operation::CreateEmpty, &[]).await;
    let filled = world.commit(target, Operation::Append, &[(4, "")]).await;
    assert_eq!(world.rows().await, [4]);
    assert!(filled.pointer.metadata_location.contains("/metadata/00001-"));
    let another = world.write(world.new_target(false, FormatVersion::V2), Operation::Append, &[(1, "")]);
    assert_eq!(world.produce(&another).await.expect_err("another table is there").kind, ErrorKind::Internal);
}

#[tokio::test]
async fn a_dropped_table_conflicts() {
    let mut world = World::new();
    world.commit(world.new_target(false, FormatVersion::V2), Operation::CreateEmpty, &[]).await;
    let write = world.write(world.existing(), Operation::Append, &[(1, "")]);
    let gone =
        produce(&world.storage, &world.env, &write, Basis::head(None)).await.expect_err("the table is gone");
    assert_eq!(gone.kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn a_replaced_table_keeps_its_identity_and_its_past() {
    let mut world = World::new();
    world.commit(world.new_target(false, FormatVersion::V2), Operation::Append, &[(1, "")]).await;
    let before = world.table.clone().expect("a table");
    let mut definition = world.definition(true, FormatVersion::V2);
    definition.schema = Schema::builder()
        .with_fields([
            NestedField::optional(20, "region", Type::Primitive(PrimitiveType::String)).into(),
            NestedField::optional(30, "price", Type::Primitive(PrimitiveType::Double)).into(),
            NestedField::optional(40, "id", Type::Primitive(PrimitiveType::String)).into(),
        ])
        .build()
        .expect("a schema");
    let staged = replace_table(&before.metadata, definition).expect("a replacement");
    let fields: Vec<_> =
        staged.current_schema().as_struct().fields().iter().map(|f| (f.name.clone(), f.id)).collect();
    let expected = [("region", 2), ("price", 3), ("id", 4)].map(|(name, id)| (name.to_string(), id));
    assert_eq!(fields, expected, "a column of the same name and type keeps its id");
    let target = Target::Replace { staged: Box::new(staged), definition: None, base: before.pointer.clone() };

    world.commit(target.clone(), Operation::Append, &[(5, "eu")]).await;
    let after = world.table.clone().expect("a table").metadata.clone();
    assert_eq!((after.uuid(), after.location()), (before.metadata.uuid(), before.metadata.location()));
    assert_eq!(after.schemas_iter().len(), 2);
    assert_eq!(after.snapshots().len(), 2);
    assert_eq!(world.rows().await, [5]);
    world.check_summary(&[("total-records", Some("5"))]);
    let log = after.metadata_log().last().expect("an entry");
    assert_eq!(log.metadata_file, before.pointer.metadata_location);
    assert_eq!(log.timestamp_ms, before.metadata.last_updated_ms());
    let old = before.metadata.current_snapshot_id().expect("a snapshot");
    assert_eq!(live_files(&world.storage, &after, old).await.expect("the past").len(), 1);

    let again = world.write(target, Operation::CreateEmpty, &[]);
    assert_eq!(world.produce(&again).await.expect_err("the base is gone").kind, ErrorKind::Conflict);
}

/// Trap T6: the Iceberg crate does not compute the row ids that entries inherit.
#[tokio::test]
async fn trap_t6_row_ids_are_inherited_and_survive_rewriting() {
    let mut world = World::new();
    let target = world.new_target(true, FormatVersion::V3);
    world.commit(target, Operation::Append, &[(10, "eu"), (5, "us"), (2, "asia")]).await;
    world.commit(world.existing(), Operation::Append, &[(3, "eu")]).await;
    let ids = |live: Vec<LiveFile>| {
        let mut ids: Vec<_> = live.iter().map(|live| (live.file.record_count(), live.first_row_id)).collect();
        ids.sort_unstable();
        ids
    };
    let expected = [(2, Some(15)), (3, Some(17)), (5, Some(10)), (10, Some(0))];
    assert_eq!(ids(world.live().await), expected);
    world.commit(world.existing(), Operation::OverwritePartitions, &[(1, "us")]).await;
    let live = ids(world.live().await);
    for kept in [(2, Some(15)), (3, Some(17)), (10, Some(0))] {
        assert!(live.contains(&kept), "{kept:?} in {live:?}");
    }
    let new =
        live.iter().find(|(rows, _)| *rows == 1).and_then(|(_, id)| *id).expect("the new file has a row id");
    assert!(new >= 20, "row id {new} was given before");
}

#[tokio::test]
async fn many_small_manifests_are_merged_and_nothing_comes_back() {
    let mut world = World::new();
    let mut definition = world.definition(false, FormatVersion::V3);
    definition.properties.insert("commit.manifest.min-count-to-merge".to_string(), "4".to_string());
    let metadata = new_table(definition, world.env.uuid(), world.env.now_ms()).expect("a table");
    world.commit(Target::New(Box::new(metadata)), Operation::Append, &[(1, "")]).await;
    world.commit(world.existing(), Operation::OverwriteAll, &[(2, "")]).await;
    for rows in 3..20 {
        world.commit(world.existing(), Operation::Append, &[(rows, "")]).await;
    }
    assert_eq!(world.rows().await, (2..20).collect::<Vec<u64>>());
    let live = world.live().await;
    let sequences: std::collections::BTreeMap<u64, i64> =
        live.iter().map(|live| (live.file.record_count(), live.sequence_number)).collect();
    assert_eq!(sequences, (2..20).map(|rows| (rows, rows as i64)).collect());
    let mut next = Vec::new();
    for live in &live {
        let first = live.first_row_id.expect("a row id");
        next.push((first, first + live.file.record_count() as i64));
    }
    next.sort_unstable();
    assert!(next.windows(2).all(|pair| pair[0].1 <= pair[1].0), "row ids overlap: {next:?}");
    let snapshot =
        world.table.as_ref().expect("a table").metadata.current_snapshot().expect("a snapshot").clone();
    let list = world.storage.guard().table_file(&world.location, snapshot.manifest_list()).expect("its list");
    let bytes = world.storage.get(&list).await.expect("the list");
    let list =
        iceberg::spec::ManifestList::parse_with_version(&bytes, FormatVersion::V3).expect("a manifest list");
    assert!(list.entries().len() <= 4, "{} manifests", list.entries().len());
}

#[tokio::test]
async fn a_file_outside_the_table_is_refused_by_name() {
    let mut world = World::new();
    world.commit(world.new_target(false, FormatVersion::V2), Operation::CreateEmpty, &[]).await;
    let mut write = world.write(world.existing(), Operation::Append, &[(1, "")]);
    let metadata = world.table.clone().expect("a table").metadata.clone();
    let mut facts = FileFacts {
        location: "file:///etc/passwd".to_string(),
        bytes: 1,
        rows: 1,
        partition: Struct::empty(),
        metrics: HashMap::new(),
        column_bytes: HashMap::new(),
        split_offsets: vec![],
        sort_order_id: None,
    };
    write.added = vec![describe_file(&metadata, facts.clone()).expect("a description")];
    let denied = world.produce(&write).await.expect_err("it is outside");
    assert_eq!(denied.kind, ErrorKind::Denied);
    assert!(denied.message.contains("/etc/passwd"), "{}", denied.message);
    facts.location = format!("{}2/data/x.parquet", world.location);
    write.added = vec![describe_file(&metadata, facts).expect("a description")];
    assert_eq!(world.produce(&write).await.expect_err("it is outside").kind, ErrorKind::Denied);
}

#[tokio::test]
async fn a_failed_write_leaves_no_file() {
    let mut world = World::new();
    world.commit(world.new_target(false, FormatVersion::V2), Operation::Append, &[(1, "")]).await;
    let write = world.write(world.existing(), Operation::Append, &[(2, "")]);
    // The metadata file's name is taken, by another content.
    let taken = format!("{}/metadata/00001-{}.metadata.json", world.location, write.write);
    let file = world.storage.guard().table_file(&world.location, &taken).expect("a location of the table");
    world.storage.put(&file, "another".into()).await.expect("the file is written");
    let folder = std::path::PathBuf::from(world.location.trim_start_matches("file://")).join("metadata");
    let count = |suffix: &str| {
        let names = std::fs::read_dir(&folder).expect("the folder").flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().ends_with(suffix)).count()
    };
    let before = count(".avro");
    let failed = world.produce(&write).await.expect_err("the name is taken");
    assert!(matches!(failed.kind, ErrorKind::AlreadyExists(_)), "{failed:?}");
    assert_eq!(count(".avro"), before, "manifests of the failed write are deleted");
    assert_eq!(&world.storage.get(&file).await.expect("the other file stays")[..], b"another");
}

fn update(updates: Vec<TableUpdate>) -> Operation {
    Operation::Update { requirements: Vec::new(), updates }
}

#[tokio::test]
async fn metadata_changes_alone_and_rebases() {
    let mut world = World::new();
    world.commit(world.new_target(false, FormatVersion::V2), Operation::Append, &[(1, "")]).await;
    let stale = world.existing();
    world.commit(world.existing(), Operation::Append, &[(2, "")]).await;
    let set = TableUpdate::SetProperties { updates: HashMap::from([("a".to_string(), "b".to_string())]) };
    let made = world.commit(stale.clone(), update(vec![set]), &[]).await;
    assert_eq!(made.metadata.properties().get("a").map(String::as_str), Some("b"));
    assert_eq!(world.rows().await, [1, 2], "what was appended meanwhile is there");
    assert_eq!(made.files.len(), 1, "{:?}", made.files);
    let last = made.metadata.metadata_log().last().expect("the version before").timestamp_ms;
    assert!(made.metadata.last_updated_ms() > last);

    let requirement = TableRequirement::LastAssignedFieldIdMatch { last_assigned_field_id: 7 };
    let operation = Operation::Update { requirements: vec![requirement], updates: Vec::new() };
    let refused = world.produce(&world.write(stale, operation, &[])).await.expect_err("it does not hold");
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert_eq!(refused.detail.as_deref(), Some("Last assigned field id does not match."));
    let moved = update(vec![TableUpdate::SetLocation { location: "file:///tmp/elsewhere".to_string() }]);
    let refused = world.produce(&world.write(world.existing(), moved, &[])).await.expect_err("it stays");
    assert_eq!(refused.kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_branch_moves_back_and_snapshots_expire() {
    let mut world = World::new();
    world.commit(world.new_target(false, FormatVersion::V2), Operation::Append, &[(1, "")]).await;
    let first = world.table.clone().expect("a table").metadata.current_snapshot_id().expect("a snapshot");
    world.commit(world.existing(), Operation::Append, &[(2, "")]).await;
    let second = world.table.clone().expect("a table").metadata.current_snapshot_id().expect("a snapshot");

    let expire = |snapshot: i64| update(vec![TableUpdate::RemoveSnapshots { snapshot_ids: vec![snapshot] }]);
    let needed = world.produce(&world.write(world.existing(), expire(second), &[])).await;
    assert_eq!(needed.expect_err("main needs it").kind, ErrorKind::Conflict);

    let reference = SnapshotReference {
        snapshot_id: first,
        retention: SnapshotRetention::Branch {
            min_snapshots_to_keep: None,
            max_snapshot_age_ms: None,
            max_ref_age_ms: None,
        },
    };
    let back = TableUpdate::SetSnapshotRef { ref_name: "main".to_string(), reference };
    let made = world.commit(world.existing(), update(vec![back]), &[]).await;
    assert_eq!(world.rows().await, [1]);
    let history: Vec<_> = made.metadata.history().iter().map(|entry| entry.snapshot_id).collect();
    assert_eq!(history, [first, second, first]);
    let times: Vec<i64> = made.metadata.history().iter().map(|entry| entry.timestamp_ms).collect();
    assert!(times[0] < times[1] && times[1] < times[2], "{times:?}");
    assert_eq!(times[2], made.metadata.last_updated_ms(), "the time is that of the environment");
    assert!(times[2] < 1_700_000_001_000);

    let made = world.commit(world.existing(), expire(second), &[]).await;
    assert_eq!(made.metadata.snapshots().map(|snapshot| snapshot.snapshot_id()).collect::<Vec<_>>(), [first]);
    world.commit(world.existing(), Operation::Append, &[(3, "")]).await;
    assert_eq!(world.rows().await, [1, 3]);
}
