//! Writing: CREATE TABLE AS against DuckDB's COPY, and a MERGE that changes one row in a hundred, all over the table,
//! against writing the table anew.

use super::agree;
use super::engines::{DuckDb, Engine, Tarn};
use super::report::{Measured, Report};
use crate::Result;
use std::path::Path;
use std::time::Duration;

/// One order in so many is changed.
const CHANGED: u32 = 100;

/// CREATE TABLE AS of lineitem into Iceberg against a COPY of the same rows into one Parquet file.
pub async fn create_table(
    runs: u32,
    folder: &Path,
    tarn: &mut Tarn,
    duckdb: &mut DuckDb,
) -> Result<Measured> {
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

/// A MERGE of scattered updates into the table that `create_table` left.
pub async fn merge(tarn: &mut Tarn, report: &mut Report) -> Result<()> {
    let total = "SELECT sum(l_quantity) FROM written.lineitem";
    let changed = format!("SELECT count(*) FROM written.lineitem WHERE l_orderkey % {CHANGED} = 0");
    let (before, expect) = (tarn.rows(total).await?, tarn.rows(&changed).await?);
    let rewrite = tarn.time("CREATE OR REPLACE TABLE written.copy AS SELECT * FROM written.lineitem").await?;
    let merge = tarn
        .time(&format!(
            "MERGE INTO written.lineitem t USING (SELECT l_orderkey AS k, l_linenumber AS n FROM lineitem \
             WHERE l_orderkey % {CHANGED} = 0) s ON t.l_orderkey = s.k AND t.l_linenumber = s.n \
             WHEN MATCHED THEN UPDATE SET l_quantity = t.l_quantity + 1"
        ))
        .await?;
    let more = format!("SELECT sum(l_quantity) - ({}) FROM written.lineitem", cell(&before)?);
    let difference = agree::difference("after MERGE", &tarn.rows(&more).await?, "rows changed", &expect);
    println!(
        "{}",
        report.add_task("MERGE of 1 % scattered", merge, "writing the table anew", rewrite, difference)
    );
    Ok(())
}

fn cell(rows: &[Vec<Option<String>>]) -> Result<String> {
    let cell = rows.first().and_then(|row| row.first()).cloned().flatten();
    cell.ok_or_else(|| "the query gave nothing".into())
}
