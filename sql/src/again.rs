//! Doing a statement again when others were first. A statement that commits by itself has told nobody anything when its
//! commit meets a conflict, so it can begin anew on the newest version: two writers that meet take turns, and upkeep
//! that moves rows about makes no writer fail. In a transaction of several statements the client has seen what it read,
//! so there the conflict is the client's to hear. It must never know what a statement does.

use std::time::Duration;

use tarn_catalog::env::Env;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// How often a statement is begun at most.
const ATTEMPTS_MAX: u32 = 40;

/// The longest pause before the second attempt; it doubles from attempt to attempt.
const FIRST_PAUSE_MS: u64 = 4;

/// The longest pause of all.
const PAUSE_MS_MAX: u64 = 60;

/// The attempts at one statement.
#[derive(Debug)]
pub(crate) struct Attempts {
    made: u32,
}

impl Attempts {
    pub fn first() -> Attempts {
        Attempts { made: 1 }
    }

    /// How long to wait before the statement is begun again, or None when its error is final. The pause is random, so
    /// that those who met once do not meet again.
    pub fn pause(&mut self, error: &Error, env: &dyn Env) -> Option<Duration> {
        if error.sqlstate != SqlState::SERIALIZATION_FAILURE || self.made >= ATTEMPTS_MAX {
            return None;
        }
        let longest = FIRST_PAUSE_MS.saturating_mul(1 << self.made.min(16)).min(PAUSE_MS_MAX);
        self.made += 1;
        let mut random = [0; 2];
        env.random(&mut random);
        Some(Duration::from_millis(u64::from(u16::from_be_bytes(random)) % longest))
    }
}

#[cfg(test)]
mod tests {
    use tarn_catalog::env::SeededEnv;

    use super::*;

    #[test]
    fn only_conflicts_are_tried_again_and_not_for_ever() {
        let env = SeededEnv::new(7);
        let conflict = Error::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access");
        assert_eq!(Attempts::first().pause(&Error::new(SqlState::DIVISION_BY_ZERO, ""), &env), None);
        let mut attempts = Attempts::first();
        let pauses: Vec<Duration> = std::iter::from_fn(|| attempts.pause(&conflict, &env)).collect();
        assert_eq!(pauses.len(), ATTEMPTS_MAX as usize - 1);
        assert!(pauses.iter().all(|pause| *pause < Duration::from_millis(PAUSE_MS_MAX)));
    }
}
