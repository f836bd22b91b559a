//! What brings a row to its file: the values of its partition and of the table's order. They travel as columns after
//! those of the table, so that the engine's own operators can share rows out and sort them. It must never write.
//! Next: `arrange.rs`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use iceberg::spec::{NullOrder, SortDirection, SortField, TableMetadata};

use super::conform::conform;
use super::partition::PartitionSplitter;
use super::transform::TransformedColumn;
use crate::error::{Error, Result};

/// In which order the rows of a write stand in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// In the table's own, where it has one.
    Declared,
    /// As the query gives them.
    AsTheyCome,
}

/// How the rows of one write get their keys.
pub(crate) struct Keys {
    /// The table's columns as they are written.
    pub table: SchemaRef,
    /// Those, and the keys after them.
    pub schema: SchemaRef,
    pub splitter: Option<PartitionSplitter>,
    pub order: Option<DeclaredOrder>,
}

/// The table's order.
pub(crate) struct DeclaredOrder {
    pub id: i32,
    terms: Vec<Term>,
}

/// One term of the order.
struct Term {
    values: TransformedColumn,
    /// Where its values are among the columns of keyed rows.
    place: usize,
    options: SortOptions,
}

impl Keys {
    pub fn new(metadata: &TableMetadata, table: SchemaRef, order: RowOrder) -> Result<Keys> {
        let spec = metadata.default_partition_spec();
        let splitter = match spec.is_unpartitioned() {
            true => None,
            false => Some(PartitionSplitter::try_new(spec, metadata.current_schema())?),
        };
        let mut fields: Vec<FieldRef> = table.fields().iter().map(Arc::clone).collect();
        let own = fields.len();
        let key = |place: usize, data_type: &DataType| {
            Arc::new(Field::new(format!("key:{}", place - own), data_type.clone(), true))
        };
        for data_type in splitter.iter().flat_map(PartitionSplitter::types) {
            fields.push(key(fields.len(), data_type));
        }
        let mut order = match order {
            RowOrder::Declared => declared(metadata)?,
            RowOrder::AsTheyCome => None,
        };
        for term in order.iter_mut().flat_map(|order| &mut order.terms) {
            term.place = term.values.as_is().unwrap_or(fields.len());
            if term.place == fields.len() {
                fields.push(key(fields.len(), term.values.data_type()));
            }
        }
        Ok(Keys { schema: Arc::new(Schema::new(fields)), table, splitter, order })
    }

    /// The rows of a query in the table's types, with their keys; columns are matched by position.
    pub fn add(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = conform(batch, &self.table)?;
        let mut columns = rows.columns().to_vec();
        if let Some(splitter) = &self.splitter {
            columns.extend(splitter.columns(&rows)?);
        }
        for term in self.order.iter().flat_map(|order| &order.terms) {
            if term.values.as_is().is_none() {
                columns.push(term.values.calculate(&rows)?);
            }
        }
        of_columns(&self.schema, columns, rows.num_rows())
    }

    /// The rows without their keys, as files have them.
    pub fn remove(&self, keyed: &RecordBatch) -> Result<RecordBatch> {
        let own = self.table.fields().len();
        let columns = keyed.columns().get(..own).map(<[ArrayRef]>::to_vec);
        let columns =
            columns.ok_or_else(|| Error::internal("rows have lost columns on their way to a file"))?;
        of_columns(&self.table, columns, keyed.num_rows())
    }

    /// The partition values of keyed rows.
    pub fn partition<'a>(&self, keyed: &'a RecordBatch) -> &'a [ArrayRef] {
        keyed.columns().get(self.partition_places()).unwrap_or_default()
    }

    fn partition_places(&self) -> std::ops::Range<usize> {
        let own = self.table.fields().len();
        own..own + self.splitter.iter().flat_map(PartitionSplitter::types).count()
    }

    /// The partition values as expressions over keyed rows.
    pub fn partition_columns(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.partition_places().map(|place| self.column(place)).collect()
    }

    fn column(&self, place: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(self.schema.field(place).name(), place))
    }

    /// By partition, and in it in the table's order.
    pub fn ordering(&self) -> Option<LexOrdering> {
        let options = SortOptions::default();
        let partition = self.partition_columns().into_iter().map(|key| PhysicalSortExpr::new(key, options));
        let terms = self.order.iter().flat_map(|order| &order.terms);
        let terms = terms.map(|term| PhysicalSortExpr::new(self.column(term.place), term.options));
        LexOrdering::new(partition.chain(terms))
    }

    /// The values of the order's first term, which tell whether two files overlap.
    pub fn leading<'a>(&self, keyed: &'a RecordBatch) -> Option<&'a ArrayRef> {
        keyed.columns().get(self.order.as_ref()?.terms.first()?.place)
    }
}

fn of_columns(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::internal(format!("rows do not fit their table: {error}")))
}

fn declared(metadata: &TableMetadata) -> Result<Option<DeclaredOrder>> {
    let order = metadata.default_sort_order();
    let fields = metadata.current_schema().as_struct();
    let mut terms = Vec::with_capacity(order.fields.len());
    for SortField { source_id, transform, direction, null_order } in &order.fields {
        let values = TransformedColumn::try_new(fields, *source_id, *transform)?;
        let values = values.ok_or_else(|| {
            Error::internal(format!("the table is ordered by a field {source_id} that it does not have"))
        })?;
        let options = SortOptions {
            descending: *direction == SortDirection::Descending,
            nulls_first: *null_order == NullOrder::First,
        };
        terms.push(Term { values, place: 0, options });
    }
    let id = i32::try_from(order.order_id).ok();
    Ok(id.filter(|_| !terms.is_empty()).map(|id| DeclaredOrder { id, terms }))
}
