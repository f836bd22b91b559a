//! Whole-number arithmetic that does not fit is an error, as in PostgreSQL: the engine's own operators wrap around
//! without a word. After types are settled, `+`, `-` and `*` of whole numbers become functions that check, and a sum of
//! bigints is added up in 128 bits and cast back. So does a division of floating-point numbers by what may be zero.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Datum};
use arrow::compute::kernels::numeric::{add, div, mul, sub};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Projection, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// Replaces the operators; to be run after type coercion.
#[derive(Debug)]
pub(crate) struct CheckedArithmetic {
    functions: [(Operator, Arc<ScalarUDF>); 3],
    divide: Arc<ScalarUDF>,
}

impl Default for CheckedArithmetic {
    fn default() -> CheckedArithmetic {
        let function = |operator, name| (operator, Arc::new(ScalarUDF::from(Checked::new(operator, name))));
        let functions = [
            function(Operator::Plus, "checked_add"),
            function(Operator::Minus, "checked_subtract"),
            function(Operator::Multiply, "checked_multiply"),
        ];
        let (_, divide) = function(Operator::Divide, "checked_divide");
        CheckedArithmetic { functions, divide }
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
        let checked = self.operators(plan)?;
        match checked.data {
            LogicalPlan::Aggregate(aggregate) => wide_sums(aggregate),
            plan => Ok(Transformed::new(plan, checked.transformed, checked.tnr)),
        }
    }

    fn operators(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
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
        let floating =
            |expression: &Expr| expression.get_type(schema).is_ok_and(|data_type| data_type.is_floating());
        if *op == Operator::Divide && floating(left) && floating(right) && !is_known(right) {
            let args = vec![left.as_ref().clone(), right.as_ref().clone()];
            return Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                Arc::clone(&self.divide),
                args,
            )));
        }
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

/// A constant that is not zero.
fn is_known(divisor: &Expr) -> bool {
    match divisor {
        Expr::Literal(value, _) => match value {
            ScalarValue::Float64(Some(value)) => *value != 0.0,
            ScalarValue::Int64(Some(value)) => *value != 0,
            ScalarValue::Decimal128(Some(value), ..) => *value != 0,
            _ => false,
        },
        Expr::Cast(cast) => is_known(&cast.expr),
        _ => false,
    }
}

/// Adds bigints up in 38 digits, and casts the sum back under its old name: the cast is what fails.
fn wide_sums(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let input = aggregate.input.schema();
    let wide: Vec<bool> =
        aggregate.aggr_expr.iter().map(|expression| sums_bigints(expression, input)).collect();
    if !wide.contains(&true) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let groups = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    let names: Vec<_> =
        aggregate.schema.iter().map(|(table, field)| (table.cloned(), field.name().clone())).collect();
    let widened = aggregate.aggr_expr.into_iter().zip(&wide);
    let sums = widened.map(|(expression, wide)| if *wide { widen(expression) } else { Ok(expression) });
    let sums = sums.collect::<Result<Vec<_>>>()?;
    let aggregate = Aggregate::try_new(aggregate.input, aggregate.group_expr, sums)?;
    let columns = aggregate.schema.columns().into_iter().zip(names).enumerate();
    let shown = columns.map(|(place, (column, (table, name)))| {
        let narrow = place >= groups && wide[place - groups];
        let column = Expr::Column(column);
        let column = if narrow { datafusion::logical_expr::cast(column, DataType::Int64) } else { column };
        column.alias_qualified(table, name)
    });
    let shown = shown.collect::<Vec<_>>();
    let projection = Projection::try_new(shown, Arc::new(LogicalPlan::Aggregate(aggregate)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// Whether it is a sum that could pass the largest bigint: one of smaller numbers cannot.
fn sums_bigints(expression: &Expr, input: &DFSchema) -> bool {
    let Expr::AggregateFunction(function) = bare(expression) else { return false };
    let argument = function.params.args.first().filter(|_| function.func.name() == "sum");
    argument.is_some_and(|argument| {
        let smaller = match argument {
            Expr::Cast(cast) => {
                cast.expr.get_type(input).is_ok_and(|from| from != DataType::Int64 && from.is_integer())
            }
            _ => false,
        };
        !smaller && argument.get_type(input).is_ok_and(|data_type| data_type == DataType::Int64)
    })
}

fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}

fn widen(expression: Expr) -> Result<Expr> {
    let widened = expression.transform_down(|expression| match expression {
        Expr::AggregateFunction(mut function) => {
            if let Some(argument) = function.params.args.first_mut() {
                *argument = datafusion::logical_expr::cast(argument.clone(), DataType::Decimal128(38, 0));
            }
            Ok(Transformed::new(Expr::AggregateFunction(function), true, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(widened.data)
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
            Operator::Divide => {
                refuse_zero(left, right, args.number_rows)?;
                div
            }
            _ => mul,
        };
        let scalars = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let result =
            kernel(datum(left)?.as_ref(), datum(right)?.as_ref()).map_err(|_| out_of_range(&args))?;
        if scalars {
            return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// PostgreSQL has no infinity come of a division by zero. NULL divided by zero is NULL.
fn refuse_zero(left: &ColumnarValue, right: &ColumnarValue, rows: usize) -> Result<()> {
    let zero = |array: &ArrayRef, row: usize| match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row) == 0.0,
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row) == 0.0,
        _ => false,
    };
    let scalars = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
    let rows = if scalars { 1 } else { rows };
    let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
    let divides = |row: usize| left.is_valid(row) && right.is_valid(row) && zero(&right, row);
    if (0..rows).any(divides) {
        let error = Error::new(SqlState::DIVISION_BY_ZERO, "division by zero");
        return Err(DataFusionError::External(Box::new(error)));
    }
    Ok(())
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
