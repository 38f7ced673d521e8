//! A regular file of a task that rclone copies, before and after: found and left to it, and settled.
//!
//! What rclone says of a file is a claim. It counts only when the target has a regular file of the source's size
//! there, and the source has not changed since rclone began.

use std::sync::Arc;

use model::{Attribute, FailureClass, SkipReason};
use storage::posix::{Kind, Meta, Xattrs};

use crate::attempt::{Found, Settling, Stopped};
use crate::attributes::{At, Present, Wanted, xattrs_differ};
use crate::compare::{Comparison, attributes_differ, is_same_time};
use crate::engine::Problem;
use crate::entry::{Done, Entry, changed};
use crate::ledger::{Note, Verdict};
use crate::rclone::{Claim, NOT_LISTABLE, can_be_listed};
use crate::target::conflict;
use crate::watch;

/// How much the clocks of this machine and of the source's server may differ, in seconds.
const CLOCK_SKEW_SECS: i64 = 2;

/// It counts nanoseconds in 64 bits: from 1677 to 2262. What it sets for another time would look like a change.
const TIMES_OF_RCLONE_SECS: std::ops::Range<i64> = -9_223_372_036..9_223_372_036;

impl Entry<'_> {
    /// Leaves the file to rclone, unless nothing has to be written, or rclone can't do it right.
    pub(crate) fn find(
        &mut self,
        found: &Arc<dyn Found>,
        present: Option<Meta>,
    ) -> Result<Done, Problem> {
        let engine = self.engine;
        let has_remote_target = engine.has_remote_target();
        if engine.options.dry_run && !has_remote_target {
            return self.copy_file(present);
        }
        let meta = self.stat_source()?;
        if let Some(present) = &present {
            match present.kind {
                // What is in the way is removed by our own code.
                Kind::Directory => return self.copy_file(Some(*present)),
                Kind::File => match self.compare(&meta, present)? {
                    Comparison::ContentDiffers | Comparison::MustBeRead => {}
                    _ => return self.copy_file(Some(*present)),
                },
                // rclone might write through a link.
                _ => return self.copy_new(),
            }
        }
        if has_remote_target && !can_be_listed(&self.path()) {
            return Ok(Done::Now(failed(NOT_LISTABLE)));
        }
        if !has_remote_target && !self.can_be_left_to_rclone(&meta) {
            return self.copy_file(present);
        }
        found
            .add(&self.path(), Some(meta.size))
            .map_err(|why| engine.stop_with(Stopped::Again(why)))?;
        Ok(Done::Now(Verdict::Deferred))
    }

    /// Not: a name that rclone can't be told of, a time that it can't set, and a file in a directory of ours that we
    /// may not write into once it has its mode.
    fn can_be_left_to_rclone(&self, meta: &Meta) -> bool {
        let is_writable =
            self.engine.identity.is_root() || self.node.source_meta.mode & 0o300 == 0o300;
        // A file without data needs no rclone, and one in procfs has data all the same.
        is_writable
            && meta.size > 0
            && TIMES_OF_RCLONE_SECS.contains(&meta.modified.secs)
            && can_be_listed(&self.path())
    }

    /// Holds what rclone says of the file against what is at the target, and sets its attributes.
    pub(crate) fn settle(
        &mut self,
        settling: &Settling,
        present: Option<Meta>,
    ) -> Result<Done, Problem> {
        let engine = self.engine;
        let path = self.path();
        let claim = match settling.claims.of(&path) {
            Some(Claim::Failed(error)) => return Ok(Done::Now(failed(error))),
            Some(Claim::Newer) => {
                return Ok(Done::Now(Verdict::Skipped(SkipReason::NewerAtTarget)));
            }
            Some(Claim::Vanished) => return Ok(Done::Now(Verdict::Skipped(SkipReason::Vanished))),
            Some(claim @ (Claim::Copied | Claim::Unchanged)) => claim,
            Some(Claim::WouldCopy) | None => {
                return Ok(Done::Now(failed("rclone said nothing about it")));
            }
        };
        let meta = self.stat_source()?;
        let has_changed = meta.changed.secs >= settling.began_secs - CLOCK_SKEW_SECS;
        let Some(present) = present else {
            return Ok(Done::Now(failed(
                "rclone said that it is copied, but it is not at the target",
            )));
        };
        if present.kind != Kind::File {
            return Ok(Done::Now(failed(
                "rclone said that it is copied, but the target has another kind of entry there",
            )));
        }
        let is_root = engine.identity.is_root();
        let is_copied = matches!(claim, Claim::Copied);
        if present.size != meta.size {
            if has_changed {
                return Err(changed("while rclone copied it"));
            }
            let error = format!(
                "rclone said that it is copied, but the target has {} of {} bytes",
                present.size, meta.size
            );
            return Ok(Done::Now(failed(&error)));
        }
        // rclone gives a copy the time of what it read, by which a later change of the source shows.
        let is_current = match is_copied {
            true => {
                !engine.options.keeps(Attribute::Times)
                    || is_same_time(meta.modified, present.modified)
            }
            false => matches!(
                self.compare(&meta, &present)?,
                Comparison::Equal | Comparison::AttributesDiffer
            ),
        };
        if !is_current {
            return Err(changed("while rclone copied it"));
        }
        if meta.nlink > 1 {
            self.tally.note(Note::HardLinks);
        }
        let xattrs = engine.source_xattrs(self.source.xattrs_of(self.name))?;
        let found = match self.target {
            Some(target) => engine.target_xattrs(target.xattrs_of(self.name))?,
            None => Xattrs::default(),
        };
        let mut differs = attributes_differ(&meta, &present, &engine.options, is_root)
            || xattrs_differ(&xattrs, &found);
        if differs {
            let wanted = Wanted {
                meta: &meta,
                xattrs: &xattrs,
            };
            match self.set_attributes(wanted, &present, found)? {
                Some(changed) => differs = changed,
                None => return self.copy_new(),
            }
        } else if engine.syncs_each_file {
            self.sync_present()?;
        }
        Ok(Done::Now(match (is_copied, differs) {
            (true, _) => Verdict::CopiedFile(meta.size),
            (false, true) => Verdict::Copied,
            (false, false) => Verdict::Unchanged,
        }))
    }

    /// `None`: it may have a name outside of the root, and is to be copied anew.
    fn set_attributes(
        &mut self,
        wanted: Wanted<'_>,
        present: &Meta,
        found: Xattrs,
    ) -> Result<Option<bool>, Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(Some(false));
        };
        let opened = engine.opening(|| target.open_file(self.name));
        let file = opened.map_err(|error| engine.target_problem(&error))?;
        let opened = file.meta().map_err(|error| engine.target_problem(&error))?;
        if (opened.ino, opened.dev) != (present.ino, present.dev) {
            return Err(conflict("somebody else replaced it at the target"));
        }
        if opened.nlink > 1 || !opened.is_untouched_since(present) {
            return Ok(None);
        }
        engine.check_fence()?;
        let changed = self.keep(At::File(&file), wanted, &Present::of(present, found))?;
        if engine.syncs_each_file {
            watch::asking_for_much(|| file.sync())
                .map_err(|error| engine.target_problem(&error))?;
        }
        Ok(Some(changed))
    }

    /// What rclone wrote is not synced by it.
    fn sync_present(&self) -> Result<(), Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(());
        };
        engine
            .opening(|| target.open_file(self.name))
            .and_then(|file| watch::asking_for_much(|| file.sync()))
            .map_err(|error| engine.target_problem(&error))
    }
}

fn failed(error: &str) -> Verdict {
    Verdict::Failed {
        class: FailureClass::GiveUp,
        error: error.to_owned(),
    }
}
