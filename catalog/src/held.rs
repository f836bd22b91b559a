//! The data files that open transactions have changed rows of, so that compaction leaves them alone: it could move the
//! rows that a transaction will name when it commits. It must never know who holds a file.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The URLs of the files, and how many transactions hold each.
#[derive(Debug, Default)]
pub struct Held(Mutex<HashMap<String, usize>>);

/// Some files that are held, until it is dropped.
#[derive(Debug)]
pub struct Hold {
    held: Arc<Held>,
    files: Vec<String>,
}

impl Held {
    pub fn hold(self: &Arc<Self>, files: Vec<String>) -> Hold {
        let mut counts = self.0.lock();
        for file in &files {
            *counts.entry(file.clone()).or_default() += 1;
        }
        Hold { held: Arc::clone(self), files }
    }

    pub fn contains(&self, file: &str) -> bool {
        self.0.lock().contains_key(file)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.held.0.lock();
        for file in &self.files {
            if let Some(count) = counts.get_mut(file) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(file);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_until_the_last_lets_go() {
        let held = Arc::new(Held::default());
        let one = held.hold(vec!["a".to_owned(), "b".to_owned()]);
        let other = held.hold(vec!["a".to_owned()]);
        drop(one);
        assert!(held.contains("a") && !held.contains("b"));
        drop(other);
        assert!(!held.contains("a"));
    }
}
