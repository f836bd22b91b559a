//! What is looked at in a single data or delete file: that it is there with its size, that its footer can be read and
//! counts as many rows as the manifest says, and, where it is asked for, that its values keep to the stated bounds.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use iceberg::spec::{DataContentType, DataFile, DataFileFormat, Schema, Type};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader, ParquetRecordBatchStreamBuilder};
use parquet::arrow::{PARQUET_FIELD_ID_META_KEY, ProjectionMask};

use super::{CheckOptions, Problem, Severity, kind_of};
use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::manifest::{Decoded, LiveFile};
use crate::iceberg::metrics::{Collector, ColumnMetrics};
use crate::storage::Storage;

/// Bounds are compared with the values themselves, so they are collected untruncated.
const METRICS: (&str, &str) = ("write.metadata.metrics.default", "full");

pub async fn size(storage: &Storage, location: &str, url: &str) -> Result<u64> {
    let file = storage.guard().table_file(location, url)?;
    Ok(storage.head(&file).await?.size)
}

/// Looks at one file.
pub async fn look(
    storage: &Storage,
    location: &str,
    live: &LiveFile,
    decoded: &Decoded,
    options: CheckOptions,
) -> Vec<Problem> {
    let file = live.file.as_ref();
    let kind = kind_of(file.content_type());
    let problem = |problem: &'static str, detail: String| Problem {
        severity: Severity::Error,
        problem,
        about: file.file_path().to_owned(),
        detail,
    };
    match size(storage, location, file.file_path()).await {
        Err(error) => return vec![problem(kind, error.to_string())],
        Ok(size) if size != file.file_size_in_bytes() => {
            let detail = format!("It has {size} bytes, and its manifest says {}.", file.file_size_in_bytes());
            return vec![problem("size", detail)];
        }
        Ok(_) => {}
    }
    if file.file_format() != DataFileFormat::Parquet {
        return place_of_vector(file).map(|detail| problem("deletion vectors", detail)).into_iter().collect();
    }
    match rows_of(storage, location, file).await {
        Err(error) => return vec![problem("footer", error.to_string())],
        Ok(rows) if u64::try_from(rows).ok() != Some(file.record_count()) => {
            let detail = format!("It has {rows} rows, and its manifest says {}.", file.record_count());
            return vec![problem("row count", detail)];
        }
        Ok(_) => {}
    }
    if !options.deep || file.content_type() != DataContentType::Data {
        return Vec::new();
    }
    match measured(storage, location, file, &decoded.schema).await {
        Err(error) => vec![problem("data", error.to_string())],
        Ok(measured) => {
            let name = |id: i32| decoded.schema.name_by_field_id(id).unwrap_or("?").to_owned();
            let wrong = wrong_metrics(file, &measured);
            wrong
                .into_iter()
                .map(|(id, detail)| problem("metrics", format!("{}: {detail}", name(id))))
                .collect()
        }
    }
}

/// A deletion vector must lie within its Puffin file.
fn place_of_vector(file: &DataFile) -> Option<String> {
    let (offset, size) = (file.content_offset()?, file.content_size_in_bytes()?);
    let end = offset.checked_add(size).and_then(|end| u64::try_from(end).ok());
    let within = offset >= 4 && size > 0 && end.is_some_and(|end| end <= file.file_size_in_bytes());
    (!within).then(|| format!("{size} bytes at {offset} do not lie within the file."))
}

fn reader(storage: &Storage, location: &str, file: &DataFile) -> Result<ParquetObjectReader> {
    let (store, path) = storage.resolve(&storage.guard().table_file(location, file.file_path())?)?;
    Ok(ParquetObjectReader::new(store, path).with_file_size(file.file_size_in_bytes()))
}

fn unreadable(source: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Unsupported, "it cannot be read").with_source(source)
}

async fn rows_of(storage: &Storage, location: &str, file: &DataFile) -> Result<i64> {
    let mut reader = reader(storage, location, file)?;
    Ok(reader.get_metadata(None).await.map_err(unreadable)?.file_metadata().num_rows())
}

/// What the values of a file are: those of its plain columns, found by their field ids.
async fn measured(
    storage: &Storage,
    location: &str,
    file: &DataFile,
    schema: &Schema,
) -> Result<HashMap<i32, ColumnMetrics>> {
    let reader = reader(storage, location, file)?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(unreadable)?;
    let (mut roots, mut fields) = (Vec::new(), Vec::new());
    for (place, column) in builder.schema().fields().iter().enumerate() {
        let id = column.metadata().get(PARQUET_FIELD_ID_META_KEY).and_then(|id| id.parse::<i32>().ok());
        let Some(field) = id.and_then(|id| schema.as_struct().field_by_id(id)) else { continue };
        if matches!(*field.field_type, Type::Primitive(_)) {
            roots.push(place);
            fields.push(Arc::clone(field));
        }
    }
    let plain = Schema::builder().with_fields(fields).build()?;
    let properties = HashMap::from([(METRICS.0.to_owned(), METRICS.1.to_owned())]);
    let mut collector = Collector::with_properties(&plain, &properties);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let mut batches = builder.with_projection(mask).build().map_err(unreadable)?;
    while let Some(batch) = batches.try_next().await.map_err(unreadable)? {
        collector.observe(&batch)?;
    }
    collector.finish()
}

/// The columns whose stated bounds or counts are not true.
fn wrong_metrics(file: &DataFile, measured: &HashMap<i32, ColumnMetrics>) -> Vec<(i32, String)> {
    let mut wrong = Vec::new();
    for (id, found) in measured {
        let counts = [
            ("values", file.value_counts().get(id), Some(found.value_count)),
            ("nulls", file.null_value_counts().get(id), Some(found.null_count)),
            ("NaNs", file.nan_value_counts().get(id), found.nan_count),
        ];
        for (word, stated, found) in counts {
            if let (Some(stated), Some(found)) = (stated.copied(), found)
                && stated != found
            {
                wrong.push((*id, format!("{stated} {word} are stated, and there are {found}.")));
            }
        }
        if let (Some(stated), Some(found)) = (file.lower_bounds().get(id), &found.lower)
            && stated > found
        {
            wrong.push((*id, format!("the lower bound {stated} is above the value {found}.")));
        }
        if let (Some(stated), Some(found)) = (file.upper_bounds().get(id), &found.upper)
            && stated < found
        {
            wrong.push((*id, format!("the upper bound {stated} is below the value {found}.")));
        }
    }
    wrong.sort();
    wrong
}
