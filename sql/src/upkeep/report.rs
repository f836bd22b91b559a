//! What a procedure of upkeep answers with: figures of what was done, one per row, or with `dry_run` the files that would
//! go, one per row. The columns are the same, so that a client knows them before it runs.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::outcome::Outcome;

/// The columns of every report.
pub(crate) fn report_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("metric_name", DataType::Utf8, false),
        Field::new("metric_value", DataType::Int64, true),
        Field::new("path", DataType::Utf8, true),
    ]))
}

/// Rows of a report, in order.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Report {
    rows: Vec<(String, Option<i64>, Option<String>)>,
}

impl Report {
    /// A figure of what was done.
    pub fn figure(&mut self, name: &str, value: impl TryInto<i64>) {
        let value = value.try_into().unwrap_or(i64::MAX);
        self.rows.push((name.to_owned(), Some(value), None));
    }

    /// A file, or another thing with a name, that would go; with its bytes or number where that is known.
    pub fn path(&mut self, kind: &str, value: Option<i64>, path: impl Into<String>) {
        self.rows.push((kind.to_owned(), value, Some(path.into())));
    }

    /// Adds the rows of another report under a word in front of their names.
    pub fn append(&mut self, other: Report) {
        self.rows.extend(other.rows);
    }

    /// One line for a log or a record: the figures that are not zero.
    pub fn summary(&self) -> String {
        let figures = self.rows.iter().filter_map(|(name, value, path)| match (value, path) {
            (Some(value), None) if *value != 0 => Some(format!("{name} {value}")),
            _ => None,
        });
        let figures: Vec<String> = figures.collect();
        if figures.is_empty() { "nothing to do".to_owned() } else { figures.join(", ") }
    }

    pub fn into_outcome(self, tag: &'static str) -> Result<Outcome> {
        let names: StringArray = self.rows.iter().map(|(name, _, _)| Some(name.as_str())).collect();
        let values: Int64Array = self.rows.iter().map(|(_, value, _)| *value).collect();
        let paths: StringArray = self.rows.iter().map(|(_, _, path)| path.as_deref()).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(values), Arc::new(paths)];
        let batch = RecordBatch::try_new(report_schema(), columns);
        Ok(Outcome::batch(batch.map_err(|error| Error::internal(error.to_string()))?, tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_happened() {
        let mut report = Report::default();
        assert_eq!(report.summary(), "nothing to do");
        report.figure("expired_snapshots", 3);
        report.figure("deleted_data_files", 0);
        report.path("data file", Some(7), "s3://b/x");
        assert_eq!(report.summary(), "expired_snapshots 3");
    }
}
