//! Rows that are left out by their position, and the columns that say where a row is: right under every predicate, limit
//! and way of cutting a file up.

use std::collections::BTreeMap;

use arrow::array::{AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use roaring::RoaringTreemap;

use super::*;

/// A world that cuts even small files into parts.
fn cutting(partitions: usize) -> World {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_repartition_file_min_size(1)
        .with_batch_size(64);
    World::with_config(config)
}

fn numbers(schema: &SchemaRef, values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let values: Vec<i64> = values.into_iter().collect();
    let text = StringArray::from_iter_values(values.iter().map(|value| format!("row {value}")));
    let columns: Vec<arrow::array::ArrayRef> = vec![Arc::new(Int64Array::from(values)), Arc::new(text)];
    RecordBatch::try_new(Arc::clone(schema), columns).expect("batch")
}

fn definition() -> Definition {
    Definition::new(vec![("id", primitive(PrimitiveType::Long)), ("name", primitive(PrimitiveType::String))])
        .property("write.parquet.row-group-size-bytes", "1")
}

/// A table of two files of 1,000 rows in ten row groups each; `id` is 0..2000 in the order of the rows.
async fn two_files(world: &World) -> (Arc<TableVersion>, Vec<String>) {
    let definition = definition();
    let groups = |from: i64| {
        (0..10)
            .map(|group| numbers(&definition.rows(), from + group * 100..from + (group + 1) * 100))
            .collect()
    };
    let version = world.table("t", &definition, &[groups(0), groups(1000)]).await;
    let files = world.data_files(&version).await;
    assert_eq!(files.len(), 2, "two files");
    // The newest file may come first.
    let mut in_order = Vec::new();
    for file in files {
        world.provide("one", world.read(&version).only_files([file.clone()]));
        let first = world.text("SELECT min(id) FROM one").await;
        in_order.push((first.parse::<i64>().expect("a number"), file));
    }
    in_order.sort();
    (version, in_order.into_iter().map(|(_, file)| file).collect())
}

fn longs(batch: &RecordBatch, column: usize) -> Vec<i64> {
    batch.column(column).as_primitive::<Int64Type>().values().to_vec()
}

/// The rows of each file that are left out: most of some row groups, one whole row group, single rows.
fn dead() -> RoaringTreemap {
    (0..95).chain(200..300).chain([300, 555, 999]).collect()
}

fn dead_of(files: &[String]) -> BTreeMap<String, Arc<RoaringTreemap>> {
    files.iter().map(|file| (file.clone(), Arc::new(dead()))).collect()
}

fn is_live(id: i64) -> bool {
    !dead().contains((id % 1000).cast_unsigned())
}

/// T2: the Parquet reader must not bring rows back to fill a limit, nor count them for it.
#[tokio::test]
async fn t2_deleted_rows_stay_deleted_under_limit() {
    for partitions in [1, 3] {
        let world = cutting(partitions);
        let (version, files) = two_files(&world).await;
        world.provide("t", world.read(&version).without_rows(dead_of(&files)));
        let all: Vec<i64> = (0..2000).filter(|id| is_live(*id)).collect();
        for pushdown in ["false", "true"] {
            world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
            assert_eq!(world.text("SELECT count(*) FROM t").await, all.len().to_string());
            assert_eq!(longs(&world.query("SELECT id FROM t ORDER BY id").await, 0), all);
            for (predicate, matching) in [("id >= 0", 0), ("id >= 1500", 1500), ("id >= 1990", 1990)] {
                let matching = all.iter().filter(|id| **id >= matching).count();
                for limit in [0, 1, 8, 250, 5000] {
                    let sql = format!("SELECT id FROM t WHERE {predicate} LIMIT {limit}");
                    let found = longs(&world.query(&sql).await, 0);
                    assert_eq!(found.len(), limit.min(matching), "{sql}, {partitions} partitions");
                    assert!(found.iter().all(|id| is_live(*id)), "{sql} gave deleted rows");
                }
            }
            let top = longs(&world.query("SELECT id FROM t ORDER BY id DESC LIMIT 7").await, 0);
            assert_eq!(top, all.iter().rev().take(7).copied().collect::<Vec<_>>());
            let sql = "SELECT id FROM t WHERE name = 'row 255' OR name = 'row 301'";
            assert_eq!(longs(&world.query(sql).await, 0), [301]);
        }
    }
}

/// T4: what is known of a file is no longer exact when rows of it are deleted, and must not turn into constants.
#[tokio::test]
async fn t4_figures_of_files_with_deletes_are_estimates() {
    let world = World::new();
    let definition = Definition::new(vec![("v", primitive(PrimitiveType::Long))]);
    let values = (0..10).map(|value| (value >= 5).then_some(value)).collect::<Int64Array>();
    let rows = RecordBatch::try_new(definition.rows(), vec![Arc::new(values)]).expect("batch");
    let version = world.table("t", &definition, &[vec![rows]]).await;
    let files = world.data_files(&version).await;
    let without = |dead: &[u64]| {
        let dead = Arc::new(dead.iter().copied().collect::<RoaringTreemap>());
        world.read(&version).without_rows(BTreeMap::from([(files[0].clone(), dead)]))
    };
    world.provide("t", without(&[0, 1, 2, 3, 4]));
    assert_eq!(world.texts("SELECT v FROM t ORDER BY v").await, ["5", "6", "7", "8", "9"]);
    assert_eq!(world.text("SELECT count(*) FROM t").await, "5");
    assert_eq!(world.text("SELECT count(v) FROM t").await, "5");
    world.provide("t", without(&[0, 5, 9]));
    assert_eq!(world.text("SELECT min(v) FROM t").await, "6");
    assert_eq!(world.text("SELECT max(v) FROM t").await, "8");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE v IS NULL").await, "4");
    world.provide("t", without(&(0..10).collect::<Vec<u64>>()));
    assert_eq!(world.text("SELECT count(*) FROM t").await, "0");
    assert_eq!(world.query("SELECT v FROM t").await.num_rows(), 0);
    assert_eq!(world.query("SELECT v FROM t WHERE v > 3 LIMIT 2").await.num_rows(), 0);
}

/// `_pos` is the row's place in its file, whatever else the query does.
#[tokio::test]
async fn positions_are_right_under_predicates_limits_and_cuts() {
    for partitions in [1, 4] {
        let world = cutting(partitions);
        let (version, files) = two_files(&world).await;
        for deletes in [BTreeMap::new(), dead_of(&files)] {
            let some = !deletes.is_empty();
            let table =
                world.read(&version).without_rows(deletes).with_row_columns().expect("hidden columns");
            world.provide("t", table);
            for pushdown in ["false", "true"] {
                world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
                for rest in [
                    "",
                    "WHERE id >= 250 AND id < 1310",
                    "WHERE name = 'row 777'",
                    "WHERE id % 7 = 3 LIMIT 40",
                    "WHERE _pos > 500",
                    "WHERE _pos > 500 AND id > 1200 LIMIT 5",
                    "ORDER BY id DESC LIMIT 13",
                    "LIMIT 333",
                ] {
                    let sql = format!("SELECT id, _pos, _file, _spec_id FROM t {rest}");
                    let rows = world.query(&sql).await;
                    assert!(rows.num_rows() > 0, "{sql} finds rows");
                    let urls = rows.column(2).as_string_view();
                    for (row, (id, pos)) in longs(&rows, 0).into_iter().zip(longs(&rows, 1)).enumerate() {
                        assert_eq!(pos, id % 1000, "{sql}");
                        assert_eq!(urls.value(row), files[usize::from(id >= 1000)], "{sql}");
                        assert!(!some || is_live(id), "{sql} gave deleted row {id}");
                    }
                }
                let live = if some { (0..2000).filter(|id| is_live(*id)).count() } else { 2000 };
                assert_eq!(world.text("SELECT count(*) FROM t").await, live.to_string());
                assert_eq!(world.text("SELECT count(_pos) FROM t").await, live.to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_scan_can_be_held_to_some_files() {
    let world = World::new();
    let (version, files) = two_files(&world).await;
    let table = world.read(&version).only_files([files[1].clone()]).without_rows(dead_of(&files));
    world.provide("t", table.with_row_columns().expect("hidden columns"));
    let live = (1000..2000).filter(|id| is_live(*id)).count();
    let sql = "SELECT count(*) FROM (SELECT id, _file FROM t WHERE id >= 0) AS s";
    assert_eq!(world.text(sql).await, live.to_string());
    assert_eq!(world.text("SELECT count(DISTINCT _file) FROM t").await, "1");
    assert_eq!(world.text("SELECT min(id) FROM t").await, "1095");
}

#[tokio::test]
async fn the_partition_of_a_row_can_be_seen() {
    let world = World::new();
    let definition = definition().partitioned("id", Transform::Truncate(10));
    let version = world.table("t", &definition, &[vec![numbers(&definition.rows(), 5..15)]]).await;
    world.provide("t", world.read(&version).with_row_columns().expect("hidden columns"));
    let sql = "SELECT concat(id, ' ', _partition, ' ', _pos) FROM t WHERE id IN (9, 10) ORDER BY id";
    assert_eq!(world.texts(sql).await, ["9 {\"id_truncate_10_\":0} 4", "10 {\"id_truncate_10_\":10} 0"]);
    // Version 2 has no row ids.
    assert_eq!(world.text("SELECT count(_row_id) FROM t").await, "0");
    assert_eq!(world.text("SELECT count(*) FROM t WHERE _last_updated_sequence_number IS NULL").await, "10");
}
