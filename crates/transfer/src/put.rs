//! An entry without content of its own (a link, a special file, a further name) gets its place: in a staged directory
//! under its name, else under a temp name that is renamed. What is in the way is replaced in one step; a directory
//! only where that was asked for.

use std::ffi::{CStr, CString};

use model::FailureClass;
use model::options::Conflicts;
use storage::posix::{Dir, Error, Inode, Kind, Listed, Meta, Replace, Xattrs};

use crate::attributes::{At, Keeper, Present, Wanted};
use crate::compare::attributes_differ;
use crate::engine::{Engine, Problem, describe};
use crate::entry::Entry;
use crate::ledger::{Note, Verdict};
use crate::target::conflict;
use crate::watch;

impl Entry<'_> {
    /// Makes the entry by `make` under the name that it is given, with the attributes that are wanted.
    pub(crate) fn put(
        &mut self,
        make: impl Fn(&Dir, &CStr) -> Result<(), Error>,
        wanted: Wanted<'_>,
        is_present: bool,
    ) -> Result<(), Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(());
        };
        engine.check_fence()?;
        if self.in_stage {
            let made = self.node.create(engine, || make(target, self.name));
            if let Err(error) = made {
                return Err(self.not_made(None, &error));
            }
            return match self.set_on_new(target, self.name, wanted) {
                Ok(()) => Ok(()),
                Err(problem @ Problem::Entry(_)) => {
                    self.drop_copy(None)?;
                    Err(problem)
                }
                Err(problem) => Err(problem),
            };
        }
        let (seq, temp) = engine.new_temp(target);
        // A temp name holds no NUL.
        let name = CString::new(temp.as_str()).unwrap_or_default();
        let made = self
            .node
            .create(engine, || make(target, &name))
            .map_err(|error| engine.target_problem(&error))
            .and_then(|()| self.set_on_new(target, &name, wanted));
        if let Err(problem) = made {
            engine.drop_temp(seq);
            return Err(problem);
        }
        let replace = match is_present {
            true => Replace::Allowed,
            false => engine.replaces_absent,
        };
        self.rename_temp(seq, &temp, replace)
    }

    fn set_on_new(&mut self, target: &Dir, name: &CStr, wanted: Wanted<'_>) -> Result<(), Problem> {
        let engine = self.engine;
        let creation = &self.node.creation;
        let (inode, made) = self.hold_new(target, name, wanted.meta)?;
        let at = At::Inode(&inode);
        let inherits = creation.has_default_acl(target) && wanted.meta.kind != Kind::Symlink;
        let present = Present {
            owner: made.owner,
            mode: (!inherits).then_some(wanted.meta.mode & !self.scratch.creation_mask),
            modified: None,
            xattrs: match inherits {
                true => engine.target_xattrs(at.xattrs())?,
                false => Xattrs::default(),
            },
        };
        self.keep(at, wanted, &present).map(drop)
    }

    /// Holds what was just made. In a directory that others may write to it must have this name alone both before and when it
    /// is held: else it may be another's, from outside of the root, that was put in its place.
    fn hold_new(&self, target: &Dir, name: &CStr, like: &Meta) -> Result<(Inode, Meta), Problem> {
        let engine = self.engine;
        let look = || {
            let seen = match self.in_stage {
                true => None,
                false => Some(target.stat(name)?),
            };
            let inode = target.hold(name)?;
            let made = inode.meta()?;
            Ok((seen, inode, made))
        };
        let looked: Result<_, Error> = look();
        let (seen, inode, made) = looked.map_err(|error| engine.target_problem(&error))?;
        let is_device = matches!(like.kind, Kind::CharDevice | Kind::BlockDevice);
        let is_ours = made.kind == like.kind
            && (made.rdev == like.rdev || !is_device)
            && made.nlink <= 1
            && seen.is_none_or(|seen| made.is_untouched_since(&seen));
        match is_ours {
            true => Ok((inode, made)),
            false => Err(Problem::Entry(Verdict::Failed {
                class: FailureClass::Retry,
                error: "somebody replaced it at the target while it was made".into(),
            })),
        }
    }

    /// Sets what differs; whether anything had to be changed.
    pub(crate) fn keep(
        &mut self,
        at: At<'_>,
        wanted: Wanted<'_>,
        present: &Present,
    ) -> Result<bool, Problem> {
        let (node, name) = (self.node, self.name);
        let mut keeper = Keeper {
            engine: self.engine,
            tally: self.tally,
            path: &|| node.path.join(name.to_bytes()),
        };
        keeper.keep(at, wanted, present)
    }

    /// The entry is there already, and its content right: sets attributes where they differ. `None`: it is not ours to
    /// change, and is to be made anew.
    pub(crate) fn keep_present(
        &mut self,
        meta: &Meta,
        xattrs: &Xattrs,
        present: &Meta,
    ) -> Result<Option<Verdict>, Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(Some(Verdict::Unchanged));
        };
        let found = engine.target_xattrs(target.xattrs_of(self.name))?;
        let is_root = engine.identity.is_root();
        if !attributes_differ(meta, present, &engine.options, is_root)
            && !crate::attributes::xattrs_differ(xattrs, &found)
        {
            return Ok(Some(Verdict::Unchanged));
        }
        if engine.options.dry_run {
            return Ok(Some(Verdict::Copied));
        }
        if self.has_foreign_names(present)? {
            return Ok(None);
        }
        let target_problem = |error| engine.target_problem(&error);
        let inode = target.hold(self.name).map_err(target_problem)?;
        if !engine.is_as_seen(&inode.meta().map_err(target_problem)?, present) {
            return Ok(None);
        }
        engine.check_fence()?;
        let wanted = Wanted { meta, xattrs };
        let changed = self.keep(At::Inode(&inode), wanted, &Present::of(present, found))?;
        Ok(Some(match changed {
            true => Verdict::Copied,
            false => Verdict::Unchanged,
        }))
    }

    /// Gives what was made under a temp name its own.
    pub(crate) fn rename_temp(
        &mut self,
        seq: u64,
        temp: &str,
        replace: Replace,
    ) -> Result<(), Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(());
        };
        engine.check_fence()?;
        let name = self.name.to_bytes();
        let renamed = match target.rename(temp.as_bytes(), target, name, replace) {
            Err(error) if error.is_existing() && replace == Replace::Refused => {
                if !self.is_there_by_its_name(target)? {
                    engine.drop_temp(seq);
                    return Err(conflict(
                        "the target takes its name for that of another entry (upper and lower case?)",
                    ));
                }
                // Somebody made it meanwhile.
                target.rename(temp.as_bytes(), target, name, Replace::Allowed)
            }
            renamed => renamed,
        };
        let renamed = match renamed {
            Err(error) if error.is_other_kind() || error.is_not_empty() => {
                return self.replace_directory(seq, temp);
            }
            renamed => renamed,
        };
        match renamed {
            Ok(()) => {
                engine.forget_temp(seq);
                Ok(())
            }
            Err(error) => {
                engine.drop_temp(seq);
                Err(engine.target_problem(&error))
            }
        }
    }

    /// Whether the directory lists the name as it is, and not only another that it takes for the same.
    fn is_there_by_its_name(&mut self, dir: &Dir) -> Result<bool, Problem> {
        let engine = self.engine;
        let wanted = self.name;
        let mut is_there = false;
        let mut look = || -> Result<(), Error> {
            let fresh = dir.reopen()?;
            let listing = &mut self.scratch.listing;
            while !is_there {
                let listed = fresh.list_chunk(listing, |name, _| is_there |= name == wanted)?;
                if listed == Listed::End {
                    break;
                }
            }
            Ok(())
        };
        look().map_err(|error| engine.target_problem(&error))?;
        Ok(is_there)
    }

    /// The target has a directory where something else is to be.
    fn replace_directory(&self, seq: u64, temp: &str) -> Result<(), Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(());
        };
        if engine.options.conflicts != Conflicts::Replace {
            engine.drop_temp(seq);
            return Err(in_the_way("the target has a directory there"));
        }
        let result = engine.swap(target, temp, self.name.to_bytes());
        // What was there has the temp name now, or the temp was not taken.
        let removed = engine.try_drop_temp(seq);
        result.map_err(|error| engine.target_problem(&error))?;
        removed.map_err(|error| {
            Problem::Entry(Verdict::Failed {
                class: FailureClass::GiveUp,
                error: format!(
                    "it is there, but what was in its way could not be removed and is left beside it as {temp}: {}",
                    describe(&error)
                ),
            })
        })
    }

    /// Why an entry whose name a directory has is not written; `None` when it is.
    pub(crate) fn refusal(&self, present: Option<&Meta>) -> Option<Problem> {
        let is_refused = present.is_some_and(|present| present.kind == Kind::Directory)
            && self.engine.options.conflicts != Conflicts::Replace;
        is_refused.then(|| in_the_way("the target has a directory there"))
    }

    /// It can't be a further name of another file.
    pub(crate) fn note_lost_link(&mut self, error: &Error) -> Result<(), Problem> {
        let why = format!(": {}", describe(error));
        let (node, name) = (self.node, self.name);
        let path = || node.path.join(name.to_bytes());
        self.engine.lose(Note::HardLinks, &why, &path, self.tally)
    }
}

/// A conflict, and what resolves it.
pub(crate) fn in_the_way(what: &str) -> Problem {
    conflict(&format!("{what}; conflicts: replace would remove it"))
}

impl Engine {
    /// Lets a finished entry and what is in its way change names, and removes what was in the way.
    pub(crate) fn swap(&self, dir: &Dir, temp: &str, name: &[u8]) -> Result<(), Error> {
        match dir.exchange(temp.as_bytes(), dir, name) {
            Err(error) if error.is_unsupported() => {
                // There is no single step for it here.
                watch::asking_for_much(|| dir.remove_tree(name))
                    .and_then(|()| dir.rename(temp.as_bytes(), dir, name, Replace::Refused))
            }
            exchanged => exchanged,
        }
    }
}
