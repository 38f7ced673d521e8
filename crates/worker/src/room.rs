//! How much more this worker's threads could do: while they have enough, items of the same task are left to others. Small
//! items that wait here for the same threads, or for the lock of one directory, are lost to those who idle.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::running::Running;
use crate::session::Session;

/// Items that take less are held on all slots: asking for each would take longer than they do.
const SHORT: Duration = Duration::from_millis(250);

/// How long an item may take until it is known what there is to do.
const BEGINNING: Duration = Duration::from_secs(2);

/// How often it is looked whether threads have become free.
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// What items took of late, and what the server was told.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// In µs, the newest counts half.
    item_time: AtomicU64,
    told: AtomicU32,
}

impl Room {
    pub(crate) fn took(&self, time: Duration) {
        let time = time.as_micros() as u64;
        let before = self.item_time.load(Ordering::Relaxed);
        let now = match before {
            0 => time,
            before => (before + time) / 2,
        };
        self.item_time.store(now.max(1), Ordering::Relaxed);
    }

    /// Where none has ended yet, they are taken for long.
    fn items_are_short(&self) -> bool {
        (1..SHORT.as_micros() as u64).contains(&self.item_time.load(Ordering::Relaxed))
    }
}

impl Session {
    /// So many more items of a task that it holds something of: the server is being told.
    pub(crate) fn tell_room(&self) -> u32 {
        let more = self.more_of_a_task();
        self.room.told.store(more, Ordering::Relaxed);
        more
    }

    fn more_of_a_task(&self) -> u32 {
        if self.room.items_are_short() {
            return self.slots as u32;
        }
        let is_beginning = self.held().values().any(|running| running.is_beginning());
        (!is_beginning && self.threads.have_room()).into()
    }

    /// Until there is more room than the server was told, and a slot for it.
    pub(crate) async fn room_has_grown(&self) {
        loop {
            tokio::time::sleep(LOOKED_EVERY).await;
            let told = self.room.told.load(Ordering::Relaxed);
            let has_slot = self.held().len() < self.slots;
            if has_slot && self.more_of_a_task() > told {
                return;
            }
        }
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
    use std::time::Duration;

    use super::Room;

    #[test]
    fn items_are_short_when_the_newest_were() {
        let room = Room::default();
        assert!(!room.items_are_short());
        room.took(Duration::from_micros(0));
        assert!(room.items_are_short());
        room.took(Duration::from_secs(60));
        assert!(!room.items_are_short());
        (0..8).for_each(|_| room.took(Duration::from_millis(10)));
        assert!(room.items_are_short());
    }
}
