//! The memory of all operators, of which the column cache has what is left over: when an operator asks for more than
//! there is, cached columns go before the operator has to spill. It must never take memory from an operator.

use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use super::cache::{CONSUMER, ColumnCache};

/// A pool around another one.
#[derive(Debug)]
pub struct YieldingPool {
    inner: Arc<dyn MemoryPool>,
    cache: Weak<ColumnCache>,
}

impl YieldingPool {
    pub fn new(inner: Arc<dyn MemoryPool>, cache: &Arc<ColumnCache>) -> YieldingPool {
        YieldingPool { inner, cache: Arc::downgrade(cache) }
    }
}

impl fmt::Display for YieldingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl MemoryPool for YieldingPool {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let refused = match self.inner.try_grow(reservation, additional) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        // The cache itself takes only what nobody wants.
        if reservation.consumer().name() == CONSUMER {
            return Err(refused);
        }
        let Some(cache) = self.cache.upgrade() else { return Err(refused) };
        if cache.give_back(additional) == 0 {
            return Err(refused);
        }
        self.inner.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.inner.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}
