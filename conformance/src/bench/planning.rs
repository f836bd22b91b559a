//! Choosing a few of very many files: a table with a file for each hundred keys, of which a query needs ten, and of which
//! a point query needs one. What EXPLAIN takes is planning alone.

use super::Options;
use super::engines::{Engine, Tarn};
use super::report::Report;
use crate::Result;
use crate::server::Server;
use std::time::Duration;

const KEYS_PER_FILE: u64 = 100;
const FILES_WANTED: u64 = 10;
/// Runs of each query; the fastest counts.
const RUNS: u32 = 10;

pub async fn measure(options: &Options, server: &Server, report: &mut Report) -> Result<()> {
    let mut tarn = Tarn::open(server, "public").await?;
    let files = options.planning_files;
    let keys = files * KEYS_PER_FILE;
    tarn.time(&format!(
        "CREATE TABLE planned PARTITIONED BY (truncate(k, {KEYS_PER_FILE})) AS \
         SELECT k, k % 7 AS v FROM generate_series(0, {}) AS g(k)",
        keys - 1
    ))
    .await?;
    let first = keys / 2;
    let range = format!(
        "SELECT count(*), min(k), max(k), sum(v) FROM planned WHERE k BETWEEN {first} AND {}",
        first + FILES_WANTED * KEYS_PER_FILE - 1
    );
    let rows = tarn.rows(&range).await?;
    let count = (FILES_WANTED * KEYS_PER_FILE).to_string();
    let right = rows.first().and_then(|row| row.first()).cloned().flatten() == Some(count);
    let planned = fastest(&mut tarn, &format!("EXPLAIN {range}")).await?;
    let name = format!("planning {files} files down to {FILES_WANTED}");
    println!("{}", report.add_figure(&name, milliseconds(planned), right));

    let point = format!("SELECT v FROM planned WHERE k = {first}");
    let right = tarn.rows(&point).await? == vec![vec![Some((first % 7).to_string())]];
    let took = fastest(&mut tarn, &point).await?;
    let name = format!("a point query on {files} files");
    println!("{}", report.add_figure(&name, milliseconds(took), right));
    Ok(())
}

async fn fastest(tarn: &mut Tarn, sql: &str) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..RUNS {
        fastest = fastest.min(tarn.time(sql).await?);
    }
    Ok(fastest)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
