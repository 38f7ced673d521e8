//! How many requests of each kind there were, and how many were in work at a time. A request is counted when it comes
//! in, before it is delayed or fails.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Op;

/// Can be read at any time; its text is one `name count` a line, without zeros.
#[derive(Debug)]
pub struct Counters {
    counts: [AtomicU64; Op::ALL.len()],
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; Op::ALL.len()],
            in_flight: AtomicU64::new(0),
            most_in_flight: AtomicU64::new(0),
        }
    }

    pub fn get(&self, op: Op) -> u64 {
        self.counts[op as usize].load(Ordering::SeqCst)
    }

    /// Requests of all kinds.
    pub fn total(&self) -> u64 {
        Op::ALL.iter().map(|op| self.get(*op)).sum()
    }

    /// Requests that came in and are not answered.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// How many were in work at once at most.
    pub fn most_in_flight(&self) -> u64 {
        self.most_in_flight.load(Ordering::SeqCst)
    }

    /// All counts are 0 again, and the most in flight what is so now.
    pub fn reset(&self) {
        for count in &self.counts {
            count.store(0, Ordering::SeqCst);
        }
        self.most_in_flight
            .store(self.in_flight(), Ordering::SeqCst);
    }

    /// Counts a request that is in work until what is returned is dropped.
    pub(super) fn begin(&self, op: Op) -> InFlight<'_> {
        self.counts[op as usize].fetch_add(1, Ordering::SeqCst);
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        InFlight(self)
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for op in Op::ALL {
            let count = self.get(*op);
            if count > 0 {
                writeln!(f, "{op} {count}")?;
            }
        }
        writeln!(f, "most_in_flight {}", self.most_in_flight())
    }
}

pub(super) struct InFlight<'a>(&'a Counters);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
