//! What a write leaves behind, when it succeeds, when it fails and when nobody waits for it.

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Int64Type, Schema as ArrowSchema};
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::*;
use crate::SqlState;

fn pairs() -> Definition {
    Definition::new(vec![("id", primitive(PrimitiveType::Long)), ("k", primitive(PrimitiveType::Int))])
}

/// Rows with ids from `first`, spread over `keys` values of `k`.
fn batch(schema: &SchemaRef, first: i64, count: i64, keys: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + count));
    let key = |id: i64| i32::try_from(id % keys).expect("small");
    let k: ArrayRef = Arc::new(Int32Array::from_iter_values((first..first + count).map(key)));
    RecordBatch::try_new(Arc::clone(schema), vec![ids, k]).expect("batch")
}

#[tokio::test]
async fn many_partitions_are_written_with_few_files_each() {
    let world = World::new();
    let definition = pairs().partitioned("k", Transform::Identity);
    let metadata = world.metadata(&definition);
    // 200 partitions pass the limit of open files; four query partitions each have rows of all of them.
    let input = |part: i64| {
        (0..5).map(|step| batch(&definition.rows(), (part * 5 + step) * 1000, 1000, 200)).collect()
    };
    let inputs: Vec<Vec<RecordBatch>> = (0..4).map(input).collect();
    let files = world.write(&metadata, &inputs).await.expect("written");
    assert_eq!(files.len(), 200, "one file per partition");
    assert!(files.iter().all(|file| file.record_count() == 100));
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    assert_eq!(world.text("SELECT count(DISTINCT id) FROM t").await, "20000");
    assert_eq!(world.files_read("SELECT * FROM t WHERE k = 137").await, 1);
    assert_eq!(world.text("SELECT count(*) FROM t WHERE k = 137 AND id % 200 = 137").await, "100");
}

#[tokio::test]
async fn a_null_where_none_may_be_leaves_no_file() {
    let world = World::new();
    let required = NestedFieldRef::new(NestedField::required(1, "id", primitive(PrimitiveType::Long)));
    let schema = Schema::builder().with_fields([required]).build().expect("schema");
    let definition =
        Definition { schema, partition: Vec::new(), properties: vec![("write.target-file-size-bytes", "1")] };
    let metadata = world.metadata(&definition);
    let nullable = Arc::new(ArrowSchema::new(vec![definition.rows().field(0).clone().with_nullable(true)]));
    let rows = |ids: Vec<Option<i64>>| {
        RecordBatch::try_new(Arc::clone(&nullable), vec![Arc::new(Int64Array::from(ids))]).expect("batch")
    };
    let good: Vec<_> = (0..50).map(|id| rows(vec![Some(id); 100])).collect();
    let mut bad = good.clone();
    bad.push(rows(vec![Some(1), None]));
    let error = world.write(&metadata, &[good.clone(), bad]).await.expect_err("a null");
    assert_eq!(error.sqlstate, SqlState::NOT_NULL_VIOLATION);
    assert_eq!(error.message, "null value in column \"id\" violates not-null constraint");
    assert_eq!(world.stored(".parquet").await, Vec::<String>::new());
    world.write(&metadata, &[good]).await.expect("without the null");
    assert!(!world.stored(".parquet").await.is_empty());
}

/// A query that gives rows and then what `end` says.
#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    /// Batches of 100 rows.
    count: i64,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Error,
    Never,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, end) = (Arc::clone(&self.schema), self.end);
        let rows =
            futures::stream::iter((0..self.count).map(move |step| Ok(batch(&schema, step * 100, 100, 7))));
        let ended = futures::stream::once(async move {
            match end {
                End::Error => Err(DataFusionError::External(Box::new(crate::Error::new(
                    SqlState::DIVISION_BY_ZERO,
                    "x",
                )))),
                End::Never => futures::future::pending().await,
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows.chain(ended)))
    }
}

fn query(definition: &Definition, end: End) -> Arc<dyn ExecutionPlan> {
    query_of(definition, 30, end)
}

fn query_of(definition: &Definition, count: i64, end: End) -> Arc<dyn ExecutionPlan> {
    let rows = Rows { schema: definition.rows(), count, end };
    let schema = definition.rows();
    let plan = StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, vec![], false, None);
    Arc::new(plan.expect("plan"))
}

#[tokio::test]
async fn a_query_that_fails_leaves_no_file_and_its_own_error() {
    let world = World::new();
    for definition in [pairs(), pairs().partitioned("k", Transform::Identity)] {
        let definition = definition.property("write.target-file-size-bytes", "1");
        let metadata = world.metadata(&definition);
        let error = world.write_plan(&metadata, query(&definition, End::Error)).await.expect_err("fails");
        assert_eq!(error.sqlstate, SqlState::DIVISION_BY_ZERO);
        assert_eq!(world.stored(".parquet").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_stops_and_leaves_no_file() {
    let world = World::new();
    let definition = pairs().property("write.target-file-size-bytes", "1");
    let metadata = world.metadata(&definition);
    let (write, progress) = (WriteId(world.env.uuid()), WriteProgress::default());
    let (plan, storage) = (query(&definition, End::Never), Arc::clone(&world.storage));
    let (task, order) = (world.context.task_ctx(), RowOrder::Declared);
    let mut writing = Box::pin(write_files(&metadata, write, plan, task, storage, &progress, order));
    while progress.files() < 5 || progress.rows() < 3000 {
        let pause = tokio::time::sleep(std::time::Duration::from_millis(1));
        tokio::select! {
            _ = &mut writing => panic!("the query never ends"),
            () = pause => {}
        }
    }
    assert!(progress.bytes() > 0);
    assert!(world.stored(".parquet").await.len() >= 5);
    drop(writing);
    while !world.stored(".parquet").await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn files_roll_at_their_target_size_and_row_groups_at_theirs() {
    let world = World::new();
    let definition = pairs()
        .property("write.target-file-size-bytes", "20000")
        .property("write.parquet.row-group-size-bytes", "5000")
        .property("write.parquet.compression-codec", "uncompressed");
    let metadata = world.metadata(&definition);
    let rows: Vec<_> = (0..100).map(|step| batch(&definition.rows(), step * 100, 100, 7)).collect();
    let files = world.write(&metadata, &[rows]).await.expect("written");
    assert!(files.len() > 3, "{} files", files.len());
    for file in &files {
        assert!(file.file_size_in_bytes() < 40_000, "{} bytes", file.file_size_in_bytes());
        assert!(file.split_offsets().is_some_and(|offsets| offsets.len() > 1 && offsets.is_sorted()));
        assert_eq!(file.value_counts().get(&1), Some(&file.record_count()));
    }
    assert_eq!(files.iter().map(DataFile::record_count).sum::<u64>(), 10_000);
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    assert_eq!(world.text("SELECT sum(id) FROM t").await, (0..10_000i64).sum::<i64>().to_string());
}

/// The order of a query with one partition is kept: its files have bounds that do not overlap.
#[tokio::test]
async fn a_sorted_query_is_written_in_its_order() {
    let world = World::new();
    let definition = pairs().property("write.target-file-size-bytes", "10000");
    let metadata = world.metadata(&definition);
    let rows: Vec<_> = (0..50).map(|step| batch(&definition.rows(), step * 1000, 1000, 7)).collect();
    let files = world.write(&metadata, &[rows]).await.expect("written");
    assert!(files.len() > 2);
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    assert_eq!(world.files_read("SELECT * FROM t WHERE id = 25000").await, 1);
    world.query("SET datafusion.execution.target_partitions = 1").await;
    let ids = world.query("SELECT id FROM t").await;
    assert!(ids.column(0).as_primitive::<Int64Type>().values().is_sorted());
}

#[tokio::test]
async fn values_that_do_not_fit_are_refused() {
    let world = World::new();
    let metadata = world.metadata(&pairs());
    let wide = ArrowSchema::new(vec![
        pairs().rows().field(0).clone(),
        arrow::datatypes::Field::new("k", arrow::datatypes::DataType::Int64, true),
    ]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![1])), Arc::new(Int64Array::from(vec![1 << 40]))];
    let rows = RecordBatch::try_new(Arc::new(wide), columns).expect("batch");
    let error = world.write(&metadata, &[vec![rows]]).await.expect_err("too large");
    assert_eq!(error.sqlstate, SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    assert!(error.message.contains("\"k\""), "{}", error.message);
    assert_eq!(world.stored(".parquet").await, Vec::<String>::new());
}

/// Every byte that a write holds is on the pool's account, and a small pool makes small row groups, not failures.
#[tokio::test]
async fn a_small_memory_pool_is_enough() {
    let mut world = World::new();
    world.limit_memory(4 << 20, 2);
    let definition = Definition::new(vec![("s", primitive(PrimitiveType::String))])
        .property("write.parquet.compression-codec", "uncompressed");
    let metadata = world.metadata(&definition);
    let rows = |step: i64| {
        let words =
            StringArray::from_iter_values((0..4000).map(|row| format!("{step} {row} {}", "x".repeat(200))));
        RecordBatch::try_new(definition.rows(), vec![Arc::new(words)]).expect("batch")
    };
    let files = world.write(&metadata, &[(0..20).map(rows).collect()]).await.expect("written");
    assert_eq!(files.iter().map(DataFile::record_count).sum::<u64>(), 80_000);
    assert!(files[0].split_offsets().is_some_and(|offsets| offsets.len() > 1), "row groups ended early");
}

/// Files so big that they are uploaded in parts, on a real disk: whole when the write succeeds, gone without a trace
/// when it does not.
#[tokio::test]
async fn big_local_files_are_whole_or_gone() {
    let folder = tempfile::tempdir().expect("folder");
    let warehouse = format!("file://{}", folder.path().display());
    let world = World::at(&warehouse, SessionConfig::new().with_target_partitions(2));
    let definition = pairs()
        .property("write.parquet.compression-codec", "uncompressed")
        .property("write.parquet.row-group-size-bytes", "2000000");
    let metadata = world.metadata(&definition);
    let rows: Vec<_> = (0..30).map(|step| batch(&definition.rows(), step * 100_000, 100_000, 7)).collect();
    let files = world.write(&metadata, std::slice::from_ref(&rows)).await.expect("written");
    assert!(
        files.len() == 1 && files[0].file_size_in_bytes() > 11 << 20,
        "{} bytes",
        files[0].file_size_in_bytes()
    );
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    assert_eq!(
        world.text("SELECT sum(id + k) FROM t").await,
        (0..3_000_000i64).map(|id| id + id % 7).sum::<i64>().to_string()
    );

    let before = files_below(folder.path());
    let error =
        world.write_plan(&metadata, query_of(&definition, 40_000, End::Error)).await.expect_err("fails");
    assert_eq!(error.sqlstate, SqlState::DIVISION_BY_ZERO);
    assert_eq!(files_below(folder.path()), before);
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
