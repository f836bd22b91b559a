//! The `VALUES` of an `INSERT`: each cell goes to the type of its column, not to a type that all cells of a column
//! have in common, so that `VALUES (1.5), ('NaN')` fits a real column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::planner::PlannerContext;
use datafusion::sql::sqlparser::ast::{self, Expr, Ident, Query, SelectItem, SetExpr, Value};

use super::assign::{assign, assignable, mismatch, takes_numbers};
use super::nested::{has_fields, into_column};
use super::{engine_error, normalize};
use crate::error::Result;
use crate::parse::{is_default, parse_query};
use crate::table::WriteDefaults;
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

/// A cell of a `VALUES` that stands for a struct, list or map of a column with fields.
pub(super) struct NestedCell {
    row: usize,
    place: usize,
    value: Expr,
}

/// Takes the cells of columns with fields out of a `VALUES`, and leaves NULL: the planner knows no struct that leaves
/// fields out.
pub(super) fn take_nested(query: &mut Query, fields: &[FieldRef]) -> Vec<NestedCell> {
    let mut cells = Vec::new();
    let SetExpr::Values(values) = query.body.as_mut() else { return cells };
    for (row, content) in values.rows.iter_mut().enumerate() {
        for (place, (cell, field)) in content.content.iter_mut().zip(fields).enumerate() {
            let plain = matches!(cell, Expr::Value(_)) || is_default(cell);
            if has_fields(field.data_type()) && !plain {
                let value = std::mem::replace(cell, Expr::Value(Value::Null.into()));
                cells.push(NestedCell { row, place, value });
            }
        }
    }
    cells
}

/// A list of the cells' values.
pub(super) fn list_of(cells: &[NestedCell]) -> Result<Query> {
    let mut query = *parse_query("SELECT 1")?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        let named = |(number, cell): (usize, &NestedCell)| SelectItem::ExprWithAlias {
            expr: cell.value.clone(),
            alias: Ident::with_quote('"', format!("cell{number}")),
        };
        select.projection = cells.iter().enumerate().map(named).collect();
    }
    Ok(query)
}

/// Puts the values, planned as a list, back into the rows they were taken from.
pub(super) fn put_nested(
    rows: LogicalPlan,
    cells: &[NestedCell],
    planned: &LogicalPlan,
    fields: &[FieldRef],
    defaults: &Arc<WriteDefaults>,
    state: &SessionState,
) -> datafusion::common::Result<LogicalPlan> {
    let LogicalPlan::Projection(list) = planned else {
        return datafusion::common::plan_err!(
            "VALUES take no aggregates or subqueries in columns of structs"
        );
    };
    let mut values = HashMap::new();
    for (cell, value) in cells.iter().zip(&list.expr) {
        let Some(field) = fields.get(cell.place) else { continue };
        let value = assign(value.clone().unalias(), field, list.input.schema(), state, defaults)?;
        let shown = into_column(value, &plain(field), &Arc::default());
        values.insert((cell.row, cell.place), shown);
    }
    let put = |plan: LogicalPlan| match plan {
        LogicalPlan::Values(mut rows) => {
            for ((row, place), value) in &values {
                if let Some(cell) = rows.values.get_mut(*row).and_then(|row| row.get_mut(*place)) {
                    *cell = value.clone();
                }
            }
            Ok(Transformed::yes(LogicalPlan::Values(rows)))
        }
        other => Ok(Transformed::no(other)),
    };
    rows.transform_down(put).data()
}

/// The planner would take a number for a count of days, or for a truth value.
fn check_literal(cell: &Expr, field: &Field) -> Result<()> {
    if let Some(written) = written_type(cell).filter(|written| !assignable(written, field.data_type())) {
        return Err(engine_error(mismatch(&Field::new("value", written, true), field)));
    }
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

/// The type that a cell says it has, `DATE '2024-01-01'` or `1::bigint`, as far as it matters to where it may go.
fn written_type(cell: &Expr) -> Option<DataType> {
    let written = match cell {
        Expr::TypedString(literal) => &literal.data_type,
        Expr::Cast { data_type, .. } => data_type,
        _ => return None,
    };
    Some(match written {
        ast::DataType::Date => DataType::Date32,
        ast::DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, None),
        ast::DataType::Time(..) => DataType::Time64(TimeUnit::Microsecond),
        ast::DataType::Boolean | ast::DataType::Bool => DataType::Boolean,
        ast::DataType::Int(_)
        | ast::DataType::Integer(_)
        | ast::DataType::BigInt(_)
        | ast::DataType::SmallInt(_)
        | ast::DataType::Numeric(_)
        | ast::DataType::DoublePrecision => DataType::Int64,
        _ => return None,
    })
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
