//! Tables that declare an order: their files are in it, say so, and follow each other.

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use datafusion::physical_plan::displayable;
use iceberg::spec::{NullOrder, SortDirection, SortField, SortOrder};

use super::*;

/// A table ordered by these terms.
fn ordered(world: &World, definition: &Definition, terms: &[(i32, Transform, bool, bool)]) -> TableMetadata {
    let mut order = SortOrder::builder();
    order.with_order_id(1);
    for (source_id, transform, falling, nulls_first) in terms {
        order.with_sort_field(SortField {
            source_id: *source_id,
            transform: *transform,
            direction: if *falling { SortDirection::Descending } else { SortDirection::Ascending },
            null_order: if *nulls_first { NullOrder::First } else { NullOrder::Last },
        });
    }
    let order = order.build(&definition.schema).expect("an order");
    let builder = world.metadata(definition).into_builder(None);
    let builder = builder.add_sort_order(order).and_then(|builder| builder.set_default_sort_order(-1));
    builder.and_then(|builder| builder.build()).expect("metadata").metadata
}

fn definition() -> Definition {
    Definition::new(vec![("v", primitive(PrimitiveType::Long)), ("name", primitive(PrimitiveType::String))])
}

/// Rows in no order: every value of `v` below `values` is there `repeated` times, `name` tells the repetitions apart.
fn rows(schema: &SchemaRef, values: i64, repeated: i64) -> Vec<RecordBatch> {
    let all = values * repeated;
    let shuffled: Vec<i64> = (0..all).map(|row| (row * 7919) % all).collect();
    let batch = |chunk: &[i64]| {
        let v = Int64Array::from_iter_values(chunk.iter().map(|row| row / repeated));
        let name = StringArray::from_iter_values(chunk.iter().map(|row| format!("n{}", row % repeated)));
        RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(v), Arc::new(name)]).expect("batch")
    };
    shuffled.chunks(500).map(batch).collect()
}

async fn plan(world: &World, sql: &str) -> String {
    let frame = world.context.sql(sql).await.expect("planned");
    let plan = frame.create_physical_plan().await.expect("physical plan");
    displayable(plan.as_ref()).indent(true).to_string()
}

fn longs(rows: &RecordBatch) -> Vec<Option<i64>> {
    rows.column(0).as_primitive::<Int64Type>().iter().collect()
}

/// Two partitions, so that merging is there to be seen.
fn world() -> World {
    World::with_config(SessionConfig::new().with_target_partitions(2).with_batch_size(256))
}

#[tokio::test]
async fn files_follow_each_other_in_the_declared_order() {
    let world = world();
    let definition = definition().property("write.target-file-size-bytes", "9000");
    let metadata = ordered(&world, &definition, &[(1, Transform::Identity, false, false)]);
    let shuffled = rows(&definition.rows(), 2000, 5);
    let (one, other) = shuffled.split_at(shuffled.len() / 2);
    let files = world.write(&metadata, &[one.to_vec(), other.to_vec()]).await.expect("written");
    assert!(files.len() > 3, "{} files", files.len());
    assert!(files.iter().all(|file| file.sort_order_id() == Some(1)));
    let bound = |file: &DataFile, upper: bool| {
        let bounds = if upper { file.upper_bounds() } else { file.lower_bounds() };
        bounds.get(&1).expect("a bound").literal().clone()
    };
    for pair in files.windows(2) {
        assert!(bound(&pair[0], true) < bound(&pair[1], false), "values of one key are in one file");
    }
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    let sorted = world.query("SELECT v FROM t ORDER BY v").await;
    assert_eq!(longs(&sorted), (0..2000).flat_map(|v| [Some(v); 5]).collect::<Vec<_>>());
    let by_order = plan(&world, "SELECT v, name FROM t ORDER BY v").await;
    assert!(!by_order.contains("SortExec") && by_order.contains("SortPreservingMergeExec"), "{by_order}");
    let groups = plan(&world, "SELECT v, count(*) FROM t GROUP BY v").await;
    assert!(groups.contains("ordering_mode=Sorted"), "{groups}");
    let first = plan(&world, "SELECT v FROM t ORDER BY v LIMIT 3").await;
    assert!(!first.contains("SortExec") && first.contains("fetch=3"), "{first}");
    assert_eq!(longs(&world.query("SELECT v FROM t ORDER BY v LIMIT 3").await), [Some(0); 3]);
}

#[tokio::test]
async fn nulls_directions_and_transforms_are_as_declared() {
    let world = world();
    let definition = definition();
    let terms = [(1, Transform::Truncate(100), true, true), (2, Transform::Identity, false, false)];
    let metadata = ordered(&world, &definition, &terms);
    let values = [Some(150), None, Some(199), Some(5), Some(-1), Some(120), None];
    let names = [Some("b"), Some("z"), None, Some("q"), Some("q"), Some("a"), Some("c")];
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(Int64Array::from(values.to_vec())), Arc::new(StringArray::from(names.to_vec()))];
    let batch = RecordBatch::try_new(definition.rows(), columns).expect("batch");
    let files = world.write(&metadata, &[vec![batch]]).await.expect("written");
    assert_eq!((files.len(), files[0].sort_order_id()), (1, Some(1)));
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    let stored = world.query("SELECT v, name FROM t").await;
    assert_eq!(longs(&stored), [None, None, Some(120), Some(150), Some(199), Some(5), Some(-1)]);
    assert!(stored.column(1).is_null(4));
    // An order of transformed values is no order of the column.
    let sorted = plan(&world, "SELECT v FROM t ORDER BY v").await;
    assert!(sorted.contains("SortExec"), "{sorted}");
}

#[tokio::test]
async fn partitions_are_sorted_each_by_itself() {
    let world = world();
    let definition = definition().partitioned("name", Transform::Identity);
    let metadata = ordered(&world, &definition, &[(1, Transform::Identity, true, false)]);
    let shuffled = rows(&definition.rows(), 300, 150);
    let (one, other) = shuffled.split_at(shuffled.len() / 3);
    let files = world.write(&metadata, &[one.to_vec(), other.to_vec()]).await.expect("written");
    assert_eq!(files.len(), 150, "one file for each partition");
    assert!(files.iter().all(|file| file.sort_order_id() == Some(1) && file.record_count() == 300));
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    let stored = longs(&world.query("SELECT v FROM t WHERE name = 'n17'").await);
    assert_eq!(stored, (0..300).rev().map(Some).collect::<Vec<_>>());
    assert_eq!(world.text("SELECT count(*) FROM t WHERE v = 299").await, "150");
}

#[tokio::test]
async fn a_local_order_lets_files_overlap() {
    let world = world();
    let definition = definition().property("write.distribution-mode", "none");
    let metadata = ordered(&world, &definition, &[(1, Transform::Identity, false, false)]);
    let shuffled = rows(&definition.rows(), 100, 10);
    let (one, other) = shuffled.split_at(1);
    let files = world.write(&metadata, &[one.to_vec(), other.to_vec()]).await.expect("written");
    assert_eq!(files.len(), 2, "one from each part of the query");
    assert!(files.iter().all(|file| file.sort_order_id() == Some(1)));
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    let sorted = world.query("SELECT v FROM t ORDER BY v").await;
    assert_eq!(longs(&sorted), (0..100).flat_map(|v| [Some(v); 10]).collect::<Vec<_>>());
}

/// Many more rows than memory: the sort spills, and nothing is lost.
#[tokio::test]
async fn sorting_more_than_memory_spills() {
    let mut world = world();
    world.limit_memory(24 << 20, 2);
    let definition = definition();
    let metadata = ordered(&world, &definition, &[(1, Transform::Identity, false, false)]);
    let long = "x".repeat(2000);
    let batch = |step: i64| {
        let v = Int64Array::from_iter_values((0..500).map(|row| (row * 40 + step) * 7919 % 20_000));
        let name = StringArray::from_iter_values((0..500).map(|_| long.as_str()));
        RecordBatch::try_new(definition.rows(), vec![Arc::new(v), Arc::new(name)]).expect("batch")
    };
    let files = world.write(&metadata, &[(0..40).map(batch).collect()]).await.expect("written");
    assert_eq!(files.iter().map(DataFile::record_count).sum::<u64>(), 20_000);
    let version = world.commit(&metadata, None, files).await;
    world.context = world.engine(SessionConfig::new().with_target_partitions(1));
    world.register("t", &version);
    let stored = world.query("SELECT v FROM t").await;
    assert_eq!(longs(&stored), (0..20_000).map(Some).collect::<Vec<_>>());
}

/// Five thousand partitions in a small memory: as many files, each with all rows of its partition.
#[tokio::test]
async fn any_number_of_partitions_gets_one_file_each() {
    const PARTITIONS: i64 = 5000;
    let mut world = world();
    world.limit_memory(40 << 20, 2);
    let definition = definition().partitioned("v", Transform::Identity);
    let metadata = world.metadata(&definition);
    let long = "x".repeat(600);
    let batch = |step: i64| {
        let v = Int64Array::from_iter_values((0..2500).map(|row| (row + step * 2500) * 7919 % PARTITIONS));
        let name = StringArray::from_iter_values((0..2500).map(|row| format!("{step} {row} {long}")));
        RecordBatch::try_new(definition.rows(), vec![Arc::new(v), Arc::new(name)]).expect("batch")
    };
    let inputs: Vec<Vec<RecordBatch>> =
        (0..2).map(|part| (0..10).map(|step| batch(part * 10 + step)).collect()).collect();
    let files = world.write(&metadata, &inputs).await.expect("written");
    assert_eq!(files.len(), 5000);
    assert!(files.iter().all(|file| file.record_count() == 10), "all rows of a partition are in its file");
    let version = world.commit(&metadata, None, files).await;
    world.context = world.engine(SessionConfig::new().with_target_partitions(2));
    world.register("t", &version);
    assert_eq!(world.text("SELECT count(DISTINCT name) FROM t").await, "50000");
    assert_eq!(world.files_read("SELECT * FROM t WHERE v = 4321").await, 1);
}
