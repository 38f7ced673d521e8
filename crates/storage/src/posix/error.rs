//! What went wrong with a file call, and what to do about it.

use std::io;

use model::{FailureClass, NoRoom};
use rustix::io::Errno;

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Open,
    List,
    Stat,
    Read,
    Create,
    Write,
    Sync,
    Close,
    Rename,
    Remove,
    SetOwner,
    SetMode,
    SetTimes,
    Link,
    ReadAttributes,
    SetAttributes,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Open => "open",
            Action::List => "list",
            Action::Stat => "stat",
            Action::Read => "read",
            Action::Create => "create",
            Action::Write => "write",
            Action::Sync => "sync",
            Action::Close => "close",
            Action::Rename => "rename",
            Action::Remove => "remove",
            Action::SetOwner => "set the owner",
            Action::SetMode => "set the mode",
            Action::SetTimes => "set the times",
            Action::Link => "link",
            Action::ReadAttributes => "read the extended attributes",
            Action::SetAttributes => "set an extended attribute",
        }
    }
}

/// A file call that failed; the path is known to the caller.
#[derive(Debug, thiserror::Error)]
#[error("cannot {}", action.name())]
pub struct Error {
    pub action: Action,
    pub source: io::Error,
}

impl Error {
    pub(crate) fn new(action: Action, errno: Errno) -> Self {
        Self {
            action,
            source: errno.into(),
        }
    }

    /// A directory is not the one that it was.
    pub fn moved() -> Self {
        Self {
            action: Action::Open,
            source: io::Error::other(super::descent::Moved),
        }
    }

    pub fn errno(&self) -> i32 {
        self.source.raw_os_error().unwrap_or_default()
    }

    pub fn is(&self, errno: Errno) -> bool {
        self.errno() == errno.raw_os_error()
    }

    /// The name is not there.
    pub fn is_missing(&self) -> bool {
        self.is(Errno::NOENT)
    }

    /// The name is there already.
    pub fn is_existing(&self) -> bool {
        self.is(Errno::EXIST)
    }

    /// A directory has entries.
    pub fn is_not_empty(&self) -> bool {
        self.is(Errno::NOTEMPTY) || self.is(Errno::EXIST)
    }

    /// The process or the machine has too many files open. That is nothing the entry can help.
    pub fn is_out_of_descriptors(&self) -> bool {
        self.is(Errno::MFILE) || self.is(Errno::NFILE)
    }

    /// The name is a link or another kind of entry than was asked for.
    pub fn is_other_kind(&self) -> bool {
        self.is(Errno::LOOP) || self.is(Errno::NOTDIR) || self.is(Errno::ISDIR)
    }

    pub fn is_refused(&self) -> bool {
        self.is(Errno::PERM) || self.is(Errno::ACCESS)
    }

    /// The file system has no way, or gives no leave, to hold an attribute.
    pub fn is_not_held(&self) -> bool {
        self.is_refused()
            || [
                Errno::OPNOTSUPP,
                Errno::NOSYS,
                Errno::INVAL,
                Errno::TOOBIG,
                Errno::RANGE,
                Errno::OVERFLOW,
            ]
            .into_iter()
            .any(|errno| self.is(errno))
    }

    /// A handle is stale, or the storage is in trouble: what is wrong may be wrong with the whole mount.
    pub fn may_be_of_mount(&self) -> bool {
        is_trouble(self.errno())
    }

    /// There is no such call, or no such form of it, here.
    pub fn is_unsupported(&self) -> bool {
        self.is(Errno::OPNOTSUPP) || self.is(Errno::NOSYS) || self.is(Errno::INVAL)
    }

    pub fn is_out_of_space(&self) -> bool {
        self.is(Errno::NOSPC)
    }

    /// A file has as many names as the file system allows, or they would be on two file systems.
    pub fn is_no_further_name(&self) -> bool {
        self.is(Errno::MLINK) || self.is(Errno::XDEV) || self.is_not_held()
    }

    pub fn class(&self, side: Side) -> FailureClass {
        classify(self.errno(), side)
    }

    /// What the target lacks, if it was at the target.
    pub fn no_room(&self) -> Option<NoRoom> {
        let errno = Some(self.errno()).filter(|errno| *errno > 0)?;
        no_room(Errno::from_raw_os_error(errno))
    }
}

/// On which side a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
}

/// What is missing where a call fails so at a target.
pub(crate) fn no_room(errno: Errno) -> Option<NoRoom> {
    match errno {
        Errno::NOSPC => Some(NoRoom::Space),
        Errno::DQUOT => Some(NoRoom::Quota),
        Errno::ROFS => Some(NoRoom::ReadOnly),
        _ => None,
    }
}

/// What to do about an error number. Unknown ones may go away.
pub fn classify(errno: i32, side: Side) -> FailureClass {
    if errno <= 0 {
        // Not the system's: a directory that was moved.
        return FailureClass::Retry;
    }
    let errno = Errno::from_raw_os_error(errno);
    match errno {
        errno if side == Side::Target && no_room(errno).is_some() => FailureClass::TargetFull,
        Errno::PERM
        | Errno::ACCESS
        | Errno::NAMETOOLONG
        | Errno::INVAL
        | Errno::LOOP
        | Errno::NOTDIR
        | Errno::ISDIR
        | Errno::EXIST
        | Errno::NOTEMPTY
        | Errno::OPNOTSUPP
        | Errno::NOSYS
        | Errno::FBIG
        | Errno::OVERFLOW
        | Errno::ILSEQ
        | Errno::MLINK
        | Errno::TOOBIG
        | Errno::RANGE
        | Errno::XDEV => FailureClass::GiveUp,
        _ => FailureClass::Retry,
    }
}

/// Whether the storage is in trouble, which may pass, as when a server fails over.
pub(crate) fn is_trouble(errno: i32) -> bool {
    let troubles = [
        Errno::STALE,
        Errno::IO,
        Errno::TIMEDOUT,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::REMOTEIO,
        // The process that serves a FUSE mount has died.
        Errno::NOTCONN,
        Errno::CONNABORTED,
    ];
    troubles
        .iter()
        .any(|trouble| trouble.raw_os_error() == errno)
}

pub(crate) trait Attempted<T> {
    fn attempted(self, action: Action) -> Result<T, Error>;
}

impl<T> Attempted<T> for Result<T, Errno> {
    fn attempted(self, action: Action) -> Result<T, Error> {
        self.map_err(|errno| Error::new(action, errno))
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureClass, Side, classify};
    use rustix::io::Errno;

    #[test]
    fn a_full_target_is_no_failure_of_the_file() {
        for (errno, side, class) in [
            (Errno::NOSPC, Side::Target, FailureClass::TargetFull),
            (Errno::DQUOT, Side::Target, FailureClass::TargetFull),
            (Errno::ROFS, Side::Target, FailureClass::TargetFull),
            (Errno::NOSPC, Side::Source, FailureClass::Retry),
            (Errno::IO, Side::Target, FailureClass::Retry),
            (Errno::STALE, Side::Source, FailureClass::Retry),
            (Errno::ACCESS, Side::Source, FailureClass::GiveUp),
            (Errno::NAMETOOLONG, Side::Target, FailureClass::GiveUp),
        ] {
            assert_eq!(classify(errno.raw_os_error(), side), class, "{errno:?}");
        }
    }
}
