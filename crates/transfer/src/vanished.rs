//! What earlier attempts left at the target in directories that the source no longer has.
//!
//! An attempt removes what its predecessors left unfinished in each directory that it enters, and it enters those of the
//! source. One that vanished after a death is entered by nobody: a worker that was frozen in there could still give a
//! temp its name when the task is long over. So such directories are looked through for temps of this item's earlier
//! attempts, and of the items that handed it over; nothing else in them is touched.

use std::collections::HashSet;
use std::ffi::CString;
use std::sync::Arc;

use model::{HashRange, RelPath, RunId, TempName, name_hash};
use storage::posix::{Dir, Error, Kind, Listed, ListingBuffer};

use crate::engine::{Engine, Problem, describe};
use crate::node::Node;
use crate::sweep::sweep_below;
use crate::target::Leftovers;
use crate::watch;

/// Names that are held; in a larger directory the others are looked up in the source.
const MAX_HELD: usize = 200_000;

/// Directories at the target that the source was not seen to have.
#[derive(Default)]
pub(crate) struct Strangers {
    names: HashSet<Box<[u8]>>,
    has_more: bool,
    /// Of a huge directory, only of these hashes: the others are other items', or looked at later.
    within: Option<HashRange>,
}

impl Strangers {
    pub(crate) fn new(within: Option<HashRange>) -> Self {
        Self {
            within,
            ..Self::default()
        }
    }

    /// What is unfinished is none: somebody may be at work in it.
    fn may_be_one(&self, name: &[u8], run: RunId) -> bool {
        TempName::parse(name).is_none_or(|temp| temp.run != run)
            && self
                .within
                .is_none_or(|range| range.contains(name_hash(name)))
    }

    /// Hashes from `cut` on have become other items'.
    pub(crate) fn cut(&mut self, cut: u64) {
        self.names.retain(|name| name_hash(name) < cut);
        let range = self.within.unwrap_or(HashRange::ALL);
        match range.before(cut) {
            Some(left) => self.within = Some(left),
            None => *self = Self::default(),
        }
    }

    pub(crate) fn add(&mut self, name: &[u8], run: RunId) {
        if !self.may_be_one(name, run) {
            return;
        }
        match self.names.len() < MAX_HELD {
            true => {
                self.names.insert(name.into());
            }
            false => self.has_more = true,
        }
    }

    /// The source has it.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.names.remove(name);
    }
}

impl Engine {
    /// Whether anybody can have left something where this attempt works.
    pub(crate) fn has_predecessors(&self) -> bool {
        let attempt = &self.attempt;
        !self.options.dry_run && (attempt.epoch.0 > 1 || !attempt.ancestors.is_empty())
    }

    /// Whether a temp is one of theirs.
    pub(crate) fn is_left_over(&self, temp: &TempName, leftovers: Leftovers) -> bool {
        let attempt = &self.attempt;
        let is_of_ancestors = || temp.run == attempt.run && attempt.ancestors.contains(&temp.item);
        temp.is_superseded_by(attempt.run, attempt.item, attempt.epoch)
            || (leftovers == Leftovers::OfAncestorsToo && is_of_ancestors())
    }

    /// Looks through directories that only the target has, when all names of the source have been seen.
    pub(crate) fn clear_strangers(
        &self,
        node: &Arc<Node>,
        source: &Dir,
        strangers: &Strangers,
        buffer: &mut ListingBuffer,
    ) -> Result<(), Problem> {
        let Strangers {
            names, has_more, ..
        } = strangers;
        if names.is_empty() && !has_more {
            return Ok(());
        }
        let Some(target) = self.open_held(node.target.as_ref(), &node.path)? else {
            return Ok(());
        };
        for name in names {
            self.check_on()?;
            self.clear_opened(target.open_dir(&**name), Leftovers::OfAncestorsToo);
        }
        if *has_more {
            self.clear_those_not_held(&target, source, strangers, buffer)?;
        }
        Ok(())
    }

    fn clear_those_not_held(
        &self,
        target: &Dir,
        source: &Dir,
        strangers: &Strangers,
        buffer: &mut ListingBuffer,
    ) -> Result<(), Problem> {
        let fresh = target
            .reopen()
            .map_err(|error| self.target_problem(&error))?;
        let mut is_at_end = false;
        while !is_at_end {
            let mut found: Vec<CString> = Vec::new();
            let listed = fresh.list_chunk(buffer, |name, kind| {
                let is_held = strangers.names.contains(name.to_bytes());
                let may_be_one = strangers.may_be_one(name.to_bytes(), self.attempt.run);
                if kind == Kind::Directory && !is_held && may_be_one {
                    found.push(name.to_owned());
                }
            });
            is_at_end = listed.map_err(|error| self.target_problem(&error))? == Listed::End;
            for name in found {
                self.check_on()?;
                if source
                    .stat(name.as_c_str())
                    .is_err_and(|error| error.is_missing())
                {
                    let opened = target.open_dir(name.as_c_str());
                    self.clear_opened(opened, Leftovers::OfAncestorsToo);
                }
            }
        }
        Ok(())
    }

    /// Looks through a directory at the target that has vanished from the source.
    pub(crate) fn clear_vanished_path(&self, path: &RelPath, leftovers: Leftovers) {
        let Some(root) = self.attempt.target.as_ref() else {
            return;
        };
        if self.has_predecessors() {
            self.clear_opened(root.open_below(path.components()), leftovers);
        }
    }

    fn clear_opened(&self, opened: Result<Dir, Error>, leftovers: Leftovers) {
        let dir = match opened {
            Ok(dir) => dir,
            Err(error) if error.is_missing() || error.is_other_kind() => return,
            Err(error) => {
                tracing::warn!(
                    error = describe(&error),
                    "not looked for what is unfinished"
                );
                return;
            }
        };
        let swept = sweep_below(&dir, &|name| {
            watch::got_on();
            let temp = TempName::parse(name)?;
            let is_ours = self.is_left_over(&temp, leftovers) && self.check_fence().is_ok();
            is_ours.then_some((temp.run, true))
        });
        for (path, error) in swept.failures {
            tracing::warn!(%path, error, "left behind");
        }
    }
}
