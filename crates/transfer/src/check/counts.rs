//! How many entries were found to be what.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Difference;

/// The numbers at one moment. Roots are no entries, and count only where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Both sides have them.
    pub compared: u64,
    /// Only the source has them, those below a directory too.
    pub missing: u64,
    /// Only the target has them, those below a directory too.
    pub extra: u64,
    /// Of those that both have.
    pub differing: u64,
    /// FIFOs, sockets and devices that the target has not and need not have; what the filter leaves out of the source.
    pub skipped: u64,
    /// What could not be looked at.
    pub unseen: u64,
    /// Content of both sides.
    pub read_bytes: u64,
}

impl Counts {
    /// Whether everything was looked at and nothing differs.
    pub fn is_same(&self) -> bool {
        self.missing + self.extra + self.differing + self.unseen == 0
    }
}

/// What anybody may read while a check runs. Names of files that have several are counted as differing at its end.
#[derive(Debug, Default)]
pub struct Progress {
    compared: AtomicU64,
    missing: AtomicU64,
    extra: AtomicU64,
    differing: AtomicU64,
    skipped: AtomicU64,
    unseen: AtomicU64,
    read_bytes: AtomicU64,
}

impl Progress {
    pub fn counts(&self) -> Counts {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counts {
            compared: read(&self.compared),
            missing: read(&self.missing),
            extra: read(&self.extra),
            differing: read(&self.differing),
            skipped: read(&self.skipped),
            unseen: read(&self.unseen),
            read_bytes: read(&self.read_bytes),
        }
    }

    pub(super) fn count(&self, difference: &Difference) {
        match difference {
            Difference::Missing(_) => self.add_missing(),
            Difference::Extra(_) => self.add_extra(),
            Difference::Differs(_) => add(&self.differing, 1),
            Difference::Unseen(_) => add(&self.unseen, 1),
        }
    }

    pub(super) fn add_compared(&self) {
        add(&self.compared, 1);
    }

    pub(super) fn add_missing(&self) {
        add(&self.missing, 1);
    }

    pub(super) fn add_extra(&self) {
        add(&self.extra, 1);
    }

    pub(super) fn add_skipped(&self) {
        add(&self.skipped, 1);
    }

    pub(super) fn add_read_bytes(&self, bytes: u64) {
        add(&self.read_bytes, bytes);
    }
}

fn add(total: &AtomicU64, n: u64) {
    total.fetch_add(n, Ordering::Relaxed);
}
