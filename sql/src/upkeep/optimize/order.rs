//! In which order the rows of a group are written: as the strategy says, and without one in the table's own order, which
//! the writers see to by themselves and mark the files with.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF};
use iceberg::spec::{
    DataFile, Datum, NestedFieldRef, NullOrder, PrimitiveLiteral, PrimitiveType, SortDirection,
    TableMetadata, Transform, Type,
};

use super::options::{SortTerm, Strategy};
use super::zorder::{ZOrder, common_bits};
use crate::error::{Error, Result};
use crate::plan::engine_error;
use crate::sqlstate::SqlState;
use crate::table::RowOrder;

/// The same rows, and the order that they are to be written in.
pub(super) fn ordered(
    plan: LogicalPlan,
    metadata: &TableMetadata,
    strategy: &Strategy,
    files: &[Arc<DataFile>],
) -> Result<(LogicalPlan, RowOrder)> {
    let terms = match strategy {
        Strategy::BinPack => return Ok((plan, RowOrder::Declared)),
        Strategy::Sort(terms) if terms.is_empty() => {
            if metadata.default_sort_order().is_unsorted() {
                let message = "the table has no sort order of its own to optimize by";
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    .with_hint("Say which: sort_order => 'a, b DESC'."));
            }
            return Ok((plan, RowOrder::Declared));
        }
        Strategy::Sort(terms) if table_order(metadata).as_ref() == Some(terms) => {
            return Ok((plan, RowOrder::Declared));
        }
        Strategy::Sort(terms) => terms,
        Strategy::ZOrder(columns) => {
            return Ok((z_ordered(plan, metadata, columns, files)?, RowOrder::AsTheyCome));
        }
    };
    let sort = |term: &SortTerm| -> Result<Sort> {
        field(metadata, &term.column)?;
        Ok(column(&term.column).sort(term.ascending, term.nulls_first))
    };
    let sorts = terms.iter().map(sort).collect::<Result<Vec<_>>>()?;
    let sorted = LogicalPlanBuilder::from(plan).sort(sorts).and_then(LogicalPlanBuilder::build);
    Ok((sorted.map_err(engine_error)?, RowOrder::AsTheyCome))
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn field(metadata: &TableMetadata, name: &str) -> Result<NestedFieldRef> {
    let fields = metadata.current_schema().as_struct().fields();
    let missing = || {
        let message = format!("column \"{name}\" does not exist");
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    };
    fields.iter().find(|field| field.name == name).cloned().ok_or_else(missing)
}

/// The table's own order, if it is one of plain columns.
fn table_order(metadata: &TableMetadata) -> Option<Vec<SortTerm>> {
    let schema = metadata.current_schema();
    let term = |field: &iceberg::spec::SortField| {
        let plain = field.transform == Transform::Identity;
        let source = schema.as_struct().field_by_id(field.source_id).filter(|_| plain)?;
        Some(SortTerm {
            column: source.name.clone(),
            ascending: field.direction == SortDirection::Ascending,
            nulls_first: field.null_order == NullOrder::First,
        })
    };
    metadata.default_sort_order().fields.iter().map(term).collect()
}

fn z_ordered(
    plan: LogicalPlan,
    metadata: &TableMetadata,
    names: &[String],
    files: &[Arc<DataFile>],
) -> Result<LogicalPlan> {
    let mut skip = Vec::new();
    for name in names {
        let field = field(metadata, name)?;
        let Type::Primitive(kind) = field.field_type.as_ref() else {
            let message = format!("column \"{name}\" has no plain values to order by");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        };
        skip.push(shared_bits(field.id, kind, files));
    }
    let function = Arc::new(ScalarUDF::new_from_impl(ZOrder::new(skip)));
    let key = function.call(names.iter().map(|name| column(name)).collect());
    LogicalPlanBuilder::from(plan)
        .sort(vec![key.sort(true, true)])
        .and_then(LogicalPlanBuilder::build)
        .map_err(engine_error)
}

/// The leading bits that a column's values have in common in all these files; none where a bound is missing.
fn shared_bits(id: i32, kind: &PrimitiveType, files: &[Arc<DataFile>]) -> usize {
    let bounds = |of: fn(&DataFile) -> &HashMap<i32, Datum>| -> Option<Vec<&Datum>> {
        files.iter().map(|file| of(file).get(&id)).collect()
    };
    let least = bounds(DataFile::lower_bounds)
        .and_then(|all| all.into_iter().reduce(|one, other| if other < one { other } else { one }));
    let most = bounds(DataFile::upper_bounds)
        .and_then(|all| all.into_iter().reduce(|one, other| if other > one { other } else { one }));
    let shared = least
        .zip(most)
        .and_then(|(least, most)| common_bits(&scalar(least, kind)?, &scalar(most, kind)?).ok());
    shared.unwrap_or(0)
}

/// A bound as the engine holds the column's values; types whose row bytes differ from their bounds have none.
fn scalar(bound: &Datum, kind: &PrimitiveType) -> Option<ScalarValue> {
    Some(match (bound.literal(), kind) {
        (PrimitiveLiteral::Int(value), PrimitiveType::Int) => ScalarValue::Int32(Some(*value)),
        (PrimitiveLiteral::Int(value), PrimitiveType::Date) => ScalarValue::Date32(Some(*value)),
        // The bytes of a timestamp are those of its number.
        (PrimitiveLiteral::Long(value), _) => ScalarValue::Int64(Some(*value)),
        (PrimitiveLiteral::Int(value), PrimitiveType::Long) => ScalarValue::Int64(Some(i64::from(*value))),
        (PrimitiveLiteral::Double(value), PrimitiveType::Double) => ScalarValue::Float64(Some(value.0)),
        (PrimitiveLiteral::Float(value), PrimitiveType::Float) => ScalarValue::Float32(Some(value.0)),
        (PrimitiveLiteral::Int128(value), PrimitiveType::Decimal { precision, scale }) => {
            let (precision, scale) = (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
            ScalarValue::Decimal128(Some(*value), precision, scale)
        }
        _ => return None,
    })
}
