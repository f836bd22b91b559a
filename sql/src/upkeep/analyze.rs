//! `ANALYZE`: how many distinct values each column of a table has, estimated by sketches that are kept in a statistics
//! file of the snapshot they were taken from. Other engines read them, and so does our optimizer.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use iceberg::TableUpdate;
use iceberg::spec::{NestedFieldRef, Type};
use tarn_catalog::iceberg::upkeep::{DistinctSketch, write_statistics};

use super::commit::{commit_metadata, reap_after};
use super::report::Report;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, engine_error};
use crate::procedure::ProcedureCall;
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;
use crate::table::IcebergTable;

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let names = call.arguments.texts("columns").map(<[String]>::to_vec);
    analyze(call.table()?, names.as_deref(), context).await?.into_outcome(call.tag)
}

/// Analyzes the named columns, or all that have plain values.
pub(crate) async fn analyze(
    target: &TableTarget,
    names: Option<&[String]>,
    context: &Context,
) -> Result<Report> {
    let state = target.state()?;
    let fields = chosen(target, names)?;
    let mut report = Report::default();
    let Some(snapshot) = state.snapshot_id.and_then(|id| target.version.metadata.snapshot_by_id(id)) else {
        return Ok(report);
    };
    if fields.is_empty() {
        return Ok(report);
    }
    let (rows, sketches) = context.stop.or(sketches(target, &fields, context)).await?;
    report.figure("rows", rows);
    for (field, sketch) in fields.iter().zip(&sketches) {
        report.path("distinct_values", Some(sketch.1.estimate().round() as i64), field.name.as_str());
    }
    let catalog = context.catalog();
    let metadata = &target.version.metadata;
    let write = catalog.begin_write(metadata.location()).await?;
    let statistics = write_statistics(catalog.storage(), metadata, snapshot, write, &sketches).await;
    let statistics = match statistics {
        Ok(statistics) => statistics,
        Err(error) => {
            catalog.abandon_write(write, &[]).await;
            return Err(error.into());
        }
    };
    let replaced = metadata.statistics_for_snapshot(snapshot.snapshot_id());
    let replaced: Vec<String> = replaced.map(|file| file.statistics_path.clone()).into_iter().collect();
    let discard = (!replaced.is_empty()).then(|| catalog.to_discard(&target.version, Vec::new(), replaced));
    let update = TableUpdate::SetStatistics { statistics };
    let discard: Vec<_> = discard.into_iter().collect();
    let commit = commit_metadata(target, vec![update], discard, Some(write), context).await?;
    reap_after(commit, catalog);
    Ok(report)
}

/// The columns to analyze: plain ones at the top.
fn chosen(target: &TableTarget, names: Option<&[String]>) -> Result<Vec<NestedFieldRef>> {
    let schema = target.version.metadata.current_schema();
    let fields = schema.as_struct().fields();
    let is_plain = |field: &&NestedFieldRef| matches!(*field.field_type, Type::Primitive(_));
    let Some(names) = names else { return Ok(fields.iter().filter(is_plain).cloned().collect()) };
    let mut chosen: Vec<NestedFieldRef> = Vec::new();
    for name in names {
        let Some(field) = fields.iter().find(|field| field.name == *name) else {
            let message = format!("column \"{name}\" of {} does not exist", target.found.label());
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        };
        if !is_plain(&field) {
            let message = format!("column \"{name}\" has no plain values to count");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        if !chosen.iter().any(|other| other.id == field.id) {
            chosen.push(Arc::clone(field));
        }
    }
    Ok(chosen)
}

type Sketches = Vec<(i32, DistinctSketch)>;

/// Reads the columns once.
async fn sketches(
    target: &TableTarget,
    fields: &[NestedFieldRef],
    context: &Context,
) -> Result<(usize, Sketches)> {
    let table = IcebergTable::new(target.state()?, Arc::clone(context.catalog().storage()))?;
    let columns: Vec<_> = fields
        .iter()
        .map(|field| {
            datafusion::logical_expr::Expr::Column(datafusion::common::Column::from_name(&field.name))
        })
        .collect();
    let plan = LogicalPlanBuilder::scan("analyzed", provider_as_source(Arc::new(table)), None)
        .and_then(|plan| plan.project(columns))
        .and_then(LogicalPlanBuilder::build)
        .map_err(engine_error)?;
    let physical = crate::execute::physical_plan(&plan, context).await?;
    let mut batches = execute_stream(physical, context.state.task_ctx()).map_err(engine_error)?;
    let mut sketches = Vec::new();
    for field in fields {
        sketches.push((field.id, DistinctSketch::new()?));
    }
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await.map_err(engine_error)? {
        rows += batch.num_rows();
        for (column, (_, sketch)) in batch.columns().iter().zip(&mut sketches) {
            add(column, sketch)?;
        }
    }
    Ok((rows, sketches))
}

/// Adds a column's values in Iceberg's single-value serialization.
fn add(column: &ArrayRef, sketch: &mut DistinctSketch) -> Result<()> {
    let plain = match column.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => Some(DataType::Utf8),
        DataType::BinaryView | DataType::LargeBinary => Some(DataType::Binary),
        DataType::Dictionary(_, values) => Some(values.as_ref().clone()),
        _ => None,
    };
    if let Some(plain) = plain {
        let plain = cast(column, &plain).map_err(|error| Error::internal(error.to_string()))?;
        return add(&plain, sketch);
    }
    macro_rules! little_endian {
        ($type:ty) => {
            column.as_primitive::<$type>().iter().flatten().for_each(|value| sketch.add(&value.to_le_bytes()))
        };
    }
    match column.data_type() {
        DataType::Boolean => {
            column.as_boolean().iter().flatten().for_each(|value| sketch.add(&[u8::from(value)]));
        }
        DataType::Int32 => little_endian!(Int32Type),
        DataType::Int64 => little_endian!(Int64Type),
        DataType::Float32 => little_endian!(Float32Type),
        DataType::Float64 => little_endian!(Float64Type),
        DataType::Date32 => little_endian!(Date32Type),
        DataType::Time64(TimeUnit::Microsecond) => little_endian!(Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => little_endian!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => little_endian!(TimestampNanosecondType),
        DataType::Decimal128(_, _) => column
            .as_primitive::<Decimal128Type>()
            .iter()
            .flatten()
            .for_each(|value| sketch.add(shortest(&value.to_be_bytes()))),
        DataType::Utf8 => {
            column.as_string::<i32>().iter().flatten().for_each(|value| sketch.add(value.as_bytes()));
        }
        DataType::Binary => column.as_binary::<i32>().iter().flatten().for_each(|value| sketch.add(value)),
        DataType::FixedSizeBinary(_) => {
            column.as_fixed_size_binary().iter().flatten().for_each(|value| sketch.add(value));
        }
        DataType::Null => {}
        other => return Err(Error::internal(format!("values of type {other} are not counted"))),
    }
    Ok(())
}

/// The fewest bytes that say the same number in two's complement.
fn shortest(bytes: &[u8]) -> &[u8] {
    let mut start = 0;
    while let [first, second, ..] = bytes[start..] {
        let redundant = (first == 0 && second < 0x80) || (first == 0xFF && second >= 0x80);
        if !redundant {
            break;
        }
        start += 1;
    }
    &bytes[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_their_fewest_bytes() {
        let check =
            |number: i128, expect: &[u8]| assert_eq!(shortest(&number.to_be_bytes()), expect, "{number}");
        check(0, &[0]);
        check(127, &[0x7F]);
        check(128, &[0, 0x80]);
        check(-1, &[0xFF]);
        check(-128, &[0x80]);
        check(-129, &[0xFF, 0x7F]);
        check(1420, &[0x05, 0x8C]);
    }
}
