//! A query opens only the files that may hold its rows, whatever the table is partitioned by.

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};

use super::*;

const HOUR: i64 = 3_600_000_000;

/// A table of one column, partitioned by a transform of it, with `values` as its rows.
async fn table_of(world: &World, data_type: PrimitiveType, transform: Transform, values: ArrayRef) {
    let definition = Definition::new(vec![("v", primitive(data_type))]).partitioned("v", transform);
    let values = arrow::compute::cast(&values, definition.rows().field(0).data_type()).expect("cast");
    let rows = RecordBatch::try_new(definition.rows(), vec![values]).expect("batch");
    if world.context.table_exist("t").expect("known") {
        world.context.deregister_table("t").expect("dropped");
    }
    world.table("t", &definition, &[vec![rows]]).await;
}

/// How many files the predicate opens of how many there are, and how many rows it finds.
async fn check(world: &World, predicate: &str, expect_files: usize, of: usize, expect_rows: usize) {
    assert_eq!(world.files_read("SELECT v FROM t").await, of, "files of the table");
    let sql = format!("SELECT v FROM t WHERE {predicate}");
    assert_eq!(world.query(&sql).await.num_rows(), expect_rows, "rows where {predicate}");
    assert_eq!(world.files_read(&sql).await, expect_files, "files where {predicate}");
}

#[tokio::test]
async fn identity_partitions_are_left_out() {
    let world = World::new();
    let words = StringArray::from(vec![Some("a"), Some("b"), Some("b/c=d"), Some("é"), None, Some("a")]);
    table_of(&world, PrimitiveType::String, Transform::Identity, Arc::new(words)).await;
    check(&world, "v = 'a'", 1, 5, 2).await;
    check(&world, "v = 'b/c=d'", 1, 5, 1).await;
    check(&world, "v > 'b'", 2, 5, 2).await;
    check(&world, "v IS NULL", 1, 5, 1).await;
    check(&world, "v IS NOT NULL", 4, 5, 5).await;
    check(&world, "v IN ('a', 'é')", 2, 5, 3).await;
    check(&world, "v = 'absent'", 0, 5, 0).await;
    check(&world, "v LIKE 'b%'", 2, 5, 2).await;
}

#[tokio::test]
async fn days_and_hours_are_left_out() {
    let world = World::new();
    // Four days around 1970, six rows in each.
    let times: Vec<i64> = (-12..12).map(|step| step * 4 * HOUR).collect();
    let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times));
    table_of(&world, PrimitiveType::Timestamp, Transform::Day, Arc::clone(&values)).await;
    check(&world, "v >= '1970-01-02T00:00:00'", 1, 4, 6).await;
    check(&world, "v < '1969-12-31T00:00:00'", 1, 4, 6).await;
    check(&world, "v = '1969-12-31T20:00:00'", 1, 4, 1).await;
    check(&world, "v BETWEEN '1970-01-01T08:00:00' AND '1970-01-01T12:00:00'", 1, 4, 2).await;
    table_of(&world, PrimitiveType::Timestamptz, Transform::Hour, values).await;
    check(&world, "v >= '1970-01-02T20:00:00Z'", 1, 24, 1).await;
    check(&world, "v < '1969-12-30T01:00:00Z'", 1, 24, 1).await;
}

#[tokio::test]
async fn months_and_years_are_left_out() {
    let world = World::new();
    // The first of every second month from 2020 on, three years.
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).expect("epoch");
    let first = chrono::NaiveDate::from_ymd_opt(2020, 1, 1).expect("date");
    let day = |step: u32| (first + chrono::Months::new(2 * step)).signed_duration_since(epoch).num_days();
    let days = Date32Array::from_iter_values((0..18).map(|step| i32::try_from(day(step)).expect("a day")));
    let days: ArrayRef = Arc::new(days);
    table_of(&world, PrimitiveType::Date, Transform::Month, Arc::clone(&days)).await;
    check(&world, "v >= '2022-11-01'", 1, 18, 1).await;
    check(&world, "v = '2021-03-01'", 1, 18, 1).await;
    check(&world, "v = '2021-04-01'", 0, 18, 0).await;
    table_of(&world, PrimitiveType::Date, Transform::Year, days).await;
    check(&world, "v >= '2022-01-01'", 1, 3, 6).await;
    check(&world, "v < '2021-01-01'", 1, 3, 6).await;
}

#[tokio::test]
async fn truncated_partitions_are_left_out() {
    let world = World::new();
    let ints: ArrayRef = Arc::new(Int32Array::from_iter_values(-50..50));
    table_of(&world, PrimitiveType::Int, Transform::Truncate(10), Arc::clone(&ints)).await;
    check(&world, "v = -1", 1, 10, 1).await;
    check(&world, "v >= 35", 2, 10, 15).await;
    table_of(&world, PrimitiveType::Long, Transform::Truncate(10), Arc::clone(&ints)).await;
    check(&world, "v < -45", 1, 10, 5).await;
    let decimal = PrimitiveType::Decimal { precision: 10, scale: 2 };
    let cents = Decimal128Array::from_iter_values((0..100).map(i128::from));
    let cents = cents.with_precision_and_scale(10, 2).expect("decimal");
    table_of(&world, decimal, Transform::Truncate(50), Arc::new(cents)).await;
    check(&world, "v < 0.5", 1, 2, 50).await;
    let words = StringArray::from(vec!["apple", "apply", "ant", "bee", "b", "ωmega"]);
    table_of(&world, PrimitiveType::String, Transform::Truncate(2), Arc::new(words)).await;
    check(&world, "v = 'apply'", 1, 5, 1).await;
    check(&world, "v >= 'bee'", 2, 5, 2).await;
}

#[tokio::test]
async fn the_ends_of_the_integers_have_a_partition() {
    let world = World::new();
    let ends: ArrayRef = Arc::new(Int32Array::from(vec![i32::MIN, i32::MIN + 1, 0, i32::MAX]));
    table_of(&world, PrimitiveType::Int, Transform::Truncate(10), ends).await;
    check(&world, "v < -2147483640", 1, 3, 2).await;
    check(&world, "v = 2147483647", 1, 3, 1).await;
}

#[tokio::test]
async fn buckets_are_left_out() {
    let world = World::new();
    let longs: ArrayRef = Arc::new(Int64Array::from_iter((0..200).map(Some).chain([None])));
    table_of(&world, PrimitiveType::Long, Transform::Bucket(16), longs).await;
    let files = world.files_read("SELECT v FROM t").await;
    assert_eq!(files, 17, "16 buckets and one for NULL");
    for value in [0, 17, 99, 199] {
        check(&world, &format!("v = {value}"), 1, files, 1).await;
    }
    let two = world.files_read("SELECT v FROM t WHERE v IN (17, 99)").await;
    assert!((1..=2).contains(&two), "{two} files for two values");
    assert_eq!(world.query("SELECT v FROM t WHERE v <> 17").await.num_rows(), 199);
    let words = StringArray::from_iter_values((0..100).map(|number| format!("word {number}")));
    table_of(&world, PrimitiveType::String, Transform::Bucket(8), Arc::new(words)).await;
    check(&world, "v = 'word 42'", 1, 8, 1).await;
}

#[tokio::test]
async fn bounds_alone_leave_files_out() {
    let world = World::new();
    let definition =
        Definition::new(vec![("v", primitive(PrimitiveType::Long)), ("d", primitive(PrimitiveType::Double))]);
    let rows = |from: i64| {
        let v: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + 10));
        let d: ArrayRef = Arc::new(Float64Array::from_iter_values((from..from + 10).map(|v| v as f64)));
        vec![RecordBatch::try_new(definition.rows(), vec![v, d]).expect("batch")]
    };
    world.table("t", &definition, &[rows(0), rows(10), rows(20)]).await;
    check(&world, "v = 15", 1, 3, 1).await;
    check(&world, "v >= 10 AND d < 20.0", 1, 3, 10).await;
    check(&world, "v IS NULL", 0, 3, 0).await;
    // A list longer than DataFusion turns into comparisons.
    let list = (100..200).chain([12]).map(|v| v.to_string()).collect::<Vec<_>>().join(", ");
    check(&world, &format!("v IN ({list})"), 1, 3, 1).await;
    // What cannot be decided from ranges leaves every file in.
    check(&world, "v % 7 = 0", 3, 3, 5).await;
}

#[tokio::test]
async fn partitions_of_struct_fields_are_written_and_read() {
    let world = World::new();
    let inner = NestedFieldRef::new(NestedField::optional(3, "k", primitive(PrimitiveType::Int)));
    let outer = Type::Struct(iceberg::spec::StructType::new(vec![inner]));
    let definition = Definition::new(vec![("v", primitive(PrimitiveType::Long)), ("s", outer)])
        .partitioned("s.k", Transform::Identity);
    let arrow::datatypes::DataType::Struct(fields) = definition.rows().field(1).data_type().clone() else {
        panic!("a struct")
    };
    let k: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(2), None]));
    let valid = arrow::buffer::NullBuffer::from(vec![true, true, false, true]);
    let s = arrow::array::StructArray::new(fields, vec![k], Some(valid));
    let v: ArrayRef = Arc::new(Int64Array::from_iter_values(0..4));
    let rows = RecordBatch::try_new(definition.rows(), vec![v, Arc::new(s)]).expect("batch");
    world.table("t", &definition, &[vec![rows]]).await;
    // A field of a struct that is NULL is NULL, whatever its slot holds.
    assert_eq!(world.files_read("SELECT v FROM t").await, 3);
    assert_eq!(world.text("SELECT count(*) FROM t WHERE s['k'] = 2").await, "1");
    assert_eq!(world.query("SELECT v FROM t").await.column(0).len(), 4);
}
