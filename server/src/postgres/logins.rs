//! Connections on their way to a session, of which there may be only so many. When there are more, the one that has been
//! at it the longest makes room, so that clients that never finish cannot keep out those that do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections that may be on their way at a time.
const LOGINS_MAX: usize = 256;

/// How long each of them is left alone even if others wait.
const PRESSED_TIME: Duration = Duration::from_secs(2);

/// How long one that has to make room may take to do so, before the next one has to.
const YIELD_TIME: Duration = Duration::from_millis(20);

/// All logins of a listener.
pub struct Logins {
    room: Arc<Semaphore>,
    /// By their order, so that the first is the oldest.
    open: Arc<Mutex<BTreeMap<u64, Open>>>,
    begun: u64,
}

struct Open {
    since: Instant,
    pressed: CancellationToken,
}

/// One login; its place is free when it is dropped.
pub struct Login {
    number: u64,
    pressed: CancellationToken,
    open: Arc<Mutex<BTreeMap<u64, Open>>>,
    _room: OwnedSemaphorePermit,
}

impl Logins {
    pub fn new() -> Logins {
        Logins { room: Arc::new(Semaphore::new(LOGINS_MAX)), open: Arc::default(), begun: 0 }
    }

    /// Waits for a place; after a moment the oldest login has to give up its own.
    pub async fn begin(&mut self) -> Login {
        let room = loop {
            let room = Arc::clone(&self.room).acquire_owned();
            match tokio::time::timeout(self.patience(), room).await {
                Ok(room) => break room.expect("the semaphore is never closed"),
                Err(_) => self.press_oldest(),
            }
        };
        let pressed = CancellationToken::new();
        self.begun += 1;
        self.open.lock().insert(self.begun, Open { since: Instant::now(), pressed: pressed.clone() });
        Login { number: self.begun, pressed, open: Arc::clone(&self.open), _room: room }
    }

    /// How long the oldest login is still left alone.
    fn patience(&self) -> Duration {
        let oldest = self.open.lock().first_key_value().map(|(_, open)| open.since.elapsed());
        PRESSED_TIME.saturating_sub(oldest.unwrap_or_default()).max(YIELD_TIME)
    }

    fn press_oldest(&self) {
        if let Some((_, oldest)) = self.open.lock().pop_first() {
            oldest.pressed.cancel();
        }
    }
}

impl Login {
    /// Until others need the place more.
    pub async fn pressed(&self) {
        self.pressed.cancelled().await;
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_room_after_a_moment() {
        let mut logins = Logins::new();
        let mut waiting = Vec::new();
        for _ in 0..LOGINS_MAX {
            waiting.push(logins.begin().await);
        }
        let oldest = waiting.remove(0);
        let started = Instant::now();
        let leaves = tokio::spawn(async move { oldest.pressed().await });
        let _next = logins.begin().await;
        assert!(started.elapsed() >= PRESSED_TIME, "it was left alone for {:?} only", started.elapsed());
        leaves.await.expect("it was pressed");
        assert!(waiting.iter().all(|login| !login.pressed.is_cancelled()), "one is enough");
    }

    #[tokio::test]
    async fn a_place_that_is_free_is_taken_at_once() {
        let mut logins = Logins::new();
        drop(logins.begin().await);
        let started = Instant::now();
        let _next = logins.begin().await;
        assert!(started.elapsed() < PRESSED_TIME, "nobody was in the way");
        assert_eq!(logins.open.lock().len(), 1);
    }
}
