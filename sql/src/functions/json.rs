//! JSON: the operators `->`, `->>`, `#>`, `#>>` and `?`, casts to json, and `jsonb_typeof`. JSON is text that is marked
//! as such; what reads it comes from `datafusion-functions-json`. That crate's `->` gives a union of types, which no
//! client knows, so `->` here is its function that gives JSON text, marked.
//!
//! On a struct or list, which a crawl makes of JSON files, the same operators reach into it.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::functions::core::get_field;
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use datafusion_functions_json::udfs;

use super::row_function::RowFunction;
use crate::error::Error;
use crate::sqlstate::SqlState;
use crate::types;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    // Of several planners the first that knows an operator plans it.
    registry.register_expr_planner(Arc::new(JsonOperators))?;
    datafusion_functions_json::register_all(registry)?;
    registry.register_udf(Arc::new(json_text("json_get")))?;
    registry.register_udf(Arc::new(json_text("json_get_json")))?;
    registry.register_udf(Arc::new(ScalarUDF::new_from_impl(ToJsonText::default())))?;
    Ok(())
}

/// The function that gives a part of a JSON text as JSON text, under a name of ours.
fn json_text(name: &'static str) -> ScalarUDF {
    ScalarUDF::new_from_impl(JsonText { name, inner: udfs::json_get_json_udf() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonText {
    name: &'static str,
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for JsonText {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(arguments)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true).with_metadata(types::json_marks())))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(call)
    }
}

/// Plans the JSON operators.
#[derive(Debug)]
struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let as_text = matches!(expr.op, BinaryOperator::LongArrow | BinaryOperator::HashLongArrow);
        let path = match expr.op {
            BinaryOperator::Arrow | BinaryOperator::LongArrow => vec![expr.right.clone()],
            BinaryOperator::HashArrow | BinaryOperator::HashLongArrow => match path_elements(&expr.right) {
                Some(path) => path,
                None => return plan_err!("the path of {} must be a text such as '{{a,b,0}}'", expr.op),
            },
            BinaryOperator::AtArrow | BinaryOperator::ArrowAt => return contains(expr, schema),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let left_type = expr.left.get_type(schema)?;
        let planned = match left_type {
            DataType::Struct(_) | DataType::List(_) => reach_into(expr.left, path, as_text),
            _ => read_text(expr.left, path, as_text),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

/// `@>` and `<@` of two JSON texts; of lists they are the engine's.
fn contains(expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    let texts = expr.left.get_type(schema)?.is_string() && expr.right.get_type(schema)?.is_string();
    if !texts {
        return Ok(PlannerResult::Original(expr));
    }
    let arguments = match expr.op {
        BinaryOperator::AtArrow => vec![expr.left, expr.right],
        _ => vec![expr.right, expr.left],
    };
    let function = RowFunction::new(&super::text::JSON_CONTAINED, None);
    let function = Arc::new(ScalarUDF::new_from_impl(function));
    Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))))
}

/// Whether the first JSON text contains the second: objects by their members, arrays by their elements, an array a
/// scalar that is among its elements.
pub fn json_contained(outer: &str, inner: &str) -> crate::Result<bool> {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(|error| not_json(&error));
    Ok(contained(&read(outer)?, &read(inner)?, true))
}

fn contained(outer: &serde_json::Value, inner: &serde_json::Value, top: bool) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (outer, inner) {
        (Object(outer), Object(inner)) => inner
            .iter()
            .all(|(key, inner)| outer.get(key).is_some_and(|outer| contained(outer, inner, false))),
        (Array(outer), Array(inner)) => {
            inner.iter().all(|inner| outer.iter().any(|outer| contained(outer, inner, false)))
        }
        (Array(outer), scalar) if top && !scalar.is_object() => outer.contains(scalar),
        (Number(outer), Number(inner)) => outer.as_f64() == inner.as_f64(),
        (outer, inner) => outer == inner,
    }
}

/// The elements of a path literal `{a,b,0}`; a number is a place in an array.
fn path_elements(right: &Expr) -> Option<Vec<Expr>> {
    let Expr::Literal(value, _) = right else { return None };
    let text = value.try_as_str()??;
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let element = |text: &str| match text.trim().parse::<i64>() {
        Ok(place) => lit(place),
        Err(_) => lit(text.trim().trim_matches('"')),
    };
    Some(inner.split(',').map(element).collect())
}

/// Reads JSON text. One call takes the whole path of `a -> b -> c`, so that the text is parsed once.
fn read_text(left: Expr, path: Vec<Expr>, as_text: bool) -> Expr {
    let mut arguments = match left {
        Expr::ScalarFunction(call) if call.func.name() == "json_get_json" => call.args,
        other => vec![other],
    };
    arguments.extend(path);
    let function = if as_text { udfs::json_as_text_udf() } else { Arc::new(json_text("json_get_json")) };
    Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))
}

/// Fields of structs by name, elements of lists counted from 0 as in JSON.
fn reach_into(left: Expr, path: Vec<Expr>, as_text: bool) -> Expr {
    let step = |value: Expr, key: Expr| match &key {
        Expr::Literal(ScalarValue::Int64(Some(place)), _) => array_element(value, lit(place + 1)),
        _ => get_field().call(vec![value, key]),
    };
    let value = path.into_iter().fold(left, step);
    if as_text { cast(value, DataType::Utf8) } else { value }
}

/// `x::json`: the same text, marked, if it is JSON.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToJsonText {
    signature: Signature,
}

impl Default for ToJsonText {
    fn default() -> ToJsonText {
        ToJsonText { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToJsonText {
    fn name(&self) -> &str {
        "to_json_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [argument] if argument.is_null() || argument.is_string() => Ok(vec![DataType::Utf8]),
            [argument] => plan_err!("cannot cast type {argument} to json"),
            _ => plan_err!("a cast to json takes one value"),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let field = arrow::datatypes::Field::new("json", DataType::Utf8, true);
        Ok(Arc::new(field.with_metadata(types::json_marks())))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = call.args[0].to_array(call.number_rows)?;
        let texts: &StringArray = array.as_string();
        for text in texts.iter().flatten() {
            check_json(text).map_err(|error| DataFusionError::External(Box::new(error)))?;
        }
        Ok(call.args[0].clone())
    }
}

fn check_json(text: &str) -> crate::Result<()> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(not_json(&error)),
    }
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
        .with_detail(format!("The text is not JSON: {error}."))
}
