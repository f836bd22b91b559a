//! The records of delimited text (RFC 4180, and what is commonly written instead). It splits bytes into fields and
//! counts lines; it must never know a type or a column.
//!
//! A field that starts with the quote runs to the closing quote, over delimiters and line ends; a doubled quote is
//! one quote; what follows a closing quote before the next delimiter is kept as it is. A quote inside a bare field
//! is an ordinary character. Lines end with LF, CRLF or CR. Empty lines are no records.
//! Next: `rows.rs`, which turns records into columns.

/// How fields and records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    pub quote: u8,
}

/// One record: its fields, unquoted, and the line it starts on.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    /// Where each field ends in `bytes`.
    ends: Vec<usize>,
    /// From 1.
    pub line: u64,
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

    fn clear(&mut self, line: u64) {
        self.bytes.clear();
        self.ends.clear();
        self.line = line;
    }

    fn end_field(&mut self) {
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

/// A quoted field that never ends.
#[derive(Debug, PartialEq, Eq)]
pub struct UnterminatedQuote {
    pub line: u64,
}

/// Splits input into records.
#[derive(Debug)]
pub struct RecordReader {
    dialect: Dialect,
    /// Bytes that end a bare field.
    special: [bool; 256],
    /// The line the next record starts on, from 1.
    line: u64,
}

impl RecordReader {
    pub fn new(dialect: Dialect) -> RecordReader {
        let mut special = [false; 256];
        for byte in [dialect.delimiter, b'\n', b'\r'] {
            special[usize::from(byte)] = true;
        }
        RecordReader { dialect, special, line: 1 }
    }

    /// Reads the record at the start of `input`; `last` says that nothing follows `input`.
    pub fn read(&mut self, input: &[u8], last: bool, record: &mut Record) -> Result<Step, UnterminatedQuote> {
        let (mut at, blank_lines) = skip_blank_lines(input);
        if at == input.len() {
            return Ok(if last { Step::End } else { Step::More });
        }
        let mut line = self.line + blank_lines;
        record.clear(line);
        loop {
            if input.get(at) == Some(&self.dialect.quote) {
                match self.quoted(input, at + 1, last, &mut line, record)? {
                    Some(after) => at = after,
                    None => return Ok(Step::More),
                }
            }
            let bare = input[at..].iter().position(|byte| self.special[usize::from(*byte)]);
            let end = bare.map_or(input.len(), |length| at + length);
            record.bytes.extend_from_slice(&input[at..end]);
            match input.get(end) {
                Some(byte) if *byte == self.dialect.delimiter => at = end + 1,
                Some(b'\r') if end + 1 == input.len() && !last => return Ok(Step::More),
                None if !last => return Ok(Step::More),
                terminator => {
                    record.end_field();
                    self.line = line + u64::from(terminator.is_some());
                    let pair = terminator == Some(&b'\r') && input.get(end + 1) == Some(&b'\n');
                    return Ok(Step::Record(end + usize::from(terminator.is_some()) + usize::from(pair)));
                }
            }
            record.end_field();
        }
    }

    /// Copies a quoted field whose first byte is at `at`; returns where its closing quote is passed, or None when the
    /// input ends before that is certain.
    fn quoted(
        &self,
        input: &[u8],
        mut at: usize,
        last: bool,
        line: &mut u64,
        record: &mut Record,
    ) -> Result<Option<usize>, UnterminatedQuote> {
        let opened_on = *line;
        loop {
            let Some(length) = input[at..].iter().position(|byte| *byte == self.dialect.quote) else {
                return if last { Err(UnterminatedQuote { line: opened_on }) } else { Ok(None) };
            };
            let text = &input[at..at + length];
            *line += text.iter().filter(|byte| **byte == b'\n').count() as u64;
            record.bytes.extend_from_slice(text);
            at += length + 1;
            match input.get(at) {
                Some(byte) if *byte == self.dialect.quote => {
                    record.bytes.push(self.dialect.quote);
                    at += 1;
                }
                None if !last => return Ok(None),
                _ => return Ok(Some(at)),
            }
        }
    }
}

/// How many bytes and lines of emptiness `input` starts with.
fn skip_blank_lines(input: &[u8]) -> (usize, u64) {
    let mut lines = 0;
    let mut at = 0;
    loop {
        match (input.get(at), input.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => at += 2,
            (Some(b'\n' | b'\r'), _) => at += 1,
            _ => return (at, lines),
        }
        lines += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"' };

    /// All records of `text`, with the input given in pieces of `piece` bytes.
    fn read_in_pieces(text: &str, piece: usize) -> Result<Vec<(u64, Vec<String>)>, UnterminatedQuote> {
        let mut reader = RecordReader::new(COMMA);
        let mut record = Record::default();
        let (mut start, mut end) = (0, piece.min(text.len()));
        let mut records = Vec::new();
        loop {
            let last = end == text.len();
            match reader.read(&text.as_bytes()[start..end], last, &mut record)? {
                Step::Record(length) => {
                    start += length;
                    let fields = record.fields().map(|field| String::from_utf8_lossy(field).into_owned());
                    records.push((record.line, fields.collect()));
                }
                Step::More => end = (end + piece).min(text.len()),
                Step::End => return Ok(records),
            }
        }
    }

    fn check(text: &str, expect: &[(u64, &[&str])]) {
        for piece in 1..=text.len().max(1) {
            let found = read_in_pieces(text, piece).expect("the quotes are balanced");
            let found: Vec<(u64, Vec<&str>)> = found
                .iter()
                .map(|(line, fields)| (*line, fields.iter().map(String::as_str).collect()))
                .collect();
            let expect: Vec<(u64, Vec<&str>)> = expect.iter().map(|(line, f)| (*line, f.to_vec())).collect();
            assert_eq!(found, expect, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn plain_records_in_all_line_endings() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,b\r\n1,2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a\rb\r", &[(1, &["a"]), (2, &["b"])]);
        check("", &[]);
        check("\n\r\n", &[]);
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
    }

    #[test]
    fn a_quote_that_never_closes_names_its_line() {
        for piece in 1..12 {
            let found = read_in_pieces("a,b\n1,\"2\n3,4\n", piece);
            assert_eq!(found, Err(UnterminatedQuote { line: 2 }));
        }
    }
}
