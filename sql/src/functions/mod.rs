//! The functions PostgreSQL clients and users expect beyond the engine's own. Most are small: they take a few values,
//! look something up and give one value; `row_function.rs` turns such a definition into an engine function.
//!
//! `register` is called once per process for what depends on nothing; `registry.rs` makes what depends on who asks, on the
//! session or on the catalog's version when a statement names it.

mod advisory;
mod arithmetic;
mod average;
mod bytea;
mod casts;
mod column_comment;
mod datum;
mod decimal;
mod engine_casts;
mod extremes;
mod fault;
mod fields;
mod json;
pub(crate) mod json_edit;
mod json_value;
mod keywords;
pub(crate) mod lists;
mod literals;
mod lookups;
mod moment_input;
mod moment_pattern;
mod moments;
mod number_pattern;
mod number_text;
mod numbers;
mod operators;
mod overload;
mod privileges;
mod quotient;
pub(crate) mod regex_text;
pub(crate) mod regexes;
mod registry;
mod row_function;
mod series;
mod session;
mod shown;
mod signatures;
mod single_value;
mod sizes;
mod span;
mod span_input;
mod strings;
mod subscripts;
mod text;
mod time_pattern;
mod to_char;
pub(crate) mod to_json;
mod tolerant;
mod unnest;
mod uuid;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{FunctionRegistry, SessionState};

use row_function::{Definition, RowFunction};

pub(crate) use self::bytea::decode as read_bytea;
pub(crate) use self::engine_casts::PostgresCasts;
pub(crate) use self::moment_pattern::MONTHS;
pub(crate) use self::operators::planner as operator_planner;
pub(crate) use self::registry::{SharedFunctions, StatementFunctions};
pub(crate) use self::span::Span;
pub(crate) use self::unnest::expands_left;
pub(crate) use self::uuid::read as read_uuid;
pub(crate) use single_value::{FIRST_OF_ROWS, LIST_OF_ROWS, LIST_OR_EMPTY, SINGLE_ROW, SINGLE_VALUE};
pub(crate) use subscripts::{EXPANDED, SUBSCRIPTS};

/// A number with an exponent written out, if it has no more digits than a numeric can have.
pub(crate) fn expanded_number(digits: &str) -> Option<String> {
    let (value, scale) = decimal::parse(digits)?;
    Some(decimal::shown(value, scale))
}

/// Registers the functions that depend on nothing but their arguments, JSON and UUIDs, and teaches the engine to join
/// lists to the rows they are in.
pub fn register(state: &mut SessionState) -> Result<()> {
    state.add_analyzer_rule(Arc::new(unnest::LateralUnnest));
    state.register_udtf(keywords::NAME, Arc::new(keywords::Keywords));
    let registry: &mut dyn FunctionRegistry = state;
    for definition in text::DEFINITIONS {
        register_one(registry, definition)?;
    }
    registry.register_udaf(Arc::new(single_value::single_value()))?;
    registry.register_udf(Arc::new(single_value::single_row()))?;
    registry.register_udf(Arc::new(single_value::list_or_empty()))?;
    tolerant::register(registry)?;
    numbers::register(registry)?;
    quotient::register(registry)?;
    average::register(registry)?;
    extremes::register(registry)?;
    to_json::register(registry)?;
    json::register(registry)?;
    bytea::register(registry)?;
    subscripts::register(registry)?;
    literals::register(registry)?;
    uuid::register(registry)?;
    register_overloaded(registry)
}

/// Registers the functions that take values of many types. They replace what the engine has under the same names.
fn register_overloaded(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for functions in [
        arithmetic::FUNCTIONS,
        fields::FUNCTIONS,
        json_edit::FUNCTIONS,
        lists::FUNCTIONS,
        moments::FUNCTIONS,
        regexes::FUNCTIONS,
        series::FUNCTIONS,
        strings::FUNCTIONS,
        to_char::FUNCTIONS,
        to_json::FUNCTIONS,
    ] {
        overload::register(registry, functions)?;
    }
    registry.register_function_rewrite(Arc::new(fields::EngineParts))?;
    registry.register_function_rewrite(Arc::new(strings::EngineTexts))?;
    registry.register_function_rewrite(Arc::new(lists::UnknownMembers))?;
    registry.register_function_rewrite(Arc::new(series::WholeSeries))
}

fn register_one(registry: &mut dyn FunctionRegistry, definition: &'static Definition) -> Result<()> {
    registry.register_udf(Arc::new(RowFunction::new(definition, None).into()))?;
    Ok(())
}
