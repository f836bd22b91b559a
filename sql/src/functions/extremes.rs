//! `min` and `max` per group over floating-point numbers, as PostgreSQL has them: NaN is above every other number, and
//! the order of the rows makes no difference. The engine's own per-group state takes whatever it cannot compare, and
//! begins at the largest finite number, so infinity is lost too. Everything else is the engine's.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry
        .register_udaf(Arc::new(AggregateUDF::new_from_impl(Extreme { inner: Min::new(), least: true })))?;
    registry
        .register_udaf(Arc::new(AggregateUDF::new_from_impl(Extreme { inner: Max::new(), least: false })))?;
    Ok(())
}

/// The extreme of a frame that moves. The engine's own remembers the last one when there is nothing left in the frame.
#[derive(Debug)]
struct Sliding {
    inner: Box<dyn Accumulator>,
    /// Values in the frame that are not NULL.
    values: usize,
    /// What an empty frame gives.
    nothing: ScalarValue,
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values += values.first().map_or(0, |values| values.len() - values.logical_null_count());
        self.inner.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values -= values.first().map_or(0, |values| values.len() - values.logical_null_count());
        self.inner.retract_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.values == 0 { Ok(self.nothing.clone()) } else { self.inner.evaluate() }
    }

    fn size(&self) -> usize {
        self.inner.size() + size_of::<Sliding>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// The engine's `min` or `max` with another state per group for floating-point numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme<F> {
    inner: F,
    least: bool,
}

impl<F: AggregateUDFImpl + PartialEq + Eq + Hash> AggregateUDFImpl for Extreme<F> {
    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = arguments.return_field.data_type().clone();
        match (&data_type, self.least) {
            (DataType::Float32, true) => {
                Ok(per_group::<Float32Type>(&data_type, f32::NAN, |kept, new| new < kept || kept.is_nan()))
            }
            (DataType::Float32, false) => {
                Ok(per_group::<Float32Type>(&data_type, f32::NEG_INFINITY, |kept, new| {
                    new > kept || new.is_nan()
                }))
            }
            (DataType::Float64, true) => {
                Ok(per_group::<Float64Type>(&data_type, f64::NAN, |kept, new| new < kept || kept.is_nan()))
            }
            (DataType::Float64, false) => {
                Ok(per_group::<Float64Type>(&data_type, f64::NEG_INFINITY, |kept, new| {
                    new > kept || new.is_nan()
                }))
            }
            _ => self.inner.create_groups_accumulator(arguments),
        }
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(arguments)
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(arguments)
    }

    fn create_sliding_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let nothing = ScalarValue::try_from(arguments.return_field.data_type())?;
        let inner = self.inner.create_sliding_accumulator(arguments)?;
        Ok(Box::new(Sliding { inner, values: 0, nothing }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// A value per group, replaced by a new one wherever `better` says so.
fn per_group<T: ArrowPrimitiveType + Send>(
    data_type: &DataType,
    start: T::Native,
    better: impl Fn(T::Native, T::Native) -> bool + Send + Sync + 'static,
) -> Box<dyn GroupsAccumulator> {
    let replace = move |kept: &mut T::Native, new: T::Native| {
        if better(*kept, new) {
            *kept = new;
        }
    };
    Box::new(PrimitiveGroupsAccumulator::<T, _>::new(data_type, replace).with_starting_value(start))
}
