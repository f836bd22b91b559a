//! The differences between Tarn and PostgreSQL that are meant, each with the words of docs/postgres.md that tell it to
//! users. Two answers agree when nothing is left after these; how often each was used is counted.

use super::answer::{Answer, Cell, Column, Rows};
use std::collections::BTreeMap;
use tokio_postgres::types::Type;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// "A whole number is a bigint inside an expression": other widths, and no overflow of the narrower ones.
    WholeNumberWidth,
    /// "`sum` of bigint is a bigint".
    SumOfBigint,
    /// "Dividing numerics, and `avg`, gives 16 digits after the point": digits after them differ.
    NumericDigits,
    /// "Aggregates of one SELECT that are ordered in different ways", and what a subquery may depend on in an outer join.
    NotSupported,
    /// "The second of two changes of one row": an `UPDATE … FROM` that finds a row twice changes it once in PostgreSQL.
    RowFoundTwice,
    /// `coalesce(integer, text)` and `CASE WHEN integer` are taken, `'NaN'` is no `numeric`.
    OtherCasts,
    /// An operator between two literals of text, or a function with a qualified name: refused under another SQLSTATE.
    OtherRefusal,
    /// `varchar`, `name` and `"char"` of expressions are text.
    TextOfOtherName,
}

/// As many significant digits of a quotient or a floating-point sum must agree.
const RELATIVE: f64 = 1e-12;
/// "integer out of range", "smallint out of range" and "bigint out of range".
const OUT_OF_RANGE: &str = "22003";

/// `operator does not exist` for `operator is not unique`, `function x.c(…) does not exist` for `schema "x" does not exist`.
const OTHER_REFUSALS: [(&str, &str); 3] = [("42883", "42725"), ("42883", "3F000"), ("22007", "22008")];
/// What is refused here alone: SQLSTATE and the start of the message.
const REFUSED_HERE: [(&str, &str, Deviation); 4] = [
    ("0A000", "Conflicting ordering requirements", Deviation::NotSupported),
    ("0A000", "a subquery that depends on the row around it", Deviation::NotSupported),
    ("21000", "UPDATE command cannot affect row a second time", Deviation::RowFoundTwice),
    ("22P02", "invalid input syntax for type numeric: \"NaN\"", Deviation::OtherCasts),
];

/// Why the two are not the same, if they are not; deviations that were needed are counted.
pub fn difference(ours: &Answer, theirs: &Answer, used: &mut BTreeMap<Deviation, u64>) -> Option<String> {
    match (ours, theirs) {
        (Answer::Rows(ours), Answer::Rows(theirs)) => difference_of_rows(ours, theirs, used),
        (Answer::Refused(ours, _), Answer::Refused(theirs, _))
            if OTHER_REFUSALS.contains(&(ours.as_str(), theirs.as_str())) =>
        {
            *used.entry(Deviation::OtherRefusal).or_default() += 1;
            None
        }
        (Answer::Refused(ours, _), Answer::Refused(theirs, _)) => {
            (ours != theirs).then(|| format!("SQLSTATE {ours}, expected {theirs}"))
        }
        (Answer::Rows(_), Answer::Refused(sqlstate, message))
            if sqlstate == OUT_OF_RANGE
                && (message.starts_with("integer") || message.starts_with("smallint")) =>
        {
            *used.entry(Deviation::WholeNumberWidth).or_default() += 1;
            None
        }
        (Answer::Rows(_), Answer::Refused(sqlstate, message))
            if sqlstate == "42804"
                && (message.starts_with("COALESCE") || message.starts_with("argument of CASE")) =>
        {
            *used.entry(Deviation::OtherCasts).or_default() += 1;
            None
        }
        (Answer::Refused(sqlstate, message), Answer::Rows(_)) => {
            let listed =
                REFUSED_HERE.iter().find(|(state, start, _)| state == sqlstate && message.starts_with(start));
            match listed {
                Some((_, _, deviation)) => {
                    *used.entry(*deviation).or_default() += 1;
                    None
                }
                None => Some("refused".to_string()),
            }
        }
        (Answer::Lost(reason), _) => Some(format!("the connection is lost: {reason}")),
        (Answer::Refused(..), _) => Some("refused".to_string()),
        _ => Some("not refused".to_string()),
    }
}

fn difference_of_rows(ours: &Rows, theirs: &Rows, used: &mut BTreeMap<Deviation, u64>) -> Option<String> {
    if ours.columns.len() != theirs.columns.len() {
        return Some("another number of columns".to_string());
    }
    for (our_column, their_column) in ours.columns.iter().zip(&theirs.columns) {
        if our_column.name != their_column.name {
            return Some(format!("column \"{}\", expected \"{}\"", our_column.name, their_column.name));
        }
        if our_column.kind != their_column.kind {
            match deviation_of_type(our_column, their_column) {
                Some(deviation) => *used.entry(deviation).or_default() += 1,
                None => {
                    return Some(format!(
                        "column \"{}\" is {}, expected {}",
                        our_column.name, our_column.kind, their_column.kind
                    ));
                }
            }
        }
    }
    if ours.count != theirs.count || ours.rows.len() != theirs.rows.len() {
        return Some(format!("{} rows, expected {}", ours.count, theirs.count));
    }
    for (place, (our_row, their_row)) in ours.rows.iter().zip(&theirs.rows).enumerate() {
        let cells = our_row.iter().zip(their_row).zip(&theirs.columns);
        for ((our_cell, their_cell), column) in cells {
            if our_cell == their_cell {
                continue;
            }
            if !is_same_number(our_cell, their_cell, &column.kind) {
                let shown = |cell: &Cell| cell.clone().unwrap_or_else(|| "NULL".to_string());
                let (ours, theirs) = (shown(our_cell), shown(their_cell));
                return Some(format!("row {place}, \"{}\": {ours}, expected {theirs}", column.name));
            }
            *used.entry(Deviation::NumericDigits).or_default() += 1;
        }
    }
    None
}

fn deviation_of_type(ours: &Column, theirs: &Column) -> Option<Deviation> {
    let is_whole = |kind: &Type| [Type::INT2, Type::INT4, Type::INT8].contains(kind);
    let is_text =
        |kind: &Type| [Type::TEXT, Type::VARCHAR, Type::NAME, Type::CHAR, Type::BPCHAR].contains(kind);
    match (&ours.kind, &theirs.kind) {
        (ours, theirs) if is_whole(ours) && is_whole(theirs) => Some(Deviation::WholeNumberWidth),
        (ours, &Type::NUMERIC) if *ours == Type::INT8 => Some(Deviation::SumOfBigint),
        (ours, theirs) if is_text(ours) && is_text(theirs) => Some(Deviation::TextOfOtherName),
        (&Type::INT8_ARRAY, &Type::INT4_ARRAY) => Some(Deviation::WholeNumberWidth),
        _ => None,
    }
}

/// Of floating-point and numeric columns; all others must be the same to the letter.
fn is_same_number(ours: &Cell, theirs: &Cell, kind: &Type) -> bool {
    if ![Type::FLOAT4, Type::FLOAT8, Type::NUMERIC].contains(kind) {
        return false;
    }
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return false };
    let (Ok(ours), Ok(theirs)) = (ours.parse::<f64>(), theirs.parse::<f64>()) else { return false };
    (ours - theirs).abs() <= RELATIVE * theirs.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(kind: Type, cell: &str) -> Answer {
        let columns = vec![Column { name: "x".to_string(), kind }];
        Answer::Rows(Rows { columns, rows: vec![vec![Some(cell.to_string())]], count: 1 })
    }

    fn refused(sqlstate: &str, message: &str) -> Answer {
        Answer::Refused(sqlstate.to_string(), message.to_string())
    }

    #[test]
    fn only_listed_differences_pass() {
        let mut used = BTreeMap::new();
        let mut differ = |ours: &Answer, theirs: &Answer| difference(ours, theirs, &mut used).is_some();
        assert!(!differ(&rows(Type::INT8, "1"), &rows(Type::INT4, "1")));
        assert!(!differ(
            &rows(Type::NUMERIC, "0.3333333333333333"),
            &rows(Type::NUMERIC, "0.33333333333333333333")
        ));
        assert!(!differ(&rows(Type::INT8, "3000000000"), &refused("22003", "integer out of range")));
        assert!(differ(&rows(Type::NUMERIC, "0.3334"), &rows(Type::NUMERIC, "0.3333")));
        assert!(differ(&rows(Type::TEXT, "1.0"), &rows(Type::TEXT, "1.00")));
        assert!(differ(&rows(Type::INT8, "1"), &rows(Type::FLOAT8, "1")));
        assert!(differ(&refused("42703", ""), &refused("42P01", "")));
        assert!(differ(&rows(Type::INT8, "1"), &refused("22012", "division by zero")));
        assert!(differ(&refused("0A000", ""), &rows(Type::INT8, "1")));
        assert!(!differ(
            &refused("21000", "UPDATE command cannot affect row a second time"),
            &rows(Type::INT8, "1")
        ));
        assert_eq!(used.len(), 3);
    }
}
