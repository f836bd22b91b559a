//! The `VALUES` of an `INSERT`: each cell goes to the type of its column, not to a type that all cells of a column
//! have in common, so that `VALUES (1.5), ('NaN')` fits a real column.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::sql::planner::PlannerContext;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SetExpr, Value};

use super::assign::{mismatch, takes_numbers};
use super::{engine_error, normalize};
use crate::error::Result;
use crate::parse::is_default;
use crate::types;

/// Tells the planner the types of the columns, and gives the query back with every `DEFAULT` written out and the texts
/// that stand for bytes and UUIDs converted. Any other query comes back as it is.
pub(super) fn prepare_values(
    query: &Query,
    fields: &[FieldRef],
    defaults: &[Option<String>],
    planner: &mut PlannerContext,
) -> Result<Query> {
    let mut query = query.clone();
    let SetExpr::Values(values) = query.body.as_mut() else { return Ok(query) };
    for row in &mut values.rows {
        for ((cell, field), default) in row.content.iter_mut().zip(fields).zip(defaults) {
            if is_default(cell) {
                *cell = Expr::Value(default.clone().map_or(Value::Null, Value::SingleQuotedString).into());
            }
            check_literal(cell, field)?;
            convert_text(cell, field);
        }
    }
    let width = values.rows.first().map_or(0, |row| row.content.len());
    let plain: Fields = fields.iter().take(width).map(|field| Arc::new(plain(field))).collect();
    let schema = DFSchema::from_unqualified_fields(plain, Default::default()).map_err(engine_error)?;
    planner.set_table_schema(Some(DFSchemaRef::new(schema)));
    Ok(query)
}

/// The planner would take a number for a count of days, or for a truth value.
fn check_literal(cell: &Expr, field: &Field) -> Result<()> {
    let Expr::Value(value) = cell else { return Ok(()) };
    let given = match &value.value {
        Value::Number(..) if !takes_numbers(field.data_type()) => DataType::Int64,
        Value::Boolean(_) if !matches!(field.data_type(), DataType::Boolean | DataType::Utf8) => {
            DataType::Boolean
        }
        _ => return Ok(()),
    };
    Err(engine_error(mismatch(&Field::new("value", given, true), field)))
}

fn convert_text(cell: &mut Expr, field: &Field) {
    let text = matches!(cell, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_)));
    let through = match field.data_type() {
        _ if !text => return,
        DataType::FixedSizeBinary(_) if types::is_uuid(field) => "to_uuid",
        DataType::Binary | DataType::FixedSizeBinary(_) => "to_bytea",
        _ => return,
    };
    let taken = std::mem::replace(cell, Expr::Identifier(Ident::new("taken")));
    *cell = normalize::call(through, vec![taken]);
}

/// The field without what only files need: NULL is refused by the writer, which names the column.
fn plain(field: &Field) -> Field {
    Field::new(field.name(), plain_type(field.data_type()), true)
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(element) => DataType::List(Arc::new(plain(element))),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| Arc::new(plain(field))).collect())
        }
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(plain_entries(entries)), *sorted),
        other => other.clone(),
    }
}

/// The entries of a map and their keys are never NULL, or it is no map to Arrow.
fn plain_entries(entries: &Field) -> Field {
    let DataType::Struct(fields) = entries.data_type() else { return entries.clone() };
    let field = |field: &FieldRef| Arc::new(plain(field).with_nullable(field.is_nullable()));
    Field::new(entries.name(), DataType::Struct(fields.iter().map(field).collect()), false)
}
