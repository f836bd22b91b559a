//! The z-order of rows: the bits of several columns interleaved, so that rows that are near in all of them come to lie
//! near each other. The bytes of a value are those of Arrow's row format, which order as the values do, whatever their
//! type; the bits that all values of a column share, as its bounds tell, are skipped, so that a column of large numbers
//! does not drown one of small ones.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DataFusionError, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// Bits of each column that count.
const BITS: usize = 64;

/// Computes the z-order key of its arguments.
#[derive(Debug)]
pub(super) struct ZOrder {
    signature: Signature,
    /// Leading bits to skip, by argument.
    skip: Vec<usize>,
}

impl ZOrder {
    pub fn new(skip: Vec<usize>) -> ZOrder {
        ZOrder { signature: Signature::any(skip.len(), Volatility::Immutable), skip }
    }
}

impl PartialEq for ZOrder {
    fn eq(&self, other: &ZOrder) -> bool {
        self.skip == other.skip
    }
}

impl Eq for ZOrder {}

impl Hash for ZOrder {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.skip.hash(state);
    }
}

impl ScalarUDFImpl for ZOrder {
    fn name(&self) -> &str {
        "z_order"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        Ok(ColumnarValue::Array(keys(&columns, &self.skip)?))
    }
}

/// One key per row.
fn keys(columns: &[ArrayRef], skip: &[usize]) -> EngineResult<ArrayRef> {
    let rows = columns.iter().map(ordered_bytes).collect::<EngineResult<Vec<_>>>()?;
    let count = columns.first().map_or(0, |column| column.len());
    let width = (columns.len() * BITS).div_ceil(8);
    let mut keys = BinaryBuilder::with_capacity(count, count * width);
    let mut key = vec![0u8; width];
    for row in 0..count {
        key.fill(0);
        let values: Vec<&[u8]> = rows.iter().map(|rows| rows.row(row).data()).collect();
        interleave(&values, skip, &mut key);
        keys.append_value(&key);
    }
    Ok(Arc::new(keys.finish()))
}

/// The values as bytes that order as they do.
fn ordered_bytes(column: &ArrayRef) -> EngineResult<arrow::row::Rows> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    Ok(converter.convert_columns(std::slice::from_ref(column))?)
}

/// Takes one bit of each value in turn, from the first that counts on. Bits beyond a value's end are zero.
fn interleave(values: &[&[u8]], skip: &[usize], key: &mut [u8]) {
    let mut place = 0;
    for bit in 0..BITS {
        for (value, skip) in values.iter().zip(skip) {
            let at = bit + skip;
            let set = value.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
            if set && let Some(byte) = key.get_mut(place / 8) {
                *byte |= 1 << (7 - place % 8);
            }
            place += 1;
        }
    }
}

/// The leading bits that all values between two bounds share.
pub(super) fn common_bits(lower: &ScalarValue, upper: &ScalarValue) -> EngineResult<usize> {
    let bytes = |value: &ScalarValue| -> EngineResult<Vec<u8>> {
        let rows = ordered_bytes(&value.to_array()?)?;
        Ok(rows.row(0).data().to_vec())
    };
    if lower.data_type() != upper.data_type() {
        return Err(DataFusionError::Internal("the bounds of a column are of two types".to_owned()));
    }
    let (lower, upper) = (bytes(lower)?, bytes(upper)?);
    let mut bits = 0;
    for (one, other) in lower.iter().zip(&upper) {
        let same = (one ^ other).leading_zeros() as usize;
        bits += same;
        if same < 8 {
            break;
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn bits_are_taken_in_turn() {
        let mut key = [0; 16];
        interleave(&[&[0b1010_0000], &[0b0110_0000]], &[0, 0], &mut key);
        assert_eq!(key[0], 0b1001_1100);
        key.fill(0);
        interleave(&[&[0b1010_0000], &[0b0110_0000]], &[2, 1], &mut key);
        assert_eq!(key[0], 0b1101_0000);
    }

    #[test]
    fn bounds_tell_which_bits_are_shared() {
        let bits = |lower: i64, upper: i64| {
            common_bits(&ScalarValue::Int64(Some(lower)), &ScalarValue::Int64(Some(upper))).expect("bounds")
        };
        // One byte says that there is a value, and the sign is one bit.
        assert_eq!(bits(0, 1), 8 + 63);
        assert_eq!(bits(0, 1023), 8 + 54);
        assert_eq!(bits(-1, 0), 8);
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        assert_eq!(common_bits(&text("ab"), &text("ac")).expect("bounds") / 8, 2);
    }

    /// In z-order the first quarter of a square grid is the quarter near the origin, whatever the types.
    #[test]
    fn a_grid_is_cut_into_squares() {
        let side = 8i64;
        let cells: Vec<(i64, i64)> = (0..side).flat_map(|x| (0..side).map(move |y| (x, y))).collect();
        let x: ArrayRef = Arc::new(cells.iter().map(|(x, _)| Some(1_000_000 + x)).collect::<Int64Array>());
        let y: ArrayRef = Arc::new(cells.iter().map(|(_, y)| i32::try_from(*y).ok()).collect::<Int32Array>());
        let long = |value: i64| ScalarValue::Int64(Some(value));
        let int = |value: i32| ScalarValue::Int32(Some(value));
        let skip = vec![
            common_bits(&long(1_000_000), &long(1_000_007)).expect("bounds"),
            common_bits(&int(0), &int(7)).expect("bounds"),
        ];
        let keys = keys(&[x, y], &skip).expect("keys");
        let keys = keys.as_binary::<i32>();
        let mut order: Vec<usize> = (0..cells.len()).collect();
        order.sort_by_key(|row| keys.value(*row).to_vec());
        // 1,000,000 is a multiple of 64, so the grid begins where a square does.
        assert!(order[..16].iter().all(|row| cells[*row].0 < 4 && cells[*row].1 < 4), "{order:?}");
    }

    #[test]
    fn texts_and_nulls_have_a_place() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a")]));
        let keys = keys(&[texts], &[0]).expect("keys");
        let keys = keys.as_binary::<i32>();
        assert!(keys.value(1) < keys.value(2) && keys.value(2) < keys.value(0));
    }
}
