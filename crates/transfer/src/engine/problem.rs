//! What an error means: for the entry alone, or for the whole attempt.

use std::time::Duration;

use model::{RelPath, SkipReason};
use storage::posix::{Error, Side};

use super::Engine;
use crate::attempt::Stopped;
use crate::ledger::Verdict;

/// How often and how long a thread waits for others to close what they have open: 5 s.
const MAX_WAITS: u32 = 250;
const WAIT_FOR_DESCRIPTORS: Duration = Duration::from_millis(20);

/// Why an entry got no copy.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It has a verdict all the same.
    Entry(Verdict),
    /// The attempt is stopping.
    Stopping,
}

impl Engine {
    pub(crate) fn stop_with(&self, reason: Stopped) -> Problem {
        self.stop(reason);
        Problem::Stopping
    }

    pub(crate) fn stop_again(&self, error: &Error, path: &RelPath) -> Problem {
        if let Some(what) = error.no_room() {
            return self.stop_with(Stopped::TargetFull(what));
        }
        self.stop_with(Stopped::Again(format!("{path}: {}", describe(error))))
    }

    /// Opens something. While this process has too many files open, it waits for other threads
    /// to close theirs; when that doesn't help, the error is the attempt's and not the entry's.
    pub(crate) fn opening<T>(&self, open: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let mut waits = 0;
        loop {
            match open() {
                Err(error)
                    if error.is_out_of_descriptors()
                        && waits < MAX_WAITS
                        && self.check_on().is_ok() =>
                {
                    waits += 1;
                    std::thread::sleep(WAIT_FOR_DESCRIPTORS);
                }
                result => return result,
            }
        }
    }

    /// An error that a whole mount may have: then it is not the entry's.
    pub(crate) fn check_mount_after(&self, error: &Error) -> Result<(), Problem> {
        match error.may_be_of_mount() {
            true => self.check_roots(),
            false => Ok(()),
        }
    }

    /// An error at the source is the entry's own, unless it is this process's.
    pub(crate) fn source_problem(&self, error: &Error) -> Problem {
        if error.is_out_of_descriptors() {
            return self.stop_with(Stopped::Again(describe(error)));
        }
        if let Err(problem) = self.check_mount_after(error) {
            return problem;
        }
        if error.is_missing() {
            return Problem::Entry(Verdict::Skipped(SkipReason::Vanished));
        }
        Problem::Entry(Verdict::Failed {
            class: error.class(Side::Source),
            error: describe(error),
        })
    }

    /// An error at the target is the entry's own, unless the target is full or it is this process's.
    pub(crate) fn target_problem(&self, error: &Error) -> Problem {
        if error.is_out_of_descriptors() {
            return self.stop_with(Stopped::Again(describe(error)));
        }
        if let Some(what) = error.no_room() {
            return self.stop_with(Stopped::TargetFull(what));
        }
        if let Err(problem) = self.check_mount_after(error) {
            return problem;
        }
        Problem::Entry(Verdict::Failed {
            class: error.class(Side::Target),
            error: format!("target: {}", describe(error)),
        })
    }
}

/// What was attempted and what the system said.
pub(crate) fn describe(error: &Error) -> String {
    format!("{error}: {}", error.source)
}
