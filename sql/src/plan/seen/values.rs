//! What has been seen: a few values one by one, many as a range. It only says what it knows: unless every row has come
//! by, it says nothing. It must never know what the values are for.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef};
use arrow::compute::{SortOptions, sort_to_indices};
use datafusion::common::{Result, ScalarValue};
use parking_lot::Mutex;

/// More different values than this are remembered as a range.
const VALUES_MAX: usize = 1000;
/// Values that are looked at one by one; what comes after them is remembered as a range.
const LOOKS_MAX: usize = 100_000;

/// The values of some columns, filled while a plan runs.
#[derive(Debug)]
pub(crate) struct SeenKeys(Mutex<State>);

#[derive(Debug)]
struct State {
    columns: Vec<SeenColumn>,
    /// Parts of the plan that have begun, and whether they have come to their end.
    parts: HashMap<usize, bool>,
    /// How many parts there are; none before the plan has run.
    all: Option<usize>,
    /// Some value could not be told.
    lost: bool,
}

/// One column of the target, and what it is compared with.
#[derive(Debug, Clone)]
pub(crate) struct SeenColumn {
    pub name: String,
    pub seen: Seen,
    looks: usize,
}

/// Values other than NULL, which is equal to nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Values(HashSet<ScalarValue>),
    Range(ScalarValue, ScalarValue),
}

impl SeenKeys {
    /// Of columns with these names.
    pub fn of(names: impl IntoIterator<Item = String>) -> SeenKeys {
        let column = |name| SeenColumn { name, seen: Seen::Values(HashSet::new()), looks: 0 };
        let columns = names.into_iter().map(column).collect();
        SeenKeys(Mutex::new(State { columns, parts: HashMap::new(), all: None, lost: false }))
    }

    pub(super) fn begin(&self, part: usize, all: usize) {
        let mut state = self.0.lock();
        state.all = Some(all);
        state.parts.entry(part).or_insert(false);
    }

    /// Looks at the columns of some rows, in the order of their names.
    pub(super) fn look(&self, columns: &[ArrayRef]) -> Result<()> {
        let mut state = self.0.lock();
        state.columns.iter_mut().zip(columns).try_for_each(|(column, values)| column.look(values))
    }

    /// What the rows are equal to cannot be told.
    pub(super) fn lose(&self) {
        self.0.lock().lost = true;
    }

    pub(super) fn end(&self, part: usize) {
        self.0.lock().parts.insert(part, true);
    }

    /// What every column had; none unless all rows have been seen.
    pub fn all(&self) -> Option<Vec<SeenColumn>> {
        let state = self.0.lock();
        let ended = state.parts.values().filter(|ended| **ended).count();
        (state.all == Some(ended) && !state.lost).then(|| state.columns.clone())
    }
}

impl SeenColumn {
    fn look(&mut self, values: &ArrayRef) -> Result<()> {
        if let Seen::Values(seen) = &mut self.seen {
            for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
                seen.insert(ScalarValue::try_from_array(values, row)?);
                if seen.len() > VALUES_MAX {
                    break;
                }
            }
            self.looks = self.looks.saturating_add(values.len());
            if seen.len() <= VALUES_MAX && self.looks <= LOOKS_MAX {
                return Ok(());
            }
            let seen = ScalarValue::iter_to_array(std::mem::take(seen))?;
            if let Some((lowest, highest)) = ends(&seen)? {
                self.seen = Seen::Range(lowest, highest);
            }
        }
        let Some((lowest, highest)) = ends(values)? else { return Ok(()) };
        self.seen = match std::mem::replace(&mut self.seen, Seen::Values(HashSet::new())) {
            Seen::Range(known_lowest, known_highest) => {
                let lowest = if lowest < known_lowest { lowest } else { known_lowest };
                let highest = if highest > known_highest { highest } else { known_highest };
                Seen::Range(lowest, highest)
            }
            Seen::Values(_) => Seen::Range(lowest, highest),
        };
        Ok(())
    }
}

/// The lowest and the highest value, in the order in which bounds of files are compared: NaN is a number with a place in it.
fn ends(values: &ArrayRef) -> Result<Option<(ScalarValue, ScalarValue)>> {
    if values.null_count() == values.len() {
        return Ok(None);
    }
    let end = |descending| {
        let first = sort_to_indices(values, Some(SortOptions { descending, nulls_first: false }), Some(1))?;
        ScalarValue::try_from_array(values, first.value(0) as usize)
    };
    Ok(Some((end(false)?, end(true)?)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    fn seen(batches: &[ArrayRef]) -> Option<Seen> {
        let keys = SeenKeys::of(["k".to_owned()]);
        keys.begin(0, 1);
        for batch in batches {
            keys.look(std::slice::from_ref(batch)).expect("it can be looked at");
        }
        keys.end(0);
        keys.all().map(|columns| columns[0].seen.clone())
    }

    fn int(value: i64) -> ScalarValue {
        ScalarValue::Int64(Some(value))
    }

    #[test]
    fn few_values_are_remembered_and_null_is_not() {
        let batch: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(1), Some(3)]));
        assert_eq!(seen(&[batch]), Some(Seen::Values([int(1), int(3)].into())));
        assert_eq!(seen(&[]), Some(Seen::Values(HashSet::new())));
    }

    #[test]
    fn many_values_are_a_range() {
        let many = |from: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(from..from + 700)) };
        assert_eq!(seen(&[many(0), many(5000)]), Some(Seen::Range(int(0), int(5699))));
        assert_eq!(seen(&[many(0), many(5000), many(-9)]), Some(Seen::Range(int(-9), int(5699))));
        let same: ArrayRef = Arc::new(Int64Array::from(vec![7; LOOKS_MAX + 1]));
        assert_eq!(seen(&[same, many(9)]), Some(Seen::Range(int(7), int(708))));
    }

    #[test]
    fn nan_is_the_highest_of_a_range() {
        let mut values: Vec<f64> = (0..1500).map(f64::from).collect();
        values.push(f64::NAN);
        let Some(Seen::Range(lowest, highest)) = seen(&[Arc::new(Float64Array::from(values))]) else {
            panic!("a range")
        };
        assert_eq!(lowest, ScalarValue::Float64(Some(0.0)));
        assert!(matches!(highest, ScalarValue::Float64(Some(value)) if value.is_nan()));
    }

    #[test]
    fn nothing_is_said_before_the_end() {
        let keys = SeenKeys::of(["k".to_owned()]);
        assert!(keys.all().is_none(), "the plan has not run");
        keys.begin(0, 2);
        keys.end(0);
        assert!(keys.all().is_none(), "a part has not run");
        keys.begin(1, 2);
        assert!(keys.all().is_none(), "a part has not ended");
        keys.end(1);
        assert!(keys.all().is_some());
    }
}
