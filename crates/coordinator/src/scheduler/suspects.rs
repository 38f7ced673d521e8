//! Items that kill their workers: who is to blame is found by running them alone, and what does it by splitting them.
//!
//! A worker that is lost charges none of the items that it held: all of them become suspects, each of which is run by a
//! worker that holds nothing else. Only a loss then costs an attempt. A suspect that lost two workers alone is split: an
//! attempt at it copies nothing and hands back all that it finds, in [`PIECES`] pieces, which are suspects. Each of
//! these that loses a worker is split in its turn, down to a single entry. If that is no directory, it is tried until
//! its attempts are used up, since workers die for many reasons, and then it is set aside by name.

use model::{Item, ItemId, Purpose, RelPath, Work};

use super::Scheduler;
use super::phases::pieces_of;
use crate::store::Again;

/// An item is split into about so many.
const PIECES: usize = 16;

/// One in company, and two alone.
pub(super) const DEATHS_BEFORE_SPLIT: u32 = 3;

/// Whatever the config says, so that an item is split before it fails for what one of its entries does.
pub(super) const LEAST_ATTEMPTS: u32 = 3;

/// Whether an attempt at the item takes it apart. What was split off has the deaths of what it was part of, and no
/// attempts: it is run as it is once.
pub fn is_split(item: &Item) -> bool {
    let is_divisible = matches!(
        item.work,
        Work::Entries(_)
            | Work::Shard { .. }
            | Work::Walk {
                purpose: Purpose::Copy,
                ..
            }
    );
    is_divisible && item.attempts > 0 && item.deaths >= DEATHS_BEFORE_SPLIT
}

/// Whether an attempt that took the item apart found nothing but what it is for.
pub(super) fn is_whole(item: &Item, found: &[RelPath]) -> bool {
    found.len() == 1 && item.work.directories_and_entries() == found
}

impl Scheduler {
    /// The pieces of an item that was split.
    pub(super) fn split_up(&self, item: &Item, paths: Vec<RelPath>) -> Again {
        let size = paths.len().div_ceil(PIECES).max(1);
        let works = pieces_of(paths, size).into_iter().map(Work::Entries);
        Again {
            items: works
                .map(|work| (ItemId::from_random(self.clock.random()), work))
                .collect(),
            attempts: 0,
            deaths: item.deaths,
            not_before: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, Item, ItemId, ItemState, RelPath, TaskId, Work};

    use super::is_split;

    fn item(paths: &[&str], attempts: u32, deaths: u32) -> Item {
        let paths = paths.iter().map(|path| RelPath::new(*path).unwrap());
        Item {
            id: ItemId::from_random(1),
            task: TaskId(1),
            work: Work::Entries(paths.collect()),
            state: ItemState::Waiting,
            epoch: Epoch(1),
            attempts,
            deaths,
        }
    }

    #[test]
    fn an_item_is_split_after_two_deaths_alone_and_a_piece_of_it_after_one() {
        for (attempts, deaths, expected) in [
            (0, 0, false),
            (4, 0, false),
            (0, 1, false),
            (1, 2, false),
            (2, 3, true),
            (0, 3, false),
            (1, 4, true),
        ] {
            let item = item(&["a", "b"], attempts, deaths);
            assert_eq!(is_split(&item), expected, "{attempts} {deaths}");
        }
    }
}
