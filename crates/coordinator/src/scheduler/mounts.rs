//! Workers are kept from tasks whose mounts give them no answer.
//!
//! It blames nobody: the worker goes on with other tasks, the task with other workers, and both come together again
//! when the mount is well.

use std::time::Duration;

use model::{SessionId, TaskId};

use super::{ReleaseReason, Scheduler};
use crate::fleet::{Blames, Refusal};
use crate::mounts::LeftBehind;

/// A mount in trouble is looked at again after this time.
const TROUBLE: Duration = Duration::from_secs(10);

impl Scheduler {
    /// A worker handed an item back since a mount is in trouble: the task is not its business for some time.
    pub(crate) fn keep_from_mount(
        &self,
        session: SessionId,
        task: TaskId,
        reason: &ReleaseReason,
        message: &str,
    ) {
        let now = self.clock.now();
        let mut state = self.state();
        let lasts = match reason {
            ReleaseReason::Hung => {
                state.fleet.note_superseded(session, vec![task], now);
                // From then on its heartbeats tell.
                self.settings.heartbeat * 2
            }
            _ => TROUBLE,
        };
        let refusal = Refusal {
            message: message.to_owned(),
            since: now,
            until: now + lasts,
            blames: Blames::Mount,
        };
        state.fleet.keep_from(session, task, refusal);
    }

    /// What the newest heartbeat of a session says holds, until the next.
    pub fn note_left_behind(&self, id: SessionId, left_behind: Vec<LeftBehind>) {
        if self.state().fleet.note_left_behind(id, left_behind) {
            // Its threads came back: it may have items of the task again.
            self.wake_all();
        }
    }
}
