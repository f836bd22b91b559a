//! `INSERT`: the source query becomes a plan whose columns are exactly the table's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::Column;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, SetExpr, Value};
use iceberg::spec::{PrimitiveType, TableMetadata, Type};

use super::assign::assign;
use super::change::{Checks, default_literal};
use super::nested::write_defaults;
use super::values::{list_of, prepare_values, put_nested, take_nested};
use super::{Context, Described, engine_error, query};
use crate::error::{Error, Result};
use crate::resolve::{ResolvedQuery, TableTarget, nearest};
use crate::sqlstate::SqlState;
use crate::table::table_schema;

/// Rows for a table.
pub(crate) struct InsertPlan {
    pub target: TableTarget,
    /// Has the table's columns, in its order.
    pub input: LogicalPlan,
    pub overwrite: bool,
}

impl InsertPlan {
    /// The same plan with the values of its parameters.
    pub fn bind(self, parameters: &[ArrayRef]) -> Result<InsertPlan> {
        Ok(InsertPlan { input: query::bind(self.input, parameters)?, ..self })
    }

    pub fn describe(self, given: &[Option<DataType>]) -> Result<Described> {
        Ok(Described { parameters: query::parameter_types(&self.input, given)?, columns: None })
    }
}

/// Plans an insert into the named columns, or all of them.
pub(super) async fn plan_insert(
    target: TableTarget,
    columns: &[String],
    source: Option<&ResolvedQuery>,
    overwrite: bool,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<InsertPlan> {
    let mut input = plan_rows(&target, columns, source, context, types).await?;
    if let Some(checks) = Checks::of(&target, context).await? {
        input = checks.of_rows(input)?;
    }
    Ok(InsertPlan { target, input, overwrite })
}

/// The rows of a query as rows of the table; without a query it is one row of defaults.
pub(super) async fn plan_rows(
    target: &TableTarget,
    columns: &[String],
    source: Option<&ResolvedQuery>,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<LogicalPlan> {
    let metadata = &target.version.metadata;
    let schema = table_schema(metadata)?;
    let places = places(columns, &schema, &target.found.relation.name)?;
    let Some(source) = source else {
        let row = LogicalPlanBuilder::empty(true).build().map_err(engine_error)?;
        return project(row, &[], &schema, metadata, &context.state);
    };
    let fields: Vec<FieldRef> = places.iter().map(|place| Arc::clone(&schema.fields()[*place])).collect();
    check_rows(&source.query, fields.len(), columns.is_empty())?;
    let types = with_value_types(&source.query, &fields, types);
    let mut planner = query::planner_context(&types);
    let mut text = source.query.as_ref().clone();
    let nested = take_nested(&mut text, &fields);
    let cells = match nested.is_empty() {
        true => None,
        false => {
            let mut planner = query::planner_context(&types);
            Some(query::plan_with(&list_of(&nested)?, context, HashMap::new(), &mut planner)?.logical)
        }
    };
    let text = prepare_values(&text, &fields, &defaults(metadata, &places), &mut planner)?;
    let tables = query::tables(source, context, &context.scope.principal).await?;
    let mut planned = query::plan_with(&text, context, tables, &mut planner)?.logical;
    if let Some(cells) = cells {
        let defaults = write_defaults(metadata.current_schema())?;
        let put = put_nested(planned, &nested, &cells, &fields, &defaults, &context.state);
        planned = put.map_err(engine_error)?;
    }
    check_count(planned.schema().fields().len(), fields.len(), columns.is_empty())?;
    project(planned, &places, &schema, metadata, &context.state)
}

/// The defaults of the columns at `places` as texts, which a list of values takes for any type.
fn defaults(metadata: &TableMetadata, places: &[usize]) -> Vec<Option<String>> {
    let fields = metadata.current_schema().as_struct().fields();
    let text = |place: &usize| {
        let field = fields.get(*place)?;
        let value = field.write_default.clone()?.try_into_json(&field.field_type).ok()?;
        let binary =
            matches!(*field.field_type, Type::Primitive(PrimitiveType::Binary | PrimitiveType::Fixed(_)));
        Some(match value {
            serde_json::Value::String(hex) if binary => format!("\\x{hex}"),
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        })
    };
    places.iter().map(text).collect()
}

/// Where each inserted column is in the table.
pub(super) fn places(columns: &[String], schema: &SchemaRef, table: &str) -> Result<Vec<usize>> {
    if columns.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let mut places = Vec::new();
    for column in columns {
        let Ok(place) = schema.index_of(column) else {
            let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
            let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
            let known = schema.fields().iter().map(|field| field.name().as_str());
            return Err(match nearest(column, known) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            });
        };
        if places.contains(&place) {
            let message = format!("column \"{column}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        places.push(place);
    }
    Ok(places)
}

/// Every row of a VALUES list must have as many values as there are columns to fill.
fn check_rows(query: &ast::Query, expected: usize, all_columns: bool) -> Result<()> {
    match query.body.as_ref() {
        SetExpr::Values(values) => {
            values.rows.iter().try_for_each(|row| check_count(row.content.len(), expected, all_columns))
        }
        _ => Ok(()),
    }
}

/// A parameter that stands alone in a VALUES list has the type of its column.
fn with_value_types(
    query: &ast::Query,
    fields: &[FieldRef],
    given: &[Option<DataType>],
) -> Vec<Option<DataType>> {
    let mut types: BTreeMap<usize, DataType> = BTreeMap::new();
    if let SetExpr::Values(values) = query.body.as_ref() {
        for row in &values.rows {
            for (expression, field) in row.content.iter().zip(fields) {
                if let Some(number) = placeholder(expression) {
                    types.entry(number).or_insert_with(|| field.data_type().clone());
                }
            }
        }
    }
    let count = types.keys().last().map_or(0, |last| last + 1).max(given.len());
    (0..count)
        .map(|place| given.get(place).cloned().flatten().or_else(|| types.get(&place).cloned()))
        .collect()
}

fn placeholder(expression: &ast::Expr) -> Option<usize> {
    match expression {
        ast::Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.trim_start_matches('$').parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    }
}

fn check_count(given: usize, expected: usize, all_columns: bool) -> Result<()> {
    if given > expected {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more expressions than target columns")
            .with_detail(format!("There are {given} expressions and {expected} columns.")));
    }
    // As in PostgreSQL, columns at the end may be left out when no columns are named.
    if given < expected && !all_columns {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more target columns than expressions")
            .with_detail(format!("There are {given} expressions and {expected} columns.")));
    }
    Ok(())
}

/// The table's columns from the source's, the default where there is none.
pub(super) fn project(
    source: LogicalPlan,
    places: &[usize],
    schema: &SchemaRef,
    metadata: &TableMetadata,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let count = source.schema().fields().len();
    let defaults = write_defaults(metadata.current_schema())?;
    let mut expressions = Vec::new();
    for (place, field) in schema.fields().iter().enumerate() {
        let from = places.iter().position(|to| *to == place).filter(|from| *from < count);
        let expression = match from {
            Some(from) => Expr::Column(Column::from(source.schema().qualified_field(from))),
            None => default_literal(metadata, place)?,
        };
        let value = assign(expression, field, source.schema(), state, &defaults).map_err(engine_error)?;
        expressions.push(value.alias(field.name()));
    }
    let projected = LogicalPlanBuilder::from(source).project(expressions);
    projected.and_then(LogicalPlanBuilder::build).map_err(engine_error)
}
