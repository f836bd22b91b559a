//! The rows of more table partitions than a writer may have files of at a time: they are kept until the query ends,
//! sorted by partition, on disk when memory runs short, and so every partition still gets one file. It must never
//! write a data file. Next: `clustered.rs`, which does.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::arrange::sorted;
use super::incoming::incoming;
use super::keys::Keys;
use crate::error::{Error, Result};
use crate::plan::engine_error;

/// Batches in front of the sort.
const BATCHES_MAX: usize = 2;

/// The sort of one writer.
pub(crate) struct Overflow {
    /// The keyed rows and, after them, the number of the row, so that the query's order stays within a partition.
    schema: SchemaRef,
    count: u64,
    rows: mpsc::Sender<RecordBatch>,
    sorting: AbortOnDropHandle<Result<SendableRecordBatchStream>>,
}

impl Overflow {
    pub fn start(keys: &Keys, context: Arc<TaskContext>) -> Result<Overflow> {
        let mut fields: Vec<FieldRef> = keys.schema.fields().iter().map(Arc::clone).collect();
        let place = fields.len();
        fields.push(Arc::new(Field::new("number", DataType::UInt64, false)));
        let schema = Arc::new(Schema::new(fields));
        let number = PhysicalSortExpr::new(Arc::new(Column::new("number", place)), SortOptions::default());
        let partition = keys.partition_columns().into_iter();
        let partition = partition.map(|key| PhysicalSortExpr::new(key, SortOptions::default()));
        let ordering = LexOrdering::new(partition.chain([number]));
        let ordering = ordering.ok_or_else(|| Error::internal("a sort has nothing to sort by"))?;
        let (rows, plan) = incoming(&schema, BATCHES_MAX)?;
        let sorting = tokio::spawn(sort(sorted(plan, ordering), context));
        Ok(Overflow { schema, count: 0, rows, sorting: AbortOnDropHandle::new(sorting) })
    }

    /// Takes keyed rows.
    pub async fn push(&mut self, keyed: &RecordBatch) -> Result<()> {
        let end = self.count + keyed.num_rows() as u64;
        let numbers = UInt64Array::from_iter_values(self.count..end);
        self.count = end;
        let mut columns = keyed.columns().to_vec();
        columns.push(Arc::new(numbers) as ArrayRef);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let rows = rows.map_err(|error| Error::internal(format!("rows cannot be numbered: {error}")))?;
        if self.rows.send(rows).await.is_ok() {
            return Ok(());
        }
        // A sort that does not listen any more has failed, and says why.
        match (&mut self.sorting).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) => Err(Error::internal("a sort ended before its rows")),
            Err(error) => Err(broken_off(&error)),
        }
    }

    /// All the rows, partition after partition.
    pub async fn finish(self) -> Result<SendableRecordBatchStream> {
        drop(self.rows);
        self.sorting.await.map_err(|error| broken_off(&error))?
    }
}

/// Runs a sort until its first rows are there: by then it has taken in all that come.
async fn sort(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
    let mut rows = plan.execute(0, context).map_err(engine_error)?;
    let schema = rows.schema();
    let Some(first) = rows.next().await else {
        return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::empty())));
    };
    let first = first.map_err(engine_error)?;
    let all = futures::stream::iter([Ok(first)]).chain(rows);
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)))
}

fn broken_off(error: &tokio::task::JoinError) -> Error {
    Error::internal(format!("a sort broke off: {error}"))
}
