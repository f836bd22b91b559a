//! Semi and anti joins by a condition, of which the engine keeps the rows of the right side. Its rules mistake the columns
//! that such a join gives, the right side's alone, for those of both sides: a projection that is pushed down through it,
//! and one that it has when parts of its condition are computed below it. So it gets a projection that changes nothing,
//! which is never pushed down; and where something may be computed below it, its sides change places.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;

/// To be run when the sides of joins have been chosen.
#[derive(Debug)]
pub(super) struct WholeSemiJoins;

impl PhysicalOptimizerRule for WholeSemiJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>().filter(|join| is_of_right(join))
            else {
                return Ok(Transformed::no(plan));
            };
            let compares = |filter: &JoinFilter| compares_columns(filter.expression(), filter);
            let safe = match join.filter().is_none_or(compares) {
                true => {
                    let all = (0..join.schema().fields().len()).collect();
                    Arc::new(join.with_projection(Some(all))?) as Arc<dyn ExecutionPlan>
                }
                false => join.swap_inputs()?,
            };
            Ok(Transformed::yes(safe))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "whole_semi_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_of_right(join: &NestedLoopJoinExec) -> bool {
    let of_right =
        matches!(join.join_type(), JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark);
    of_right && !join.contains_projection()
}

/// Whether a condition only compares columns of the two sides with each other, so that no part of it is about one side.
fn compares_columns(condition: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> bool {
    let Some(binary) = condition.downcast_ref::<BinaryExpr>() else { return false };
    if matches!(binary.op(), Operator::And | Operator::Or) {
        return compares_columns(binary.left(), filter) && compares_columns(binary.right(), filter);
    }
    let side = |operand: &Arc<dyn PhysicalExpr>| {
        let column = operand.downcast_ref::<Column>()?;
        filter.column_indices().get(column.index()).map(|index| index.side)
    };
    matches!((side(binary.left()), side(binary.right())), (Some(left), Some(right)) if left != right)
}
