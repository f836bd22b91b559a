//! Namespaces: made, listed in pages, given properties, dropped; and names that none may have.

use serde_json::{Value, json};

use super::client::{Client, new_table, path};
use super::support::start;

const ALL: &str = "/v1/lake/namespaces";

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_schemas() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let made = json!({ "namespace": ["shop"], "properties": { "comment": "what is sold", "team": "a" } });
    let answer = client.post(ALL, &made).await.good();
    assert_eq!(answer["properties"]["team"], "a");
    assert_eq!(client.post(ALL, &made).await.error(), (409, "AlreadyExistsException"));
    let sql = running.connect().await;
    let comment = sql.query_one("SELECT obj_description('shop'::regnamespace)", &[]).await.expect("a row");
    assert_eq!(comment.get::<_, Option<String>>(0).as_deref(), Some("what is sold"));
    let loaded = client.get(&path("shop")).await.good();
    let properties = json!({ "team": "a", "comment": "what is sold", "owner": "tarn" });
    assert_eq!(loaded, json!({ "namespace": ["shop"], "properties": properties }));
    assert_eq!(client.head(&path("shop")).await, 204);

    let change = json!({ "removals": ["team", "missing"], "updates": { "comment": "sold", "x": "y" } });
    let changed = client.post(&path("shop/properties"), &change).await.good();
    assert_eq!(changed, json!({ "updated": ["comment", "x"], "removed": ["team"], "missing": ["missing"] }));
    let both = json!({ "removals": ["x"], "updates": { "x": "z" } });
    let refused = client.post(&path("shop/properties"), &both).await;
    assert_eq!(refused.error(), (422, "UnprocessableEntityException"));

    client.post(&path("shop/tables"), &new_table("orders")).await.good();
    assert_eq!(client.delete(&path("shop")).await.error(), (409, "NamespaceNotEmptyException"));
    assert_eq!(client.delete(&path("shop/tables/orders")).await.status, 204);
    assert_eq!(client.delete(&path("shop")).await.status, 204);
    assert_eq!(client.get(&path("shop")).await.error(), (404, "NoSuchNamespaceException"));
    assert_eq!(client.head(&path("shop")).await, 404);
    assert_eq!(client.delete(&path("shop")).await.error(), (404, "NoSuchNamespaceException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_below_a_namespace() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    let nested = client.post(ALL, &json!({ "namespace": ["public", "below"] })).await;
    assert_eq!(nested.error(), (400, "BadRequestException"));
    assert!(nested.body["error"]["message"].as_str().is_some_and(|text| text.contains("one level")));
    let below = client.get(&format!("{ALL}?parent=public")).await.good();
    assert_eq!(below["namespaces"], json!([]));
    assert_eq!(client.get(&format!("{ALL}?parent=none")).await.status, 404);
    let missing = client.get(&path("public%1Fbelow")).await;
    assert_eq!(missing.error(), (404, "NoSuchNamespaceException"));
    assert_eq!(client.post(&path("public%1Fbelow/tables"), &new_table("t")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    for name in ["a", "b", "c", "d", "e"] {
        client.post(&path("public/tables"), &new_table(name)).await.good();
    }
    running.connect().await.batch_execute("CREATE VIEW bb AS SELECT 1 AS n").await.expect("a view");
    let tables = path("public/tables");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{tables}?pageToken={token}&pageSize=2")).await.good();
        let names = page["identifiers"].as_array().expect("a list").clone();
        assert!((1..=2).contains(&names.len()));
        seen.extend(names.iter().map(|name| name["name"].as_str().expect("a name").to_owned()));
        match &page["next-page-token"] {
            Value::String(next) => token.clone_from(next),
            _ => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    let all = client.get(&format!("{tables}?pageSize=2")).await.good();
    assert_eq!(all["identifiers"].as_array().map(Vec::len), Some(5));
    assert_eq!(all["next-page-token"], Value::Null);
    for wrong in
        ["pageToken=%00&pageSize=2", "pageToken=&pageSize=0", "pageSize=x", "pageToken=a&pageToken=b"]
    {
        assert_eq!(client.get(&format!("{tables}?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_lead_nowhere() {
    let running = start().await;
    let client = Client::superuser(&running).await;
    for name in ["", "..", ".", "a/b", "a\nb", "a\0b", "\u{202e}x", "pg_temp_1", "pg_x", "system"] {
        let made = client.post(ALL, &json!({ "namespace": [name] })).await;
        assert_eq!(made.error(), (400, "BadRequestException"), "{name:?}");
    }
    for name in ["", "..", "a/b", "a\nb", "a\u{1f}b", &"x".repeat(300)] {
        let made = client.post(&path("public/tables"), &new_table(name)).await;
        assert_eq!(made.error(), (400, "BadRequestException"), "{name:?}");
    }
    // These are names like others, and their folders are not made of them.
    for name in ["a*b", "say \"x\"", "it's", "%2f", "a.b", "größe"] {
        let made = client.post(&path("public/tables"), &new_table(name)).await.good();
        let location = made["metadata"]["location"].as_str().expect("a location").to_owned();
        let folder = location.rsplit('/').next().expect("a folder");
        assert!(folder.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{folder}");
    }
    for name in ["..%2F..%2Fetc", "%2e%2e", "a%00b", "%ff", "%zz", "%252e%252e"] {
        let status = client.get(&path(&format!("public/tables/{name}"))).await.status;
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
    for location in ["file:///etc/../tmp/x", "s3://bucket/a*b", "file:///x%2fy", "ftp://x/y", "\n"] {
        let mut table = new_table("elsewhere");
        table["location"] = json!(location);
        let status = client.post(&path("public/tables"), &table).await.status;
        assert!([400, 403].contains(&status), "{location}: {status}");
    }
    let mut inside = new_table("inside");
    inside["location"] = json!(format!("{}/data/warehouse/x", running.folder.path().display()));
    assert_eq!(client.post(&path("public/tables"), &inside).await.status, 403);
}
