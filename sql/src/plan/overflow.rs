//! Whole-number arithmetic that does not fit is an error, as in PostgreSQL: the engine's own operators wrap around
//! without a word. After types are settled, `+`, `-` and `*` of whole numbers become functions that check.

use std::sync::Arc;

use arrow::array::Datum;
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// Replaces the operators; to be run after type coercion.
#[derive(Debug)]
pub(crate) struct CheckedArithmetic {
    functions: [(Operator, Arc<ScalarUDF>); 3],
}

impl Default for CheckedArithmetic {
    fn default() -> CheckedArithmetic {
        let function = |operator, name| (operator, Arc::new(ScalarUDF::from(Checked::new(operator, name))));
        let functions = [
            function(Operator::Plus, "checked_add"),
            function(Operator::Minus, "checked_subtract"),
            function(Operator::Multiply, "checked_multiply"),
        ];
        CheckedArithmetic { functions }
    }
}

impl AnalyzerRule for CheckedArithmetic {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| self.plan(plan)).map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "checked_arithmetic"
    }
}

impl CheckedArithmetic {
    fn plan(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema
                .merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            let name = names.save(&expression);
            let checked = expression.transform_up(|expression| Ok(self.expression(expression, &schema)))?;
            Ok(checked.update_data(|expression| name.restore(expression)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    }

    fn expression(&self, expression: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expression else {
            return Transformed::no(expression);
        };
        let whole = |expression: &Expr| expression.get_type(schema).ok().filter(DataType::is_integer);
        let same = whole(left).is_some_and(|data_type| whole(right) == Some(data_type));
        match self.functions.iter().find(|(operator, _)| operator == op).filter(|_| same) {
            Some((_, function)) => {
                let args = vec![left.as_ref().clone(), right.as_ref().clone()];
                Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args)))
            }
            None => Transformed::no(expression),
        }
    }
}

/// One operator that checks.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    name: &'static str,
    signature: Signature,
}

impl Checked {
    fn new(operator: Operator, name: &'static str) -> Checked {
        Checked { operator, name, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types
            .first()
            .cloned()
            .ok_or_else(|| DataFusionError::Internal(format!("{} without arguments", self.name)))
    }

    /// Plans and columns show the operator.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} {} {}", left.schema_name(), self.operator, right.schema_name())),
            _ => Ok(self.name.to_owned()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(DataFusionError::Internal(format!("{} needs two arguments", self.name)));
        };
        let kernel: fn(&dyn Datum, &dyn Datum) -> _ = match self.operator {
            Operator::Plus => add,
            Operator::Minus => sub,
            _ => mul,
        };
        let scalars = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let result =
            kernel(datum(left)?.as_ref(), datum(right)?.as_ref()).map_err(|_| out_of_range(&args))?;
        if scalars {
            return datafusion::common::ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(result))
    }
}

fn datum(value: &ColumnarValue) -> Result<Box<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Array(array) => Box::new(Arc::clone(array)),
        ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar()?),
    })
}

fn out_of_range(args: &ScalarFunctionArgs) -> DataFusionError {
    let name = match args.return_field.data_type() {
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    };
    let error = Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
        .with_hint("Cast to a larger type, for example numeric, before calculating.");
    DataFusionError::External(Box::new(error))
}
