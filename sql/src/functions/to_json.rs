//! Values to JSON: `to_json`, `json_build_object`, `json_build_array`. What is JSON already is put in as it is.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::datum::{self, Datum};
use super::json_value::Json;
use super::overload::Type::{Any, Json as JsonText, Text, Texts};
use super::overload::{Function, Overload};
use super::{fault, shown};
use crate::error::Error;
use crate::sqlstate::SqlState;
use crate::types;

/// What aggregates of JSON are made of: their elements and members as texts, and the whole in its brackets.
pub const ELEMENT: &str = "json_element";
pub const ROW_ELEMENT: &str = "json_row_element";
pub const MEMBER: &str = "json_member";
pub const LIST: &str = "json_list";
pub const LIST_B: &str = "jsonb_list";
pub const OBJECT: &str = "json_members";
pub const OBJECT_B: &str = "jsonb_members";

pub const FUNCTIONS: &[Function] = &[
    Function::new(
        ELEMENT,
        &[Overload::new(&[Any], Text, |call, v| {
            let text = shown::json(&v[0], call.zone)?;
            // Rows and lists stand on lines of their own.
            let line = if matches!(v[0], Datum::List(_) | Datum::Record(_)) { "\n " } else { "" };
            Ok(format!("{line}{text}").into())
        })],
    )
    .with_nulls()
    .of_zone(),
    // A row, of names and values in turn.
    Function::new(
        "json_row",
        &[Overload::variadic(&[Text, Any], Any, JsonText, |call, v| {
            Ok(Datum::Json(row(v, call.zone)?.into()))
        })],
    )
    .with_nulls()
    .of_zone(),
    Function::new(
        ROW_ELEMENT,
        &[Overload::variadic(&[Text, Any], Any, Text, |call, v| {
            Ok(format!("\n {}", row(v, call.zone)?).into())
        })],
    )
    .with_nulls()
    .of_zone(),
    Function::new(
        MEMBER,
        &[Overload::new(&[Any, Any], Text, |call, v| {
            if v[0].is_null() {
                return Err(fault::parameter("field name must not be null"));
            }
            Ok(member(&v[0], &shown::json(&v[1], call.zone)?, call.zone)?.into())
        })],
    )
    .with_nulls()
    .of_zone(),
    Function::new(
        LIST,
        &[Overload::new(&[Text], JsonText, |_, v| {
            Ok(Datum::Json(format!("[{}]", v[0].as_str().trim_start()).into()))
        })],
    ),
    Function::new(
        LIST_B,
        &[Overload::new(&[Text], JsonText, |_, v| normalized(&format!("[{}]", v[0].as_str())))],
    ),
    Function::new(
        OBJECT,
        &[Overload::new(&[Text], JsonText, |_, v| {
            Ok(Datum::Json(format!("{{ {} }}", v[0].as_str()).into()))
        })],
    ),
    Function::new(
        OBJECT_B,
        &[Overload::new(&[Text], JsonText, |_, v| normalized(&format!("{{{}}}", v[0].as_str())))],
    ),
    Function::new(
        "json_object",
        &[
            Overload::new(&[Texts], JsonText, |_, v| Ok(Datum::Json(object(&v[0], None)?.into()))),
            Overload::new(&[Texts, Texts], JsonText, |_, v| {
                Ok(Datum::Json(object(&v[0], Some(&v[1]))?.into()))
            }),
        ],
    ),
    Function::new(
        "jsonb_object",
        &[
            Overload::new(&[Texts], JsonText, |_, v| normalized(&object(&v[0], None)?)),
            Overload::new(&[Texts, Texts], JsonText, |_, v| normalized(&object(&v[0], Some(&v[1]))?)),
        ],
    ),
];

fn normalized<'a>(text: &str) -> crate::Result<Datum<'a>> {
    Ok(Datum::Json(Json::read(text)?.normalized().spaced().into()))
}

fn row(values: &[Datum], zone: Tz) -> crate::Result<String> {
    let members = values
        .chunks(2)
        .map(|pair| Ok(format!("{}:{}", shown::string(pair[0].as_str()), shown::json(&pair[1], zone)?)));
    Ok(format!("{{{}}}", members.collect::<crate::Result<Vec<_>>>()?.join(",")))
}

/// An object of keys and values in turn, or of a list of each.
fn object(keys: &Datum, values: Option<&Datum>) -> crate::Result<String> {
    let state = SqlState::ARRAY_ELEMENT_ERROR;
    let keys = keys.elements();
    let pairs: Vec<(&Datum, &Datum)> = match values.map(Datum::elements) {
        Some(values) if values.len() == keys.len() => keys.iter().zip(values).collect(),
        Some(_) => return Err(Error::new(state, "mismatched array dimensions")),
        None if keys.len().is_multiple_of(2) => keys.chunks(2).map(|pair| (&pair[0], &pair[1])).collect(),
        None => return Err(Error::new(state, "array must have even number of elements")),
    };
    let members = pairs.into_iter().map(|(key, value)| match (key, value) {
        (Datum::Null, _) => Err(fault::null_value("null value not allowed for object key")),
        (key, Datum::Null) => Ok(format!("{} : null", shown::string(key.as_str()))),
        (key, value) => Ok(format!("{} : {}", shown::string(key.as_str()), shown::string(value.as_str()))),
    });
    Ok(format!("{{{}}}", members.collect::<crate::Result<Vec<_>>>()?.join(", ")))
}

/// `"key" : value`; a key is a text, whatever it was.
fn member(key: &Datum, value: &str, zone: Tz) -> crate::Result<String> {
    Ok(format!("{} : {value}", shown::string(&shown::text(key, zone)?)))
}

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for (name, shape) in [
        ("to_json", Shape::Value),
        ("to_jsonb", Shape::Value),
        ("row_to_json", Shape::Value),
        ("array_to_json", Shape::Value),
        ("json_build_object", Shape::Object),
        ("jsonb_build_object", Shape::Object),
        ("json_build_array", Shape::Array),
        ("jsonb_build_array", Shape::Array),
    ] {
        registry.register_udf(Arc::new(ScalarUDF::new_from_impl(Build {
            name,
            shape,
            signature: Signature::one_of(
                vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
                Volatility::Stable,
            ),
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
            (Shape::Value, _) => {
                let message = format!("function {} takes one argument", self.name);
                Err(external(Error::new(SqlState::UNDEFINED_FUNCTION, message)))
            }
            (Shape::Object, _) => {
                let error = fault::parameter("argument list must have even number of elements");
                Err(external(error.with_hint(format!("{} takes keys and values in turn.", self.name))))
            }
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let data_types: Vec<DataType> =
            arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name, self.return_type(&data_types)?, true);
        Ok(Arc::new(field.with_metadata(types::json_marks())))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = shown::zone(call.config_options.execution.time_zone.as_deref()).map_err(external)?;
        let arrays = call.args.iter().map(|argument| argument.to_array(call.number_rows));
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let mut builder = StringBuilder::new();
        for row in 0..call.number_rows {
            let values: Vec<Datum> = arrays
                .iter()
                .zip(&call.arg_fields)
                .map(|(array, field)| datum::read(array.as_ref(), field, row))
                .collect();
            builder.append_option(self.build(&values, zone).map_err(external)?);
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

impl Build {
    fn build(&self, values: &[Datum], zone: Tz) -> crate::Result<Option<String>> {
        let text = match self.shape {
            Shape::Value if values[0].is_null() => return Ok(None),
            Shape::Value => shown::json(&values[0], zone)?,
            Shape::Array => {
                let items = values.iter().map(|value| shown::json(value, zone));
                format!("[{}]", items.collect::<crate::Result<Vec<_>>>()?.join(", "))
            }
            Shape::Object => {
                let members = values.chunks(2).enumerate().map(|(place, pair)| match &pair[0] {
                    Datum::Null => {
                        Err(fault::parameter(format!("argument {} cannot be null", place * 2 + 1))
                            .with_hint("Object keys should be text."))
                    }
                    key => member(key, &shown::json(&pair[1], zone)?, zone),
                });
                format!("{{{}}}", members.collect::<crate::Result<Vec<_>>>()?.join(", "))
            }
        };
        match self.name.contains("jsonb") {
            true => Ok(Some(Json::read(&text)?.normalized().spaced())),
            false => Ok(Some(text)),
        }
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
