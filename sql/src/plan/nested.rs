//! Structs, lists and maps on their way into a column. The engine's own cast takes the fields of a struct by name, but
//! those of structs in maps by their place; it refuses fields that may be NULL where the column's may not, whatever they
//! hold, and knows no defaults. So there is a cast of our own, of the writer's rules (`../table/conform.rs`). Next:
//! `assign.rs`, which decides what may be put where.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use iceberg::spec::Schema;

use super::alter::default_scalar;
use crate::error::Result;
use crate::table::{WriteDefaults, conform_column};

/// What the fields of a table get when a value leaves them out.
pub(super) fn write_defaults(schema: &Schema) -> Result<Arc<WriteDefaults>> {
    let mut defaults = WriteDefaults::new();
    for (id, field) in schema.field_id_to_fields() {
        defaults.extend(default_scalar(field)?.map(|value| (*id, value)));
    }
    Ok(Arc::new(defaults))
}

/// Whether values of the type have fields with names.
pub(super) fn has_fields(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(_) | DataType::Map(..) => true,
        DataType::List(element) => has_fields(element.data_type()),
        _ => false,
    }
}

/// The expression as a value for a column of such a type.
pub(super) fn into_column(expression: Expr, column: &Field, defaults: &Arc<WriteDefaults>) -> Expr {
    let function = IntoColumn {
        column: Arc::new(column.clone()),
        defaults: Arc::clone(defaults),
        // A constant of the engine forgets the field ids in a list, so none must be made of it.
        signature: Signature::any(1, Volatility::Volatile),
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::new_from_impl(function)),
        vec![expression],
    ))
}

/// The cast into one column.
#[derive(Debug)]
struct IntoColumn {
    column: FieldRef,
    defaults: Arc<WriteDefaults>,
    signature: Signature,
}

impl PartialEq for IntoColumn {
    fn eq(&self, other: &IntoColumn) -> bool {
        self.column == other.column && self.defaults == other.defaults
    }
}

impl Eq for IntoColumn {}

impl Hash for IntoColumn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
    }
}

impl ScalarUDFImpl for IntoColumn {
    fn name(&self) -> &str {
        "into_column"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.column.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.column.data_type().clone(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("a cast takes one value".to_owned()));
        };
        let (data_type, name) = (self.column.data_type(), self.column.name());
        let array = value.to_array(args.number_rows)?;
        conform_column(&array, data_type, name, &self.defaults)
            .map(ColumnarValue::Array)
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }
}
