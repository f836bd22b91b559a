//! Commits of other engines: requirements, updates, several tables at once, and what no commit may bring in.

use serde_json::{Value, json};

use super::client::{Client, new_table, path};
use super::support::{Running, start};

fn properties(requirements: Value, name: &str, value: &str) -> Value {
    json!({
        "requirements": requirements,
        "updates": [{ "action": "set-properties", "updates": { name: value } }],
    })
}

async fn table(running: &Running, client: &Client) -> Value {
    let rows = "CREATE TABLE t AS SELECT 1::bigint AS id; INSERT INTO t VALUES (2)";
    running.connect().await.batch_execute(rows).await.expect("a table");
    client.get(&path("public/tables/t")).await.good()["metadata"].clone()
}

/// The snapshots of a table, oldest first.
fn snapshots(metadata: &Value) -> Vec<Value> {
    let mut snapshots = metadata["snapshots"].as_array().expect("snapshots").clone();
    snapshots.sort_by_key(|snapshot| snapshot["sequence-number"].as_i64());
    snapshots
}

#[tokio::test(flavor = "multi_thread")]
async fn requirements_decide_and_updates_are_made() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let metadata = table(&running, &client).await;
    let t = path("public/tables/t");
    let uuid = json!([{ "type": "assert-table-uuid", "uuid": metadata["table-uuid"] }]);
    let done = client.post(&t, &properties(uuid, "a", "b")).await;
    assert!(done.header("etag").is_some());
    assert_eq!(done.good()["metadata"]["properties"]["a"], "b");
    for requirement in [
        json!({ "type": "assert-create" }),
        json!({ "type": "assert-table-uuid", "uuid": "00000000-0000-4000-8000-000000000000" }),
        json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7 }),
        json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null }),
        json!({ "type": "assert-current-schema-id", "current-schema-id": 9 }),
        json!({ "type": "assert-last-assigned-field-id", "last-assigned-field-id": 9 }),
        json!({ "type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 9 }),
        json!({ "type": "assert-default-spec-id", "default-spec-id": 9 }),
        json!({ "type": "assert-default-sort-order-id", "default-sort-order-id": 9 }),
    ] {
        let refused = client.post(&t, &properties(json!([requirement]), "a", "c")).await;
        assert_eq!(refused.error(), (409, "CommitFailedException"), "{requirement}");
    }
    for body in [
        json!({ "requirements": [{ "type": "assert-the-moon" }], "updates": [] }),
        json!({ "requirements": [], "updates": [{ "action": "paint" }] }),
        json!({ "requirements": [] }),
        json!([]),
        json!({ "requirements": [], "updates": [{ "action": "set-current-schema", "schema-id": 77 }] }),
        json!({ "identifier": { "namespace": ["public"], "name": "u" }, "requirements": [], "updates": [] }),
        properties(json!([]), "tarn.constraints", "[]"),
    ] {
        assert_eq!(client.post(&t, &body).await.error(), (400, "BadRequestException"), "{body}");
    }
    assert_eq!(client.send("POST", &t, b"{").await.status, 400);
    let missing = client.post(&path("public/tables/none"), &properties(json!([]), "a", "c")).await;
    assert_eq!(missing.error(), (404, "NoSuchTableException"));
    let now = client.get(&t).await.good();
    assert_eq!(now["metadata"]["properties"]["a"], "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_branches_change_for_sql_too() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let metadata = table(&running, &client).await;
    let first = snapshots(&metadata)[0]["snapshot-id"].clone();
    let schema = json!({ "type": "struct", "schema-id": 1, "fields": [
        { "id": 1, "name": "number", "required": false, "type": "long" },
        { "id": 2, "name": "note", "required": false, "type": "string" },
    ] });
    let body = json!({ "requirements": [], "updates": [
        { "action": "add-schema", "schema": schema, "last-column-id": 2 },
        { "action": "set-current-schema", "schema-id": -1 },
        { "action": "set-snapshot-ref", "ref-name": "old", "type": "tag", "snapshot-id": first },
    ] });
    client.post(&path("public/tables/t"), &body).await.good();
    let sql = running.connect().await;
    let rows = sql.query("SELECT number, note FROM t ORDER BY 1", &[]).await.expect("the new columns");
    assert_eq!(rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [1, 2]);
    let old = sql.query_one("SELECT count(*) FROM t FOR VERSION AS OF 'old'", &[]).await.expect("the tag");
    assert_eq!(old.get::<_, i64>(0), 1);
    let expire =
        json!({ "requirements": [], "updates": [{ "action": "remove-snapshots", "snapshot-ids": [first] }] });
    // It is what a tag points to.
    assert_eq!(client.post(&path("public/tables/t"), &expire).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_table_comes_in() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let metadata = table(&running, &client).await;
    running
        .connect()
        .await
        .batch_execute("CREATE TABLE other AS SELECT 1::bigint AS id")
        .await
        .expect("another");
    let other = client.get(&path("public/tables/other")).await.good()["metadata"].clone();
    let last = snapshots(&metadata)[1].clone();
    let snapshot = |list: &Value| {
        let mut snapshot = last.clone();
        snapshot["snapshot-id"] = json!(77);
        snapshot["parent-snapshot-id"] = last["snapshot-id"].clone();
        snapshot["sequence-number"] = json!(9);
        snapshot["manifest-list"] = list.clone();
        json!({ "requirements": [], "updates": [
            { "action": "add-snapshot", "snapshot": snapshot },
            { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 77 },
        ] })
    };
    let location = metadata["location"].as_str().expect("a location");
    for list in [
        json!("file:///etc/passwd"),
        json!("/etc/passwd"),
        json!(format!("{location}/../x.avro")),
        json!(format!("{location}/%2e%2e/x.avro")),
        json!("s3://somebody/x.avro"),
        other["snapshots"][0]["manifest-list"].clone(),
    ] {
        let refused = client.post(&path("public/tables/t"), &snapshot(&list)).await;
        assert!([400, 403].contains(&refused.status), "{list}: {refused:?}");
    }
    // Nor what is no manifest list, or is not there.
    let metadata_file = client.get(&path("public/tables/t")).await.good()["metadata-location"].clone();
    for list in [metadata_file, json!(format!("{location}/metadata/none.avro"))] {
        assert_eq!(client.post(&path("public/tables/t"), &snapshot(&list)).await.status, 400, "{list}");
    }
    let statistics = json!({ "requirements": [], "updates": [{ "action": "set-statistics", "statistics": {
        "snapshot-id": last["snapshot-id"], "statistics-path": "file:///etc/passwd", "file-size-in-bytes": 1,
        "file-footer-size-in-bytes": 1, "blob-metadata": [],
    } }] });
    assert_eq!(client.post(&path("public/tables/t"), &statistics).await.status, 403);
    let moved =
        json!({ "requirements": [], "updates": [{ "action": "set-location", "location": "file:///tmp/x" }] });
    assert_eq!(client.post(&path("public/tables/t"), &moved).await.status, 400);
    let count = running.connect().await.query_one("SELECT count(*) FROM t", &[]).await.expect("rows");
    assert_eq!(count.get::<_, i64>(0), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tables_change_together_or_not_at_all() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    for name in ["a", "b"] {
        client.post(&path("public/tables"), &new_table(name)).await.good();
    }
    let change = |name: &str, requirements: Value, value: &str| {
        let mut change = properties(requirements, "x", value);
        change["identifier"] = json!({ "namespace": ["public"], "name": name });
        change
    };
    let commit = async |changes: Value| {
        client.post("/v1/lake/transactions/commit", &json!({ "table-changes": changes })).await
    };
    let value = async |name: &str| {
        let table = client.get(&path(&format!("public/tables/{name}"))).await.good();
        table["metadata"]["properties"]["x"].as_str().map(str::to_owned)
    };
    let done = commit(json!([change("a", json!([]), "1"), change("b", json!([]), "1")])).await;
    assert_eq!(done.status, 204, "{done:?}");
    assert_eq!((value("a").await, value("b").await), (Some("1".into()), Some("1".into())));
    let wrong = json!([{ "type": "assert-current-schema-id", "current-schema-id": 9 }]);
    let refused = commit(json!([change("a", json!([]), "2"), change("b", wrong, "2")])).await;
    assert_eq!(refused.error(), (409, "CommitFailedException"));
    assert_eq!(commit(json!([change("a", json!([]), "2"), change("c", json!([]), "2")])).await.status, 404);
    assert_eq!(commit(json!([change("a", json!([]), "2"), change("a", json!([]), "3")])).await.status, 400);
    assert_eq!(commit(json!([properties(json!([]), "x", "2")])).await.status, 400);
    assert_eq!((value("a").await, value("b").await), (Some("1".into()), Some("1".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_table_is_made_by_its_commit() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let mut wanted = new_table("staged");
    wanted["stage-create"] = json!(true);
    let staged = client.post(&path("public/tables"), &wanted).await.good();
    assert!(staged.get("metadata-location").is_none());
    assert_eq!(client.head(&path("public/tables/staged")).await, 404);
    let metadata = &staged["metadata"];
    let updates = |location: &Value| {
        json!([
            { "action": "assign-uuid", "uuid": metadata["table-uuid"] },
            { "action": "upgrade-format-version", "format-version": 2 },
            { "action": "add-schema", "schema": metadata["schemas"][0], "last-column-id": 2 },
            { "action": "set-current-schema", "schema-id": -1 },
            { "action": "add-spec", "spec": { "spec-id": 0, "fields": [] } },
            { "action": "set-default-spec", "spec-id": -1 },
            { "action": "add-sort-order", "sort-order": { "order-id": 0, "fields": [] } },
            { "action": "set-default-sort-order", "sort-order-id": -1 },
            { "action": "set-location", "location": location },
            { "action": "set-properties", "updates": { "a": "b" } },
        ])
    };
    let commit =
        |updates: Value| json!({ "requirements": [{ "type": "assert-create" }], "updates": updates });
    let t = path("public/tables/staged");
    let warehouse = json!(format!("file://{}/data/warehouse/public", running.folder.path().display()));
    assert_eq!(client.post(&t, &commit(updates(&warehouse))).await.status, 403);
    assert_eq!(client.post(&t, &commit(json!([]))).await.error(), (400, "BadRequestException"));
    let made = client.post(&t, &commit(updates(&metadata["location"]))).await.good();
    assert_eq!(made["metadata"]["table-uuid"], metadata["table-uuid"]);
    assert_eq!(made["metadata"]["properties"]["a"], "b");
    let again = client.post(&t, &commit(updates(&metadata["location"]))).await;
    assert_eq!(again.error(), (409, "CommitFailedException"));
    let elsewhere = client.post(&path("public/tables/other"), &commit(updates(&metadata["location"]))).await;
    assert!([403, 409].contains(&elsewhere.status), "{elsewhere:?}");
    let sql = running.connect().await;
    sql.batch_execute("INSERT INTO staged VALUES (1, 'a')").await.expect("a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_commits_none_is_lost() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    client.post(&path("public/tables"), &new_table("t")).await.good();
    let writers = (0..8).map(|writer| {
        let client = client.clone();
        tokio::spawn(async move {
            for round in 0..5 {
                let name = format!("w{writer}.{round}");
                let body = properties(json!([]), &name, "done");
                client.post(&path("public/tables/t"), &body).await.good();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("all rounds");
    }
    let table = client.get(&path("public/tables/t")).await.good();
    let properties = table["metadata"]["properties"].as_object().expect("properties").clone();
    assert_eq!(properties.keys().filter(|name| name.starts_with('w') && name.contains('.')).count(), 41);
    assert_eq!(table["metadata"]["metadata-log"].as_array().map(Vec::len), Some(40));
}
