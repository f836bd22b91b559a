//! Constants that a statement computes before it is planned: the version or time of time travel, and the times that
//! procedures take. They may use functions such as `now()`, but no columns, parameters or subqueries.

use std::sync::Arc;

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::PlannerContext;
use datafusion::sql::sqlparser::ast;
use std::collections::HashMap;
use tarn_catalog::TableVersion;
use tarn_catalog::iceberg::TableState;

use super::{Context, engine_error, query};
use crate::error::{Error, Result};
use crate::parse::{Moment, parse_query};
use crate::resolve::{At, state_of_suffix};
use crate::sqlstate::SqlState;

/// The state of a table that a query reads.
pub(super) fn state_at(version: &Arc<TableVersion>, at: &At, context: &Context) -> Result<TableState> {
    let version = Arc::clone(version);
    match at {
        At::Now => Ok(TableState::current(version)),
        At::Suffix(at) => state_of_suffix(version, at),
        At::Moment(Moment::Timestamp(time)) => Ok(TableState::as_of(version, time_ms(time, context)?)?),
        At::Moment(Moment::Version(expression)) => {
            let wrong = |found: &dyn std::fmt::Display| {
                let message =
                    format!("{found} is neither the id of a snapshot nor the name of a branch or tag");
                Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    .with_hint("Write FOR VERSION AS OF 123, or FOR VERSION AS OF 'name'.")
            };
            match constant(expression, context)? {
                ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)) => {
                    state_of_suffix(version, &name)
                }
                number if number.data_type().is_integer() => match number.to_string().parse() {
                    Ok(snapshot_id) => Ok(TableState::of_snapshot(version, snapshot_id)?),
                    Err(_) => Err(wrong(&number)),
                },
                other => Err(wrong(&other)),
            }
        }
    }
}

/// A point in time, milliseconds since the Unix epoch; without a zone it is of the session's time zone.
pub(crate) fn time_ms(expression: &ast::Expr, context: &Context) -> Result<i64> {
    let value = constant(expression, context)?;
    if value.data_type().is_numeric() {
        let message = format!("{expression} is a number, not a point in time");
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_hint(
            "Write TIMESTAMP '2026-01-31 12:00:00', or an expression such as now() - INTERVAL '1 day'.",
        ));
    }
    let cast = parse_expression(&format!("CAST(({expression}) AS timestamptz)"))?;
    match constant(&cast, context)? {
        ScalarValue::TimestampSecond(Some(time), _) => Ok(time.saturating_mul(1000)),
        ScalarValue::TimestampMillisecond(Some(time), _) => Ok(time),
        ScalarValue::TimestampMicrosecond(Some(time), _) => Ok(time.div_euclid(1000)),
        ScalarValue::TimestampNanosecond(Some(time), _) => Ok(time.div_euclid(1_000_000)),
        other => {
            let message = format!("{expression} is not a point in time");
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_detail(format!("It is {other}.")))
        }
    }
}

/// The value of an expression that is the same for the whole statement.
pub(crate) fn constant(expression: &ast::Expr, context: &Context) -> Result<ScalarValue> {
    let query = parse_query(&format!("SELECT {expression}"))?;
    let planned = query::plan_with(&query, context, HashMap::new(), &mut PlannerContext::new());
    let planned = planned.map_err(|error| match error.sqlstate {
        // A subquery: this has no tables to read.
        SqlState::UNDEFINED_TABLE => not_constant(expression),
        _ => Error { position: None, location: None, ..error },
    })?;
    let planned = planned.logical;
    let simplify = SimplifyContext::builder()
        .with_config_options(Arc::clone(context.state.config_options()))
        .with_query_execution_start_time(context.state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(simplify);
    let schema = DFSchema::empty();
    let [computed] = planned.expressions().try_into().map_err(|_| not_constant(expression))?;
    let computed = simplifier.coerce(computed, &schema).and_then(|computed| simplifier.simplify(computed));
    match computed.map_err(engine_error)?.unalias() {
        Expr::Literal(value, _) => Ok(value),
        _ => Err(not_constant(expression)),
    }
}

fn not_constant(expression: &ast::Expr) -> Error {
    let message = format!("{expression} is not a constant");
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        .with_hint("Which version is read must be known before the query is planned.")
}

fn parse_expression(text: &str) -> Result<ast::Expr> {
    let query = parse_query(&format!("SELECT {text}"))?;
    let item = match *query.body {
        ast::SetExpr::Select(select) => select.projection.into_iter().next(),
        _ => None,
    };
    match item {
        Some(ast::SelectItem::UnnamedExpr(expression)) => Ok(expression),
        _ => Err(Error::internal(format!("\"{text}\" is not an expression"))),
    }
}
