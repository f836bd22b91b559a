//! The way of rows from a query to the writers, as a plan with one partition for each writer. Rows of one table
//! partition go to one writer, so that it gets few files; where the table declares an order, the rows of a writer come
//! sorted by partition and then in that order. The engine's own operators do it, and spill when memory runs short.
//!
//! ```text
//! query ── keys ──> unpartitioned             as it is
//!               ──> partitioned               shared out by partition values
//!               ──> ordered                   sorted, all of it merged into one stream (range) or each part by itself
//!               ──> partitioned and ordered   shared out, then sorted
//! ```

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use futures::StreamExt;

use super::keys::Keys;
use super::progress::WriteProgress;
use super::properties::Distribution;
use crate::error::{Error, Result};
use crate::plan::engine_error;

/// The rows of `input` with their keys, one partition for each writer, of which there are at most `writers_max`.
pub(crate) fn arrange(
    input: Arc<dyn ExecutionPlan>,
    keys: &Arc<Keys>,
    distribution: Distribution,
    writers_max: usize,
    progress: &WriteProgress,
) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs = input.output_partitioning().partition_count();
    let mut plan = keyed(input, keys, progress)?;
    let by_partition = keys.partition_columns();
    if !by_partition.is_empty() {
        plan = shared_out(plan, Partitioning::Hash(by_partition, writers_max))?;
    } else if inputs > writers_max {
        plan = shared_out(plan, Partitioning::RoundRobinBatch(writers_max))?;
    }
    let (Some(_), Some(ordering)) = (&keys.order, keys.ordering()) else { return Ok(plan) };
    plan = sorted(plan, ordering.clone());
    if keys.splitter.is_none() && distribution == Distribution::Range {
        plan = Arc::new(SortPreservingMergeExec::new(ordering, plan));
    }
    Ok(plan)
}

/// Every partition by itself in order.
pub(crate) fn sorted(plan: Arc<dyn ExecutionPlan>, ordering: LexOrdering) -> Arc<dyn ExecutionPlan> {
    Arc::new(SortExec::new(ordering, plan).with_preserve_partitioning(true))
}

fn shared_out(plan: Arc<dyn ExecutionPlan>, partitioning: Partitioning) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(RepartitionExec::try_new(plan, partitioning).map_err(engine_error)?))
}

fn keyed(
    input: Arc<dyn ExecutionPlan>,
    keys: &Arc<Keys>,
    progress: &WriteProgress,
) -> Result<Arc<dyn ExecutionPlan>> {
    let part = |partition| -> Arc<dyn PartitionStream> {
        let (input, keys, progress) = (Arc::clone(&input), Arc::clone(keys), progress.clone());
        Arc::new(KeyedRows { input, partition, keys, progress })
    };
    let parts = (0..input.output_partitioning().partition_count()).map(part).collect();
    let plan = StreamingTableExec::try_new(Arc::clone(&keys.schema), parts, None, Vec::new(), false, None);
    Ok(Arc::new(plan.map_err(engine_error)?))
}

/// The rows of one partition of a query, with their keys.
struct KeyedRows {
    input: Arc<dyn ExecutionPlan>,
    partition: usize,
    keys: Arc<Keys>,
    progress: WriteProgress,
}

impl std::fmt::Debug for KeyedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedRows").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl PartitionStream for KeyedRows {
    fn schema(&self) -> &SchemaRef {
        &self.keys.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (keys, progress) = (Arc::clone(&self.keys), self.progress.clone());
        let rows = match self.input.execute(self.partition, context) {
            Ok(rows) => rows.boxed(),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        };
        let keyed = rows.map(move |batch| {
            let batch = batch?;
            progress.add_rows(batch.num_rows());
            keys.add(&batch).map_err(in_engine)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.keys.schema), keyed))
    }
}

/// Our error in the engine's, to be taken out again where the write ends.
fn in_engine(error: Error) -> datafusion::common::DataFusionError {
    datafusion::common::DataFusionError::External(Box::new(error))
}
