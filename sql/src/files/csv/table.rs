//! The records of the table in a delimited text file: from below its header to above its footer, without the comments
//! in between. Inference and queries read through it, so that both see the same rows. It must never know a type.
//! Next: `rows.rs`, which turns records into columns, and `../../crawl/infer/delimited.rs`, which finds their types.

use std::collections::VecDeque;

use super::layout::{Layout, WINDOW_BYTES, layout};
use super::record::{Record, RecordReader, Step};
use super::split::Dialect;
use crate::files::feed::Feed;
use crate::files::problem::Problem;

/// Lines that a footer may have.
const FOOTER_MAX: usize = 32;

/// Reads the table of one file.
#[derive(Debug)]
pub struct TableReader {
    reader: RecordReader,
    pub layout: Layout,
    /// Records of one field, which are a footer if nothing else follows.
    held: VecDeque<Record>,
    /// The record after the held ones, once it is certain that they are no footer.
    after: Option<Record>,
    releasing: bool,
    /// What was read.
    pub record: Record,
    /// Rows that were found.
    rows: u64,
}

/// What one step found.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A row, in [`TableReader::record`].
    Row,
    /// Give the feed more bytes and come again.
    More,
    End,
}

/// The first bytes of a file, in which its layout is found: the same ones whoever reads it.
pub async fn window(feed: &mut Feed) -> Result<(), Problem> {
    while feed.rest().len() < WINDOW_BYTES && !feed.ended() {
        feed.more().await?;
    }
    Ok(())
}

/// The window of a feed that [`window`] has filled, and whether it is the whole file.
pub fn window_of(feed: &Feed) -> (&[u8], bool) {
    let length = feed.rest().len().min(WINDOW_BYTES);
    (&feed.rest()[..length], feed.ended() && length == feed.rest().len())
}

impl TableReader {
    /// Finds the table at the start of a feed and goes to its first row.
    pub async fn open(
        feed: &mut Feed,
        dialect: Dialect,
        header: Option<bool>,
    ) -> Result<TableReader, Problem> {
        window(feed).await?;
        let (bytes, whole) = window_of(feed);
        let layout = layout(bytes, whole, dialect, header);
        feed.consume(layout.start);
        Ok(TableReader {
            reader: RecordReader::new(dialect, layout.line),
            layout,
            held: VecDeque::new(),
            after: None,
            releasing: false,
            record: Record::default(),
            rows: 0,
        })
    }

    /// Goes to the next row.
    pub fn next(&mut self, feed: &mut Feed) -> Next {
        loop {
            if self.releasing {
                if let Some(record) = self.held.pop_front().or_else(|| self.after.take()) {
                    self.record = record;
                    return self.row();
                }
                self.releasing = false;
            }
            let usual = self.layout.usual;
            match self.reader.read(feed.rest(), feed.ended(), Some(usual), &mut self.record) {
                Step::Record(length) => {
                    feed.consume(length);
                    if self.is_comment() {
                        continue;
                    }
                    let narrow = usual > 1 && self.record.len() == 1;
                    if narrow && self.held.len() < FOOTER_MAX {
                        self.held.push_back(std::mem::take(&mut self.record));
                    } else if self.held.is_empty() {
                        return self.row();
                    } else {
                        self.after = Some(std::mem::take(&mut self.record));
                        self.releasing = true;
                    }
                }
                Step::More => return Next::More,
                Step::End if self.held.is_empty() => return Next::End,
                Step::End => {
                    self.drop_footer();
                    self.releasing = true;
                }
            }
        }
    }

    fn row(&mut self) -> Next {
        self.rows += 1;
        Next::Row
    }

    /// A line of a table of several columns that starts with the mark of a comment and has another number of fields.
    fn is_comment(&self) -> bool {
        let usual = self.layout.usual;
        usual > 1 && self.record.field(0).starts_with(b"#") && !self.record.fits(usual)
    }

    /// Of the lines at the end, a footer begins with the first that stands below an empty line or is a sentence.
    fn drop_footer(&mut self) {
        let sentence = |record: &Record| {
            let text = record.field(0).trim_ascii();
            text.contains(&b' ') || text.ends_with(b":")
        };
        let footer = self.held.iter().position(|record| record.blank_lines > 0 || sentence(record));
        if let Some(footer) = footer.filter(|_| self.rows > 0) {
            self.held.truncate(footer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &str, expect: &[&str]) {
        for piece in [1, 3, 1000] {
            let mut feed = Feed::of(text, piece).await.expect("the feed opens");
            let mut table =
                TableReader::open(&mut feed, Dialect::plain(b','), None).await.expect("the table is found");
            let mut rows = Vec::new();
            loop {
                match table.next(&mut feed) {
                    Next::Row => {
                        let fields = table.record.fields().map(|f| String::from_utf8_lossy(f).into_owned());
                        rows.push(fields.collect::<Vec<_>>().join("|"));
                    }
                    Next::More => feed.more().await.expect("the feed goes on"),
                    Next::End => break,
                }
            }
            assert_eq!(rows, expect, "{text:?} in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn rows_stand_between_header_and_footer() {
        check("a,b,c\n1,2,3\n4,5,6\n\nSource: nobody\nAll rights reserved\n", &["1|2|3", "4|5|6"]).await;
        check("a,b,c\n1,2,3\n# note\n4,5,6\n", &["1|2|3", "4|5|6"]).await;
        check("a,b,c\n1,2,3\n4\n5,6,7\n", &["1|2|3", "4", "5|6|7"]).await;
        check("a,b,c\n1,2,3\n4\n", &["1|2|3", "4"]).await;
        check("a,b\n1,2\n(1 row)\n", &["1|2"]).await;
        check("a,b\n", &[]).await;
        check("", &[]).await;
    }
}
