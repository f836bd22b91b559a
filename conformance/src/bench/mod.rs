//! The figures (`make bench`), each as a ratio to a peer that did the same on the same files in the same run: the 22
//! queries of TPC-H against DuckDB and plain DataFusion, CREATE TABLE AS against DuckDB's COPY, and what the process
//! itself costs (memory, start).
//!
//! `engines` holds the three engines behind one face, `agree` says when their results are equal, `tpcds`, `write`,
//! `commits`, `planning`, `door` and `flight` are suites of their own, `process` measures the server process, `report` draws the
//! page. A result that is not equal counts as failed and its time as nothing.

mod agree;
mod commits;
mod door;
mod engines;
mod flight;
mod planning;
mod process;
mod report;
mod tpcds;
mod write;

use crate::server::{Launch, Server};
use crate::shown::Progress;
use crate::tally::Tally;
use crate::tpch::{Format, Slice, TABLES, Table};
use crate::{Result, client, tpch};
use engines::{DataFusion, DuckDb, Engine, Tarn};
use report::{Measured, Report};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// TPC-H scale factor
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// Runs of each query on each engine; the fastest counts
    #[arg(long, default_value_t = 3)]
    pub runs: u32,
    /// Only these queries (1 to 22, of TPC-DS 1 to 99)
    #[arg(long, value_delimiter = ',')]
    pub queries: Vec<u32>,
    /// What is measured
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Suite::Tpch, Suite::Write, Suite::Commits, Suite::Planning, Suite::Door, Suite::Flight, Suite::Crowd])]
    pub suites: Vec<Suite>,
    /// TPC-DS scale factor
    #[arg(long, default_value_t = 1.0)]
    pub tpcds_scale: f64,
    /// Data files of the table whose planning is measured
    #[arg(long, default_value_t = 10_000)]
    pub planning_files: u64,
    /// Tables of the catalog whose queries are measured
    #[arg(long, default_value_t = 100_000)]
    pub tables: u32,
    /// Connections that stay idle
    #[arg(long, default_value_t = 5_000)]
    pub connections: u32,
    /// Memory for the server's operators, as its setting takes it (1GiB); without it the server's own default
    #[arg(long)]
    pub memory: Option<String>,
    /// Where the generated files, the server's data and the report lie
    #[arg(long, default_value = "bench-data")]
    pub folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// The 22 queries of TPC-H on Iceberg tables
    Tpch,
    /// The 99 queries of TPC-DS on Iceberg tables
    Tpcds,
    /// CREATE TABLE AS, and MERGE of one row in a hundred
    Write,
    /// Commits per second of 64 sessions
    Commits,
    /// Choosing a few of very many files
    Planning,
    /// The PostgreSQL door against PostgreSQL
    Door,
    /// The Flight SQL door against a bare Flight server
    Flight,
    /// Very many tables and idle connections
    Crowd,
}

/// The large tables come in as many files, as they do in a lake; all three engines read the same ones.
const PARTS_OF_LARGE: i32 = 4;
/// Beside the idle ones.
const CONNECTIONS_BESIDE: u32 = 100;
/// How long the idle server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

pub async fn run(options: &Options) -> Result<Tally> {
    std::fs::create_dir_all(&options.folder)?;
    let folder = options.folder.canonicalize()?;
    let data_dir = folder.join("server");
    if data_dir.exists() {
        std::fs::remove_dir_all(&data_dir)?;
    }
    let mut report = Report::new(options.scale, options.runs);
    let mut launch = Launch::new(&data_dir)?;
    launch
        .environment
        .extend(options.memory.clone().map(|memory| ("TARN_LIMITS_MEMORY".to_string(), memory)));
    let connections = (options.connections + CONNECTIONS_BESIDE).to_string();
    launch.environment.push(("TARN_LIMITS_CONNECTIONS".to_string(), connections));
    let mut server = launch.start()?;
    let wants = |suite| options.suites.contains(&suite);
    if [Suite::Tpch, Suite::Write, Suite::Door, Suite::Flight].into_iter().any(wants) {
        measure_tpch(options, &folder, &mut server, &mut report).await?;
    }
    if wants(Suite::Tpcds) {
        tpcds::measure(options, &folder, &server, &mut report).await?;
    }
    if wants(Suite::Commits) {
        commits::measure(&server, &mut report).await?;
    }
    if wants(Suite::Planning) {
        planning::measure(options, &server, &mut report).await?;
    }
    if wants(Suite::Door) {
        door::measure(&server, &folder, options.runs, &mut report).await?;
    }
    if wants(Suite::Flight) {
        flight::measure(&server, &folder, options.runs, &mut report).await?;
    }
    if wants(Suite::Crowd) {
        door::measure_crowd(&server, options.tables, options.connections, &mut report).await?;
    }
    report.peak_bytes = process::peak_bytes(server.process_id())?;
    server.terminate()?;

    let page = report.page();
    println!("\n{page}");
    std::fs::write(folder.join("report.md"), &page)?;
    Ok(report.tally())
}

async fn measure_tpch(
    options: &Options,
    folder: &Path,
    server: &mut Server,
    report: &mut Report,
) -> Result<()> {
    let files = generate(folder, options.scale).await?;
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name()).collect();
    load(server, &files, "tpch", &tables).await?;
    measure_start(server, report).await?;
    let mut tarn = Tarn::open(server, "tpch").await?;
    let mut datafusion = DataFusion::open(&files).await?;
    let mut duckdb = DuckDb::open(&files)?;
    report.versions = format!("DuckDB {}, DataFusion {}", duckdb.version()?, datafusion::DATAFUSION_VERSION);
    if options.suites.contains(&Suite::Tpch) {
        for (number, sql) in queries("queries", 22, &options.queries)? {
            let measured = measure_query(options.runs, &sql, &mut tarn, &mut datafusion, &mut duckdb).await?;
            println!("{}", report.add_query(number, measured));
        }
    }
    if options.suites.contains(&Suite::Write) {
        let ctas = write::create_table(options.runs, folder, &mut tarn, &mut duckdb).await?;
        println!("{}", report.set_ctas(ctas));
        write::merge(&mut tarn, report).await?;
    }
    Ok(())
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

/// The Python that has what `bench/requirements.txt` asks for.
fn python() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(here.join("clients/venv.sh"));
    let python = command.arg(here.join("bench/requirements.txt")).stderr(Stdio::inherit()).output()?;
    if !python.status.success() {
        return Err("the peers could not be installed from PyPI".into());
    }
    Ok(PathBuf::from(String::from_utf8(python.stdout)?.trim()))
}

/// Makes Iceberg tables of the same files, as a user would.
async fn load(server: &Server, files: &Path, schema: &str, tables: &[&str]) -> Result<()> {
    let client = server.connect("tarn").await?;
    let mut steps = vec![
        format!("CALL system.crawl(location => '{}', schema => '{schema}_files')", files.display()),
        format!("CREATE SCHEMA {schema}"),
    ];
    let table = |name: &&str| format!("CREATE TABLE {schema}.{name} AS SELECT * FROM {schema}_files.{name}");
    steps.extend(tables.iter().map(table));
    for sql in steps {
        client::run(&client, &sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
    }
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

/// The texts of a folder's queries, or of those that are wanted.
fn queries(folder: &str, count: u32, wanted: &[u32]) -> Result<Vec<(u32, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench").join(folder);
    let numbers = (1..=count).filter(|number| wanted.is_empty() || wanted.contains(number));
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
