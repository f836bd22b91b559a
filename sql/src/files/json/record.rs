//! Finds the records of a JSON file: the objects of one array, objects one after the other (on lines or not), or the
//! members of one object that is keyed by something. It counts brackets and lines and looks at nothing else, so what
//! it hands on may still be malformed; `cursor.rs` finds that. It must never know a column.

/// What a file is at its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[{...}, {...}]`
    Array,
    /// `{...} {...}`, usually one per line.
    Objects,
    /// `{"key": ..., "key": ...}`: each member is a record.
    Keyed,
}

/// What one call of [`RecordFinder::find`] found, in bytes from the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A record between the two positions; consume up to the second.
    Record { start: usize, end: usize },
    /// The input ends within a record; come again with more of it after the same bytes.
    More,
    /// There are no more records.
    End,
}

/// A file that is cut off or has something between its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub line: u64,
    pub reason: &'static str,
}

/// Finds records.
#[derive(Debug)]
pub struct RecordFinder {
    keyed: bool,
    shape: Option<Shape>,
    place: Place,
    /// The line of the record found last, and of the input's first byte, from 1.
    record_line: u64,
    line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    /// Before the first record or after a comma.
    Before,
    /// After a record of an array or a keyed object.
    After,
    /// After the closing bracket.
    Closed,
}

impl RecordFinder {
    /// `keyed`: an object at the top is read member by member.
    pub fn new(keyed: bool) -> RecordFinder {
        RecordFinder { keyed, shape: None, place: Place::Start, record_line: 1, line: 1 }
    }

    /// Known after the first call that found something.
    pub fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// The line on which the record found last starts.
    pub fn first_line(&self) -> u64 {
        self.record_line
    }

    /// Finds the next record in `input`; `last` says that nothing follows `input`. The caller consumes the input up
    /// to the end of each record found.
    pub fn find(&mut self, input: &[u8], last: bool) -> Result<Found, Broken> {
        let mut scan = Scan { input, at: 0, line: self.line };
        let mut place = self.place;
        let mut shape = self.shape;
        loop {
            let Some(byte) = scan.skip_blanks() else { return self.out_of_input(place, last, scan.line) };
            match (place, shape, byte) {
                (Place::Start, _, b'[') => {
                    shape = Some(Shape::Array);
                    place = Place::Before;
                    scan.at += 1;
                }
                (Place::Start, _, b'{') if self.keyed => {
                    shape = Some(Shape::Keyed);
                    place = Place::Before;
                    scan.at += 1;
                }
                (Place::Start, _, _) => {
                    shape = Some(Shape::Objects);
                    place = Place::Before;
                }
                (Place::Before | Place::After, Some(Shape::Array), b']')
                | (Place::Before | Place::After, Some(Shape::Keyed), b'}') => {
                    place = Place::Closed;
                    scan.at += 1;
                }
                (Place::After, _, b',') => {
                    place = Place::Before;
                    scan.at += 1;
                }
                (Place::After, ..) => return Err(scan.broken("a comma or a closing bracket is expected")),
                (Place::Closed, ..) => return Err(scan.broken("something follows the closing bracket")),
                (Place::Before, ..) => {
                    let (start, line) = (scan.at, scan.line);
                    let whole = if shape == Some(Shape::Keyed) { scan.member() } else { scan.value() };
                    if !whole || (scan.at == input.len() && !last) {
                        return if last { Err(cut_off(line)) } else { Ok(Found::More) };
                    }
                    self.shape = shape;
                    self.place = if shape == Some(Shape::Objects) { Place::Before } else { Place::After };
                    self.record_line = line;
                    self.line = scan.line;
                    return Ok(Found::Record { start, end: scan.at });
                }
            }
        }
    }

    fn out_of_input(&mut self, place: Place, last: bool, line: u64) -> Result<Found, Broken> {
        let complete = match (place, self.shape) {
            (Place::Start | Place::Closed, _) => true,
            (Place::Before, shape) => shape == Some(Shape::Objects),
            (Place::After, _) => false,
        };
        match (last, complete) {
            (false, _) => Ok(Found::More),
            (true, true) => Ok(Found::End),
            (true, false) => Err(cut_off(line)),
        }
    }
}

fn cut_off(line: u64) -> Broken {
    Broken { line, reason: "the file ends in the middle of a record or before the closing bracket" }
}

/// A walk over the input that looks only at brackets, strings and line ends.
struct Scan<'a> {
    input: &'a [u8],
    at: usize,
    line: u64,
}

impl Scan<'_> {
    fn skip_blanks(&mut self) -> Option<u8> {
        while let Some(byte) = self.input.get(self.at) {
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                other => return Some(*other),
            }
            self.at += 1;
        }
        None
    }

    /// Passes `"key": value`; false when the input ends before that.
    fn member(&mut self) -> bool {
        if !self.value() || self.skip_blanks().is_none() {
            return false;
        }
        if self.input[self.at] == b':' {
            self.at += 1;
        }
        self.skip_blanks().is_some() && self.value()
    }

    /// Passes one value; false when the input ends within it.
    fn value(&mut self) -> bool {
        let mut depth = 0_usize;
        while let Some(byte) = self.input.get(self.at) {
            match byte {
                b'"' => {
                    if !self.string() {
                        return false;
                    }
                    if depth == 0 {
                        return true;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth <= 1 => {
                    self.at += usize::from(depth == 1);
                    return true;
                }
                b'}' | b']' => depth -= 1,
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return true,
                b'\n' => self.line += 1,
                _ => {}
            }
            self.at += 1;
        }
        depth == 0
    }

    /// Passes a string whose quote is at the cursor; false when the input ends within it.
    fn string(&mut self) -> bool {
        self.at += 1;
        while let Some(byte) = self.input.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => return true,
                b'\\' => self.at += 1,
                b'\n' => self.line += 1,
                _ => {}
            }
        }
        self.at = self.at.min(self.input.len());
        false
    }

    fn broken(&self, reason: &'static str) -> Broken {
        Broken { line: self.line, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in_pieces(text: &str, keyed: bool, piece: usize) -> Result<Vec<(u64, String)>, Broken> {
        let mut finder = RecordFinder::new(keyed);
        let (mut consumed, mut known) = (0, piece.min(text.len()));
        let mut records = Vec::new();
        loop {
            let last = known == text.len();
            match finder.find(&text.as_bytes()[consumed..known], last)? {
                Found::Record { start, end } => {
                    records.push((finder.first_line(), text[consumed + start..consumed + end].to_owned()));
                    consumed += end;
                }
                Found::More => known = (known + piece).min(text.len()),
                Found::End => return Ok(records),
            }
        }
    }

    fn check(text: &str, keyed: bool, expect: &[(u64, &str)]) {
        for piece in 1..=text.len().max(1) {
            let found = find_in_pieces(text, keyed, piece).expect("the text is whole");
            let found: Vec<(u64, &str)> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
            assert_eq!(found, expect, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn an_array_has_its_elements() {
        check("[{\"a\":1},\n {\"b\":[2,\"]}\"]}]\n", false, &[(1, "{\"a\":1}"), (2, "{\"b\":[2,\"]}\"]}")]);
        check(" [ ] ", false, &[]);
        check("[1, 22]", false, &[(1, "1"), (1, "22")]);
    }

    #[test]
    fn objects_follow_each_other() {
        check("{\"a\":1}\n{\"a\":2}\n", false, &[(1, "{\"a\":1}"), (2, "{\"a\":2}")]);
        check("{\n\"a\":1}{\"a\":\n2}", false, &[(1, "{\n\"a\":1}"), (2, "{\"a\":\n2}")]);
        check("", false, &[]);
        check("\n\n", false, &[]);
    }

    #[test]
    fn a_keyed_object_has_its_members() {
        check("{\"x\": [1], \n\"y\" :{\"a\":2}}", true, &[(1, "\"x\": [1]"), (2, "\"y\" :{\"a\":2}")]);
    }

    #[test]
    fn what_is_cut_off_is_broken() {
        for (text, line) in
            [("[{\"a\":1},{\"a\":", 1), ("[{\"a\":1}\n", 2), ("{\"a\":1}\n{\"a\"", 2), ("[\"x", 1), ("[", 1)]
        {
            for piece in 1..=text.len() {
                assert_eq!(find_in_pieces(text, false, piece), Err(cut_off(line)), "{text:?} in {piece}");
            }
        }
    }

    #[test]
    fn what_follows_the_array_is_broken() {
        assert!(find_in_pieces("[{}] {}", false, 3).is_err());
        assert!(find_in_pieces("[{} {}]", false, 3).is_err());
    }
}
