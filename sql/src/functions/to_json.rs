//! Values to JSON: `to_json`, `json_build_object`, `json_build_array`. What is JSON already is put in as it is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::types;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for (name, shape) in [
        ("to_json", Shape::Value),
        ("to_jsonb", Shape::Value),
        ("row_to_json", Shape::Value),
        ("json_build_object", Shape::Object),
        ("jsonb_build_object", Shape::Object),
        ("json_build_array", Shape::Array),
        ("jsonb_build_array", Shape::Array),
    ] {
        registry.register_udf(Arc::new(ScalarUDF::new_from_impl(Build {
            name,
            shape,
            signature: Signature::variadic_any(Volatility::Immutable),
        })))?;
    }
    Ok(())
}

/// What the arguments become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    /// The one argument.
    Value,
    /// Keys and values in turn.
    Object,
    Array,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Build {
    name: &'static str,
    shape: Shape,
    signature: Signature,
}

impl ScalarUDFImpl for Build {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.shape, arguments.len()) {
            (Shape::Value, 1) | (Shape::Array, _) => Ok(DataType::Utf8),
            (Shape::Object, count) if count % 2 == 0 => Ok(DataType::Utf8),
            (Shape::Value, _) => plan_err!("{} takes one argument", self.name),
            (Shape::Object, _) => plan_err!("{} takes keys and values in turn", self.name),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let data_types: Vec<DataType> =
            arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name, self.return_type(&data_types)?, true);
        Ok(Arc::new(field.with_metadata(types::json_marks())))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = call.args.iter().map(|argument| argument.to_array(call.number_rows));
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let mut columns = Vec::with_capacity(arrays.len());
        for (array, field) in arrays.iter().zip(&call.arg_fields) {
            columns.push(encode(array, field, call.number_rows)?);
        }
        let mut builder = StringBuilder::new();
        for row in 0..call.number_rows {
            match self.shape {
                Shape::Value => builder.append_option(columns[0][row].as_deref()),
                Shape::Array => {
                    let items: Vec<&str> = columns.iter().map(|column| or_null(&column[row])).collect();
                    builder.append_value(format!("[{}]", items.join(", ")));
                }
                Shape::Object => {
                    let members = columns.chunks(2).map(|pair| member(&pair[0][row], &pair[1][row]));
                    builder.append_value(format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(", ")));
                }
            }
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

fn or_null(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("null")
}

/// A key is a text, whatever it was.
fn member(key: &Option<String>, value: &Option<String>) -> Result<String> {
    let Some(key) = key else { return exec_err!("a key of a JSON object must not be null") };
    let key =
        if key.starts_with('"') { key.clone() } else { serde_json::Value::from(key.as_str()).to_string() };
    Ok(format!("{key} : {}", or_null(value)))
}

/// Each value as JSON text; None for NULL.
fn encode(array: &ArrayRef, field: &FieldRef, rows: usize) -> Result<Vec<Option<String>>> {
    if types::is_json(field)
        && let Some(texts) = array.as_string_opt::<i32>()
    {
        return Ok(texts.iter().map(|text| text.map(str::to_string)).collect());
    }
    if array.data_type().is_null() {
        return Ok(vec![None; rows]);
    }
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, array.as_ref(), &options)?;
    let mut encoded = Vec::with_capacity(rows);
    for row in 0..array.len() {
        if encoder.is_null(row) {
            encoded.push(None);
            continue;
        }
        let mut bytes = Vec::new();
        encoder.encode(row, &mut bytes);
        match String::from_utf8(bytes) {
            Ok(text) => encoded.push(Some(text)),
            Err(error) => return exec_err!("a value cannot be written as JSON: {error}"),
        }
    }
    Ok(encoded)
}
