//! What the texts of one column can be read as: the lattice of types for values that are text in their file. A column
//! starts as anything and every value leaves what it can be; the value that takes the chosen type away is kept as
//! evidence. It must never see a file.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, TimeUnit};
use tarn_catalog::object::DateOrder;

use crate::files::dates::{Written, written};
use crate::files::values;

/// A whole number up to here is the same number as a double.
const EXACT_DOUBLE_MAX: u64 = 1 << 53;
/// Numbers with more digits than this are the names of something: cards, accounts, devices.
const NUMBER_DIGITS_MAX: usize = 15;
/// The most values that are kept as evidence for one column.
const EVIDENCE_MAX: usize = 4;
/// The longest part of a value that evidence keeps, characters.
const EVIDENCE_CHARS_MAX: usize = 60;
/// Words in the names of columns whose numbers are codes, not quantities: adding them up makes no sense, and a later
/// file may have one with a leading zero.
const CODE_WORDS: [&str; 46] = [
    "zip",
    "zipcode",
    "postal",
    "postalcode",
    "postcode",
    "postleitzahl",
    "plz",
    "cep",
    "phone",
    "phonenumber",
    "telephone",
    "telefon",
    "telefonnummer",
    "telefono",
    "tel",
    "mobile",
    "mobilenumber",
    "cellphone",
    "celular",
    "fax",
    "msisdn",
    "ssn",
    "npi",
    "ein",
    "cpf",
    "cnpj",
    "passport",
    "fips",
    "geoid",
    "isbn",
    "issn",
    "ean",
    "upc",
    "gtin",
    "barcode",
    "imei",
    "iban",
    "cusip",
    "isin",
    "siret",
    "siren",
    "naics",
    "naic",
    "cardnumber",
    "creditcard",
    "version",
];
/// Where the order of a written day is kept with a column until its table is made.
const ORDER_KEY: &str = "tarn:date_order";

/// A set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u16);

/// The ways to write a day, with the kinds of days and moments written so.
const ORDERS: [(DateOrder, Kinds, Kinds); 3] = [
    (DateOrder::DayFirst, Kinds(64), Kinds(128)),
    (DateOrder::MonthFirst, Kinds(256), Kinds(512)),
    (DateOrder::YearFirst, Kinds(1024), Kinds(2048)),
];

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const BOOLEAN: Kinds = Kinds(1);
    pub const LONG: Kinds = Kinds(2);
    pub const DOUBLE: Kinds = Kinds(4);
    pub const DATE: Kinds = Kinds(8);
    pub const TIMESTAMP: Kinds = Kinds(16);
    pub const TIMESTAMPTZ: Kinds = Kinds(32);
    pub const ANY: Kinds = Kinds(4095);
    /// Days and moments in other orders than ISO's.
    const WRITTEN: Kinds = Kinds(4095 - 63);
    /// What a JSON string can be: its numbers and booleans are not strings.
    pub const TEMPORAL: Kinds = Kinds(8 | 16 | 32);

    pub fn has(self, kind: Kinds) -> bool {
        self.0 & kind.0 != 0
    }

    pub fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    /// All but numbers.
    fn without_numbers(self) -> Kinds {
        Kinds(self.0 & !(Kinds::LONG.0 | Kinds::DOUBLE.0))
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
        if among.has(Kinds::WRITTEN) && first.is_ascii_alphanumeric() {
            kinds = kinds.or(Kinds::of_written(text));
        }
        if !matches!(first, b'0'..=b'9' | b'-' | b'.') {
            return kinds.and(among);
        }
        if among.has(Kinds::LONG) || among.has(Kinds::DOUBLE) {
            kinds = kinds.or(match values::long(text) {
                Some(_) if text.trim_start_matches('-').len() > NUMBER_DIGITS_MAX => Kinds::NONE,
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

    fn of_written(text: &str) -> Kinds {
        let kinds = |(order, day, moment): &(DateOrder, Kinds, Kinds)| match written(text, *order) {
            Some(Written { time: None, .. }) => day.or(*moment),
            Some(_) => *moment,
            None => Kinds::NONE,
        };
        ORDERS.iter().map(kinds).fold(Kinds::NONE, Kinds::or)
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
            kinds => match kinds.order() {
                Some((_, true)) => DataType::Date32,
                Some((_, false)) => timestamp(None),
                None => DataType::Utf8,
            },
        }
    }

    /// The one order in which all days of a column can be read, and whether they are all days without times. None when
    /// there is no such order, or more than one.
    fn order(self) -> Option<(DateOrder, bool)> {
        if self.has(Kinds(63)) {
            return None;
        }
        let mut possible = ORDERS.iter().filter(|(_, _, moment)| self.has(*moment));
        let (order, day, _) = possible.next()?;
        possible.next().is_none().then_some((*order, self.has(*day)))
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
    /// Values seen, empty ones and words for NULL apart.
    values: u64,
    /// Words for NULL were seen.
    words: bool,
    /// The values that took a type away, the first ones.
    pub widened: Vec<Evidence>,
}

impl TextColumn {
    pub fn new(name: String) -> TextColumn {
        let kinds = if is_code(&name) { Kinds::ANY.without_numbers() } else { Kinds::ANY };
        TextColumn { name, kinds, values: 0, words: false, widened: Vec::new() }
    }

    /// Takes one value; blanks around it mean nothing unless the column is text, and neither do words for NULL.
    pub fn observe(&mut self, text: &str, line: u64) {
        let text = text.trim();
        if self.kinds == Kinds::NONE || text.is_empty() || values::is_null_word(text) {
            self.words |= !text.is_empty();
            return;
        }
        self.values += 1;
        let left = Kinds::of(text, self.kinds);
        if left == self.kinds {
            return;
        }
        let (before, after) = (self.kinds.data_type(), left.data_type());
        if self.values > 1 && before != after && self.widened.len() < EVIDENCE_MAX {
            let value = shortened(text);
            self.widened.push(Evidence { column: self.name.clone(), line, value, before, after });
        }
        self.kinds = left;
    }

    /// The column's type; none when no value was seen, words for NULL apart.
    pub fn data_type(&self) -> DataType {
        match (self.values, self.words) {
            (0, false) => DataType::Null,
            (0, true) => DataType::Utf8,
            _ => self.kinds.data_type(),
        }
    }

    /// The type in which every value seen can be read as it is written: without words for NULL, and days as ISO 8601
    /// says.
    pub fn exact_type(&self) -> DataType {
        match self.words || self.kinds.order().is_some() {
            true => DataType::Utf8,
            false => self.data_type(),
        }
    }

    /// The column with its type, and with the order of its days where they are not written as ISO 8601 says.
    pub fn field(&self) -> Field {
        let field = Field::new(&self.name, self.data_type(), true);
        match self.kinds.order().filter(|_| self.values > 0) {
            Some((order, _)) => with_date_order(field, order),
            None => field,
        }
    }
}

/// Whether the name of a column says that its numbers are codes.
fn is_code(name: &str) -> bool {
    let mut words = String::new();
    let mut before = ' ';
    for char in name.chars() {
        if char.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.extend(char.to_lowercase());
        before = char;
    }
    let code = |word: &str| CODE_WORDS.contains(&word.trim_end_matches(|char: char| char.is_ascii_digit()));
    words.split(|char: char| !char.is_alphanumeric()).any(code)
}

/// A column whose days are written in an order.
pub fn with_date_order(field: Field, order: DateOrder) -> Field {
    let word = match order {
        DateOrder::DayFirst => "day",
        DateOrder::MonthFirst => "month",
        DateOrder::YearFirst => "year",
    };
    field.with_metadata(HashMap::from([(ORDER_KEY.to_owned(), word.to_owned())]))
}

/// The order in which the days of a column are written.
pub fn date_order(field: &Field) -> Option<DateOrder> {
    match field.metadata().get(ORDER_KEY)?.as_str() {
        "day" => Some(DateOrder::DayFirst),
        "month" => Some(DateOrder::MonthFirst),
        _ => Some(DateOrder::YearFirst),
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
            (&["1", "NA", "-"], DataType::Int64),
            (&["NA", ""], DataType::Utf8),
            (&["4111111111111111"], DataType::Utf8),
            (&["01/02/2024", "13/02/2024"], DataType::Date32),
            (&["01/02/2024", "02/13/2024 5:00 PM"], timestamp(None)),
            (&["01/02/2024", "02/03/2024"], DataType::Utf8),
            (&["13/02/2024", "02/13/2024"], DataType::Utf8),
            (&["1.2.2024"], DataType::Date32),
            (&["31-Dec-2024", "1-Jan-2025"], DataType::Date32),
            (&["2024-01-01", "31/12/2024"], DataType::Utf8),
        ] {
            assert_eq!(column("c", values).data_type(), expect, "{values:?}");
        }
    }

    #[test]
    fn codes_stay_text_by_their_names() {
        for name in ["zip", "ZIP code", "office_phone", "Fax", "postalCode", "workPhone", "fips", "phone2"] {
            assert_eq!(column(name, &["35055"]).data_type(), DataType::Utf8, "{name}");
        }
        assert_eq!(column("zipped_bytes", &["35055"]).data_type(), DataType::Int64);
    }

    #[test]
    fn evidence_is_the_value_that_widened() {
        let column = column("rank", &["1", "2", "many", "3"]);
        let expect = Evidence {
            column: "rank".to_owned(),
            line: 3,
            value: "many".to_owned(),
            before: DataType::Int64,
            after: DataType::Utf8,
        };
        assert_eq!(column.widened, [expect]);
    }
}
