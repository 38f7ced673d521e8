//! Mounts that give a worker no answer, as far as it says in its heartbeats.

use std::time::Duration;

use model::{RelPath, TaskId};
use wire::proto;

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
