//! One entry gets its attributes.

use std::ffi::CStr;

use model::{Attribute, RelPath};
use storage::posix::{
    ACL_ACCESS, Dir, Error, File, Inode, Kind, Meta, Owner, Times, Xattrs, XattrsOf,
};

use super::xattrs::{is_acl, is_removed, loss_of};
use crate::compare::{is_ordinary, is_same_time};
use crate::engine::{Engine, Problem, describe};
use crate::ledger::{Note, Tally};

/// A value of more bytes may be what a file system has no room for in an inode, however empty its disk.
const MAX_CERTAIN_BYTES: usize = 2_048;

/// Where attributes are set.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    File(&'a File),
    Dir(&'a Dir),
    /// A link or special file, which is held and not opened.
    Inode(&'a Inode),
}

impl<'a> At<'a> {
    fn set_owner(self, owner: Owner) -> Result<(), Error> {
        match self {
            At::File(file) => file.set_owner(owner),
            At::Dir(dir) => dir.set_owner(owner),
            At::Inode(inode) => inode.set_owner(owner),
        }
    }

    fn set_mode(self, mode: u32) -> Result<(), Error> {
        match self {
            At::File(file) => file.set_mode(mode),
            At::Dir(dir) => dir.set_mode(mode),
            At::Inode(inode) => inode.set_mode(mode),
        }
    }

    fn set_times(self, times: &Times) -> Result<(), Error> {
        match self {
            At::File(file) => file.set_times(times),
            At::Dir(dir) => dir.set_times(times),
            At::Inode(inode) => inode.set_times(times),
        }
    }

    fn meta(self) -> Result<Meta, Error> {
        match self {
            At::File(file) => file.meta(),
            At::Dir(dir) => dir.meta(),
            At::Inode(inode) => inode.meta(),
        }
    }

    pub(crate) fn xattrs(self) -> XattrsOf<'a> {
        match self {
            At::File(file) => file.xattrs(),
            At::Dir(dir) => dir.own_xattrs(),
            At::Inode(inode) => inode.xattrs(),
        }
    }
}

/// What an entry is to have: the source's.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) meta: &'a Meta,
    pub(crate) xattrs: &'a Xattrs,
}

/// What it has.
pub(crate) struct Present {
    pub(crate) owner: Owner,
    /// `None`: it is to be set in any case.
    pub(crate) mode: Option<u32>,
    /// `None`: they are to be set in any case.
    pub(crate) modified: Option<storage::posix::Timestamp>,
    pub(crate) xattrs: Xattrs,
}

impl Present {
    pub(crate) fn of(meta: &Meta, xattrs: Xattrs) -> Self {
        Self {
            owner: meta.owner,
            mode: Some(meta.mode),
            modified: Some(meta.modified),
            xattrs,
        }
    }
}

/// Sets what is to be kept of one entry, and counts what is lost.
pub(crate) struct Keeper<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) tally: &'a mut Tally,
    pub(crate) path: &'a dyn Fn() -> RelPath,
}

impl Keeper<'_> {
    /// Whether anything was changed.
    pub(crate) fn keep(
        &mut self,
        at: At<'_>,
        wanted: Wanted<'_>,
        present: &Present,
    ) -> Result<bool, Problem> {
        let engine = self.engine;
        let source = wanted.meta;
        let mut changed = false;
        let mut owner = present.owner;
        if engine.changes_owner(Some(owner), source.owner) {
            let set = self.set_owner(at, source.owner, owner)?;
            changed |= set != owner;
            owner = set;
        }
        let opened_up = self.open_up(at, source, present, wanted.xattrs)?;
        let touched = self.set_xattrs(at, wanted.xattrs, &present.xattrs)?;
        changed |= touched != Touched::Nothing;
        // An access ACL brings a mode with it, which another mode would spoil.
        let has_mode_by_acl =
            !engine.options.keeps(Attribute::Mode) && wanted.xattrs.get(ACL_ACCESS).is_some();
        if source.kind != Kind::Symlink && !has_mode_by_acl {
            let mode = match engine.options.keeps(Attribute::Mode) {
                true => without_foreign_setuid(source, owner),
                false => present.mode.unwrap_or_else(|| engine.mode_of(source)),
            };
            let was_reset = (owner != present.owner && mode & 0o6000 != 0)
                || touched == Touched::Acl
                || opened_up;
            if present.mode != Some(mode) || was_reset {
                at.set_mode(mode).map_err(|e| engine.target_problem(&e))?;
                changed = true;
            }
        }
        if let Some(times) = engine.times_of(source)
            && !present
                .modified
                .is_some_and(|modified| is_same_time(source.modified, modified))
        {
            at.set_times(&times)
                .map_err(|e| engine.target_problem(&e))?;
            changed = true;
            self.look_at_time(at, source)?;
        }
        Ok(changed)
    }

    /// Sets an owner, or as a plain user at least the group; who owns it then.
    fn set_owner(&mut self, at: At<'_>, wanted: Owner, now: Owner) -> Result<Owner, Problem> {
        let engine = self.engine;
        let mut why = None;
        if engine.identity.is_root() || wanted.uid == now.uid {
            match at.set_owner(wanted) {
                Ok(()) => return Ok(wanted),
                Err(error) if error.is_not_held() => why = Some(error),
                Err(error) => return Err(engine.target_problem(&error)),
            }
        }
        let group = Owner {
            uid: now.uid,
            gid: wanted.gid,
        };
        let mut owner = now;
        if wanted.gid != now.gid && !engine.identity.is_root() {
            match at.set_owner(group) {
                Ok(()) => owner = group,
                Err(error) if error.is_not_held() => why = Some(error),
                Err(error) => return Err(engine.target_problem(&error)),
            }
        }
        self.lose(Note::OwnerNotKept, why.as_ref())?;
        Ok(owner)
    }

    /// A time that the file system can't hold is cut without a word.
    fn look_at_time(&mut self, at: At<'_>, source: &Meta) -> Result<(), Problem> {
        if !self.engine.options.keeps(Attribute::Times) || is_ordinary(source.modified) {
            return Ok(());
        }
        let set = at.meta().map_err(|e| self.engine.target_problem(&e))?;
        match set.modified.secs == source.modified.secs {
            true => Ok(()),
            false => self.lose(Note::TimeNotKept, None),
        }
    }

    /// A plain user sets attributes of the user only where the mode lets him write.
    fn open_up(
        &mut self,
        at: At<'_>,
        source: &Meta,
        present: &Present,
        wanted: &Xattrs,
    ) -> Result<bool, Problem> {
        let is_in_need = !self.engine.identity.is_root()
            && matches!(source.kind, Kind::File | Kind::Directory)
            && super::xattrs::xattrs_differ(wanted, &present.xattrs);
        match present.mode {
            Some(mode) if is_in_need && mode & 0o200 == 0 => {
                at.set_mode(mode | 0o200)
                    .map_err(|e| self.engine.target_problem(&e))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn set_xattrs(
        &mut self,
        at: At<'_>,
        wanted: &Xattrs,
        present: &Xattrs,
    ) -> Result<Touched, Problem> {
        let mut touched = Touched::Nothing;
        for (name, _) in present.iter() {
            if wanted.get(name).is_some() || !is_removed(name) {
                continue;
            }
            match at.xattrs().remove(name) {
                Ok(()) => touched = touched.max(Touched::by(name)),
                Err(error) if error.is_not_held() => self.lose(loss_of(name), Some(&error))?,
                Err(error) => return Err(self.engine.target_problem(&error)),
            }
        }
        // An ACL last: it may take away the leave to set the others.
        let others = wanted.iter().filter(|(name, _)| !is_acl(name));
        let acls = wanted.iter().filter(|(name, _)| is_acl(name));
        for (name, value) in others.chain(acls) {
            if present.get(name) == Some(value) {
                continue;
            }
            match at.xattrs().set(name, value) {
                Ok(()) => touched = touched.max(Touched::by(name)),
                Err(error) if error.is_not_held() || has_no_room(&error, wanted) => {
                    self.lose(loss_of(name), Some(&error))?;
                }
                Err(error) => return Err(self.engine.target_problem(&error)),
            }
        }
        Ok(touched)
    }

    /// Something can't be kept: counted and named, or what fails the entry.
    pub(crate) fn lose(&mut self, note: Note, why: Option<&Error>) -> Result<(), Problem> {
        let why = why.map_or_else(String::new, |error| format!(": {}", describe(error)));
        self.engine.lose(note, &why, self.path, self.tally)
    }
}

/// Of the changes to extended attributes the one that matters most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Nothing,
    Other,
    /// It may have changed the mode.
    Acl,
}

impl Touched {
    fn by(name: &CStr) -> Self {
        match is_acl(name) {
            true => Touched::Acl,
            false => Touched::Other,
        }
    }
}

/// No setuid or setgid for somebody else.
fn without_foreign_setuid(source: &Meta, owner: Owner) -> u32 {
    match owner == source.owner || source.kind == Kind::Directory {
        true => source.mode,
        false => source.mode & !0o6000,
    }
}

/// Whether they may be more than an inode has room for, all together, while the file system is not full.
fn has_no_room(error: &Error, wanted: &Xattrs) -> bool {
    let bytes = wanted
        .iter()
        .map(|(name, value)| name.to_bytes().len() + value.len());
    error.is_out_of_space() && bytes.sum::<usize>() > MAX_CERTAIN_BYTES
}
