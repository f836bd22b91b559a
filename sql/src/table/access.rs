//! Which rows of a data file are read: row groups as runs of rows, less those that are deleted, and the positions of
//! what is left. It must never read a byte. Next: `morsel.rs`, which hands the plan to the Parquet reader.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::RowGroupMetaData;
use roaring::RoaringTreemap;

/// All rows but the deleted ones.
pub(crate) fn live_rows(groups: &[RowGroupMetaData], deleted: &RoaringTreemap) -> ParquetAccessPlan {
    let mut deleted = deleted.iter().peekable();
    let mut start = 0u64;
    let mut access = Vec::with_capacity(groups.len());
    for group in groups {
        let rows = rows_of(group);
        let end = start + rows;
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut next = start;
        while let Some(position) = deleted.next_if(|position| *position < end) {
            if position > next {
                runs.push(within(next - start)..within(position - start));
            }
            next = position + 1;
        }
        if next < end {
            runs.push(within(next - start)..within(rows));
        }
        access.push(match runs.as_slice() {
            [] => RowGroupAccess::Skip,
            [all] if all.len() == within(rows) => RowGroupAccess::Scan,
            _ => RowGroupAccess::Selection(RowSelection::from_consecutive_ranges(
                runs.into_iter(),
                within(rows),
            )),
        });
        start = end;
    }
    ParquetAccessPlan::new(access)
}

fn rows_of(group: &RowGroupMetaData) -> u64 {
    u64::try_from(group.num_rows()).unwrap_or(0)
}

/// A row count of one row group; more than the machine can address is never read.
fn within(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// The positions of the rows that a plan reads, in the order in which they come.
#[derive(Debug)]
pub(crate) struct Positions {
    runs: std::vec::IntoIter<Range<u64>>,
    current: Range<u64>,
}

impl Positions {
    pub fn of(plan: &ParquetAccessPlan, groups: &[RowGroupMetaData]) -> Positions {
        let mut runs = Vec::new();
        let mut start = 0u64;
        for (group, access) in groups.iter().zip(plan.inner()) {
            let end = start + rows_of(group);
            match access {
                RowGroupAccess::Skip => {}
                RowGroupAccess::Scan => runs.push(start..end),
                RowGroupAccess::Selection(selection) => {
                    let mut at = start;
                    for selector in selection.iter() {
                        let next = at + selector.row_count as u64;
                        if !selector.skip {
                            runs.push(at..next);
                        }
                        at = next;
                    }
                }
            }
            start = end;
        }
        Positions { runs: runs.into_iter(), current: 0..0 }
    }

    /// The positions of the next `count` rows; nothing when there are not that many.
    pub fn take(&mut self, count: usize) -> Option<ArrayRef> {
        let mut positions: Vec<i64> = Vec::with_capacity(count);
        while positions.len() < count {
            if self.current.is_empty() {
                self.current = self.runs.next()?;
                continue;
            }
            let missing = (count - positions.len()) as u64;
            let end = self.current.end.min(self.current.start + missing);
            positions.extend((self.current.start..end).map(u64::cast_signed));
            self.current.start = end;
        }
        Some(Arc::new(Int64Array::from(positions)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use parquet::schema::types::{SchemaDescriptor, Type};

    use super::*;

    fn groups(rows: &[i64]) -> Vec<RowGroupMetaData> {
        let root = Arc::new(Type::group_type_builder("schema").build().expect("no columns"));
        let schema = Arc::new(SchemaDescriptor::new(root));
        let group = |rows: &i64| RowGroupMetaData::builder(Arc::clone(&schema)).set_num_rows(*rows).build();
        rows.iter().map(|rows| group(rows).expect("a group")).collect()
    }

    /// The rows left when `deleted` go from groups of so many rows, taken in steps of `step`.
    fn check(rows: &[i64], deleted: &[u64], step: usize) {
        let groups = groups(rows);
        let deleted: RoaringTreemap = deleted.iter().copied().collect();
        let plan = live_rows(&groups, &deleted);
        let total: i64 = rows.iter().sum();
        let expect: Vec<i64> = (0..total).filter(|row| !deleted.contains(row.cast_unsigned())).collect();
        let mut positions = Positions::of(&plan, &groups);
        let mut found = Vec::new();
        for part in expect.chunks(step) {
            let taken = positions.take(part.len()).expect("enough rows");
            found.extend_from_slice(taken.as_primitive::<Int64Type>().values());
        }
        assert_eq!(found, expect, "{rows:?} less {deleted:?}");
        assert!(positions.take(1).is_none(), "nothing is left");
    }

    #[test]
    fn positions_are_those_of_live_rows() {
        check(&[5, 5], &[], 3);
        check(&[5, 5], &[0, 4, 5, 9], 4);
        check(&[5, 5, 5], &[5, 6, 7, 8, 9], 1);
        check(&[3], &[0, 1, 2], 1);
        check(&[1, 1, 1, 7], &[1, 4, 6], 100);
    }

    #[test]
    fn whole_groups_need_no_selection() {
        let plan = live_rows(&groups(&[4, 4, 4]), &RoaringTreemap::from_iter([4, 5, 6, 7, 9]));
        assert!(matches!(plan.inner()[0], RowGroupAccess::Scan));
        assert!(matches!(plan.inner()[1], RowGroupAccess::Skip));
        assert!(matches!(plan.inner()[2], RowGroupAccess::Selection(_)));
    }
}
