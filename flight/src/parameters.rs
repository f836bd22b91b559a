//! Values of parameters, which come as record batches: one column for each parameter, one row for each execution. The
//! types of a statement's parameters follow from the statement; a value of another type is cast.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray};
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use tarn_sql::types::sql_name;
use tarn_sql::{Error, SqlState};

use crate::encode::plain_type;
use crate::query::Values;

/// The most rows of values that one call may bind to a query.
pub const BOUND_ROWS_MAX: usize = 100_000;

/// The parameters of a statement as a schema, for the client to fill in.
pub fn schema(types: &[DataType]) -> Schema {
    let field = |(place, data_type): (usize, &DataType)| {
        Field::new(format!("${}", place + 1), plain_type(data_type, false), true)
    };
    Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>())
}

/// Every row of a batch as the values of one execution.
///
/// # Errors
///
/// 08P01 for another number of columns, 22023 for a value that is none of its parameter's type.
pub fn rows(batch: &RecordBatch, types: &[DataType]) -> Result<Vec<Values>, Error> {
    let columns = columns(batch, types)?;
    let row = |row: usize| columns.iter().map(|column| column.slice(row, 1)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

/// The values of several executions as the rows of a batch.
///
/// # Errors
///
/// XX000 if a row has another number of values than there are parameters, or values of another type.
pub fn batch(rows: &[Values], types: &[DataType]) -> Result<RecordBatch, Error> {
    let column = |place: usize| {
        let values = rows.iter().filter_map(|row| row.get(place).map(AsRef::as_ref));
        concat(&values.collect::<Vec<&dyn Array>>())
    };
    let columns = (0..types.len()).map(column).collect::<Result<Vec<_>, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let schema = Arc::new(schema(types));
    columns
        .and_then(|columns| RecordBatch::try_new_with_options(schema, columns, &options))
        .map_err(|error| Error::internal(error.to_string()))
}

/// The columns of a batch in the types of the parameters.
///
/// # Errors
///
/// As [`rows`].
pub fn columns(batch: &RecordBatch, types: &[DataType]) -> Result<Vec<ArrayRef>, Error> {
    if batch.num_columns() != types.len() {
        let message = format!(
            "bind message supplies {} parameters, but the statement requires {}",
            batch.num_columns(),
            types.len()
        );
        return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
    }
    let typed = |(place, (column, data_type)): (usize, (&ArrayRef, &DataType))| {
        typed(column, data_type, &format!("parameter ${}", place + 1))
    };
    batch.columns().iter().zip(types).enumerate().map(typed).collect()
}

/// A column in a type, or an error that names it.
pub fn typed(column: &ArrayRef, data_type: &DataType, what: &str) -> Result<ArrayRef, Error> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let done = match (column.data_type(), data_type) {
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, DataType::FixedSizeBinary(16)) => {
            uuids(column)
        }
        _ => cast_with_options(column, data_type, &options).map_err(|error| error.to_string()),
    };
    done.map_err(|problem| {
        let name = |data_type: &DataType| sql_name(&Field::new("", data_type.clone(), true));
        let message = format!("{what} is {}, and cannot be {}", name(column.data_type()), name(data_type));
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_detail(format!("{}.", problem.trim_end_matches('.')))
            .with_hint("Send values of the type that the parameter has, or cast it in the statement.")
    })
}

/// Clients have no UUIDs, and send them as text.
fn uuids(column: &ArrayRef) -> Result<ArrayRef, String> {
    let texts = arrow::compute::cast(column, &DataType::Utf8).map_err(|error| error.to_string())?;
    let values = texts.as_string::<i32>().iter().map(|text| text.map(uuid).transpose());
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16);
    array.map(|array| Arc::new(array) as ArrayRef).map_err(|error| error.to_string())
}

fn uuid(text: &str) -> Result<[u8; 16], String> {
    let invalid = || format!("invalid input syntax for type uuid: \"{text}\"");
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
    let value = (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok()).flatten();
    value.map(u128::to_be_bytes).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Int32Type;

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let names = ["a", "b", "c"].into_iter();
        RecordBatch::try_from_iter(names.zip(columns)).expect("columns of one length")
    }

    #[test]
    fn every_row_is_one_execution() {
        let bound = batch(vec![
            Arc::new(Int64Array::from(vec![Some(1), None])),
            Arc::new(StringArray::from(vec!["x", "y"])),
        ]);
        let rows = rows(&bound, &[DataType::Int32, DataType::Utf8]).expect("they can be cast");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0][0].as_primitive::<Int32Type>().value(0), 1);
        assert!(rows[1][0].is_null(0));
        assert_eq!(rows[1][1].as_string::<i32>().value(0), "y");
    }

    #[test]
    fn what_is_lost_is_an_error() {
        let large = batch(vec![Arc::new(Int64Array::from(vec![1 << 40]))]);
        let error = columns(&large, &[DataType::Int32]).expect_err("it does not fit");
        assert_eq!(error.sqlstate, SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(error.message, "parameter $1 is bigint, and cannot be integer");
        let error = columns(&large, &[]).expect_err("one too many");
        assert_eq!(error.sqlstate, SqlState::PROTOCOL_VIOLATION);
    }

    #[test]
    fn uuids_come_as_text() {
        let text = "00010203-0405-0607-0809-0a0b0c0d0e0f";
        let texts = batch(vec![Arc::new(StringArray::from(vec![Some(text), None]))]);
        let read = columns(&texts, &[DataType::FixedSizeBinary(16)]).expect("a UUID");
        assert_eq!(read[0].as_fixed_size_binary().value(0), (0..16).collect::<Vec<u8>>());
        assert!(read[0].is_null(1));
        let wrong = batch(vec![Arc::new(StringArray::from(vec!["no"]))]);
        assert!(columns(&wrong, &[DataType::FixedSizeBinary(16)]).is_err());
    }

    #[test]
    fn parameters_are_announced_in_order() {
        let schema = schema(&[DataType::Utf8, DataType::Int64]);
        assert_eq!(schema.field(1).name(), "$2");
        assert_eq!(schema.field(1).data_type(), &DataType::Int64);
    }
}
