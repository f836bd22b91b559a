//! Functional dependencies of projections, told right, and groupings by constants alone, left as they are.
//!
//! The engine counts the columns of a projection without those that are computed, so that behind `SELECT 5 AS x, b` of
//! distinct `b` it takes `x` for the key; it then drops `b` from ORDER BY and GROUP BY. And it makes an aggregate over
//! everything, which has a row for no rows, of a grouping by constants.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{FunctionalDependencies, Result};
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::sql::sqlparser::ast::TableFactor;

/// The engine's rules that believe what a schema says of its keys.
const BELIEVERS: [&str; 3] =
    ["replace_distinct_aggregate", "eliminate_duplicated_expr", "optimize_projections"];
const CONSTANT_GROUPS: &str = "eliminate_group_by_constant";
/// No column of a projection's input.
const COMPUTED: usize = usize::MAX;

/// The engine's rules, with dependencies told right before each that believes them.
pub(crate) fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::new();
    for rule in Optimizer::new().rules {
        if BELIEVERS.contains(&rule.name()) {
            rules.push(Arc::new(RightKeys));
        }
        match rule.name() {
            CONSTANT_GROUPS => rules.push(Arc::new(GroupsStayGroups { engine: rule })),
            _ => rules.push(rule),
        }
    }
    rules
}

#[derive(Debug)]
struct RightKeys;

impl OptimizerRule for RightKeys {
    fn name(&self) -> &str {
        "right_keys"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // The plan is as it was; only what is known of it changed.
        told_right(plan).map(Transformed::no)
    }
}

/// FROM, planned as the engine does, with right keys: it adds what depends on the keys of GROUP BY to them.
#[derive(Debug)]
pub(crate) struct RightKeysOfRelations;

thread_local! {
    /// Whether the relation that is planned next is one that we handed back.
    static HANDED_BACK: Cell<bool> = const { Cell::new(false) };
}

impl RelationPlanner for RightKeysOfRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if HANDED_BACK.replace(false) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        HANDED_BACK.set(true);
        let plan = context.plan(relation);
        HANDED_BACK.set(false);
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(told_right(plan?)?, None))))
    }
}

/// The same plan with what is known of its keys computed anew.
fn told_right(plan: LogicalPlan) -> Result<LogicalPlan> {
    let told = plan.transform_up_with_subqueries(|plan| {
        if plan.schema().functional_dependencies().is_empty() {
            return Ok(Transformed::no(plan));
        }
        // What is below may have been put right just now.
        match plan.recompute_schema()? {
            LogicalPlan::Projection(projection) => {
                Ok(Transformed::no(LogicalPlan::Projection(with_right_keys(projection)?)))
            }
            plan => Ok(Transformed::no(plan)),
        }
    })?;
    Ok(told.data)
}

fn with_right_keys(projection: Projection) -> Result<Projection> {
    let below = projection.input.schema();
    let places: Vec<usize> = projection.expr.iter().map(|expr| place_below(expr, &projection)).collect();
    let dependencies: FunctionalDependencies =
        below.functional_dependencies().project_functional_dependencies(&places, projection.expr.len());
    let schema = projection.schema.as_ref().clone().with_functional_dependencies(dependencies)?;
    Projection::try_new_with_schema(projection.expr, projection.input, Arc::new(schema))
}

fn place_below(expr: &Expr, projection: &Projection) -> usize {
    match expr {
        Expr::Alias(alias) => place_below(&alias.expr, projection),
        Expr::Column(column) => projection.input.schema().maybe_index_of_column(column).unwrap_or(COMPUTED),
        _ => COMPUTED,
    }
}

/// The engine's rule, where a group is left.
#[derive(Debug)]
struct GroupsStayGroups {
    engine: Arc<dyn OptimizerRule + Send + Sync>,
}

impl OptimizerRule for GroupsStayGroups {
    fn name(&self) -> &str {
        CONSTANT_GROUPS
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.engine.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !matches!(&plan, LogicalPlan::Aggregate(aggregate) if !aggregate.group_expr.is_empty()) {
            return Ok(Transformed::no(plan));
        }
        let rewritten = self.engine.rewrite(plan.clone(), config)?;
        let lost_groups = rewritten.data.inputs().iter().any(
            |input| matches!(input, LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty()),
        );
        Ok(if rewritten.transformed && lost_groups { Transformed::no(plan) } else { rewritten })
    }
}
