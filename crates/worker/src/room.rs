//! How much more this worker's threads could do: while they have enough, items of the same task are left to others. Small
//! items that wait here for the same threads, or for the lock of one directory, are lost to those who idle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::running::Running;
use crate::session::Session;

/// Items that take less are held on all slots: asking for each would take longer than they do.
const SHORT: Duration = Duration::from_millis(250);

/// Or less than so many times as long as opening the roots: where calls are slow, several begin at once.
const SHORT_BY_OPENING: u32 = 3;

/// How long an item may take until it is known what there is to do.
const BEGINNING: Duration = Duration::from_secs(2);

/// How often it is looked whether threads have become free.
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// What grew is told at once, what shrank after this time: most of it passes.
const SHRUNK_FOR: Duration = Duration::from_millis(500);

/// What items took of late, and what the server was told.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The newest counts half. None has ended yet: they are taken for long.
    items: Option<Took>,
    told: Option<u32>,
    less_since: Option<Instant>,
}

/// How long an item took.
#[derive(Debug, Clone, Copy)]
struct Took {
    opening: Duration,
    all: Duration,
}

impl Took {
    fn is_short(&self) -> bool {
        self.all < SHORT.max(self.opening * SHORT_BY_OPENING)
    }
}

impl Room {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn took(&self, new: Took) {
        let mut known = self.known();
        known.items = Some(match known.items {
            None => new,
            Some(before) => Took {
                opening: (before.opening + new.opening) / 2,
                all: (before.all + new.all) / 2,
            },
        });
    }

    fn items_are_short(&self) -> bool {
        self.known().items.is_some_and(|items| items.is_short())
    }

    /// The server goes by this now.
    pub(crate) fn told(&self, more: u32) {
        let mut known = self.known();
        known.told = Some(more);
        known.less_since = None;
    }

    /// With so much room now.
    fn has_to_be_told(&self, more: u32, now: Instant) -> bool {
        let mut known = self.known();
        let Some(told) = known.told else {
            // The first heartbeat says it.
            return false;
        };
        if more >= told {
            known.less_since = None;
            return more > told;
        }
        let since = *known.less_since.get_or_insert(now);
        now.duration_since(since) >= SHRUNK_FOR
    }
}

impl Session {
    /// How many more items of a task that it holds something of the threads have room for.
    pub(crate) fn more_of_a_task(&self) -> u32 {
        if self.room.items_are_short() {
            return self.slots as u32;
        }
        let is_beginning = self.held().values().any(|running| running.is_beginning());
        (!is_beginning && self.threads.have_room()).into()
    }

    /// Until there is more room than the server was told, or less for some time, and a slot for it.
    pub(crate) async fn room_has_changed(&self) {
        loop {
            tokio::time::sleep(LOOKED_EVERY).await;
            let has_slot = self.held().len() < self.slots;
            if has_slot
                && self
                    .room
                    .has_to_be_told(self.more_of_a_task(), Instant::now())
            {
                return;
            }
        }
    }

    /// An item has ended.
    pub(crate) fn note_time_of(&self, running: &Running) {
        let all = running.begun.elapsed();
        let opening = running.opened.get().copied().unwrap_or(all);
        self.room.took(Took { opening, all });
    }
}

impl Running {
    /// Whether it is still to be seen how much there is to do.
    fn is_beginning(&self) -> bool {
        let progress = &self.progress;
        let has_found = |n: &AtomicU64| n.load(Ordering::Relaxed) > 0;
        self.needs_threads
            && self.begun.elapsed() < BEGINNING
            && !has_found(&progress.listed)
            && !has_found(&progress.read_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Room, Took};

    #[test]
    fn items_are_short_when_the_newest_were() {
        let room = Room::default();
        assert!(!room.items_are_short());
        let took = |opening, all| {
            let [opening, all] = [opening, all].map(Duration::from_millis);
            room.took(Took { opening, all });
        };
        took(0, 0);
        assert!(room.items_are_short());
        took(5, 60_000);
        assert!(!room.items_are_short());
        (0..10).for_each(|_| took(5, 10));
        assert!(room.items_are_short());
        took(5, 1_000);
        assert!(!room.items_are_short());
        // As much of that as opening the roots takes is no reason to wait for.
        (0..10).for_each(|_| took(400, 1_000));
        assert!(room.items_are_short());
    }

    #[test]
    fn what_grew_is_told_at_once_and_what_shrank_when_it_stays_so() {
        let room = Room::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        assert!(
            !room.has_to_be_told(3, begin),
            "the first heartbeat says it"
        );
        room.told(1);
        assert!(!room.has_to_be_told(1, begin) && room.has_to_be_told(2, begin));
        assert!(!room.has_to_be_told(0, at(9_000)));
        assert!(!room.has_to_be_told(1, at(9_400)));
        assert!(!room.has_to_be_told(0, at(9_600)));
        assert!(!room.has_to_be_told(0, at(10_000)));
        assert!(room.has_to_be_told(0, at(10_100)));
    }
}
