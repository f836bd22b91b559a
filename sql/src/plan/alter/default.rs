//! `DEFAULT`: a constant, which Iceberg keeps in the schema as of format version 3 (specification, "Default values").
//! Rows from before the column have its initial default; rows written without a value get its write default.

use datafusion::common::ScalarValue;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};
use iceberg::spec::{Literal, NestedField, PrimitiveLiteral, PrimitiveType, Type};
use std::ops::ControlFlow;

use super::super::{Context, engine_error, moment};
use crate::error::{Error, Result};
use crate::functions::{read_bytea, read_uuid};
use crate::sqlstate::SqlState;
use crate::statement::{ColumnDefinition, TypeName};
use crate::table::{arrow_type, literal_of, scalar_of};

/// Refuses defaults where the table's format has none.
pub(in crate::plan) fn check_defaults(columns: &[ColumnDefinition], v3: bool) -> Result<()> {
    for column in columns {
        match (&column.default, &column.data_type) {
            (Some(_), _) if !v3 => return Err(needs_v3(&column.name)),
            (_, TypeName::Struct(fields)) => check_defaults(fields, v3)?,
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn needs_v3(column: &str) -> Error {
    let message = format!("column \"{column}\" has a DEFAULT, which format version 3 brought");
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).with_hint(
        "Use format_version = 3: in WITH of CREATE TABLE, or ALTER TABLE … SET (format_version = 3).",
    )
}

/// The value of a default; None for NULL, which needs no default.
pub(in crate::plan) fn default_literal(
    value: &ast::Expr,
    data_type: &Type,
    context: &Context,
) -> Result<Option<Literal>> {
    if calls_function(value) {
        let message = format!("DEFAULT {value} is computed");
        return Err(Error::unsupported(message)
            .with_detail("Iceberg keeps one value for all rows.")
            .with_hint("Give a literal, such as 0, 'text' or DATE '2026-01-31'."));
    }
    let Type::Primitive(primitive) = data_type else {
        return match moment::constant(value, context)? {
            null if null.is_null() => Ok(None),
            _ => Err(Error::unsupported("a DEFAULT for a nested column")),
        };
    };
    let scalar = match primitive {
        PrimitiveType::Uuid | PrimitiveType::Binary | PrimitiveType::Fixed(_) => {
            bytes(value, primitive, context)?
        }
        _ => moment::constant(value, context)?,
    };
    if scalar.is_null() {
        return Ok(None);
    }
    let scalar = scalar.cast_to_with_options(&arrow_type(data_type)?, &DEFAULT_CAST_OPTIONS);
    let literal = match (primitive, scalar.map_err(engine_error)?) {
        // Sixteen bytes need not be a UUID.
        (PrimitiveType::Fixed(_), ScalarValue::FixedSizeBinary(_, Some(bytes))) => {
            Some(PrimitiveLiteral::Binary(bytes))
        }
        (_, scalar) => literal_of(&scalar),
    };
    let literal = literal.map(Literal::Primitive);
    literal.map(Some).ok_or_else(|| Error::unsupported(format!("a DEFAULT of type {primitive}")))
}

/// A text read as bytes or as a UUID, for its own bytes are not what it means.
fn bytes(value: &ast::Expr, primitive: &PrimitiveType, context: &Context) -> Result<ScalarValue> {
    let text = match value {
        ast::Expr::Cast { expr, .. } => expr,
        other => other,
    };
    let text = match moment::constant(text, context)? {
        null if null.is_null() => return Ok(ScalarValue::Null),
        text => text.try_as_str().flatten().map(str::to_owned).ok_or_else(|| {
            let message = format!("a DEFAULT of type {primitive} cannot be {value}");
            Error::new(SqlState::DATATYPE_MISMATCH, message).with_hint("Give its text in quotes.")
        })?,
    };
    match primitive {
        PrimitiveType::Uuid => {
            let uuid = read_uuid(&text).map_err(engine_error)?;
            Ok(ScalarValue::FixedSizeBinary(16, Some(uuid.into_bytes().to_vec())))
        }
        _ => Ok(ScalarValue::Binary(Some(read_bytea(&text).map_err(engine_error)?))),
    }
}

fn calls_function(value: &ast::Expr) -> bool {
    struct Functions;
    impl Visitor for Functions {
        type Break = ();
        fn pre_visit_expr(&mut self, expression: &ast::Expr) -> ControlFlow<()> {
            match expression {
                ast::Expr::Function(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    value.visit(&mut Functions).is_break()
}

/// What a row gets that is written without a value for the column: in Arrow's terms, NULL without a default.
pub(in crate::plan) fn default_scalar(field: &NestedField) -> Result<Option<ScalarValue>> {
    let (Some(Literal::Primitive(value)), Type::Primitive(primitive)) =
        (&field.write_default, field.field_type.as_ref())
    else {
        return Ok(None);
    };
    scalar_of(value, primitive).map(Some).ok_or_else(|| {
        Error::internal(format!("the default of column \"{}\" is not of its type", field.name))
    })
}
