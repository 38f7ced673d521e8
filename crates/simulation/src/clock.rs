//! Virtual time: it moves when the world says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coordinator::scheduler::Clock;
use coordinator::store::Millis;

use crate::random::Random;

/// The wall clock at the beginning; any will do.
const BEGIN_MS: Millis = 1_700_000_000_000;

#[derive(Debug)]
pub struct VirtualClock {
    origin: Instant,
    ms: AtomicU64,
    random: Mutex<Random>,
}

impl VirtualClock {
    pub fn new(random: Random) -> Self {
        Self {
            origin: Instant::now(),
            ms: AtomicU64::new(0),
            random: Mutex::new(random),
        }
    }

    pub fn set(&self, ms: u64) {
        self.ms.store(ms, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.origin + Duration::from_millis(self.ms.load(Ordering::Relaxed))
    }

    fn now_ms(&self) -> Millis {
        BEGIN_MS + self.ms.load(Ordering::Relaxed) as Millis
    }

    fn random(&self) -> u64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.next()
    }
}
