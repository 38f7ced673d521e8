//! What the options mean for one entry: which mode, owner and times it is to have, and what becomes of a loss.

use std::sync::atomic::{AtomicU64, Ordering};

use model::options::{MetadataPolicy, Verify};
use model::{Attribute, FailureClass, RelPath};
use storage::posix::{Meta, Owner, Times};

use crate::attempt::FileWork;
use crate::engine::{Engine, Problem};
use crate::ledger::{Note, Tally, Verdict};

/// Losses that an attempt names one by one; beyond, they are counted alone.
const MAX_NAMED: u64 = 1_000;

/// How many losses were named.
#[derive(Debug, Default)]
pub(crate) struct Losses(AtomicU64);

impl Engine {
    /// The mode that an entry is to have, before anything is said about its owner.
    pub(crate) fn mode_of(&self, source: &Meta) -> u32 {
        match self.options.keeps(Attribute::Mode) {
            true => source.mode,
            false => source.mode & 0o777 & !self.process_mask,
        }
    }

    /// The mode to make a directory with: nobody else's until it has its attributes, or what it stays with.
    pub(crate) fn mode_of_new_directory(&self, source: &Meta) -> u32 {
        match self.options.keeps(Attribute::Mode) {
            true => 0o700,
            false => self.mode_of(source) | 0o700,
        }
    }

    /// Whether an entry that belongs to `now` is to be given to `wanted`.
    pub(crate) fn changes_owner(&self, now: Option<Owner>, wanted: Owner) -> bool {
        self.options.keeps(Attribute::Owner) && now != Some(wanted)
    }

    /// The times to set; `None` when none are.
    pub(crate) fn times_of(&self, source: &Meta) -> Option<Times> {
        let kept = |attribute, time| self.options.keeps(attribute).then_some(time);
        let times = Times {
            accessed: kept(Attribute::Atime, source.accessed),
            modified: kept(Attribute::Times, source.modified),
        };
        (times.accessed.is_some() || times.modified.is_some()).then_some(times)
    }

    /// Whether what was written is read again before it gets its name.
    pub(crate) fn reads_back(&self) -> bool {
        self.options.verify == Verify::Checksum
    }

    /// Whether names of one file are to stay one file, in this attempt.
    pub(crate) fn keeps_links(&self) -> bool {
        self.options.keeps(Attribute::Links)
            && !self.options.dry_run
            && matches!(self.attempt.files, FileWork::Copy)
    }

    /// Something can't be kept: counted and named, or what fails the entry.
    pub(crate) fn lose(
        &self,
        note: Note,
        why: &str,
        path: &dyn Fn() -> RelPath,
        tally: &mut Tally,
    ) -> Result<(), Problem> {
        if self.options.metadata == MetadataPolicy::Strict {
            return Err(Problem::Entry(Verdict::Failed {
                class: FailureClass::GiveUp,
                error: format!("metadata: strict: {}{why}", note.name()),
            }));
        }
        tally.note(note);
        match self.losses.0.fetch_add(1, Ordering::Relaxed) {
            n if n < MAX_NAMED => tracing::warn!("{}: {}{why}", path(), note.name()),
            MAX_NAMED => tracing::warn!("further losses are counted, and not named here"),
            _ => {}
        }
        Ok(())
    }
}
