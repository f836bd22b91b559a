//! A small function given as a table entry: name, argument kinds, result kind and a plain Rust function from values to
//! a value. It is called once per row, which is right for catalog functions and would be wrong for data.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;
use crate::system::{SystemContext, Value, to_array};
use crate::types;

/// What an argument or a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    /// Any integer, and an OID.
    Int,
    Float,
    Text,
    TextList,
    /// Only for results.
    OidList,
    /// Microseconds since the Unix epoch, UTC.
    Time,
    /// An OID as a number, or the name of what has it, as text. Only for arguments.
    OidOrName,
    /// Any type; the function gets the type's SQL name. Only for arguments.
    TypeName,
    /// Any list; only for arguments.
    List,
}

/// What a definition calls.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Depends on its arguments alone.
    Pure(fn(&[Value]) -> crate::Result<Value>),
    /// Looks at the session or the catalog.
    Asks(fn(&SystemContext, &[Value]) -> crate::Result<Value>),
    /// Does something each time.
    Acts(fn(&SystemContext, &[Value]) -> crate::Result<Value>),
}

/// A function as a table entry.
#[derive(Debug)]
pub struct Definition {
    pub name: &'static str,
    /// The argument lists it can be called with; no two are of one length.
    pub overloads: &'static [&'static [Kind]],
    pub returns: Kind,
    /// As most of PostgreSQL's functions, NULL for any NULL argument. The others see the NULL.
    pub strict: bool,
    pub run: Run,
}

impl Definition {
    /// A strict function of its arguments.
    pub const fn pure(
        name: &'static str,
        overloads: &'static [&'static [Kind]],
        returns: Kind,
        run: fn(&[Value]) -> crate::Result<Value>,
    ) -> Definition {
        Definition { name, overloads, returns, strict: true, run: Run::Pure(run) }
    }

    /// A strict function of its arguments and the statement's context.
    pub const fn asks(
        name: &'static str,
        overloads: &'static [&'static [Kind]],
        returns: Kind,
        run: fn(&SystemContext, &[Value]) -> crate::Result<Value>,
    ) -> Definition {
        Definition { name, overloads, returns, strict: true, run: Run::Asks(run) }
    }

    /// A function that does something, so that it is called for each row and never for none.
    pub const fn acts(
        name: &'static str,
        overloads: &'static [&'static [Kind]],
        returns: Kind,
        run: fn(&SystemContext, &[Value]) -> crate::Result<Value>,
    ) -> Definition {
        Definition { name, overloads, returns, strict: false, run: Run::Acts(run) }
    }

    /// The same, but called with NULL arguments, too.
    pub const fn with_nulls(mut self) -> Definition {
        self.strict = false;
        self
    }
}

/// A definition as an engine function.
#[derive(Debug)]
pub struct RowFunction {
    definition: &'static Definition,
    context: Option<Arc<SystemContext>>,
    signature: Signature,
}

impl RowFunction {
    pub fn new(definition: &'static Definition, context: Option<Arc<SystemContext>>) -> RowFunction {
        let volatility = match definition.run {
            Run::Pure(_) => Volatility::Immutable,
            Run::Asks(_) => Volatility::Stable,
            Run::Acts(_) => Volatility::Volatile,
        };
        RowFunction { definition, context, signature: Signature::user_defined(volatility) }
    }

    fn call(&self, arguments: &[Value]) -> crate::Result<Value> {
        if self.definition.strict && arguments.contains(&Value::Null) {
            return Ok(Value::Null);
        }
        match (self.definition.run, &self.context) {
            (Run::Pure(run), _) => run(arguments),
            (Run::Asks(run) | Run::Acts(run), Some(context)) => run(context, arguments),
            (Run::Asks(_) | Run::Acts(_), None) => {
                Err(Error::internal(format!("{} was called without a context", self.definition.name)))
            }
        }
    }
}

impl PartialEq for RowFunction {
    fn eq(&self, other: &RowFunction) -> bool {
        self.definition.name == other.definition.name
            && match (&self.context, &other.context) {
                (Some(left), Some(right)) => Arc::ptr_eq(left, right),
                (None, None) => true,
                _ => false,
            }
    }
}

impl Eq for RowFunction {}

impl Hash for RowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(result_field(self.definition).data_type().clone())
    }

    fn return_field_from_args(&self, _arguments: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(result_field(self.definition))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let overloads = self.definition.overloads.iter();
        let Some(kinds) = overloads.into_iter().find(|kinds| kinds.len() == arguments.len()) else {
            return plan_err!(
                "function {} does not take {} arguments",
                self.definition.name,
                arguments.len()
            );
        };
        kinds.iter().zip(arguments).map(|(kind, data_type)| self.coerce(*kind, data_type)).collect()
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // One value as a list would forget what its items are marked with.
        let constant = self.definition.returns != Kind::OidList
            && call.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { call.number_rows };
        let kinds = self.definition.overloads.iter().find(|kinds| kinds.len() == call.args.len());
        let kinds = kinds.copied().unwrap_or_default();
        let mut columns = Vec::with_capacity(kinds.len());
        for ((argument, kind), field) in call.args.iter().zip(kinds).zip(&call.arg_fields) {
            columns.push(match kind {
                Kind::TypeName => vec![Value::Text(types::format_type(types::pg_type(field).oid, -1)); rows],
                _ => to_values(&argument.to_array(rows)?),
            });
        }
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            let arguments: Vec<Value> = columns.iter().map(|column| column[row].clone()).collect();
            results.push(self.call(&arguments).map_err(external)?);
        }
        let array = to_array(&result_field(self.definition), &mut results.iter()).map_err(external)?;
        match constant {
            true => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

impl RowFunction {
    fn coerce(&self, kind: Kind, data_type: &DataType) -> Result<DataType> {
        let number = data_type.is_integer() || data_type.is_null();
        let text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let coerced = match kind {
            Kind::Bool if matches!(data_type, DataType::Boolean | DataType::Null) || text => {
                DataType::Boolean
            }
            Kind::Int if number || text => DataType::Int64,
            Kind::Float if data_type.is_numeric() || number || text => DataType::Float64,
            Kind::Text if text || data_type.is_primitive() || data_type.is_null() => DataType::Utf8,
            Kind::OidOrName if number => DataType::Int64,
            Kind::OidOrName if text => DataType::Utf8,
            Kind::List if data_type.is_list() || data_type.is_null() => data_type.clone(),
            Kind::TypeName => data_type.clone(),
            _ => return plan_err!("function {} does not take an argument of type {data_type}", self.name()),
        };
        Ok(coerced)
    }
}

fn result_field(definition: &Definition) -> FieldRef {
    let data_type = match definition.returns {
        Kind::Bool => DataType::Boolean,
        Kind::Int => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Time => types::arrow_type(types::oid::TIMESTAMPTZ, -1).unwrap_or(DataType::Null),
        Kind::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        Kind::OidList => types::oids(),
        Kind::Text | Kind::OidOrName | Kind::TypeName | Kind::List => DataType::Utf8,
    };
    Arc::new(Field::new(definition.name, data_type, true))
}

/// An array of one of the coerced types as values. Elements of lists that are neither text nor integers are only
/// counted, so they come as NULL.
fn to_values(array: &ArrayRef) -> Vec<Value> {
    let rows = 0..array.len();
    match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean();
            rows.map(|row| array.is_valid(row).then(|| array.value(row)).into()).collect()
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            rows.map(|row| array.is_valid(row).then(|| array.value(row)).into()).collect()
        }
        DataType::Float64 => {
            let array = array.as_primitive::<Float64Type>();
            rows.map(|row| array.is_valid(row).then(|| array.value(row)).map_or(Value::Null, Value::Float))
                .collect()
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            rows.map(|row| array.is_valid(row).then(|| array.value(row)).into()).collect()
        }
        DataType::List(_) => {
            let array = array.as_list::<i32>();
            rows.map(|row| match array.is_valid(row) {
                true => Value::List(to_values(&array.value(row))),
                false => Value::Null,
            })
            .collect()
        }
        _ => vec![Value::Null; array.len()],
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
