//! The only source of time, ids and randomness, so that a simulation can replace all three.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::RngCore;
use rand::SeedableRng;

/// Tells the time, makes UUIDs and random bytes.
pub trait Env: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Fills `bytes` with random bytes fit for keys and salts.
    fn random(&self, bytes: &mut [u8]);

    /// A version 7 UUID: the time first, so that names made from it sort by age (RFC 9562 §5.7).
    fn uuid(&self) -> uuid::Uuid {
        let mut random = [0u8; 10];
        self.random(&mut random);
        let millis = u64::try_from(self.now_ms()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// The machine's own clock and random source.
#[derive(Debug, Default)]
pub struct SystemEnv;

impl Env for SystemEnv {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn random(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// A clock that advances one millisecond at each look, and seeded randomness: the same run twice.
#[derive(Debug)]
pub struct SeededEnv {
    now_ms: AtomicU64,
    random: parking_lot::Mutex<rand::rngs::StdRng>,
}

impl SeededEnv {
    pub fn new(seed: u64) -> SeededEnv {
        SeededEnv {
            now_ms: AtomicU64::new(1_700_000_000_000),
            random: parking_lot::Mutex::new(rand::rngs::StdRng::seed_from_u64(seed)),
        }
    }
}

impl Env for SeededEnv {
    fn now_ms(&self) -> i64 {
        i64::try_from(self.now_ms.fetch_add(1, Ordering::SeqCst)).unwrap_or(i64::MAX)
    }

    fn random(&self, bytes: &mut [u8]) {
        self.random.lock().fill_bytes(bytes);
    }
}
