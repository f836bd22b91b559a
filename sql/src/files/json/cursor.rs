//! Walks one JSON text (RFC 8259) value by value, strictly, giving numbers and nested values as the text they are.
//! A parser of our own because a value that does not fit its column must become text unchanged, which parsers that
//! turn numbers into floats cannot do. It must never know a type or a column. Next: `build.rs`.

use std::borrow::Cow;

/// How deep values may be nested.
pub const NESTING_MAX: usize = 500;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

/// A text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Bytes from the start of the text.
    pub at: usize,
    pub reason: &'static str,
}

type Result<T> = std::result::Result<T, Malformed>;

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    /// What the next value is.
    pub fn kind(&mut self) -> Result<Kind> {
        match self.peek() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::Text),
            Some(b'[') => Ok(Kind::List),
            Some(b'{') => Ok(Kind::Object),
            Some(_) => self.fail("a value is expected"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    pub fn null(&mut self) -> Result<()> {
        self.word("null")
    }

    pub fn boolean(&mut self) -> Result<bool> {
        let value = self.peek() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// The text of a number.
    pub fn number(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        self.accept(b'-');
        if !self.accept(b'0') {
            self.digits()?;
        }
        if self.accept(b'.') {
            self.digits()?;
        }
        if self.accept(b'e') || self.accept(b'E') {
            let _ = self.accept(b'+') || self.accept(b'-');
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// A string, its escapes replaced.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        self.expect(b'"', "a string is expected")?;
        let start = self.at;
        self.plain_characters()?;
        if self.accept(b'"') {
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut value = self.text[start..self.at].to_owned();
        loop {
            if self.accept(b'"') {
                return Ok(Cow::Owned(value));
            }
            self.escape(&mut value)?;
            let plain = self.at;
            self.plain_characters()?;
            value.push_str(&self.text[plain..self.at]);
        }
    }

    /// Enters a list; then [`Cursor::item`] says whether there is another item.
    pub fn list(&mut self) -> Result<()> {
        self.expect(b'[', "a list is expected")
    }

    /// Moves to the next item of a list, or past its end. `first` says that none was read yet.
    pub fn item(&mut self, first: bool) -> Result<bool> {
        self.element(first, b']', "a comma or ] is expected")
    }

    /// Enters an object; then [`Cursor::key`] gives the keys.
    pub fn object(&mut self) -> Result<()> {
        self.expect(b'{', "an object is expected")
    }

    /// The next key of an object, the cursor before its value; None past the end. `first` says that none was read.
    pub fn key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>> {
        if !self.element(first, b'}', "a comma or } is expected")? {
            return Ok(None);
        }
        self.peek();
        let key = self.string()?;
        self.expect(b':', "a colon is expected")?;
        Ok(Some(key))
    }

    /// Passes one value of any kind, checking it, and gives its text.
    pub fn skip(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        self.skip_nested(0)?;
        Ok(&self.text[start..self.at])
    }

    /// Nothing but blanks may follow.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fail("something follows the value"),
        }
    }

    fn skip_nested(&mut self, depth: usize) -> Result<()> {
        if depth > NESTING_MAX {
            return self.fail("values are nested too deep");
        }
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Boolean => self.boolean().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Text => self.string().map(drop),
            Kind::List => {
                self.list()?;
                let mut first = true;
                while self.item(first)? {
                    first = false;
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            Kind::Object => {
                self.object()?;
                let mut first = true;
                while self.key(first)?.is_some() {
                    first = false;
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
        }
    }

    fn element(&mut self, first: bool, close: u8, reason: &'static str) -> Result<bool> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                match self.peek() {
                    Some(byte) if byte == close => self.fail("a comma is followed by nothing"),
                    _ => Ok(true),
                }
            }
            _ => self.fail(reason),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<()> {
        self.peek();
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        self.fail("a value is expected")
    }

    fn digits(&mut self) -> Result<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return self.fail("a digit is expected");
        }
        self.at += count;
        Ok(())
    }

    /// Passes characters of a string up to a quote or a backslash.
    fn plain_characters(&mut self) -> Result<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let Some(count) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) else {
            self.at = self.text.len();
            return self.fail("a string is not closed");
        };
        self.at += count;
        if rest[count] < 0x20 { self.fail("a string has a control character in it") } else { Ok(()) }
    }

    /// Replaces the escape at the cursor.
    fn escape(&mut self, value: &mut String) -> Result<()> {
        self.at += 1;
        let Some(byte) = self.text.as_bytes().get(self.at).copied() else {
            return self.fail("a string is not closed");
        };
        self.at += 1;
        value.push(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode_escape()?,
            _ => return self.fail("an escape in a string is unknown"),
        });
        Ok(())
    }

    /// The character of `\uXXXX`, or of a surrogate pair of them; half a pair becomes U+FFFD, for text has no such
    /// character.
    fn unicode_escape(&mut self) -> Result<char> {
        let unit = self.hexadecimal()?;
        let high = (0xd800..0xdc00).contains(&unit);
        if high && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hexadecimal(&mut self) -> Result<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let value = digits.and_then(|digits| {
            digits.iter().try_fold(0, |value, byte| Some(value * 16 + char::from(*byte).to_digit(16)?))
        });
        match value {
            Some(value) => {
                self.at += 4;
                Ok(value)
            }
            None => self.fail("an escape in a string is incomplete"),
        }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<()> {
        self.peek();
        if self.accept(byte) { Ok(()) } else { self.fail(reason) }
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T> {
        Err(Malformed { at: self.at, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(text: &str) -> Result<&str> {
        let mut cursor = Cursor::new(text);
        let value = cursor.skip()?;
        cursor.end()?;
        Ok(value)
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        for text in [
            "null",
            " true ",
            "[]",
            "{}",
            "[1, 2 ,3]",
            "{\"a\": {\"b\": []}}",
            "-0.5e+10",
            "\"\\u00e9\\n\"",
            "0",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "[",
            "{\"a\"}",
            "{\"a\":}",
            "\"",
            "\"\\x\"",
            "\"\t\"",
            "nul",
            "truee",
            "[1 2]",
            "{'a':1}",
            "{a:1}",
            "",
            " ",
            "[}",
            "\"\\u12\"",
            "NaN",
            "[null,false]",
        ] {
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            assert_eq!(skip(text).is_ok(), theirs.is_ok(), "{text:?}: {:?}", skip(text));
        }
    }

    #[test]
    fn strings_lose_their_escapes() {
        for text in [
            "\"plain\"",
            "\"a\\\"b\\\\c\\/\\b\\f\\n\\r\\t\"",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00x\"",
            "\"é😀\"",
        ] {
            let expect: String = serde_json::from_str(text).expect("the text is JSON");
            assert_eq!(Cursor::new(text).string(), Ok(Cow::Borrowed(expect.as_str())), "{text}");
        }
        assert_eq!(Cursor::new("\"\\ud83d!\"").string(), Ok(Cow::Borrowed("\u{fffd}!")));
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = "[".repeat(NESTING_MAX + 10);
        assert_eq!(skip(&deep).map_err(|malformed| malformed.reason), Err("values are nested too deep"));
    }

    #[test]
    fn an_error_says_where() {
        assert_eq!(skip("{\"a\": x}").map_err(|malformed| malformed.at), Err(6));
    }
}
