//! Files that changed just before they are met are read later.
//!
//! Where a clock ticks in milliseconds, or on some servers in seconds, two changes get the same time: a file that is
//! changed, read, and changed again looks the same before and after. So a file that changed less than [`SETTLING`] ago
//! waits until all else is done, and is read when it has looked the same for as long: a change from then on gets a
//! time of its own. One that never does is reported as changed. No thread waits with it.
//!
//! Recent kernels give each change that follows a look a time of its own, on their own file systems: small files don't
//! wait there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use storage::posix::{Meta, Timestamp};

use crate::engine::Engine;
use crate::entry::{Entry, Part};

/// More than the coarsest clock of a file system that is met (FAT: 2 s at the time of modification; NFS servers: 1 s).
const SETTLING: Duration = Duration::from_secs(2);

/// A write sets the times when it begins: one that is under way shows no change at its end, and takes the longer the more
/// it writes.
const MAX_FINE_BYTES: u64 = 1 << 20;

/// A file's time of change, and when it was first seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    changed: Timestamp,
    at: Instant,
}

impl Seen {
    pub(crate) fn now(meta: &Meta) -> Self {
        Self {
            changed: meta.changed,
            at: Instant::now(),
        }
    }

    pub(crate) fn settles_at(self) -> Instant {
        self.at + SETTLING
    }

    fn is_settled(self) -> bool {
        self.settles_at() <= Instant::now()
    }
}

impl Engine {
    /// Whether it has changed so lately, or has a time so far ahead, that its times alone don't tell a change that follows.
    fn is_recent(&self, meta: &Meta) -> bool {
        let is_certain = self.is_finely_timed(meta) && meta.size < MAX_FINE_BYTES;
        !is_certain && changed_lately(meta)
    }

    /// Whether a change that follows this look can't have the time of the last one.
    pub(crate) fn shows_changes_since(&self, meta: &Meta) -> bool {
        self.is_finely_timed(meta) || !changed_lately(meta)
    }

    fn is_finely_timed(&self, meta: &Meta) -> bool {
        self.finely_timed.contains(&meta.dev) && meta.changed.nanos != 0
    }
}

fn changed_lately(meta: &Meta) -> bool {
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return true;
    };
    let since = now.saturating_sub(SETTLING);
    let since = Timestamp {
        secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos(),
    };
    meta.changed >= since
}

impl Entry<'_> {
    /// What is to be remembered of a file that changed just now, and that nothing is known of yet.
    pub(crate) fn seen_recently(&self, meta: &Meta) -> Option<Seen> {
        self.engine.is_recent(meta).then(|| Seen::now(meta))
    }

    /// What a file that was left for the end has still to wait for.
    pub(crate) fn unsettled(&self, meta: &Meta) -> Option<Seen> {
        let Part::End(seen) = self.part else {
            return None;
        };
        match seen {
            Some(seen) if seen.changed == meta.changed => (!seen.is_settled()).then_some(seen),
            _ => self.seen_recently(meta),
        }
    }
}
