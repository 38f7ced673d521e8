//! What became of an item.

use model::outcome::MAX_FAILURES;
use model::{Counters, Failure, FailureClass, Outcome, SkipReason};

use super::{BadMessage, bad, rel_path};
use crate::{MAX_FAILURE_BYTES, proto};

impl From<&Failure> for proto::Failure {
    fn from(failure: &Failure) -> Self {
        proto::Failure {
            path: failure.path.as_bytes().to_vec(),
            failure_class: failure.class.name().to_owned(),
            error: failure.error.clone(),
        }
    }
}

impl TryFrom<proto::Failure> for Failure {
    type Error = BadMessage;

    fn try_from(failure: proto::Failure) -> Result<Self, BadMessage> {
        Ok(Failure {
            path: rel_path("failure.path", failure.path)?,
            class: FailureClass::from_name(&failure.failure_class)
                .ok_or_else(|| bad("failure.failure_class", &failure.failure_class))?,
            error: failure.error,
        })
    }
}

impl From<&Outcome> for proto::Outcome {
    /// Drops failures by name beyond what one message may carry; their number stays.
    fn from(outcome: &Outcome) -> Self {
        let c = &outcome.counters;
        let mut room = MAX_FAILURE_BYTES;
        let failures = outcome
            .failures
            .iter()
            .take(MAX_FAILURES)
            .take_while(|failure| {
                let size = failure.path.as_bytes().len() + failure.error.len() + 32;
                room = room.saturating_sub(size);
                room > 0
            })
            .map(Into::into)
            .collect();
        proto::Outcome {
            listed: c.listed,
            copied: c.copied,
            unchanged: c.unchanged,
            skipped: c.skipped,
            failed: c.failed,
            deferred: c.deferred,
            copied_files: c.copied_files,
            copied_bytes: c.copied_bytes,
            unreadable_directories: outcome.unreadable_directories,
            skipped_by_reason: outcome
                .skipped
                .iter()
                .map(|(reason, n)| (reason.name().to_owned(), *n))
                .collect(),
            notes: outcome.notes.clone().into_iter().collect(),
            failures,
        }
    }
}

impl TryFrom<proto::Outcome> for Outcome {
    type Error = BadMessage;

    fn try_from(outcome: proto::Outcome) -> Result<Self, BadMessage> {
        let skipped = outcome
            .skipped_by_reason
            .into_iter()
            .map(|(name, n)| {
                SkipReason::ALL
                    .into_iter()
                    .find(|reason| reason.name() == name)
                    .map(|reason| (reason, n))
                    .ok_or_else(|| bad("outcome.skipped_by_reason", name))
            })
            .collect::<Result<_, _>>()?;
        if outcome.failures.len() > MAX_FAILURES {
            return Err(bad("outcome.failures", "more than 10,000"));
        }
        let outcome = Outcome {
            counters: Counters {
                listed: outcome.listed,
                copied: outcome.copied,
                unchanged: outcome.unchanged,
                skipped: outcome.skipped,
                failed: outcome.failed,
                deferred: outcome.deferred,
                copied_files: outcome.copied_files,
                copied_bytes: outcome.copied_bytes,
            },
            skipped,
            failures: outcome
                .failures
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            unreadable_directories: outcome.unreadable_directories,
            notes: outcome.notes.into_iter().collect(),
        };
        if !outcome.is_balanced() {
            return Err(bad("outcome", "listed is not the sum of the results"));
        }
        Ok(outcome)
    }
}
