//! The patterns of `to_char`, `to_date` and `to_timestamp` for dates and times (PostgreSQL 15, table 9.26), read into
//! fields and the text between them. Next: `to_char.rs` and `moment_pattern.rs` for what is done with them.

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A character that stands for itself; whether it was quoted.
    Text(char, bool),
    Field(Field),
}

/// A field by its upper-case name, as it was spelled.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub spelled: String,
    /// Padding is written and expected; `FM` turns it off.
    pub fill: bool,
    /// `th` or `TH` after it.
    pub ordinal: Option<bool>,
}

/// The fields, longest first where one starts another.
const FIELDS: [&str; 48] = [
    "Y,YYY", "YYYY", "YYY", "IYYY", "IYY", "IDDD", "IY", "YY", "Y", "MONTH", "MON", "MM", "MI", "MS", "US",
    "DAY", "DY", "DDD", "DD", "D", "HH24", "HH12", "HH", "SSSSS", "SSSS", "SS", "IW", "ID", "I", "WW", "W",
    "Q", "AM", "PM", "AD", "BC", "CC", "J", "A.M.", "P.M.", "A.D.", "B.C.", "RM", "FF1", "FF2", "FF3", "FF4",
    "FF5",
];
/// More of them, which no other starts with.
const ZONES: [&str; 5] = ["FF6", "TZH", "TZM", "TZ", "OF"];

/// The parts of a pattern.
pub fn read(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut rest, mut fill, mut quoted) = (pattern, true, false);
    while let Some(first) = rest.chars().next() {
        let tail = &rest[first.len_utf8()..];
        if first == '"' {
            (quoted, rest) = (!quoted, tail);
        } else if first == '\\' && (quoted || tail.starts_with('"')) {
            let next = tail.chars().next();
            parts.extend(next.map(|next| Part::Text(next, true)));
            rest = &tail[next.map_or(0, char::len_utf8)..];
        } else if quoted {
            parts.push(Part::Text(first, true));
            rest = tail;
        } else if starts_with(rest, "FM") {
            (fill, rest) = (false, &rest[2..]);
        } else if starts_with(rest, "FX") {
            rest = &rest[2..];
        } else if starts_with(rest, "TM") {
            // Names are never translated, and not filled up then.
            (fill, rest) = (false, &rest[2..]);
        } else if let Some(name) = FIELDS.into_iter().chain(ZONES).find(|name| starts_with(rest, name)) {
            let (spelled, tail) = rest.split_at(name.len());
            let ordinal =
                ["TH", "th"].iter().position(|suffix| tail.starts_with(suffix)).map(|place| place == 0);
            parts.push(Part::Field(Field { name, spelled: spelled.to_owned(), fill, ordinal }));
            (rest, fill) = (if ordinal.is_some() { &tail[2..] } else { tail }, true);
        } else {
            parts.push(Part::Text(first, false));
            rest = tail;
        }
    }
    parts
}

fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(name))
}
