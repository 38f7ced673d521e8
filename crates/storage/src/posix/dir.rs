//! A held directory. All work on its entries goes through its descriptor, by one name at a
//! time, and no link is followed; so a directory that is moved or replaced meanwhile
//! can't lead elsewhere.
//!
//! Names are single components: from a listing, or components of a `RelPath`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

use super::error::{Action, Attempted, Error};
use super::file::File;
use super::inode::path_of;
use super::meta::{Freshness, Meta, Owner, Times, stat, timestamps};
use super::no_follow::NO_FOLLOW;

/// Reading without touching the access time was refused once (we don't own the source):
/// then it isn't asked for again, which halves the opens of a plain user.
static NO_ATIME_REFUSED: AtomicBool = AtomicBool::new(false);

/// What a rename does to an entry that has the new name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It is replaced, in one step.
    Allowed,
    /// The rename fails with EEXIST. Where the file system can't promise that (NFS), the
    /// name is looked up first.
    Refused,
}

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    pub(super) fd: OwnedFd,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(NO_FOLLOW)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a root. Links in its path are followed: the user wrote them.
    pub fn open_root(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
            .attempted(Action::Open)?;
        Ok(Self { fd })
    }

    /// Opens a sub-directory; a link is refused with ELOOP or ENOTDIR.
    pub fn open_dir(&self, name: impl Arg + Copy) -> Result<Self, Error> {
        let fd = retry_on_intr(|| rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty()))
            .attempted(Action::Open)?;
        Ok(Self { fd })
    }

    /// Opens a sub-directory to go through it to what lies below, and to look at it, but not to list or change it: on a network
    /// that is one request in place of three, and it takes no permission to read. [`Dir::reopen`] opens it for all uses.
    pub fn open_passage(&self, name: impl Arg + Copy) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | NO_FOLLOW | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))
            .attempted(Action::Open)?;
        Ok(Self { fd })
    }

    /// Opens a directory below this one, component by component; a link on the way is refused with ELOOP or ENOTDIR.
    pub fn open_below<'a>(&self, way: impl Iterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let mut way = way.peekable();
        let mut passage = None;
        while let Some(name) = way.next() {
            let here = passage.as_ref().unwrap_or(self);
            if way.peek().is_none() {
                return here.open_dir(name);
            }
            passage = Some(here.open_passage(name)?);
        }
        self.reopen()
    }

    /// The same; `None` where there is none.
    pub fn find_below<'a>(
        &self,
        way: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, Error> {
        match self.open_below(way) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_missing() || error.is_other_kind() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same directory with a reading position of its own.
    pub fn reopen(&self) -> Result<Self, Error> {
        self.open_dir(c".")
    }

    /// A path by which other processes of the same user reach just this directory, whatever is mounted over its own
    /// path meanwhile, and only while this process lives.
    pub fn path_by_descriptor(&self) -> PathBuf {
        let (process, fd) = (std::process::id(), self.fd.as_raw_fd());
        PathBuf::from(format!("/proc/{process}/fd/{fd}"))
    }

    /// Stats the directory itself.
    pub fn meta(&self) -> Result<Meta, Error> {
        stat(&self.fd, c"", Freshness::Cached).attempted(Action::Stat)
    }

    /// Stats an entry.
    pub fn stat(&self, name: impl Arg + Copy) -> Result<Meta, Error> {
        stat(&self.fd, name, Freshness::Cached).attempted(Action::Stat)
    }

    /// Stats an entry once more, past any cache of a network file system.
    pub fn stat_again(&self, name: impl Arg + Copy) -> Result<Meta, Error> {
        stat(&self.fd, name, Freshness::Synced).attempted(Action::Stat)
    }

    /// Opens a file to read it, without waiting (a FIFO that was swapped in can't block) and,
    /// where allowed, without touching its access time. Only for who has a lease on a regular file it waits, as long
    /// as the kernel lets him have it: a file server whose clients have the file open.
    pub fn open_file(&self, name: impl Arg + Copy) -> Result<File, Error> {
        match self.open_at_once(name) {
            Err(Errno::AGAIN) => self.open_leased(name),
            opened => opened,
        }
        .attempted(Action::Open)
    }

    fn open_leased(&self, name: impl Arg + Copy) -> Result<File, Errno> {
        let flags = OFlags::PATH | NO_FOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(Errno::AGAIN);
        }
        // Not by its name again: it may be a FIFO's by now.
        let itself = path_of(&found);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        retry_on_intr(|| rustix::fs::open(itself.as_str(), flags, Mode::empty())).map(File::from_fd)
    }

    fn open_at_once(&self, name: impl Arg + Copy) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | NO_FOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| {
            retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))
                .map(File::from_fd)
        };
        if !NO_ATIME_REFUSED.load(Ordering::Relaxed) {
            match open(flags | OFlags::NOATIME) {
                Err(Errno::PERM) => NO_ATIME_REFUSED.store(true, Ordering::Relaxed),
                result => return result,
            }
        }
        open(flags)
    }

    /// Opens a file to read it from its storage, past the cache, where the file system allows that.
    pub fn open_file_past_cache(&self, name: impl Arg + Copy) -> Result<File, Error> {
        let flags = OFlags::RDONLY | NO_FOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let direct = retry_on_intr(|| {
            rustix::fs::openat(&self.fd, name, flags | OFlags::DIRECT, Mode::empty())
        });
        match direct {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => self.open_file(name),
            result => result.map(File::from_fd).attempted(Action::Open),
        }
    }

    /// Creates a file to write it; fails with EEXIST where the name is taken.
    pub fn create_file(&self, name: impl Arg + Copy, mode: u32) -> Result<File, Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | NO_FOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode)))
            .map(File::from_fd)
            .attempted(Action::Create)
    }

    /// Opens a file to write into what is there.
    pub fn open_file_to_write(&self, name: impl Arg + Copy) -> Result<File, Error> {
        let flags = OFlags::WRONLY | NO_FOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))
            .map(File::from_fd)
            .attempted(Action::Open)
    }

    pub fn mkdir(&self, name: impl Arg + Copy, mode: u32) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode)))
            .attempted(Action::Create)
    }

    /// Creates a symbolic link `name` with this content.
    pub fn symlink(&self, content: &[u8], name: impl Arg + Copy) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::symlinkat(content, &self.fd, name)).attempted(Action::Create)
    }

    /// The content of a symbolic link.
    pub fn read_link(&self, name: impl Arg + Copy) -> Result<Vec<u8>, Error> {
        retry_on_intr(|| rustix::fs::readlinkat(&self.fd, name, Vec::new()))
            .map(std::ffi::CString::into_bytes)
            .attempted(Action::Read)
    }

    /// Moves an entry to `new_name` in `to` (which may be this directory).
    pub fn rename(
        &self,
        name: impl Arg + Copy,
        to: &Dir,
        new_name: impl Arg + Copy,
        replace: Replace,
    ) -> Result<(), Error> {
        let result = match replace {
            Replace::Allowed => {
                retry_on_intr(|| rustix::fs::renameat(&self.fd, name, &to.fd, new_name))
            }
            Replace::Refused => {
                let flags = RenameFlags::NOREPLACE;
                match retry_on_intr(|| {
                    rustix::fs::renameat_with(&self.fd, name, &to.fd, new_name, flags)
                }) {
                    Err(Errno::INVAL | Errno::NOSYS) => self.rename_after_look(name, to, new_name),
                    result => result,
                }
            }
        };
        result.attempted(Action::Rename)
    }

    fn rename_after_look(
        &self,
        name: impl Arg + Copy,
        to: &Dir,
        new_name: impl Arg + Copy,
    ) -> Result<(), Errno> {
        match rustix::fs::statat(&to.fd, new_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => {
                retry_on_intr(|| rustix::fs::renameat(&self.fd, name, &to.fd, new_name))
            }
            Err(errno) => Err(errno),
        }
    }

    pub fn unlink(&self, name: impl Arg + Copy) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()))
            .attempted(Action::Remove)
    }

    pub fn rmdir(&self, name: impl Arg + Copy) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR))
            .attempted(Action::Remove)
    }

    pub fn set_owner(&self, owner: Owner) -> Result<(), Error> {
        set_owner(&self.fd, owner)
    }

    pub fn set_mode(&self, mode: u32) -> Result<(), Error> {
        set_mode(&self.fd, mode)
    }

    pub fn set_times(&self, times: &Times) -> Result<(), Error> {
        set_times(&self.fd, times)
    }

    /// Whether a default ACL changes the mode of what is created here. An unreadable one counts.
    pub fn has_default_acl(&self) -> bool {
        match rustix::fs::fgetxattr_query(&self.fd, super::xattr::ACL_DEFAULT) {
            Ok(size) => size > 0,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => false,
            Err(_) => true,
        }
    }

    /// The magic number of the file system's type, as in statfs(2).
    pub fn fs_magic(&self) -> Result<u64, Error> {
        retry_on_intr(|| rustix::fs::fstatfs(&self.fd))
            .map(|fs| fs.f_type as u64 & 0xffff_ffff)
            .attempted(Action::Stat)
    }

    /// Whether the directory is marked as one in which upper and lower case are the same, where file systems have such a
    /// mark; also if that can't be told.
    pub fn is_marked_to_fold_case(&self) -> bool {
        // FS_CASEFOLD_FL of linux/fs.h.
        const FOLDS_CASE: u32 = 0x4000_0000;
        let flags = rustix::fs::ioctl_getflags(&self.fd);
        flags.map_or(true, |flags| flags.bits() & FOLDS_CASE != 0)
    }

    /// Writes the whole file system to its disk. Errors of writing back since this descriptor
    /// was opened are reported, once (Linux 5.8).
    pub fn sync_fs(&self) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::syncfs(&self.fd)).attempted(Action::Sync)
    }

    /// Writes the directory's own entries to disk, where the file system can be asked to.
    pub fn sync(&self) -> Result<(), Error> {
        match retry_on_intr(|| rustix::fs::fsync(&self.fd)) {
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => result.attempted(Action::Sync),
        }
    }
}

pub(super) fn set_owner(fd: impl AsFd, owner: Owner) -> Result<(), Error> {
    let (uid, gid) = ids(owner);
    retry_on_intr(|| rustix::fs::fchown(&fd, uid, gid)).attempted(Action::SetOwner)
}

pub(super) fn set_mode(fd: impl AsFd, mode: u32) -> Result<(), Error> {
    retry_on_intr(|| rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))).attempted(Action::SetMode)
}

pub(super) fn set_times(fd: impl AsFd, times: &Times) -> Result<(), Error> {
    let times = timestamps(times);
    retry_on_intr(|| rustix::fs::futimens(&fd, &times)).attempted(Action::SetTimes)
}

pub(super) fn ids(owner: Owner) -> (Option<rustix::fs::Uid>, Option<rustix::fs::Gid>) {
    (
        Some(rustix::fs::Uid::from_raw(owner.uid)),
        Some(rustix::fs::Gid::from_raw(owner.gid)),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use testkit::Scratch;

    use super::Dir;

    fn way(path: &str) -> impl Iterator<Item = &[u8]> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .map(str::as_bytes)
    }

    #[test]
    fn the_way_down_follows_no_link_and_ends_in_a_directory_for_all_uses() {
        let scratch = Scratch::new("way-down");
        scratch.directory("a/b/c");
        scratch.file("a/file", "");
        symlink("b", scratch.join("a/link")).unwrap();
        let root = Dir::open_root(scratch.path()).unwrap();
        for path in ["", "a", "a/b/c"] {
            let found = root.open_below(way(path)).unwrap();
            found.set_mode(0o711).unwrap();
            let ino = root.stat(format!("./{path}").as_str()).unwrap().ino;
            assert_eq!(found.meta().unwrap().ino, ino, "{path}");
        }
        for path in ["a/link", "a/link/c", "a/file", "a/file/x", "a/x", "x/b/c"] {
            assert!(root.open_below(way(path)).is_err(), "{path}");
            assert!(root.find_below(way(path)).unwrap().is_none(), "{path}");
        }
        assert!(
            root.open_passage("a")
                .unwrap()
                .open_passage("link")
                .is_err()
        );
    }

    #[test]
    fn a_passage_is_looked_at_and_led_through_and_opened_for_the_rest() {
        let scratch = Scratch::new("passage");
        scratch.directory("a/b");
        let root = Dir::open_root(scratch.path()).unwrap();
        let passage = root.open_passage("a").unwrap();
        assert_eq!(passage.meta().unwrap().ino, root.stat("a").unwrap().ino);
        passage.mkdir("made", 0o700).unwrap();
        assert!(passage.set_mode(0o711).is_err());
        passage.reopen().unwrap().set_mode(0o711).unwrap();
        assert!(passage.open_dir("b").is_ok());
        assert!(scratch.join("a/made").is_dir());
    }
}
