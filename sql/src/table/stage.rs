//! What happens to the rows of a file after the Parquet reader, where it does not do all: the hidden columns are filled
//! in, rows that an equality delete names go, and the scan's projection is evaluated. It must never read a file.
//! Next: `morsel.rs`, which runs it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringViewArray, UInt32Array,
};
use arrow::array::{RecordBatchOptions, new_null_array};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::{DataType, FieldRef, Int64Type, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::physical_expr::projection::{ProjectionExprs, Projector};
use datafusion::physical_expr::utils::reassign_expr_columns;
use iceberg::metadata_columns::{RESERVED_FIELD_ID_LAST_UPDATED_SEQUENCE_NUMBER, RESERVED_FIELD_ID_ROW_ID};

use super::access::Positions;
use super::equality::DeletedKeys;
use super::footer::TableFile;
use super::hidden::Hidden;
use super::naming::name_of_foreign;

type EngineResult<T> = datafusion::common::Result<T>;

/// The field id under which a file may hold a hidden column that rows keep when they move to another file.
pub(crate) fn stored_id(hidden: Hidden) -> Option<i32> {
    match hidden {
        Hidden::RowId => Some(RESERVED_FIELD_ID_ROW_ID),
        Hidden::LastUpdated => Some(RESERVED_FIELD_ID_LAST_UPDATED_SEQUENCE_NUMBER),
        Hidden::File | Hidden::Pos | Hidden::SpecId | Hidden::Partition => None,
    }
}

/// The steps of one scan, the same for all its files.
#[derive(Debug)]
pub(crate) struct Stage {
    hidden: Vec<Hidden>,
    /// What is read, and the hidden columns after it.
    staged: SchemaRef,
    projector: Projector,
}

impl Stage {
    /// `read` is what the Parquet reader gives; `projection` is over the table's columns, by name.
    pub fn new(read: &Schema, hidden: Vec<Hidden>, projection: &ProjectionExprs) -> EngineResult<Stage> {
        let own = hidden.iter().map(|hidden| FieldRef::new(hidden.field()));
        let fields: Vec<FieldRef> = read.fields().iter().cloned().chain(own).collect();
        let staged = Arc::new(Schema::new(fields));
        let projection = projection.clone().try_map_exprs(|expr| reassign_expr_columns(expr, &staged))?;
        Ok(Stage { projector: projection.make_projector(&staged)?, hidden, staged })
    }

    pub fn needs_positions(&self) -> bool {
        self.hidden.iter().any(|hidden| matches!(hidden, Hidden::Pos | Hidden::RowId))
    }

    /// The rows that are handed out, of the next rows that were read of a file.
    pub fn run(&self, batch: RecordBatch, file: &mut FileRows) -> EngineResult<RecordBatch> {
        let rows = batch.num_rows();
        let positions = file.next_positions(rows)?;
        let mut columns = batch.columns().to_vec();
        for hidden in &self.hidden {
            columns.push(file.hidden(*hidden, &batch, positions.as_ref())?);
        }
        let count = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut staged = RecordBatch::try_new_with_options(Arc::clone(&self.staged), columns, &count)?;
        for keys in &file.deleted {
            staged = filter_record_batch(&staged, &keys.live(&staged)?)?;
        }
        self.projector.project_batch(&staged)
    }
}

/// A file while its rows come by.
#[derive(Debug)]
pub(crate) struct FileRows {
    pub file: Arc<TableFile>,
    /// Where the rows that are still to come are, when anybody wants to know.
    pub positions: Option<Positions>,
    /// The keys of rows that are deleted.
    pub deleted: Vec<Arc<DeletedKeys>>,
    /// Columns that are the same all over the file, as long as the longest batch so far.
    pub url: Option<ArrayRef>,
    pub partition: Option<ArrayRef>,
}

impl FileRows {
    fn next_positions(&mut self, rows: usize) -> EngineResult<Option<ArrayRef>> {
        let Some(positions) = &mut self.positions else { return Ok(None) };
        let more = || DataFusionError::Internal("a file gave more rows than were asked for".to_owned());
        positions.take(rows).map(Some).ok_or_else(more)
    }

    fn hidden(
        &mut self,
        hidden: Hidden,
        batch: &RecordBatch,
        positions: Option<&ArrayRef>,
    ) -> EngineResult<ArrayRef> {
        let rows = batch.num_rows();
        let unknown = || DataFusionError::Internal("the positions of rows are not known".to_owned());
        Ok(match hidden {
            Hidden::File => repeated(&mut self.url, Some(self.file.url()), rows)?,
            Hidden::Pos => Arc::clone(positions.ok_or_else(unknown)?),
            Hidden::SpecId => Arc::new(Int32Array::from_value(self.file.live.spec_id, rows)),
            Hidden::Partition => repeated(&mut self.partition, self.file.partition.as_deref(), rows)?,
            Hidden::RowId => {
                let positions = positions.ok_or_else(unknown)?.as_primitive::<Int64Type>();
                let first = self.file.live.first_row_id;
                let own = first.map(|first| positions.unary::<_, Int64Type>(|position| first + position));
                coalesce(stored(hidden, batch), own, rows)
            }
            Hidden::LastUpdated => {
                // Files from before format version 3 have no row ids and no history of rows.
                let sequence = self.file.live.first_row_id.map(|_| self.file.live.sequence_number);
                let own = sequence.map(|sequence| Int64Array::from_value(sequence, rows));
                coalesce(stored(hidden, batch), own, rows)
            }
        })
    }
}

/// What the file itself says of a hidden column.
fn stored(hidden: Hidden, batch: &RecordBatch) -> Option<Int64Array> {
    let column = batch.column_by_name(&name_of_foreign(stored_id(hidden)?))?;
    column.as_primitive_opt::<Int64Type>().cloned()
}

fn coalesce(stored: Option<Int64Array>, own: Option<Int64Array>, rows: usize) -> ArrayRef {
    match (stored, own) {
        (Some(stored), Some(own)) if stored.null_count() == stored.len() => Arc::new(own),
        (Some(stored), Some(own)) => {
            let pairs = stored.iter().zip(own.iter());
            Arc::new(pairs.map(|(stored, own)| stored.or(own)).collect::<Int64Array>())
        }
        (Some(stored), None) => Arc::new(stored),
        (None, Some(own)) => Arc::new(own),
        (None, None) => new_null_array(&DataType::Int64, rows),
    }
}

/// A text as a column of many rows: one copy of the text, however many there are.
fn repeated(kept: &mut Option<ArrayRef>, text: Option<&str>, rows: usize) -> EngineResult<ArrayRef> {
    if let Some(column) = kept.as_ref().filter(|column| column.len() >= rows) {
        return Ok(column.slice(0, rows));
    }
    let one = StringViewArray::from_iter([text]);
    let column = take(&one, &UInt32Array::from_value(0, rows), None)?;
    *kept = Some(Arc::clone(&column));
    Ok(column)
}
