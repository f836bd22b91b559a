//! Which versions of the catalog are being read, so that nobody deletes a file that a statement, an open transaction or
//! a result on its way to a client may still need. It must never know who reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::id::CommitSequence;

/// The versions in use, and how often each is.
#[derive(Debug, Default)]
pub struct Pins {
    counts: Mutex<BTreeMap<CommitSequence, usize>>,
    /// Told whenever a version has lost its last reader.
    freed: Notify,
}

/// One use of a version, until it is dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    at: CommitSequence,
}

impl Pins {
    /// Pins the version that `choose` names. It is chosen under the lock that [`Pins::oldest`] takes too: whoever commits
    /// and then asks for the oldest reader either sees this pin or is seen by it.
    pub fn pin(self: &Arc<Self>, choose: impl FnOnce() -> CommitSequence) -> Pin {
        let mut counts = self.counts.lock();
        let at = choose();
        *counts.entry(at).or_default() += 1;
        Pin { pins: Arc::clone(self), at }
    }

    /// The oldest version in use; `head` if there is none.
    pub fn oldest(&self, head: impl FnOnce() -> CommitSequence) -> CommitSequence {
        let counts = self.counts.lock();
        counts.keys().next().copied().unwrap_or_else(head)
    }

    /// Waits until no version older than `sequence` is in use.
    pub async fn when_unread(&self, sequence: CommitSequence) {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on no notice is missed.
            freed.as_mut().enable();
            if self.oldest(|| sequence) >= sequence {
                return;
            }
            freed.await;
        }
    }
}

impl Pin {
    pub fn at(&self) -> CommitSequence {
        self.at
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = self.pins.counts.lock();
        if let Some(count) = counts.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.at);
                self.pins.freed.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_oldest_reader_is_waited_for() {
        let pins = Arc::new(Pins::default());
        let head = || CommitSequence(9);
        assert_eq!(pins.oldest(head), CommitSequence(9));
        let old = Arc::new(pins.pin(|| CommitSequence(3)));
        let same = Arc::clone(&old);
        let _new = pins.pin(|| CommitSequence(7));
        assert_eq!(pins.oldest(head), CommitSequence(3));
        let waiting = {
            let pins = Arc::clone(&pins);
            tokio::spawn(async move { pins.when_unread(CommitSequence(7)).await })
        };
        drop(old);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished(), "a clone still reads version 3");
        drop(same);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("in time").expect("no panic");
        assert_eq!(pins.oldest(head), CommitSequence(7));
    }
}
