//! What an attempt leaves to another one: what may go away, or all that it finds where something beside it kills workers.

use model::{FailureClass, RelPath};
use storage::posix::{Error, Side};

use super::{Engine, lock};
use crate::attempt::{AttemptWork, FileWork};
use crate::ledger::Verdict;

impl Engine {
    /// A directory can't be read, and nothing in it has been counted; whether it is left to another try.
    pub(crate) fn is_left_unread(&self, path: &RelPath, error: &Error) -> bool {
        let is_left = self.may_be_left(path) && error.class(Side::Source) == FailureClass::Retry;
        if is_left {
            lock(&self.ledger).directories.unread.insert(path.clone());
        }
        is_left
    }

    /// Whether what fails at the path may be left to another attempt. Where all that is found is left anyway, the one
    /// path that the item is for is none of that.
    pub(super) fn may_be_left(&self, path: &RelPath) -> bool {
        let is_own = match &self.attempt.work {
            AttemptWork::Walk(paths) | AttemptWork::Entries(paths) => {
                paths.len() == 1 && paths.first() == Some(path)
            }
            _ => false,
        };
        self.attempt.another_try_follows || (self.leaves_all() && !is_own)
    }

    /// Whether nothing is copied, and all that is found left to others.
    pub(crate) fn leaves_all(&self) -> bool {
        matches!(self.attempt.files, FileWork::Leave)
    }

    /// What becomes of an entry where everything is left to others. None: it is copied, or something below it is
    /// another's already, so that it has to be looked into.
    pub(crate) fn left(&self, path: &RelPath) -> Option<Verdict> {
        let is_left = self.leaves_all() && !self.excluded.has_within(path);
        is_left.then(|| Verdict::Failed {
            class: FailureClass::Retry,
            error: "not tried: something beside it kills workers".to_owned(),
        })
    }

    /// A directory whose entries have their results failed all the same: it gets no other try.
    pub(crate) fn failed_after_its_entries(&self, path: &RelPath) {
        if self.may_be_left(path) {
            lock(&self.ledger).directories.entered.insert(path.clone());
        }
    }
}
