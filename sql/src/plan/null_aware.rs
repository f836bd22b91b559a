//! `x NOT IN (SELECT y …)` must hear of every NULL among the `y`, for one of them makes the whole condition NULL. The
//! engine's join for it also tells the scan of `y` which values `x` has, and a scan that skips files or row groups by
//! them skips NULLs too: the condition becomes true where it is NULL, and a DELETE takes rows that it must keep.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;

/// Takes the filter away from such joins: made anew, the join tells nobody, and what the scan was given never says
/// more than true. To be run after filters have been pushed down.
#[derive(Debug)]
pub(crate) struct WholeNotIn;

impl PhysicalOptimizerRule for WholeNotIn {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(join) = plan.downcast_ref::<HashJoinExec>().filter(|join| join.null_aware) else {
                return Ok(Transformed::no(plan));
            };
            let anew = HashJoinExec::try_new(
                Arc::clone(join.left()),
                Arc::clone(join.right()),
                join.on().to_vec(),
                join.filter().cloned(),
                join.join_type(),
                join.projection.as_ref().map(|projection| projection.to_vec()),
                *join.partition_mode(),
                join.null_equality(),
                true,
            )?;
            Ok(Transformed::yes(Arc::new(anew) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "whole_not_in"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
