//! What failed for a reason that may go away is tried again, whole items as well as single entries, after waits that
//! grow and differ: all of them together outlast a storage server that fails over, and not all that failed with it
//! comes back at the same moment.

use std::time::Duration;

use model::{Item, ItemId, Purpose, RelPath, Work};

use super::phases::pieces;
use super::{Scheduler, suspects};
use crate::store::{Again, Millis, StoreError};

/// Before the first further try; doubled each time.
const FIRST_WAIT_MS: u64 = 5_000;

const LONGEST_WAIT_MS: u64 = 60_000;

/// The wait after a try that `attempts` others came before: 5, 10, 20… up to 60 s, times something from 0.5 to 1.5 that
/// the random number `drawn` picks. So nothing is tried again within 2 s, which gives files time that are being written.
pub(super) fn retry_wait(attempts: u32, drawn: u64) -> Duration {
    let wait = (FIRST_WAIT_MS << attempts.min(6)).min(LONGEST_WAIT_MS);
    let spread = (u128::from(wait) * u128::from(drawn)) >> 64;
    Duration::from_millis(wait / 2 + spread as u64)
}

/// Whether an attempt at the item may leave entries that fail to another try. The last item of a task and ranges have none,
/// and names of files with several are never parted.
pub fn may_be_tried_again(item: &Item, item_attempts: u32) -> bool {
    let is_whole = matches!(
        item.work,
        Work::Links { .. }
            | Work::Range(_)
            | Work::Walk {
                purpose: Purpose::Close,
                ..
            }
    );
    !is_whole && item.attempts.saturating_add(1) < item_attempts
}

impl Scheduler {
    /// The items for what an attempt at `item` failed at and left to another try.
    pub(super) fn tried_again(
        &self,
        item: ItemId,
        paths: Vec<RelPath>,
        now: Millis,
    ) -> Result<Again, StoreError> {
        if paths.is_empty() {
            return Ok(Again::default());
        }
        let item = self.store.item(item)?.item;
        if suspects::is_split(&item) && !suspects::is_whole(&item, &paths) {
            return Ok(self.split_up(&item, paths));
        }
        let wait = retry_wait(item.attempts, self.clock.random());
        // What is known of many is known of none of them.
        let deaths = match suspects::is_whole(&item, &paths) {
            true => item.deaths,
            false => 0,
        };
        let works = pieces(paths)
            .into_iter()
            .map(|paths| of_same_kind(&item.work, paths));
        Ok(Again {
            items: works
                .map(|work| (ItemId::from_random(self.clock.random()), work))
                .collect(),
            attempts: item.attempts.saturating_add(1),
            deaths,
            not_before: now.saturating_add(wait.as_millis() as Millis),
        })
    }
}

fn of_same_kind(work: &Work, paths: Vec<RelPath>) -> Work {
    match work {
        Work::Walk {
            purpose: Purpose::Attributes,
            ..
        } => Work::Walk {
            directories: paths,
            purpose: Purpose::Attributes,
        },
        _ => Work::Entries(paths),
    }
}

#[cfg(test)]
mod tests {
    use super::retry_wait;

    #[test]
    fn waits_grow_and_differ_within_bounds() {
        for (attempts, shortest, longest) in [
            (0, 2_500, 7_499),
            (1, 5_000, 14_999),
            (2, 10_000, 29_999),
            (3, 20_000, 59_999),
            (4, 30_000, 89_999),
            (u32::MAX, 30_000, 89_999),
        ] {
            assert_eq!(retry_wait(attempts, 0).as_millis(), shortest);
            assert_eq!(retry_wait(attempts, 1 << 63).as_millis(), 2 * shortest);
            assert_eq!(retry_wait(attempts, u64::MAX).as_millis(), longest);
        }
    }
}
