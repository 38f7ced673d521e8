//! One file or symbolic link, made new under its final name in a directory that nobody sees yet.
//!
//! The source is looked at before and after it is read: a file that changed meanwhile is a failure.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fchown,
    flistxattr, fstat, futimens, ioctl_ficlone, openat, readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::{Errno, read, write};
use rustix::process::{getegid, geteuid};

/// How the bytes get across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    ReadWrite,
    /// The new file shares the blocks of the old one.
    Reflink,
}

#[derive(Debug)]
pub(crate) enum Error {
    Call { call: &'static str, source: Errno },
    Changed,
    ExtendedAttributes,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { call, source } => write!(f, "{call}: {source}"),
            Self::Changed => f.write_str("changed while it was copied"),
            Self::ExtendedAttributes => {
                f.write_str("has extended attributes, which are not copied")
            }
        }
    }
}

/// For `map_err`: names the call that failed.
pub(crate) fn in_call(call: &'static str) -> impl FnOnce(Errno) -> Error {
    move |source| Error::Call { call, source }
}

/// What one thread needs to copy files.
pub(crate) struct Copier {
    content: Content,
    buffer: Vec<u8>,
    user: Uid,
    group: Gid,
}

impl Copier {
    pub(crate) fn new(content: Content) -> Self {
        Self {
            content,
            buffer: vec![0; 256 << 10],
            user: geteuid(),
            group: getegid(),
        }
    }

    pub(crate) fn file(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<(), Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = openat(from, name, flags, Mode::empty()).map_err(in_call("open"))?;
        let before = fstat(&source).map_err(in_call("fstat"))?;
        no_extended_attributes(source.as_fd())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = openat(to, name, flags, mode(&before)).map_err(in_call("create"))?;
        match self.content {
            _ if before.st_size == 0 => {}
            Content::ReadWrite => self.bytes(source.as_fd(), target.as_fd(), &before)?,
            Content::Reflink => ioctl_ficlone(&target, &source).map_err(in_call("FICLONE"))?,
        }
        let after = fstat(&source).map_err(in_call("fstat"))?;
        if version(&before) != version(&after) {
            return Err(Error::Changed);
        }
        self.owner(target.as_fd(), &before)?;
        futimens(&target, &times(&before)).map_err(in_call("futimens"))
    }

    fn bytes(
        &mut self,
        source: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        stat: &Stat,
    ) -> Result<(), Error> {
        let mut left = stat.st_size as u64;
        while left > 0 {
            let length = read(source, &mut self.buffer).map_err(in_call("read"))?;
            if length == 0 || length as u64 > left {
                return Err(Error::Changed);
            }
            let mut part = &self.buffer[..length];
            while !part.is_empty() {
                part = &part[write(target, part).map_err(in_call("write"))?..];
            }
            left -= length as u64;
        }
        Ok(())
    }

    /// Sets the owner where it is not the one that a new entry has.
    fn owner(&self, target: BorrowedFd<'_>, stat: &Stat) -> Result<(), Error> {
        let (user, group) = owner(stat);
        if (user, group) == (self.user, self.group) {
            return Ok(());
        }
        fchown(target, Some(user), Some(group)).map_err(in_call("fchown"))?;
        match stat.st_mode & 0o6000 {
            0 => Ok(()),
            // A new owner clears these bits.
            _ => fchmod(target, mode(stat)).map_err(in_call("fchmod")),
        }
    }

    /// Attributes of a directory that is filled.
    pub(crate) fn directory(&self, target: BorrowedFd<'_>, stat: &Stat) -> Result<(), Error> {
        let (user, group) = owner(stat);
        if (user, group) != (self.user, self.group) {
            fchown(target, Some(user), Some(group)).map_err(in_call("fchown"))?;
        }
        fchmod(target, mode(stat)).map_err(in_call("fchmod"))?;
        futimens(target, &times(stat)).map_err(in_call("futimens"))
    }

    pub(crate) fn symlink(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<(), Error> {
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        let stat = statat(from, name, no_follow).map_err(in_call("fstatat"))?;
        let text = readlinkat(from, name, Vec::new()).map_err(in_call("readlink"))?;
        symlinkat(text, to, name).map_err(in_call("symlink"))?;
        let (user, group) = owner(&stat);
        if (user, group) != (self.user, self.group) {
            chownat(to, name, Some(user), Some(group), no_follow).map_err(in_call("fchownat"))?;
        }
        utimensat(to, name, &times(&stat), no_follow).map_err(in_call("utimensat"))
    }
}

/// The look itself is what counts: trees of the bench have none.
pub(crate) fn no_extended_attributes(file: BorrowedFd<'_>) -> Result<(), Error> {
    let mut names = [0_u8; 1024];
    match flistxattr(file, &mut names) {
        Ok(0) | Err(Errno::OPNOTSUPP) => Ok(()),
        Ok(_) => Err(Error::ExtendedAttributes),
        Err(source) => Err(in_call("flistxattr")(source)),
    }
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

/// What differs when a file was changed.
fn version(stat: &Stat) -> (i64, [i64; 2], [u64; 2]) {
    (
        stat.st_size,
        [stat.st_mtime, stat.st_ctime],
        [stat.st_mtime_nsec, stat.st_ctime_nsec],
    )
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: stat.st_atime_nsec as _,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec as _,
        },
    }
}
