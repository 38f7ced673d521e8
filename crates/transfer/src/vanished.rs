//! What earlier attempts left at the target in directories that the source no longer has.
//!
//! An attempt removes what its predecessors left unfinished in each directory that it enters, and it enters those of the
//! source. One that vanished after a death is entered by nobody: a worker that was frozen in there could still give a
//! temp its name when the task is long over. So such directories are looked through for temps of this item's earlier
//! attempts, and of the items that handed it over; nothing else in them is touched.

use std::collections::HashSet;
use std::ffi::CString;
use std::sync::Arc;

use model::{RelPath, TempName};
use storage::posix::{Dir, Error, Kind, Listed, ListingBuffer};

use crate::engine::{Engine, Problem, describe};
use crate::node::Node;
use crate::sweep::sweep_below;
use crate::watch;

/// Names that are held; in a larger directory the others are looked up in the source.
const MAX_HELD: usize = 200_000;

/// Directories at the target that the source was not seen to have.
#[derive(Default)]
pub(crate) struct Strangers {
    names: HashSet<Box<[u8]>>,
    has_more: bool,
}

impl Strangers {
    pub(crate) fn add(&mut self, name: &[u8]) {
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

    /// Whether a temp is one of theirs, in a directory that is this item's.
    pub(crate) fn is_of_predecessors(&self, temp: &TempName) -> bool {
        let attempt = &self.attempt;
        temp.is_superseded_by(attempt.run, attempt.item, attempt.epoch)
            || (temp.run == attempt.run && attempt.ancestors.contains(&temp.item))
    }

    /// Looks through directories that only the target has, when all names of the source have been seen.
    pub(crate) fn clear_strangers(
        &self,
        node: &Arc<Node>,
        source: &Dir,
        strangers: &Strangers,
        buffer: &mut ListingBuffer,
    ) -> Result<(), Problem> {
        let Strangers { names, has_more } = strangers;
        if names.is_empty() && !has_more {
            return Ok(());
        }
        let Some(target) = self.open_held(node.target.as_ref(), &node.path)? else {
            return Ok(());
        };
        for name in names {
            self.check_on()?;
            self.clear_opened(target.open_dir(&**name));
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
                if kind == Kind::Directory && !is_held {
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
                    self.clear_opened(target.open_dir(name.as_c_str()));
                }
            }
        }
        Ok(())
    }

    /// Looks through a directory at the target that has vanished from the source.
    pub(crate) fn clear_vanished_path(&self, path: &RelPath) {
        let Some(root) = self.attempt.target.as_ref() else {
            return;
        };
        if self.has_predecessors() {
            let mut way = path.components();
            self.clear_opened(
                root.reopen()
                    .and_then(|root| way.try_fold(root, |dir, name| dir.open_dir(name))),
            );
        }
    }

    fn clear_opened(&self, opened: Result<Dir, Error>) {
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
            let is_ours = self.is_of_predecessors(&temp) && self.check_fence().is_ok();
            is_ours.then_some((temp.run, true))
        });
        for (path, error) in swept.failures {
            tracing::warn!(%path, error, "left behind");
        }
    }
}
