//! The Flight SQL door through the client that the Rust library brings: login, queries, parameters, ingest, transactions,
//! and what a session is.

mod support;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetTables, CommandStatementIngest, EndTransaction, TableDefinitionOptions, TableExistsOption,
    TableNotExistOption,
};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use support::{Running, start};

type Client = FlightSqlServiceClient<Channel>;

async fn dial(running: &Running) -> Client {
    let address = running.server.addresses().flight;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    FlightSqlServiceClient::new(endpoint.connect().await.expect("the server listens"))
}

async fn connect(running: &Running) -> Client {
    let mut client = dial(running).await;
    client.handshake("tarn", "").await.expect("a role without a password is let in from here");
    client
}

async fn fetch(client: &mut Client, info: FlightInfo) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.expect("every endpoint has a ticket");
        let rows = client.do_get(ticket).await.expect("rows");
        batches.extend(rows.try_collect::<Vec<_>>().await.expect("all rows"));
    }
    batches
}

/// The numbers in the first column of a query.
async fn numbers(client: &mut Client, query: &str) -> Vec<i64> {
    let info = client.execute(query.to_owned(), None).await.expect(query);
    let batches = fetch(client, info).await;
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

async fn update(client: &mut Client, statement: &str) -> i64 {
    client.execute_update(statement.to_owned(), None).await.expect(statement)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_described_and_then_run() {
    let running = start().await;
    let mut client = connect(&running).await;
    assert_eq!(update(&mut client, "CREATE TABLE t AS SELECT 1::bigint AS a, 'x' AS b").await, 1);
    let info = client.execute("SELECT b, a FROM t".to_owned(), None).await.expect("a query");
    let schema = info.clone().try_decode_schema().expect("a schema");
    let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Int64]);
    let batches = fetch(&mut client, info).await;
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "x");
    let listed = client.get_tables(CommandGetTables {
        table_name_filter_pattern: Some("t".to_owned()),
        include_schema: true,
        ..CommandGetTables::default()
    });
    let listed = listed.await.expect("a listing");
    assert_eq!(fetch(&mut client, listed).await.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_nothing_is_told() {
    let running = start().await;
    let mut client = dial(&running).await;
    let error = client.execute("SELECT 1".to_owned(), None).await.expect_err("nobody is here");
    assert!(error.to_string().contains("28000"), "{error}");
    client.set_token("made-up".to_owned());
    let error = client.get_catalogs().await.expect_err("it is no token");
    assert!(error.to_string().contains("28000"), "{error}");
    // A client that has a token sends it with its handshake.
    let mut client = dial(&running).await;
    let error = client.handshake("nobody", "x").await.expect_err("there is no such role");
    assert!(error.to_string().contains("28P01"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_bound_and_many_are_one_commit() {
    let running = start().await;
    let mut client = connect(&running).await;
    update(&mut client, "CREATE TABLE t (a bigint, b text)").await;
    let mut insert =
        client.prepare("INSERT INTO t VALUES ($1, $2)".to_owned(), None).await.expect("prepared");
    assert_eq!(insert.parameter_schema().expect("a schema").field(0).data_type(), &DataType::Int64);
    let columns: [(&str, ArrayRef); 2] = [
        ("a", Arc::new(Int64Array::from_iter_values(1..=1000))),
        ("b", Arc::new(StringArray::from_iter_values((1..=1000).map(|n| format!("n{n}"))))),
    ];
    insert.set_parameters(RecordBatch::try_from_iter(columns).expect("two columns")).expect("they fit");
    assert_eq!(insert.execute_update().await.expect("a count"), 1000);
    assert_eq!(numbers(&mut client, "SELECT count(*) FROM \"t$snapshots\"").await, [1]);
    let mut select = client.prepare("SELECT a FROM t WHERE b = $1".to_owned(), None).await.expect("prepared");
    let value: ArrayRef = Arc::new(StringArray::from(vec!["n7"]));
    select.set_parameters(RecordBatch::try_from_iter([("b", value)]).expect("a column")).expect("it fits");
    let info = select.execute().await.expect("planned");
    let batches = fetch(&mut client, info).await;
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().values(), &[7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_ingested_in_a_transaction_or_not_at_all() {
    let running = start().await;
    let mut client = connect(&running).await;
    let batch = |from: i64| {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + 100));
        RecordBatch::try_from_iter([("a", column)]).expect("a column")
    };
    for (end, expect) in [(EndTransaction::Rollback, None), (EndTransaction::Commit, Some(300))] {
        let transaction = client.begin_transaction().await.expect("begun");
        let command = CommandStatementIngest {
            table: "t".to_owned(),
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist: TableNotExistOption::Create.into(),
                if_exists: TableExistsOption::Fail.into(),
            }),
            transaction_id: Some(transaction.clone()),
            ..CommandStatementIngest::default()
        };
        let rows = futures::stream::iter([Ok(batch(0)), Ok(batch(100)), Ok(batch(200))]);
        assert_eq!(client.execute_ingest(command, rows).await.expect("a count"), 300);
        client.end_transaction(transaction, end).await.expect("ended");
        let count = client.execute("SELECT count(*) FROM t".to_owned(), None).await;
        assert_eq!(count.is_ok(), expect.is_some());
        if let Some(expect) = expect {
            assert_eq!(numbers(&mut client, "SELECT count(*) FROM t").await, [expect]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_has_is_its_own() {
    let running = start().await;
    let (mut one, mut other) = (connect(&running).await, connect(&running).await);
    update(&mut one, "SET search_path TO pg_catalog").await;
    update(&mut one, "CREATE TEMPORARY TABLE passing (a bigint)").await;
    assert_eq!(numbers(&mut one, "SELECT count(*) FROM passing").await, [0]);
    assert!(other.execute("SELECT * FROM passing".to_owned(), None).await.is_err());
    let info = one.execute("SELECT 1".to_owned(), None).await.expect("a query");
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let error = other.do_get(ticket.clone()).await.map(drop).expect_err("it is another's");
    assert!(error.to_string().contains("42501"), "{error}");
    assert!(one.do_get(ticket).await.is_ok());
    let transaction = one.begin_transaction().await.expect("begun");
    let stolen = other.execute("SELECT 1".to_owned(), Some(transaction)).await.expect_err("it is another's");
    assert!(stolen.to_string().contains("42501"), "{stolen}");
}
