//! Columns in memory: they answer without their files, they are the same for every state of a table, and a session can
//! do without them. That they give the right rows is seen everywhere else: `World::query` reads everything three times.

use arrow::array::{Int64Array, StringArray};

use super::*;

fn definition() -> Definition {
    Definition::new(vec![("id", primitive(PrimitiveType::Long)), ("name", primitive(PrimitiveType::String))])
}

fn rows(schema: &SchemaRef, count: i64) -> RecordBatch {
    let ids = Int64Array::from_iter_values(0..count);
    let names = StringArray::from_iter_values((0..count).map(|id| format!("the name of row {id}")));
    RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(ids), Arc::new(names)]).expect("batch")
}

async fn delete_files(world: &World, version: &TableVersion) {
    for url in world.data_files(version).await {
        let checked = world.storage.guard().table_file(version.metadata.location(), &url).expect("own");
        world.storage.delete(&checked).await.expect("deleted");
    }
}

#[tokio::test]
async fn hot_columns_need_no_file() {
    let world = World::new();
    let definition = definition();
    let version = world.table("t", &definition, &[vec![rows(&definition.rows(), 20_000)]]).await;
    let sql = "SELECT count(*) AS rows, sum(id) AS sum, max(name) AS name FROM t WHERE id > 100";
    let before = world.text(sql).await;
    delete_files(&world, &version).await;
    assert_eq!(world.text(sql).await, before);
    let other = "SELECT sum(id) FROM t WHERE name LIKE '%7'";
    assert_eq!(world.text(other).await, (0..2000).map(|ten| ten * 10 + 7).sum::<i64>().to_string());
}

#[tokio::test]
async fn a_session_without_them_reads_the_files() {
    let world = World::new();
    let definition = definition();
    let version = world.table("t", &definition, &[vec![rows(&definition.rows(), 1000)]]).await;
    let sql = "SELECT sum(id) FROM t WHERE id > 100";
    world.text(sql).await;
    delete_files(&world, &version).await;
    let mut state = world.context.state();
    state.config_mut().set_extension(ColumnCache::new(0));
    let without = SessionContext::new_with_state(state);
    let frame = without.sql(sql).await.expect("a plan");
    assert!(frame.collect().await.is_err(), "the file is gone");
}

#[tokio::test]
async fn deleted_rows_share_what_is_in_memory() {
    let world = World::new();
    let definition = definition();
    let version = world.table("t", &definition, &[vec![rows(&definition.rows(), 20_000)]]).await;
    let all = "SELECT count(*) AS rows, sum(id) AS sum FROM t WHERE id >= 0";
    world.text(all).await;
    let files = world.data_files(&version).await;
    let dead: roaring::RoaringTreemap = (0..20_000).filter(|row| row % 3 == 0 || *row > 10_000).collect();
    let without = files.iter().map(|url| (url.clone(), Arc::new(dead.clone()))).collect();
    delete_files(&world, &version).await;
    world.provide("t", world.read(&version).without_rows(without));
    let live: Vec<i64> = (0..=10_000).filter(|row| row % 3 != 0).collect();
    assert_eq!(world.text("SELECT sum(id) FROM t WHERE id >= 0").await, live.iter().sum::<i64>().to_string());
    assert_eq!(world.text("SELECT count(*) FROM t WHERE id >= 0").await, live.len().to_string());
}
