//! The Flight SQL door: lineitem ten times over, out against a bare Flight server that sends the same batches from memory
//! and against the PostgreSQL protocol's binary form, and in against writing the same rows as Parquet.

mod bare;

use super::report::Report;
use crate::flight::{self, Session};
use crate::server::Server;
use crate::shown::Progress;
use crate::{Result, client};
use arrow::record_batch::RecordBatch;
use bare::Bare;
use futures::{Stream, TryStreamExt, stream};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often lineitem is sent: 60 million rows at scale 1.
const TIMES: usize = 10;
const ONCE: &str = "SELECT * FROM tpch.lineitem";

/// Expects the tables of TPC-H in the server's schema `tpch`.
pub async fn measure(server: &Server, folder: &Path, runs: u32, report: &mut Report) -> Result<()> {
    let mut session = flight::connect(server.addresses(), "tarn", None).await?;
    let held: Vec<RecordBatch> = session.stream(ONCE).await?.try_collect().await?;
    let rows = held.iter().map(RecordBatch::num_rows).sum::<usize>() * TIMES;
    let out = [ONCE; TIMES].join(" UNION ALL ");
    let (mut ours, mut bare, mut postgres) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let peer = Bare::start(held.clone(), TIMES).await?;
    for _ in 0..runs {
        ours = ours.min(drained(session.stream(&out).await?, rows).await?);
        let mut client = Session::without_login(peer.address).await?;
        bare = bare.min(drained(client.fetched(arrow_flight::Ticket::default()).await?, rows).await?);
    }
    drop(peer);
    let once = drained(session.stream(ONCE).await?, rows / TIMES).await?;
    postgres = postgres.min(over_postgres(server, rows / TIMES).await?);
    let name = format!("{rows} rows by DoGet");
    println!("{}", report.add_task(&name, ours, "a bare Flight server", bare, None));
    let name = format!("{} rows by DoGet", rows / TIMES);
    println!("{}", report.add_task(&name, once, "the PostgreSQL protocol, binary", postgres, None));
    ingest(session, &held, folder, runs, report).await
}

/// Sends the rows into a new table, and writes them into a file.
async fn ingest(
    mut session: Session,
    held: &[RecordBatch],
    folder: &Path,
    runs: u32,
    report: &mut Report,
) -> Result<()> {
    let rows = held.iter().map(RecordBatch::num_rows).sum::<usize>() * TIMES;
    let (mut ours, mut local) = (Duration::MAX, Duration::MAX);
    let mut difference = None;
    for _ in 0..runs {
        session.update("DROP TABLE IF EXISTS tpch.ingested").await?;
        let started = Instant::now();
        let sent =
            stream::iter(std::iter::repeat_n(held.to_vec(), TIMES).flatten().map(Ok).collect::<Vec<_>>());
        let work = session.ingest("tpch", "ingested", sent);
        let count = Progress::new("ingesting", None).show(work).await?;
        ours = ours.min(started.elapsed());
        if count != rows as i64 {
            difference = Some(format!("{count} rows were taken of {rows}"));
        }
        let (batches, file) = (held.to_vec(), folder.join("ingested.parquet"));
        let work = tokio::task::spawn_blocking(move || written(&batches, &file));
        local = local.min(Progress::new("writing", None).show(work).await??);
    }
    let name = format!("{rows} rows by DoPut");
    println!("{}", report.add_task(&name, ours, "writing Parquet", local, difference));
    session.update("DROP TABLE tpch.ingested").await?;
    Ok(())
}

/// The time until all rows have been received.
async fn drained<S>(batches: S, rows: usize) -> Result<Duration>
where
    S: Stream<Item = arrow_flight::error::Result<RecordBatch>> + Send,
{
    let started = Instant::now();
    let count = batches.try_fold(0, |count, batch| async move { Ok(count + batch.num_rows()) });
    let count = Progress::new("receiving", None).show(count).await?;
    match count == rows {
        true => Ok(started.elapsed()),
        false => Err(format!("{count} rows were received, not {rows}").into()),
    }
}

async fn over_postgres(server: &Server, rows: usize) -> Result<Duration> {
    let client = client::connect_to(server.addresses(), "lake", "tarn", None).await?;
    let started = Instant::now();
    let received = client.query_raw(ONCE, Vec::<i32>::new()).await?;
    let count = received.try_fold(0, |count, _| async move { Ok(count + 1) });
    let count = Progress::new("receiving", None).show(count).await?;
    match count == rows {
        true => Ok(started.elapsed()),
        false => Err(format!("{count} rows were received, not {rows}").into()),
    }
}

/// As tables are written by default: zstd at its fastest ordinary level.
fn written(batches: &[RecordBatch], file: &Path) -> Result<Duration> {
    let Some(first) = batches.first() else { return Err("lineitem is empty".into()) };
    let started = Instant::now();
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(file)?, first.schema(), Some(properties))?;
    for _ in 0..TIMES {
        for batch in batches {
            writer.write(batch)?;
        }
    }
    writer.close()?;
    let took = started.elapsed();
    std::fs::remove_file(file)?;
    Ok(took)
}
