//! UUIDs: 16 bytes that are written and read as text. Casts to and from text go through here, and a comparison of a
//! UUID with a text reads the text as a UUID.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::Error;
use crate::sqlstate::SqlState;
use crate::types;

/// Bytes of a UUID.
const UUID_BYTES: i32 = 16;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry.register_udf(Arc::new(ScalarUDF::new_from_impl(ToUuid::default())))?;
    registry.register_udf(Arc::new(ScalarUDF::new_from_impl(UuidText::default())))?;
    registry.register_expr_planner(Arc::new(UuidComparisons))?;
    registry.register_function_rewrite(Arc::new(UuidRewrite))
}

/// Makes `uuid_column = 'text'` mean what it means in PostgreSQL.
#[derive(Debug)]
struct UuidComparisons;

impl ExprPlanner for UuidComparisons {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        if !is_comparison(&op) {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let (left, right) = match (is_uuid(&left, schema), is_uuid(&right, schema)) {
            (true, false) if is_text(&right, schema) => (left, call(ToUuid::default(), right)),
            (false, true) if is_text(&left, schema) => (call(ToUuid::default(), left), right),
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// Makes `uuid_column::text` mean what it means in PostgreSQL.
#[derive(Debug)]
struct UuidRewrite;

impl FunctionRewrite for UuidRewrite {
    fn name(&self) -> &str {
        "uuid"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Cast(cast) if cast.field.data_type().is_string() && is_uuid(&cast.expr, schema) => {
                Ok(Transformed::yes(call(UuidText::default(), *cast.expr)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn is_uuid(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| types::is_uuid(&field))
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type.is_string())
}

fn call(function: impl ScalarUDFImpl + 'static, argument: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(function));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![argument]))
}

/// Text to UUID.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToUuid {
    signature: Signature,
}

impl Default for ToUuid {
    fn default() -> ToUuid {
        ToUuid { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToUuid {
    fn name(&self) -> &str {
        "to_uuid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [DataType::FixedSizeBinary(UUID_BYTES)] => Ok(arguments.to_vec()),
            [argument] if argument.is_string() || argument.is_null() => Ok(vec![DataType::Utf8]),
            [argument] => plan_err!("cannot cast type {argument} to uuid"),
            _ => plan_err!("a cast to uuid takes one value"),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::FixedSizeBinary(UUID_BYTES))
    }

    fn return_field_from_args(&self, _arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let field = Field::new("uuid", DataType::FixedSizeBinary(UUID_BYTES), true);
        Ok(Arc::new(field.with_metadata(types::uuid_marks())))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = given(&call.args[0], call.number_rows)?;
        let Some(texts) = array.as_string_opt::<i32>() else { return Ok(call.args[0].clone()) };
        let mut builder = FixedSizeBinaryBuilder::with_capacity(texts.len(), UUID_BYTES);
        for text in texts {
            match text {
                Some(text) => builder.append_value(read(text)?.as_bytes())?,
                None => builder.append_null(),
            }
        }
        as_given(&call.args[0], Arc::new(builder.finish()))
    }
}

/// The UUID that a text stands for.
pub fn read(text: &str) -> Result<::uuid::Uuid> {
    text.trim().parse().map_err(|_| {
        let message = format!("invalid input syntax for type uuid: \"{text}\"");
        DataFusionError::External(Box::new(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)))
    })
}

/// UUID to text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UuidText {
    signature: Signature,
}

impl Default for UuidText {
    fn default() -> UuidText {
        let argument = vec![DataType::FixedSizeBinary(UUID_BYTES)];
        UuidText { signature: Signature::exact(argument, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for UuidText {
    fn name(&self) -> &str {
        "uuid_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = given(&call.args[0], call.number_rows)?;
        let text = |bytes: &[u8]| ::uuid::Uuid::from_slice(bytes).ok().map(|uuid| uuid.to_string());
        let texts: StringArray =
            array.as_fixed_size_binary().iter().map(|bytes| bytes.and_then(text)).collect();
        as_given(&call.args[0], Arc::new(texts))
    }
}

/// The argument's values; a constant is one value, even for no rows at all.
fn given(argument: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    match argument {
        ColumnarValue::Scalar(_) => argument.to_array(1),
        ColumnarValue::Array(_) => argument.to_array(rows),
    }
}

/// A constant argument gives a constant.
fn as_given(argument: &ColumnarValue, array: ArrayRef) -> Result<ColumnarValue> {
    match argument {
        ColumnarValue::Scalar(_) => {
            Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?))
        }
        ColumnarValue::Array(_) => Ok(ColumnarValue::Array(array)),
    }
}
