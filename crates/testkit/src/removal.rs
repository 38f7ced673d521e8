//! Removes a tree whatever its depth and the modes of its directories.
//!
//! Directories below are first moved up to the root, then emptied in turn: no path is longer than two names, and
//! neither stack nor descriptors grow with the depth.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// Removes the directory `root` and all below it. Nothing may be mounted there.
pub(crate) fn remove(root: &Path) -> io::Result<()> {
    let pit = open(CWD, root)?;
    let mut pending = Pending {
        name: (0..u64::MAX)
            .map(|number| format!("to-remove-{}-{number}", std::process::id()))
            .find(|name| {
                matches!(
                    statat(&pit, name, AtFlags::SYMLINK_NOFOLLOW),
                    Err(Errno::NOENT)
                )
            })
            .expect("not every name is taken"),
        made: 0,
        removed: 0,
    };
    empty(&pit, &pit, &mut pending)?;
    while pending.removed < pending.made {
        let name = pending.named(pending.removed);
        empty(&pit, &open(&pit, name.as_str())?, &mut pending)?;
        unlinkat(&pit, name, AtFlags::REMOVEDIR)?;
        pending.removed += 1;
    }
    fs::remove_dir(root)
}

/// Directories that were moved up, by number.
struct Pending {
    name: String,
    made: u64,
    removed: u64,
}

impl Pending {
    fn named(&self, number: u64) -> String {
        format!("{}.{number}", self.name)
    }

    fn is_one(&self, name: &CStr) -> bool {
        name.to_bytes()
            .starts_with(format!("{}.", self.name).as_bytes())
    }
}

/// Removes what lies in `directory` and moves its directories up into `pit`.
fn empty(pit: &OwnedFd, directory: &OwnedFd, pending: &mut Pending) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") && !pending.is_one(name) {
            names.push(name.to_owned());
        }
    }
    for name in names {
        let stat = statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            unlinkat(directory, &name, AtFlags::empty())?;
            continue;
        }
        // To move it, its owner must be able to write in it.
        chmodat(
            directory,
            &name,
            Mode::from_raw_mode(0o700),
            AtFlags::empty(),
        )?;
        renameat(directory, &name, pit, pending.named(pending.made))?;
        pending.made += 1;
    }
    Ok(())
}

/// Opens a directory and lets its owner in.
fn open(
    parent: impl std::os::fd::AsFd,
    name: impl rustix::path::Arg + Copy,
) -> io::Result<OwnedFd> {
    let parent = parent.as_fd();
    chmodat(parent, name, Mode::from_raw_mode(0o700), AtFlags::empty())?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use crate::Scratch;
    use crate::tree::{Recipe, make, make_deep};

    #[test]
    fn ten_thousand_levels_are_gone() {
        let scratch = Scratch::in_memory("removal");
        let tree = scratch.join("tree");
        make_deep(&tree, 10_000).unwrap();
        super::remove(&tree).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_link_leads_to_stays() {
        let scratch = Scratch::new("removal");
        let outside = scratch.directory("outside");
        scratch.file("outside/file", b"content");
        let tree = scratch.join("tree");
        make(&tree, &Recipe::full(), 1).unwrap();
        symlink(&outside, tree.join("to the outside")).unwrap();
        set_permissions(&tree, Permissions::from_mode(0o000)).unwrap();
        super::remove(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"content");
    }
}
