//! Takes the rows of a plan apart: where the rows are that go, what rows come, what is returned. It must never write.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringViewArray,
    new_null_array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Int64Type, Schema, SchemaRef};
use datafusion::execution::memory_pool::MemoryReservation;
use roaring::RoaringTreemap;

use crate::error::{Error, Result};
use crate::plan::{ChangeKind, FRONT, RowAction, engine_error};
use crate::sqlstate::SqlState;
use crate::table::hidden;

/// What a statement has done so far.
pub(super) struct Collector {
    kind: ChangeKind,
    /// How many columns the table has in the plan.
    columns: usize,
    /// Whether rows that come know their row ids and last changes, in columns after the table's.
    row_ids: bool,
    memory: MemoryReservation,
    /// Positions of the rows that go, by the URL of their data file.
    pub deleted: BTreeMap<String, RoaringTreemap>,
    pub returned: Vec<RecordBatch>,
    /// Rows that the statement counts.
    pub count: u64,
}

impl Collector {
    pub fn new(kind: ChangeKind, columns: usize, row_ids: bool, memory: MemoryReservation) -> Collector {
        let (deleted, returned) = (BTreeMap::new(), Vec::new());
        Collector { kind, columns, row_ids, memory, deleted, returned, count: 0 }
    }

    /// The columns of the rows that come, in a plan with these.
    pub fn schema(&self, plan: &Schema) -> SchemaRef {
        let table = plan.fields().iter().skip(FRONT).take(self.columns);
        let mut fields: Vec<FieldRef> =
            table.map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
        if self.row_ids {
            let known = [hidden::ROW_ID, hidden::LAST_UPDATED];
            fields.extend(known.map(|name| Arc::new(Field::new(name, DataType::Int64, true))));
        }
        Arc::new(Schema::new(fields))
    }

    /// Takes a batch of the plan and gives the rows in it that come.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let front = Front::of(batch)?;
        let actions = front.actions()?;
        let kept = self.positions(&front, &actions)?;
        let counted = |(action, kept): &(&RowAction, bool)| {
            *kept && (self.kind != ChangeKind::Overwrite || **action == RowAction::Insert)
        };
        let counted = actions.iter().zip(kept.values().iter()).filter(counted).count();
        self.count += counted as u64;
        self.keep_returned(batch, &kept)?;
        if self.columns == 0 {
            return Ok(None);
        }
        let come = actions.iter().map(|action| matches!(action, RowAction::Update | RowAction::Insert));
        let mut columns: Vec<ArrayRef> = batch.columns()[FRONT..FRONT + self.columns].to_vec();
        if self.row_ids {
            columns.push(Arc::clone(batch.column(ROW_ID)));
            // The commit that brings the row is the last that changed it.
            columns.push(new_null_array(&DataType::Int64, batch.num_rows()));
        }
        let rows = RecordBatch::try_new(self.schema(&batch.schema()), columns).map_err(broken)?;
        let rows = filter_record_batch(&rows, &come.map(Some).collect::<BooleanArray>()).map_err(broken)?;
        Ok((rows.num_rows() > 0).then_some(rows))
    }

    /// Notes where the rows are that go; gives, for each row, whether it is the first about its place.
    fn positions(&mut self, front: &Front<'_>, actions: &[RowAction]) -> Result<BooleanArray> {
        let mut kept = vec![true; actions.len()];
        let mut row = 0;
        while row < actions.len() {
            let file = front.file(row);
            let same = (row..actions.len()).take_while(|next| front.file(*next) == file).count();
            for place in row..row + same {
                if actions[place] == RowAction::Repeated {
                    return Err(twice(self.kind));
                }
                let goes = matches!(actions[place], RowAction::Delete | RowAction::Update);
                let Some(file) = file.filter(|_| goes) else { continue };
                let position = u64::try_from(front.positions.value(place))
                    .map_err(|_| Error::internal(format!("a row of {file} has no position")))?;
                let rows = match self.deleted.get_mut(file) {
                    Some(rows) => rows,
                    None => self.deleted.entry(file.to_owned()).or_default(),
                };
                kept[place] = rows.insert(position);
                if !kept[place] && self.kind != ChangeKind::Delete {
                    return Err(twice(self.kind));
                }
            }
            row += same;
        }
        Ok(BooleanArray::from(kept))
    }

    fn keep_returned(&mut self, batch: &RecordBatch, kept: &BooleanArray) -> Result<()> {
        let first = FRONT + self.columns;
        if batch.num_columns() == first {
            return Ok(());
        }
        let columns: Vec<usize> = (first..batch.num_columns()).collect();
        let rows = batch.project(&columns).and_then(|rows| filter_record_batch(&rows, kept));
        let rows = rows.map_err(broken)?;
        self.memory.try_grow(rows.get_array_memory_size()).map_err(|error| {
            engine_error(error).with_hint("RETURNING keeps its rows until the commit; return fewer of them.")
        })?;
        self.returned.push(rows);
        Ok(())
    }

    /// The memory of the returned rows, to be held until they are sent.
    pub fn into_returned(self) -> (Vec<RecordBatch>, MemoryReservation) {
        (self.returned, self.memory)
    }
}

/// The place of the row id among the front columns.
const ROW_ID: usize = 2;

/// The columns that every plan begins with.
struct Front<'a> {
    files: &'a StringViewArray,
    positions: &'a Int64Array,
    actions: &'a Int32Array,
}

impl<'a> Front<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Front<'a>> {
        let missing = || Error::internal("a change has no place for its rows");
        Ok(Front {
            files: batch.column(0).as_string_view_opt().ok_or_else(missing)?,
            positions: batch.column(1).as_primitive_opt::<Int64Type>().ok_or_else(missing)?,
            actions: batch.column(3).as_primitive_opt::<Int32Type>().ok_or_else(missing)?,
        })
    }

    fn file(&self, row: usize) -> Option<&'a str> {
        self.files.is_valid(row).then(|| self.files.value(row))
    }

    fn actions(&self) -> Result<Vec<RowAction>> {
        let unknown = || Error::internal("a row of a change has no action");
        let action = |number: Option<i32>| number.and_then(RowAction::from_number).ok_or_else(unknown);
        self.actions.iter().map(action).collect()
    }
}

fn broken(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("the rows of a change are broken: {error}"))
}

/// Which of two new values would a row have? PostgreSQL refuses in MERGE and takes any in UPDATE; we refuse.
fn twice(kind: ChangeKind) -> Error {
    let (statement, hint) = match kind {
        ChangeKind::Insert => (
            "ON CONFLICT DO UPDATE",
            "Ensure that no rows proposed for insertion within the same command have duplicate key values.",
        ),
        ChangeKind::Update => ("UPDATE", "Ensure that each row is joined with at most one row of FROM."),
        _ => ("MERGE", "Ensure that not more than one source row matches any one target row."),
    };
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        format!("{statement} command cannot affect row a second time"),
    )
    .with_hint(hint)
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};

    use super::*;

    fn batch(rows: &[(Option<&str>, i64, RowAction, i32)]) -> RecordBatch {
        let fields = [
            Field::new("f", DataType::Utf8View, true),
            Field::new("p", DataType::Int64, true),
            Field::new("r", DataType::Int64, true),
            Field::new("a", DataType::Int32, true),
            Field::new("x", DataType::Int32, true),
        ];
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(rows.iter().map(|row| row.0).collect::<StringViewArray>()),
            Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.1 + 100).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.2 as i32).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| row.3).collect::<Int32Array>()),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns).expect("batch")
    }

    fn collector(kind: ChangeKind, columns: usize) -> Collector {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        Collector::new(kind, columns, false, MemoryConsumer::new("test").register(&pool))
    }

    #[test]
    fn a_row_that_is_found_twice_is_deleted_once() {
        let mut collector = collector(ChangeKind::Delete, 0);
        let delete = RowAction::Delete;
        let rows = [(Some("a"), 1, delete, 7), (Some("b"), 1, delete, 8), (Some("a"), 1, delete, 9)];
        assert!(collector.take(&batch(&rows)).expect("taken").is_none());
        assert_eq!(collector.count, 2);
        assert_eq!(collector.returned[0].num_rows(), 2);
        assert_eq!(collector.deleted["a"].iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_row_is_not_updated_twice() {
        let rows = [(Some("a"), 1, RowAction::Update, 7), (Some("a"), 1, RowAction::Update, 9)];
        for kind in [ChangeKind::Update, ChangeKind::Merge, ChangeKind::Insert] {
            let error = collector(kind, 1).take(&batch(&rows)).expect_err("twice");
            assert_eq!(error.sqlstate, SqlState::CARDINALITY_VIOLATION);
        }
    }

    #[test]
    fn what_comes_are_updates_and_inserts() {
        let mut collector = collector(ChangeKind::Merge, 1);
        let rows = [
            (Some("a"), 3, RowAction::Update, 7),
            (None, 0, RowAction::Insert, 8),
            (Some("a"), 4, RowAction::Delete, 9),
        ];
        let come = collector.take(&batch(&rows)).expect("taken").expect("rows");
        assert_eq!(come.column(0).as_primitive::<Int32Type>().values(), &[7, 8]);
        assert_eq!((collector.count, collector.deleted["a"].len()), (3, 2));
    }
}
