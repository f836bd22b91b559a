//! The columns of a delimited text file from its own text: delimiter, header and the type of each column over all
//! rows of the sample. It must never write anything. Next: `kinds.rs`.

use arrow::datatypes::{Field, Schema};
use tarn_catalog::object::{CsvFormat, FileFormat};

use super::dialect;
use super::kinds::TextColumn;
use super::{Probe, SampleLimits};
use crate::files::csv::{
    CsvReading, Dialect, Ragged, Record, RecordReader, Step, column_names, positional_names,
};
use crate::files::feed::Feed;
use crate::files::problem::Problem;

/// Columns a file may have; more is taken for a wrong delimiter.
const COLUMNS_MAX: usize = 10_000;

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
    if feed.rest().is_empty() || !feed.ended() {
        feed.more().await?;
    }
    if feed.rest().contains(&0) {
        return Err(Problem::malformed("it has NUL bytes, so it is no text"));
    }
    let reading = sniff(&feed, extension, hints);
    let format = FileFormat::Csv(CsvFormat {
        delimiter: char::from(reading.dialect.delimiter),
        quote: char::from(reading.dialect.quote),
        header: reading.header,
    });
    let mut sample = Sample { reader: RecordReader::new(reading.dialect), reading, columns: None, rows: 0 };
    let mut record = Record::default();
    let whole = loop {
        if sample.rows >= limits.rows || feed.consumed() >= limits.bytes {
            break false;
        }
        match sample.reader.read(feed.rest(), feed.ended(), &mut record)? {
            Step::Record(length) => {
                feed.consume(length);
                sample.take(&record)?;
            }
            Step::More => feed.more().await?,
            Step::End => break true,
        }
    };
    let Some(columns) = sample.columns else {
        return Err(Problem::malformed("it is empty: there is neither a header nor a row")
            .with_hint("Put at least the names of the columns into the first line, or remove the file."));
    };
    let fields = columns.iter().map(|column| Field::new(&column.name, column.data_type(), true));
    Ok(Probe {
        format,
        schema: Schema::new(fields.collect::<Vec<_>>()),
        rows: sample.rows,
        whole,
        evidence: columns.into_iter().filter_map(|column| column.widened).collect(),
    })
}

/// How the file is read, from its first bytes and what the user says.
fn sniff(feed: &Feed, extension: &str, hints: &CsvHints) -> CsvReading {
    let quote = hints.quote.unwrap_or(b'"');
    let delimiter =
        hints.delimiter.unwrap_or_else(|| dialect::delimiter(feed.rest(), feed.ended(), quote, extension));
    let dialect = Dialect { delimiter, quote };
    let header = hints
        .header
        .unwrap_or_else(|| dialect::has_header(&dialect::first_records(feed.rest(), feed.ended(), dialect)));
    CsvReading { dialect, header, null: hints.null.clone(), ragged: hints.ragged.unwrap_or(Ragged::Error) }
}

struct Sample {
    reader: RecordReader,
    reading: CsvReading,
    /// Known once the first record is read.
    columns: Option<Vec<TextColumn>>,
    rows: u64,
}

impl Sample {
    fn take(&mut self, record: &Record) -> Result<(), Problem> {
        let columns = match &mut self.columns {
            Some(columns) => columns,
            none => {
                if record.len() > COLUMNS_MAX {
                    let reason =
                        format!("its first line has {} fields, more than {COLUMNS_MAX}", record.len());
                    return Err(Problem::malformed(reason).on_line(record.line));
                }
                let names = if self.reading.header {
                    column_names(record.fields())
                } else {
                    positional_names(record.len())
                };
                let columns = none.insert(names.into_iter().map(TextColumn::new).collect());
                if self.reading.header {
                    return Ok(());
                }
                columns
            }
        };
        if !self.reading.fits(record, columns.len()) {
            match self.reading.ragged {
                Ragged::Error => return Err(self.reading.misfit(record, columns.len())),
                Ragged::Skip => return Ok(()),
                Ragged::Pad => {}
            }
        }
        for (column, field) in columns.iter_mut().zip(record.fields()) {
            let text = std::str::from_utf8(field).map_err(|_| {
                Problem::malformed(format!("column \"{}\" is not UTF-8 text", column.name))
                    .on_line(record.line)
                    .with_hint("Convert the file to UTF-8, for example with iconv.")
            })?;
            if self.reading.null.as_deref() != Some(text) {
                column.observe(text, record.line);
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
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_with_its_line() {
        for (text, line, part) in [
            ("", None, "empty"),
            ("\n\n", None, "empty"),
            ("a,b\n1,2\n1,2,3\n", Some(3), "3 fields where the header has 2"),
            ("a,b\n1\n", Some(2), "1 fields where the header has 2"),
            ("a,b\n1,\"x\n", Some(2), "never closed"),
            ("a\0b", None, "NUL"),
        ] {
            let problem = probed(text).await.expect_err(text);
            assert_eq!(problem.line, line, "{text:?}");
            assert!(problem.reason.contains(part), "{text:?}: {}", problem.reason);
        }
    }
}
