//! What the texts of one column can be read as: the lattice of types for values that are text in their file. A column
//! starts as anything and every value leaves what it can be; the value that takes the chosen type away is kept as
//! evidence. It must never see a file.

use arrow::datatypes::{DataType, TimeUnit};

use crate::files::values;

/// A whole number up to here is the same number as a double.
const EXACT_DOUBLE_MAX: u64 = 1 << 53;
/// The longest part of a value that evidence keeps, characters.
const EVIDENCE_CHARS_MAX: usize = 60;
/// Words in the names of columns whose numbers are codes, not quantities: adding them up makes no sense, and a later
/// file may have one with a leading zero.
const CODE_WORDS: [&str; 10] =
    ["zip", "zipcode", "postal", "postcode", "plz", "phone", "telephone", "mobile", "fax", "ssn"];

/// A set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const BOOLEAN: Kinds = Kinds(1);
    pub const LONG: Kinds = Kinds(2);
    pub const DOUBLE: Kinds = Kinds(4);
    pub const DATE: Kinds = Kinds(8);
    pub const TIMESTAMP: Kinds = Kinds(16);
    pub const TIMESTAMPTZ: Kinds = Kinds(32);
    pub const ANY: Kinds = Kinds(63);
    /// What a JSON string can be: its numbers and booleans are not strings.
    pub const TEMPORAL: Kinds = Kinds(8 | 16 | 32);

    pub fn has(self, kind: Kinds) -> bool {
        self.0 & kind.0 != 0
    }

    pub fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    fn when(self, holds: bool) -> Kinds {
        if holds { self } else { Kinds::NONE }
    }

    /// Which of `among` the text can be read as. A day is a timestamp too: its midnight.
    pub fn of(text: &str, among: Kinds) -> Kinds {
        let Some(first) = text.bytes().next() else { return Kinds::NONE };
        let mut kinds = Kinds::NONE;
        if among.has(Kinds::BOOLEAN) {
            kinds = kinds.or(Kinds::BOOLEAN.when(values::boolean(text).is_some()));
        }
        if !matches!(first, b'0'..=b'9' | b'-' | b'.') {
            return kinds;
        }
        if among.has(Kinds::LONG) || among.has(Kinds::DOUBLE) {
            kinds = kinds.or(match values::long(text) {
                Some(value) => Kinds::LONG.or(Kinds::DOUBLE.when(value.unsigned_abs() <= EXACT_DOUBLE_MAX)),
                None => Kinds::DOUBLE.when(values::double(text).is_some()),
            });
        }
        if among.has(Kinds::DATE) || among.has(Kinds::TIMESTAMP) {
            kinds = kinds.or(Kinds::DATE.or(Kinds::TIMESTAMP).when(values::date(text).is_some()));
        }
        if among.has(Kinds::TIMESTAMP) || among.has(Kinds::TIMESTAMPTZ) {
            kinds = kinds.or(match values::moment(text) {
                Some(moment) if moment.zoned => Kinds::TIMESTAMPTZ,
                Some(_) => Kinds::TIMESTAMP,
                None => Kinds::NONE,
            });
        }
        kinds.and(among)
    }

    /// The narrowest type of the set; text when it is empty.
    pub fn data_type(self) -> DataType {
        let timestamp = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        match self {
            kinds if kinds.has(Kinds::BOOLEAN) => DataType::Boolean,
            kinds if kinds.has(Kinds::LONG) => DataType::Int64,
            kinds if kinds.has(Kinds::DOUBLE) => DataType::Float64,
            kinds if kinds.has(Kinds::DATE) => DataType::Date32,
            kinds if kinds.has(Kinds::TIMESTAMP) => timestamp(None),
            kinds if kinds.has(Kinds::TIMESTAMPTZ) => timestamp(Some("UTC")),
            _ => DataType::Utf8,
        }
    }
}

/// The value that widened a column, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The column, or the path of a member below it.
    pub column: String,
    /// From 1.
    pub line: u64,
    pub value: String,
    pub before: DataType,
    pub after: DataType,
}

/// One column while its values are seen.
#[derive(Debug, Clone)]
pub struct TextColumn {
    pub name: String,
    kinds: Kinds,
    /// Values seen, empty ones apart.
    values: u64,
    pub widened: Option<Evidence>,
}

impl TextColumn {
    pub fn new(name: String) -> TextColumn {
        let mut words = name.split(|char: char| !char.is_alphanumeric()).map(str::to_lowercase);
        let code = words.any(|word| CODE_WORDS.contains(&word.as_str()));
        let kinds = if code { Kinds::TEMPORAL.or(Kinds::BOOLEAN) } else { Kinds::ANY };
        TextColumn { name, kinds, values: 0, widened: None }
    }

    /// Takes one value; blanks around it mean nothing unless the column is text.
    pub fn observe(&mut self, text: &str, line: u64) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.values += 1;
        if self.kinds == Kinds::NONE {
            return;
        }
        let left = Kinds::of(text, self.kinds);
        if left == self.kinds {
            return;
        }
        let (before, after) = (self.kinds.data_type(), left.data_type());
        if self.values > 1 && before != after {
            let value = shortened(text);
            self.widened = Some(Evidence { column: self.name.clone(), line, value, before, after });
        }
        self.kinds = left;
    }

    /// The column's type; none when no value was seen.
    pub fn data_type(&self) -> DataType {
        if self.values == 0 { DataType::Null } else { self.kinds.data_type() }
    }
}

/// A value as evidence keeps it.
pub fn shortened(text: &str) -> String {
    text.chars().take(EVIDENCE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, values: &[&str]) -> TextColumn {
        let mut column = TextColumn::new(name.to_owned());
        for (line, value) in (1..).zip(values) {
            column.observe(value, line);
        }
        column
    }

    fn timestamp(zone: Option<&str>) -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))
    }

    #[test]
    fn the_narrowest_type_of_all_values() {
        for (values, expect) in [
            (&["1", "", "-20"][..], DataType::Int64),
            (&["1", "2.5"], DataType::Float64),
            (&["1", "2.5", "x"], DataType::Utf8),
            (&["172", "00172"], DataType::Utf8),
            (&["true", "FALSE"], DataType::Boolean),
            (&["true", "1"], DataType::Utf8),
            (&["2024-01-01", "1732-02-22"], DataType::Date32),
            (&["2024-01-01", "2024-01-01 10:00:00"], timestamp(None)),
            (&["2024-01-01T10:00:00Z"], timestamp(Some("UTC"))),
            (&["2024-01-01T10:00:00Z", "2024-01-01T10:00:00"], DataType::Utf8),
            (&["2024-01-01", "5"], DataType::Utf8),
            (&["+49 30 1234"], DataType::Utf8),
            (&["1,000"], DataType::Utf8),
            (&["9007199254740993", "0.5"], DataType::Utf8),
            (&["18446744073709551616"], DataType::Utf8),
            (&["", " "], DataType::Null),
            (&[" 1", "2 "], DataType::Int64),
        ] {
            assert_eq!(column("c", values).data_type(), expect, "{values:?}");
        }
    }

    #[test]
    fn codes_stay_text_by_their_names() {
        for name in ["zip", "ZIP code", "office_phone", "Fax"] {
            assert_eq!(column(name, &["35055"]).data_type(), DataType::Utf8, "{name}");
        }
        assert_eq!(column("zipped_bytes", &["35055"]).data_type(), DataType::Int64);
    }

    #[test]
    fn evidence_is_the_value_that_widened() {
        let column = column("rank", &["1", "2", "n/a", "3"]);
        let expect = Evidence {
            column: "rank".to_owned(),
            line: 3,
            value: "n/a".to_owned(),
            before: DataType::Int64,
            after: DataType::Utf8,
        };
        assert_eq!(column.widened, Some(expect));
    }
}
