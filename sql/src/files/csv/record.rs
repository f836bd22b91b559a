//! The records of delimited text (RFC 4180, and what is commonly written instead), one after the other. It counts lines
//! and mends broken quotes; it must never know a type or a column.
//!
//! A quote that is opened and never closed, or a bare text that happens to start with one, would swallow the rest of a
//! file. So where the standard reading of a record is doubtful, the others in `split.rs` are tried, and the one that
//! gives as many fields as expected counts. Empty lines, and lines of blanks, are no records.
//! Next: `layout.rs`, which finds the table in a file.

use super::split::{Attempt, Dialect, Manner, Split, Splitter};

/// A record that goes on for longer than this within quotes has a quote that is never closed, bytes.
const QUOTED_BYTES_MAX: usize = 64 << 20;
/// How far is looked for the end of a quoted text with quotes inside, bytes.
const MEND_BYTES_MAX: usize = 1 << 20;
/// Of how many lines it is tried whether they are records by themselves.
const LINES_TRIED_MAX: usize = 100;
/// The end of a file in the days of CP/M.
const END_OF_FILE: u8 = 0x1a;

/// One record: its fields, unquoted, and the line it starts on.
#[derive(Debug, Default, Clone)]
pub struct Record {
    bytes: Vec<u8>,
    /// Where each field ends in `bytes`.
    ends: Vec<usize>,
    /// From 1.
    pub line: u64,
    /// Empty lines before it.
    pub blank_lines: u64,
    /// Its quotes are not as they should be.
    pub odd: bool,
}

impl Record {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn field(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.field(index))
    }

    /// Whether it has this many fields. Empty fields at the end are no fields: many programs end every line with a
    /// delimiter.
    pub fn fits(&self, width: usize) -> bool {
        self.len() == width
            || (self.len() > width && (width..self.len()).all(|index| self.field(index).is_empty()))
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn end_field(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

/// What one call of [`RecordReader::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole record, this many bytes of input from the start.
    Record(usize),
    /// The input ends within a record; come again with more of it after the same bytes.
    More,
    /// There are no more records.
    End,
}

/// Splits input into records.
#[derive(Debug)]
pub struct RecordReader {
    splitter: Splitter,
    /// The line the next record starts on, from 1.
    line: u64,
}

impl RecordReader {
    /// A reader of input that starts on a line.
    pub fn new(dialect: Dialect, line: u64) -> RecordReader {
        RecordReader { splitter: Splitter::new(dialect), line }
    }

    /// Reads the record at the start of `input`; `last` says that nothing follows `input`, `expected` how many fields
    /// most records have, once that is known.
    pub fn read(&mut self, input: &[u8], last: bool, expected: Option<usize>, record: &mut Record) -> Step {
        let Some((at, blank_lines)) = self.skip_blank_lines(input, last) else { return Step::More };
        if at == input.len() {
            return if last { Step::End } else { Step::More };
        }
        let mut odd = false;
        let split = match self.splitter.attempt(input, at, last, Manner::Standard, record) {
            Attempt::Short if input.len() - at < QUOTED_BYTES_MAX => return Step::More,
            Attempt::Whole(split) if !doubtful(&split, record, expected) => split,
            doubt => {
                let standard = match doubt {
                    Attempt::Whole(split) => Some(split),
                    Attempt::Short | Attempt::Unclosed => None,
                };
                odd = standard.is_none_or(|split| split.odd);
                match self.mended(input, at, last, standard, expected, record) {
                    Some(split) => split,
                    None => return Step::More,
                }
            }
        };
        record.line = self.line + blank_lines;
        record.blank_lines = blank_lines;
        record.odd = odd;
        self.line = record.line + split.lines + u64::from(split.terminated);
        Step::Record(split.end)
    }

    /// The best reading of a doubtful record; None when that takes more input.
    fn mended(
        &self,
        input: &[u8],
        at: usize,
        last: bool,
        standard: Option<Split>,
        expected: Option<usize>,
        record: &mut Record,
    ) -> Option<Split> {
        let fits = |record: &Record| expected.is_some_and(|width| record.fits(width));
        let odd = standard.is_none_or(|split| split.odd);
        let standard_fits = standard.is_some() && fits(record);
        let apart = self.each_line_fits(input, at, last, standard, expected, record);
        if odd && !apart {
            match self.splitter.attempt(input, at, last, Manner::Lenient, record) {
                Attempt::Whole(split) => {
                    let as_far = standard.is_some_and(|standard| standard.end == split.end);
                    let further = standard.is_some_and(|standard| split.lines > standard.lines);
                    if (fits(record) && !(standard_fits && further)) || (expected.is_none() && as_far) {
                        return Some(split);
                    }
                }
                Attempt::Short if !standard_fits && input.len() - at < MEND_BYTES_MAX => return None,
                Attempt::Short | Attempt::Unclosed => {}
            }
        }
        if apart || (odd && !standard_fits) {
            match self.splitter.attempt(input, at, last, Manner::Line, record) {
                Attempt::Whole(split)
                    if fits(record) || standard.is_none_or(|standard| standard.lines > 0) =>
                {
                    return Some(split);
                }
                Attempt::Short if standard.is_none() => return None,
                _ => {}
            }
        }
        self.splitter.attempt(input, at, last, Manner::Standard, record);
        standard
    }

    /// Whether each line of a record over several lines would be a record by itself if quotes meant themselves.
    fn each_line_fits(
        &self,
        input: &[u8],
        mut at: usize,
        last: bool,
        standard: Option<Split>,
        expected: Option<usize>,
        record: &mut Record,
    ) -> bool {
        let (Some(standard), Some(width)) = (standard, expected) else { return false };
        if standard.lines == 0 || width < 2 {
            return false;
        }
        for _ in 0..LINES_TRIED_MAX {
            if at >= standard.end {
                break;
            }
            match self.splitter.attempt(input, at, last, Manner::Line, record) {
                Attempt::Whole(split) if record.fits(width) => at = split.end,
                _ => return false,
            }
        }
        true
    }

    /// How many bytes and lines of emptiness `input` starts with; None when a line of blanks may go on.
    fn skip_blank_lines(&self, input: &[u8], last: bool) -> Option<(usize, u64)> {
        let (mut lines, mut at) = (0, 0);
        loop {
            let blank = |byte: &u8| self.splitter.blank(*byte) || *byte == END_OF_FILE;
            let next = at + input[at..].iter().take_while(|byte| blank(byte)).count();
            match (input.get(next), input.get(next + 1)) {
                (Some(b'\r'), Some(b'\n')) => at = next + 2,
                (Some(b'\r'), None) if !last => return None,
                (Some(b'\n' | b'\r'), _) => at = next + 1,
                (None, _) if last => return Some((next, lines)),
                (None, _) if next > at => return None,
                _ => return Some((at, lines)),
            }
            lines += 1;
        }
    }
}

/// Whether a record may be something else than the standard reading says.
fn doubtful(split: &Split, record: &Record, expected: Option<usize>) -> bool {
    split.odd || (split.lines > 0 && expected.is_some_and(|width| !record.fits(width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All records of `text`, with the input given in pieces of `piece` bytes.
    fn read_in_pieces(text: &str, piece: usize, expected: Option<usize>) -> Vec<(u64, Vec<String>)> {
        let mut reader = RecordReader::new(Dialect::plain(b','), 1);
        let mut record = Record::default();
        let (mut start, mut end) = (0, piece.min(text.len()));
        let mut records = Vec::new();
        loop {
            let last = end == text.len();
            match reader.read(&text.as_bytes()[start..end], last, expected, &mut record) {
                Step::Record(length) => {
                    start += length;
                    let fields = record.fields().map(|field| String::from_utf8_lossy(field).into_owned());
                    records.push((record.line, fields.collect()));
                }
                Step::More => end = (end + piece).min(text.len()),
                Step::End => return records,
            }
        }
    }

    fn check_with(text: &str, expected: Option<usize>, expect: &[(u64, &[&str])]) {
        for piece in 1..=text.len().max(1) {
            let found = read_in_pieces(text, piece, expected);
            let found: Vec<(u64, Vec<&str>)> = found
                .iter()
                .map(|(line, fields)| (*line, fields.iter().map(String::as_str).collect()))
                .collect();
            let expect: Vec<(u64, Vec<&str>)> = expect.iter().map(|(line, f)| (*line, f.to_vec())).collect();
            assert_eq!(found, expect, "{text:?} in pieces of {piece}");
        }
    }

    fn check(text: &str, expect: &[(u64, &[&str])]) {
        check_with(text, None, expect);
    }

    #[test]
    fn plain_records_in_all_line_endings() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,b\r\n1,2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a\rb\r", &[(1, &["a"]), (2, &["b"])]);
        check("a\rb\nc\r\nd", &[(1, &["a"]), (2, &["b"]), (3, &["c"]), (4, &["d"])]);
        check("", &[]);
        check("\n\r\n", &[]);
        check("a\n \t \n\x1a", &[(1, &["a"])]);
    }

    #[test]
    fn empty_fields_count_and_empty_lines_do_not() {
        check("a,,c\n,\n\n\nx", &[(1, &["a", "", "c"]), (2, &["", ""]), (5, &["x"])]);
        check("a,", &[(1, &["a", ""])]);
    }

    #[test]
    fn quotes_hide_delimiters_and_line_ends() {
        check("\"a,b\",\"c\nd\"\nnext", &[(1, &["a,b", "c\nd"]), (3, &["next"])]);
        check("\"say \"\"hi\"\"\",x", &[(1, &["say \"hi\"", "x"])]);
        check("\"\",\"\"", &[(1, &["", ""])]);
        check("5\" disk,\"a\"b", &[(1, &["5\" disk", "ab"])]);
        check("x, \"a, b\" ,c", &[(1, &["x", "a, b", "c"])]);
    }

    #[test]
    fn broken_quotes_stay_in_their_record() {
        let two = Some(2);
        check_with("1,\"2\n3,4\n", two, &[(1, &["1", "\"2"]), (2, &["3", "4"])]);
        check_with("\"say \"hi\" now\",x\ny,z", two, &[(1, &["say \"hi\" now", "x"]), (2, &["y", "z"])]);
        check_with("\"a \"b, c\" d\",x", two, &[(1, &["a \"b, c\" d", "x"])]);
        check_with("\"x,1\nb,2\n\"c\",3\n", two, &[(1, &["\"x", "1"]), (2, &["b", "2"]), (3, &["c", "3"])]);
        check_with("a,\"b\nc\"\nd,e", two, &[(1, &["a", "b\nc"]), (3, &["d", "e"])]);
    }
}
