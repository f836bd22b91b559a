//! The cursors of a session (`DECLARE`): a query that is under way, and how far it has come. A cursor reads the version
//! that it was declared at; without `SCROLL` it keeps the current row alone. It must never know which door it serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::StreamExt;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::outcome::Rows;
use crate::sqlstate::SqlState;
use crate::statement::{Declare, Direction};

/// Cursors that one session may have open at a time.
const CURSORS_MAX: usize = 1_000;

/// The open cursors of a session, by name.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    open: BTreeMap<String, OpenCursor>,
    /// How many have been declared so far; the next one's number.
    declared: u64,
}

/// One cursor.
#[derive(Debug)]
struct OpenCursor {
    schema: SchemaRef,
    hold: bool,
    number: u64,
    walk: Arc<Mutex<Walk>>,
}

impl Cursors {
    pub fn declare(
        &mut self,
        declare: Declare,
        (schema, rows): (SchemaRef, Rows),
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<()> {
        let name = declare.name;
        self.check_new(&name)?;
        if self.open.len() >= CURSORS_MAX {
            let message = format!("a session has at most {CURSORS_MAX} open cursors");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
                .with_hint("CLOSE those that are not needed any more."));
        }
        let kept = declare.scroll.then(|| Kept::new(pool));
        let walk = Walk { rows, rest: None, passed: 0, over: false, current: None, kept };
        let walk = Arc::new(Mutex::new(walk));
        let number = self.declared;
        self.declared += 1;
        self.open.insert(name, OpenCursor { schema, hold: declare.hold, number, walk });
        Ok(())
    }

    /// Fails as `DECLARE` would for its name, before the query is run for nothing.
    pub fn check_new(&self, name: &str) -> Result<()> {
        match self.open.contains_key(name) {
            true => Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists"))),
            false => Ok(()),
        }
    }

    pub fn columns(&self, name: &str) -> Result<SchemaRef> {
        Ok(Arc::clone(&self.get(name)?.schema))
    }

    /// The rows in a direction; the cursor moves as they are read.
    pub fn fetch(&self, name: &str, direction: Direction) -> Result<(SchemaRef, Rows)> {
        let cursor = self.get(name)?;
        Ok((Arc::clone(&cursor.schema), rows_in(Arc::clone(&cursor.walk), direction)))
    }

    pub fn close(&mut self, name: &str) -> Result<()> {
        self.open.remove(name).map(drop).ok_or_else(|| missing(name))
    }

    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// The number that the next cursor gets.
    pub fn next_number(&self) -> u64 {
        self.declared
    }

    /// What was declared from a number on never was: its transaction, or the part of it, is rolled back.
    pub fn forget_from(&mut self, number: u64) {
        self.open.retain(|_, cursor| cursor.number < number);
    }

    /// A transaction has ended: what was not declared `WITH HOLD` ends with it.
    pub fn end_transaction(&mut self) {
        self.open.retain(|_, cursor| cursor.hold);
    }

    fn get(&self, name: &str) -> Result<&OpenCursor> {
        self.open.get(name).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
        .with_hint("Without WITH HOLD a cursor ends with its transaction.")
}

/// A query on its way. The current row is `passed - 1` unless it is `over`, and none at the start.
struct Walk {
    rows: Rows,
    /// Rows that have come from the query and were not wanted yet.
    rest: Option<RecordBatch>,
    /// Rows before the next one.
    passed: u64,
    /// It went beyond the last row.
    over: bool,
    current: Option<RecordBatch>,
    /// Of a `SCROLL` cursor.
    kept: Option<Kept>,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("passed", &self.passed).field("over", &self.over).finish_non_exhaustive()
    }
}

/// All rows that a `SCROLL` cursor has read, within the memory for operators.
struct Kept {
    batches: Vec<RecordBatch>,
    rows: u64,
    reservation: MemoryReservation,
}

impl Kept {
    fn new(pool: &Arc<dyn MemoryPool>) -> Kept {
        let reservation = MemoryConsumer::new("scrollable cursor").register(pool);
        Kept { batches: Vec::new(), rows: 0, reservation }
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        self.reservation.try_grow(batch.get_array_memory_size()).map_err(|error| {
            Error::new(SqlState::OUT_OF_MEMORY, "the rows of a scrollable cursor do not fit into memory")
                .with_detail(error.to_string())
                .with_hint("Declare it without SCROLL, or raise limits.memory.")
        })?;
        self.rows += batch.num_rows() as u64;
        self.batches.push(batch.clone());
        Ok(())
    }

    /// At most `limit` rows from a place on, of one batch; None beyond the end.
    fn slice(&self, mut place: u64, limit: u64) -> Option<RecordBatch> {
        for batch in &self.batches {
            let rows = batch.num_rows() as u64;
            if place < rows {
                return Some(slice(batch, place, limit.min(rows - place)));
            }
            place -= rows;
        }
        None
    }
}

#[expect(clippy::cast_possible_truncation, reason = "both are within a batch")]
fn slice(batch: &RecordBatch, from: u64, rows: u64) -> RecordBatch {
    batch.slice(from as usize, rows as usize)
}

impl Walk {
    /// At most `limit` of the next rows; None when there are no more, and then it is beyond the last one.
    async fn forward(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        let batch = match &self.kept {
            Some(kept) if self.passed < kept.rows => kept.slice(self.passed, limit),
            _ => self.read(limit).await?,
        };
        match &batch {
            None => {
                self.over = true;
                self.current = None;
            }
            Some(batch) => {
                let rows = batch.num_rows() as u64;
                self.passed += rows;
                self.current = Some(slice(batch, rows - 1, 1));
            }
        }
        Ok(batch)
    }

    /// At most `limit` rows of the query.
    async fn read(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        let batch = loop {
            let batch = match self.rest.take() {
                Some(rest) => rest,
                None => match self.rows.next().await {
                    Some(batch) => batch?,
                    None => return Ok(None),
                },
            };
            if batch.num_rows() > 0 {
                break batch;
            }
        };
        let rows = batch.num_rows() as u64;
        let taken = slice(&batch, 0, rows.min(limit));
        if rows > limit {
            self.rest = Some(slice(&batch, limit, rows - limit));
        }
        if let Some(kept) = &mut self.kept {
            kept.push(&taken)?;
        }
        Ok(Some(taken))
    }

    /// Passes over rows; whether there were so many.
    async fn skip(&mut self, mut rows: u64) -> Result<bool> {
        while rows > 0 {
            let Some(batch) = self.forward(rows).await? else { return Ok(false) };
            rows -= batch.num_rows() as u64;
        }
        Ok(true)
    }

    /// The rows before the current one, the nearest first, at most `limit` of one batch; None before the first.
    fn backward(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        let before = if self.over { self.passed } else { self.passed.saturating_sub(1) };
        let kept = self.kept.as_ref().ok_or_else(forward_only)?;
        self.over = false;
        let mut start = 0;
        let found = kept.batches.iter().find(|batch| {
            let end = start + batch.num_rows() as u64;
            let found = before <= end;
            start = if found { start } else { end };
            found
        });
        let (Some(batch), true) = (found, before > 0) else {
            self.passed = 0;
            self.current = None;
            return Ok(None);
        };
        let rows = limit.min(before - start);
        let places = UInt64Array::from_iter_values((before - start - rows..before - start).rev());
        let batch = take_record_batch(batch, &places).map_err(|error| Error::internal(error.to_string()))?;
        self.passed = before - rows + 1;
        self.current = Some(slice(&batch, rows - 1, 1));
        Ok(Some(batch))
    }

    /// Back to before the first row.
    fn rewind(&mut self) -> Result<()> {
        if self.kept.is_none() && (self.passed > 0 || self.over) {
            return Err(forward_only());
        }
        (self.passed, self.over, self.current) = (0, false, None);
        Ok(())
    }

    /// One row counted from the first, or from the last.
    async fn absolute(&mut self, place: i64) -> Result<Option<RecordBatch>> {
        let rows = place.unsigned_abs();
        if place <= 0 {
            if place < 0 && self.kept.is_none() {
                return Err(forward_only());
            }
            if place == 0 {
                self.rewind()?;
                return Ok(None);
            }
            while self.forward(u64::MAX).await?.is_some() {}
            if rows > self.passed {
                self.rewind()?;
                return Ok(None);
            }
            (self.passed, self.over) = (self.passed - rows, false);
        } else if rows <= self.passed {
            self.rewind()?;
            self.skip(rows - 1).await?;
        } else if !self.skip(rows - 1 - self.passed).await? {
            return Ok(None);
        }
        self.forward(1).await
    }

    async fn relative(&mut self, rows: i64) -> Result<Option<RecordBatch>> {
        match rows {
            0 => Ok(self.current.clone()),
            rows if rows > 0 => match self.skip(rows.unsigned_abs() - 1).await? {
                true => self.forward(1).await,
                false => Ok(None),
            },
            rows => {
                let mut left = rows.unsigned_abs();
                loop {
                    let Some(batch) = self.backward(left)? else { return Ok(None) };
                    left -= batch.num_rows() as u64;
                    if left == 0 {
                        return Ok(self.current.clone());
                    }
                }
            }
        }
    }
}

fn forward_only() -> Error {
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
        .with_hint("Declare it with SCROLL option to enable backward scan.")
}

/// What is left to give of a `FETCH`.
enum Left {
    Forward(u64),
    Backward(u64),
    One(Direction),
    Nothing,
}

/// The rows in a direction, as they are read.
fn rows_in(walk: Arc<Mutex<Walk>>, direction: Direction) -> Rows {
    let left = match direction {
        Direction::Forward(rows) if rows > 0 => Left::Forward(all(rows)),
        Direction::Forward(rows) if rows < 0 => Left::Backward(all(rows)),
        one => Left::One(one),
    };
    let next = |(walk, left): (Arc<Mutex<Walk>>, Left)| async move {
        let answer = {
            let mut walk = walk.lock().await;
            match left {
                Left::Forward(rows) => walk.forward(rows).await,
                Left::Backward(rows) => walk.backward(rows),
                Left::One(Direction::Absolute(place)) => walk.absolute(place).await,
                Left::One(Direction::Relative(rows) | Direction::Forward(rows)) => walk.relative(rows).await,
                Left::Nothing => Ok(None),
            }
        };
        let batch = match answer {
            Ok(batch) => batch?,
            Err(error) => return Some((Err(error), (walk, Left::Nothing))),
        };
        let given = batch.num_rows() as u64;
        let left = match left {
            Left::Forward(rows) if rows > given => Left::Forward(rows - given),
            Left::Backward(rows) if rows > given => Left::Backward(rows - given),
            _ => Left::Nothing,
        };
        Some((Ok(batch), (walk, left)))
    };
    futures::stream::unfold((walk, left), next).boxed()
}

/// `ALL` is the greatest number.
fn all(rows: i64) -> u64 {
    if rows.unsigned_abs() >= i64::MAX.unsigned_abs() { u64::MAX } else { rows.unsigned_abs() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::execution::memory_pool::UnboundedMemoryPool;

    /// A cursor over the numbers below `rows`, which come in batches of three.
    fn cursor(rows: i64, scroll: bool) -> Arc<Mutex<Walk>> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let batch = move |first: i64| {
            let numbers = Int64Array::from_iter_values(first..rows.min(first + 3));
            Ok(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)]).expect("one column"))
        };
        let batches: Vec<_> = (0..rows).step_by(3).map(batch).collect();
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let kept = scroll.then(|| Kept::new(&pool));
        let rows = futures::stream::iter(batches).boxed();
        Arc::new(Mutex::new(Walk { rows, rest: None, passed: 0, over: false, current: None, kept }))
    }

    async fn fetch(walk: &Arc<Mutex<Walk>>, direction: Direction) -> Result<Vec<i64>, String> {
        let mut rows = rows_in(Arc::clone(walk), direction);
        let mut numbers = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| error.sqlstate.code().to_owned())?;
            numbers.extend(batch.column(0).as_primitive::<Int64Type>().values());
        }
        Ok(numbers)
    }

    #[tokio::test]
    async fn a_scrollable_cursor_goes_both_ways() {
        use Direction::{Absolute, Forward, Relative};
        let walk = cursor(8, true);
        let steps = [
            (Forward(2), vec![0, 1]),
            (Forward(0), vec![1]),
            (Forward(3), vec![2, 3, 4]),
            (Forward(-4), vec![3, 2, 1, 0]),
            (Forward(-1), vec![]),
            (Forward(1), vec![0]),
            (Absolute(-1), vec![7]),
            (Forward(1), vec![]),
            (Forward(0), vec![]),
            (Forward(-2), vec![7, 6]),
            (Relative(-3), vec![3]),
            (Relative(2), vec![5]),
            (Absolute(1), vec![0]),
            (Absolute(0), vec![]),
            (Forward(i64::MAX), (0..8).collect()),
            (Forward(-i64::MAX), (0..8).rev().collect()),
            (Absolute(9), vec![]),
            (Forward(-1), vec![7]),
            (Absolute(-9), vec![]),
            (Forward(1), vec![0]),
            (Relative(-1), vec![]),
        ];
        for (number, (direction, expect)) in steps.into_iter().enumerate() {
            let found = fetch(&walk, direction).await;
            assert_eq!(found, Ok(expect), "step {number}: {direction:?}");
        }
    }

    #[tokio::test]
    async fn without_scroll_it_goes_forward() {
        use Direction::{Absolute, Forward, Relative};
        let walk = cursor(8, false);
        let steps = [
            (Forward(2), Ok(vec![0, 1])),
            (Forward(0), Ok(vec![1])),
            (Forward(-1), Err("55000")),
            (Absolute(1), Err("55000")),
            (Absolute(-1), Err("55000")),
            (Absolute(4), Ok(vec![3])),
            (Relative(2), Ok(vec![5])),
            (Relative(9), Ok(vec![])),
            (Forward(1), Ok(vec![])),
        ];
        for (number, (direction, expect)) in steps.into_iter().enumerate() {
            let found = fetch(&walk, direction).await;
            assert_eq!(found, expect.map_err(str::to_owned), "step {number}: {direction:?}");
        }
    }
}
