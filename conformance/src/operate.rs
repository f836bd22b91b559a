//! Tarn as the person who runs it sees it: does it say clearly why it cannot start, does it end well, can it be
//! watched over HTTP? Every check starts processes of its own and judges exit status, messages and answers.

use crate::server::{Launch, Server};
use crate::tally::Tally;
use crate::{Result, client};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const HTTP_MAX: Duration = Duration::from_secs(10);

pub async fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    let mut judge = |name: &str, outcome: Result<()>| {
        tally.add(outcome.is_ok());
        match outcome {
            Ok(()) => println!("ok   {name}"),
            Err(error) => println!("FAIL {name}: {error}"),
        }
    };
    judge("health is told over HTTP", health());
    judge("metrics are told over HTTP and count statements", metrics().await);
    judge("a folder in use by another process is named", folder_in_use());
    judge("a port that is taken is named", port_taken());
    judge("a folder that cannot be written is named", folder_not_writable());
    judge("a damaged store is refused", damaged_store().await);
    judge("a store that is cut off is refused", missing_store_files().await);
    judge("an address for the network is refused", network_address());
    judge("an unknown setting is named", unknown_setting());
    judge("a wrong value of a setting is named", wrong_setting());
    judge("SIGTERM lets a short statement end", gentle_end(Statement::Short).await);
    judge("SIGTERM cancels a long statement after the grace time", gentle_end(Statement::Long).await);
    judge("the data folder is readable by its owner only", private_folder());
    Ok(tally)
}

fn folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("tarn-operate").tempdir()?)
}

fn start(folder: &Path) -> Result<Server> {
    Launch::new(&folder.join("data"))?.start()
}

/// `Ok` when the launch fails at once with a message in which all these words stand.
fn fails_with(launch: Launch, words: &[&str]) -> Result<()> {
    let started = Instant::now();
    let message = match launch.start() {
        Ok(_) => return Err("it started".into()),
        Err(error) => error.to_string(),
    };
    if started.elapsed() > Duration::from_secs(20) {
        return Err(format!("it took {:?} to fail", started.elapsed()).into());
    }
    let lower = message.to_lowercase();
    match words.iter().find(|word| !lower.contains(&word.to_lowercase())) {
        Some(word) => Err(format!("the message does not say `{word}`:\n{message}").into()),
        None if message.contains("panicked") => Err(format!("it panicked:\n{message}").into()),
        None => Ok(()),
    }
}

/// Status and body of a GET; HTTP/1.0 so that the end of the body is the end of the connection.
fn get(server: &Server, path: &str) -> Result<(u16, String)> {
    let address = server.addresses().http.clone().ok_or("the ready line names no HTTP address")?;
    let mut stream = TcpStream::connect(&address)?;
    stream.set_read_timeout(Some(HTTP_MAX))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).ok_or("the answer has no status")?.parse()?;
    Ok((status, body.to_string()))
}

fn health() -> Result<()> {
    let folder = folder()?;
    let server = start(folder.path())?;
    let (status, body) = get(&server, "/healthz")?;
    let (unknown, _) = get(&server, "/no-such-page")?;
    if (status, unknown) == (200, 404) {
        Ok(())
    } else {
        Err(format!("{status} {body}, unknown page {unknown}").into())
    }
}

async fn metrics() -> Result<()> {
    let folder = folder()?;
    let server = start(folder.path())?;
    let client = server.connect("tarn").await?;
    client::run(&client, "SELECT 1").await?;
    let (_, before) = get(&server, "/metrics")?;
    for _ in 0..3 {
        client::run(&client, "SELECT 1").await?;
    }
    let (status, after) = get(&server, "/metrics")?;
    let has_types = after.lines().any(|line| line.starts_with("# TYPE tarn_"));
    if status == 200 && has_types && before != after {
        Ok(())
    } else {
        Err(format!("{status}:\n{after}").into())
    }
}

fn folder_in_use() -> Result<()> {
    let folder = folder()?;
    let server = start(folder.path())?;
    let mut second = server.launch().clone();
    second.log = folder.path().join("second.log");
    fails_with(second, &["in use", "data"])
}

fn port_taken() -> Result<()> {
    let folder = folder()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let mut launch = Launch::new(&folder.path().join("data"))?;
    launch.postgres = taken.local_addr()?.to_string();
    let address = launch.postgres.clone();
    fails_with(launch, &[&address, "use"])
}

/// Root may write everywhere, so the folder lies where no folder can be: below a file.
fn folder_not_writable() -> Result<()> {
    let folder = folder()?;
    std::fs::write(folder.path().join("file"), "")?;
    let mut launch = Launch::new(&folder.path().join("file/data"))?;
    launch.log = folder.path().join("tarn.log");
    fails_with(launch, &["file/data"])
}

/// A store with some history, closed.
async fn closed_store(folder: &Path) -> Result<Launch> {
    let mut server = start(folder)?;
    let client = server.connect("tarn").await?;
    client::run(&client, "CREATE SCHEMA a").await?;
    client::run(&client, "CREATE TABLE a.t AS SELECT 1 AS id").await?;
    drop(client);
    server.terminate()?;
    Ok(server.launch().clone())
}

async fn damaged_store() -> Result<()> {
    let folder = folder()?;
    let launch = closed_store(folder.path()).await?;
    let mut damaged = 0;
    for entry in std::fs::read_dir(launch.data_dir.join("catalog"))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("MANIFEST") {
            let mut bytes = std::fs::read(entry.path())?;
            let middle = bytes.len() / 2;
            bytes[middle..].fill(0xa5);
            std::fs::write(entry.path(), bytes)?;
            damaged += 1;
        }
    }
    if damaged == 0 {
        return Err("there is no MANIFEST to damage".into());
    }
    fails_with(launch, &["catalog"])
}

/// The write-ahead log and the tables are gone: what was acknowledged cannot be there any more.
async fn missing_store_files() -> Result<()> {
    let folder = folder()?;
    let launch = closed_store(folder.path()).await?;
    let mut removed = 0;
    for entry in std::fs::read_dir(launch.data_dir.join("catalog"))?.flatten() {
        let is_content =
            entry.path().extension().is_some_and(|extension| extension == "sst" || extension == "log");
        if is_content {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    if removed == 0 {
        return Err("there is nothing to remove".into());
    }
    fails_with(launch, &["catalog"])
}

fn network_address() -> Result<()> {
    let folder = folder()?;
    let mut launch = Launch::new(&folder.path().join("data"))?;
    launch.postgres = "0.0.0.0:0".to_string();
    fails_with(launch, &["loopback", "TLS"])
}

fn unknown_setting() -> Result<()> {
    let folder = folder()?;
    let settings = folder.path().join("tarn.toml");
    std::fs::write(&settings, "[storage]\nwarehuose = \"file:///nowhere\"\n")?;
    let mut launch = Launch::new(&folder.path().join("data"))?;
    launch.arguments = vec!["--config".to_string(), settings.to_string_lossy().into_owned()];
    fails_with(launch, &["warehuose", "warehouse", "tarn.toml"])
}

fn wrong_setting() -> Result<()> {
    let folder = folder()?;
    let mut launch = Launch::new(&folder.path().join("data"))?;
    launch.environment = vec![("TARN_LIMITS_CONNECTIONS".to_string(), "many".to_string())];
    fails_with(launch, &["TARN_LIMITS_CONNECTIONS", "many"])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Statement {
    Short,
    Long,
}

/// Ends the server while a statement runs: the short one must get its rows, the long one a clear error.
async fn gentle_end(statement: Statement) -> Result<()> {
    let folder = folder()?;
    let mut launch = Launch::new(&folder.path().join("data"))?;
    let grace = if statement == Statement::Short { "30s" } else { "1s" };
    launch.environment = vec![("TARN_LIMITS_SHUTDOWN_GRACE".to_string(), grace.to_string())];
    let mut server = launch.start()?;
    let client = server.connect("tarn").await?;
    let rows: u64 = if statement == Statement::Short { 100 } else { 1_000_000_000 };
    let sql = format!(
        "SELECT count(*) FROM generate_series(1, 10000) AS a(x), generate_series(1, {rows}) AS b(y) WHERE x * y % 7 = 3"
    );
    let running = tokio::spawn(async move { client::run(&client, &sql).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.ask_to_end()?;
    let outcome = running.await?;
    server.wait_for_end()?;
    match (statement, outcome) {
        (Statement::Short, Ok(_)) => Ok(()),
        (Statement::Long, Err(client::Failure::Refused(error)))
            if ["57P01", "57014"].contains(&&*error.sqlstate) =>
        {
            Ok(())
        }
        (_, outcome) => Err(format!("{outcome:?}").into()),
    }
}

#[cfg(unix)]
fn private_folder() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder()?;
    let server = start(folder.path())?;
    let mode = std::fs::metadata(&server.launch().data_dir)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(format!("its mode is {mode:o}").into()) }
}

#[cfg(not(unix))]
fn private_folder() -> Result<()> {
    Ok(())
}
