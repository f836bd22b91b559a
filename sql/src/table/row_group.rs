//! Encodes one row group of a Parquet file, its columns side by side when there are processors to spare. It must never
//! touch the file: finished columns are handed back. Next: `data_file.rs`, which appends them.
//!
//! ```text
//! batch ─┬─> lane 0: columns 0, 3 ─┐
//!        └─> lane 1: columns 1, 2 ─┴─> column chunks in the schema's order
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Batches that wait in front of a lane.
const LANE_BATCHES_MAX: usize = 2;

/// A row group being encoded.
pub(crate) struct RowGroupEncoder {
    lanes: Vec<Lane>,
    rows: usize,
}

impl RowGroupEncoder {
    /// `writers` are the leaf columns' writers in the schema's order; `lanes` is how many tasks share them.
    pub fn new(schema: &SchemaRef, writers: Vec<ArrowColumnWriter>, lanes: usize) -> RowGroupEncoder {
        let mut shares = deal(schema, writers, lanes);
        let lanes = match shares.len() {
            0 | 1 => vec![Lane::Inline(shares.pop().unwrap_or_default())],
            _ => shares.into_iter().map(Lane::spawn).collect(),
        };
        RowGroupEncoder { lanes, rows: 0 }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes the encoded columns have so far; lanes report them a batch late.
    pub fn bytes(&self) -> usize {
        self.lanes.iter().map(Lane::bytes).sum()
    }

    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        for lane in &mut self.lanes {
            lane.write(batch).await?;
        }
        Ok(())
    }

    /// The finished columns, in the schema's order.
    pub async fn finish(self) -> Result<Vec<ArrowColumnChunk>> {
        let mut chunks = Vec::new();
        for lane in self.lanes {
            chunks.extend(lane.finish().await?);
        }
        chunks.sort_by_key(|(leaf, _)| *leaf);
        Ok(chunks.into_iter().map(|(_, chunk)| chunk).collect())
    }
}

/// A top-level column and the writers of its leaves.
struct ColumnEncoder {
    column: usize,
    first_leaf: usize,
    leaves: Vec<ArrowColumnWriter>,
}

/// The columns of one lane.
#[derive(Default)]
struct LaneColumns {
    schema: Option<SchemaRef>,
    columns: Vec<ColumnEncoder>,
    weight: usize,
}

impl LaneColumns {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let missing = || ParquetError::General("a batch does not have the columns of its file".to_owned());
        for encoder in &mut self.columns {
            let field = self.schema.as_ref().and_then(|schema| schema.fields().get(encoder.column));
            let field = field.ok_or_else(missing)?;
            let array = batch.columns().get(encoder.column).ok_or_else(missing)?;
            for (writer, leaf) in encoder.leaves.iter_mut().zip(compute_leaves(field, array)?) {
                writer.write(&leaf)?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let leaves = self.columns.iter().flat_map(|encoder| &encoder.leaves);
        leaves.map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    fn finish(self) -> Result<LaneChunks, ParquetError> {
        let mut chunks = Vec::new();
        for encoder in self.columns {
            for (leaf, writer) in (encoder.first_leaf..).zip(encoder.leaves) {
                chunks.push((leaf, writer.close()?));
            }
        }
        Ok(chunks)
    }
}

/// Finished columns with the number of their leaf.
type LaneChunks = Vec<(usize, ArrowColumnChunk)>;

/// Where some of the columns are encoded.
enum Lane {
    /// On the writer's own task.
    Inline(LaneColumns),
    /// On a task of its own, which ends when its channel does and is aborted with its encoder.
    Task { batches: mpsc::Sender<RecordBatch>, task: AbortOnDrop, bytes: Arc<AtomicUsize> },
}

struct AbortOnDrop(JoinHandle<Result<LaneChunks, ParquetError>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Lane {
    fn spawn(mut columns: LaneColumns) -> Lane {
        let (batches, mut received) = mpsc::channel::<RecordBatch>(LANE_BATCHES_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let reported = Arc::clone(&bytes);
        let task = tokio::spawn(async move {
            while let Some(batch) = received.recv().await {
                columns.write(&batch)?;
                reported.store(columns.bytes(), Ordering::Relaxed);
            }
            columns.finish()
        });
        Lane::Task { batches, task: AbortOnDrop(task), bytes }
    }

    fn bytes(&self) -> usize {
        match self {
            Lane::Inline(columns) => columns.bytes(),
            Lane::Task { bytes, .. } => bytes.load(Ordering::Relaxed),
        }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Lane::Inline(columns) => columns.write(batch).map_err(encode_error),
            Lane::Task { batches, task, .. } => match batches.send(batch.clone()).await {
                Ok(()) => Ok(()),
                // A lane only ends early with an error.
                Err(_) => Err(ended(&mut task.0)
                    .await
                    .err()
                    .unwrap_or_else(|| Error::internal("a lane ended early"))),
            },
        }
    }

    async fn finish(self) -> Result<LaneChunks> {
        match self {
            Lane::Inline(columns) => columns.finish().map_err(encode_error),
            Lane::Task { batches, mut task, .. } => {
                drop(batches);
                ended(&mut task.0).await
            }
        }
    }
}

async fn ended(task: &mut JoinHandle<Result<LaneChunks, ParquetError>>) -> Result<LaneChunks> {
    match task.await {
        Ok(chunks) => chunks.map_err(encode_error),
        Err(error) => Err(Error::internal(format!("encoding a column failed: {error}"))),
    }
}

pub(crate) fn encode_error(error: ParquetError) -> Error {
    Error::internal(format!("rows cannot be written as Parquet: {error}"))
}

/// Deals the columns to at most `count` lanes so that each has about the same work.
fn deal(schema: &SchemaRef, writers: Vec<ArrowColumnWriter>, count: usize) -> Vec<LaneColumns> {
    let mut writers = writers.into_iter().enumerate().peekable();
    let mut encoders = Vec::with_capacity(schema.fields().len());
    for (column, field) in schema.fields().iter().enumerate() {
        let first_leaf = writers.peek().map_or(0, |(leaf, _)| *leaf);
        let leaves = writers.by_ref().take(leaf_count(field.data_type())).map(|(_, writer)| writer).collect();
        encoders.push((weight(field.data_type()), ColumnEncoder { column, first_leaf, leaves }));
    }
    encoders.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let count = count.clamp(1, encoders.len().max(1));
    let mut lanes: Vec<LaneColumns> = (0..count).map(|_| LaneColumns::default()).collect();
    for (weight, encoder) in encoders {
        if let Some(lane) = lanes.iter_mut().min_by_key(|lane| lane.weight) {
            lane.weight += weight;
            lane.columns.push(encoder);
        }
    }
    for lane in &mut lanes {
        lane.schema = Some(Arc::clone(schema));
    }
    lanes
}

fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaf_count(field.data_type())).sum(),
        DataType::List(element) => leaf_count(element.data_type()),
        DataType::Map(entries, _) => leaf_count(entries.data_type()),
        _ => 1,
    }
}

/// A rough measure of what encoding a column costs.
fn weight(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| weight(field.data_type())).sum(),
        DataType::List(element) => 2 + weight(element.data_type()),
        DataType::Map(entries, _) => 2 + weight(entries.data_type()),
        DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_) => 6,
        DataType::Boolean => 1,
        other => other.primitive_width().unwrap_or(8).div_ceil(4),
    }
}
