//! What a subquery that stands for a value is rewritten to (`system/rewrite/subqueries.rs`): an aggregate that keeps
//! the first row's value and whether there was another, and a function that takes the value out or reports the second
//! row. The report is made outside because the engine aggregates rows that no outer row asks for, too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::cast::as_list_array;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;
use crate::sqlstate::SqlState;

/// The aggregate: the first value, and whether there was another.
pub const SINGLE_VALUE: &str = "single_value";
/// The value of that, or error 21000.
pub const SINGLE_ROW: &str = "single_row";
/// An empty list for NULL.
pub const LIST_OR_EMPTY: &str = "list_or_empty";
/// The engine's own aggregates that subqueries are rewritten to.
pub const LIST_OF_ROWS: &str = "array_agg";
pub const FIRST_OF_ROWS: &str = "first_value";

const VALUE: &str = "value";
const MANY: &str = "many";

pub fn single_value() -> AggregateUDF {
    AggregateUDF::new_from_impl(SingleValue { signature: Signature::any(1, Volatility::Immutable) })
}

pub fn single_row() -> ScalarUDF {
    ScalarUDF::new_from_impl(SingleRow { signature: Signature::any(1, Volatility::Immutable) })
}

pub fn list_or_empty() -> ScalarUDF {
    ScalarUDF::new_from_impl(ListOrEmpty { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
}

fn result_fields(value: &Field) -> Fields {
    let value = value.clone().with_name(VALUE).with_nullable(true);
    Fields::from(vec![value, Field::new(MANY, DataType::Boolean, true)])
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        SINGLE_VALUE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let [value] = arguments else { return plan_err!("{SINGLE_VALUE} takes one argument") };
        Ok(DataType::Struct(result_fields(&Field::new(VALUE, value.clone(), true))))
    }

    /// Keeps the marks of the column, so that JSON stays JSON.
    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        let [value] = arguments else { return plan_err!("{SINGLE_VALUE} takes one argument") };
        Ok(Arc::new(Field::new(SINGLE_VALUE, DataType::Struct(result_fields(value)), true)))
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let DataType::Struct(fields) = arguments.return_field.data_type() else {
            return plan_err!("{SINGLE_VALUE} gives a struct");
        };
        Ok(Box::new(SingleValueAccumulator { fields: fields.clone(), first: None, rows: 0 }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let DataType::Struct(fields) = arguments.return_field.data_type() else {
            return plan_err!("{SINGLE_VALUE} gives a struct");
        };
        let value = fields[0].as_ref().clone().with_name(format!("{}[{VALUE}]", arguments.name));
        let rows = Field::new(format!("{}[rows]", arguments.name), DataType::Int64, true);
        Ok(vec![Arc::new(value), Arc::new(rows)])
    }
}

#[derive(Debug)]
struct SingleValueAccumulator {
    fields: Fields,
    first: Option<ScalarValue>,
    rows: i64,
}

impl SingleValueAccumulator {
    fn value_or_null(&self) -> Result<ScalarValue> {
        match &self.first {
            Some(value) => Ok(value.clone()),
            None => ScalarValue::try_from(self.fields[0].data_type()),
        }
    }
}

impl Accumulator for SingleValueAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = &values[0];
        if self.first.is_none() && !values.is_empty() {
            self.first = Some(ScalarValue::try_from_array(values, 0)?.compacted());
        }
        self.rows += i64::try_from(values.len()).unwrap_or(i64::MAX);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states[1].as_primitive::<Int64Type>();
        for index in (0..rows.len()).filter(|index| rows.value(*index) > 0) {
            if self.first.is_none() {
                self.first = Some(ScalarValue::try_from_array(&states[0], index)?.compacted());
            }
            self.rows += rows.value(index);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value_or_null()?, ScalarValue::Int64(Some(self.rows))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.value_or_null()?.to_array()?;
        let many = Arc::new(BooleanArray::from(vec![self.rows > 1]));
        let array = StructArray::try_new(self.fields.clone(), vec![value, many], None)?;
        Ok(ScalarValue::Struct(Arc::new(array)))
    }

    fn size(&self) -> usize {
        size_of::<SingleValueAccumulator>() + self.first.as_ref().map_or(0, ScalarValue::size)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleRow {
    signature: Signature,
}

impl ScalarUDFImpl for SingleRow {
    fn name(&self) -> &str {
        SINGLE_ROW
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::Struct(fields)] => Ok(fields[0].data_type().clone()),
            _ => plan_err!("{SINGLE_ROW} takes what {SINGLE_VALUE} gives"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let [field] = arguments.arg_fields else { return plan_err!("{SINGLE_ROW} takes one argument") };
        match field.data_type() {
            DataType::Struct(fields) => Ok(Arc::new(fields[0].as_ref().clone().with_name(SINGLE_ROW))),
            _ => plan_err!("{SINGLE_ROW} takes what {SINGLE_VALUE} gives"),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = call.args[0].to_array(call.number_rows)?;
        let array = array.as_struct();
        let many = array.column(1).as_boolean();
        if (0..array.len()).any(|row| array.is_valid(row) && many.is_valid(row) && many.value(row)) {
            let message = "more than one row returned by a subquery used as an expression";
            return Err(DataFusionError::External(Box::new(Error::new(
                SqlState::CARDINALITY_VIOLATION,
                message,
            ))));
        }
        // A struct that is NULL has no value, whatever its child says there.
        let nulls = array.nulls().map(|nulls| BooleanArray::new(!nulls.inner(), None));
        let value = match nulls {
            Some(nulls) => datafusion::arrow::compute::nullif(array.column(0), &nulls)?,
            None => array.column(0).clone(),
        };
        Ok(ColumnarValue::Array(value))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListOrEmpty {
    signature: Signature,
}

impl ScalarUDFImpl for ListOrEmpty {
    fn name(&self) -> &str {
        LIST_OR_EMPTY
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [list @ DataType::List(_)] => Ok(list.clone()),
            _ => plan_err!("{LIST_OR_EMPTY} takes a list"),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = call.args[0].to_array(call.number_rows)?;
        let list = as_list_array(&array)?;
        let Some(nulls) = list.nulls().filter(|nulls| nulls.null_count() > 0) else {
            return Ok(ColumnarValue::Array(array));
        };
        let lengths = (0..list.len()).map(|row| if nulls.is_valid(row) { list.value(row).len() } else { 0 });
        let offsets = OffsetBuffer::from_lengths(lengths);
        let parts: Vec<ArrayRef> =
            (0..list.len()).filter(|row| nulls.is_valid(*row)).map(|row| list.value(row)).collect();
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let DataType::List(item) = array.data_type() else {
            return plan_err!("{LIST_OR_EMPTY} takes a list");
        };
        let values = match parts.is_empty() {
            true => arrow::array::new_empty_array(item.data_type()),
            false => datafusion::arrow::compute::concat(&parts)?,
        };
        let filled = ListArray::try_new(item.clone(), offsets, values, None)?;
        Ok(ColumnarValue::Array(Arc::new(filled)))
    }
}
