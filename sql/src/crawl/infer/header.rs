//! Whether the first record of a table names its columns, by votes: each column compares the first value with those
//! below it. It sees texts only; it must never choose a type.

use std::collections::HashSet;

use crate::files::dates::looks_temporal;
use crate::files::values::is_null_word;

/// Rows that vote.
const ROWS_MAX: usize = 1000;
/// A column has a shape when at least this part of its values has it.
const SHAPED_MIN: f64 = 0.9;
/// What passes for a year in a header of years.
const YEARS: std::ops::RangeInclusive<i64> = 1500..=2200;
/// So many values in ascending order, the first line's among them, are a list without a header.
const SORTED_MIN: usize = 8;
/// Words that name columns, in lower case.
const NAMES: [&str; 58] = [
    "id",
    "name",
    "names",
    "date",
    "time",
    "datetime",
    "timestamp",
    "year",
    "month",
    "day",
    "type",
    "code",
    "value",
    "country",
    "city",
    "state",
    "region",
    "address",
    "email",
    "phone",
    "title",
    "description",
    "category",
    "status",
    "gender",
    "sex",
    "age",
    "price",
    "amount",
    "quantity",
    "count",
    "total",
    "lat",
    "lon",
    "lng",
    "latitude",
    "longitude",
    "url",
    "link",
    "user",
    "username",
    "text",
    "label",
    "class",
    "score",
    "rank",
    "group",
    "key",
    "number",
    "index",
    "comment",
    "notes",
    "source",
    "target",
    "first_name",
    "last_name",
    "firstname",
    "lastname",
];

/// The decision about a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub header: bool,
    /// Values speak for it; otherwise it is a guess, which the other files of a folder may turn round.
    pub sure: bool,
    pub reason: String,
}

impl Verdict {
    pub fn sure(header: bool, reason: impl Into<String>) -> Verdict {
        Verdict { header, sure: true, reason: reason.into() }
    }

    fn guess(header: bool, reason: impl Into<String>) -> Verdict {
        Verdict { header, sure: false, reason: reason.into() }
    }
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A number, a date, a time, an amount, a telephone number.
    Digits,
    Truth,
}

/// Whether a text is words, neither a number nor a date nor a truth value.
pub fn untyped(text: &str) -> bool {
    shape(text).is_none()
}

fn shape(text: &str) -> Option<Shape> {
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return Some(Shape::Truth);
    }
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let marks = |char: char| char.is_ascii_digit() || "+-.,:/()% '$€£¥".contains(char);
    let plain = text.chars().all(marks);
    let exponent = || text.parse::<f64>().is_ok() || hexadecimal(text);
    (plain || exponent() || looks_temporal(text)).then_some(Shape::Digits)
}

fn hexadecimal(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The votes of one column, or of all of them together.
#[derive(Debug, Default)]
struct Votes {
    /// The first value is unlike the others, which have a shape.
    unlike: usize,
    /// The first value has the shape of the others.
    like: usize,
    /// Weaker signs: the texts differ in length or in having digits, or the first is a word that names columns.
    unlike_text: usize,
    /// The first value stands below again, or is of the same kind as the codes there.
    like_text: usize,
}

/// Whether the first of the records names the columns.
pub fn names_columns(records: &[Vec<String>]) -> Verdict {
    let Some((first, rest)) = records.split_first() else {
        return Verdict::sure(false, "there are no lines");
    };
    if numbered_header(first, rest) {
        return Verdict::sure(true, "the first line has years or numbers in a row as names");
    }
    if names_all_but_the_first(first, rest) {
        return Verdict::sure(true, "the first line has a name for every column but the first");
    }
    let rest: Vec<&Vec<String>> = rest.iter().filter(|record| *record != first).take(ROWS_MAX).collect();
    let mut votes = Votes::default();
    (0..first.len()).for_each(|column| vote(first, &rest, column, &mut votes));
    let Votes { unlike, like, unlike_text, like_text } = votes;
    let fractions = first.iter().filter(|field| field.contains('.') && shape(field.trim()).is_some()).count();
    if unlike > 0 && !(like > unlike && fractions > 0) {
        return Verdict::sure(true, format!("{unlike} of {} columns have values unlike it", first.len()));
    }
    if like > 0 {
        return Verdict::sure(false, format!("{like} of {} columns go on as it begins", first.len()));
    }
    without_shapes(first, &rest, unlike_text, like_text)
}

fn vote(first: &[String], rest: &[&Vec<String>], column: usize, votes: &mut Votes) {
    let name = first[column].trim();
    let values = rest.iter().filter_map(|record| record.get(column)).map(|field| field.trim());
    let values: Vec<&str> = values.filter(|value| !value.is_empty() && !is_null_word(value)).collect();
    if name.is_empty() || values.is_empty() || is_null_word(name) {
        return;
    }
    let part = |count: usize| count as f64 / values.len() as f64 >= SHAPED_MIN;
    for wanted in [Shape::Digits, Shape::Truth] {
        if part(values.iter().filter(|value| shape(value) == Some(wanted)).count()) {
            let same = shape(name) == Some(wanted);
            *(if same { &mut votes.like } else { &mut votes.unlike }) += 1;
            return;
        }
    }
    let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let length = values[0].chars().count();
    let one_length = values.len() > 2 && values.iter().all(|value| value.chars().count() == length);
    let coded = part(values.iter().filter(|value| has_digit(value)).count());
    let known = NAMES.contains(&name.to_lowercase().replace(' ', "_").as_str());
    if values.contains(&name) || (coded && one_length && has_digit(name) && name.chars().count() == length) {
        votes.like_text += 1;
    } else if (coded && !has_digit(name)) || (one_length && name.chars().count() != length) || known {
        votes.unlike_text += 1;
    }
}

/// The decision where no column has a shape, or the first line is all there is.
fn without_shapes(first: &[String], rest: &[&Vec<String>], unlike: usize, like: usize) -> Verdict {
    let fields = || first.iter().map(|field| field.trim());
    if fields().any(|field| shape(field).is_some()) && unlike == 0 {
        return Verdict::guess(false, "it has numbers or dates");
    }
    if like > unlike {
        return Verdict::guess(false, format!("in {like} columns its value stands below again"));
    }
    if unlike > 0 {
        return Verdict::guess(true, format!("{unlike} of {} columns have texts unlike it", first.len()));
    }
    let names: HashSet<&str> = fields().filter(|field| !field.is_empty()).collect();
    if names.len() < fields().filter(|field| !field.is_empty()).count() {
        return Verdict::guess(false, "it has the same text twice");
    }
    if names.is_empty() || sorted(first, rest) {
        return Verdict::guess(false, "it is the first of the values");
    }
    Verdict::guess(true, "all is text, and its texts differ")
}

/// Whether a list of one column is in ascending order from its first line on.
fn sorted(first: &[String], rest: &[&Vec<String>]) -> bool {
    let all = std::iter::once(first).chain(rest.iter().map(|record| record.as_slice()));
    let words: Vec<String> =
        all.filter_map(|record| record.first()).map(|field| field.trim().to_lowercase()).collect();
    first.len() == 1 && words.len() >= SORTED_MIN && words.windows(2).all(|pair| pair[0] < pair[1])
}

/// What R and pandas write: the rows have names, and their column has none.
fn names_all_but_the_first(first: &[String], rest: &[Vec<String>]) -> bool {
    let filled = |field: &String| !field.trim().is_empty();
    let below = rest.iter().take(ROWS_MAX).filter_map(|record| record.first());
    first.len() > 1
        && !filled(&first[0])
        && first[1..].iter().all(filled)
        && !rest.is_empty()
        && below.into_iter().all(filled)
}

/// Numbers as names: a pivoted table has years (`country,2019,2020`), and a matrix the numbers of its columns.
fn numbered_header(first: &[String], rest: &[Vec<String>]) -> bool {
    let number = |text: &String| text.trim().parse::<i64>().ok();
    let numbers: Vec<(usize, i64)> =
        first.iter().enumerate().filter_map(|(column, field)| Some((column, number(field)?))).collect();
    let words = first.iter().filter(|field| number(field).is_none());
    let others_are_names = words.clone().all(|field| untyped(field.trim()));
    let step = |step: i64| numbers.windows(2).all(|pair| pair[0].1 + step == pair[1].1);
    let rises = numbers.windows(2).all(|pair| pair[0].1 < pair[1].1);
    let falls = numbers.windows(2).all(|pair| pair[0].1 > pair[1].1);
    let years = numbers.iter().all(|(_, number)| YEARS.contains(number));
    let below = |unlike: &dyn Fn(&String) -> bool| {
        let values = rest.iter().flat_map(|record| numbers.iter().filter_map(|(c, _)| record.get(*c)));
        values.filter(|field| !field.trim().is_empty()).any(unlike)
    };
    let not_years = |field: &String| number(field).is_none_or(|number| !YEARS.contains(&number));
    let not_whole = |field: &String| number(field).is_none();
    let of_years =
        years && numbers.len() >= 2 && numbers.len() < first.len() && (rises || falls) && below(&not_years);
    let counted = numbers.len() >= 3 && step(1) && matches!(numbers[0].1, 0 | 1);
    let of_places = counted && (below(&not_whole) || numbers.len() >= 6 && words.count() > 0);
    others_are_names && !numbers.is_empty() && (of_years || of_places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: bool, sure: bool) {
        let records: Vec<Vec<String>> =
            text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
        let found = names_columns(&records);
        assert_eq!((found.header, found.sure), (expect, sure), "{text:?}: {}", found.reason);
    }

    #[test]
    fn headers_are_told_by_the_values_below() {
        check("id,name\n1,x\n2,y", true, true);
        check("1,x\n2,y", false, true);
        check("2024-01-01,a\n2024-01-02,b", false, true);
        check("date,a\n3/4/2024,b\n5/4/2024,c", true, true);
        check("amount\n$5\n$1", true, true);
        check("name,city\nann,berlin\nbob,rome", true, false);
        check("male,yes\nfemale,no\nmale,no", false, false);
        check("ann,ann\nbob,rome", false, false);
        check("code\nA12\nB07", true, false);
        check("A11,x\nA12,y\nB07,z\nC09,w", false, false);
        check("name\nann\nbob", true, false);
        check("ant\nbee\ncat\ndog\nelk\nfox\ngnu\nhen", false, false);
        check("country,2019,2020\nDE,5,7\nFR,6,8", true, true);
        check("country,1990,2000,2010\nDE,5,7,8\nFR,6,8,9", true, true);
        check("5,2019,2020\n6,2020,2021", false, true);
        check(",0,1,2\na,0.5,0.1,0.2", true, true);
        check("a,b", true, false);
        check("1,2", false, false);
        check(",name\n0,x\n1,y", true, true);
        check(",0,1\n0,27,29\n1,59,53", true, true);
        check("5.1,3.5,?,setosa\n4.9,3.0,1.4,setosa", false, true);
    }
}
