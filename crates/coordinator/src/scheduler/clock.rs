//! Where the scheduler gets the time and new ids from. It asks nobody else, so that all that it decides
//! can be played again under another clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::store::Millis;

pub trait Clock: Send + Sync {
    /// Never goes back.
    fn now(&self) -> Instant;
    /// For what is stored and shown.
    fn now_ms(&self) -> Millis;
    /// 64 random bits, for ids.
    fn random(&self) -> u64;
}

/// That of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn now_ms(&self) -> Millis {
        now_ms()
    }

    fn random(&self) -> u64 {
        crate::random()
    }
}

pub fn now_ms() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as Millis)
}
