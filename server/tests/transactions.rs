//! Transactions over the wire: pipelines up to Sync stand or fall together, clients that go away leave nothing, and money
//! that moves between tables is never seen halfway.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Running, Wire, bind, execute, parse, start, sync};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A statement of a pipeline: parsed, bound and executed.
fn run(sql: &str) -> Vec<u8> {
    [parse("", sql, &[]), bind("", "", &[], 0), execute("", 0)].concat()
}

/// Sends statements and one Sync; gives the messages that are neither ParseComplete nor BindComplete.
async fn pipeline(wire: &mut Wire, statements: &[&str]) -> Vec<String> {
    let mut bytes: Vec<u8> = statements.iter().flat_map(|sql| run(sql)).collect();
    bytes.extend(sync());
    wire.send(&bytes).await;
    let messages = wire.until_ready().await;
    messages.into_iter().filter(|message| message != "1" && message != "2").collect()
}

async fn simple(wire: &mut Wire, sql: &str) -> Vec<String> {
    wire.query(sql).await;
    wire.until_ready().await
}

async fn count(wire: &mut Wire, table: &str) -> String {
    let messages = pipeline(wire, &[&format!("SELECT count(*) FROM {table}")]).await;
    messages[0].clone()
}

/// The files of the warehouse.
fn files(running: &Running) -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { collect(&entry.path(), files) } else { files.push(entry.path()) }
        }
    }
    let mut files = Vec::new();
    collect(&running.folder.path().join("data/warehouse"), &mut files);
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_stands_or_falls_together() {
    let running = start().await;
    let mut wire = running.session().await;
    let made = pipeline(
        &mut wire,
        &["CREATE TABLE t (id bigint)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2), (3)"],
    );
    assert_eq!(made.await, ["C CREATE TABLE", "C INSERT 0 1", "C INSERT 0 2", "Z I"]);
    assert_eq!(count(&mut wire, "t").await, "D 3");
    let before = files(&running);
    let failed = pipeline(
        &mut wire,
        &["INSERT INTO t VALUES (4)", "SELECT count(*) FROM t", "SELECT 1 / 0", "INSERT INTO t VALUES (5)"],
    );
    assert_eq!(failed.await, ["C INSERT 0 1", "D 4", "C SELECT 1", "E 22012", "Z I"]);
    assert_eq!(count(&mut wire, "t").await, "D 3");
    assert_eq!(files(&running), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_may_begin_and_end_transactions() {
    let running = start().await;
    let mut wire = running.session().await;
    simple(&mut wire, "CREATE TABLE t (id bigint)").await;
    // What came before BEGIN belongs to the transaction.
    let begun = pipeline(&mut wire, &["INSERT INTO t VALUES (1)", "BEGIN", "INSERT INTO t VALUES (2)"]).await;
    assert_eq!(begun, ["C INSERT 0 1", "C BEGIN", "C INSERT 0 1", "Z T"]);
    assert_eq!(pipeline(&mut wire, &["ROLLBACK"]).await, ["C ROLLBACK", "Z I"]);
    assert_eq!(count(&mut wire, "t").await, "D 0");
    // COMMIT ends what came before it, and what comes after is on its own.
    let ended = pipeline(&mut wire, &["INSERT INTO t VALUES (1)", "COMMIT", "SELECT 1 / 0"]).await;
    assert_eq!(ended, ["C INSERT 0 1", "N 25P01", "C COMMIT", "E 22012", "Z I"]);
    assert_eq!(count(&mut wire, "t").await, "D 1");
    // What commits by itself may come first, and not later.
    let crawl = "CALL system.crawl(location => '/nowhere', schema => 's')";
    assert_eq!(pipeline(&mut wire, &[crawl, "SELECT 1"]).await, ["E 58P01", "Z I"]);
    assert_eq!(pipeline(&mut wire, &["SELECT 1", crawl]).await, ["D 1", "C SELECT 1", "E 25001", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing() {
    let running = start().await;
    let mut wire = running.session().await;
    simple(&mut wire, "CREATE TABLE t AS SELECT 1 AS id").await;
    let before = files(&running);
    simple(&mut wire, "BEGIN; INSERT INTO t VALUES (2); CREATE TABLE u AS SELECT * FROM t").await;
    assert!(files(&running).len() > before.len());
    drop(wire);
    for _ in 0..600 {
        if files(&running) == before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(files(&running), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_left_alone_ends_with_its_session() {
    let running = start().await;
    let mut wire = running.session().await;
    simple(&mut wire, "SET idle_in_transaction_session_timeout = '300ms'").await;
    simple(&mut wire, "CREATE TABLE t AS SELECT 1 AS id").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(
        simple(&mut wire, "BEGIN; INSERT INTO t VALUES (2)").await.last().map(String::as_str),
        Some("Z T")
    );
    assert_eq!(wire.until_ready().await, ["E 25P03", "gone"]);
    let mut other = running.session().await;
    assert_eq!(count(&mut other, "t").await, "D 1");
}

const ACCOUNTS: i64 = 4;
const TRANSFERS: i64 = 12;
const CLERKS: i64 = 3;

/// Moves money between two ledgers, sometimes taking a part back, sometimes giving up.
async fn clerk(client: Client, number: i64) {
    for turn in 0..TRANSFERS {
        let account = (number + turn) % ACCOUNTS;
        let (take, give) = (
            format!("INSERT INTO cash VALUES ({account}, -7)"),
            format!("INSERT INTO bank VALUES ({account}, 7)"),
        );
        let text = match turn % 4 {
            0 => format!("BEGIN; {take}; {give}; COMMIT"),
            1 => format!("{take}; SELECT count(*) FROM bank; {give}"),
            2 => format!("BEGIN; {give}; SAVEPOINT a; {give}; ROLLBACK TO a; {take}; COMMIT"),
            _ => format!("BEGIN; {take}; ROLLBACK"),
        };
        client.batch_execute(&text).await.expect("appends never conflict");
    }
}

fn values(messages: &[SimpleQueryMessage]) -> Vec<i64> {
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).and_then(|text| text.parse().ok()),
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_that_moves_between_tables_is_never_seen_halfway() {
    let running = start().await;
    let teller = running.connect().await;
    teller
        .batch_execute(
            "CREATE TABLE cash (account bigint, amount bigint); \
             CREATE TABLE bank (account bigint, amount bigint); \
             INSERT INTO cash VALUES (0, 1000); INSERT INTO bank VALUES (0, 1000)",
        )
        .await
        .expect("the tables are made");
    let mut clerks = Vec::new();
    for number in 0..CLERKS {
        clerks.push(tokio::spawn(clerk(running.connect().await, number)));
    }
    let done = Arc::new(AtomicBool::new(false));
    let auditor = tokio::spawn({
        let (client, done) = (running.connect().await, Arc::clone(&done));
        async move {
            let mut looks = 0;
            while !done.load(Ordering::SeqCst) {
                let whole =
                    "SELECT sum(amount) FROM (SELECT * FROM cash UNION ALL SELECT * FROM bank) AS all_of_it";
                let sum = values(&client.simple_query(whole).await.expect("one statement"));
                assert_eq!(sum, [2000], "in one statement");
                let parts = "BEGIN; SELECT sum(amount) FROM cash; SELECT sum(amount) FROM bank; COMMIT";
                let sums = values(&client.simple_query(parts).await.expect("one transaction"));
                assert_eq!(sums.iter().sum::<i64>(), 2000, "in one transaction: {sums:?}");
                looks += 1;
            }
            looks
        }
    });
    for clerk in clerks {
        clerk.await.expect("no clerk fails");
    }
    done.store(true, Ordering::SeqCst);
    assert!(auditor.await.expect("the sums are right") > 3);
    let moved = CLERKS * TRANSFERS / 4 * 3 * 7;
    let bank = teller.simple_query("SELECT sum(amount) FROM bank").await.expect("it is read");
    assert_eq!(values(&bank), [1000 + moved], "no transfer is lost or doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_that_replace_the_same_rows_is_told_to_try_again() {
    let running = start().await;
    let (one, two) = (running.connect().await, running.connect().await);
    one.batch_execute("CREATE TABLE t AS SELECT 1 AS id").await.expect("it is made");
    one.batch_execute("BEGIN; INSERT OVERWRITE t SELECT id + 1 FROM t").await.expect("it is staged");
    two.batch_execute("BEGIN; INSERT OVERWRITE t SELECT id + 10 FROM t; INSERT INTO t VALUES (0)")
        .await
        .expect("it is staged");
    one.batch_execute("COMMIT").await.expect("it is first");
    let refused = two.batch_execute("COMMIT").await.expect_err("it is second");
    assert_eq!(refused.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{refused}");
    let rows = two.simple_query("SELECT id FROM t").await.expect("the transaction is over");
    assert_eq!(values(&rows), [2]);
}
