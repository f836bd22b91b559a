//! Joins that tell the scan of their other side what they look for wait until all of their partitions have read their first
//! side. Below a join that reads its sides partition by partition, and leaves the second one alone where the first has no
//! rows, some partitions never get so far, and the others would wait for ever. So such a join tells nothing.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, with_new_children_if_necessary};

/// To be run when all else has been decided.
#[derive(Debug)]
pub(crate) struct NoEndlessWaits;

impl PhysicalOptimizerRule for NoEndlessWaits {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        without_waits(plan, false)
    }

    fn name(&self) -> &'static str {
        "no_endless_waits"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `some_only` where it is possible that only some of the plan's partitions are read.
fn without_waits(plan: Arc<dyn ExecutionPlan>, some_only: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let join = plan.downcast_ref::<HashJoinExec>();
    let by_partition = join.is_some_and(|join| *join.partition_mode() == PartitionMode::Partitioned);
    // These read all that they are given as soon as anybody reads them.
    let reads_all = plan.is::<RepartitionExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<SortPreservingMergeExec>();
    let waits = some_only && join.is_some_and(|join| join.dynamic_filter_expr().is_some());
    let mut children = Vec::with_capacity(plan.children().len());
    for (place, child) in plan.children().into_iter().enumerate() {
        let second_side = join.is_some() && place == 1;
        let some_only = !reads_all && (some_only || (by_partition && second_side));
        children.push(without_waits(Arc::clone(child), some_only)?);
    }
    let plan = with_new_children_if_necessary(plan, children)?;
    if waits { plan.reset_state() } else { Ok(plan) }
}
