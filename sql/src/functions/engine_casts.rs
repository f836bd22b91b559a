//! Casts that the engine does in another way than PostgreSQL. It writes times as `2024-01-02T03:04:05`, numbers as `1.0`
//! and lists as `[1, 2]`; it reads fewer forms of times; and between times with and without a zone it goes by the zone
//! of a column's type, which is UTC in every table, where PostgreSQL goes by the session's. After types are settled
//! these casts become functions, which know the session.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as EngineResult};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF, cast};
use datafusion::optimizer::AnalyzerRule;

use super::datum::Datum;
use super::moments::moment;
use super::overload::Type::{Date, Interval, Text, Time, Timestamp, Timestamptz};
use super::overload::{Function, Overload, udf};
use super::span::Span;
use super::{moment_input, strings};

/// What casts become; their names are not for users.
const FUNCTIONS: &[Function] = &[
    Function::new(
        "read_timestamp",
        &[Overload::new(&[Text], Timestamp, |_, v| Ok(Datum::Moment(moment_input::moment(v[0].as_str())?)))],
    ),
    Function::new(
        "read_timestamptz",
        &[Overload::new(&[Text], Timestamptz, |call, v| {
            Ok(Datum::Instant(moment_input::instant(v[0].as_str(), call.zone)?))
        })],
    )
    .of_zone(),
    Function::new(
        "read_date",
        &[Overload::new(&[Text], Date, |_, v| Ok(Datum::Date(moment_input::date(v[0].as_str())?)))],
    ),
    Function::new(
        "read_time",
        &[Overload::new(&[Text], Time, |_, v| Ok(Datum::Time(moment_input::time(v[0].as_str())?)))],
    ),
    Function::new(
        "read_interval",
        &[Overload::new(&[Text], Interval, |_, v| Ok(Datum::Span(Span::parse(v[0].as_str())?)))],
    ),
    Function::new(
        "local_time",
        &[Overload::new(&[Timestamptz], Timestamp, |call, v| {
            Ok(Datum::Moment(moment_input::to_local(moment(&v[0]), call.zone)?))
        })],
    )
    .of_zone(),
    Function::new(
        "zoned_time",
        &[Overload::new(&[Timestamp], Timestamptz, |call, v| {
            Ok(Datum::Instant(moment_input::to_utc(moment(&v[0]), call.zone)?))
        })],
    )
    .of_zone(),
];

static UDFS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let written = strings::FUNCTIONS.iter().filter(|function| function.name == "to_text");
    FUNCTIONS.iter().chain(written).map(|function| Arc::new(udf(function))).collect()
});

fn call(name: &str, argument: Expr) -> Option<Expr> {
    let function = UDFS.iter().find(|function| function.name() == name)?;
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), vec![argument])))
}

/// Replaces the casts; to be run after type coercion.
#[derive(Debug)]
pub(crate) struct PostgresCasts;

impl AnalyzerRule for PostgresCasts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> EngineResult<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite).map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "postgres_casts"
    }
}

fn rewrite(plan: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    let mut has_cast = false;
    plan.apply_expressions(|expression| {
        has_cast = has_cast || expression.exists(|expression| Ok(matches!(expression, Expr::Cast(_))))?;
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    if !has_cast {
        return Ok(Transformed::no(plan));
    }
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expression| {
        let name = names.save(&expression);
        let replaced = expression.transform_up(|expression| Ok(replace(expression, &schema)))?;
        Ok(replaced.update_data(|expression| name.restore(expression)))
    })?
    .map_data(LogicalPlan::recompute_schema)
}

fn replace(expression: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::Cast(Cast { expr, field }) = &expression else { return Transformed::no(expression) };
    let to = field.data_type();
    let replaced = expr.get_type(schema).ok().and_then(|from| between(expr.as_ref(), &from, to));
    match replaced {
        Some(replaced) => Transformed::yes(replaced),
        None => Transformed::no(expression),
    }
}

fn between(inner: &Expr, from: &DataType, to: &DataType) -> Option<Expr> {
    let name = function(from, to)?;
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let argument = match (name, from) {
        ("zoned_time", other) if *other != micros => cast(inner.clone(), micros.clone()),
        _ if from.is_string() && *from != DataType::Utf8 => cast(inner.clone(), DataType::Utf8),
        _ => inner.clone(),
    };
    let called = call(name, argument)?;
    let given = match name {
        "read_timestamp" | "local_time" => micros,
        "read_date" => DataType::Date32,
        "read_time" => DataType::Time64(TimeUnit::Microsecond),
        "read_interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "to_text" => DataType::Utf8,
        _ => crate::types::arrow_type(crate::types::oid::TIMESTAMPTZ, -1)?,
    };
    Some(if given == *to { called } else { cast(called, to.clone()) })
}

/// The function that a cast becomes; None for what the engine does as PostgreSQL does.
fn function(from: &DataType, to: &DataType) -> Option<&'static str> {
    let shown = match from {
        DataType::List(item) => !item.data_type().is_nested(),
        DataType::Float32
        | DataType::Float64
        | DataType::Timestamp(..)
        | DataType::Time64(_)
        | DataType::Interval(_)
        | DataType::Duration(_)
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => true,
        _ => false,
    };
    Some(match (from, to) {
        (text, DataType::Timestamp(_, None)) if text.is_string() => "read_timestamp",
        (text, DataType::Timestamp(_, Some(_))) if text.is_string() => "read_timestamptz",
        (text, DataType::Date32) if text.is_string() => "read_date",
        (text, DataType::Time64(_)) if text.is_string() => "read_time",
        (text, DataType::Interval(_)) if text.is_string() => "read_interval",
        (
            DataType::Timestamp(_, Some(_)),
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Time64(_),
        ) => "local_time",
        (DataType::Timestamp(_, None) | DataType::Date32, DataType::Timestamp(_, Some(_))) => "zoned_time",
        (_, text) if text.is_string() && shown => "to_text",
        _ => return None,
    })
}
