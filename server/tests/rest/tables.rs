//! Tables as objects: made, loaded, renamed, dropped; what a role may see of them; and requests that are sent twice.

use serde_json::{Value, json};

use super::client::{Client, new_table, path};
use super::support::{Running, load, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_one_table_for_both_doors() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let mut wanted = new_table("orders");
    wanted["properties"] = json!({ "format-version": "3", "owner-team": "a" });
    wanted["partition-spec"] = json!({ "spec-id": 0, "fields": [
        { "source-id": 1, "field-id": 1000, "transform": "bucket[4]", "name": "id_bucket" },
    ] });
    let made = client.post(&path("public/tables"), &wanted).await.good();
    assert_eq!(made["metadata"]["format-version"], 3);
    assert_eq!(made["metadata"]["properties"]["owner-team"], "a");
    assert_eq!(made["metadata"]["partition-specs"][0]["fields"][0]["transform"], "bucket[4]");
    assert_eq!(client.post(&path("public/tables"), &wanted).await.error(), (409, "AlreadyExistsException"));

    let sql = running.connect().await;
    sql.batch_execute("INSERT INTO orders VALUES (1, 'a'), (2, 'b')").await.expect("rows");
    let loaded = client.get(&path("public/tables/orders")).await.good();
    assert_ne!(loaded["metadata-location"], made["metadata-location"]);
    assert_eq!(loaded["metadata"]["snapshots"].as_array().map(Vec::len), Some(1));
    let file =
        loaded["metadata-location"].as_str().and_then(|url| url.strip_prefix("file://")).expect("a file");
    let written: Value = serde_json::from_slice(&std::fs::read(file).expect("the file")).expect("JSON");
    assert_eq!(loaded["metadata"], written);
    assert_eq!(client.head(&path("public/tables/orders")).await, 204);
    assert_eq!(client.head(&path("public/tables/none")).await, 404);
    let report = json!({ "report-type": "scan-report", "table-name": "orders" });
    assert_eq!(client.post(&path("public/tables/orders/metrics"), &report).await.status, 204);
    assert_eq!(client.post(&path("public/tables/orders/metrics"), &json!({})).await.status, 400);
    let metrics = running.get("/metrics").await;
    assert!(
        metrics.contains("tarn_rest_requests_total{operation=\"reportMetrics\",status=\"204\"} 1"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_a_version_is_told_so() {
    let running = start().await;
    let sql = running.connect().await;
    let rows = "CREATE TABLE t AS SELECT 1 AS n; INSERT INTO t VALUES (2); INSERT INTO t VALUES (3)";
    sql.batch_execute(rows).await.expect("a table");
    let client = Client::superuser(&running).await;
    let table = path("public/tables/t");
    let first = client.get(&table).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    let known = client.with("If-None-Match", &format!("\"other\", W/{tag}"));
    let same = known.get(&table).await;
    assert_eq!((same.status, same.body.as_str()), (304, Some("")));
    let refs = client.get(&format!("{table}?snapshots=refs")).await;
    assert_ne!(refs.header("etag"), Some(tag.as_str()));
    assert_eq!(refs.body["metadata"]["snapshots"].as_array().map(Vec::len), Some(1));
    assert_eq!(first.body["metadata"]["snapshots"].as_array().map(Vec::len), Some(3));
    assert_eq!(client.get(&format!("{table}?snapshots=some")).await.status, 400);
    sql.batch_execute("INSERT INTO t VALUES (4)").await.expect("a row");
    assert_eq!(known.get(&table).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_change_and_tables_go() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let sql = running.connect().await;
    sql.batch_execute("CREATE SCHEMA other; CREATE TABLE t AS SELECT 1 AS n; CREATE TABLE u (n int)")
        .await
        .expect("t");
    let name = |namespace: &str, name: &str| json!({ "namespace": [namespace], "name": name });
    let rename = async |source: Value, destination: Value| {
        let body = json!({ "source": source, "destination": destination });
        client.post("/v1/lake/tables/rename", &body).await
    };
    assert_eq!(
        rename(name("public", "t"), name("public", "u")).await.error(),
        (409, "AlreadyExistsException")
    );
    let nowhere = rename(name("public", "t"), name("none", "t")).await;
    assert_eq!(nowhere.error(), (404, "NoSuchNamespaceException"));
    assert_eq!(rename(name("public", "x"), name("public", "y")).await.error(), (404, "NoSuchTableException"));
    assert_eq!(rename(name("public", "t"), name("other", "moved")).await.status, 204);
    assert_eq!(sql.query_one("SELECT n FROM other.moved", &[]).await.expect("a row").get::<_, i32>(0), 1);

    let location = |table: &Value| {
        let url = table["metadata"]["location"].as_str().expect("a location").to_owned();
        std::path::PathBuf::from(url.strip_prefix("file://").expect("a local one"))
    };
    let files = |folder: &std::path::Path| {
        let folders = ["data", "metadata"].map(|name| folder.join(name));
        folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten()).count()
    };
    let kept = location(&client.get(&path("other/tables/moved")).await.good());
    let unregistered = client.post(&path("other/tables/moved/unregister"), &json!({})).await.good();
    let file = unregistered["metadata-location"].clone();
    assert_eq!(client.get(&path("other/tables/moved")).await.status, 404);
    assert!(files(&kept) > 2);
    let register = json!({ "name": "again", "metadata-location": file });
    client.post(&path("other/register"), &register).await.good();
    assert_eq!(
        client.post(&path("other/register"), &register).await.error(),
        (409, "AlreadyExistsException")
    );
    let twice = json!({ "name": "twice", "metadata-location": file });
    assert_eq!(client.post(&path("other/register"), &twice).await.status, 409);
    assert_eq!(sql.query_one("SELECT n FROM other.again", &[]).await.expect("a row").get::<_, i32>(0), 1);
    let outside = json!({ "name": "outside", "metadata-location": "/etc/passwd" });
    assert!([400, 403, 404].contains(&client.post(&path("other/register"), &outside).await.status));

    assert_eq!(client.delete(&path("other/tables/again?purgeRequested=true")).await.status, 204);
    for _ in 0..100 {
        if files(&kept) == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(files(&kept), 0);
    assert_eq!(client.delete(&path("other/tables/again")).await.error(), (404, "NoSuchTableException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_see_does_not_exist() {
    let running = start().await;
    let sql = running.connect().await;
    let statements = "CREATE ROLE anna LOGIN PASSWORD 'p'; CREATE SCHEMA shop; CREATE SCHEMA hidden; \
        CREATE TABLE shop.orders AS SELECT 1 AS n; CREATE TABLE shop.secret AS SELECT 1 AS n; \
        CREATE TABLE hidden.t AS SELECT 1 AS n; GRANT USAGE ON SCHEMA shop TO anna; \
        GRANT SELECT ON shop.orders TO anna; GRANT SELECT ON hidden.t TO anna";
    sql.batch_execute(statements).await.expect("grants");
    let anna = Client::of(&running, "anna", "p").await;
    let all = anna.get("/v1/lake/namespaces").await.good();
    assert_eq!(all["namespaces"], json!([["public"], ["shop"]]));
    let tables = anna.get(&path("shop/tables")).await.good();
    assert_eq!(tables["identifiers"], json!([{ "namespace": ["shop"], "name": "orders" }]));
    assert_eq!(anna.get(&path("shop/tables/secret")).await.error(), (404, "NoSuchTableException"));
    assert_eq!(anna.get(&path("hidden")).await.error(), (404, "NoSuchNamespaceException"));
    assert_eq!(anna.get(&path("hidden/tables/t")).await.error(), (404, "NoSuchTableException"));
    let loaded = anna.get(&path("shop/tables/orders")).await.good();

    let forbidden = (403, "NotAuthorizedException");
    assert_eq!(anna.delete(&path("shop/tables/orders")).await.error(), forbidden);
    assert_eq!(anna.post(&path("shop/tables"), &new_table("mine")).await.error(), forbidden);
    assert_eq!(anna.post("/v1/lake/namespaces", &json!({ "namespace": ["mine"] })).await.error(), forbidden);
    assert_eq!(anna.delete(&path("shop")).await.error(), forbidden);
    let change =
        json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    assert_eq!(anna.post(&path("shop/tables/orders"), &change).await.error(), forbidden);
    assert_eq!(anna.post(&path("shop/tables/secret"), &change).await.error(), (404, "NoSuchTableException"));
    let register = json!({ "name": "mine", "metadata-location": loaded["metadata-location"] });
    sql.batch_execute("GRANT CREATE ON SCHEMA shop TO anna").await.expect("a grant");
    assert_eq!(anna.post(&path("shop/register"), &register).await.error(), forbidden);
    let mut elsewhere = new_table("elsewhere");
    elsewhere["location"] = json!("file:///tmp/elsewhere");
    assert_eq!(anna.post(&path("shop/tables"), &elsewhere).await.error(), forbidden);
    anna.post(&path("shop/tables"), &new_table("mine")).await.good();
    assert_eq!(anna.post(&path("shop/tables/mine"), &change).await.status, 200);

    sql.batch_execute("REVOKE SELECT ON shop.orders FROM anna; GRANT INSERT ON shop.orders TO anna")
        .await
        .expect("r");
    assert_eq!(anna.head(&path("shop/tables/orders")).await, 204);
    assert_eq!(anna.get(&path("shop/tables/orders")).await.error(), forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_happens_once() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let key = |last: u8| format!("017f22e2-79b0-7cc3-98c4-dc0c0c0739{last:02x}");
    let keyed = |last| client.with("Idempotency-Key", &key(last));
    let tables = path("public/tables");
    let first = keyed(1).post(&tables, &new_table("t")).await.good();
    let second = keyed(1).post(&tables, &new_table("t")).await.good();
    assert_eq!(first["metadata"]["table-uuid"], second["metadata"]["table-uuid"]);
    assert_eq!(keyed(1).post(&tables, &new_table("u")).await.error(), (400, "BadRequestException"));
    let again = keyed(2).post(&tables, &new_table("t")).await;
    assert_eq!(again.error(), (409, "AlreadyExistsException"));
    assert_eq!(client.delete(&path("public/tables/t")).await.status, 204);
    // A failure that was told is told again, though it would be none now.
    assert_eq!(keyed(2).post(&tables, &new_table("t")).await.error(), (409, "AlreadyExistsException"));

    client.post(&tables, &new_table("t")).await.good();
    let append =
        json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "1" } }] });
    let answers = futures::future::join_all((0..8).map(|_| {
        let (client, append) = (keyed(3), append.clone());
        async move { client.post(&path("public/tables/t"), &append).await.status }
    }));
    assert_eq!(answers.await, [200; 8]);
    let log = client.get(&path("public/tables/t")).await.good();
    assert_eq!(log["metadata"]["metadata-log"].as_array().map(Vec::len), Some(1));
    let drop = keyed(4);
    assert_eq!(drop.delete(&path("public/tables/t")).await.status, 204);
    assert_eq!(drop.delete(&path("public/tables/t")).await.status, 204);
    let wrong = client.with("Idempotency-Key", "1").post(&tables, &new_table("v")).await;
    assert_eq!(wrong.error(), (400, "BadRequestException"));
    let anna = running.connect().await;
    anna.batch_execute("CREATE ROLE anna LOGIN PASSWORD 'p' CREATESCHEMA").await.expect("a role");
    let anna = Client::of(&running, "anna", "p").await.with("Idempotency-Key", &key(1));
    assert_eq!(anna.post(&tables, &new_table("t")).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_answers_outlive_a_restart() {
    let running = start().await;
    let key = "017f22e2-79b0-7cc3-98c4-dc0c0c073999";
    let client = Client::superuser(&running).await.with("Idempotency-Key", key);
    let first = client.post(&path("public/tables"), &new_table("t")).await.good();
    let Running { server, folder } = running;
    server.stop().await;
    let server = tarn_server::Server::start(load(folder.path(), "")).await.expect("it starts again");
    let running = Running { server, folder };
    let client = client.at(&running);
    let again = client.post(&path("public/tables"), &new_table("t")).await.good();
    assert_eq!(again["metadata"]["table-uuid"], first["metadata"]["table-uuid"]);
    assert_eq!(client.post(&path("public/tables"), &new_table("u")).await.status, 400);
    running.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_registered_over_another_of_its_own() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let sql = running.connect().await;
    let rows = "CREATE TABLE t AS SELECT 1 AS n; CREATE TABLE other AS SELECT 1 AS n";
    sql.batch_execute(rows).await.expect("tables");
    let before = client.get(&path("public/tables/t")).await.good();
    sql.batch_execute("INSERT INTO t VALUES (2)").await.expect("a row");
    let register = |name: &str, overwrite: bool| json!({ "name": name, "metadata-location": before["metadata-location"], "overwrite": overwrite });
    let count =
        async || sql.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get::<_, i64>(0);
    assert_eq!(client.post(&path("public/register"), &register("t", false)).await.status, 409);
    assert_eq!(client.post(&path("public/register"), &register("other", true)).await.status, 409);
    assert_eq!(count().await, 2);
    let back = client.post(&path("public/register"), &register("t", true)).await.good();
    assert_eq!(back["metadata-location"], before["metadata-location"]);
    assert_eq!(count().await, 1);
    sql.batch_execute("INSERT INTO t VALUES (3)").await.expect("it goes on from there");
    assert_eq!(count().await, 2);
}
