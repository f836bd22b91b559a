//! What may be put into a column of which type: PostgreSQL's assignment casts. A number fits every numeric type, a
//! text is read as the column's type, anything can become text; a number is not a date.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DataFusionError, Result as EngineResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::characters::fitted;
use super::nested::{has_fields, into_column};
use crate::error::Error;
use crate::sqlstate::SqlState;
use crate::table::WriteDefaults;
use crate::types;

/// The expression as a value for the column. Fields that a struct leaves out get their `defaults`.
///
/// # Errors
///
/// 42804 when no assignment cast leads there.
pub(super) fn assign(
    expression: Expr,
    column: &Field,
    schema: &DFSchema,
    state: &SessionState,
    defaults: &Arc<WriteDefaults>,
) -> EngineResult<Expr> {
    let (_, from) = expression.to_field(schema)?;
    if !assignable(from.data_type(), column.data_type()) {
        return Err(mismatch(&from, column));
    }
    let nested = family(from.data_type()) == Family::Nested && has_fields(column.data_type());
    if nested && from.data_type() != column.data_type() {
        return Ok(into_column(expression, column, defaults));
    }
    let through = match column.data_type() {
        DataType::FixedSizeBinary(_) if is_text(from.data_type()) && types::is_uuid(column) => "to_uuid",
        DataType::Binary | DataType::FixedSizeBinary(_) if is_text(from.data_type()) => "to_bytea",
        _ => return fitted(expression.cast_to(column.data_type(), schema)?, column, schema),
    };
    let function = state.scalar_functions().get(through).cloned();
    let function =
        function.ok_or_else(|| DataFusionError::Internal(format!("{through} is not registered")))?;
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expression]));
    call.cast_to(column.data_type(), schema)
}

pub(super) fn mismatch(from: &Field, column: &Field) -> DataFusionError {
    let (is, want) = (types::sql_name(from), types::sql_name(column));
    let message = format!("column \"{}\" is of type {want} but expression is of type {is}", column.name());
    let error = Error::new(SqlState::DATATYPE_MISMATCH, message)
        .with_hint("You will need to rewrite or cast the expression.");
    DataFusionError::External(Box::new(error))
}

/// Whether a number may stand for a value of the type.
pub(super) fn takes_numbers(data_type: &DataType) -> bool {
    family(data_type) == Family::Number || is_text(data_type)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

pub(super) fn assignable(from: &DataType, to: &DataType) -> bool {
    if from == to || from.is_null() || is_text(from) || is_text(to) {
        return true;
    }
    match (family(from), family(to)) {
        (Family::Nested, Family::Nested) => nested_assignable(from, to),
        (from, to) => from == to,
    }
}

#[derive(PartialEq)]
enum Family {
    Number,
    Boolean,
    /// Date and timestamps.
    Moment,
    TimeOfDay,
    Bytes,
    Nested,
    Other,
}

fn family(data_type: &DataType) -> Family {
    match data_type {
        DataType::Boolean => Family::Boolean,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Family::Moment,
        DataType::Time32(_) | DataType::Time64(_) => Family::TimeOfDay,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Family::Bytes
        }
        DataType::Struct(_)
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::Map(..) => Family::Nested,
        other if other.is_numeric() => Family::Number,
        _ => Family::Other,
    }
}

fn nested_assignable(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.iter().all(|from| match to.find(from.name()) {
                Some((_, to)) => assignable(from.data_type(), to.data_type()),
                None => false,
            })
        }
        (DataType::Map(from, _), DataType::Map(to, _)) => match (from.data_type(), to.data_type()) {
            (DataType::Struct(from), DataType::Struct(to)) if from.len() == to.len() => {
                from.iter().zip(to).all(|(from, to)| assignable(from.data_type(), to.data_type()))
            }
            _ => false,
        },
        (from, to) => match (element(from), element(to)) {
            (Some(from), Some(to)) => assignable(from, to),
            _ => false,
        },
    }
}

fn element(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type())
        }
        _ => None,
    }
}
