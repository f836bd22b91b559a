//! Which files a condition is true for as a whole: said only where every row bears it out.

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringArray,
};
use arrow::datatypes::Int64Type;
use datafusion::common::DFSchema;

use super::*;

/// How many files of `t` a condition is true for as a whole, after comparing with what the rows say.
async fn whole(world: &World, version: &Arc<TableVersion>, condition: &str) -> usize {
    let table = world.read(version);
    let schema = datafusion::catalog::TableProvider::schema(&table);
    let schema = DFSchema::try_from(schema).expect("schema");
    let state = world.context.state();
    let expression = state.create_logical_expr(condition, &schema).expect("condition");
    let found = table.whole_files(&state, &expression).await.expect("decided");
    for file in &found {
        world.provide("one", world.read(version).only_files([file.url.clone()]));
        let sql = format!("SELECT count(*), count(*) FILTER (WHERE {condition}) FROM one");
        let counts = world.query(&sql).await;
        let count = |column: usize| counts.column(column).as_primitive::<Int64Type>().value(0);
        assert_eq!(count(0), count(1), "a row of a whole file is not in {condition}");
        assert_eq!(u64::try_from(count(0)), Ok(file.rows), "rows of a whole file");
    }
    world.provide("rest", world.read(version).without_files(found.iter().map(|file| file.url.clone())));
    let rest: i64 = world.text("SELECT count(*) FROM rest").await.parse().expect("a count");
    let all: i64 = world.text("SELECT count(*) FROM t").await.parse().expect("a count");
    assert_eq!(all - rest, found.iter().map(|file| i64::try_from(file.rows).expect("few")).sum::<i64>());
    found.len()
}

/// A table `t` of one file for each array of values.
async fn table_of(world: &World, data_type: PrimitiveType, files: &[ArrayRef]) -> Arc<TableVersion> {
    let definition = Definition::new(vec![("v", primitive(data_type))]);
    let batch = |values: &ArrayRef| {
        vec![RecordBatch::try_new(definition.rows(), vec![Arc::clone(values)]).expect("batch")]
    };
    world.table("t", &definition, &files.iter().map(batch).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn bounds_prove_a_condition_unless_a_row_may_be_null() {
    let world = World::new();
    let ints = |values: &[Option<i32>]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
    let files = [ints(&[Some(1), Some(5)]), ints(&[Some(6), Some(9)]), ints(&[Some(7), None]), ints(&[None])];
    let version = table_of(&world, PrimitiveType::Int, &files).await;
    for (condition, expect) in [
        ("v < 6", 1),
        ("v <= 5 OR v > 5", 2),
        ("v >= 1", 2),
        ("v > 1", 1),
        ("v IS NULL", 1),
        ("v IS NOT NULL", 2),
        ("v IS NULL OR v > 0", 2),
        ("NOT (v > 5)", 1),
        ("v BETWEEN 6 AND 9", 1),
        ("v <> 3", 1),
        ("v NOT IN (1, 2, 3)", 1),
        // NULL for every value but one, and for every value.
        ("v IN (1, 5, NULL)", 0),
        ("v NOT IN (100, NULL)", 0),
        ("v < NULL", 0),
        ("true", 4),
        ("v + 1 > 0", 0),
        ("CASE WHEN v > 0 THEN true END", 0),
        ("random() >= 0 AND v > 0", 0),
    ] {
        assert_eq!(whole(&world, &version, condition).await, expect, "{condition}");
    }
}

#[tokio::test]
async fn text_is_cut_and_nan_has_no_bounds() {
    let world = World::new();
    let texts = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let files =
        [texts(&["eu", "eu"]), texts(&["aaaaaaaaaaaaaaaaXYZ", "aaaaaaaaaaaaaaaaXYZ"]), texts(&["us"])];
    let version = table_of(&world, PrimitiveType::String, &files).await;
    assert_eq!(whole(&world, &version, "v = 'eu'").await, 1);
    assert_eq!(whole(&world, &version, "v = 'aaaaaaaaaaaaaaaa'").await, 0);
    assert_eq!(whole(&world, &version, "v = 'aaaaaaaaaaaaaaaaXYZ'").await, 0);
    assert_eq!(whole(&world, &version, "v < 'b'").await, 1);
    assert_eq!(whole(&world, &version, "v IN ('eu', 'us')").await, 2);
    let doubles = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let files =
        [doubles(&[1.0, f64::NAN]), doubles(&[1.0, 2.0]), doubles(&[0.0, -0.0]), doubles(&[f64::NAN])];
    let version = table_of(&world, PrimitiveType::Double, &files).await;
    for (condition, expect) in
        [("v <= 2", 2), ("v >= 1", 1), ("v >= 0", 1), ("v = 0", 0), ("v >= -1", 2), ("v < 'NaN'", 2)]
    {
        assert_eq!(whole(&world, &version, condition).await, expect, "{condition}");
    }
    let flags = |values: &[bool]| Arc::new(BooleanArray::from(values.to_vec())) as ArrayRef;
    let files = [flags(&[true, true]), flags(&[true, false]), flags(&[false])];
    let version = table_of(&world, PrimitiveType::Boolean, &files).await;
    for (condition, expect) in [("v", 1), ("NOT v", 1), ("v OR NOT v", 2)] {
        let found = whole(&world, &version, condition).await;
        assert!(found <= expect, "{condition}: {found}");
    }
}

#[tokio::test]
async fn partitions_prove_a_condition_by_their_range() {
    let world = World::new();
    let definition =
        Definition::new(vec![("v", primitive(PrimitiveType::Date))]).partitioned("v", Transform::Month);
    // Every third day of 2025, and two days before 1970, where old writers' partitions are a month wider.
    let days = (20_089..20_454).step_by(3).chain([-40, -39]).map(Some).chain([None]);
    let values: ArrayRef = Arc::new(Date32Array::from_iter(days));
    let rows = RecordBatch::try_new(definition.rows(), vec![values]).expect("batch");
    let version = world.table("t", &definition, &[vec![rows]]).await;
    for (condition, expect) in [
        ("v < '2025-04-01'", 4),
        ("v < '2025-04-02'", 4),
        ("v < '2025-03-29'", 3),
        ("v >= '2025-02-01' AND v < '2025-03-01'", 1),
        ("v IS NULL", 1),
        ("v IS NOT NULL", 13),
        ("v <> '2025-05-01'", 12),
    ] {
        let found = whole(&world, &version, condition).await;
        assert_eq!(found, expect, "{condition}");
    }
}

#[tokio::test]
async fn buckets_and_unknown_figures_prove_nothing() {
    let world = World::new();
    let definition = Definition::new(vec![("v", primitive(PrimitiveType::Long))])
        .partitioned("v", Transform::Bucket(4))
        .property("write.metadata.metrics.default", "none");
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let rows = RecordBatch::try_new(definition.rows(), vec![values]).expect("batch");
    let version = world.table("t", &definition, &[vec![rows]]).await;
    for (condition, expect) in [("v >= 0", 0), ("v IN (1, 2)", 0), ("v IS NOT NULL", 0), ("true", 4)] {
        assert_eq!(whole(&world, &version, condition).await, expect, "{condition}");
    }
    // An identity partition proves what it says without any figure.
    let definition = Definition::new(vec![("v", primitive(PrimitiveType::Long))])
        .partitioned("v", Transform::Identity)
        .property("write.metadata.metrics.default", "none");
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(1)]));
    let rows = RecordBatch::try_new(definition.rows(), vec![values]).expect("batch");
    let version = world.table("t", &definition, &[vec![rows]]).await;
    for (condition, expect) in [("v = 1", 1), ("v <= 2", 2), ("v IN (1, 2)", 2), ("v = 3", 0)] {
        assert_eq!(whole(&world, &version, condition).await, expect, "{condition}");
    }
}

#[tokio::test]
async fn files_that_are_not_there_can_go() {
    let world = World::new();
    let ints = |values: &[i32]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
    let version = table_of(&world, PrimitiveType::Int, &[ints(&[1, 5]), ints(&[6, 9, 9])]).await;
    for url in world.data_files(&version).await {
        let guard = world.storage.guard();
        let checked = guard.table_file(version.metadata.location(), &url).expect("own");
        world.storage.delete(&checked).await.expect("deleted");
    }
    assert!(world.stored(".parquet").await.is_empty());
    let condition = datafusion::prelude::col("v").gt(datafusion::prelude::lit(5));
    let found = world.read(&version).whole_files(&world.context.state(), &condition).await.expect("decided");
    assert_eq!(found.iter().map(|file| file.rows).collect::<Vec<_>>(), [3]);
}
