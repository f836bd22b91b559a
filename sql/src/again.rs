//! Doing a statement again when others were first. A statement that commits by itself has told nobody anything when its
//! commit meets a conflict, so it can begin anew on the newest version: two writers that meet both get on, and upkeep
//! that moves rows about makes no writer fail. In a transaction of several statements the client has seen what it read,
//! so there the conflict is the client's to hear. Whoever has lost again is done in the turn of its table, so that every
//! writer gets on (`catalog/src/commit/turn.rs`). It must never know what a statement does.

use std::time::Duration;

use tarn_catalog::env::Env;

use crate::error::Error;
use crate::sqlstate::SqlState;

/// How often a statement is begun at most.
const ATTEMPTS_MAX: u32 = 40;

/// So many attempts are made while others commit as they like. It costs nobody anything, and mostly it is enough.
const FREE_ATTEMPTS: u32 = 2;

/// The longest pause before an attempt that others may disturb, milliseconds.
const PAUSE_MS_MAX: u64 = 8;

/// The attempts at one statement.
#[derive(Debug)]
pub(crate) struct Attempts {
    made: u32,
}

/// How a statement is begun again.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// After a pause. It is random, so that those who met once do not meet again.
    Pause(Duration),
    /// In the turn of its table, so that nobody comes first again.
    Turn,
}

impl Attempts {
    pub fn first() -> Attempts {
        Attempts { made: 1 }
    }

    /// How the statement is begun again after an error, or None when that is final.
    pub fn next(&mut self, error: &Error, env: &dyn Env) -> Option<Next> {
        if error.sqlstate != SqlState::SERIALIZATION_FAILURE || self.made >= ATTEMPTS_MAX {
            return None;
        }
        self.made += 1;
        if self.made > FREE_ATTEMPTS {
            return Some(Next::Turn);
        }
        let mut random = [0; 2];
        env.random(&mut random);
        Some(Next::Pause(Duration::from_millis(u64::from(u16::from_be_bytes(random)) % PAUSE_MS_MAX)))
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
        assert_eq!(Attempts::first().next(&Error::new(SqlState::DIVISION_BY_ZERO, ""), &env), None);
        let mut attempts = Attempts::first();
        let all: Vec<Next> = std::iter::from_fn(|| attempts.next(&conflict, &env)).collect();
        assert_eq!(all.len(), ATTEMPTS_MAX as usize - 1);
        let (free, turns) = all.split_at(FREE_ATTEMPTS as usize - 1);
        assert!(free.iter().all(|next| matches!(next, Next::Pause(_))));
        assert!(turns.iter().all(|next| *next == Next::Turn));
    }
}
