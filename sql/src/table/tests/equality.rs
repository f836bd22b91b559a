//! Tables with equality deletes, made by hand: Tarn reads them and never writes them.

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use iceberg::io::Storage as _;
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, MAIN_BRANCH, ManifestListWriter, ManifestWriterBuilder,
    Operation as SnapshotOperation, Snapshot, Struct, Summary,
};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use tarn_catalog::storage::TableStorage;

use super::*;

fn field(name: &str, data_type: DataType, id: i32) -> Field {
    let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
    Field::new(name, data_type, true).with_metadata(id)
}

/// A delete file of an unpartitioned table with these keys.
async fn key_file(
    world: &World,
    version: &TableVersion,
    name: &str,
    keys: Vec<(Field, ArrayRef)>,
) -> DataFile {
    let ids =
        keys.iter().map(|(field, _)| field.metadata()[PARQUET_FIELD_ID_META_KEY].parse().expect("an id"));
    let ids: Vec<i32> = ids.collect();
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = keys.into_iter().unzip();
    let schema = Arc::new(ArrowSchema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("keys");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).expect("writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    let url = format!("{}/data/{name}.parquet", version.metadata.location());
    let checked = world.storage.guard().table_file(version.metadata.location(), &url).expect("the table's");
    let size = bytes.len() as u64;
    world.storage.put(&checked, bytes.into()).await.expect("stored");
    DataFileBuilder::default()
        .content(DataContentType::EqualityDeletes)
        .file_path(url)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .partition_spec_id(version.metadata.default_partition_spec_id())
        .record_count(batch.num_rows() as u64)
        .file_size_in_bytes(size)
        .equality_ids(Some(ids))
        .build()
        .expect("a delete file")
}

/// The sequence number of files that take their commit's.
const OWN: i64 = -1;

/// The version after a commit of another engine that adds delete files.
async fn with_deletes(
    world: &World,
    version: &TableVersion,
    deletes: Vec<DataFile>,
    data_sequence: i64,
) -> Arc<TableVersion> {
    let metadata = version.metadata.as_ref();
    let storage = TableStorage::new(Arc::clone(&world.storage), metadata.location());
    let parent = metadata.current_snapshot().expect("a snapshot");
    let (id, sequence) = (parent.snapshot_id() / 2 + 1, metadata.next_sequence_number());
    let url = |name: &str| format!("{}/metadata/{id}-{name}.avro", metadata.location());
    let output = storage.new_output(&url("deletes")).expect("output");
    let spec = metadata.default_partition_spec().as_ref().clone();
    let schema = Arc::clone(metadata.current_schema());
    let mut manifest = ManifestWriterBuilder::new(output, Some(id), schema, spec).build_v2_deletes();
    for delete in deletes {
        manifest.add_file(delete, data_sequence).expect("added");
    }
    let manifest = manifest.write_manifest_file().await.expect("manifest");
    let bytes = storage.read(parent.manifest_list()).await.expect("the parent's list");
    let before = iceberg::spec::ManifestList::parse_with_version(&bytes, FormatVersion::V2).expect("parsed");
    let file = storage.writer(&url("list")).await.expect("writer");
    let mut list = ManifestListWriter::v2(file, id, Some(parent.snapshot_id()), sequence);
    list.add_manifests(before.entries().iter().cloned().chain([manifest])).expect("listed");
    list.close().await.expect("closed");
    let summary = Summary { operation: SnapshotOperation::Delete, additional_properties: HashMap::new() };
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(Some(parent.snapshot_id()))
        .with_sequence_number(sequence)
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list(url("list"))
        .with_summary(summary)
        .with_schema_id(metadata.current_schema_id())
        .build();
    let builder = metadata.clone().into_builder(None);
    let metadata = builder.set_branch_snapshot(snapshot, MAIN_BRANCH).and_then(|b| b.build());
    let metadata = Arc::new(metadata.expect("metadata").metadata);
    Arc::new(TableVersion { relation: version.relation, pointer: version.pointer.clone(), metadata })
}

/// The version with other columns.
fn with_schema(version: &TableVersion, fields: Vec<NestedField>) -> Arc<TableVersion> {
    let fields = fields.into_iter().map(NestedFieldRef::new);
    let schema = Schema::builder().with_fields(fields).build().expect("schema");
    let builder = version.metadata.as_ref().clone().into_builder(None);
    let metadata = builder.add_current_schema(schema).and_then(|b| b.build()).expect("metadata").metadata;
    Arc::new(TableVersion {
        relation: version.relation,
        pointer: version.pointer.clone(),
        metadata: Arc::new(metadata),
    })
}

fn definition() -> Definition {
    Definition::new(vec![
        ("id", primitive(PrimitiveType::Int)),
        ("name", primitive(PrimitiveType::String)),
        ("v", primitive(PrimitiveType::Long)),
    ])
    .property("write.parquet.row-group-size-bytes", "1")
}

/// Rows 0..count: the name is `n` and the id's last digit, NULL for every tenth; `v` is the id times ten.
fn rows(definition: &Definition, from: i32, to: i32) -> RecordBatch {
    let name = |id: i32| (id % 10 != 0).then(|| format!("n{}", id % 10));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(from..to)),
        Arc::new((from..to).map(name).collect::<StringArray>()),
        Arc::new(Int64Array::from_iter_values((from..to).map(|id| i64::from(id) * 10))),
    ];
    RecordBatch::try_new(definition.rows(), columns).expect("batch")
}

async fn table(world: &World) -> Arc<TableVersion> {
    let definition = definition();
    let halves =
        [vec![rows(&definition, 0, 40), rows(&definition, 40, 50)], vec![rows(&definition, 50, 100)]];
    world.table("t", &definition, &halves).await
}

#[tokio::test]
async fn rows_with_a_deleted_key_are_gone() {
    let world = World::with_config(
        SessionConfig::new().with_target_partitions(3).with_repartition_file_min_size(1).with_batch_size(16),
    );
    let version = table(&world).await;
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![3, 77, 1000]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("n5"), None]));
    let by_id = key_file(&world, &version, "by-id", vec![(field("id", DataType::Int32, 1), ids)]).await;
    let by_name =
        key_file(&world, &version, "by-name", vec![(field("name", DataType::Utf8, 2), names)]).await;
    let version = with_deletes(&world, &version, vec![by_id, by_name], OWN).await;
    world.register("t", &version);
    let live = |id: i64| ![3, 77].contains(&id) && id % 10 != 5 && id % 10 != 0;
    let expect: Vec<String> = (0..100).filter(|id| live(*id)).map(|id| id.to_string()).collect();
    for pushdown in ["false", "true"] {
        world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
        assert_eq!(world.texts("SELECT id FROM t ORDER BY id").await, expect);
        assert_eq!(world.text("SELECT count(*) FROM t").await, expect.len().to_string());
        assert_eq!(world.text("SELECT count(*) FROM t WHERE name IS NULL").await, "0");
        assert_eq!(world.text("SELECT max(v) FROM t WHERE v <= 770").await, "760");
        assert_eq!(world.texts("SELECT id FROM t ORDER BY id DESC LIMIT 2").await, ["99", "98"]);
        for limit in [1, 10, 60, 500] {
            let found =
                world.query(&format!("SELECT v FROM t WHERE v >= 500 LIMIT {limit}")).await.num_rows();
            let matching = (50..100).filter(|id| live(*id)).count();
            assert_eq!(found, limit.min(matching), "limit {limit}");
        }
    }
    let hidden = world.read(&version).with_row_columns().expect("hidden columns");
    world.provide("t", hidden);
    assert_eq!(world.text("SELECT count(*) FROM t WHERE _pos % 50 <> id % 50").await, "0");
    assert_eq!(world.text("SELECT count(_file) FROM t").await, expect.len().to_string());
}

#[tokio::test]
async fn only_older_rows_are_deleted() {
    let world = World::new();
    let version = table(&world).await;
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..100));
    let delete = key_file(&world, &version, "all", vec![(field("id", DataType::Int32, 1), ids)]).await;
    // As old as the second append, whose rows it does not touch.
    let version = with_deletes(&world, &version, vec![delete], 2).await;
    world.register("t", &version);
    assert_eq!(world.text("SELECT concat(count(*), ' ', min(id), ' ', max(id)) FROM t").await, "50 50 99");
}

/// A key of two columns, one widened and renamed since the delete, and one that is dropped altogether.
#[tokio::test]
async fn keys_outlive_their_columns() {
    let world = World::new();
    let version = table(&world).await;
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![Some(11), Some(12), Some(13), None]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("n1"), Some("wrong"), Some("n3"), None]));
    let keys = vec![(field("id", DataType::Int32, 1), ids), (field("name", DataType::Utf8, 2), names)];
    let delete = key_file(&world, &version, "pairs", keys).await;
    let version = with_deletes(&world, &version, vec![delete], OWN).await;
    let version = with_schema(
        &version,
        vec![
            NestedField::optional(3, "v", primitive(PrimitiveType::Long)),
            NestedField::optional(1, "number", primitive(PrimitiveType::Long)),
        ],
    );
    world.register("t", &version);
    assert_eq!(world.text("SELECT count(*) FROM t").await, "98");
    assert_eq!(
        world.texts("SELECT number FROM t WHERE number BETWEEN 10 AND 14 ORDER BY 1").await,
        ["10", "12", "14"]
    );
    assert_eq!(world.text("SELECT sum(v) FROM t WHERE v IN (110, 120, 130)").await, "120");
    assert_eq!(world.query("SELECT * FROM t").await.num_columns(), 2, "the dropped column is not shown");
}

#[tokio::test]
async fn a_delete_file_that_is_not_what_it_was_is_an_error() {
    let world = World::new();
    let version = table(&world).await;
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![3]));
    let delete = key_file(&world, &version, "keys", vec![(field("id", DataType::Int32, 1), ids)]).await;
    let other: ArrayRef = Arc::new(Int32Array::from(vec![3, 4]));
    key_file(&world, &version, "keys", vec![(field("id", DataType::Int32, 1), other)]).await;
    let version = with_deletes(&world, &version, vec![delete], OWN).await;
    world.register("t", &version);
    let frame = world.context.sql("SELECT * FROM t").await.expect("planned");
    let error = frame.collect().await.expect_err("another file").to_string();
    assert!(error.contains("keys.parquet") && error.contains("its manifest says 1"), "{error}");
}
