//! A link or special file that is held without being opened (`O_PATH`). What is set through it is set on just this inode,
//! whatever has its name by then.
//!
//! `fchownat`, and `utimensat` since Linux 5.8, take such a descriptor as it is (`AT_EMPTY_PATH`). For all else the way is its
//! name in `/proc/self/fd`, which leads to the inode itself, also where that is a link.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

use super::dir::{Dir, ids};
use super::error::{Action, Attempted, Error};
use super::meta::{Freshness, Meta, Owner, Times, stat, timestamps};
use super::no_follow::NO_FOLLOW;

/// A held entry.
#[derive(Debug)]
pub struct Inode {
    fd: OwnedFd,
}

impl Dir {
    /// Holds an entry of any kind. A link is not followed, and a device or FIFO is not opened.
    pub fn hold(&self, name: impl Arg + Copy) -> Result<Inode, Error> {
        let flags = OFlags::PATH | NO_FOLLOW | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))
            .attempted(Action::Open)?;
        Ok(Inode { fd })
    }
}

impl Inode {
    pub fn meta(&self) -> Result<Meta, Error> {
        stat(&self.fd, c"", Freshness::Cached).attempted(Action::Stat)
    }

    pub fn set_owner(&self, owner: Owner) -> Result<(), Error> {
        let (uid, gid) = ids(owner);
        retry_on_intr(|| rustix::fs::chownat(&self.fd, c"", uid, gid, AtFlags::EMPTY_PATH))
            .attempted(Action::SetOwner)
    }

    pub fn set_times(&self, times: &Times) -> Result<(), Error> {
        let times = timestamps(times);
        let set = |flags| retry_on_intr(|| rustix::fs::utimensat(&self.fd, c"", &times, flags));
        match set(AtFlags::EMPTY_PATH) {
            // A kernel before 5.8.
            Err(Errno::INVAL) => {
                let path = path_of(&self.fd);
                let flags = AtFlags::empty();
                retry_on_intr(|| rustix::fs::utimensat(CWD, path.as_str(), &times, flags))
            }
            set => set,
        }
        .attempted(Action::SetTimes)
    }

    /// Sets the mode of a special file; a link has none of its own.
    pub fn set_mode(&self, mode: u32) -> Result<(), Error> {
        if !self.meta()?.kind.is_special() {
            return Err(Error::new(Action::SetMode, Errno::LOOP));
        }
        let path = path_of(&self.fd);
        retry_on_intr(|| rustix::fs::chmod(path.as_str(), Mode::from_raw_mode(mode)))
            .attempted(Action::SetMode)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Calls that follow it reach what the descriptor holds, and go no further where that is a link.
pub(super) fn path_of(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use testkit::Scratch;

    use super::Dir;
    use crate::posix::{Inode, Owner, Times, Timestamp};

    /// Makes what is held, and what takes its name then.
    type Make = fn(&std::path::Path);

    fn set_all(inode: &Inode) {
        let (uid, gid) = (1234, 5678);
        inode.set_owner(Owner { uid, gid }).unwrap();
        inode.xattrs().set(c"trusted.of", b"held").unwrap();
        inode
            .set_times(&Times {
                accessed: None,
                modified: Some(Timestamp { secs: 5, nanos: 7 }),
            })
            .unwrap();
    }

    #[test]
    fn what_is_set_is_set_on_what_is_held_and_not_on_what_has_its_name() {
        let make: [Make; 2] = [
            |path| symlink("nowhere", path).unwrap(),
            |path| mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
        ];
        for make in make {
            let scratch = Scratch::new("held-inode");
            let root = Dir::open_root(scratch.path()).unwrap();
            make(&scratch.join("name"));
            let inode = root.hold(c"name").unwrap();
            fs::rename(scratch.join("name"), scratch.join("aside")).unwrap();
            fs::write(scratch.join("led-to"), "").unwrap();
            symlink("led-to", scratch.join("name")).unwrap();
            let about = |name: &str| fs::symlink_metadata(scratch.join(name)).unwrap();
            let before = [about("name"), about("led-to")].map(|about| about.ctime_nsec());

            set_all(&inode);
            let set = about("aside");
            assert_eq!((set.uid(), set.gid()), (1234, 5678));
            assert_eq!((set.mtime(), set.mtime_nsec()), (5, 7));
            let xattrs = root.xattrs_of(c"aside").read().unwrap();
            assert_eq!(xattrs.get(c"trusted.of"), Some(&b"held"[..]));
            assert_eq!(inode.xattrs().read().unwrap(), xattrs);
            inode.xattrs().remove(c"trusted.of").unwrap();
            assert!(inode.xattrs().read().unwrap().is_empty());
            if set.is_symlink() {
                assert!(inode.set_mode(0o4711).is_err());
            } else {
                inode.set_mode(0o4711).unwrap();
                assert_eq!(about("aside").mode() & 0o7777, 0o4711);
            }
            let after = [about("name"), about("led-to")].map(|about| about.ctime_nsec());
            assert_eq!(after, before);
        }
    }
}
