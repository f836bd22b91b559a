//! `col_description`: the comment on a column. Those of an Iceberg table are in its metadata, which may have to be
//! read first, so this function is asynchronous.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::system::SystemContext;

pub const NAME: &str = "col_description";

pub fn column_comment(context: Arc<SystemContext>) -> ScalarUDF {
    let arguments = vec![DataType::Int64, DataType::Int64];
    let function = ColumnComment { context, signature: Signature::exact(arguments, Volatility::Stable) };
    AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf()
}

#[derive(Debug)]
struct ColumnComment {
    context: Arc<SystemContext>,
    signature: Signature,
}

impl PartialEq for ColumnComment {
    fn eq(&self, other: &ColumnComment) -> bool {
        Arc::ptr_eq(&self.context, &other.context)
    }
}

impl Eq for ColumnComment {}

impl Hash for ColumnComment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for ColumnComment {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{NAME} is called asynchronously")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for ColumnComment {
    async fn invoke_async_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let relations = call.args[0].to_array(call.number_rows)?;
        let columns = call.args[1].to_array(call.number_rows)?;
        let (relations, columns) =
            (relations.as_primitive::<Int64Type>(), columns.as_primitive::<Int64Type>());
        let mut comments: Vec<Option<String>> = Vec::with_capacity(relations.len());
        for row in 0..relations.len() {
            comments.push(match relations.is_valid(row) && columns.is_valid(row) {
                true => {
                    let comment = self.context.column_comment(relations.value(row), columns.value(row)).await;
                    comment.map_err(|error| DataFusionError::External(Box::new(error)))?
                }
                false => None,
            });
        }
        let array: ArrayRef = Arc::new(StringArray::from(comments));
        Ok(ColumnarValue::Array(array))
    }
}
