//! The names of new tables: from what they are called for, made different where two would be equal. The same files
//! get the same names whatever their order. Pure. Next: `plan.rs`.

use std::collections::{HashMap, HashSet};

use tarn_catalog::name::IDENTIFIER_BYTES_MAX;

use super::group::Candidate;

/// A name in lower case, all but letters and digits as `_`, that does not start with a digit.
pub fn table_name(called: &str) -> String {
    let lower = called.to_lowercase();
    let mut name: String =
        lower.chars().map(|char| if char.is_alphanumeric() || char == '_' { char } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|char: char| char.is_numeric()) {
        name.insert(0, '_');
    }
    while name.len() > IDENTIFIER_BYTES_MAX {
        name.pop();
    }
    name
}

/// A name for each candidate, all with the same beginning, unlike each other and unlike `taken`: as it is called; where that is not enough, with
/// its format; then with the folders above it; then with a number.
pub fn table_names(candidates: &[&Candidate], prefix: &str, taken: &HashSet<String>) -> Vec<String> {
    let wishes: Vec<Vec<String>> = candidates.iter().map(|candidate| wishes(candidate, prefix)).collect();
    let mut chosen = vec![0; candidates.len()];
    loop {
        let names: Vec<&String> = wishes.iter().zip(&chosen).map(|(wishes, level)| &wishes[*level]).collect();
        let mut counts: HashMap<&String, usize> = HashMap::new();
        names.iter().for_each(|name| *counts.entry(name).or_default() += 1);
        let clashes =
            |name: &String| counts.get(name).is_some_and(|count| *count > 1) || taken.contains(name);
        let rising: Vec<usize> = (0..names.len())
            .filter(|index| clashes(names[*index]) && chosen[*index] + 1 < wishes[*index].len())
            .collect();
        if rising.is_empty() {
            return numbered(names.into_iter().cloned().collect(), taken);
        }
        rising.into_iter().for_each(|index| chosen[index] += 1);
    }
}

/// Names for one candidate, each more exact than the one before.
fn wishes(candidate: &Candidate, prefix: &str) -> Vec<String> {
    let table_name = |called: &str| match prefix {
        "" => table_name(called),
        prefix => table_name(&format!("{prefix}{}", table_name(called).trim_start_matches('_'))),
    };
    let mut called = candidate.called.clone();
    let mut wishes = vec![table_name(&called), table_name(&format!("{called}_{}", candidate.suffix))];
    for folder in &candidate.above {
        called = format!("{folder}_{called}");
        wishes.push(table_name(&called));
        wishes.push(table_name(&format!("{called}_{}", candidate.suffix)));
    }
    wishes
}

/// Numbers for what is still not different.
fn numbered(names: Vec<String>, taken: &HashSet<String>) -> Vec<String> {
    let mut used: HashSet<String> = taken.clone();
    let mut result = Vec::with_capacity(names.len());
    for name in names {
        let mut number = 1;
        let mut unique = name.clone();
        while used.contains(&unique) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        used.insert(unique.clone());
        result.push(unique);
    }
    result
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;
    use tarn_catalog::object::FileFormat;

    use super::*;

    fn candidate(path: &str) -> Candidate {
        let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
        let (called, suffix) = file.split_once('.').unwrap_or((file, "csv"));
        Candidate {
            called: called.to_owned(),
            above: folders.split('/').rev().filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            suffix: suffix.to_owned(),
            location: path.to_owned(),
            pattern: None,
            format: FileFormat::Parquet,
            schema: Schema::empty(),
            date_columns: Vec::new(),
            files: 1,
            bytes: 1,
            rows: 1,
            partly: 0,
            guesses: 0,
            decisions: Vec::new(),
            evidence: Vec::new(),
            of_table: None,
        }
    }

    fn check(paths: &[&str], taken: &[&str], expect: &[&str]) {
        let candidates: Vec<Candidate> = paths.iter().map(|path| candidate(path)).collect();
        let taken = taken.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(table_names(&candidates.iter().collect::<Vec<_>>(), "", &taken), expect, "{paths:?}");
        let reversed: Vec<&Candidate> = candidates.iter().rev().collect();
        let mut names = table_names(&reversed, "", &taken);
        names.reverse();
        if !expect.iter().any(|name| name.ends_with("_2")) {
            assert_eq!(names, expect, "{paths:?} in the other order");
        }
    }

    #[test]
    fn names_are_in_lower_case_without_other_characters() {
        for (called, expect) in [
            ("Legislators-Current", "legislators_current"),
            ("2024 sales", "_2024_sales"),
            ("Größe", "größe"),
            ("a.b", "a_b"),
            ("", "_"),
        ] {
            assert_eq!(table_name(called), expect, "{called:?}");
        }
        assert!(table_name(&"é".repeat(300)).len() <= IDENTIFIER_BYTES_MAX);
    }

    #[test]
    fn equal_names_become_different() {
        check(&["a.csv", "b.csv"], &[], &["a", "b"]);
        check(&["a.csv", "a.json", "b.csv"], &[], &["a_csv", "a_json", "b"]);
        check(&["eu/a.csv", "us/a.csv"], &[], &["eu_a", "us_a"]);
        check(&["eu/a.csv", "us/a.csv", "eu/a.json"], &[], &["eu_a", "us_a", "a_json"]);
        check(&["a.csv"], &["a"], &["a_csv"]);
        check(&["a.csv"], &["a", "a_csv"], &["a_csv_2"]);
        check(&["a-b.csv", "a b.csv"], &[], &["a_b_csv", "a_b_csv_2"]);
    }
}
