//! The types of a result's columns before the plan is optimised: those that the branches of CASE and UNION agree on, and
//! those of functions whose result follows from a number that is written out, such as the digits of `round(x, 2)`. Next:
//! `query.rs`, which announces them.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;

/// The same plan with all types made to fit each other.
///
/// # Errors
///
/// Types do not fit, or parameters are not known yet.
pub(super) fn agreed(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let coerced = TypeCoercion::new().analyze(plan.clone(), &ConfigOptions::default())?;
    // What was written out has been put into a cast, which functions do not look through.
    coerced.transform_up_with_subqueries(literals_cast).data()
}

fn literals_cast(step: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&step);
    let step = step.map_expressions(|expression| {
        let name = names.save(&expression);
        let cast = expression.transform_up(literal_cast)?;
        Ok(if cast.transformed { cast.update_data(|expression| name.restore(expression)) } else { cast })
    })?;
    match step.transformed {
        true => step.data.recompute_schema().map(Transformed::yes),
        false => Ok(step),
    }
}

fn literal_cast(expression: Expr) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = &expression else { return Ok(Transformed::no(expression)) };
    let Expr::Literal(value, metadata) = cast.expr.as_ref() else { return Ok(Transformed::no(expression)) };
    let is_count = value.data_type().is_integer() && cast.field.data_type().is_integer();
    match value.cast_to(cast.field.data_type()) {
        Ok(value) if is_count => Ok(Transformed::yes(Expr::Literal(value, metadata.clone()))),
        _ => Ok(Transformed::no(expression)),
    }
}
