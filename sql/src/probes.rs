//! Questions of clients that nothing here answers: queries of the system catalogs that failed because a relation, a column
//! or a function is not there. They are kept so that an operator can see what a tool misses, and are gone with the process.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// As many are kept; the oldest go.
const PROBES_MAX: usize = 1_000;
/// As much is kept of the text of each, bytes.
const QUERY_BYTES_MAX: usize = 8_192;

/// One question without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub role: String,
    pub application_name: String,
    pub sqlstate: &'static str,
    pub message: String,
    pub query: String,
}

/// The newest questions.
#[derive(Debug, Default)]
pub struct Probes(Mutex<VecDeque<Probe>>);

impl Probes {
    pub fn record(&self, mut probe: Probe) {
        if let Some(end) =
            (0..=QUERY_BYTES_MAX.min(probe.query.len())).rev().find(|end| probe.query.is_char_boundary(*end))
        {
            probe.query.truncate(end);
        }
        let mut probes = self.0.lock();
        if probes.len() == PROBES_MAX {
            probes.pop_front();
        }
        probes.push_back(probe);
    }

    /// Oldest first.
    pub fn all(&self) -> Vec<Probe> {
        self.0.lock().iter().cloned().collect()
    }
}

/// Whether a statement that failed has asked the system catalogs for what they do not have.
pub fn is_unhandled(error: &Error, query: &str) -> bool {
    let unanswered = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::FEATURE_NOT_SUPPORTED,
    ];
    unanswered.contains(&error.sqlstate) && names_catalog(query)
}

/// Whether a word of the text is a schema of the catalogs, or begins as their relations and functions do.
fn names_catalog(query: &str) -> bool {
    let words = query.split(|character: char| !character.is_alphanumeric() && character != '_');
    let mut words = words.map(str::to_ascii_lowercase);
    words.any(|word| word == "information_schema" || word.starts_with("pg_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(query: String) -> Probe {
        let (role, application_name, message) = ("r".to_owned(), "a".to_owned(), "m".to_owned());
        Probe { at_ms: 1, role, application_name, sqlstate: "42P01", message, query }
    }

    #[test]
    fn the_newest_are_kept_and_long_ones_cut() {
        let probes = Probes::default();
        for number in 0..PROBES_MAX + 5 {
            probes.record(probe(number.to_string()));
        }
        let all = probes.all();
        assert_eq!((all.len(), all[0].query.as_str()), (PROBES_MAX, "5"));
        probes.record(probe("ä".repeat(QUERY_BYTES_MAX)));
        let longest = probes.all().pop().map(|probe| probe.query.len());
        assert_eq!(longest, Some(QUERY_BYTES_MAX));
        probes.record(probe(format!("a{}", "ä".repeat(QUERY_BYTES_MAX))));
        let longest = probes.all().pop().map(|probe| probe.query.len());
        assert_eq!(longest, Some(QUERY_BYTES_MAX - 1));
    }

    #[test]
    fn only_what_the_catalogs_lack_counts() {
        let check = |sqlstate, query: &str, expect: bool| {
            assert_eq!(is_unhandled(&Error::new(sqlstate, "no"), query), expect, "{query}");
        };
        check(SqlState::UNDEFINED_TABLE, "SELECT * FROM pg_catalog.pg_never", true);
        check(SqlState::UNDEFINED_COLUMN, "SELECT never FROM INFORMATION_SCHEMA.tables", true);
        check(SqlState::UNDEFINED_FUNCTION, "SELECT Pg_Never(1)", true);
        check(SqlState::UNDEFINED_TABLE, "SELECT * FROM my_pg_table", false);
        check(SqlState::SYNTAX_ERROR, "SELECT FROM pg_class WHERE", false);
    }
}
