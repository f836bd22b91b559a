//! The delimiter of a text file and whether its first line names the columns, by votes over its first records. It
//! must never choose a type.

use std::collections::{HashMap, HashSet};

use super::kinds::Kinds;
use crate::files::csv::{Dialect, Record, RecordReader, Step};

/// What delimits fields, in the order of preference among equals.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Records looked at.
const RECORDS_MAX: usize = 1000;
/// A delimiter is one only if at least this part of the records has the same number of fields.
const CONSISTENCY_MIN: f64 = 0.5;
/// What passes for a year in a header of years.
const YEARS: std::ops::RangeInclusive<i64> = 1800..=2200;

/// The delimiter that splits most records into the same number of fields, more than one; by the promise of the
/// extension (`tsv`) or a comma when none does.
pub fn delimiter(sample: &[u8], whole: bool, quote: u8, extension: &str) -> u8 {
    let promised = match extension {
        "tsv" | "tab" => b'\t',
        "psv" => b'|',
        _ => b',',
    };
    let mut best = (promised, 0.0, 1);
    for delimiter in DELIMITERS {
        let records = first_records(sample, whole, Dialect { delimiter, quote });
        let (width, consistency) = modal_width(&records);
        if width < 2 || consistency < CONSISTENCY_MIN {
            continue;
        }
        if delimiter == promised && extension != "csv" && promised != b',' {
            return promised;
        }
        if consistency > best.1 || (consistency == best.1 && width > best.2) {
            best = (delimiter, consistency, width);
        }
    }
    best.0
}

/// The first records of a sample; one that is cut off at the end is left out unless the sample is `whole`.
pub fn first_records(sample: &[u8], whole: bool, dialect: Dialect) -> Vec<Vec<String>> {
    let mut reader = RecordReader::new(dialect);
    let mut record = Record::default();
    let mut records = Vec::new();
    let mut at = 0;
    while records.len() < RECORDS_MAX {
        match reader.read(&sample[at..], whole, &mut record) {
            Ok(Step::Record(length)) => {
                at += length;
                records
                    .push(record.fields().map(|field| String::from_utf8_lossy(field).into_owned()).collect());
            }
            Ok(Step::More | Step::End) | Err(_) => break,
        }
    }
    records
}

/// The most frequent number of fields and the part of the records that has it.
fn modal_width(records: &[Vec<String>]) -> (usize, f64) {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for record in records {
        *counts.entry(record.len()).or_default() += 1;
    }
    let modal = counts.into_iter().max_by_key(|(width, count)| (*count, *width));
    modal.map_or((0, 0.0), |(width, count)| (width, count as f64 / records.len() as f64))
}

/// Whether the first of the records names the columns. A column whose other values have a type votes: for a header if
/// the first value does not fit it, against if it does. Without votes, a header is what has a different text
/// in every field and no number or date.
pub fn has_header(records: &[Vec<String>]) -> bool {
    let Some((first, rest)) = records.split_first() else { return false };
    if header_of_years(first, rest) {
        return true;
    }
    let votes: i64 = (0..first.len()).map(|column| vote(first, rest, column)).sum();
    if votes != 0 {
        return votes > 0;
    }
    let names: HashSet<&str> = first.iter().map(|field| field.trim()).collect();
    let typed = first.iter().any(|field| Kinds::of(field.trim(), Kinds::ANY) != Kinds::NONE);
    !typed && names.len() == first.len() && !(names.contains("") && first.len() == 1)
}

fn vote(first: &[String], rest: &[Vec<String>], column: usize) -> i64 {
    let name = first[column].trim();
    let values = rest.iter().filter_map(|record| record.get(column)).map(|field| field.trim());
    let mut values = values.filter(|value| !value.is_empty()).peekable();
    if name.is_empty() || values.peek().is_none() {
        return 0;
    }
    let kinds = values.fold(Kinds::ANY, |kinds, value| Kinds::of(value, kinds));
    match (kinds, Kinds::of(name, kinds)) {
        (Kinds::NONE, _) => 0,
        (_, Kinds::NONE) => 1,
        _ => -1,
    }
}

/// A pivoted table has years as names: `country,2019,2020,2021` over rows of other numbers.
fn header_of_years(first: &[String], rest: &[Vec<String>]) -> bool {
    let year = |text: &String| text.trim().parse().ok().filter(|year| YEARS.contains(year));
    let years: Vec<(usize, i64)> =
        first.iter().enumerate().filter_map(|(column, field)| Some((column, year(field)?))).collect();
    let rises = years.windows(2).all(|pair| pair[0].1 + 1 == pair[1].1);
    let falls = years.windows(2).all(|pair| pair[0].1 == pair[1].1 + 1);
    let others_are_names =
        first.iter().filter(|field| year(field).is_none()).all(|field| field.parse::<f64>().is_err());
    let not_years_below = rest.iter().any(|record| {
        years.iter().any(|(column, _)| record.get(*column).is_some_and(|field| year(field).is_none()))
    });
    years.len() >= 2 && years.len() < first.len() && (rises || falls) && others_are_names && not_years_below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, extension: &str, expect_delimiter: char, expect_header: bool) {
        let found = delimiter(text.as_bytes(), true, b'"', extension);
        assert_eq!(char::from(found), expect_delimiter, "{text:?}");
        let records = first_records(text.as_bytes(), true, Dialect { delimiter: found, quote: b'"' });
        assert_eq!(has_header(&records), expect_header, "{text:?}");
    }

    #[test]
    fn delimiters_and_headers_are_found() {
        check("id,name\n1,x\n2,y\n", "csv", ',', true);
        check("id;price\n1;2,5\n2;3,5\n", "csv", ';', true);
        check("id\tname\n1\ta, b\n2\tc\n", "tsv", '\t', true);
        check("id\tname\n1\ta\n", "csv", '\t', true);
        check("id|name\n1|a\n", "txt", '|', true);
        check("1,x\n2,y\n", "csv", ',', false);
        check("2024-01-01,a\n2024-01-02,b\n", "csv", ',', false);
        check("name,city\nann,berlin\nbob,rome\n", "csv", ',', true);
        check("ann,ann\nbob,rome\n", "csv", ',', false);
        check("name\nann\nbob\n", "csv", ',', true);
        check("\"a,b\",c\n\"d,e\",f\n", "csv", ',', true);
        check("country,2019,2020\nDE,5,7\nFR,6,8\n", "csv", ',', true);
        check("5,2019,2020\n6,2020,2021\n", "csv", ',', false);
        check("a,b\n", "csv", ',', true);
        check("1,2\n", "csv", ',', false);
        check(",name\n0,x\n1,y\n", "csv", ',', true);
    }
}
