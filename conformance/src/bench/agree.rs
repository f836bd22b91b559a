//! When are two results equal? Cell by cell, numbers within a relative tolerance, everything else as text. The engines
//! differ in the scale they give to averages and in how they write a decimal, and that is allowed; nothing else is.
//! Rows are compared in the order they came and, because ties may be ordered either way, once more sorted.

use super::engines::Rows;

/// Averages of decimals differ in their last digits: DataFusion gives decimal(19,6), DuckDB a double. The sixth digit
/// after the point of a small one is cut off, so the same figure is the absolute tolerance too.
const TOLERANCE: f64 = 1e-6;

/// What differs, in words; None when the results are equal.
pub fn difference(left_name: &str, left: &Rows, right_name: &str, right: &Rows) -> Option<String> {
    if left.len() != right.len() {
        return Some(format!("{left_name} has {} rows, {right_name} {}", left.len(), right.len()));
    }
    let first = first_difference(left, right)?;
    let (sorted_left, sorted_right) = (sorted(left), sorted(right));
    first_difference(&sorted_left, &sorted_right)?;
    Some(format!("row {first}: {left_name} has {:?}, {right_name} {:?}", left[first], right[first]))
}

fn first_difference(left: &Rows, right: &Rows) -> Option<usize> {
    left.iter().zip(right).position(|(left, right)| {
        left.len() != right.len() || left.iter().zip(right).any(|(left, right)| !equal(left, right))
    })
}

fn equal(left: &Option<String>, right: &Option<String>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) if left == right => true,
        (Some(left), Some(right)) => match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => (left - right).abs() <= TOLERANCE * left.abs().max(right.abs()).max(1.0),
            _ => false,
        },
        _ => false,
    }
}

/// Sorted by what is the same in every engine: text first, numbers rounded.
fn sorted(rows: &Rows) -> Rows {
    let key = |row: &Vec<Option<String>>| -> Vec<String> {
        let cell = |cell: &Option<String>| match cell.as_deref().map(|text| (text, text.parse::<f64>())) {
            None => String::new(),
            Some((_, Ok(number))) => format!("{number:.2}"),
            Some((text, Err(_))) => text.to_string(),
        };
        row.iter().map(cell).collect()
    };
    let mut sorted = rows.clone();
    sorted.sort_by_key(key);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Rows {
        let cell = |text: &&str| (*text != "NULL").then(|| text.to_string());
        rows.iter().map(|row| row.iter().map(cell).collect()).collect()
    }

    fn differ(left: &[&[&str]], right: &[&[&str]]) -> bool {
        difference("a", &rows(left), "b", &rows(right)).is_some()
    }

    #[test]
    fn the_same_numbers_may_be_written_differently() {
        assert!(!differ(&[&["1.50", "x"]], &[&["1.5", "x"]]));
        assert!(!differ(&[&["25.522006"]], &[&["25.522005853257337"]]));
        assert!(!differ(&[&["0.050081"]], &[&["0.05008133906964238"]]));
        assert!(!differ(&[&["1", "a"], &["1", "b"]], &[&["1", "b"], &["1", "a"]]));
    }

    #[test]
    fn a_wrong_result_is_found() {
        assert!(differ(&[&["1.50"]], &[&["1.51"]]));
        assert!(differ(&[&["a"]], &[&["b"]]));
        assert!(differ(&[&["NULL"]], &[&["0"]]));
        assert!(differ(&[&["1"]], &[&["1"], &["1"]]));
        assert!(differ(&[&["1", "2"]], &[&["1"]]));
        assert!(differ(&[&["1"], &["1"]], &[&["1"], &["2"]]));
    }
}
