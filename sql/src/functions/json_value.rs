//! JSON documents taken apart and written again, as `json` (as compact as PostgreSQL does it) and as `jsonb`: keys in
//! order and once, numbers without exponents. Numbers keep their digits.

use super::{decimal, shown};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// How deep documents may be nested.
const DEPTH_MAX: usize = 512;

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a document.
    pub fn read(text: &str) -> Result<Json> {
        let mut reader = Reader { bytes: text.as_bytes(), place: 0 };
        let value = reader.value(0).filter(|_| {
            reader.space();
            reader.place == reader.bytes.len()
        });
        value.ok_or_else(not_json)
    }

    /// Keys in the order of PostgreSQL (shorter ones first), the last of equal ones; numbers as numerics.
    #[must_use]
    pub fn normalized(self) -> Json {
        match self {
            Json::Number(digits) => Json::Number(match decimal::parse(&digits) {
                Some((value, scale)) => decimal::shown(value, scale),
                None => digits,
            }),
            Json::Array(elements) => Json::Array(elements.into_iter().map(Json::normalized).collect()),
            Json::Object(members) => {
                let mut kept: Vec<(String, Json)> = Vec::with_capacity(members.len());
                for (key, value) in members {
                    let value = value.normalized();
                    match kept.iter_mut().find(|(known, _)| *known == key) {
                        Some(member) => member.1 = value,
                        None => kept.push((key, value)),
                    }
                }
                kept.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
                Json::Object(kept)
            }
            other => other,
        }
    }

    /// `{"a": 1, "b": [1, 2]}`: as `jsonb` is written.
    pub fn spaced(&self) -> String {
        let mut out = String::new();
        self.put(&mut out, ", ", ": ");
        out
    }

    /// `{"a":1,"b":[1,2]}`
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.put(&mut out, ",", ":");
        out
    }

    fn put(&self, out: &mut String, comma: &str, colon: &str) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(digits) => out.push_str(digits),
            Json::String(text) => out.push_str(&shown::string(text)),
            Json::Array(elements) => {
                out.push('[');
                for (place, element) in elements.iter().enumerate() {
                    out.push_str(if place > 0 { comma } else { "" });
                    element.put(out, comma, colon);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (place, (key, value)) in members.iter().enumerate() {
                    out.push_str(if place > 0 { comma } else { "" });
                    out.push_str(&shown::string(key));
                    out.push_str(colon);
                    value.put(out, comma, colon);
                }
                out.push('}');
            }
        }
    }

    /// As `jsonb_pretty` writes it, with four spaces for each level.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.put_pretty(&mut out, 0);
        out
    }

    fn put_pretty(&self, out: &mut String, level: usize) {
        let line = |out: &mut String, level: usize| {
            out.push('\n');
            out.push_str(&"    ".repeat(level));
        };
        match self {
            Json::Array(elements) => {
                out.push('[');
                for (place, element) in elements.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    line(out, level + 1);
                    element.put_pretty(out, level + 1);
                }
                line(out, level);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (place, (key, value)) in members.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    line(out, level + 1);
                    out.push_str(&shown::string(key));
                    out.push_str(": ");
                    value.put_pretty(out, level + 1);
                }
                line(out, level);
                out.push('}');
            }
            other => other.put(out, ", ", ": "),
        }
    }
}

/// What a document is made of, each part as it is written.
#[derive(Debug, PartialEq)]
pub enum Parts<'t> {
    Array(Vec<&'t str>),
    Object(Vec<(String, &'t str)>),
    Scalar,
}

/// Takes a document apart, once.
pub fn parts(text: &str) -> Result<Parts<'_>> {
    let mut reader = Reader { bytes: text.as_bytes(), place: 0 };
    reader.space();
    let parts = match reader.peek() {
        Some(b'[') => reader.elements(text).map(Parts::Array),
        Some(b'{') => reader.members(text).map(Parts::Object),
        _ => Json::read(text).ok().map(|_| Parts::Scalar),
    };
    parts.ok_or_else(not_json)
}

/// The part of a document at the end of a path of keys and places, as it is written; None where there is none.
pub fn part<'t>(text: &'t str, path: &[&str]) -> Result<Option<&'t str>> {
    let mut part = text.trim();
    for step in path {
        let found = match parts(part)? {
            Parts::Object(members) => {
                members.into_iter().rev().find(|(key, _)| key == step).map(|(_, value)| value)
            }
            Parts::Array(elements) => {
                let place = step.parse().ok().and_then(|place| place_of(place, elements.len()));
                place.map(|place| elements[place])
            }
            Parts::Scalar => None,
        };
        match found {
            Some(found) => part = found,
            None => return Ok(None),
        }
    }
    Ok(Some(part))
}

/// What `->>` gives of a part: a string without its quotes, nothing of null.
pub fn as_text(part: &str) -> Option<String> {
    match part {
        "null" => None,
        string if string.starts_with('"') => serde_json::from_str(string).ok(),
        other => Some(other.to_owned()),
    }
}

fn not_json() -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
        .with_detail("The text is not JSON.")
}

/// A place counted from 0, or from the end, in so many elements.
pub fn place_of(place: i64, count: usize) -> Option<usize> {
    let length = i64::try_from(count).ok()?;
    let place = if place < 0 { place + length } else { place };
    usize::try_from(place).ok().filter(|place| *place < count)
}

struct Reader<'t> {
    bytes: &'t [u8],
    place: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\n\r".contains(&byte)) {
            self.place += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.place).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.peek() == Some(byte);
        self.place += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.space();
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::String),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        let there = self.bytes[self.place..].starts_with(word.as_bytes());
        self.place += word.len();
        there.then_some(value)
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        self.place += 1;
        let mut elements = Vec::new();
        if self.eat(b']') {
            return Some(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Some(Json::Array(elements));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.place += 1;
        let mut members = Vec::new();
        if self.eat(b'}') {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            if !self.eat(b':') {
                return None;
            }
            members.push((key, self.value(depth + 1)?));
            if self.eat(b'}') {
                return Some(Json::Object(members));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    /// The elements of the array that begins here.
    fn elements<'t>(&mut self, text: &'t str) -> Option<Vec<&'t str>> {
        self.place += 1;
        let mut elements = Vec::new();
        if self.eat(b']') {
            return Some(elements);
        }
        loop {
            elements.push(self.written(text)?);
            if self.eat(b']') {
                return Some(elements);
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    /// The members of the object that begins here.
    fn members<'t>(&mut self, text: &'t str) -> Option<Vec<(String, &'t str)>> {
        self.place += 1;
        let mut members = Vec::new();
        if self.eat(b'}') {
            return Some(members);
        }
        loop {
            self.space();
            let key = self.string()?;
            if !self.eat(b':') {
                return None;
            }
            members.push((key, self.written(text)?));
            if self.eat(b'}') {
                return Some(members);
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    /// The value that begins here, as it is written.
    fn written<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        self.space();
        let start = self.place;
        self.value(0)?;
        text.get(start..self.place)
    }

    /// The escapes are read by the crate that reads JSON elsewhere.
    fn string(&mut self) -> Option<String> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.place;
        self.place += 1;
        loop {
            match self.peek()? {
                b'\\' => self.place += 2,
                b'"' => break,
                _ => self.place += 1,
            }
        }
        self.place += 1;
        serde_json::from_slice(self.bytes.get(start..self.place)?).ok()
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.place;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
            self.place += 1;
        }
        let digits = std::str::from_utf8(self.bytes.get(start..self.place)?).ok()?;
        serde_json::from_str::<serde_json::Number>(digits).ok()?;
        Some(Json::Number(digits.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected texts are what PostgreSQL 15 gives.
    #[test]
    fn documents_are_normalized_as_jsonb_is() {
        for (text, expect) in [
            ("{\"bb\":1,\"a\":2,  \"a\":3}", "{\"a\": 3, \"bb\": 1}"),
            ("[1,   1.50, 1e2,true,null]", "[1, 1.50, 100, true, null]"),
            ("\"\\u00e9\\n\"", "\"é\\n\""),
            ("{}", "{}"),
            ("[]", "[]"),
        ] {
            assert_eq!(Json::read(text).expect(text).normalized().spaced(), expect, "{text}");
        }
        for text in ["", "{bad", "[1,]", "{\"a\":1,}", "01", "1 2", "\"a", "tru"] {
            assert!(Json::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_are_found() {
        let text = "{\"a\":[1,2,{\"b\":\"x\"}]}";
        let found = |path: &[&str]| part(text, path).expect("JSON").and_then(as_text);
        assert_eq!(found(&["a", "-1", "b"]).as_deref(), Some("x"));
        assert_eq!(found(&["a", "0"]).as_deref(), Some("1"));
        assert_eq!(found(&["a", "7"]), None);
        assert_eq!(found(&["a", "x"]), None);
    }
}
