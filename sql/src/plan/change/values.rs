//! The values that columns get: what a statement says, with the casts of an assignment, or the column's default.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use iceberg::spec::TableMetadata;

use crate::error::{Error, Result};
use crate::plan::alter::default_scalar;
use crate::plan::assign::assign;
use crate::plan::engine_error;
use crate::plan::nested::write_defaults;
use crate::plan::write::places;
use crate::resolve::{Assigned, Place, TableTarget};
use crate::sqlstate::SqlState;
use crate::table::{WriteDefaults, table_scan_schema, table_schema};

/// The columns of a table that is changed, in the types that its values are written and scanned in.
pub(super) struct Columns {
    pub written: SchemaRef,
    pub scanned: SchemaRef,
    defaults: Arc<WriteDefaults>,
}

impl Columns {
    pub fn new(target: &TableTarget) -> Result<Columns> {
        let metadata = &target.version.metadata;
        Ok(Columns {
            written: table_schema(metadata)?,
            scanned: table_scan_schema(metadata)?,
            defaults: write_defaults(metadata.current_schema())?,
        })
    }

    /// The place of each assigned column. Each may be assigned once.
    pub fn places(&self, assigned: &[Assigned], target: &TableTarget) -> Result<Vec<usize>> {
        let names: Vec<String> = assigned.iter().map(|assigned| assigned.column.clone()).collect();
        places(&names, &self.written, &target.found.relation.name).map_err(|error| {
            if error.sqlstate != SqlState::DUPLICATE_COLUMN {
                return error;
            }
            let message = error.message.replace("column ", "multiple assignments to same column ");
            let message = message.replace(" specified more than once", "");
            Error { sqlstate: SqlState::SYNTAX_ERROR, message, ..error }
        })
    }

    /// The value of an assignment, over the rows of `input`, in the type that the table's scan gives.
    pub fn value(
        &self,
        place: usize,
        value: Place,
        items: &[Expr],
        input: &LogicalPlan,
        target: &TableTarget,
        state: &SessionState,
    ) -> Result<Expr> {
        let expression = match value {
            Place::Default => default_literal(&target.version.metadata, place)?,
            Place::Item(item) => items
                .get(item)
                .cloned()
                .ok_or_else(|| Error::internal(format!("a change has no item {item}")))?,
        };
        self.assigned(place, expression, input, state)
    }

    /// The expression with the casts of an assignment to a column.
    pub fn assigned(
        &self,
        place: usize,
        expression: Expr,
        input: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Expr> {
        let schema = input.schema();
        let field = self.written.field(place);
        let value = assign(expression, field, schema, state, &self.defaults).map_err(engine_error)?;
        value.cast_to(self.scanned.field(place).data_type(), schema).map_err(engine_error)
    }

    pub fn scanned(&self) -> &Schema {
        &self.scanned
    }
}

/// The default of the column at `place`: what a row gets that does not say.
pub(in crate::plan) fn default_literal(metadata: &TableMetadata, place: usize) -> Result<Expr> {
    let value = match metadata.current_schema().as_struct().fields().get(place) {
        Some(field) => default_scalar(field)?.unwrap_or(ScalarValue::Null),
        None => ScalarValue::Null,
    };
    Ok(Expr::Literal(value, None))
}
