//! Values in fewer bytes than operators want them in, as they wait in memory: decimals and whole numbers in the least
//! width that holds them, texts that repeat as places among the distinct ones. Twice as much fits, and what is widened
//! has to come from memory in half the bytes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, PrimitiveArray, StringViewArray,
    UInt8Array, UInt16Array,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::take;
use arrow::datatypes::{ArrowNativeType, DataType, Decimal128Type, Int64Type};
use arrow::error::ArrowError;

/// Distinct texts of a chunk that are worth places, at most.
const DISTINCT_MAX: usize = 1 << 16;
/// Texts per distinct one, at least: below it places save little.
const REPEATS_MIN: usize = 16;
/// So many distinct texts are always worth places: the first ones of a chunk may come before any repeats.
const DISTINCT_FREE: usize = 4096;

/// The values of one batch.
#[derive(Debug, Clone)]
pub(super) enum Packed {
    /// As operators want them.
    Whole(ArrayRef),
    Narrow32(Narrow<i32>),
    Narrow64(Narrow<i64>),
    /// Places among the distinct texts of the chunk.
    Text {
        places: ArrayRef,
        distinct: ArrayRef,
    },
}

/// Numbers in fewer bits than their type has.
#[derive(Debug, Clone)]
pub(super) struct Narrow<T: ArrowNativeType> {
    values: ScalarBuffer<T>,
    nulls: Option<NullBuffer>,
    data_type: DataType,
}

/// Packs the batches of a chunk, all of one type.
pub(super) fn pack(batches: Vec<ArrayRef>) -> Vec<Packed> {
    let Some(first) = batches.first() else { return Vec::new() };
    match first.data_type() {
        DataType::Decimal128(..) => batches.into_iter().map(pack_decimals).collect(),
        DataType::Int64 => batches.into_iter().map(pack_integers).collect(),
        DataType::Utf8View | DataType::BinaryView => match pack_texts(&batches) {
            Some(packed) => packed,
            None => batches.into_iter().map(Packed::Whole).collect(),
        },
        _ => batches.into_iter().map(Packed::Whole).collect(),
    }
}

impl Packed {
    /// The values as they were.
    pub fn unpack(&self) -> Result<ArrayRef, ArrowError> {
        match self {
            Packed::Whole(values) => Ok(Arc::clone(values)),
            Packed::Narrow32(narrow) => Ok(narrow.widen()),
            Packed::Narrow64(narrow) => Ok(narrow.widen()),
            Packed::Text { places, distinct } => take(distinct, places, None),
        }
    }

    /// The arrays whose memory it holds.
    pub fn arrays(&self) -> Vec<ArrayRef> {
        match self {
            Packed::Whole(values) => vec![Arc::clone(values)],
            Packed::Narrow32(narrow) => vec![narrow.array::<arrow::datatypes::Int32Type>()],
            Packed::Narrow64(narrow) => vec![narrow.array::<Int64Type>()],
            Packed::Text { places, distinct } => vec![Arc::clone(places), Arc::clone(distinct)],
        }
    }

    #[cfg(test)]
    pub fn is_whole(&self) -> bool {
        matches!(self, Packed::Whole(_))
    }
}

impl<T: ArrowNativeType> Narrow<T> {
    fn array<A: ArrowPrimitiveType<Native = T>>(&self) -> ArrayRef {
        Arc::new(PrimitiveArray::<A>::new(self.values.clone(), self.nulls.clone()))
    }
}

impl<T: ArrowNativeType + Into<i64>> Narrow<T> {
    fn widen(&self) -> ArrayRef {
        let nulls = self.nulls.clone();
        if self.data_type == DataType::Int64 {
            let values: Vec<i64> = self.values.iter().map(|value| (*value).into()).collect();
            return Arc::new(PrimitiveArray::<Int64Type>::new(values.into(), nulls));
        }
        let values: Vec<i128> = self.values.iter().map(|value| i128::from((*value).into())).collect();
        let values = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
        Arc::new(values.with_data_type(self.data_type.clone()))
    }
}

/// The values in the width of `T`; None if one does not fit. What lies under a NULL may be anything, and becomes zero.
fn narrow<A: ArrowPrimitiveType, T: ArrowNativeType + TryFrom<A::Native>>(
    values: &PrimitiveArray<A>,
) -> Option<Narrow<T>> {
    let narrowed: Vec<T> = match values.nulls() {
        None => values.values().iter().map(|value| T::try_from(*value).ok()).collect::<Option<_>>()?,
        Some(_) => {
            let number =
                |value: Option<A::Native>| value.map_or(Some(T::default()), |value| T::try_from(value).ok());
            values.iter().map(number).collect::<Option<_>>()?
        }
    };
    Some(Narrow {
        values: narrowed.into(),
        nulls: values.nulls().cloned(),
        data_type: values.data_type().clone(),
    })
}

fn pack_decimals(values: ArrayRef) -> Packed {
    let decimals = values.as_primitive::<Decimal128Type>();
    if let Some(narrow) = narrow::<_, i32>(decimals) {
        return Packed::Narrow32(narrow);
    }
    match narrow::<_, i64>(decimals) {
        Some(narrow) => Packed::Narrow64(narrow),
        None => Packed::Whole(values),
    }
}

fn pack_integers(values: ArrayRef) -> Packed {
    match narrow::<_, i32>(values.as_primitive::<Int64Type>()) {
        Some(narrow) => Packed::Narrow32(narrow),
        None => Packed::Whole(values),
    }
}

/// Texts, or bytes, by their place among the distinct ones; None if too few repeat.
fn pack_texts(batches: &[ArrayRef]) -> Option<Vec<Packed>> {
    let mut found: HashMap<&[u8], u16> = HashMap::new();
    let mut looked_at = 0;
    let mut places: Vec<Vec<u16>> = Vec::with_capacity(batches.len());
    for batch in batches {
        let mut of_batch = Vec::with_capacity(batch.len());
        for row in 0..batch.len() {
            if batch.is_null(row) {
                of_batch.push(0);
                continue;
            }
            let next = u16::try_from(found.len()).ok();
            let place = match found.get(bytes_at(batch, row)) {
                Some(place) => *place,
                None => *found.entry(bytes_at(batch, row)).or_insert(next?),
            };
            of_batch.push(place);
            looked_at += 1;
            let many =
                found.len() >= DISTINCT_MAX || found.len() > DISTINCT_FREE.max(looked_at / REPEATS_MIN);
            if many {
                return None;
            }
        }
        places.push(of_batch);
    }
    let distinct = distinct_texts(batches[0].data_type(), &found);
    let short = found.len() <= usize::from(u8::MAX) + 1;
    let pack = |(batch, places): (&ArrayRef, Vec<u16>)| {
        let nulls = batch.nulls().cloned();
        let places: ArrayRef = if short {
            // They are all below 256.
            let places: Vec<u8> = places.into_iter().map(|place| place.to_le_bytes()[0]).collect();
            Arc::new(UInt8Array::new(places.into(), nulls))
        } else {
            Arc::new(UInt16Array::new(places.into(), nulls))
        };
        Packed::Text { places, distinct: Arc::clone(&distinct) }
    };
    Some(batches.iter().zip(places).map(pack).collect())
}

fn bytes_at(values: &ArrayRef, row: usize) -> &[u8] {
    match values.data_type() {
        DataType::Utf8View => values.as_string_view().value(row).as_bytes(),
        _ => values.as_binary_view().value(row),
    }
}

fn distinct_texts(data_type: &DataType, found: &HashMap<&[u8], u16>) -> ArrayRef {
    let mut ordered = vec![&[][..]; found.len().max(1)];
    found.iter().for_each(|(text, place)| ordered[usize::from(*place)] = text);
    match data_type {
        // They come from texts, so none is replaced.
        DataType::Utf8View => Arc::new(StringViewArray::from_iter_values(
            ordered.into_iter().map(|text| std::str::from_utf8(text).unwrap_or_default()),
        )),
        _ => Arc::new(BinaryViewArray::from_iter_values(ordered)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Int64Array};

    /// What comes out is what went in, and whether it was worth packing.
    fn check(batches: Vec<ArrayRef>, packs: bool) {
        let packed = pack(batches.clone());
        assert_eq!(packed.iter().all(|packed| !packed.is_whole()), packs, "{:?}", batches[0].data_type());
        let unpacked: Vec<ArrayRef> =
            packed.iter().map(|packed| packed.unpack().expect("it was packed")).collect();
        assert_eq!(unpacked, batches);
        assert_eq!(unpacked[0].data_type(), batches[0].data_type());
    }

    fn decimals(values: Vec<Option<i128>>) -> ArrayRef {
        let decimals = Decimal128Array::from(values).with_precision_and_scale(38, 2);
        Arc::new(decimals.expect("38 digits are allowed"))
    }

    fn texts(values: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
        Arc::new(StringViewArray::from_iter(values))
    }

    #[test]
    fn numbers_take_the_least_width() {
        check(vec![decimals(vec![Some(1), None, Some(-7)])], true);
        check(vec![decimals(vec![Some(i128::from(i64::MAX)), Some(i128::from(i64::MIN))])], true);
        check(vec![decimals(vec![Some(i128::from(i64::MAX) + 1), None])], false);
        check(vec![Arc::new(Int64Array::from(vec![Some(i64::from(i32::MIN)), None]))], true);
        check(vec![Arc::new(Int64Array::from(vec![i64::from(i32::MAX) + 1]))], false);
        check(vec![Arc::new(Int64Array::from(vec![None, None]))], true);
    }

    #[test]
    fn texts_that_repeat_become_places() {
        let word = |n: usize| Some(format!("one of several longer words, number {}", n % 300));
        check(vec![texts((0..5000).map(word)), texts((0..5000).map(word).chain([None]))], true);
        check(vec![texts((0..10_000).map(|n| Some((n % 2).to_string())))], true);
        check(vec![texts((0..10_000).map(|n| Some(n.to_string())))], false);
        check(vec![texts([None, None])], true);
        check(vec![texts([Some(String::new()), None])], true);
        check(vec![texts([])], true);
        let bytes = (0..5000).map(|n: u32| Some([0xff, (n % 3).to_le_bytes()[0]]));
        check(vec![Arc::new(BinaryViewArray::from_iter(bytes))], true);
    }
}
