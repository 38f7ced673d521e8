//! The target root: found by its deepest existing ancestor, and made below that.
//!
//! Everything is made through the descriptor of the ancestor whose file-system type was checked, and through
//! the descriptors of what was made below it, never by path again. So when the mount vanishes between the check and
//! the `mkdir` (lazy unmount, a dead network file system), the directory still lands on the file system that was
//! checked, or the call fails; nothing reaches the disk beneath the mount point.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use model::fs_type::FsType;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::error::{RootsError, Side};
use crate::fs_type::detect;

/// The mode of directories made on the way to a root and of the root, before the umask. The root's own
/// mode is set with its other attributes when it is migrated.
const DIRECTORY_MODE: u32 = 0o755;

/// How far a target's path exists.
pub(super) struct Found {
    /// The target root, or its deepest existing ancestor (opened with `O_PATH`).
    pub(super) directory: OwnedFd,
    pub(super) path: PathBuf,
    /// What is missing below `directory`, from the top down; empty when the target exists.
    pub(super) missing: Vec<OsString>,
}

/// Opens a directory by path for looking only; links in the path are followed. `O_DIRECTORY` makes
/// automounts mount, which plain `O_PATH` would not.
pub(super) fn look_at(path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))
}

/// Finds how far `target` exists. Nothing is made.
pub(super) fn deepest_existing(target: &Path) -> Result<Found, RootsError> {
    let mut missing = Vec::new();
    let mut path = target;
    let directory = loop {
        match look_at(path) {
            Ok(directory) => break directory,
            Err(Errno::NOENT) => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                    let path = target.to_owned();
                    return Err(RootsError::ParentOfMissing { path });
                };
                missing.push(name.to_owned());
                path = parent;
            }
            Err(Errno::NOTDIR) => return Err(not_directory(target)),
            Err(errno) => return Err(RootsError::io("open", path)(errno)),
        }
    };
    missing.reverse();
    if let Some(name) = missing.first() {
        refuse_dangling_link(&directory, name, &path.join(name), target)?;
    }
    Ok(Found {
        directory,
        path: path.to_owned(),
        missing,
    })
}

/// A link that leads nowhere says that something else ought to be there, most likely a mount. Without this a
/// dry run would take the target for one that is just missing.
fn refuse_dangling_link(
    directory: &OwnedFd,
    name: &OsString,
    link: &Path,
    target: &Path,
) -> Result<(), RootsError> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
            Err(RootsError::DanglingLink {
                target: target.to_owned(),
                link: link.to_owned(),
            })
        }
        // Made in the meantime, by another worker: `make` copes.
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(RootsError::io("stat", link)(errno)),
    }
}

impl Found {
    /// That of what exists.
    pub(super) fn fs_type(&self) -> Result<FsType, RootsError> {
        detect(&self.directory).map_err(RootsError::io("stat", &self.path))
    }

    /// The target root, made if it is missing, and what it is on, given that of what exists.
    pub(super) fn made(self, fs_type: FsType) -> Result<(OwnedFd, FsType), RootsError> {
        if self.missing.is_empty() {
            return Ok((self.directory, fs_type));
        }
        let path = (self.missing.iter()).fold(self.path.clone(), |path, name| path.join(name));
        let made = self.make()?;
        // Something may have been mounted meanwhile.
        let fs_type = detect(&made).map_err(RootsError::io("stat", &path))?;
        Ok((made, fs_type))
    }

    /// Makes what is missing and returns the target root. Another worker may be doing the same.
    fn make(self) -> Result<OwnedFd, RootsError> {
        let Found {
            mut directory,
            mut path,
            missing,
        } = self;
        for name in missing {
            let above = std::mem::replace(&mut path, PathBuf::new());
            path = above.join(&name);
            let mode = Mode::from_raw_mode(DIRECTORY_MODE);
            match retry_on_intr(|| rustix::fs::mkdirat(&directory, &name, mode)) {
                Ok(()) => sync_names(&directory).map_err(RootsError::io("sync", &above))?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(RootsError::io("make directory", &path)(errno)),
            }
            // What was just made is no link; whoever replaced it by one is not followed.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened =
                retry_on_intr(|| rustix::fs::openat(&directory, &name, flags, Mode::empty()));
            directory = match opened {
                Ok(opened) => opened,
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(not_directory(&path)),
                Err(errno) => return Err(RootsError::io("open", &path)(errno)),
            };
        }
        Ok(directory)
    }
}

/// Makes a new name in `directory` durable. Left out where we may write but not read it, and where the file
/// system has no sync of directories: the engine's sync of the whole file system covers it there.
fn sync_names(directory: &OwnedFd) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = match retry_on_intr(|| rustix::fs::openat(directory, c".", flags, Mode::empty()))
    {
        Err(Errno::ACCESS) => return Ok(()),
        opened => opened?,
    };
    match retry_on_intr(|| rustix::fs::fsync(&readable)) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        synced => synced,
    }
}

fn not_directory(path: &Path) -> RootsError {
    RootsError::NotDirectory {
        side: Side::Target,
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{RootsError, deepest_existing};
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::AtFlags;
    use testkit::Scratch;
    use testkit::mount::Tmpfs;

    #[test]
    fn a_mount_that_vanishes_after_the_check_leaves_nothing_beneath_it() {
        let scratch = Scratch::new("vanishes");
        let point = scratch.directory("mnt");
        let mounted = Tmpfs::over(&point, 1).unwrap();
        let found = deepest_existing(&point.join("a/b")).unwrap();
        let checked = found.directory.try_clone().unwrap();
        assert_eq!(found.missing, ["a", "b"]);

        mounted.detach().unwrap();
        found.make().unwrap();
        assert_eq!(fs::read_dir(&point).unwrap().count(), 0);
        rustix::fs::statat(checked, "a/b", AtFlags::empty()).unwrap();
    }

    #[test]
    fn what_another_made_meanwhile_is_used_unless_it_is_a_link() {
        let scratch = Scratch::new("meanwhile");
        let outside = scratch.directory("outside");
        let target = scratch.join("a/b");
        let [ours, swapped] = [(), ()].map(|()| deepest_existing(&target).unwrap());
        fs::create_dir_all(&target).unwrap();
        ours.make().unwrap();

        fs::remove_dir_all(scratch.join("a")).unwrap();
        symlink(&outside, scratch.join("a")).unwrap();
        let error = swapped.make().unwrap_err();
        assert!(matches!(error, RootsError::NotDirectory { .. }), "{error}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
