//! One test for each trap of the pinned crates that a scan or a write could fall into (`iceberg.md` §0.1).

use arrow::array::{Float64Array, Int64Array, StringArray};
use object_store::memory::InMemory;

use super::*;

fn numbers(schema: &SchemaRef, values: impl IntoIterator<Item = i64>) -> RecordBatch {
    RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(Int64Array::from_iter_values(values))])
        .expect("batch")
}

fn one_long() -> Definition {
    Definition::new(vec![("id", primitive(PrimitiveType::Long))])
}

/// T1: a delete whose predicate is a subquery reaches the provider without it, and would empty the table.
#[tokio::test]
async fn trap_t1_changes_planned_by_the_engine_are_refused() {
    let world = World::new();
    let definition = one_long();
    world.table("t", &definition, &[vec![numbers(&definition.rows(), 0..10)]]).await;
    for change in [
        "DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id > 5)",
        "DELETE FROM t",
        "UPDATE t SET id = 1 WHERE id IN (SELECT max(id) FROM t)",
        "INSERT INTO t VALUES (1)",
        "TRUNCATE TABLE t",
    ] {
        let outcome = match world.context.sql(change).await {
            Ok(frame) => frame.collect().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "{change} went through");
    }
    assert_eq!(world.text("SELECT count(*) FROM t").await, "10");
}

/// T2: a limit over row groups that match whole must count only rows that are there.
#[tokio::test]
async fn trap_t2_a_limit_counts_rows_once() {
    let world = World::new();
    let definition = one_long().property("write.parquet.row-group-size-bytes", "1");
    let rows: Vec<_> =
        (0..20).map(|batch| numbers(&definition.rows(), batch * 100..(batch + 1) * 100)).collect();
    let halves: Vec<_> = rows.chunks(10).map(<[_]>::to_vec).collect();
    world.table("t", &definition, &halves).await;
    for pushdown in ["false", "true"] {
        world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
        for (predicate, matching) in
            [("id >= 0", 2000), ("id >= 1500", 500), ("id >= 1993", 7), ("id < 0", 0)]
        {
            for limit in [0, 1, 8, 250, 5000] {
                let sql = format!("SELECT id FROM t WHERE {predicate} LIMIT {limit}");
                let rows = world.query(&sql).await.num_rows();
                assert_eq!(rows, limit.min(matching), "{sql}");
            }
        }
        let sql = "SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t LIMIT 1234)";
        let counts = world.query(sql).await;
        assert_eq!(counts.column(0), counts.column(1), "no row comes twice");
    }
    assert_eq!(world.files_read("SELECT id FROM t LIMIT 8").await, 1, "one file is enough");
}

/// T3: the bound of a column some of whose values are long must not come from the short ones alone.
#[tokio::test]
async fn trap_t3_long_values_do_not_tighten_bounds() {
    let world = World::new();
    let definition = Definition::new(vec![("s", primitive(PrimitiveType::String))])
        .property("write.parquet.row-group-size-bytes", "1");
    let long = format!("z{}", "y".repeat(100));
    let highest = "\u{10FFFF}".repeat(40);
    let batch = |values: Vec<&str>| {
        RecordBatch::try_new(definition.rows(), vec![Arc::new(StringArray::from(values))]).expect("batch")
    };
    let rows = vec![batch(vec!["a", "b"]), batch(vec![&long, &long]), batch(vec![&highest])];
    world.table("t", &definition, &[rows]).await;
    assert_eq!(world.text(&format!("SELECT count(*) FROM t WHERE s = '{long}'")).await, "2");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE s > 'zy'").await, "3");
    assert_eq!(world.text(&format!("SELECT count(*) FROM t WHERE s >= '{highest}'")).await, "1");
    assert_eq!(world.text("SELECT max(s) FROM t").await, highest);
}

/// T4: figures that are called exact replace columns by constants and answer aggregates.
#[tokio::test]
async fn trap_t4_only_promises_are_exact() {
    let world = World::new();
    let definition = Definition::new(vec![
        ("same", primitive(PrimitiveType::Long)),
        ("prefix", primitive(PrimitiveType::String)),
        ("nan", primitive(PrimitiveType::Double)),
        ("zero", primitive(PrimitiveType::Double)),
        ("nothing", primitive(PrimitiveType::Long)),
    ]);
    let batch = |same: Option<i64>, prefix: [&str; 2], nan: [f64; 2]| {
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![same, Some(5)])),
            Arc::new(StringArray::from(prefix.to_vec())),
            Arc::new(Float64Array::from(nan.to_vec())),
            Arc::new(Float64Array::from(vec![-0.0, 0.0])),
            Arc::new(Int64Array::from(vec![None, None])),
        ];
        RecordBatch::try_new(definition.rows(), columns).expect("batch")
    };
    let one = batch(Some(5), ["0123456789abcdefghij", "0123456789abcdefzzzz"], [5.0, f64::NAN]);
    let two = batch(None, ["x", "x"], [5.0, 5.0]);
    world.table("t", &definition, &[vec![one], vec![two]]).await;
    assert_eq!(world.texts("SELECT same FROM t ORDER BY same").await, ["5", "5", "5", "NULL"]);
    assert_eq!(world.text("SELECT count(DISTINCT prefix) FROM t").await, "3");
    assert_eq!(world.text("SELECT max(prefix) FROM t").await, "x");
    assert_eq!(world.text("SELECT min(prefix) FROM t").await, "0123456789abcdefghij");
    assert_eq!(world.text("SELECT max(nan) FROM t").await, "NaN");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE nan > 5").await, "1");
    assert_eq!(world.texts("SELECT nan FROM t ORDER BY nan DESC LIMIT 1").await, ["NaN"]);
    assert_eq!(world.texts("SELECT zero FROM t ORDER BY zero").await, ["-0.0", "-0.0", "0.0", "0.0"]);
    assert_eq!(world.text("SELECT count(nothing) FROM t").await, "0");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE nothing IS NULL").await, "4");
}

/// COUNT, MIN and MAX of whole numbers need no file at all.
#[tokio::test]
async fn promises_answer_without_reading() {
    let world = World::new();
    let definition = one_long();
    let rows = [vec![numbers(&definition.rows(), 0..10)], vec![numbers(&definition.rows(), 5..20)]];
    world.table("t", &definition, &rows).await;
    let sql = "SELECT count(*), count(id), min(id), max(id) FROM t";
    assert_eq!(world.files_read(sql).await, 0);
    assert_eq!(
        world.text(&format!("SELECT concat_ws(' ', a, b, c, d) FROM ({sql}) AS s(a, b, c, d)")).await,
        "25 25 0 19"
    );
}

/// T9: two files with the same path in two buckets are two files.
#[tokio::test]
async fn trap_t9_equal_paths_in_two_buckets_are_two_files() {
    let mut world = World::new();
    let definition = one_long();
    for (bucket, values) in [("a", 100..200), ("b", 300..400)] {
        world.warehouse = format!("s3://{bucket}/w");
        world.storage.replace_store(&world.warehouse, Arc::new(InMemory::new())).expect("store");
        // The same seed gives the same table location and file names.
        world.env = SeededEnv::new(7);
        world.table(bucket, &definition, &[vec![numbers(&definition.rows(), values)]]).await;
    }
    assert_eq!(world.text("SELECT count(*) FROM a WHERE id < 200").await, "100");
    assert_eq!(world.text("SELECT count(*) FROM b WHERE id < 200").await, "0");
    assert_eq!(world.text("SELECT sum(id) FROM b").await, (300..400).sum::<i64>().to_string());
    assert_eq!(world.text("SELECT sum(id) FROM a").await, (100..200).sum::<i64>().to_string());
}
