//! The names of the columns of delimited text: from the header line made unique and usable, or by position. The crawl
//! names columns with it and the scan finds them again with it, so the same header always gives the same names.

use std::collections::HashSet;

use tarn_catalog::name::{IDENTIFIER_BYTES_MAX, check_identifier};

/// The column names of a header line: trimmed, empty ones by position, later doubles with a number.
pub fn column_names<'a>(header: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted: Vec<String> = header.enumerate().map(|(index, field)| usable(field, index)).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut names = Vec::with_capacity(wanted.len());
    for name in &wanted {
        let mut unique = name.clone();
        let mut number = 1;
        while taken.contains(&unique) || (number > 1 && wanted.contains(&unique)) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        taken.insert(unique.clone());
        names.push(unique);
    }
    names
}

/// The names of `count` columns that have no header.
pub fn positional_names(count: usize) -> Vec<String> {
    (0..count).map(positional_name).collect()
}

/// The name of a column by its place, counted from 0.
pub fn positional_name(index: usize) -> String {
    format!("column_{}", index + 1)
}

/// The place of a column that is named for it, counted from 0.
pub fn position_named(name: &str) -> Option<usize> {
    let number: usize = name.strip_prefix("column_")?.parse().ok()?;
    number.checked_sub(1).filter(|place| positional_name(*place) == name)
}

/// A header field as a name that SQL accepts, in the case it is written in. A name that is too long is cut: nobody
/// types it, and the file cannot be asked for a shorter one.
fn usable(text: &str, index: usize) -> String {
    let refused = |char: char| check_identifier(char.encode_utf8(&mut [0; 4])).is_err();
    let mut name: String = text.trim().chars().map(|char| if refused(char) { '_' } else { char }).collect();
    // Room for the number of a name that stands there twice.
    while name.len() > IDENTIFIER_BYTES_MAX - 8 {
        name.pop();
    }
    if name.is_empty() { positional_name(index) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[&str], expect: &[&str]) {
        assert_eq!(column_names(header.iter().copied()), expect, "{header:?}");
    }

    #[test]
    fn names_are_unique_and_usable() {
        check(&["id", "Name"], &["id", "Name"]);
        check(&[" id ", "", "km/h"], &["id", "column_2", "km_h"]);
        check(&["a", "a", "a"], &["a", "a_2", "a_3"]);
        check(&["a", "a_2", "a"], &["a", "a_2", "a_3"]);
        check(&["a\nb"], &["a_b"]);
    }
}
