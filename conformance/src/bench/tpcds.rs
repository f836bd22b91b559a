//! The 99 queries of TPC-DS, on Iceberg tables made of the files that DuckDB's generator wrote, against DuckDB on the
//! files. The texts are those of DuckDB's extension.

use super::engines::{DuckDb, Engine, Tarn};
use super::report::{Measured, Report};
use super::{Options, agree, load, queries};
use crate::Result;
use crate::server::Server;
use crate::shown::Progress;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub async fn measure(options: &Options, folder: &Path, server: &Server, report: &mut Report) -> Result<()> {
    let files = generate(folder, options.tpcds_scale).await?;
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(&files)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            tables.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    load(server, &files, "tpcds", &names).await?;
    let mut tarn = Tarn::open(server, "tpcds").await?;
    let mut duckdb = DuckDb::open(&files)?;
    for (number, sql) in queries("tpcds", 99, &options.queries)? {
        let measured = measure_query(options.runs, &sql, &mut tarn, &mut duckdb).await?;
        println!("{}", report.add_tpcds(number, measured));
    }
    Ok(())
}

/// A query that Tarn refuses counts as failed; the others go on.
async fn measure_query(runs: u32, sql: &str, tarn: &mut Tarn, duckdb: &mut DuckDb) -> Result<Measured> {
    let expect = duckdb.rows(sql).await?;
    let (mut fastest, mut peer, mut rows) = (Duration::MAX, Duration::MAX, 0);
    let disagreement = match tarn.rows(sql).await {
        Ok(got) => {
            rows = got.len();
            agree::difference("tarn", &got, "DuckDB", &expect)
        }
        Err(error) => Some(error.to_string()),
    };
    for _ in 0..runs {
        peer = peer.min(duckdb.time(sql).await?);
        if rows > 0 || disagreement.is_none() {
            fastest = fastest.min(tarn.time(sql).await?);
        }
    }
    Ok(Measured { tarn: fastest, datafusion: None, duckdb: peer, rows, disagreement })
}

/// Writes the files once; a mark says that all of them are there.
async fn generate(folder: &Path, scale: f64) -> Result<PathBuf> {
    let files = folder.join(format!("tpcds-sf{scale}"));
    let mark = files.join("complete");
    if mark.exists() {
        return Ok(files);
    }
    let target = files.clone();
    let work = tokio::task::spawn_blocking(move || -> Result<()> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let requirements = here.join("bench/tpcds-requirements.txt");
        let python =
            Command::new(here.join("clients/venv.sh")).arg(requirements).stderr(Stdio::inherit()).output()?;
        let python = String::from_utf8(python.stdout)?;
        let mut command = Command::new(python.trim());
        let done = command.arg(here.join("bench/dsdgen.py")).arg(&target).arg(scale.to_string()).status()?;
        if done.success() { Ok(()) } else { Err("the tables of TPC-DS could not be made".into()) }
    });
    Progress::new("generating TPC-DS", Some(&files)).show(work).await??;
    std::fs::write(&mark, "")?;
    Ok(files)
}
