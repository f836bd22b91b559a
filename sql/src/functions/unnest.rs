//! `FROM t, UNNEST(t.list) AS u(x)`: lists as a relation joined to the row they are in. The SQL planner makes a lateral
//! join of it, which the engine cannot run; here it becomes the unnesting of a column, which it can:
//!
//! ```text
//! Join                                      Projection: t.*, x AS u.x
//!   t                                         Unnest: list
//!   SubqueryAlias: u                 ==>        Projection: t.*, t.list
//!     Subquery                                    t
//!       Unnest: outer(t.list)
//! ```
//!
//! `LEFT JOIN LATERAL … ON true` keeps rows whose list is empty or NULL.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchemaRef, Result, ScalarValue, TableReference};
use datafusion::functions_nested::expr_fn::array_empty;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Unnest, when,
};
use datafusion::optimizer::AnalyzerRule;

/// The rule, to be run when a plan is analyzed.
#[derive(Debug)]
pub struct LateralUnnest;

impl AnalyzerRule for LateralUnnest {
    fn name(&self) -> &str {
        "lateral_unnest"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        if !plan.exists(|node| Ok(matches!(node, LogicalPlan::Join(join) if is_candidate(join))))? {
            return Ok(plan);
        }
        let rewritten = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) => rewrite_join(join),
            other => Ok(Transformed::no(other.recompute_schema()?)),
        });
        rewritten.data()
    }
}

fn is_candidate(join: &Join) -> bool {
    Lateral::read(join).is_some()
}

/// Whether the right side of a join does no more than expand lists of the left row.
pub fn expands_left(join: &Join) -> bool {
    Lateral::read(join).is_some()
}

/// What stands between the unnesting and the join: a projection, and the alias above it if there is one.
struct Step {
    exprs: Vec<Expr>,
    alias: Option<TableReference>,
}

/// The right side of a join that only unnests columns of the left side.
struct Lateral<'a> {
    /// From the top.
    steps: Vec<Step>,
    unnest: &'a Unnest,
    /// What is unnested.
    lists: &'a [Expr],
}

impl Lateral<'_> {
    fn read(join: &Join) -> Option<Lateral<'_>> {
        let plain = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left => join.filter.as_ref().is_none_or(is_true),
            _ => false,
        };
        if !plain || !join.on.is_empty() {
            return None;
        }
        let (mut steps, mut alias, mut lateral) = (Vec::new(), None, false);
        let mut node = join.right.as_ref();
        let unnest = loop {
            node = match node {
                LogicalPlan::SubqueryAlias(named) => {
                    // Of two names for one relation the outer one counts.
                    alias.get_or_insert_with(|| named.alias.clone());
                    named.input.as_ref()
                }
                LogicalPlan::Subquery(subquery) => {
                    lateral = true;
                    subquery.subquery.as_ref()
                }
                LogicalPlan::Projection(projection) => {
                    steps.push(Step { exprs: projection.expr.clone(), alias: alias.take() });
                    projection.input.as_ref()
                }
                LogicalPlan::Unnest(unnest) if lateral && alias.is_none() => break unnest,
                _ => return None,
            };
        };
        let LogicalPlan::Projection(lists) = unnest.input.as_ref() else { return None };
        let one_row =
            matches!(lists.input.as_ref(), LogicalPlan::EmptyRelation(empty) if empty.produce_one_row);
        one_row.then_some(Lateral { steps, unnest, lists: &lists.expr })
    }
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

fn rewrite_join(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(lateral) = Lateral::read(&join) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let schema = join.left.schema();
    let Some(lists) = as_inner(lateral.lists, schema)? else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let keeps_all = join.join_type == JoinType::Left;
    let lists = match keeps_all {
        true => lists.into_iter().map(|list| empty_as_null(list, schema)).collect::<Result<Vec<_>>>()?,
        false => lists,
    };
    let left: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let with_left = |exprs: Vec<Expr>| left.iter().cloned().chain(exprs).collect::<Vec<_>>();
    let mut options = lateral.unnest.options.clone();
    options.preserve_nulls = keeps_all;
    let mut builder = LogicalPlanBuilder::from(join.left.as_ref().clone())
        .project(with_left(lists))?
        .unnest_columns_with_options(lateral.unnest.exec_columns.clone(), options)?;
    for step in lateral.steps.into_iter().rev() {
        let Some(exprs) = as_inner(&step.exprs, schema)? else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let right = exprs.into_iter().map(|expr| qualified(expr, step.alias.as_ref())).collect();
        builder = builder.project(with_left(right))?;
    }
    if let (JoinType::Inner, Some(filter)) = (join.join_type, join.filter.clone()) {
        builder = builder.filter(filter)?;
    }
    Ok(Transformed::yes(builder.build()?))
}

/// The expression under its own name, in the relation that it belongs to from here on.
fn qualified(expr: Expr, alias: Option<&TableReference>) -> Expr {
    let Some(alias) = alias else { return expr };
    let name = match &expr {
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string(),
    };
    expr.unalias().alias_qualified(Some(alias.clone()), name)
}

/// The expressions with columns of the left side in place of references outwards; None when one refers further out.
fn as_inner(exprs: &[Expr], left: &DFSchemaRef) -> Result<Option<Vec<Expr>>> {
    let mut further_out = false;
    let mut replace = |expr: Expr| {
        expr.transform(|expr| match expr {
            Expr::OuterReferenceColumn(_, column) => {
                further_out |= !left.has_column(&column);
                Ok(Transformed::yes(Expr::Column(column)))
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    };
    let exprs = exprs.iter().cloned().map(&mut replace).collect::<Result<Vec<_>>>()?;
    Ok((!further_out).then_some(exprs))
}

/// A list without elements as NULL, under the same name: of a NULL list, unnesting can keep the row.
fn empty_as_null(list: Expr, schema: &DFSchemaRef) -> Result<Expr> {
    let name = list.schema_name().to_string();
    let list = list.unalias();
    let null = ScalarValue::try_from(&list.get_type(schema)?)?;
    Ok(when(array_empty(list.clone()), Expr::Literal(null, None)).otherwise(list)?.alias(name))
}
