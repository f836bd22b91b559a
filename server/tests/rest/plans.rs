//! Scans planned by the server: which files are answered, and what is no scan.

use serde_json::{Value, json};

use super::client::{Client, path};
use super::support::start;

/// The record counts of the files of a plan, in order.
fn counts(plan: &Value) -> Vec<u64> {
    let tasks = plan["file-scan-tasks"].as_array().expect("tasks");
    let mut counts: Vec<u64> =
        tasks.iter().map(|task| task["data-file"]["record-count"].as_u64().expect("a count")).collect();
    counts.sort_unstable();
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_the_files_that_may_hold_rows() {
    let running = start().await;
    let statements = "CREATE TABLE t (id bigint, kind text) PARTITIONED BY (kind) WITH (\"write.delete.mode\" = 'merge-on-read'); \
        INSERT INTO t SELECT x, 'a' FROM generate_series(1, 10) AS g(x); \
        INSERT INTO t SELECT x, 'b' FROM generate_series(11, 31) AS g(x); DELETE FROM t WHERE id = 5";
    let sql = running.connect().await;
    sql.batch_execute(statements).await.expect("a table");
    let client = Client::superuser(&running).await;
    let plan = async |body: Value| client.post(&path("public/tables/t/plan"), &body).await;
    let whole = plan(json!({})).await.good();
    assert_eq!((&whole["status"], counts(&whole)), (&json!("completed"), vec![10, 21]));
    let tasks = whole["file-scan-tasks"].as_array().expect("tasks");
    let first = tasks.iter().find(|task| task["data-file"]["record-count"] == 10).expect("the first file");
    assert_eq!(first["data-file"]["partition"], json!(["a"]));
    assert_eq!(first["delete-file-references"], json!([0]));
    assert_eq!(whole["delete-files"][0]["content"], "position-deletes");

    let filter =
        |term: &str, value: Value| json!({ "filter": { "type": "eq", "term": term, "value": value } });
    let some = plan(filter("id", json!(20))).await.good();
    assert_eq!(counts(&some), [21]);
    assert_eq!(some["file-scan-tasks"][0]["residual-filter"]["value"], 20);
    assert_eq!(some["delete-files"], json!([]));
    assert_eq!(counts(&plan(filter("kind", json!("a"))).await.good()), [10]);
    assert_eq!(counts(&plan(filter("id", json!(99))).await.good()), [0; 0]);
    let table = client.get(&path("public/tables/t")).await.good();
    let snapshots = table["metadata"]["snapshots"].as_array().expect("snapshots");
    let oldest = snapshots.iter().min_by_key(|snapshot| snapshot["sequence-number"].as_i64());
    let before = plan(json!({ "snapshot-id": oldest.expect("one")["snapshot-id"] })).await.good();
    assert_eq!(counts(&before), [10]);
    for wrong in [
        json!({ "snapshot-id": 7 }),
        json!({ "select": ["none"] }),
        json!({ "start-snapshot-id": 1, "end-snapshot-id": 2 }),
        filter("none", json!(1)),
        json!({ "filter": { "type": "paint" } }),
        json!([]),
    ] {
        assert_eq!(plan(wrong.clone()).await.error(), (400, "BadRequestException"), "{wrong}");
    }
    sql.batch_execute("CREATE ROLE anna LOGIN PASSWORD 'p'; GRANT INSERT ON t TO anna")
        .await
        .expect("a role");
    let anna = Client::of(&running, "anna", "p").await;
    assert_eq!(anna.post(&path("public/tables/t/plan"), &json!({})).await.status, 403);
}
