//! The places of a list: what the rewriter makes of `generate_subscripts(list, 1)` and of `_pg_expandarray(list)`, which
//! gives each element with its place.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The name of the function that gives the places.
pub const SUBSCRIPTS: &str = "array_subscripts";
/// The name of the function that gives elements with their places.
pub const EXPANDED: &str = "array_expanded";

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for expanded in [false, true] {
        let signature = Signature::user_defined(Volatility::Immutable);
        registry.register_udf(Arc::new(Places { expanded, signature }.into()))?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Places {
    expanded: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Places {
    fn name(&self) -> &str {
        if self.expanded { EXPANDED } else { SUBSCRIPTS }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match (arguments, self.expanded) {
            ([list @ DataType::List(_)], true) => Ok(vec![list.clone()]),
            ([list @ DataType::List(_), dimension], false) if dimension.is_integer() => {
                Ok(vec![list.clone(), DataType::Int64])
            }
            _ => plan_err!("{} takes an array", self.name()),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let Some(DataType::List(element)) = arguments.first() else {
            return plan_err!("{} takes an array", self.name());
        };
        let item = match self.expanded {
            true => DataType::Struct(expanded_fields(element)),
            false => DataType::Int32,
        };
        Ok(DataType::List(Arc::new(Field::new_list_field(item, true))))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = call.args[0].to_array(call.number_rows)?;
        let list = array.as_list::<i32>();
        let dimensions = match call.args.get(1) {
            Some(dimension) => Some(dimension.to_array(call.number_rows)?),
            None => None,
        };
        // There are lists of one dimension alone.
        let counts = |row: usize| {
            let first = dimensions.as_ref().is_none_or(|dimension| {
                dimension.is_valid(row) && dimension.as_primitive::<Int64Type>().value(row) == 1
            });
            if list.is_valid(row) && first { list.value(row).len() } else { 0 }
        };
        let lengths: Vec<usize> = (0..list.len()).map(counts).collect();
        let place =
            |number: usize| i32::try_from(number).map_err(|_| exec_datafusion_err!("an array is too long"));
        let places =
            lengths.iter().flat_map(|length| 1..=*length).map(place).collect::<Result<Vec<i32>>>()?;
        let places: ArrayRef = Arc::new(Int32Array::from(places));
        let items = if self.expanded { expanded(list, places)? } else { places };
        let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
        let places = ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), items, None)?;
        Ok(ColumnarValue::Array(Arc::new(places)))
    }
}

fn expanded_fields(element: &FieldRef) -> Fields {
    let element = Field::new("x", element.data_type().clone(), true);
    Fields::from(vec![element, Field::new("n", DataType::Int32, true)])
}

/// Every element of every list with its place.
fn expanded(list: &ListArray, places: ArrayRef) -> Result<ArrayRef> {
    let parts: Vec<ArrayRef> =
        (0..list.len()).filter(|row| list.is_valid(*row)).map(|row| list.value(row)).collect();
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    let DataType::List(element) = list.data_type() else { return plan_err!("{EXPANDED} takes an array") };
    let elements = match parts.is_empty() {
        true => arrow::array::new_empty_array(element.data_type()),
        false => datafusion::arrow::compute::concat(&parts)?,
    };
    Ok(Arc::new(StructArray::try_new(expanded_fields(element), vec![elements, places], None)?))
}
