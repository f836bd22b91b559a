//! The functions PostgreSQL clients and users expect beyond the engine's own. Most are small: they take a few values,
//! look something up and give one value; `row_function.rs` turns such a definition into an engine function.
//!
//! `register` is called once per process for what depends on nothing; `register_for_statement` once per statement for
//! what depends on who asks, on the session or on the catalog's version.

mod advisory;
mod average;
mod bytea;
mod casts;
mod column_comment;
mod extremes;
mod json;
mod keywords;
mod literals;
mod lookups;
mod numbers;
mod privileges;
mod quotient;
mod row_function;
mod session;
mod signatures;
mod single_value;
mod sizes;
mod subscripts;
mod text;
mod to_char;
mod to_json;
mod tolerant;
mod unnest;
mod uuid;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{FunctionRegistry, SessionState};

use crate::system::SystemContext;
use row_function::{Definition, RowFunction};

pub(crate) use self::bytea::decode as read_bytea;
pub(crate) use self::uuid::read as read_uuid;
pub(crate) use single_value::{FIRST_OF_ROWS, LIST_OF_ROWS, LIST_OR_EMPTY, SINGLE_ROW, SINGLE_VALUE};
pub(crate) use subscripts::{EXPANDED, SUBSCRIPTS};

/// Registers the functions that depend on nothing but their arguments, JSON and UUIDs, and teaches the engine to join
/// lists to the rows they are in.
pub fn register(state: &mut SessionState) -> Result<()> {
    state.add_analyzer_rule(Arc::new(unnest::LateralUnnest));
    state.register_udtf(keywords::NAME, Arc::new(keywords::Keywords));
    let registry: &mut dyn FunctionRegistry = state;
    for definition in text::DEFINITIONS {
        register_one(registry, definition, None)?;
    }
    registry.register_udaf(Arc::new(single_value::single_value()))?;
    registry.register_udf(Arc::new(single_value::single_row()))?;
    registry.register_udf(Arc::new(single_value::list_or_empty()))?;
    registry.register_udf(Arc::new(to_char::to_char()))?;
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
    uuid::register(registry)
}

/// Registers the functions that answer from the statement's context.
pub fn register_for_statement(
    registry: &mut dyn FunctionRegistry,
    context: &Arc<SystemContext>,
) -> Result<()> {
    let groups = [
        session::DEFINITIONS,
        lookups::DEFINITIONS,
        privileges::DEFINITIONS,
        sizes::DEFINITIONS,
        casts::DEFINITIONS,
        signatures::DEFINITIONS,
        advisory::DEFINITIONS,
    ];
    for definition in groups.into_iter().flatten() {
        register_one(registry, definition, Some(context.clone()))?;
    }
    advisory::register(registry, context)?;
    registry.register_udf(Arc::new(column_comment::column_comment(context.clone())))?;
    Ok(())
}

fn register_one(
    registry: &mut dyn FunctionRegistry,
    definition: &'static Definition,
    context: Option<Arc<SystemContext>>,
) -> Result<()> {
    registry.register_udf(Arc::new(RowFunction::new(definition, context).into()))?;
    Ok(())
}
