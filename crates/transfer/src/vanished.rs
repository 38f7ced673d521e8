//! What earlier attempts left at the target in directories that the source no longer has.
//!
//! An attempt removes what its predecessors left unfinished in each directory that it enters, and it enters those of the
//! source. One that vanished after a death is entered by nobody: a worker that was frozen in there could still give a
//! temp its name when the task is long over. So such directories are looked through for temps of this item's earlier
//! attempts, and of the items that handed it over; nothing else in them is touched.

use std::collections::HashSet;
use std::sync::Arc;

use model::{RelPath, TempName};
use storage::posix::{Dir, Error};

use crate::engine::{Engine, Problem, describe};
use crate::node::Node;
use crate::sweep::sweep_below;
use crate::watch;

/// Names of directories at the target that the source was not seen to have.
pub(crate) type Strangers = HashSet<Box<[u8]>>;

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

    /// Looks through what is left of directories of the node's.
    pub(crate) fn clear_strangers(
        &self,
        node: &Arc<Node>,
        strangers: &Strangers,
    ) -> Result<(), Problem> {
        if strangers.is_empty() {
            return Ok(());
        }
        if let Some(target) = self.open_held(node.target.as_ref(), &node.path)? {
            for name in strangers {
                self.check_on()?;
                self.clear_opened(target.open_dir(&**name));
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
