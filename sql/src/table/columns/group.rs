//! The rows of one row group: columns in memory as they are there, the others decoded beside them and kept when the
//! last batch has come. It must never know why rows are left out.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use datafusion::common::DataFusionError;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::RowGroupAccess;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion_datasource::morsel::Morsel;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::{
    AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};

use super::cache::Chunk;
use super::offer::{ColumnReading, FileColumns, GroupColumns, Source};

type EngineResult<T> = datafusion::common::Result<T>;
type Decoder = ParquetRecordBatchStream<Box<dyn AsyncFileReader>>;

/// Rows of a batch of a chunk.
const BATCH_ROWS: usize = 8192;

/// A row group that is read here.
#[derive(Debug)]
pub(super) struct GroupMorsel {
    pub reading: Arc<ColumnReading>,
    pub columns: Arc<FileColumns>,
    pub key: Arc<str>,
    pub found: GroupColumns,
    /// Which rows are handed out.
    pub access: RowGroupAccess,
    pub file: PartitionedFile,
}

impl Morsel for GroupMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, EngineResult<RecordBatch>> {
        let opened = stream::once(async move { GroupRows::open(*self) });
        opened
            .map(|rows| match rows {
                Ok(rows) => stream::try_unfold(rows, GroupRows::next).boxed(),
                Err(error) => stream::once(async move { Err(error) }).boxed(),
            })
            .flatten()
            .boxed()
    }
}

/// A row group while its rows come by.
struct GroupRows {
    morsel: GroupMorsel,
    rows: usize,
    /// The first row of the next batch.
    at: usize,
    /// The rows that are handed out, when it is not all of them.
    runs: Option<Vec<Range<usize>>>,
    decoding: Option<Decoding>,
}

impl GroupRows {
    fn open(morsel: GroupMorsel) -> EngineResult<GroupRows> {
        let rows = morsel.columns.rows_of(morsel.found.group)?;
        let runs = match &morsel.access {
            RowGroupAccess::Skip => Some(Vec::new()),
            RowGroupAccess::Scan => None,
            RowGroupAccess::Selection(selection) => {
                let (mut runs, mut at) = (Vec::new(), 0);
                for selector in selection.iter() {
                    let next = at + selector.row_count;
                    if !selector.skip {
                        runs.push(at..next);
                    }
                    at = next;
                }
                Some(runs)
            }
        };
        let decoding = if morsel.found.missing > 0 { Some(Decoding::open(&morsel)?) } else { None };
        Ok(GroupRows { morsel, rows, at: 0, runs, decoding })
    }

    async fn next(mut self) -> EngineResult<Option<(RecordBatch, GroupRows)>> {
        while self.at < self.rows {
            let window = self.at..self.rows.min(self.at + BATCH_ROWS);
            self.at = window.end;
            let number = window.start / BATCH_ROWS;
            let decoded = match &mut self.decoding {
                Some(decoding) => decoding.next(window.len()).await?,
                None => Vec::new(),
            };
            if self.at == self.rows
                && let Some(decoding) = self.decoding.take()
            {
                decoding.keep(&self.morsel);
            }
            let chosen = self.runs.as_ref().map(|runs| within(runs, &window));
            if chosen.as_ref().is_some_and(|chosen| chosen.is_empty()) {
                continue;
            }
            let batch = self.batch(number, window.len(), decoded)?;
            let batch = match chosen {
                Some(chosen) => choose(&batch, &chosen)?,
                None => batch,
            };
            let batch = self.morsel.reading.projector.project_batch(&batch)?;
            return Ok(Some((batch, self)));
        }
        Ok(None)
    }

    fn batch(&self, number: usize, rows: usize, decoded: Vec<ArrayRef>) -> EngineResult<RecordBatch> {
        let mut decoded = decoded.into_iter();
        let mut columns = Vec::with_capacity(self.morsel.columns.sources.len());
        for (source, chunk) in self.morsel.columns.sources.iter().zip(&self.morsel.found.chunks) {
            columns.push(match (source, chunk) {
                (Source::Constant(value), _) => value.to_array_of_size(rows)?,
                (_, Some(chunk)) => chunk.batch(number).ok_or_else(other_length)??,
                (_, None) => decoded.next().ok_or_else(other_length)?,
            });
        }
        let count = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.morsel.reading.schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &count)?)
    }
}

fn other_length() -> DataFusionError {
    DataFusionError::Internal("columns of a row group differ in length".to_owned())
}

/// The parts of `runs` within a window, counted from its start.
fn within(runs: &[Range<usize>], window: &Range<usize>) -> Vec<Range<usize>> {
    let first = runs.partition_point(|run| run.end <= window.start);
    let inside = runs[first..].iter().take_while(|run| run.start < window.end);
    inside
        .map(|run| run.start.max(window.start) - window.start..run.end.min(window.end) - window.start)
        .collect()
}

fn choose(batch: &RecordBatch, runs: &[Range<usize>]) -> EngineResult<RecordBatch> {
    if let [run] = runs {
        return Ok(batch.slice(run.start, run.len()));
    }
    let mut chosen = BooleanBufferBuilder::new(batch.num_rows());
    for run in runs {
        chosen.append_n(run.start - chosen.len(), false);
        chosen.append_n(run.len(), true);
    }
    chosen.append_n(batch.num_rows() - chosen.len(), false);
    Ok(filter_record_batch(batch, &BooleanArray::new(chosen.finish(), None))?)
}

/// The columns of a row group that are not in memory yet.
struct Decoding {
    decoder: Decoder,
    /// Place among the wanted columns, and what it is over the decoded ones.
    columns: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    collected: Option<Collected>,
}

/// What is going to be kept, as long as there is memory for it.
struct Collected {
    batches: Vec<Vec<ArrayRef>>,
    memory: Option<MemoryReservation>,
}

impl Decoding {
    fn open(morsel: &GroupMorsel) -> EngineResult<Decoding> {
        let GroupMorsel { reading, columns, found, file, .. } = morsel;
        let sources = columns.sources.iter().zip(&found.chunks).enumerate();
        let missing: Vec<(usize, &Arc<dyn PhysicalExpr>)> = sources
            .filter_map(|(place, pair)| match pair {
                (Source::File(expression), None) => Some((place, expression)),
                _ => None,
            })
            .collect();
        let mut roots: Vec<usize> = missing
            .iter()
            .flat_map(|(_, expression)| collect_columns(expression))
            .map(|column| column.index())
            .collect();
        roots.sort_unstable();
        roots.dedup();
        let scan = &reading.scan;
        let reader: Box<dyn AsyncFileReader> =
            scan.readers.create_reader(scan.partition, file.clone(), None, &scan.metrics)?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, columns.metadata()?);
        let fields = builder.schema().project(&roots)?;
        let columns = missing.into_iter().map(|(place, expression)| {
            Ok((place, reassign_expr_columns(Arc::clone(expression), &Schema::new(fields.fields().clone()))?))
        });
        let columns = columns.collect::<EngineResult<Vec<_>>>()?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let decoder = builder
            .with_row_groups(vec![found.group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()?;
        let batches = columns.iter().map(|_| Vec::new()).collect();
        let collected = Some(Collected { batches, memory: scan.cache.collecting() });
        Ok(Decoding { decoder, columns, collected })
    }

    /// The next rows of the missing columns.
    async fn next(&mut self, rows: usize) -> EngineResult<Vec<ArrayRef>> {
        let batch = self.decoder.next().await.ok_or_else(other_length)??;
        if batch.num_rows() != rows {
            return Err(other_length());
        }
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (_, expression) in &self.columns {
            arrays.push(expression.evaluate(&batch)?.into_array(rows)?);
        }
        self.collect(&arrays);
        Ok(arrays)
    }

    fn collect(&mut self, arrays: &[ArrayRef]) {
        let Some(collected) = &mut self.collected else { return };
        // Batches share the pages of their texts, so that their own sizes are too large a guess by far.
        let bytes =
            arrays.iter().map(|array| array.len() * array.data_type().primitive_width().unwrap_or(16));
        if collected.memory.as_ref().is_some_and(|memory| memory.try_grow(bytes.sum()).is_err()) {
            self.collected = None;
            return;
        }
        for (batches, array) in collected.batches.iter_mut().zip(arrays) {
            batches.push(Arc::clone(array));
        }
    }

    /// Hands what was collected to the cache, which decides.
    fn keep(self, morsel: &GroupMorsel) {
        let Some(Collected { batches, memory }) = self.collected else { return };
        drop(memory);
        for ((place, _), batches) in self.columns.iter().zip(batches) {
            if let Some(key) = morsel.reading.key(&morsel.key, morsel.found.group, *place) {
                morsel.reading.scan.cache.keep(key, Chunk::new(batches));
            }
        }
    }
}
