//! What an attempt did: the ledger's numbers, and the failures by name.
//!
//! `listed` is counted where directories are read, the rest where it happens; so
//! [`Counters::is_balanced`] is a check and not a tautology.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path::RelPath;

/// Failures of one item that are kept by name; beyond, only their number is known.
pub const MAX_FAILURES: usize = 10_000;

/// Entries (files, directories, links, special files) of one attempt, task or run.
/// The roots themselves and directories made on the way to a listed path are no entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Entries read from directories or taken from a file list.
    pub listed: u64,
    /// Entries made or repaired at the target (in a dry run: that would be).
    pub copied: u64,
    /// Entries that were already there and equal.
    pub unchanged: u64,
    /// Entries left out, each with a reason.
    pub skipped: u64,
    pub failed: u64,
    /// Directories handed to other items, which count them.
    pub deferred: u64,
    /// Of `copied`: regular files.
    pub copied_files: u64,
    /// Content of the copied files, in bytes (holes included).
    pub copied_bytes: u64,
}

impl Counters {
    /// Whether every listed entry has exactly one result.
    pub fn is_balanced(&self) -> bool {
        let results = [
            self.copied,
            self.unchanged,
            self.skipped,
            self.failed,
            self.deferred,
        ];
        // Wide enough that no peer's numbers overflow it.
        u128::from(self.listed) == results.into_iter().map(u128::from).sum()
    }

    pub fn add(&mut self, other: &Counters) {
        self.listed = self.listed.saturating_add(other.listed);
        self.copied = self.copied.saturating_add(other.copied);
        self.unchanged = self.unchanged.saturating_add(other.unchanged);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.failed = self.failed.saturating_add(other.failed);
        self.deferred = self.deferred.saturating_add(other.deferred);
        self.copied_files = self.copied_files.saturating_add(other.copied_files);
        self.copied_bytes = self.copied_bytes.saturating_add(other.copied_bytes);
    }
}

/// Why an entry was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A FIFO, socket or device node.
    Special,
    /// With `update`: the target is newer.
    NewerAtTarget,
    /// It was listed, and gone when it was looked at.
    Vanished,
    /// A link or directory, and the target is a remote of rclone, which keeps files alone.
    NotOnRemote,
    /// A line of `exclude` left it out, or a directory above it.
    Excluded,
    /// There are lines of `include`, and none matched it.
    NotIncluded,
    /// A file smaller or larger than what is migrated.
    Size,
    /// A file younger or older than what is migrated.
    Age,
    /// A directory on another file system than the root of the task, where only that one is migrated.
    OtherFileSystem,
}

impl SkipReason {
    pub const ALL: [SkipReason; 9] = [
        SkipReason::Special,
        SkipReason::NewerAtTarget,
        SkipReason::Vanished,
        SkipReason::NotOnRemote,
        SkipReason::Excluded,
        SkipReason::NotIncluded,
        SkipReason::Size,
        SkipReason::Age,
        SkipReason::OtherFileSystem,
    ];

    pub fn name(self) -> &'static str {
        match self {
            SkipReason::Special => "special file",
            SkipReason::NewerAtTarget => "newer at target",
            SkipReason::Vanished => "vanished",
            SkipReason::NotOnRemote => "link or directory, not kept on a remote",
            SkipReason::Excluded => "excluded",
            SkipReason::NotIncluded => "not included",
            SkipReason::Size => "size outside the limits",
            SkipReason::Age => "age outside the limits",
            SkipReason::OtherFileSystem => "on another file system",
        }
    }
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// It may go away: EIO, ESTALE, timeouts, EMFILE…
    Retry,
    /// It will not: permission, name too long, a conflict at the target…
    GiveUp,
    /// The source changed while it was read, each time it was tried.
    Changed,
    /// The target is full, over quota or read-only.
    TargetFull,
    /// Listed by the user and not there.
    Missing,
    /// A directory whose entries could not all be read; what is below it is unknown.
    Unreadable,
}

impl FailureClass {
    pub const ALL: [FailureClass; 6] = [
        FailureClass::Retry,
        FailureClass::GiveUp,
        FailureClass::Changed,
        FailureClass::TargetFull,
        FailureClass::Missing,
        FailureClass::Unreadable,
    ];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            FailureClass::Retry => "retry",
            FailureClass::GiveUp => "give up",
            FailureClass::Changed => "changed",
            FailureClass::TargetFull => "target full",
            FailureClass::Missing => "missing",
            FailureClass::Unreadable => "unreadable",
        }
    }
}

/// One entry that could not be migrated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Relative to the task's root.
    pub path: RelPath,
    pub class: FailureClass,
    /// What was attempted and what the system said, e.g. `cannot read: Permission denied (os error 13)`.
    pub error: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.error)
    }
}

/// What one attempt did, or several added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    pub counters: Counters,
    /// How `counters.skipped` is made up.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Up to [`MAX_FAILURES`]; `counters.failed` has the whole number. A root that could not be read to its end is
    /// named here too, and is no entry that failed.
    pub failures: Vec<Failure>,
    /// Directories that could not be read to their end. Any makes the task incomplete.
    pub unreadable_directories: u64,
    /// Things kept less than exactly, by name (e.g. hard links that became files of their own).
    pub notes: BTreeMap<String, u64>,
}

impl Outcome {
    /// Whether coverage is exact: each listed entry has one result and each reason adds up.
    pub fn is_balanced(&self) -> bool {
        self.counters.is_balanced()
            && self.skipped.values().copied().map(u128::from).sum::<u128>()
                == u128::from(self.counters.skipped)
            && self.failures.len() as u64
                <= self
                    .counters
                    .failed
                    .saturating_add(self.unreadable_directories)
    }

    pub fn add(&mut self, other: Outcome) {
        self.counters.add(&other.counters);
        for (reason, n) in other.skipped {
            let sum = self.skipped.entry(reason).or_default();
            *sum = sum.saturating_add(n);
        }
        let room = MAX_FAILURES.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
        self.unreadable_directories = self
            .unreadable_directories
            .saturating_add(other.unreadable_directories);
        for (note, n) in other.notes {
            let sum = self.notes.entry(note).or_default();
            *sum = sum.saturating_add(n);
        }
    }
}
