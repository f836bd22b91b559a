//! A real driver, which speaks the extended protocol and binary formats throughout: what goes in must come out.

mod support;

use futures::TryStreamExt;
use support::start;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::{ToSql, Type};

#[tokio::test(flavor = "multi_thread")]
async fn values_go_in_and_come_out_in_binary() {
    let running = start().await;
    let client = running.connect().await;
    let rows = client
        .query_typed(
            "SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $6 AS f, $7 AS g, $8 AS h",
            &[
                (&true, Type::BOOL),
                (&-2i16, Type::INT2),
                (&3i32, Type::INT4),
                (&4i64, Type::INT8),
                (&1.5f32, Type::FLOAT4),
                (&-2.5f64, Type::FLOAT8),
                (&"Grüße", Type::TEXT),
                (&vec![0u8, 255], Type::BYTEA),
            ],
        )
        .await
        .expect("it runs");
    let row = &rows[0];
    assert!(row.get::<_, bool>("a"));
    assert_eq!(row.get::<_, i16>("b"), -2);
    assert_eq!(row.get::<_, i32>("c"), 3);
    assert_eq!(row.get::<_, i64>("d"), 4);
    assert_eq!(row.get::<_, f32>("e"), 1.5);
    assert_eq!(row.get::<_, f64>("f"), -2.5);
    assert_eq!(row.get::<_, String>("g"), "Grüße");
    assert_eq!(row.get::<_, Vec<u8>>("h"), [0, 255]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_and_arrays() {
    let running = start().await;
    let client = running.connect().await;
    let none: Option<i64> = None;
    let sql = "SELECT $1 AS n, ARRAY['a', 'b'] AS w";
    let rows = client.query_typed(sql, &[(&none, Type::INT8)]).await.expect("it runs");
    let row = &rows[0];
    assert_eq!(row.get::<_, Option<i64>>("n"), None);
    assert_eq!(row.get::<_, Vec<String>>("w"), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_filled_and_read() {
    let running = start().await;
    let client = running.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint NOT NULL, name text)").await.expect("it is made");
    let inserted = client
        .execute("INSERT INTO t VALUES ($1, $2), (2, NULL)", &[&1i64, &"one"])
        .await
        .expect("it is filled");
    assert_eq!(inserted, 2);
    let rows = client
        .query("SELECT id, name FROM t WHERE id >= $1 ORDER BY id", &[&1i64])
        .await
        .expect("it is read");
    let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(i64, Option<String>)>>();
    assert_eq!(rows, [(1, Some("one".to_owned())), (2, None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_at_once() {
    let running = start().await;
    let sessions = (0..20i64).map(|number| {
        let running = &running;
        async move {
            let client = running.connect().await;
            for round in 0..5i64 {
                let parameters: [(&(dyn ToSql + Sync), Type); 2] =
                    [(&number, Type::INT8), (&round, Type::INT8)];
                let rows =
                    client.query_typed("SELECT $1 * 100 + $2 AS v", &parameters).await.expect("it runs");
                assert_eq!(rows[0].get::<_, i64>("v"), number * 100 + round);
            }
        }
    });
    futures::future::join_all(sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_arrives_whole() {
    let running = start().await;
    let client = running.connect().await;
    let rows = client.query("SELECT x FROM generate_series(1, 200000) AS g(x)", &[]).await.expect("it runs");
    assert_eq!(rows.len(), 200_000);
    assert_eq!(rows.iter().map(|row| row.get::<_, i64>(0)).sum::<i64>(), 200_000 * 200_001 / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_copied_in_binary_in_both_directions() {
    let running = start().await;
    let client = running.connect().await;
    client
        .batch_execute("CREATE TABLE t (id bigint, name text, price numeric(8,2))")
        .await
        .expect("it is made");
    let types = [Type::INT8, Type::TEXT];
    let sink = client.copy_in("COPY t (id, name) FROM STDIN BINARY").await.expect("it begins");
    let writer = BinaryCopyInWriter::new(sink, &types);
    let mut writer = std::pin::pin!(writer);
    for id in 0..1_000i64 {
        let name = (id % 2 == 0).then(|| format!("number {id}"));
        writer.as_mut().write(&[&id, &name]).await.expect("it is taken");
    }
    assert_eq!(writer.finish().await.expect("it is committed"), 1_000);
    let stream = client.copy_out("COPY (SELECT id, name FROM t ORDER BY id) TO STDOUT BINARY").await;
    let rows = BinaryCopyOutStream::new(stream.expect("it begins"), &types);
    let rows: Vec<_> = rows.try_collect().await.expect("it is read");
    assert_eq!(rows.len(), 1_000);
    for (id, row) in (0i64..).zip(&rows) {
        assert_eq!(row.get::<i64>(0), id);
        assert_eq!(row.get::<Option<String>>(1), (id % 2 == 0).then(|| format!("number {id}")));
    }
    // A sink that is dropped before its end leaves nothing.
    let sink = client.copy_in::<_, bytes::Bytes>("COPY t (id, name) FROM STDIN").await.expect("it begins");
    drop(sink);
    let count = client.query_one("SELECT count(*) FROM t", &[]).await.expect("the session goes on");
    assert_eq!(count.get::<_, i64>(0), 1_000);
}
