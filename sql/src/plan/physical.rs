//! Makes the plan that runs of an optimized one: the engine's own planner, with those of our steps that it does not know.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::seen::SeenKeysPlanner;
use crate::optimize::KnownPlanner;

/// The planner of all statements.
#[derive(Debug)]
pub(crate) struct StatementPlanner;

#[async_trait]
impl QueryPlanner for StatementPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let ours: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> =
            vec![Arc::new(SeenKeysPlanner), Arc::new(KnownPlanner)];
        DefaultPhysicalPlanner::with_extension_planners(ours).create_physical_plan(plan, state).await
    }
}
