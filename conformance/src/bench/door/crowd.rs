//! A catalog of very many tables, asked as psql and drivers ask it, and very many connections that do nothing.

use crate::bench::engines::Tarn;
use crate::bench::process;
use crate::bench::report::Report;
use crate::server::Server;
use crate::{Result, client};
use std::time::{Duration, Instant};

const TABLES_AT_ONCE: u32 = 1_000;
const RUNS: u32 = 5;
/// What a catalog query may take, however many tables there are.
const CATALOG_MAX: Duration = Duration::from_millis(20);
const BYTES_OF_CONNECTION_MAX: u64 = 100 * 1024;

pub async fn measure(server: &Server, tables: u32, connections: u32, report: &mut Report) -> Result<()> {
    idle(server, connections, report).await?;
    catalogs(server, tables, report).await
}

async fn idle(server: &Server, connections: u32, report: &mut Report) -> Result<()> {
    let before = process::resident_bytes(server.process_id())?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(server.connect("tarn").await?);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = process::resident_bytes(server.process_id())?.saturating_sub(before);
    let each = grown / u64::from(connections);
    let value = format!("{:.0} KiB", each as f64 / 1024.0);
    let name = format!("memory of each of {connections} idle connections");
    println!("{}", report.add_figure(&name, value, each <= BYTES_OF_CONNECTION_MAX));
    Ok(())
}

async fn catalogs(server: &Server, tables: u32, report: &mut Report) -> Result<()> {
    let client = server.connect("tarn").await?;
    client::run(&client, "CREATE SCHEMA many").await?;
    let started = Instant::now();
    for first in (0..tables).step_by(TABLES_AT_ONCE as usize) {
        let table =
            |number| format!("CREATE TABLE many.t{number} (id bigint NOT NULL, name text, at timestamp);");
        let statements: String = (first..(first + TABLES_AT_ONCE).min(tables)).map(table).collect();
        client::run(&client, &format!("BEGIN; {statements} COMMIT")).await?;
    }
    let rate = f64::from(tables) / started.elapsed().as_secs_f64();
    println!(
        "{}",
        report.add_figure("tables made per second, 1,000 a transaction", format!("{rate:.0}"), true)
    );
    let name = format!("t{}", tables / 2);
    let mut psql = Tarn::open(server, "public").await?;
    for (title, text) in questions() {
        let sql = text.replace("{schema}", "many").replace("{table}", &name);
        let mut best = Duration::MAX;
        for _ in 0..RUNS {
            best = best.min(psql.time_of_command(&sql)?);
        }
        let title = format!("{title}, {tables} tables");
        let value = format!("{:.1} ms", best.as_secs_f64() * 1000.0);
        println!("{}", report.add_figure(&title, value, best <= CATALOG_MAX));
    }
    Ok(())
}

/// `\d` is what psql asks; the others are the texts that drivers send.
fn questions() -> [(&'static str, &'static str); 6] {
    [
        ("\\d of a table", "\\d {schema}.{table}"),
        ("\\dt of a name", "\\dt {schema}.{table}"),
        ("getTables of pgjdbc", include_str!("../../../bench/metadata/jdbc-tables.sql")),
        ("getColumns of pgjdbc", include_str!("../../../bench/metadata/jdbc-columns.sql")),
        ("getPrimaryKeys of pgjdbc", include_str!("../../../bench/metadata/jdbc-primary-keys.sql")),
        ("columns of SQLAlchemy", include_str!("../../../bench/metadata/sqlalchemy-columns.sql")),
    ]
}
