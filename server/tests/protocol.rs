//! Conversations in the PostgreSQL protocol, message by message: what drivers rely on and what only a broken client
//! sends. The answers are PostgreSQL 15's.

mod support;

use std::time::{Duration, Instant};

use support::{Wire, bind, close, describe, execute, message, packet, parse, start, sync};
use tokio::io::AsyncReadExt;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// A statement that runs for hours.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000000) AS g(x) WHERE x % 7 = 8";

/// Sends everything at once, as drivers do, and reads up to ReadyForQuery.
async fn converse(wire: &mut Wire, messages: &[Vec<u8>]) -> Vec<String> {
    wire.send(&messages.concat()).await;
    wire.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_tells_a_driver_what_it_needs() {
    let running = start().await;
    let mut wire = running.dial().await;
    wire.startup(&[("user", "tarn"), ("database", "lake"), ("application_name", "a test")]).await;
    let messages = wire.until_ready().await;
    assert_eq!(messages[0], "R 0");
    for parameter in [
        "S server_version=15",
        "S server_encoding=UTF8",
        "S client_encoding=UTF8",
        "S DateStyle=ISO, MDY",
        "S TimeZone=UTC",
        "S integer_datetimes=on",
        "S standard_conforming_strings=on",
        "S IntervalStyle=postgres",
        "S is_superuser=on",
        "S session_authorization=tarn",
        "S application_name=a test",
    ] {
        assert!(
            messages.iter().any(|message| message.starts_with(parameter)),
            "{parameter} is not in {messages:?}"
        );
    }
    assert!(
        messages.iter().any(|message| message.starts_with("K ")),
        "no key for cancelling in {messages:?}"
    );
    assert_eq!(messages.last().map(String::as_str), Some("Z I"));
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_declined_and_the_session_goes_on() {
    let running = start().await;
    let mut wire = running.dial().await;
    for request in [GSS_REQUEST, SSL_REQUEST] {
        wire.send(&packet(&request.to_be_bytes())).await;
        assert_eq!(wire.stream.read_u8().await.ok(), Some(b'N'));
    }
    wire.startup(&[("user", "tarn"), ("database", "lake")]).await;
    assert_eq!(wire.until_ready().await.last().map(String::as_str), Some("Z I"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_sent_before_the_answer_to_an_encryption_request_are_refused() {
    let running = start().await;
    let mut wire = running.dial().await;
    let injected = [packet(&SSL_REQUEST.to_be_bytes()), packet(b"\0\x03\0\0user\0tarn\0\0")].concat();
    wire.send(&injected).await;
    assert_eq!(wire.until_ready().await, ["E 08P01", "gone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_starts_are_refused() {
    let running = start().await;
    let cases: [(&[u8], &str); 7] = [
        (b"\0\0\0\x04", "E 08P01"),
        (b"\x7f\xff\xff\xff\0\x03\0\0", "E 08P01"),
        (b"GET / HTTP/1.1\r\n\r\n", "E 08P01"),
        (b"\0\0\0\x09\0\x03\0\0\0", "E 28000"),
        (b"\0\0\0\x0e\0\x03\0\0user\0a", "E 08P01"),
        (b"\0\0\0\x09\0\x02\0\0\0", "E 0A000"),
        (b"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\0", "E 08P01"),
    ];
    for (bytes, expect) in cases {
        let mut wire = running.dial().await;
        wire.send(bytes).await;
        assert_eq!(wire.until_ready().await, [expect, "gone"], "{bytes:?}");
    }
    let mut wire = running.dial().await;
    wire.startup(&[("user", "tarn"), ("database", "nowhere")]).await;
    assert_eq!(
        wire.until_ready().await.iter().filter(|message| message.starts_with('E')).collect::<Vec<_>>(),
        ["E 3D000"]
    );
    let mut wire = running.dial().await;
    wire.startup(&[("user", "tarn"), ("database", "lake"), ("no_such_setting", "1")]).await;
    assert!(wire.until_ready().await.contains(&"E 42704".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_protocol_is_negotiated_down() {
    let running = start().await;
    let mut wire = running.dial().await;
    wire.send(&packet(b"\0\x03\0\x02user\0tarn\0database\0lake\0_pq_.x\x001\0\0")).await;
    let messages = wire.until_ready().await;
    assert_eq!(messages.iter().take(2).collect::<Vec<_>>(), ["v", "R 0"]);
    assert_eq!(messages.last().map(String::as_str), Some("Z I"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_several_statements_has_several_results() {
    let running = start().await;
    let mut wire = running.session().await;
    wire.query("SELECT 1 AS a; SELECT 'x' AS b, NULL AS c;").await;
    let expect = ["T a:23", "D 1", "C SELECT 1", "T b:25 c:25", "D x|NULL", "C SELECT 1", "Z I"];
    assert_eq!(wire.until_ready().await, expect);
    wire.query(" ; ").await;
    assert_eq!(wire.until_ready().await, ["I", "Z I"]);
    // The first error ends the text.
    wire.query("SELECT 1 AS a; SELECT 1 / 0; SELECT 2").await;
    let messages = wire.until_ready().await;
    assert_eq!(messages.iter().filter(|message| message.starts_with('C')).count(), 1, "{messages:?}");
    assert_eq!(messages[messages.len() - 2..], ["E 22012", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_transaction_takes_nothing_but_its_end() {
    let running = start().await;
    let mut wire = running.session().await;
    wire.query("BEGIN").await;
    assert_eq!(wire.until_ready().await, ["C BEGIN", "Z T"]);
    wire.query("SELECT * FROM nowhere").await;
    assert_eq!(wire.until_ready().await, ["E 42P01", "Z E"]);
    wire.query("SELECT 1").await;
    assert_eq!(wire.until_ready().await, ["E 25P02", "Z E"]);
    wire.query("COMMIT").await;
    assert_eq!(wire.until_ready().await, ["C ROLLBACK", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_protocol_fails_the_transaction_too() {
    let running = start().await;
    let mut wire = running.session().await;
    wire.query("BEGIN").await;
    wire.until_ready().await;
    let messages = converse(&mut wire, &[bind("", "no such statement", &[], 0), sync()]).await;
    assert_eq!(messages, ["E 26000", "Z E"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_described_before_it_is_bound() {
    let running = start().await;
    let mut wire = running.session().await;
    let prepare = [parse("s", "SELECT $1 AS a, 'x' AS b", &[23]), describe('S', "s"), sync()];
    assert_eq!(converse(&mut wire, &prepare).await, ["1", "t 23", "T a:23 b:25", "Z I"]);
    let run = [bind("", "s", &["7"], 0), describe('P', ""), execute("", 0), sync()];
    assert_eq!(converse(&mut wire, &run).await, ["2", "T a:23 b:25", "D 7|x", "C SELECT 1", "Z I"]);
    // The statement outlives Sync, and results may be binary.
    let again = [bind("", "s", &["-2"], 1), execute("", 0), sync()];
    assert_eq!(converse(&mut wire, &again).await, ["2", "D fffffffe|x", "C SELECT 1", "Z I"]);
    let closed = [close('S', "s"), bind("", "s", &["1"], 0), sync()];
    assert_eq!(converse(&mut wire, &closed).await, ["3", "E 26000", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_without_rows_and_without_text() {
    let running = start().await;
    let mut wire = running.session().await;
    let empty = [parse("", " ", &[]), describe('S', ""), bind("", "", &[], 0), execute("", 0), sync()];
    assert_eq!(converse(&mut wire, &empty).await, ["1", "t ", "n", "2", "I", "Z I"]);
    let define = [
        parse("", "CREATE SCHEMA wire", &[]),
        bind("", "", &[], 0),
        describe('P', ""),
        execute("", 0),
        execute("", 0),
        sync(),
    ];
    let expect = ["1", "2", "n", "C CREATE SCHEMA", "E 55000", "Z I"];
    assert_eq!(converse(&mut wire, &define).await, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_gives_its_rows_in_portions() {
    let running = start().await;
    let mut wire = running.session().await;
    let sql = "SELECT x FROM (VALUES (1), (2), (3), (4), (5)) AS v(x) ORDER BY x";
    let portions = [
        parse("", sql, &[]),
        bind("p", "", &[], 0),
        execute("p", 2),
        execute("p", 2),
        execute("p", 2),
        execute("p", 2),
        sync(),
    ];
    let expect = ["1", "2", "D 1", "D 2", "s", "D 3", "D 4", "s", "D 5", "C SELECT 1", "C SELECT 0", "Z I"];
    assert_eq!(converse(&mut wire, &portions).await, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_lives_as_long_as_its_transaction() {
    let running = start().await;
    let mut wire = running.session().await;
    let sql = "SELECT x FROM (VALUES (1), (2), (3)) AS v(x) ORDER BY x";
    wire.query("BEGIN").await;
    wire.until_ready().await;
    let first = [parse("", sql, &[]), bind("p", "", &[], 0), execute("p", 1), sync()];
    assert_eq!(converse(&mut wire, &first).await, ["1", "2", "D 1", "s", "Z T"]);
    // Another statement runs in between, as JDBC does while it reads a result set.
    wire.query("SELECT 'between' AS b").await;
    assert_eq!(wire.until_ready().await[1], "D between");
    assert_eq!(converse(&mut wire, &[execute("p", 0), sync()]).await, ["D 2", "D 3", "C SELECT 2", "Z T"]);
    wire.query("COMMIT").await;
    wire.until_ready().await;
    assert_eq!(converse(&mut wire, &[execute("p", 0), sync()]).await, ["E 34000", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_everything_is_skipped_until_sync() {
    let running = start().await;
    let mut wire = running.session().await;
    let pipeline = [
        parse("good", "SELECT 1 AS a", &[]),
        parse("bad", "SELEKT", &[]),
        bind("", "good", &[], 0),
        execute("", 0),
        message(b'Q', b"SELECT 2\0"),
        sync(),
    ];
    assert_eq!(converse(&mut wire, &pipeline).await, ["1", "E 42601", "Z I"]);
    let next = [bind("", "good", &[], 0), execute("", 0), sync()];
    assert_eq!(converse(&mut wire, &next).await, ["2", "D 1", "C SELECT 1", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_messages_are_errors_and_the_session_lives() {
    let running = start().await;
    let mut wire = running.session().await;
    let twice = [parse("s", "SELECT 1", &[]), parse("s", "SELECT 1", &[]), sync()];
    assert_eq!(converse(&mut wire, &twice).await, ["1", "E 42P05", "Z I"]);
    let several = [parse("", "SELECT 1; SELECT 2", &[]), sync()];
    assert_eq!(converse(&mut wire, &several).await, ["E 42601", "Z I"]);
    let too_few = [parse("", "SELECT $1 + 1", &[20]), bind("", "", &[], 0), sync()];
    assert_eq!(converse(&mut wire, &too_few).await, ["1", "E 08P01", "Z I"]);
    let no_number = [parse("", "SELECT $1 + 1", &[20]), bind("", "", &["x"], 0), sync()];
    assert_eq!(converse(&mut wire, &no_number).await, ["1", "E 22P02", "Z I"]);
    let unknown_type = [parse("", "SELECT $1", &[869]), sync()];
    assert_eq!(converse(&mut wire, &unknown_type).await, ["E 0A000", "Z I"]);
    let bad_format = [parse("", "SELECT 1", &[]), bind("", "", &[], 7), sync()];
    assert_eq!(converse(&mut wire, &bad_format).await, ["1", "E 22023", "Z I"]);
    let cut_off = [message(b'B', b"p\0s\0\0\x01"), sync()];
    assert_eq!(converse(&mut wire, &cut_off).await, ["E 08P01", "Z I"]);
    let not_utf8 = [message(b'Q', b"SELECT '\xff'\0")];
    assert_eq!(converse(&mut wire, &not_utf8).await, ["E 22021", "Z I"]);
    let closed_twice = [close('S', "none"), close('P', "none"), sync()];
    assert_eq!(converse(&mut wire, &closed_twice).await, ["3", "3", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_no_kind_ends_the_session() {
    let running = start().await;
    let mut wire = running.session().await;
    assert_eq!(converse(&mut wire, &[message(b'!', b"")]).await, ["E 08P01", "gone"]);
    let mut wire = running.session().await;
    assert_eq!(converse(&mut wire, &[b"Q\xff\xff\xff\xff".to_vec()]).await, ["E 08P01", "gone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_beyond_the_limit_is_an_error_and_the_session_lives() {
    let running = start().await;
    let mut wire = running.session().await;
    let mut text = b"SELECT '".to_vec();
    text.resize((64 << 20) + 100, b'x');
    text.extend(b"'\0");
    assert_eq!(converse(&mut wire, &[message(b'Q', &text)]).await, ["E 54000", "Z I"]);
    wire.query("SELECT 1 AS a").await;
    assert_eq!(wire.until_ready().await, ["T a:23", "D 1", "C SELECT 1", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_change_are_reported() {
    let running = start().await;
    let mut wire = running.session().await;
    wire.query("SET TIME ZONE 'Asia/Kolkata'; SELECT TIMESTAMPTZ '2024-07-01 00:00:00+00' AS t").await;
    let expect =
        ["S TimeZone=Asia/Kolkata", "C SET", "T t:1184", "D 2024-07-01 05:30:00+05:30", "C SELECT 1", "Z I"];
    assert_eq!(wire.until_ready().await, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_stops_the_statement_and_the_session_lives() {
    let running = start().await;
    let mut wire = running.dial().await;
    wire.startup(&[("user", "tarn"), ("database", "lake")]).await;
    let greeting = wire.until_ready().await;
    let key = greeting.iter().find_map(|message| message.strip_prefix("K ")).expect("a key");
    let key = key.split(' ').map(|part| part.parse::<u32>().expect("a number")).collect::<Vec<_>>();
    wire.query(ENDLESS).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    // A wrong secret stops nothing, and neither request is answered.
    for secret in [key[1] ^ 1, key[1]] {
        let mut other = running.dial().await;
        let request = [CANCEL_REQUEST, key[0], secret].map(u32::to_be_bytes).concat();
        other.send(&packet(&request)).await;
        assert_eq!(other.next().await, "gone");
    }
    let messages = wire.until_ready().await;
    assert_eq!(messages[messages.len() - 2..], ["E 57014", "Z I"]);
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    wire.query("SELECT 1 AS a").await;
    assert_eq!(wire.until_ready().await, ["T a:23", "D 1", "C SELECT 1", "Z I"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_stops_its_statement() {
    let running = start().await;
    let mut wire = running.session().await;
    wire.query(ENDLESS).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(wire);
    let stopped = "tarn_statements_total{kind=\"select\",outcome=\"cancelled\"} 1";
    for _ in 0..200 {
        if running.get("/metrics").await.contains(stopped) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the statement goes on:\n{}", running.get("/metrics").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_waits_for_its_reader() {
    let running = start().await;
    let mut wire = running.session().await;
    let before = resident_bytes();
    // About 4 GB of rows, if anybody read them.
    wire.query("SELECT repeat('x', 1000) AS t FROM generate_series(1, 4000000) AS g(x)").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 400 << 20, "{grown} bytes of memory for rows that nobody has read");
    assert_eq!(wire.next().await, "T t:25");
    assert!(wire.next().await.starts_with("D xxx"));
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_between_sessions_are_told_when_they_are_idle() {
    let running = start().await;
    let (mut listener, mut sender) = (running.session().await, running.session().await);
    listener.query("LISTEN news; LISTEN other; UNLISTEN other").await;
    assert_eq!(listener.until_ready().await, ["C LISTEN", "C LISTEN", "C UNLISTEN", "Z I"]);
    // Nothing is said before the commit, and what was rolled back never.
    sender
        .query(
            "BEGIN; NOTIFY news, 'one'; NOTIFY news, 'one'; SAVEPOINT s; NOTIFY news, 'gone'; ROLLBACK TO s",
        )
        .await;
    sender.until_ready().await;
    sender.query("SELECT pg_notify('news', 'two'); NOTIFY other").await;
    sender.until_ready().await;
    listener.query("SELECT 1").await;
    assert_eq!(listener.until_ready().await.len(), 4, "nothing has been committed");
    sender.query("COMMIT").await;
    sender.until_ready().await;
    assert_eq!([listener.next().await, listener.next().await], ["A news=one", "A news=two"]);
    // In a transaction nothing is told until it ends.
    listener.query("BEGIN").await;
    listener.until_ready().await;
    sender.query("NOTIFY news").await;
    assert_eq!(sender.until_ready().await, ["C NOTIFY", "Z I"]);
    listener.query("SELECT 1").await;
    assert!(!listener.until_ready().await.iter().any(|message| message.starts_with('A')));
    listener.query("COMMIT").await;
    assert_eq!(listener.until_ready().await, ["C COMMIT", "A news=", "Z I"]);
    // Its own as well, before it may go on.
    listener.query("NOTIFY news, 'mine'").await;
    assert_eq!(listener.until_ready().await, ["C NOTIFY", "A news=mine", "Z I"]);
    listener.query("SELECT pg_notify('news', 'x'), 1 / 0").await;
    assert_eq!(listener.until_ready().await.last().map(String::as_str), Some("Z I"));
    listener.query("UNLISTEN *").await;
    listener.until_ready().await;
    sender.query("NOTIFY news, 'unheard'").await;
    sender.until_ready().await;
    listener.query("SELECT 1").await;
    assert!(!listener.until_ready().await.iter().any(|message| message.starts_with('A')));
}
