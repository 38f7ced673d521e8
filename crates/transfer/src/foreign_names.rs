//! Whoever may write at the target can give a name there to an inode that lies outside of the root. So nothing is changed on
//! an inode of which not all names are known to lie in the tree: it is left as it is, and the name gets a new one.
//!
//! A name that was looked up belongs to the tree; of an inode with more names it has to be those of the same file at the
//! source that are this very inode at the target, as many as it has. They are counted between two looks at the inode. A name
//! that comes, goes or moves meanwhile shows in its time of last change, so that none counts twice; where a whole directory
//! moves it does not, so names are told apart by the directories that hold them.
//!
//! Where the clock ticks too coarsely for that, what changed in the last seconds is not changed in place.

use std::collections::HashSet;

use model::RelPath;
use storage::posix::{Dir, Meta, Replace};

use crate::engine::{Engine, Problem};
use crate::entry::Entry;
use crate::parents::Parents;

/// All names that a file of the source is known to have, and the way to them.
pub(crate) struct Group<'a> {
    pub(crate) paths: &'a [RelPath],
    pub(crate) parents: &'a mut Parents,
}

impl Entry<'_> {
    /// Whether what has our name at the target has, or may have, names outside of the tree. It counts if the inode is untouched
    /// afterwards, see [`Engine::is_as_seen`].
    pub(crate) fn has_foreign_names(&mut self, present: &Meta) -> Result<bool, Problem> {
        if present.nlink <= 1 {
            return Ok(false);
        }
        let Some(group) = &mut self.group else {
            return Ok(true);
        };
        if (group.paths.len() as u64) < present.nlink {
            return Ok(true);
        }
        let mut found = HashSet::new();
        for path in group.paths {
            self.engine.check_on()?;
            found.extend(self.engine.name_of(present, path, group.parents)?);
            if found.len() as u64 == present.nlink {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A name, by the device and inode of its directory.
type Name = (u64, u64, Vec<u8>);

impl Engine {
    /// The name of this path at the target, if it is one of this inode.
    fn name_of(
        &self,
        inode: &Meta,
        path: &RelPath,
        parents: &mut Parents,
    ) -> Result<Option<Name>, Problem> {
        let (both, name) = match self.place(path, parents) {
            Ok((_, both, name)) => (both, name),
            // It is told when it is its turn.
            Err(Problem::Entry(_)) => return Ok(None),
            Err(problem) => return Err(problem),
        };
        let Some(dir) = both.target else {
            return Ok(None);
        };
        let (Ok(found), Ok(holder)) = (dir.stat(name.as_c_str()), dir.meta()) else {
            return Ok(None);
        };
        if (found.dev, found.ino) != (inode.dev, inode.ino) {
            return Ok(None);
        }
        // Of those that may be one name only one counts.
        let name = match self.tells_apart_in(&dir, &holder) {
            true => name.into_bytes(),
            false => Vec::new(),
        };
        Ok(Some((holder.dev, holder.ino, name)))
    }

    fn tells_apart_in(&self, dir: &Dir, meta: &Meta) -> bool {
        self.replaces_absent == Replace::Allowed
            || (self.marks_folding == Some(meta.dev) && !dir.is_marked_to_fold_case())
    }

    /// Whether an inode is the one that was looked at by its name, and has just the names that it had then.
    pub(crate) fn is_as_seen(&self, now: &Meta, seen: &Meta) -> bool {
        now.is_untouched_since(seen) && self.shows_changes_since(now)
    }
}
