//! `COPY` in the PostgreSQL protocol, message by message: in both protocols, in transactions, with all that a client may
//! do wrong in the middle of one. The answers are PostgreSQL 15's.

mod support;

use std::time::Duration;

use support::{Running, Wire, bind, describe, execute, message, packet, parse, start, sync};

async fn simple(wire: &mut Wire, sql: &str) -> Vec<String> {
    wire.query(sql).await;
    wire.until_ready().await
}

/// A session with a table `t (id bigint, name text)`.
async fn session(running: &Running) -> Wire {
    let mut wire = running.session().await;
    simple(&mut wire, "CREATE TABLE t (id bigint NOT NULL, name text)").await;
    wire
}

fn data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

fn done() -> Vec<u8> {
    message(b'c', b"")
}

fn fail(reason: &str) -> Vec<u8> {
    message(b'f', format!("{reason}\0").as_bytes())
}

/// Begins a copy with a simple query, sends `messages`, and gives what comes after the invitation.
async fn copy(wire: &mut Wire, sql: &str, messages: &[Vec<u8>]) -> Vec<String> {
    wire.query(sql).await;
    let invitation = wire.next().await;
    assert!(invitation.starts_with("G "), "{sql}: {invitation}");
    wire.send(&messages.concat()).await;
    wire.until_ready().await
}

/// The rows of `t`, as text.
async fn rows(wire: &mut Wire) -> Vec<String> {
    let mut rows = simple(wire, "SELECT id, name FROM t ORDER BY id, name").await;
    rows.retain(|message| message.starts_with("D "));
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_in_and_come_out() {
    let running = start().await;
    let mut wire = session(&running).await;
    // Records may be cut anywhere, and Flush and Sync are ignored in between.
    let pieces =
        [data(b"1\to"), message(b'H', b""), data(b"ne\n2\t"), sync(), data(b"\\N\n3\ta\\tb\\\\"), done()];
    assert_eq!(copy(&mut wire, "COPY t FROM STDIN", &pieces).await, ["C COPY 3", "Z I"]);
    assert_eq!(rows(&mut wire).await, ["D 1|one", "D 2|NULL", "D 3|6109625c"]);
    assert_eq!(
        simple(&mut wire, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT").await,
        ["H 0 2", "d 1\\tone\\n", "d 2\\t\\\\N\\n", "d 3\\ta\\\\tb\\\\\\\\\\n", "c", "C COPY 3", "Z I"]
    );
    assert_eq!(
        simple(&mut wire, "COPY t (name) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *, NULL 'none')").await
            [..3],
        ["H 0 1", "d name\\n", "d \\\"one\\\"\\n"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_one_of_several_statements() {
    let running = start().await;
    let mut wire = session(&running).await;
    let text = "COPY t FROM STDIN; SELECT count(*) FROM t; COPY t (id) TO STDOUT; COPY t FROM STDIN CSV";
    wire.query(text).await;
    assert_eq!(wire.next().await, "G 0 2");
    wire.send(&[data(b"1\tone\n"), done()].concat()).await;
    for expect in ["C COPY 1", "T count:20", "D 1", "C SELECT 1", "H 0 1", "d 1\\n", "c", "C COPY 1", "G 0 2"]
    {
        assert_eq!(wire.next().await, expect);
    }
    wire.send(&[data(b"x,two\n"), done()].concat()).await;
    assert_eq!(wire.until_ready().await, ["E 22P02", "Z I"]);
    // They stand or fall together.
    assert!(rows(&mut wire).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_leaves_nothing() {
    let running = start().await;
    let mut wire = session(&running).await;
    let failed = copy(&mut wire, "COPY t FROM STDIN", &[data(b"1\tone\n"), fail("no more")]).await;
    assert_eq!(failed, ["E 57014", "Z I"]);
    // What was on its way when the error was found is not taken for anything else.
    let bad = [data(b"1\tone\nx\ttwo\n"), data(b"3\tthree\n"), done()];
    assert_eq!(copy(&mut wire, "COPY t FROM STDIN", &bad).await, ["E 22P02", "Z I"]);
    for (bytes, expect) in [
        (&b"1\n"[..], "E 22P04"),
        (b"1\tone\tmore\n", "E 22P04"),
        (b"\\N\tone\n", "E 23502"),
        (b"\\N\tone\nx\ttwo\n", "E 23502"),
        (b"99999999999999999999\tone\n", "E 22003"),
        (b"1\t\xff\n", "E 22021"),
        (b"1\tone\r\n2\ttwo\n", "E 22P04"),
        (b"1\tone\\.\n\\.x", "C COPY 1"),
    ] {
        let answer = copy(&mut wire, "COPY t FROM STDIN", &[data(bytes), done()]).await;
        assert_eq!(answer, [expect, "Z I"], "{}", bytes.escape_ascii());
    }
    assert_eq!(rows(&mut wire).await, ["D 1|one"]);
    let unexpected = copy(&mut wire, "COPY t FROM STDIN", &[message(b'Q', b"SELECT 1\0"), done()]).await;
    assert_eq!(unexpected, ["E 08P01", "Z I"]);
    assert_eq!(rows(&mut wire).await, ["D 1|one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extended_protocol_copies_too() {
    let running = start().await;
    let mut wire = session(&running).await;
    let begin = [
        parse("", "COPY t FROM STDIN", &[]),
        bind("", "", &[], 0),
        describe('P', ""),
        execute("", 0),
        sync(),
    ];
    wire.send(&begin.concat()).await;
    for expect in ["1", "2", "n", "G 0 2"] {
        assert_eq!(wire.next().await, expect);
    }
    wire.send(&[data(b"1\tone\n"), done(), sync()].concat()).await;
    assert_eq!(wire.until_ready().await, ["C COPY 1", "Z I"]);
    let out = [parse("", "COPY t TO STDOUT", &[]), bind("", "", &[], 0), execute("", 1), sync()];
    wire.send(&out.concat()).await;
    assert_eq!(wire.until_ready().await, ["1", "2", "H 0 2", "d 1\\tone\\n", "c", "C COPY 1", "Z I"]);
    // After an error everything is skipped until Sync, data too.
    wire.send(&begin[..4].concat()).await;
    for expect in ["1", "2", "n", "G 0 2"] {
        assert_eq!(wire.next().await, expect);
    }
    wire.send(&[data(b"x\tone\n"), done(), parse("", "SELECT 1", &[]), sync()].concat()).await;
    assert_eq!(wire.until_ready().await, ["E 22P02", "Z I"]);
    assert_eq!(rows(&mut wire).await, ["D 1|one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_holds_its_copies() {
    let running = start().await;
    let mut wire = session(&running).await;
    simple(&mut wire, "BEGIN").await;
    let two = [data(b"1\tone\n2\ttwo\n"), done()];
    assert_eq!(copy(&mut wire, "COPY t FROM STDIN", &two).await, ["C COPY 2", "Z T"]);
    assert_eq!(rows(&mut wire).await.len(), 2);
    simple(&mut wire, "ROLLBACK").await;
    assert!(rows(&mut wire).await.is_empty());
    simple(&mut wire, "BEGIN").await;
    assert_eq!(copy(&mut wire, "COPY t FROM STDIN", &two).await, ["C COPY 2", "Z T"]);
    let bad = [data(b"1\n"), done()];
    assert_eq!(copy(&mut wire, "COPY t FROM STDIN", &bad).await, ["E 22P04", "Z E"]);
    assert_eq!(simple(&mut wire, "COMMIT").await, ["C ROLLBACK", "Z I"]);
    assert!(rows(&mut wire).await.is_empty());
    simple(&mut wire, "BEGIN; TRUNCATE t").await;
    assert_eq!(copy(&mut wire, "COPY t FROM STDIN (FREEZE)", &two).await, ["C COPY 2", "Z T"]);
    assert_eq!(simple(&mut wire, "COMMIT").await, ["C COMMIT", "Z I"]);
    assert_eq!(rows(&mut wire).await, ["D 1|one", "D 2|two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_and_defaults() {
    let running = start().await;
    let mut wire = running.session().await;
    simple(
        &mut wire,
        "CREATE TABLE t (id bigint NOT NULL, name text DEFAULT 'nobody', at date) WITH (format_version = 3)",
    )
    .await;
    let some = [data(b"1\n2\n3\n4\n"), done()];
    let sql = "COPY t (id) FROM STDIN WHERE id % 2 = 0 AND name = 'nobody'";
    assert_eq!(copy(&mut wire, sql, &some).await, ["C COPY 2", "Z I"]);
    assert_eq!(rows(&mut wire).await, ["D 2|nobody", "D 4|nobody"]);
    let none = [data(b"1\n"), done()];
    assert_eq!(copy(&mut wire, "COPY t (id) FROM STDIN WHERE false", &none).await, ["C COPY 0", "Z I"]);
    assert_eq!(copy(&mut wire, "COPY t (name) FROM STDIN", &none).await, ["E 23502", "Z I"]);
    assert_eq!(copy(&mut wire, "COPY t FROM STDIN", &[done()]).await, ["C COPY 0", "Z I"]);
    for (sql, expect) in [
        ("COPY t (id, id) FROM STDIN", "E 42701"),
        ("COPY t (nothing) FROM STDIN", "E 42703"),
        ("COPY nowhere FROM STDIN", "E 42P01"),
        ("COPY t FROM STDIN WHERE id IN (SELECT 1)", "E 0A000"),
        ("COPY t FROM '/nowhere'", "E 58P01"),
        ("COPY t FROM PROGRAM 'true'", "E 0A000"),
        ("COPY t FROM STDIN (FORMAT xml)", "E 22023"),
        ("COPY t FROM STDIN (FORMAT csv, FORMAT csv)", "E 42601"),
        ("COPY t FROM STDIN (NOTHING)", "E 42601"),
        ("COPY t FROM STDIN (ENCODING 'latin1')", "E 0A000"),
        ("COPY t TO STDOUT WHERE id = 1", "E 42601"),
    ] {
        assert_eq!(simple(&mut wire, sql).await, [expect, "Z I"], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_has_a_header_and_a_trailer() {
    let running = start().await;
    let mut wire = session(&running).await;
    let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    let row = b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x07\0\0\0\x03abc";
    let whole = [&header[..], row, b"\xff\xff"].concat();
    let sql = "COPY t FROM STDIN (FORMAT binary)";
    wire.query(sql).await;
    assert_eq!(wire.next().await, "G 1 2");
    // One byte at a time.
    for byte in &whole {
        wire.send(&data(&[*byte])).await;
    }
    wire.send(&done()).await;
    assert_eq!(wire.until_ready().await, ["C COPY 1", "Z I"]);
    let out = simple(&mut wire, "COPY t TO STDOUT BINARY").await;
    let shown = |bytes: &[u8]| format!("d {}", bytes.escape_ascii());
    let expect = ["H 1 2", &shown(&[&header[..], row].concat()), "d \\xff\\xff", "c", "C COPY 1", "Z I"];
    assert_eq!(out, expect);
    let none = simple(&mut wire, "COPY (SELECT 1 WHERE false) TO STDOUT BINARY").await;
    assert_eq!(none[1], shown(&[&header[..], b"\xff\xff"].concat()));
    for bytes in [b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0".as_slice(), &whole[..whole.len() - 3]] {
        let answer = copy(&mut wire, sql, &[data(bytes), done()]).await;
        assert_eq!(answer, ["E 22P04", "Z I"], "{}", bytes.escape_ascii());
    }
    let after = copy(&mut wire, sql, &[data(&whole), data(b"x"), done()]).await;
    assert_eq!(after, ["E 22P04", "Z I"]);
    assert_eq!(rows(&mut wire).await, ["D 7|abc"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_and_rights() {
    let running = start().await;
    let mut wire = session(&running).await;
    simple(
        &mut wire,
        "CREATE VIEW v AS SELECT * FROM t; CREATE ROLE reader LOGIN; GRANT SELECT ON t TO reader",
    )
    .await;
    assert_eq!(simple(&mut wire, "COPY v TO STDOUT").await, ["E 42809", "Z I"]);
    assert_eq!(simple(&mut wire, "COPY v FROM STDIN").await, ["E 42809", "Z I"]);
    assert_eq!(
        simple(&mut wire, "COPY (SELECT * FROM v) TO STDOUT").await,
        ["H 0 2", "c", "C COPY 0", "Z I"]
    );
    let returning = simple(&mut wire, "COPY (INSERT INTO t VALUES (5, 'five') RETURNING id) TO STDOUT").await;
    assert_eq!(returning, ["H 0 1", "d 5\\n", "c", "C COPY 1", "Z I"]);
    simple(&mut wire, "GRANT USAGE ON SCHEMA public TO reader").await;
    let mut reader = running.dial().await;
    reader.startup(&[("user", "reader"), ("database", "lake")]).await;
    reader.until_ready().await;
    assert_eq!(
        simple(&mut reader, "COPY t (id) TO STDOUT").await,
        ["H 0 1", "d 5\\n", "c", "C COPY 1", "Z I"]
    );
    assert_eq!(simple(&mut reader, "COPY t FROM STDIN").await, ["E 42501", "Z I"]);
    simple(&mut wire, "SET default_transaction_read_only = on").await;
    let read_only = simple(&mut wire, "BEGIN; COPY t FROM STDIN").await;
    assert_eq!(read_only, ["C BEGIN", "E 25006", "Z E"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let running = start().await;
    let mut wire = session(&running).await;
    let rows_of_a_chunk: Vec<u8> =
        (0..200_000).flat_map(|id| format!("{id}\tsomebody\n").into_bytes()).collect();
    let mut leaving = running.session().await;
    leaving.query("COPY t FROM STDIN").await;
    assert_eq!(leaving.next().await, "G 0 2");
    leaving.send(&data(&rows_of_a_chunk)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(leaving);
    let folder = running.folder.path().join("data/warehouse");
    for _ in 0..200 {
        if parquet_files(&folder) == 0 {
            assert!(rows(&mut wire).await.is_empty());
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("files of a copy that broke off are still there");
}

fn parquet_files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => parquet_files(&path),
        false => usize::from(path.extension().is_some_and(|extension| extension == "parquet")),
    };
    entries.map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_stops_a_copy_that_waits() {
    let running = start().await;
    let mut wire = running.dial().await;
    wire.startup(&[("user", "tarn"), ("database", "lake")]).await;
    let greeting = wire.until_ready().await;
    let key = greeting.iter().find_map(|message| message.strip_prefix("K ")).expect("a key");
    let key = key.split(' ').map(|part| part.parse::<u32>().expect("a number")).collect::<Vec<_>>();
    simple(&mut wire, "CREATE TABLE t (id bigint, name text)").await;
    wire.query("COPY t FROM STDIN").await;
    assert_eq!(wire.next().await, "G 0 2");
    wire.send(&data(b"1\tone\n")).await;
    let mut other = running.dial().await;
    other.send(&packet(&[80_877_102, key[0], key[1]].map(u32::to_be_bytes).concat())).await;
    assert_eq!(wire.until_ready().await, ["E 57014", "Z I"]);
    wire.send(&[data(b"2\ttwo\n"), done()].concat()).await;
    assert!(rows(&mut wire).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_chunks_keep_their_order_and_their_lines() {
    let running = start().await;
    let mut wire = session(&running).await;
    let count = 300_000u64;
    let mut bytes = Vec::new();
    for id in 0..count {
        bytes.extend(format!("{id},\"a \"\"quoted\"\" name,\nof {id}\"\n").bytes());
    }
    let pieces: Vec<Vec<u8>> = bytes.chunks(100_003).map(data).chain([done()]).collect();
    let answer = copy(&mut wire, "COPY t FROM STDIN (FORMAT csv)", &pieces).await;
    assert_eq!(answer, [format!("C COPY {count}"), "Z I".to_owned()]);
    let checked = "SELECT count(*), sum(id), count(DISTINCT name), min(length(name)) FROM t \
                   WHERE name = 'a \"quoted\" name,' || chr(10) || 'of ' || id";
    let sum = count * (count - 1) / 2;
    assert_eq!(simple(&mut wire, checked).await[1], format!("D {count}|{sum}|{count}|21"));
    // The line of an error is counted over all chunks, lines in quotes too, but not those in the first line.
    bytes.extend(b"x,y\n");
    let pieces: Vec<Vec<u8>> = bytes.chunks(100_003).map(data).chain([done()]).collect();
    wire.query("COPY t FROM STDIN (FORMAT csv)").await;
    assert_eq!(wire.next().await, "G 0 2");
    wire.send(&pieces.concat()).await;
    let error = wire.next_error().await;
    let expect = format!("COPY t, line {}, column id: \"x\"", 2 * count);
    assert_eq!(error, ["22P02".to_owned(), expect]);
}
