//! Cancel requests: they come on a connection of their own, before any login, and prove their right by the key that the
//! session they mean was given at its start.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tarn_sql::Canceller;

/// What a client must know to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub process: i32,
    pub secret: i32,
}

/// The sessions that can be cancelled.
#[derive(Debug, Default)]
pub struct Cancels {
    sessions: Mutex<HashMap<Key, Canceller>>,
    last_process: AtomicU32,
}

impl Cancels {
    /// The number that the next session goes by, like a process of PostgreSQL. After two thousand million it starts
    /// again.
    pub fn next_process(&self) -> i32 {
        let number = self.last_process.fetch_add(1, Ordering::Relaxed) % i32::MAX.cast_unsigned();
        number.cast_signed() + 1
    }

    /// Makes a session known until the registration is dropped. The secret of its key is random.
    pub fn register(self: &Arc<Self>, key: Key, canceller: Canceller) -> Registration {
        self.sessions.lock().insert(key, canceller);
        Registration { cancels: Arc::clone(self), key }
    }

    /// Stops the statement that the session with this key runs. The client is never told whether there was one.
    pub fn cancel(&self, key: Key) {
        if let Some(canceller) = self.sessions.lock().get(&key) {
            canceller.cancel();
        }
    }

    /// Stops every statement, for the end of the process.
    pub fn cancel_all(&self) {
        self.sessions.lock().values().for_each(Canceller::cancel);
    }
}

/// A session's place among those that can be cancelled.
#[derive(Debug)]
pub struct Registration {
    cancels: Arc<Cancels>,
    key: Key,
}

impl Registration {
    pub fn key(&self) -> Key {
        self.key
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.cancels.sessions.lock().remove(&self.key);
    }
}
