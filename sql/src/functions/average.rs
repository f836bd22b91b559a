//! `avg` of whole numbers and of numerics, which is a numeric in PostgreSQL: the exact sum divided by the count, with the
//! digits of any other quotient (`quotient.rs`). The engine takes whole numbers for floating-point ones, and cuts a
//! numeric's average off after four digits. Of everything else the average is the engine's.

use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, PrimitiveArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type, i256};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::functions_aggregate::average::Avg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    Signature, Volatility,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::accumulate::accumulate;

use super::quotient::{quotient_type, rounded_quotient};
use crate::error::Error;
use crate::sqlstate::SqlState;

/// Digits of a bigint.
const BIGINT_DIGITS: u8 = 19;
/// Sums have all the digits that there are.
const SUM_DIGITS: u8 = 38;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    let signature = Signature::user_defined(Volatility::Immutable);
    registry
        .register_udaf(Arc::new(AggregateUDF::new_from_impl(Average { inner: Avg::new(), signature })))?;
    Ok(())
}

/// The engine's `avg` with another result for exact numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    inner: Avg,
    signature: Signature,
}

/// The scale of exact numbers and what their average is; None for all others.
fn exact(data_type: &DataType) -> Option<(i8, DataType)> {
    let (digits, scale) = match data_type {
        DataType::Int64 => (BIGINT_DIGITS, 0),
        DataType::Decimal128(digits, scale) => (*digits, *scale),
        _ => return None,
    };
    // A count has no digits after its point, and makes nothing larger.
    Some((scale, quotient_type((digits, scale), (1, 0))))
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [data_type] = types else {
            return Err(DataFusionError::Plan(format!(
                "function avg takes one argument, not {}",
                types.len()
            )));
        };
        let coerced = match data_type {
            DataType::UInt64 => DataType::Decimal128(20, 0),
            whole if whole.is_integer() => DataType::Int64,
            DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null => DataType::Float64,
            DataType::Decimal32(digits, scale) | DataType::Decimal64(digits, scale) => {
                DataType::Decimal128(*digits, *scale)
            }
            DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Duration(_) => data_type.clone(),
            other => {
                let message = format!("function avg({other}) does not exist");
                return Err(DataFusionError::External(Box::new(
                    Error::new(SqlState::UNDEFINED_FUNCTION, message)
                        .with_hint("Cast its argument to a number."),
                )));
            }
        };
        Ok(vec![coerced])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first().and_then(exact) {
            Some((_, average)) => Ok(average),
            None => self.inner.return_type(types),
        }
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match (exact(arguments.expr_fields[0].data_type()), arguments.is_distinct) {
            (Some((scale, average)), false) => {
                Ok(Box::new(Total { sum: 0, count: 0, shape: Shape { scale, average } }))
            }
            _ => self.inner.accumulator(arguments),
        }
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match (exact(arguments.input_fields[0].data_type()), arguments.is_distinct) {
            (Some((scale, _)), false) => {
                let name = |part: &str| format!("{}[{part}]", arguments.name);
                Ok(vec![
                    Arc::new(Field::new(name("count"), DataType::UInt64, true)),
                    Arc::new(Field::new(name("sum"), DataType::Decimal128(SUM_DIGITS, scale), true)),
                ])
            }
            _ => self.inner.state_fields(arguments),
        }
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        match exact(arguments.expr_fields[0].data_type()) {
            Some(_) => !arguments.is_distinct,
            None => self.inner.groups_accumulator_supported(arguments),
        }
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match exact(arguments.expr_fields[0].data_type()) {
            Some((scale, average)) => {
                Ok(Box::new(Totals { totals: Vec::new(), shape: Shape { scale, average } }))
            }
            None => self.inner.create_groups_accumulator(arguments),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// What sums and averages look like.
#[derive(Debug, Clone)]
struct Shape {
    scale: i8,
    average: DataType,
}

impl Shape {
    fn average(&self, sum: i128, count: u64) -> Result<i128> {
        let DataType::Decimal128(precision, scale) = self.average else {
            return Err(DataFusionError::Internal("an average is no numeric".to_owned()));
        };
        let shift = u32::try_from(scale - self.scale).unwrap_or_default();
        rounded_quotient(sum, i256::from_i128(10).wrapping_pow(shift), i128::from(count), precision, scale)
    }

    fn sums(&self, sums: Vec<i128>, nulls: Option<NullBuffer>) -> ArrayRef {
        let sums = Decimal128Array::new(sums.into(), nulls);
        Arc::new(sums.with_data_type(DataType::Decimal128(SUM_DIGITS, self.scale)))
    }
}

fn sum_overflow() -> DataFusionError {
    let error = Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
        .with_detail("The sum that an average is made of has more than 38 digits.")
        .with_hint("Cast its argument to double precision.");
    DataFusionError::External(Box::new(error))
}

/// The numbers of a column as the sum adds them.
enum Numbers<'a> {
    Whole(&'a PrimitiveArray<Int64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>),
}

impl<'a> Numbers<'a> {
    fn of(values: &'a ArrayRef) -> Numbers<'a> {
        match values.data_type() {
            DataType::Int64 => Numbers::Whole(values.as_primitive()),
            _ => Numbers::Decimal(values.as_primitive()),
        }
    }

    /// Their sum, and how many there are.
    fn total(&self) -> Result<(i128, u64)> {
        let (sum, count) = match self {
            Numbers::Whole(values) => (checked_sum(values), values.len() - values.null_count()),
            Numbers::Decimal(values) => (checked_sum(values), values.len() - values.null_count()),
        };
        Ok((sum.ok_or_else(sum_overflow)?, count as u64))
    }

    fn all(&self) -> Vec<Option<i128>> {
        match self {
            Numbers::Whole(values) => values.iter().map(|value| value.map(i128::from)).collect(),
            Numbers::Decimal(values) => values.iter().collect(),
        }
    }
}

fn checked_sum<T: ArrowPrimitiveType<Native: Into<i128>>>(values: &PrimitiveArray<T>) -> Option<i128> {
    let mut sum = 0i128;
    for value in values.iter().flatten() {
        sum = sum.checked_add(value.into())?;
    }
    Some(sum)
}

/// The average of one group, or of a window.
#[derive(Debug)]
struct Total {
    sum: i128,
    count: u64,
    shape: Shape,
}

impl Total {
    fn add(&mut self, sum: i128, count: u64) -> Result<()> {
        self.sum = self.sum.checked_add(sum).ok_or_else(sum_overflow)?;
        self.count += count;
        Ok(())
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, count) = Numbers::of(&values[0]).total()?;
        self.add(sum, count)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, count) = Numbers::of(&values[0]).total()?;
        self.sum = self.sum.checked_sub(sum).ok_or_else(sum_overflow)?;
        self.count -= count;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let average = if self.count > 0 { Some(self.shape.average(self.sum, self.count)?) } else { None };
        match self.shape.average {
            DataType::Decimal128(precision, scale) => Ok(ScalarValue::Decimal128(average, precision, scale)),
            _ => Err(DataFusionError::Internal("an average is no numeric".to_owned())),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal128(Some(self.sum), SUM_DIGITS, self.shape.scale);
        Ok(vec![ScalarValue::UInt64(Some(self.count)), sum])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (counts, sums) =
            (states[0].as_primitive::<UInt64Type>(), states[1].as_primitive::<Decimal128Type>());
        for (count, sum) in counts.iter().zip(sums) {
            self.add(sum.unwrap_or_default(), count.unwrap_or_default())?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The averages of many groups: a sum and a count for each, side by side.
#[derive(Debug)]
struct Totals {
    totals: Vec<(i128, u64)>,
    shape: Shape,
}

impl Totals {
    fn update<T: ArrowPrimitiveType<Native: Into<i128>> + Send>(
        &mut self,
        values: &PrimitiveArray<T>,
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let (totals, mut overflowed) = (&mut self.totals, false);
        accumulate(groups, values, filter, |group, value| {
            let (sum, count) = &mut totals[group];
            let (added, over) = sum.overflowing_add(value.into());
            (*sum, *count) = (added, *count + 1);
            overflowed |= over;
        });
        if overflowed { Err(sum_overflow()) } else { Ok(()) }
    }

    fn take(&mut self, emit: EmitTo) -> Vec<(i128, u64)> {
        emit.take_needed(&mut self.totals)
    }
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.totals.resize(count, (0, 0));
        match Numbers::of(&values[0]) {
            Numbers::Whole(values) => self.update(values, groups, filter),
            Numbers::Decimal(values) => self.update(values, groups, filter),
        }
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        _filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.totals.resize(count, (0, 0));
        let (counts, sums) =
            (states[0].as_primitive::<UInt64Type>(), states[1].as_primitive::<Decimal128Type>());
        for ((group, count), sum) in groups.iter().zip(counts).zip(sums) {
            let total = &mut self.totals[*group];
            total.0 = total.0.checked_add(sum.unwrap_or_default()).ok_or_else(sum_overflow)?;
            total.1 += count.unwrap_or_default();
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let averages = self.take(emit);
        let average = |(sum, count): (i128, u64)| match count {
            0 => Ok(None),
            count => self.shape.average(sum, count).map(Some),
        };
        let averages = averages.into_iter().map(average).collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(averages.with_data_type(self.shape.average.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts): (Vec<i128>, Vec<u64>) = self.take(emit).into_iter().unzip();
        Ok(vec![Arc::new(UInt64Array::from(counts)), self.shape.sums(sums, None)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let chosen = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let numbers = Numbers::of(&values[0]).all().into_iter().enumerate();
        let (sums, counts): (Vec<i128>, Vec<u64>) = numbers
            .map(|(row, number)| number.filter(|_| chosen(row)).map_or((0, 0), |number| (number, 1)))
            .unzip();
        Ok(vec![Arc::new(UInt64Array::from(counts)), self.shape.sums(sums, None)])
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<(i128, u64)>()
    }
}
