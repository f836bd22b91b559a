//! The operator that looks at rows as they come by. Filters that the operators above it learn while they run stay above
//! it: the rows that such a filter drops are to be seen too.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;

use super::values::SeenKeys;

#[derive(Debug)]
pub(super) struct SeenKeysExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    seen: Arc<SeenKeys>,
}

impl SeenKeysExec {
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        seen: Arc<SeenKeys>,
    ) -> SeenKeysExec {
        SeenKeysExec { input, keys, seen }
    }
}

fn look(keys: &[Arc<dyn PhysicalExpr>], seen: &SeenKeys, rows: &RecordBatch) -> Result<()> {
    let values = |key: &Arc<dyn PhysicalExpr>| key.evaluate(rows)?.into_array(rows.num_rows());
    seen.look(&keys.iter().map(values).collect::<Result<Vec<_>>>()?)
}

impl DisplayAs for SeenKeysExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        write!(f, "SeenKeysExec: {}", keys.join(", "))
    }
}

impl ExecutionPlan for SeenKeysExec {
    fn name(&self) -> &'static str {
        "SeenKeysExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next();
        let input =
            input.ok_or_else(|| datafusion::common::internal_datafusion_err!("no rows to look at"))?;
        Ok(Arc::new(SeenKeysExec::new(input, self.keys.clone(), Arc::clone(&self.seen))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let (keys, seen) = (self.keys.clone(), Arc::clone(&self.seen));
        seen.begin(partition, self.input.output_partitioning().partition_count());
        let rows = rows.map(Some).chain(futures::stream::iter([None]));
        let rows = rows.filter_map(move |rows| {
            let rows = match rows {
                Some(Ok(rows)) => {
                    // If it matters to the statement it fails by itself.
                    if look(&keys, &seen, &rows).is_err() {
                        seen.lose();
                    }
                    Some(Ok(rows))
                }
                Some(Err(error)) => Some(Err(error)),
                None => {
                    seen.end(partition);
                    None
                }
            };
            std::future::ready(rows)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.input.partition_statistics(partition)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
