//! All rows of lineitem: out through psql and psycopg, out and in by COPY. The clients are the same programs on both
//! sides; what they cost themselves is in both times.

use super::Side;
use crate::bench::agree;
use crate::bench::report::Report;
use crate::shown::Progress;
use crate::{Result, client};
use futures::TryStreamExt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The columns of TPC-H in PostgreSQL's words, as the table in Tarn has them.
const LINEITEM: &str = "(l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, \
    l_quantity numeric(15,2), l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), \
    l_returnflag text, l_linestatus text, l_shipdate date, l_commitdate date, l_receiptdate date, \
    l_shipinstruct text, l_shipmode text, l_comment text)";
const ORDERS: &str = "(o_orderkey bigint PRIMARY KEY, o_custkey bigint, o_orderstatus text, \
    o_totalprice numeric(15,2), o_orderdate date, o_orderpriority text, o_clerk text, o_shippriority int, \
    o_comment text)";
const CHECK: &str = "SELECT count(*), sum(l_orderkey)::bigint, sum(l_extendedprice), min(l_comment), \
    max(l_shipdate) FROM";
const FORMATS: [&str; 3] = ["text", "csv", "binary"];

pub async fn measure(
    tarn: Side<'_>,
    peer: Side<'_>,
    folder: &Path,
    runs: u32,
    report: &mut Report,
) -> Result<()> {
    let file = |format: &str| folder.join(format!("lineitem.{format}"));
    for format in FORMATS {
        copy_out(tarn, "lineitem", format, Stdio::from(File::create(file(format))?))?;
    }
    prepare(tarn, peer, &file("binary"), folder).await?;
    for format in FORMATS {
        let ours = fastest(runs, || copy_out(tarn, "lineitem", format, Stdio::null()))?;
        let theirs = fastest(runs, || copy_out(peer, "lineitem", format, Stdio::null()))?;
        let name = format!("COPY lineitem TO STDOUT, {format}");
        println!("{}", report.add_task(&name, ours, peer.name, theirs, None));
    }
    for format in FORMATS {
        let ours = fastest_in(runs, tarn, format, &file(format)).await?;
        let theirs = fastest_in(runs, peer, format, &file(format)).await?;
        let difference = disagreement(tarn, "copied", peer, "lineitem").await?;
        let name = format!("COPY lineitem FROM STDIN, {format}");
        println!("{}", report.add_task(&name, ours, peer.name, theirs, difference));
        std::fs::remove_file(file(format))?;
    }
    selects(tarn, peer, runs, report).await
}

/// Gives PostgreSQL the same rows, and a key for point queries.
async fn prepare(tarn: Side<'_>, peer: Side<'_>, lineitem: &Path, folder: &Path) -> Result<()> {
    let client = peer.connect().await?;
    for sql in [format!("CREATE TABLE lineitem {LINEITEM}"), format!("CREATE TABLE orders {ORDERS}")] {
        client::run(&client, &sql).await?;
    }
    let orders = folder.join("orders.binary");
    copy_out(tarn, "orders", "binary", Stdio::from(File::create(&orders)?))?;
    copy_in(peer, "lineitem", "binary", lineitem)?;
    copy_in(peer, "orders", "binary", &orders)?;
    std::fs::remove_file(&orders)?;
    for sql in ["VACUUM ANALYZE lineitem", "VACUUM ANALYZE orders", "CHECKPOINT"] {
        client::run(&client, sql).await?;
    }
    match disagreement(tarn, "lineitem", peer, "lineitem").await? {
        Some(difference) => Err(format!("PostgreSQL did not get the same rows: {difference}").into()),
        None => Ok(()),
    }
}

async fn disagreement(tarn: Side<'_>, ours: &str, peer: Side<'_>, theirs: &str) -> Result<Option<String>> {
    let mut rows = Vec::new();
    for (side, table) in [(tarn, ours), (peer, theirs)] {
        let sql = format!("{CHECK} {}.{table}", side.schema);
        rows.push(client::run(&side.connect().await?, &sql).await?.rows);
    }
    Ok(agree::difference(tarn.name, &rows[0], peer.name, &rows[1]))
}

fn copy_out(side: Side<'_>, table: &str, format: &str, output: Stdio) -> Result<Duration> {
    let sql = format!("COPY {}.{table} TO STDOUT (FORMAT {format})", side.schema);
    timed(side.psql().arg("-c").arg(sql).stdout(output))
}

fn copy_in(side: Side<'_>, table: &str, format: &str, file: &Path) -> Result<Duration> {
    let sql = format!("COPY {}.{table} FROM STDIN (FORMAT {format})", side.schema);
    timed(side.psql().arg("-c").arg(sql).stdin(File::open(file)?))
}

async fn fastest_in(runs: u32, side: Side<'_>, format: &str, file: &Path) -> Result<Duration> {
    let client = side.connect().await?;
    let mut best = Duration::MAX;
    for _ in 0..runs {
        client::run(&client, &format!("DROP TABLE IF EXISTS {}.copied", side.schema)).await?;
        client::run(&client, &format!("CREATE TABLE {}.copied {LINEITEM}", side.schema)).await?;
        best = best.min(copy_in(side, "copied", format, file)?);
    }
    Ok(best)
}

async fn selects(tarn: Side<'_>, peer: Side<'_>, runs: u32, report: &mut Report) -> Result<()> {
    let python = crate::bench::python()?;
    let psql = |side: Side<'_>| {
        let sql = format!("SELECT * FROM {}.lineitem", side.schema);
        timed(side.psql().args(["-o", "/dev/null", "-c", &sql]))
    };
    let psycopg = |side: Side<'_>| {
        let mut command = Command::new(&python);
        command.arg(here().join("bench/psycopg_rows.py"));
        command.args([&side.addresses.host, &side.addresses.port.to_string(), side.database, side.schema]);
        let output = command.stderr(Stdio::inherit()).output()?;
        let seconds = String::from_utf8(output.stdout)?;
        Ok(Duration::from_secs_f64(seconds.trim().parse()?))
    };
    let (ours, theirs) = (fastest(runs, || psql(tarn))?, fastest(runs, || psql(peer))?);
    println!("{}", report.add_task("SELECT * FROM lineitem, psql", ours, peer.name, theirs, None));
    let (ours, theirs) = (fastest(runs, || psycopg(tarn))?, fastest(runs, || psycopg(peer))?);
    println!("{}", report.add_task("SELECT * FROM lineitem, psycopg binary", ours, peer.name, theirs, None));
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..runs {
        ours = ours.min(drain(tarn).await?);
        theirs = theirs.min(drain(peer).await?);
    }
    let name = "SELECT * FROM lineitem, binary rows received and not read";
    println!("{}", report.add_task(name, ours, peer.name, theirs, None));
    Ok(())
}

/// Receives all rows in the binary form without looking into them: the least that a client can do.
async fn drain(side: Side<'_>) -> Result<Duration> {
    let client = side.connect().await?;
    let started = Instant::now();
    let sql = format!("SELECT * FROM {}.lineitem", side.schema);
    let rows = client.query_raw(&sql, Vec::<i32>::new()).await?;
    let count = rows.try_fold(0_u64, |count, _| async move { Ok(count + 1) });
    let count = Progress::new("receiving", None).show(count).await?;
    let took = started.elapsed();
    if count == 0 { Err("no row was received".into()) } else { Ok(took) }
}

fn timed(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed();
    if status.success() { Ok(took) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn fastest(runs: u32, mut run: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..runs {
        best = best.min(run()?);
    }
    Ok(best)
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
