//! Text to bytes as PostgreSQL reads a `bytea`: `\x` and hexadecimal digits, or the escape format.
//! (PostgreSQL 15, section 8.4.)

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;
use crate::sqlstate::SqlState;

pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    registry.register_udf(Arc::new(ScalarUDF::new_from_impl(ToBytea::default())))?;
    Ok(())
}

/// Text to bytes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToBytea {
    signature: Signature,
}

impl Default for ToBytea {
    fn default() -> ToBytea {
        ToBytea { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToBytea {
    fn name(&self) -> &str {
        "to_bytea"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [argument] if argument.is_string() || argument.is_null() => Ok(vec![DataType::Utf8]),
            [argument] => plan_err!("cannot cast type {argument} to bytea"),
            _ => plan_err!("a cast to bytea takes one value"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = arrays.first().map(|array| array.as_string::<i32>());
        let texts =
            texts.ok_or_else(|| DataFusionError::Internal("to_bytea without an argument".to_owned()))?;
        let mut bytes = BinaryBuilder::new();
        for text in texts {
            match text {
                Some(text) => bytes.append_value(decode(text)?),
                None => bytes.append_null(),
            }
        }
        let array: ArrayRef = Arc::new(bytes.finish());
        match args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            true => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

/// The bytes that a text stands for.
pub fn decode(text: &str) -> Result<Vec<u8>> {
    let decoded = match text.strip_prefix("\\x") {
        Some(digits) => decode_hexadecimal(digits),
        None => decode_escapes(text.as_bytes()),
    };
    decoded.ok_or_else(|| {
        let error = Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea")
            .with_hint("Write \\x and an even number of hexadecimal digits.");
        DataFusionError::External(Box::new(error))
    })
}

/// Digits in pairs; blanks may stand between pairs.
fn decode_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits
        .chars()
        .filter(|digit| !digit.is_ascii_whitespace())
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// `\\` is a backslash and `\ooo` the byte with that octal number.
pub fn decode_escapes(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', after @ ..]) => {
                bytes.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                after
            }
            (b'\\', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn texts_are_read_as_postgresql_reads_them() {
        let check =
            |text: &str, expect: Option<&[u8]>| assert_eq!(decode(text).ok().as_deref(), expect, "{text}");
        check("\\x", Some(b""));
        check("\\xdeadBEEF", Some(&[0xde, 0xad, 0xbe, 0xef]));
        check("\\xde ad", Some(&[0xde, 0xad]));
        check("\\xabc", None);
        check("\\xzz", None);
        check("abc", Some(b"abc"));
        check("a\\\\b\\001\\377", Some(b"a\\b\x01\xff"));
        check("a\\9", None);
    }
}
