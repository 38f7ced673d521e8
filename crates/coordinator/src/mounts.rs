//! Mounts that give a worker no answer, as far as it says.
//!
//! It blames nobody: the worker goes on with other tasks, the task with other workers, and both come together again
//! when the mount is well.

use std::time::{Duration, Instant};

use model::{RelPath, SessionId, TaskId};
use wire::proto;

use crate::fleet::{Blames, Refusal};
use crate::scheduler::{ReleaseReason, Scheduler};

/// Calls without an answer that are told of one attempt.
const MOST_CALLS: usize = 8;

/// Attempts that a worker may have left behind, so that a peer can't fill our memory.
const MOST_LEFT_BEHIND: usize = 10_000;

/// A call without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Where; the roots, if it is the root.
    pub path: RelPath,
    pub lasted: Duration,
}

/// An attempt that is over for us, while its threads still stand in calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    pub task: TaskId,
    pub call: Unanswered,
}

impl From<proto::Unanswered> for Unanswered {
    fn from(call: proto::Unanswered) -> Self {
        Self {
            path: RelPath::new(call.path).unwrap_or_default(),
            lasted: Duration::from_millis(call.ms.into()),
        }
    }
}

impl From<&Unanswered> for proto::Unanswered {
    fn from(call: &Unanswered) -> Self {
        Self {
            path: call.path.as_bytes().to_vec(),
            ms: call.lasted.as_millis().min(u32::MAX.into()) as u32,
        }
    }
}

impl From<proto::LeftBehind> for LeftBehind {
    fn from(left: proto::LeftBehind) -> Self {
        Self {
            task: TaskId(left.task),
            call: left.call.unwrap_or_default().into(),
        }
    }
}

impl From<&LeftBehind> for proto::LeftBehind {
    fn from(left: &LeftBehind) -> Self {
        Self {
            task: left.task.0,
            call: Some((&left.call).into()),
        }
    }
}

/// What a heartbeat says of one attempt.
pub fn unanswered(calls: Vec<proto::Unanswered>) -> Vec<Unanswered> {
    calls.into_iter().take(MOST_CALLS).map(Into::into).collect()
}

/// What a heartbeat says of all that its worker left behind.
pub fn left_behind(attempts: Vec<proto::LeftBehind>) -> Vec<LeftBehind> {
    attempts
        .into_iter()
        .take(MOST_LEFT_BEHIND)
        .map(Into::into)
        .collect()
}

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
        let now = Instant::now();
        let mut state = self.state();
        let lasts = match reason {
            ReleaseReason::Hung => {
                state.fleet.suspect(session, vec![task], now);
                // From then on its heartbeats tell.
                self.settings().heartbeat * 2
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
            self.work.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use model::{RelPath, SessionId, TaskId};

    use super::{LeftBehind, Unanswered};
    use crate::fleet::{Blames, Fleet, Refusal, Session};

    const LEASE: Duration = Duration::from_secs(30);

    fn id(n: u64) -> SessionId {
        SessionId::from_random(n)
    }

    fn fleet(now: Instant) -> Fleet {
        let mut fleet = Fleet::new(LEASE);
        for n in 0..2 {
            let session = Session::new(format!("w{n}"), String::new(), Some(n), LEASE, now);
            fleet.sessions.insert(id(n), session);
        }
        fleet
    }

    fn left(task: u32) -> LeftBehind {
        LeftBehind {
            task: TaskId(task),
            call: Unanswered {
                path: RelPath::ROOT,
                lasted: LEASE,
            },
        }
    }

    #[test]
    fn a_worker_gets_nothing_of_a_task_whose_threads_wait_for_its_mount() {
        let now = Instant::now();
        let mut fleet = fleet(now);
        assert!(!fleet.note_left_behind(id(0), vec![left(1), left(1)]));
        assert!(!fleet.may_run(id(0), TaskId(1), now + LEASE * 100));
        assert!(fleet.may_run(id(0), TaskId(2), now));
        assert!(fleet.may_run(id(1), TaskId(1), now));
        // One of two is not enough.
        assert!(!fleet.note_left_behind(id(0), vec![left(1)]));
        assert!(fleet.note_left_behind(id(0), vec![]));
        assert!(fleet.may_run(id(0), TaskId(1), now));
    }

    #[test]
    fn a_mount_in_trouble_everywhere_fails_no_task() {
        let now = Instant::now();
        let mut fleet = fleet(now);
        let task = TaskId(1);
        fleet.refuse(id(0), task, "no mount".into(), now);
        let stale = Refusal {
            message: "stale".into(),
            since: now,
            until: now + super::TROUBLE,
            blames: Blames::Mount,
        };
        fleet.keep_from(id(1), task, stale);
        assert!(!fleet.may_run(id(1), task, now));
        let refused = |fleet: &Fleet| {
            fleet
                .refused_by_all(task, LEASE, now + LEASE, |_| true)
                .is_some()
        };
        assert!(!refused(&fleet));
        // It is looked at again soon.
        assert!(fleet.may_run(id(1), task, now + Duration::from_secs(11)));
        fleet.refuse(id(1), task, "no mount".into(), now);
        assert!(refused(&fleet));
    }
}
