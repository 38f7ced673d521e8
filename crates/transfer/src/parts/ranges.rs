//! Ranges of a huge file that other workers copy (see [`crate::range`]): handed over while nobody has begun them, and waited
//! for by the thread that stays with the file until each is done, or taken back and done here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use model::{FileIdentity, ItemId, RangeSizes, RangeState, RangeWork, RelPath};

use super::{Parts, Todo, Work};
use crate::attempt::Stopped;
use crate::bytes::{Broken, Hashed};
use crate::engine::{Engine, lock};
use crate::threads::Scratch;
use crate::watch;

/// How long to wait before ranges that others have are asked for again: as long as nothing is new, twice as long as before.
const ASK_FIRST: Duration = Duration::from_millis(50);
const ASK_LAST: Duration = Duration::from_secs(1);

/// Most ranges handed over at once: they have to fit into a message.
const MAX_RANGES: u64 = 64;

/// What other workers need to know to copy ranges of a file.
pub(crate) struct Shared {
    pub(crate) file: RelPath,
    pub(crate) identity: FileIdentity,
    pub(crate) temp: String,
    pub(crate) temp_inode: u64,
    pub(crate) sizes: RangeSizes,
}

/// The pause before the next question.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(ASK_FIRST)
    }
}

impl Pause {
    pub(super) fn heard(&mut self, is_new: bool) {
        self.0 = match is_new {
            true => ASK_FIRST,
            false => (self.0 * 2).min(ASK_LAST),
        };
    }
}

impl Parts {
    pub(super) fn rest(&self, pause: &Pause) {
        let waited = self.put_back.wait_timeout(lock(&self.state), pause.0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes about half of the ranges of which nothing is begun, from the end; until they are given to [`Parts::handed_over`]
    /// or [`Parts::not_handed_over`] they count as in hand.
    fn take_ranges(&self) -> Vec<Range<u64>> {
        let mut state = lock(&self.state);
        let taken = state.todo.take_ranges(MAX_RANGES);
        state.in_hand += usize::from(!taken.is_empty());
        taken
    }

    fn handed_over(&self, ids: Vec<ItemId>, ranges: Vec<Range<u64>>) {
        let mut state = lock(&self.state);
        state.handed_over.extend(ids.into_iter().zip(ranges));
        state.in_hand -= 1;
        self.put_back.notify_all();
    }

    fn not_handed_over(&self, ranges: Vec<Range<u64>>) {
        let mut state = lock(&self.state);
        if !state.has_failed() {
            ranges.into_iter().for_each(|range| state.todo.add(range));
        }
        state.in_hand -= 1;
        self.put_back.notify_all();
    }

    /// What was asked of them, in the order of the question. Whether others have fewer now.
    fn settle(&self, asked: &[ItemId], states: &[RangeState]) -> bool {
        let mut state = lock(&self.state);
        let before = state.handed_over.len();
        let now: BTreeMap<ItemId, RangeState> =
            asked.iter().copied().zip(states.iter().copied()).collect();
        let mut back = Vec::new();
        state.handed_over.retain(|(id, range)| match now.get(id) {
            Some(RangeState::TakenBack) => {
                tracing::debug!("{}: taken back from byte {}", self.path, range.start);
                back.push(range.clone());
                false
            }
            Some(RangeState::Done) => false,
            Some(RangeState::Leased) | None => true,
        });
        if !state.has_failed() {
            back.into_iter().for_each(|range| state.todo.add(range));
        }
        state.handed_over.len() < before
    }

    fn work_of(&self, range: &Range<u64>) -> Option<RangeWork> {
        let shared = self.shared.as_ref()?;
        Some(RangeWork {
            file: shared.file.clone(),
            identity: shared.identity,
            temp: shared.temp.clone(),
            temp_inode: shared.temp_inode,
            offset: range.start,
            length: range.end - range.start,
        })
    }
}

impl Engine {
    /// In what ranges a file of this size is copied by several workers; `None`: it is not.
    pub(crate) fn range_sizes(&self, size: u64) -> Option<RangeSizes> {
        let sizes = self.attempt.share.ranges()?;
        (size > sizes.split_file_bytes).then_some(sizes)
    }

    /// As [`Engine::do_in_parts`], with other workers where they have nothing else to do. What was done by these has no hash.
    pub(crate) fn do_in_ranges(
        self: &Arc<Self>,
        path: Arc<RelPath>,
        size: u64,
        work: Work,
        shared: Shared,
        scratch: &mut Scratch,
    ) -> Result<Option<Vec<Hashed>>, Broken> {
        let todo = Todo::in_ranges(size, shared.sizes.range_bytes);
        let parts = Arc::new(Parts::new(path, todo, work, Some(shared)));
        lock(&self.shared_files).push(Arc::clone(&parts));
        let done = self.stay_with(&parts, scratch);
        lock(&self.shared_files).retain(|file| !Arc::ptr_eq(file, &parts));
        done
    }

    /// Whether others have fewer now.
    pub(super) fn ask_for(
        &self,
        parts: &Parts,
        ranges: &[ItemId],
        is_given_up: bool,
    ) -> Result<bool, Broken> {
        self.check_on()?;
        let asked = watch::waiting(|| self.attempt.share.take_back(ranges, is_given_up));
        match asked {
            Ok(states) if states.len() == ranges.len() => Ok(parts.settle(ranges, &states)),
            Ok(_) | Err(_) => Err(Broken::Problem(self.stop_with(Stopped::LeaseLost))),
        }
    }

    /// Hands ranges over of the first file that has some. Whether it did.
    pub(crate) fn share_ranges(&self) -> bool {
        if !self.attempt.share.wants_ranges() {
            return false;
        }
        let files = lock(&self.shared_files).clone();
        for parts in files {
            let ranges = parts.take_ranges();
            if ranges.is_empty() {
                continue;
            }
            let works = ranges.iter().filter_map(|range| parts.work_of(range));
            let works = works.collect();
            let taken = watch::waiting(|| self.attempt.share.hand_over_ranges(works));
            match taken {
                Ok(ids) => {
                    parts.handed_over(ids, ranges);
                    return true;
                }
                Err(_) => parts.not_handed_over(ranges),
            }
        }
        false
    }
}
