//! The process from outside: what it prints, why it does not start, and how it ends.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::{load, start, start_with};

fn tarn(arguments: &[&str], folder: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str], folder: &std::path::Path) -> Output {
    tarn(arguments, folder).output().expect("it can be run")
}

const FREE_PORTS: [&str; 7] =
    ["serve", "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"];

/// Starts a server and reads its ready line.
fn serve(folder: &std::path::Path) -> (Child, serde_json::Value) {
    let mut child = tarn(&FREE_PORTS, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be run");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    stdout.read_line(&mut line).expect("it prints a line");
    (child, serde_json::from_str(&line).expect("the line is JSON"))
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(status.expect("kill can be run").success());
}

#[test]
fn the_ready_line_is_all_there_is_on_standard_output() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut child, ready) = serve(folder.path());
    assert_eq!(ready["event"], "ready");
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
    assert!(ready["data_dir"].as_str().is_some_and(|path| path.ends_with("tarn-data")));
    for door in ["postgres", "flight", "http"] {
        let address =
            ready[door].as_str().expect("an address").parse::<std::net::SocketAddr>().expect("an address");
        std::net::TcpStream::connect(address).expect("it listens");
    }
    let started = Instant::now();
    signal(&child, "TERM");
    assert!(child.wait().expect("it ends").success());
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "with nothing to wait for it took {:?}",
        started.elapsed()
    );
    let mut log = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut log).expect("text");
    assert!(log.contains("ready") && log.contains("stopped"), "{log}");
}

#[test]
fn a_second_server_on_the_same_folder_says_why_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut child, _) = serve(folder.path());
    let second = output(&FREE_PORTS, folder.path());
    signal(&child, "TERM");
    assert!(child.wait().expect("it ends").success());
    let message = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{message}");
    assert!(message.contains("in use") && message.contains("--data-dir"), "{message}");
    assert!(second.stdout.is_empty());
}

#[test]
fn bad_arguments_and_settings_are_one_clear_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("file"), "").expect("writable");
    std::fs::write(folder.path().join("bad.toml"), "[limits]\nconections = 3\n").expect("writable");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("an address").to_string();
    let check = |arguments: &[&str], words: &[&str]| {
        let output = output(arguments, folder.path());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
        assert!(!message.contains("panicked"), "{message}");
        words
            .iter()
            .for_each(|word| assert!(message.contains(word), "{arguments:?}: {word} is not in {message}"));
    };
    let with = |more: [&'static str; 2]| [&FREE_PORTS[..], &more[..]].concat();
    check(&["serve", "--postgres", "0.0.0.0:5439"], &["--postgres", "loopback", "TLS"]);
    check(&["serve", "--http", "127.0.0.1"], &["--http", "port"]);
    check(&with(["--config", "bad.toml"]), &["limits.conections", "limits.connections"]);
    check(&with(["--config", "none.toml"]), &["none.toml"]);
    check(&with(["--data-dir", "file/data"]), &["file/data", "--data-dir"]);
    check(&with(["--warehouse", "ftp://somewhere"]), &["ftp://somewhere", "s3://"]);
    check(&with(["--warehouse", "file/warehouse"]), &["file/warehouse"]);
    check(
        &["serve", "--http", "127.0.0.1:0", "--postgres", &taken],
        &[&taken, "already in use", "--postgres"],
    );
}

#[test]
fn help_and_version() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let version = output(&["--version"], folder.path());
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), concat!("tarn ", env!("CARGO_PKG_VERSION")));
    let help = output(&["serve", "--help"], folder.path());
    for word in ["--data-dir", "--warehouse", "--postgres", "--http", "--config", "psql"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(word), "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_told_over_http() {
    let running = start().await;
    assert!(running.get("/healthz").await.starts_with("HTTP/1.0 200"));
    assert!(running.get("/nothing").await.starts_with("HTTP/1.0 404"));
    let client = running.connect().await;
    client.batch_execute("CREATE SCHEMA counted; SELECT 1; SELECT 2").await.expect("it runs");
    client.batch_execute("SELECT nonsense").await.expect_err("there is no such column");
    let metrics = running.get("/metrics").await;
    for line in [
        "tarn_connections 1",
        "tarn_connections_total 1",
        "tarn_statements_total{kind=\"select\",outcome=\"ok\"} 2",
        "tarn_statements_total{kind=\"select\",outcome=\"error\"} 1",
        "tarn_statement_seconds_count{kind=\"create\"} 1",
        "tarn_rows_sent_total 2",
        "tarn_memory_pool_limit_bytes",
        "# TYPE tarn_statement_seconds histogram",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let sequence = metrics.lines().find_map(|line| line.strip_prefix("tarn_catalog_commit_sequence "));
    assert!(
        sequence.and_then(|number| number.parse::<u64>().ok()).is_some_and(|sequence| sequence >= 2),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_the_idle_and_cancels_what_runs_too_long() {
    let running = start_with("[limits]\nshutdown_grace = '500ms'").await;
    let mut idle = running.session().await;
    let mut busy = running.session().await;
    busy.query("SELECT count(*) FROM generate_series(1, 1000000000000) AS g(x) WHERE x % 7 = 8").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let address = running.server.addresses().postgres;
    let started = Instant::now();
    running.server.stop().await;
    assert!(started.elapsed() >= Duration::from_millis(500), "the statement had no grace");
    assert_eq!(idle.until_ready().await, ["E 57P01", "gone"]);
    let told = busy.until_ready().await;
    assert!(told.contains(&"E 57014".to_owned()), "{told:?}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it still listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_there_after_a_restart() {
    let running = start().await;
    running.connect().await.batch_execute("CREATE TABLE kept AS SELECT 42 AS x").await.expect("it is made");
    let folder = running.folder;
    running.server.stop().await;
    let server = tarn_server::Server::start(load(folder.path(), "")).await.expect("it starts again");
    let running = support::Running { server, folder };
    let row = running.connect().await.query_one("SELECT x FROM kept", &[]).await.expect("it is there");
    assert_eq!(row.get::<_, i32>("x"), 42);
}
