//! Files that were written in an order: the engine may rely on it, and must not where it does not hold from one file to
//! the next.

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use datafusion::physical_plan::displayable;
use iceberg::spec::{DataFileBuilder, NullOrder, SortDirection, SortField, SortOrder};

use super::*;

const ORDER_ID: i32 = 1;

/// A table that is written ordered by `v`, then `name` falling.
fn ordered(world: &World, definition: &Definition) -> TableMetadata {
    let field = |source_id, direction, null_order| SortField {
        source_id,
        transform: Transform::Identity,
        direction,
        null_order,
    };
    let order = SortOrder::builder()
        .with_order_id(ORDER_ID.into())
        .with_sort_field(field(1, SortDirection::Ascending, NullOrder::Last))
        .with_sort_field(field(2, SortDirection::Descending, NullOrder::Last))
        .build(&definition.schema)
        .expect("an order");
    let builder = world.metadata(definition).into_builder(None);
    let builder = builder.add_sort_order(order).and_then(|b| b.set_default_sort_order(-1));
    builder.and_then(|b| b.build()).expect("metadata").metadata
}

/// The description of a file that says that it is sorted.
fn sorted(file: &DataFile) -> DataFile {
    DataFileBuilder::default()
        .content(file.content_type())
        .file_path(file.file_path().to_owned())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .partition_spec_id(0)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .column_sizes(file.column_sizes().clone())
        .null_value_counts(file.null_value_counts().clone())
        .nan_value_counts(file.nan_value_counts().clone())
        .lower_bounds(file.lower_bounds().clone())
        .upper_bounds(file.upper_bounds().clone())
        .sort_order_id(ORDER_ID)
        .build()
        .expect("a file")
}

fn definition() -> Definition {
    Definition::new(vec![("v", primitive(PrimitiveType::Long)), ("name", primitive(PrimitiveType::String))])
        .property("write.parquet.row-group-size-bytes", "1")
}

/// Rows in the table's order: every value of `v` four times.
fn rows(schema: &SchemaRef, values: std::ops::Range<i64>, null: bool) -> RecordBatch {
    let v = values.clone().flat_map(|v| [Some(v); 4]).chain(null.then_some(None));
    let name = values.flat_map(|_| ["d", "c", "b", "a"].map(Some)).chain(null.then_some(Some("z")));
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(v.collect::<Int64Array>()), Arc::new(name.collect::<StringArray>())];
    RecordBatch::try_new(Arc::clone(schema), columns).expect("batch")
}

/// The table whose files have these values, and NULL at the end where it says so.
async fn table(world: &World, files: &[(std::ops::Range<i64>, bool)]) {
    let definition = definition();
    let metadata = ordered(world, &definition);
    let mut version = None;
    for (values, null) in files {
        let step = ((values.end - values.start) / 5).max(1);
        let starts = (values.start..values.end).step_by(usize::try_from(step).expect("small"));
        let parts: Vec<_> = starts
            .map(|from| {
                let to = (from + step).min(values.end);
                rows(&definition.rows(), from..to, *null && to == values.end)
            })
            .collect();
        let written = world.write(&metadata, &[parts]).await.expect("written");
        assert_eq!(written.len(), 1, "one file");
        version = Some(world.commit(&metadata, version, written.iter().map(sorted).collect()).await);
    }
    world.register("t", &version.expect("a version"));
}

async fn plan(world: &World, sql: &str) -> String {
    let frame = world.context.sql(sql).await.expect("planned");
    let plan = frame.create_physical_plan().await.expect("physical plan");
    displayable(plan.as_ref()).indent(true).to_string()
}

/// Asks for the table in its order and by groups, and compares with what must come.
async fn check(world: &World, values: &[Option<i64>]) {
    let rows = world.query("SELECT v FROM t ORDER BY v").await;
    let found: Vec<Option<i64>> = rows.column(0).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(found, values, "ORDER BY v");
    for limit in [1, 7, 100] {
        let sql = format!("SELECT v FROM t ORDER BY v LIMIT {limit}");
        let rows = world.query(&sql).await;
        let found: Vec<Option<i64>> = rows.column(0).as_primitive::<Int64Type>().iter().collect();
        let plan = plan(world, &sql).await;
        assert_eq!(found, values.iter().copied().take(limit).collect::<Vec<_>>(), "{sql}\n{plan}");
        let rows = world.query(&format!("SELECT v FROM t LIMIT {limit}")).await.num_rows();
        assert_eq!(rows, limit.min(values.len()), "LIMIT {limit} without order");
    }
    let groups = world.query("SELECT v, count(*) AS n FROM t GROUP BY v ORDER BY v DESC NULLS FIRST").await;
    let mut distinct = values.to_vec();
    distinct.dedup();
    assert_eq!(groups.num_rows(), distinct.len(), "groups");
    assert_eq!(groups.column(0).is_null(0), values.contains(&None));
}

fn four_times(values: std::ops::Range<i64>) -> Vec<Option<i64>> {
    values.flat_map(|v| [Some(v); 4]).collect()
}

fn world(partitions: usize) -> World {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_repartition_file_min_size(1)
        .with_batch_size(32);
    World::with_config(config)
}

#[tokio::test]
async fn a_declared_order_saves_sorting_and_hashing() {
    for partitions in [1, 3] {
        let world = world(partitions);
        table(&world, &[(0..50, false), (50..80, false), (80..200, false)]).await;
        check(&world, &four_times(0..200)).await;
        let grouped = plan(&world, "SELECT v, count(*) FROM t GROUP BY v").await;
        assert!(grouped.contains("ordering_mode=Sorted"), "{grouped}");
        let ordered = plan(&world, "SELECT v, name FROM t ORDER BY v, name DESC NULLS LAST").await;
        assert!(!ordered.contains("SortExec"), "{ordered}");
    }
}

#[tokio::test]
async fn one_sorted_file_is_read_in_parts() {
    let world = world(4);
    table(&world, &[(0..400, false)]).await;
    check(&world, &four_times(0..400)).await;
    let grouped = plan(&world, "SELECT v, count(*) FROM t GROUP BY v").await;
    assert!(grouped.contains("ordering_mode=Sorted"), "{grouped}");
    assert!(!grouped.contains("file_groups={1 group"), "{grouped}");
}

#[tokio::test]
async fn files_that_overlap_are_not_one_after_the_other() {
    let world = world(2);
    table(&world, &[(0..60, false), (30..90, false), (10..20, false), (85..95, false)]).await;
    let mut values = [four_times(0..60), four_times(30..90), four_times(10..20), four_times(85..95)].concat();
    values.sort_unstable();
    check(&world, &values).await;
}

#[tokio::test]
async fn nulls_in_the_key_end_the_order() {
    let world = world(1);
    table(&world, &[(0..20, true), (20..40, true)]).await;
    let values = [four_times(0..40), vec![None, None]].concat();
    check(&world, &values).await;
}
