//! Where the table is in a delimited text file: what stands before it (titles, notes, comments, `sep=;`), which line
//! names the columns, and how many fields a record has. Inference and every query find it with this same function in
//! the same first bytes of the file, so what was inferred is what is read. It must never choose a type.
//! Next: `table.rs`, which reads on from there.

use std::collections::HashMap;

use super::record::{Record, RecordReader, Step};
use super::split::Dialect;
use super::text::decode;
use crate::crawl::infer::{Verdict, names_columns, untyped};

/// The first bytes of a file in which its layout is found.
pub const WINDOW_BYTES: usize = 1 << 20;
/// Records looked at.
const RECORDS_MAX: usize = 2000;
/// Lines that may stand before a table.
const PREAMBLE_MAX: usize = 100;
/// Without a header, records of other widths are stray ones when at least this part has the usual width; else the
/// widest record has all the columns.
const USUAL_MIN: f64 = 0.9;
/// What a record whose quotes were mended counts less than one in order.
const MENDED: f64 = 0.2;
/// What comments start with.
const COMMENTS: [&str; 4] = ["#", "%", "//", "!"];

/// The layout of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Bytes before the first record with values.
    pub start: usize,
    /// The line of that record, from 1.
    pub line: u64,
    /// The names of the columns as they are written; None when there are none.
    pub header: Option<Vec<String>>,
    /// Columns.
    pub columns: usize,
    /// Fields that most records have.
    pub usual: usize,
    /// Lines before the table, its header not among them.
    pub preamble: u64,
    /// Why there is a header or none.
    pub verdict: Verdict,
    /// The part of the records that has as many fields as most.
    pub consistency: f64,
    /// The part of the records whose quotes are as they should be, or nearly.
    pub orderly: f64,
    /// The records that were looked at, for the choice between layouts.
    pub body: Vec<Vec<String>>,
}

/// A record in the window.
struct Seen {
    /// Where the bytes after it start.
    end: usize,
    line: u64,
    odd: bool,
    fields: Vec<String>,
}

impl Seen {
    fn filled(&self) -> usize {
        self.fields.iter().filter(|field| !field.trim().is_empty()).count()
    }

    fn fits(&self, width: usize) -> bool {
        let surplus = self.fields.get(width..);
        surplus.is_some_and(|surplus| surplus.iter().all(String::is_empty))
    }

    fn comments(&self) -> bool {
        let first = self.fields.first().map_or("", |field| field.trim_start());
        COMMENTS.iter().any(|mark| first.starts_with(mark))
    }

    /// Its fields may be the names of columns: some may be years, most are words.
    fn names(&self) -> bool {
        let words = self.fields.iter().filter(|field| untyped(field.trim())).count();
        self.filled() == self.fields.len() && words * 2 >= self.fields.len()
    }
}

/// Finds the table in the first bytes of a file; `whole` says that there are no others. `header` says whether a line
/// names the columns, when that is known.
pub fn layout(window: &[u8], whole: bool, dialect: Dialect, header: Option<bool>) -> Layout {
    let (skipped, line) = separator_line(window).map_or((0, 1), |line| (line.1, 2));
    let first = records(window, skipped, line, whole, dialect, None);
    let usual = usual_width(&first);
    let seen = records(window, skipped, line, whole, dialect, Some(usual));
    let comments = leading_comments(&seen);
    let table = &seen[comments..];
    let start = comments + table_start(table, usual);
    let named = comment_names(&seen[..start], &seen[start..], usual);
    let rows: Vec<Vec<String>> = seen[start..].iter().map(|record| record.fields.clone()).collect();
    let verdict = match (&named, header) {
        (Some(_), None) => Verdict::sure(true, "the comment above names the columns"),
        (_, Some(header)) => Verdict::sure(header, "as it was said"),
        (None, None) => names_columns(&rows),
    };
    let own = verdict.header && named.is_none();
    let names = named.filter(|_| verdict.header).or_else(|| own.then(|| rows.first().cloned()).flatten());
    let body = start + usize::from(own && start < seen.len());
    let before = body.checked_sub(1).map(|last| &seen[last]);
    let fitting = seen[comments..].iter().filter(|record| record.fits(usual)).count();
    let odd = seen.iter().filter(|record| record.odd && !record.fits(usual)).count();
    let mended = seen.iter().filter(|record| record.odd && record.fits(usual)).count();
    let part = |count: usize, all: usize| if all == 0 { 1.0 } else { count as f64 / all as f64 };
    let (header, columns) = columns_of(names, &seen[body..], usual);
    Layout {
        start: before.map_or(skipped, |record| record.end),
        line: before.map_or(line, |record| next_line(window, line, skipped, record.end)),
        header,
        columns,
        usual,
        preamble: seen.get(start).map_or(0, |record| record.line.saturating_sub(1)),
        verdict,
        consistency: part(fitting, seen.len() - comments),
        orderly: part(seen.len() - odd, seen.len()) - MENDED * (1.0 - part(seen.len() - mended, seen.len())),
        body: rows,
    }
}

/// The delimiter that a first line `sep=;` names for spreadsheets, and the bytes of that line.
pub fn separator_line(window: &[u8]) -> Option<(u8, usize)> {
    let length = window.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let pair = window[length] == b'\r' && window.get(length + 1) == Some(&b'\n');
    let text = std::str::from_utf8(&window[..length]).ok()?.trim_matches(|char| char == '"' || char == ' ');
    let named = text.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).and(text.get(4..))?;
    match named.as_bytes() {
        [delimiter] => Some((*delimiter, length + 1 + usize::from(pair))),
        // A line "sep=," has the delimiter of the quotes' outside, which trimming leaves alone.
        _ => None,
    }
}

/// The names of the columns and how many there are.
fn columns_of(names: Option<Vec<String>>, rows: &[Seen], usual: usize) -> (Option<Vec<String>>, usize) {
    let Some(mut names) = names else {
        let usual_rows = rows.iter().filter(|row| row.fits(usual)).count() as f64;
        let widest = rows.iter().map(|row| row.fields.len()).max().unwrap_or(usual);
        let stray = usual > 1 && usual_rows >= USUAL_MIN * rows.len() as f64;
        return (None, if stray { usual } else { widest });
    };
    while names.len() > usual && names.last().is_some_and(|name| name.trim().is_empty()) {
        // A delimiter at the end of the header that no other line has.
        names.pop();
    }
    let wider = rows.iter().filter(|row| !row.fits(names.len())).filter(|row| row.fields.len() > names.len());
    let most_are_wider = wider.count() * 2 > rows.len();
    if most_are_wider && usual == names.len() + 1 && names.iter().all(|name| !name.trim().is_empty()) {
        // What R writes: names for all columns but that of the row names.
        names.insert(0, String::new());
    } else if most_are_wider && usual > names.len() {
        names.resize(usual, String::new());
    }
    let columns = names.len();
    (Some(names), columns)
}

fn records(
    window: &[u8],
    start: usize,
    line: u64,
    whole: bool,
    dialect: Dialect,
    expected: Option<usize>,
) -> Vec<Seen> {
    let mut reader = RecordReader::new(dialect, line);
    let mut record = Record::default();
    let mut seen = Vec::new();
    let mut at = start;
    while seen.len() < RECORDS_MAX {
        match reader.read(&window[at..], whole, expected, &mut record) {
            Step::Record(length) => {
                at += length;
                let fields = record.fields().map(|field| decode(field).into_owned()).collect();
                seen.push(Seen { end: at, line: record.line, odd: record.odd, fields });
            }
            Step::More | Step::End => break,
        }
    }
    if seen.is_empty() && !whole {
        // The first record is longer than the window: what is there of it has to do.
        return records(window, start, line, true, dialect, expected);
    }
    seen
}

/// The most frequent number of fields; of equally frequent ones the largest.
fn usual_width(records: &[Seen]) -> usize {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for record in records.iter().filter(|record| !record.comments() || record.fields.len() > 1) {
        *counts.entry(record.fields.len()).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(width, count)| (*count, *width)).map_or(1, |(width, _)| width)
}

/// How many records at the start are comments; none when most of the file looks like that.
fn leading_comments(records: &[Seen]) -> usize {
    let leading = records.iter().take_while(|record| record.comments()).count();
    let first = records.iter().take(1).all(|record| record.fields.len() == 1);
    let few = leading * 2 <= records.len() || (first && leading < records.len());
    if few { leading } else { 0 }
}

/// The names that the last comment before a table has, when it has as many fields as the table's records and the first
/// of these has values.
fn comment_names(before: &[Seen], table: &[Seen], usual: usize) -> Option<Vec<String>> {
    let last =
        before.last().filter(|record| record.comments() && record.fields.len() == usual && usual > 1)?;
    let rows: Vec<Vec<String>> = table.iter().map(|record| record.fields.clone()).collect();
    let mut names = last.fields.clone();
    let first = names.first_mut()?;
    *first = first.trim_start().trim_start_matches(['#', '%', '/', '!']).trim().to_owned();
    let verdict = names_columns(&rows);
    (!(verdict.header && verdict.sure) && names.iter().all(|name| untyped(name.trim()))).then_some(names)
}

/// Which record is the first of the table; those before it are titles and notes.
fn table_start(records: &[Seen], usual: usize) -> usize {
    if usual < 2 {
        return 0;
    }
    let narrow = records.iter().take_while(|record| record.fields.len() < usual).count();
    if narrow > 0 && narrow <= PREAMBLE_MAX && narrow < records.len() {
        let after = &records[narrow..];
        let above = &records[narrow - 1];
        let names_itself =
            names_columns(&after.iter().take(50).map(|record| record.fields.clone()).collect::<Vec<_>>());
        let header_above = above.names()
            && above.fields.len() >= (usual / 2).max(2)
            && !(names_itself.header && names_itself.sure);
        let header_above = header_above || (above.names() && above.fields.len() + 1 == usual && usual > 2);
        let titles = records[..narrow].iter().all(|record| {
            record.fields.len() <= (usual / 2).max(1) || record.filled() <= 1 || record.comments()
        });
        let rest_is_table =
            after.iter().filter(|record| record.fields.len() >= usual).count() * 2 > after.len();
        return match (header_above, titles && rest_is_table) {
            (true, _) => narrow - 1,
            (false, true) => narrow + padded_titles(after, usual),
            (false, false) => 0,
        };
    }
    padded_titles(records, usual)
}

/// Titles that a spreadsheet has padded with empty fields: records with one value at most, above a record of names.
fn padded_titles(records: &[Seen], usual: usize) -> usize {
    let sparse = records.iter().take_while(|record| record.filled() <= 1).count();
    let Some(first) = records.get(sparse) else { return 0 };
    let enough = usual > 2 && first.filled() >= 2 && first.filled() * 2 >= usual;
    let words = first.fields.iter().filter(|field| untyped(field.trim())).count();
    let names = words * 2 >= first.fields.len();
    let in_front = records[..sparse].iter().all(|record| record.fields.iter().skip(1).all(String::is_empty));
    if sparse > 0 && sparse <= PREAMBLE_MAX && enough && names && in_front { sparse } else { 0 }
}

/// The line on which the bytes at `end` are, when those at `start` are on `line`.
fn next_line(window: &[u8], line: u64, start: usize, end: usize) -> u64 {
    line + super::split::line_ends(&window[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header, number of columns and the line of the first row of values.
    fn check(text: &str, header: Option<&[&str]>, columns: usize, line: u64) {
        let found = layout(text.as_bytes(), true, Dialect::plain(b','), None);
        let names = found.header.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(names.as_deref(), header, "{text:?}");
        assert_eq!((found.columns, found.line), (columns, line), "{text:?}");
        let rest = &text[found.start..];
        let before = text.len() - rest.len();
        assert!(before == 0 || text[..before].ends_with(['\n', '\r']) || rest.is_empty(), "{text:?}");
    }

    #[test]
    fn tables_are_found_below_titles_and_comments() {
        check("a,b\n1,2\n", Some(&["a", "b"]), 2, 2);
        check("1,2\n3,4\n", None, 2, 1);
        check("Sales of May\n\na,b\n1,2\n3,4\n", Some(&["a", "b"]), 2, 4);
        check("Sales\n\na,b,c\n1,2,3\n4,5,6\n4,5,6,7\n8\n", Some(&["a", "b", "c"]), 3, 4);
        check("# made today\na,b\n1,2\n", Some(&["a", "b"]), 2, 3);
        check("# made today\n# a,b\n1,2\n3,4\n", Some(&["a", "b"]), 2, 3);
        check("#a,b\n1,2\n3,4\n", Some(&["a", "b"]), 2, 2);
        check("sep=,\na,b\n1,2\n", Some(&["a", "b"]), 2, 3);
        check("Report,,\n,,\nid,name,n\n1,x,2\n2,y,3\n", Some(&["id", "name", "n"]), 3, 4);
        check("x,y\nr1,1,2\nr2,3,4\n", Some(&["", "x", "y"]), 3, 2);
        check("a,b,\n1,2,\n", Some(&["a", "b", ""]), 3, 2);
        check("a,b\n1,2,\n3,4,\n", Some(&["a", "b"]), 2, 2);
        check("a,b,\n1,2\n3,4\n", Some(&["a", "b"]), 2, 2);
    }

    #[test]
    fn without_a_header_the_widest_record_counts() {
        check("milk\nmilk,bread\nbeer,milk,bread\nbread\n", None, 3, 1);
    }
}
