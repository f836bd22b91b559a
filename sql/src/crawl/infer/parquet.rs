//! The columns of a Parquet file from its footer, in the types that tables have. It must never read a page.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Schema, TimeUnit};
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::errors::ParquetError;
use tarn_catalog::object::FileFormat;

use super::Probe;
use crate::files::listing::FoundFile;
use crate::files::problem::Problem;

/// Reads the footer of a file.
pub async fn probe(store: &Arc<dyn ObjectStore>, file: &FoundFile) -> Result<Probe, Problem> {
    let mut reader = ParquetObjectReader::new(Arc::clone(store), file.meta.location.clone())
        .with_file_size(file.meta.size);
    let metadata = ArrowReaderMetadata::load_async(&mut reader, Default::default()).await.map_err(problem)?;
    let fields: Vec<FieldRef> = metadata.schema().fields().iter().filter_map(storable_field).collect();
    let rows = metadata.metadata().file_metadata().num_rows();
    Ok(Probe {
        format: FileFormat::Parquet,
        schema: Schema::new(fields),
        rows: u64::try_from(rows).unwrap_or(0),
        whole: true,
        sure: true,
        decisions: Vec::new(),
        evidence: Vec::new(),
    })
}

fn problem(error: ParquetError) -> Problem {
    match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(error) => Problem::store(&error),
            Err(other) => crate::files::parquet_problem(&other.to_string()),
        },
        other => crate::files::parquet_problem(&other.to_string()),
    }
}

/// The field in a type that tables have; none when there is no such type.
fn storable_field(field: &FieldRef) -> Option<FieldRef> {
    let plain = Field::new(field.name(), storable(field.data_type())?, true);
    Some(Arc::new(plain.with_metadata(field.metadata().clone())))
}

/// The type of a table that holds all values of an Arrow type. Nanoseconds are read as microseconds, which is what
/// PostgreSQL's timestamps have.
fn storable(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Boolean | T::Int32 | T::Int64 | T::Float32 | T::Float64 | T::Date32 | T::Utf8 | T::Binary => {
            data_type.clone()
        }
        T::Int8 | T::Int16 | T::UInt8 | T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::LargeBinary | T::BinaryView => T::Binary,
        T::FixedSizeBinary(_) => data_type.clone(),
        T::Date64 => T::Date32,
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Timestamp(_, zone) => T::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| Arc::from("UTC"))),
        T::Decimal32(precision, scale)
        | T::Decimal64(precision, scale)
        | T::Decimal128(precision, scale)
        | T::Decimal256(precision, scale) => {
            if *precision <= DECIMAL128_MAX_PRECISION && *scale >= 0 {
                T::Decimal128(*precision, *scale)
            } else {
                T::Float64
            }
        }
        T::Dictionary(_, values) => storable(values)?,
        T::RunEndEncoded(_, values) => storable(values.data_type())?,
        T::List(element) | T::LargeList(element) | T::FixedSizeList(element, _) => {
            T::List(storable_field(element)?)
        }
        T::Struct(fields) => T::Struct(fields.iter().filter_map(storable_field).collect()),
        T::Map(entries, sorted) => {
            let T::Struct(pair) = entries.data_type() else { return None };
            let [key, value] = pair.iter().as_slice() else { return None };
            let key = Field::new(key.name(), storable(key.data_type())?, false);
            let pair = vec![Arc::new(key), storable_field(value)?];
            T::Map(Arc::new(Field::new(entries.name(), T::Struct(pair.into()), false)), *sorted)
        }
        T::Null | T::Interval(_) | T::Duration(_) => T::Utf8,
        T::Union(..) | T::ListView(_) | T::LargeListView(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_that_tables_have() {
        for (found, expect) in [
            (DataType::UInt64, Some(DataType::Decimal128(20, 0))),
            (DataType::Int8, Some(DataType::Int32)),
            (
                DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())),
                Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            ),
            (
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8)),
                Some(DataType::Utf8),
            ),
            (DataType::Decimal256(50, 2), Some(DataType::Float64)),
        ] {
            assert_eq!(storable(&found), expect, "{found}");
        }
    }
}
