//! What the disk had no room for and no worker repeats: it is done when there is room again.
//!
//! Each of these may be done twice, at any time and in any order: an item is put back under the epoch that was lost and
//! no other, a task moves on only if nothing of its phase is open.

use std::error::Error;
use std::time::{Duration, Instant};

use model::{Epoch, ItemId, SessionId, TaskId};

use super::Scheduler;
use crate::notices::Event;
use crate::report::human;
use crate::store::{Cost, StoreError};

/// How often what is owed is tried.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// How often people are told that there is no room.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// With nothing refused for so long there is room again: workers repeat their calls more often.
const ROOM_AGAIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// An attempt has ended without a word of its worker.
    PutBack(ItemId, Epoch, Cost, &'static str),
    RemoveSession(SessionId),
    Advance(TaskId),
    /// Rows of tasks that ended, and the end of the run.
    Results,
}

/// The disk has no room, or had none a moment ago.
#[derive(Debug)]
pub(super) struct Shortage {
    since: Instant,
    last: Instant,
    said: Instant,
}

impl Scheduler {
    /// Does it now, or when there is room.
    pub(super) fn settle(&self, owed: Owed) -> Result<(), StoreError> {
        match self.try_to_settle(owed) {
            Err(error) if error.is_no_room() => {
                self.no_room(&error, self.clock.now());
                let mut state = self.state();
                if !state.owed.contains(&owed) {
                    state.owed.push_back(owed);
                }
                Ok(())
            }
            settled => settled,
        }
    }

    fn try_to_settle(&self, owed: Owed) -> Result<(), StoreError> {
        match owed {
            Owed::PutBack(item, epoch, cost, reason) => {
                self.put_back(item, epoch, cost, reason, Duration::ZERO)
            }
            Owed::RemoveSession(session) => self.store.remove_session(session),
            Owed::Advance(task) => self.advance_now(task),
            Owed::Results => self.write_results(),
        }
    }

    /// Tries again what is owed, once in a while. What still has no room stays.
    pub(super) fn settle_owed(&self, now: Instant) -> Result<(), StoreError> {
        let owed = {
            let mut state = self.state();
            let is_due = |tried: Instant| now.saturating_duration_since(tried) >= TRY_AGAIN;
            if state.owed.is_empty() || !state.owed_tried.is_none_or(is_due) {
                return Ok(());
            }
            state.owed_tried = Some(now);
            std::mem::take(&mut state.owed)
        };
        owed.into_iter().try_for_each(|owed| self.settle(owed))
    }

    /// Something could not be written. People hear of it once a minute.
    pub fn no_room(&self, error: &(dyn Error + 'static), now: Instant) {
        {
            let mut state = self.state();
            match &mut state.shortage {
                Some(shortage) => {
                    shortage.last = now;
                    if now.saturating_duration_since(shortage.said) < SAY_AGAIN {
                        return;
                    }
                    shortage.said = now;
                }
                None => {
                    state.shortage = Some(Shortage {
                        since: now,
                        last: now,
                        said: now,
                    });
                }
            }
        }
        let message = model::error_chain(error);
        tracing::error!(
            "no room on the server's disk, what has to be stored waits for it: {message}"
        );
        self.notices.tell(&Event::ServerFull(message));
    }

    /// Says that there is room again, once nothing was refused for a while.
    pub(super) fn look_for_room(&self, now: Instant) {
        let mut state = self.state();
        let is_quiet =
            |shortage: &Shortage| now.saturating_duration_since(shortage.last) >= ROOM_AGAIN;
        if !state.owed.is_empty() || !state.shortage.as_ref().is_some_and(is_quiet) {
            return;
        }
        if let Some(shortage) = state.shortage.take() {
            let lasted = shortage.last.duration_since(shortage.since).as_millis();
            tracing::info!(
                "there is room on the server's disk again, after {}",
                human::duration(lasted as i64)
            );
        }
    }
}
