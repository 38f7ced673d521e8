//! Counting. A [`Tally`] is what one job or one unpublished directory has to report; it reaches
//! the ledger when what it counts is published.

use std::collections::BTreeMap;

use model::outcome::MAX_FAILURES;
use model::{Counters, Failure, FailureClass, Outcome, RelPath, SkipReason};

/// Things worth counting besides results, most of them kept less than exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    HardLinks,
    OwnerNotKept,
    AclNotKept,
    XattrNotKept,
    TimeNotKept,
    /// Immutable and append-only marks.
    FlagsNotKept,
    /// No loss: the content was read back and found right.
    Verified,
}

impl Note {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Note::HardLinks => "hard links copied as separate files",
            Note::OwnerNotKept => "owner not kept",
            Note::AclNotKept => "ACL not kept",
            Note::XattrNotKept => "extended attribute not kept",
            Note::TimeNotKept => "time not kept: the target can't hold it",
            Note::FlagsNotKept => "immutable or append-only at the source: not carried over",
            Note::Verified => "files verified by checksum",
        }
    }
}

/// The result of one entry.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A regular file was written, so many bytes.
    CopiedFile(u64),
    /// Anything else was made, or attributes repaired.
    Copied,
    Unchanged,
    Skipped(SkipReason),
    /// Left to another item.
    Deferred,
    Failed {
        class: FailureClass,
        error: String,
    },
}

impl Verdict {
    /// Whether names at the target may have come or gone for it. What failed, or vanished in the end, may have been
    /// made and removed again.
    pub(crate) fn may_have_written(&self) -> bool {
        match self {
            Verdict::CopiedFile(_)
            | Verdict::Copied
            | Verdict::Failed { .. }
            | Verdict::Skipped(SkipReason::Vanished) => true,
            Verdict::Unchanged | Verdict::Deferred | Verdict::Skipped(_) => false,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counters: Counters,
    skipped: BTreeMap<SkipReason, u64>,
    failures: Vec<Failure>,
    unreadable_directories: u64,
    notes: BTreeMap<Note, u64>,
}

impl Tally {
    /// Counts the result of one entry; its path is asked for only when it is needed.
    pub(crate) fn count(&mut self, verdict: Verdict, path: impl FnOnce() -> RelPath) {
        match verdict {
            Verdict::CopiedFile(bytes) => {
                self.counters.copied += 1;
                self.counters.copied_files += 1;
                self.counters.copied_bytes += bytes;
            }
            Verdict::Copied => self.counters.copied += 1,
            Verdict::Unchanged => self.counters.unchanged += 1,
            Verdict::Deferred => self.counters.deferred += 1,
            Verdict::Skipped(reason) => {
                self.counters.skipped += 1;
                *self.skipped.entry(reason).or_default() += 1;
            }
            Verdict::Failed { class, error } => {
                self.counters.failed += 1;
                if class == FailureClass::Unreadable {
                    self.unreadable_directories += 1;
                }
                if self.failures.len() < MAX_FAILURES {
                    let path = path();
                    self.failures.push(Failure { path, class, error });
                }
            }
        }
    }

    /// The root of a walk could not be read to its end; it is no entry, so only its name is kept.
    pub(crate) fn unreadable_root(&mut self, path: RelPath, error: String) {
        self.unreadable_directories += 1;
        let class = FailureClass::Unreadable;
        self.failures.push(Failure { path, class, error });
    }

    pub(crate) fn note(&mut self, note: Note) {
        *self.notes.entry(note).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.counters.add(&other.counters);
        for (reason, n) in other.skipped {
            *self.skipped.entry(reason).or_default() += n;
        }
        let room = MAX_FAILURES.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
        self.unreadable_directories += other.unreadable_directories;
        for (note, n) in other.notes {
            *self.notes.entry(note).or_default() += n;
        }
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        Outcome {
            counters: self.counters,
            skipped: self.skipped,
            failures: self.failures,
            unreadable_directories: self.unreadable_directories,
            notes: self
                .notes
                .into_iter()
                .map(|(note, n)| (note.name().to_owned(), n))
                .collect(),
        }
    }
}
