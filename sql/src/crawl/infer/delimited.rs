//! The columns of a delimited text file from its own text: how it is read, and the type of each column over all rows
//! of the sample. It must never write anything. Next: `dialect.rs`, `kinds.rs`.

use std::collections::BTreeMap;

use arrow::datatypes::{Field, Schema};
use tarn_catalog::object::{CsvFormat, FileFormat};

use super::kinds::TextColumn;
use super::probe::Decision;
use super::{Probe, SampleLimits, dialect};
use crate::files::csv::{
    CsvReading, Dialect, Layout, Next, Ragged, Record, TableReader, column_names, decode, positional_names,
    window, window_of,
};
use crate::files::feed::Feed;
use crate::files::problem::Problem;

/// Columns a file may have; more is taken for a wrong delimiter.
const COLUMNS_MAX: usize = 30_000;
/// A file is binary when more than one byte in so many is a control character.
const CONTROL_PART: usize = 20;

/// What is known of a delimited text file before it is looked at: what the user says, else None.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CsvHints {
    pub delimiter: Option<u8>,
    pub quote: Option<u8>,
    pub header: Option<bool>,
    pub null: Option<String>,
    pub ragged: Option<Ragged>,
}

/// Looks at a file and says how it is read and what its columns are.
pub async fn probe(
    mut feed: Feed,
    extension: &str,
    hints: &CsvHints,
    limits: &SampleLimits,
) -> Result<Probe, Problem> {
    window(&mut feed).await?;
    let (bytes, whole) = window_of(&feed);
    if binary(bytes) {
        return Err(Problem::malformed("its content is binary, so it is no text"));
    }
    let dialect = dialect::dialect(bytes, whole, hints.delimiter, hints.quote, extension);
    let mut table = TableReader::open(&mut feed, dialect, hints.header).await?;
    let reading = CsvReading {
        dialect,
        header: table.layout.header.is_some(),
        null: hints.null.clone(),
        ragged: hints.ragged.unwrap_or(Ragged::Rescue),
        dates: BTreeMap::new(),
    };
    let mut sample = Sample { columns: columns(&table)?, reading, rows: 0 };
    let whole = loop {
        if sample.rows >= limits.rows || feed.consumed() >= limits.bytes {
            break false;
        }
        match table.next(&mut feed) {
            Next::Row => sample.take(&table.record)?,
            Next::More => feed.more().await?,
            Next::End => break true,
        }
    };
    let fields = sample.columns.iter().map(TextColumn::field);
    Ok(Probe {
        format: FileFormat::Csv(CsvFormat {
            delimiter: char::from(dialect.delimiter),
            quote: dialect.quote.map_or('\0', char::from),
            escape: dialect.escape.map(char::from),
            header: sample.reading.header,
            dates: BTreeMap::new(),
        }),
        schema: Schema::new(fields.collect::<Vec<Field>>()),
        rows: sample.rows,
        whole,
        sure: table.layout.verdict.sure,
        decisions: decisions(&table.layout, &dialect),
        evidence: sample.columns.into_iter().flat_map(|column| column.widened).collect(),
    })
}

/// What was decided about the file as a whole.
fn decisions(layout: &Layout, dialect: &Dialect) -> Vec<Decision> {
    let percent = (layout.consistency * 100.0).round();
    let fields = format!("{percent} % of the lines looked at have {} fields", layout.usual);
    let quote = dialect.quote.map_or("none".to_owned(), |quote| char::from(quote).to_string());
    let orderly = format!("{} % of the lines have their quotes in order", (layout.orderly * 100.0).round());
    let header = if layout.header.is_some() { "yes" } else { "no" };
    vec![
        Decision::new("delimiter", char::from(dialect.delimiter).escape_default().to_string(), fields),
        Decision::new("quote", quote, orderly),
        Decision::new("header", header.to_owned(), layout.verdict.reason.clone()),
        Decision::new(
            "first line",
            layout.line.to_string(),
            format!("{} lines stand above the table", layout.preamble),
        ),
    ]
}

/// The columns of a table, no value seen yet.
fn columns(table: &TableReader) -> Result<Vec<TextColumn>, Problem> {
    let layout = &table.layout;
    if layout.body.is_empty() && layout.header.is_none() {
        return Err(Problem::empty("it is empty: there is neither a header nor a row")
            .with_hint("Put at least the names of the columns into the first line, or remove the file."));
    }
    if layout.columns > COLUMNS_MAX {
        let reason = format!("its lines have {} fields, more than {COLUMNS_MAX}", layout.columns);
        return Err(Problem::malformed(reason).on_line(layout.line));
    }
    let names = match &layout.header {
        Some(header) => column_names(header.iter().map(String::as_str)),
        None => positional_names(layout.columns),
    };
    Ok(names.into_iter().map(TextColumn::new).collect())
}

/// Text has hardly any control characters; UTF-16 was turned into UTF-8 before.
fn binary(bytes: &[u8]) -> bool {
    let control = |byte: &&u8| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | b'\r' | 0x01 | 0x1f | 0x0c);
    bytes.iter().filter(control).count() * CONTROL_PART > bytes.len()
}

struct Sample {
    reading: CsvReading,
    columns: Vec<TextColumn>,
    rows: u64,
}

impl Sample {
    fn take(&mut self, record: &Record) -> Result<(), Problem> {
        if !record.fits(self.columns.len()) {
            match self.reading.ragged {
                Ragged::Error => return Err(self.reading.misfit(record, self.columns.len())),
                Ragged::Skip => return Ok(()),
                Ragged::Pad | Ragged::Rescue => {}
            }
        }
        for (column, field) in self.columns.iter_mut().zip(record.fields()) {
            let text = decode(field);
            if self.reading.null.as_deref() != Some(text.as_ref()) {
                column.observe(&text, record.line);
            }
        }
        self.rows += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    async fn probed(text: &str) -> Result<Probe, Problem> {
        let feed = Feed::of(text, 7).await?;
        probe(feed, "csv", &CsvHints::default(), &SampleLimits::default()).await
    }

    async fn check(text: &str, expect: &[(&str, DataType)], rows: u64) {
        let probe = probed(text).await.unwrap_or_else(|problem| panic!("{text:?}: {problem:?}"));
        let found: Vec<(&str, DataType)> =
            probe.schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
        assert_eq!(found, expect, "{text:?}");
        assert_eq!(probe.rows, rows, "{text:?}");
    }

    #[tokio::test]
    async fn columns_have_names_and_types() {
        check("id,name\n1,a\n2,b\n", &[("id", DataType::Int64), ("name", DataType::Utf8)], 2).await;
        check("\u{feff}id,zip\r\n1,02458\r\n", &[("id", DataType::Int64), ("zip", DataType::Utf8)], 1).await;
        check("1,a\n2,b\n", &[("column_1", DataType::Int64), ("column_2", DataType::Utf8)], 2).await;
        check("a,b\n", &[("a", DataType::Null), ("b", DataType::Null)], 0).await;
        check(
            "a,a,\n1,2,\n",
            &[("a", DataType::Int64), ("a_2", DataType::Int64), ("column_3", DataType::Null)],
            1,
        )
        .await;
        check("id,note\n1,\"two\nlines\"\n", &[("id", DataType::Int64), ("note", DataType::Utf8)], 1).await;
        check("id,x\n1,2,\n", &[("id", DataType::Int64), ("x", DataType::Int64)], 1).await;
        check("id,x\n1,2\n3\n4,5,6\n", &[("id", DataType::Int64), ("x", DataType::Int64)], 3).await;
        check("id,x\n1,\"2\n", &[("id", DataType::Int64), ("x", DataType::Utf8)], 1).await;
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_with_its_line() {
        for (text, line, part) in
            [("", None, "empty"), ("\n\n", None, "empty"), ("PK\u{3}\u{4}\u{14}\0\u{6}\0", None, "binary")]
        {
            let problem = probed(text).await.expect_err(text);
            assert_eq!(problem.line, line, "{text:?}");
            assert!(problem.reason.contains(part), "{text:?}: {}", problem.reason);
        }
    }
}
