//! Functions with a domain (`sqrt`, `ln` …) as sort keys: asked for the order of their results, those of the engine fail
//! where an argument may lie outside, and a plan that was sorted by one is then taken for unsorted. Here they say nothing.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Those whose order fails for some arguments.
const WITH_DOMAIN: [&str; 9] = ["sqrt", "ln", "log", "log2", "log10", "acos", "asin", "acosh", "atanh"];

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for name in WITH_DOMAIN {
        let engine = registry.udf(name)?;
        registry.register_udf(Arc::new(ScalarUDF::new_from_impl(Tolerant { engine })))?;
    }
    Ok(())
}

/// The engine's function, which says nothing of its order rather than fail.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Tolerant {
    engine: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Tolerant {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn aliases(&self) -> &[String] {
        self.engine.aliases()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.engine.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        self.engine.return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.engine.inner().coerce_types(arguments)
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.engine.simplify(arguments, info)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.engine.invoke_with_args(call)
    }

    fn output_ordering(&self, arguments: &[ExprProperties]) -> Result<SortProperties> {
        Ok(self.engine.output_ordering(arguments).unwrap_or(SortProperties::Unordered))
    }
}
