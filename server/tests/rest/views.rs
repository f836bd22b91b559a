//! Views of SQL for other engines, and views of other engines for SQL.

use serde_json::{Value, json};

use super::client::{Client, path};
use super::support::start;

fn new_view(name: &str, dialect: &str, sql: &str) -> Value {
    json!({
        "name": name,
        "schema": { "type": "struct", "schema-id": 0, "fields": [
            { "id": 1, "name": "n", "required": false, "type": "long" },
        ] },
        "view-version": {
            "version-id": 1, "timestamp-ms": 1_790_000_000_000_i64, "schema-id": 0, "summary": { "made": "by a test" },
            "representations": [{ "type": "sql", "sql": sql, "dialect": dialect }],
            "default-namespace": ["public"],
        },
        "properties": { "comment": "a number" },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_sql_is_described() {
    let running = start().await;
    let sql = running.connect().await;
    let statements =
        "CREATE TABLE t (id bigint, price numeric(12, 2), tags text[]); CREATE VIEW v AS SELECT * FROM t";
    sql.batch_execute(statements).await.expect("a view");
    let client = Client::superuser(&running).await;
    let views = client.get(&path("public/views")).await.good();
    assert_eq!(views["identifiers"], json!([{ "namespace": ["public"], "name": "v" }]));
    let loaded = client.get(&path("public/views/v")).await.good();
    let metadata = &loaded["metadata"];
    assert_eq!(metadata["versions"][0]["representations"][0]["dialect"], "postgresql");
    assert_eq!(metadata["versions"][0]["default-namespace"], json!(["public"]));
    let types: Vec<&Value> = metadata["schemas"][0]["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| &field["type"])
        .collect();
    let list = json!({ "type": "list", "element-id": 4, "element-required": false, "element": "string" });
    assert_eq!(types, [&json!("long"), &json!("decimal(12, 2)"), &list]);
    assert_eq!(client.head(&path("public/views/v")).await, 204);
    assert_eq!(client.head(&path("public/views/t")).await, 404);
    assert_eq!(client.get(&path("public/tables/v")).await.error(), (404, "NoSuchTableException"));
    assert_eq!(client.get(&path("public/views/none")).await.error(), (404, "NoSuchViewException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_another_engine_is_read_by_sql_if_sql_can() {
    let running = start().await;
    let sql = running.connect().await;
    sql.batch_execute("CREATE TABLE t AS SELECT 7::bigint AS n").await.expect("a table");
    let client = Client::superuser(&running).await;
    let views = path("public/views");
    let made = client.post(&views, &new_view("ours", "PostgreSQL", "SELECT n FROM t;")).await.good();
    assert_eq!(made["metadata"]["versions"][0]["summary"]["made"], "by a test");
    assert_eq!(sql.query_one("SELECT n FROM ours", &[]).await.expect("a row").get::<_, i64>(0), 7);
    client.post(&views, &new_view("theirs", "spark", "SELECT n FROM `t`")).await.good();
    let error = sql.query("SELECT * FROM theirs", &[]).await.expect_err("no text for us");
    assert_eq!(error.code().map(|code| code.code()), Some("0A000"));
    assert_eq!(client.post(&views, &new_view("ours", "tarn", "SELECT 1")).await.status, 409);
    for text in [
        "SELECT n FROM missing",
        "SELECT 1::bigint AS other",
        "DROP TABLE t",
        "SELECT 1::bigint AS n; DROP TABLE t",
        "SELECT 1::bigint AS n) AS x, (SELECT 2",
        "SELECT $1::bigint AS n",
        "",
    ] {
        let refused = client.post(&views, &new_view("wrong", "postgresql", text)).await;
        assert_eq!(refused.status, 400, "{text}");
    }
    assert_eq!(sql.query_one("SELECT n FROM t", &[]).await.expect("it is there").get::<_, i64>(0), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_replaced_renamed_and_dropped() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let made = client
        .post(&path("public/views"), &new_view("v", "postgresql", "SELECT 1::bigint AS n"))
        .await
        .good();
    let uuid = made["metadata"]["view-uuid"].clone();
    let mut version = new_view("v", "postgresql", "SELECT 2::bigint AS n")["view-version"].clone();
    version["version-id"] = json!(2);
    let commit = |uuid: &Value| {
        json!({
            "requirements": [{ "type": "assert-view-uuid", "uuid": uuid }],
            "updates": [
                { "action": "add-view-version", "view-version": version },
                { "action": "set-current-view-version", "view-version-id": -1 },
            ],
        })
    };
    let other = commit(&json!("00000000-0000-4000-8000-000000000000"));
    assert_eq!(client.post(&path("public/views/v"), &other).await.error(), (409, "CommitFailedException"));
    let replaced = client.post(&path("public/views/v"), &commit(&uuid)).await.good();
    assert_eq!(replaced["metadata"]["current-version-id"], 2);
    assert_eq!(replaced["metadata"]["view-uuid"], uuid);
    let sql = running.connect().await;
    assert_eq!(sql.query_one("SELECT n FROM v", &[]).await.expect("a row").get::<_, i64>(0), 2);
    let name = |name: &str| json!({ "namespace": ["public"], "name": name });
    let rename = json!({ "source": name("v"), "destination": name("w") });
    assert_eq!(client.post("/v1/lake/views/rename", &rename).await.status, 204);
    assert_eq!(client.get(&path("public/views/v")).await.status, 404);
    assert_eq!(client.delete(&path("public/views/w")).await.status, 204);
    assert_eq!(client.delete(&path("public/views/w")).await.error(), (404, "NoSuchViewException"));
}
