//! Text on its way into a `varchar(n)` or `char(n)` column: what is too long is refused, unless only spaces are cut off, as
//! in PostgreSQL. The trailing spaces of `char` mean nothing, so they are not kept at all: comparing, counting and joining
//! then need no rules of their own, and who reads the value sees it padded (`server/src/postgres/encode/`).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DataFusionError, Result as EngineResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;
use crate::sqlstate::SqlState;
use crate::types::{self, Characters};

/// The text as a value for the column, if that has a length.
pub(super) fn fitted(expression: Expr, column: &Field, schema: &DFSchema) -> EngineResult<Expr> {
    let Some(characters) = types::characters(column).filter(|characters| characters.changes_values()) else {
        return Ok(expression);
    };
    let (_, from) = expression.to_field(schema)?;
    if types::characters(&from) == Some(characters) {
        return Ok(expression);
    }
    let function = Fit { characters, signature: Signature::any(1, Volatility::Immutable) };
    let function = Arc::new(ScalarUDF::new_from_impl(function));
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expression])))
}

#[derive(Debug)]
struct Fit {
    characters: Characters,
    signature: Signature,
}

impl PartialEq for Fit {
    fn eq(&self, other: &Fit) -> bool {
        self.characters == other.characters
    }
}

impl Eq for Fit {}

impl Hash for Fit {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.characters.hash(state);
    }
}

impl ScalarUDFImpl for Fit {
    fn name(&self) -> &str {
        "fit_characters"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("a text is one value".to_owned()));
        };
        let array = cast(&value.to_array(args.number_rows)?, &DataType::Utf8)?;
        let texts = array.as_string::<i32>();
        let fits = |text: &str| fit(text, self.characters).is_ok_and(|fitted| fitted.len() == text.len());
        if texts.iter().flatten().all(fits) {
            return Ok(ColumnarValue::Array(array));
        }
        let fitted = texts.iter().map(|text| text.map(|text| fit(text, self.characters)).transpose());
        let fitted: Result<StringArray, Error> = fitted.collect();
        let fitted: ArrayRef = Arc::new(fitted.map_err(|error| DataFusionError::External(Box::new(error)))?);
        Ok(ColumnarValue::Array(fitted))
    }
}

/// As much of a text as the type has room for.
fn fit(text: &str, characters: Characters) -> Result<&str, Error> {
    let text = if characters.fixed { text.trim_end_matches(' ') } else { text };
    // Most texts are short enough in bytes, which needs no counting.
    let Some(length) = characters.length.map(|length| length as usize).filter(|length| text.len() > *length)
    else {
        return Ok(text);
    };
    let Some((end, _)) = text.char_indices().nth(length) else { return Ok(text) };
    if text[end..].bytes().all(|byte| byte == b' ') {
        return Ok(&text[..end]);
    }
    let message = format!("value too long for type {}", characters.sql_name());
    Err(Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spaces_are_cut_off() {
        let check = |text: &str, fixed: bool, length: u32, expect: Result<&str, &str>| {
            let fitted = fit(text, Characters { fixed, length: Some(length) });
            assert_eq!(fitted.map_err(|error| error.message), expect.map_err(str::to_owned), "{text:?}");
        };
        check("abc", false, 3, Ok("abc"));
        check("abc  ", false, 3, Ok("abc"));
        check("ab   ", false, 3, Ok("ab "));
        check("ab ", false, 3, Ok("ab "));
        check("abcd", false, 3, Err("value too long for type character varying(3)"));
        check("äöü", false, 3, Ok("äöü"));
        check("äöüß", false, 3, Err("value too long for type character varying(3)"));
        check("ab ", true, 3, Ok("ab"));
        check("   ", true, 3, Ok(""));
        check("abcd", true, 3, Err("value too long for type character(3)"));
        check("abc      ", true, 3, Ok("abc"));
    }
}
