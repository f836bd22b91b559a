//! The figures (`make bench`), each as a ratio to a peer that did the same on the same files in the same run: the 22
//! queries of TPC-H against DuckDB and plain DataFusion, CREATE TABLE AS against DuckDB's COPY, and what the process
//! itself costs (memory, start).
//!
//! `engines` holds the three engines behind one face, `agree` says when their results are equal, `process` measures
//! the server process, `report` draws the page. A result that is not equal counts as failed and its time as nothing.

mod agree;
mod engines;
mod process;
mod report;

use crate::server::{Launch, Server};
use crate::shown::Progress;
use crate::tally::Tally;
use crate::tpch::{Format, Slice, TABLES, Table};
use crate::{Result, client, tpch};
use engines::{DataFusion, DuckDb, Engine, Tarn};
use report::{Measured, Report};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// TPC-H scale factor
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// Runs of each query on each engine; the fastest counts
    #[arg(long, default_value_t = 3)]
    pub runs: u32,
    /// Only these queries (1 to 22)
    #[arg(long, value_delimiter = ',')]
    pub queries: Vec<u32>,
    /// Where the generated files, the server's data and the report lie
    #[arg(long, default_value = "bench-data")]
    pub folder: PathBuf,
}

/// The large tables come in as many files, as they do in a lake; all three engines read the same ones.
const PARTS_OF_LARGE: i32 = 4;
/// How long the idle server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

pub async fn run(options: &Options) -> Result<Tally> {
    std::fs::create_dir_all(&options.folder)?;
    let folder = options.folder.canonicalize()?;
    let files = generate(&folder, options.scale).await?;
    let data_dir = folder.join("server");
    if data_dir.exists() {
        std::fs::remove_dir_all(&data_dir)?;
    }
    let mut report = Report::new(options.scale, options.runs);
    let mut server = Launch::new(&data_dir)?.start()?;
    crawl(&server, &files).await?;
    measure_start(&mut server, &mut report).await?;

    let mut tarn = Tarn::open(&server).await?;
    let mut datafusion = DataFusion::open(&files).await?;
    let mut duckdb = DuckDb::open(&files)?;
    report.versions = format!("DuckDB {}, DataFusion {}", duckdb.version()?, datafusion::DATAFUSION_VERSION);
    for (number, sql) in queries(&options.queries)? {
        let measured = measure_query(options.runs, &sql, &mut tarn, &mut datafusion, &mut duckdb).await?;
        println!("{}", report.add_query(number, measured));
    }
    let ctas = measure_ctas(options.runs, &folder, &mut tarn, &mut duckdb).await?;
    println!("{}", report.set_ctas(ctas));
    report.peak_bytes = process::peak_bytes(server.process_id())?;
    server.terminate()?;

    let page = report.page();
    println!("\n{page}");
    std::fs::write(folder.join("report.md"), &page)?;
    Ok(report.tally())
}

/// Writes the files once; a mark says that all of them are there. Gives their folder.
pub async fn generate(folder: &Path, scale: f64) -> Result<PathBuf> {
    let files = folder.join(format!("tpch-sf{scale}"));
    let mark = files.join("complete");
    if mark.exists() {
        return Ok(files);
    }
    Progress::new("generating the text", None).show(tokio::task::spawn_blocking(tpch::prepare)).await?;
    for table in TABLES {
        let parts = if matches!(table, Table::LineItem | Table::Orders) { PARTS_OF_LARGE } else { 1 };
        let target = files.join(table.name());
        let work = tokio::task::spawn_blocking(move || -> Result<()> {
            for part in 1..=parts {
                let path = target.join(format!("part-{part}.parquet"));
                table.write(Slice { scale, part, parts }, Format::Parquet, &path)?;
            }
            Ok(())
        });
        Progress::new(&format!("generating {}", table.name()), Some(&files)).show(work).await??;
    }
    std::fs::write(&mark, "")?;
    Ok(files)
}

/// Makes the same files queryable in place, as a user would.
async fn crawl(server: &Server, files: &Path) -> Result<()> {
    let client = server.connect("tarn").await?;
    let sql = format!("CALL system.crawl(location => '{}', schema => 'tpch')", files.display());
    client::run(&client, &sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    Ok(())
}

/// From the start of the process to the answer of a first query over a table, and its memory when left alone.
async fn measure_start(server: &mut Server, report: &mut Report) -> Result<()> {
    server.terminate()?;
    let started = std::time::Instant::now();
    server.restart()?;
    let client = server.connect("tarn").await?;
    client::scalar(&client, "SELECT count(*) FROM tpch.nation").await?;
    report.start = started.elapsed();
    drop(client);
    server.terminate()?;
    server.restart()?;
    tokio::time::sleep(IDLE).await;
    report.idle_bytes = process::resident_bytes(server.process_id())?;
    Ok(())
}

fn queries(wanted: &[u32]) -> Result<Vec<(u32, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/queries");
    let numbers = (1..=22).filter(|number| wanted.is_empty() || wanted.contains(number));
    let read = |number: u32| Ok((number, std::fs::read_to_string(folder.join(format!("q{number:02}.sql")))?));
    numbers.map(read).collect()
}

/// One query on the three engines in turn, so that a slow moment of the machine meets all of them.
async fn measure_query(
    runs: u32,
    sql: &str,
    tarn: &mut Tarn,
    datafusion: &mut DataFusion,
    duckdb: &mut DuckDb,
) -> Result<Measured> {
    let rows = [tarn.rows(sql).await?, datafusion.rows(sql).await?, duckdb.rows(sql).await?];
    let disagreement = agree::difference("tarn", &rows[0], "DataFusion", &rows[1])
        .or_else(|| agree::difference("tarn", &rows[0], "DuckDB", &rows[2]));
    let mut fastest = [Duration::MAX; 3];
    for _ in 0..runs {
        fastest[0] = fastest[0].min(tarn.time(sql).await?);
        fastest[1] = fastest[1].min(datafusion.time(sql).await?);
        fastest[2] = fastest[2].min(duckdb.time(sql).await?);
    }
    let [tarn, datafusion, duckdb] = fastest;
    Ok(Measured { tarn, datafusion: Some(datafusion), duckdb, rows: rows[0].len(), disagreement })
}

/// CREATE TABLE AS of lineitem into Iceberg against a COPY of the same rows into one Parquet file.
async fn measure_ctas(runs: u32, folder: &Path, tarn: &mut Tarn, duckdb: &mut DuckDb) -> Result<Measured> {
    let copied = folder.join("lineitem-copy.parquet");
    let copy =
        format!("COPY (SELECT * FROM lineitem) TO '{}' (FORMAT parquet, COMPRESSION zstd)", copied.display());
    let (mut tarn_time, mut duckdb_time) = (Duration::MAX, Duration::MAX);
    tarn.time("CREATE SCHEMA written").await?;
    for _ in 0..runs {
        tarn_time = tarn_time
            .min(tarn.time("CREATE OR REPLACE TABLE written.lineitem AS SELECT * FROM lineitem").await?);
        duckdb_time = duckdb_time.min(duckdb.time(&copy).await?);
    }
    let count = |table: &str| format!("SELECT count(*), sum(l_quantity), sum(l_extendedprice) FROM {table}");
    let written = tarn.rows(&count("written.lineitem")).await?;
    let read = duckdb.rows(&count(&format!("'{}'", copied.display()))).await?;
    let disagreement = agree::difference("tarn", &written, "DuckDB", &read);
    std::fs::remove_file(&copied)?;
    Ok(Measured { tarn: tarn_time, datafusion: None, duckdb: duckdb_time, rows: written.len(), disagreement })
}
