//! What an attempt ended with, whatever ended it.

use model::{ItemId, NoRoom, Outcome, RelPath, Work};
use storage::roots::{RootsError, RootsErrorKind};
use transfer::{RootsLost, Stopped};
use wire::{BadMessage, proto};

use crate::connection::CallError;

/// What an attempt ended with, as the server is told.
pub(crate) enum Verdict {
    Complete(Box<Complete>),
    Release(proto::ReleaseReason, String),
    /// The target takes nothing more.
    TargetFull(NoRoom, String),
    /// The item is another's: nothing is said.
    Silent,
}

/// A completed attempt, with the work that it leaves to others.
pub(crate) struct Complete {
    pub(crate) outcome: Outcome,
    pub(crate) children: Vec<(ItemId, Work)>,
    /// Entries that are left to another try.
    pub(crate) again: Vec<RelPath>,
}

impl Verdict {
    pub(crate) fn complete(outcome: Outcome) -> Self {
        Verdict::Complete(Box::new(Complete {
            outcome,
            children: Vec::new(),
            again: Vec::new(),
        }))
    }

    pub(crate) fn failed(why: String) -> Self {
        Verdict::Release(proto::ReleaseReason::Failed, why)
    }
}

impl From<Stopped> for Verdict {
    fn from(stopped: Stopped) -> Self {
        use proto::ReleaseReason::{Drain, Failed, Machine, Stale};
        match stopped {
            Stopped::LeaseLost => Verdict::Silent,
            Stopped::Cancelled => Verdict::Release(Drain, "the worker was told to stop".into()),
            Stopped::MountGone(what) => Verdict::Release(Machine, what),
            Stopped::MountStale(what) => Verdict::Release(Stale, what),
            Stopped::TargetFull(what) => Verdict::TargetFull(what, stopped.to_string()),
            Stopped::Again(what) => Verdict::Release(Failed, what),
        }
    }
}

impl From<CallError> for Verdict {
    fn from(error: CallError) -> Self {
        match error {
            CallError::UnknownSession | CallError::GaveUp { .. } => Verdict::Silent,
            CallError::Refused(status) => Verdict::Release(
                proto::ReleaseReason::Failed,
                format!("the server refused a call: {}", status.message()),
            ),
        }
    }
}

impl From<BadMessage> for Verdict {
    fn from(bad: BadMessage) -> Self {
        Verdict::Release(proto::ReleaseReason::Failed, bad.to_string())
    }
}

impl From<RootsError> for Verdict {
    fn from(error: RootsError) -> Self {
        let message = model::error_chain(&error);
        let reason = match error.kind() {
            RootsErrorKind::ThisMachine | RootsErrorKind::Gone => proto::ReleaseReason::Machine,
            RootsErrorKind::EveryMachine => proto::ReleaseReason::Task,
            RootsErrorKind::Stale => proto::ReleaseReason::Stale,
            RootsErrorKind::TargetFull(what) => return Verdict::TargetFull(what, message),
        };
        Verdict::Release(reason, message)
    }
}

/// The roots are not what they were, or can't be looked at.
pub(crate) fn lost(error: RootsError) -> RootsLost {
    let why = model::error_chain(&error);
    match error.kind() {
        RootsErrorKind::Stale => RootsLost::Stale(why),
        _ => RootsLost::Gone(why),
    }
}
