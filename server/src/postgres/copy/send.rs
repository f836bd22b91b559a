//! Sends the rows of a `COPY TO`: batches are written by other threads, a few at a time, and sent in their order. Each row
//! is a CopyData message of its own, as clients expect; in a file there are no messages.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::timezone::Tz;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};
use tarn_sql::{CopyFormat, CopyOptions, FileSink, Rows};
use tokio::task::JoinHandle;

use super::chunks_ahead;
use super::write::{CopyWriter, Outgoing};
use crate::postgres::connection::Connection;
use crate::postgres::error::Failure;
use crate::postgres::output::Output;

impl Connection {
    /// Sends all rows, or puts them into a file; gives the command tag.
    pub async fn copy_out(
        &mut self,
        schema: SchemaRef,
        rows: Rows,
        options: CopyOptions,
        file: Option<FileSink>,
        output: &mut Output,
    ) -> Result<String, Failure> {
        let sent = match file {
            Some(file) => copy_to_file(&schema, rows, options, self.zone(), file).await?,
            None => {
                let sent = self.copy_to_client(&schema, rows, options, output).await?;
                self.door.metrics.rows_sent.increment(sent);
                sent
            }
        };
        Ok(format!("COPY {sent}"))
    }

    async fn copy_to_client(
        &mut self,
        schema: &SchemaRef,
        rows: Rows,
        options: CopyOptions,
        output: &mut Output,
    ) -> Result<u64, Failure> {
        let binary = options.format == CopyFormat::Binary;
        let width = schema.fields().len();
        let columns = i16::try_from(width);
        let columns = columns.map_err(|_| Failure::error("54000", "a copy has more than 32767 columns"))?;
        let response = CopyOutResponse::new(i8::from(binary), columns, vec![i16::from(binary); width]);
        output.put(&Backend::CopyOutResponse(response))?;
        let writer = Arc::new(CopyWriter::new(schema, options, self.zone(), true));
        output.put_with(|buffer| writer.begin(buffer))?;
        let mut outgo = Outgo::new(&writer, rows);
        outgo.run(&mut Destination::Client(output)).await?;
        output.put_with(|buffer| writer.end(!outgo.begun, buffer))?;
        output.put(&Backend::CopyDone(CopyDone::new()))?;
        Ok(outgo.sent)
    }
}

/// Writes all rows into a file, of which nothing is left when that fails.
async fn copy_to_file(
    schema: &SchemaRef,
    rows: Rows,
    options: CopyOptions,
    zone: Tz,
    mut file: FileSink,
) -> Result<u64, Failure> {
    let writer = Arc::new(CopyWriter::new(schema, options, zone, false));
    let mut outgo = Outgo::new(&writer, rows);
    let filled = async {
        let mut bytes = Vec::new();
        writer.begin(&mut bytes)?;
        file.write(bytes).await?;
        outgo.run(&mut Destination::File(&mut file)).await?;
        let mut bytes = Vec::new();
        writer.end(!outgo.begun, &mut bytes)?;
        Ok(file.write(bytes).await?)
    };
    match filled.await {
        Ok(()) => {
            file.finish().await?;
            Ok(outgo.sent)
        }
        Err(failure) => {
            file.abandon().await;
            Err(failure)
        }
    }
}

/// Where the data goes.
enum Destination<'a> {
    Client(&'a mut Output),
    File(&'a mut FileSink),
}

/// A part of the data, the rows that it was made of, and the row of their batch after the last.
struct Written {
    bytes: Vec<u8>,
    rows: Outgoing,
    next: usize,
}

type Writing = JoinHandle<Result<Written, tarn_sql::Error>>;

/// One `COPY TO` while its rows go out.
struct Outgo {
    writer: Arc<CopyWriter>,
    rows: Rows,
    /// Batches that are being written, in the order of the rows.
    writing: VecDeque<Writing>,
    sent: u64,
    /// There has been a row.
    begun: bool,
    more: bool,
}

impl Outgo {
    fn new(writer: &Arc<CopyWriter>, rows: Rows) -> Outgo {
        let (writer, writing) = (Arc::clone(writer), VecDeque::new());
        Outgo { writer, rows, writing, sent: 0, begun: false, more: true }
    }

    async fn run(&mut self, output: &mut Destination<'_>) -> Result<(), Failure> {
        while self.more || !self.writing.is_empty() {
            let room = self.more && self.writing.len() < chunks_ahead();
            tokio::select! {
                biased;
                batch = self.rows.next(), if room => match batch {
                    Some(batch) => self.begin(batch?),
                    None => self.more = false,
                },
                written = front(&mut self.writing) => self.send(written?, output).await?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            let first = !std::mem::replace(&mut self.begun, true);
            let writing = self.write(Outgoing { batch, row: 0, first });
            self.writing.push_back(writing);
        }
    }

    fn write(&self, rows: Outgoing) -> Writing {
        let writer = Arc::clone(&self.writer);
        tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            let next = writer.write(&rows, &mut bytes)?;
            Ok(Written { bytes, rows, next })
        })
    }

    async fn send(&mut self, written: Written, output: &mut Destination<'_>) -> Result<(), Failure> {
        let Written { bytes, rows, next } = written;
        self.sent += (next - rows.row) as u64;
        if next < rows.batch.num_rows() {
            // Wide rows: the rest of the batch comes before all others.
            let writing = self.write(Outgoing { row: next, first: false, ..rows });
            self.writing.push_front(writing);
        }
        match output {
            Destination::Client(output) => output.send(&bytes).await,
            Destination::File(file) => Ok(file.write(bytes).await?),
        }
    }
}

/// What the first batch came to, when it is done; never, if there is none.
async fn front(writing: &mut VecDeque<Writing>) -> Result<Written, Failure> {
    let Some(first) = writing.front_mut() else { return std::future::pending().await };
    let written = first.await;
    writing.pop_front();
    let written = written
        .map_err(|error| Failure::error("XX000", format!("the rows could not be written: {error}")))?;
    Ok(written?)
}
