//! Damages that put something else in an entry's place, or beside it.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, lchown, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Damages, entry};
use crate::removal;

const BLOCK_BYTES: usize = 4 << 10;

/// What can be in the place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    File,
    EmptyDirectory,
    FilledDirectory,
    Fifo,
    Symlink,
}

impl Other {
    pub(super) const ALL: [Self; 5] = [
        Self::File,
        Self::EmptyDirectory,
        Self::FilledDirectory,
        Self::Fifo,
        Self::Symlink,
    ];
}

pub(super) fn remove(path: &Path, metadata: &Metadata) -> io::Result<()> {
    match metadata.is_dir() {
        true => removal::remove(path),
        false => fs::remove_file(path),
    }
}

pub(super) fn make_other(path: &Path, other: Other, damages: &Damages) -> io::Result<()> {
    match other {
        Other::File => fs::write(path, b"in the way")?,
        Other::EmptyDirectory => fs::create_dir(path)?,
        Other::FilledDirectory => {
            fs::create_dir_all(path.join("below"))?;
            fs::write(path.join("below/file"), b"in the way")?;
            own(&path.join("below"), damages)?;
            own(&path.join("below/file"), damages)?;
        }
        Other::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?,
        Other::Symlink => symlink("in the way", path)?,
    }
    own(path, damages)
}

pub(super) fn by_outside_link(
    path: &Path,
    metadata: &Metadata,
    damages: &Damages,
) -> io::Result<()> {
    remove(path, metadata)?;
    let there = match metadata.is_dir() {
        true => "directory",
        false => "file",
    };
    symlink(damages.outside.join(there), path)?;
    own(path, damages)
}

/// The same content and time under another inode. Holes stay: what has a file's size and time is not copied again.
pub(super) fn by_own_copy(path: &Path, metadata: &Metadata, damages: &Damages) -> io::Result<()> {
    let content = fs::read(path)?;
    fs::remove_file(path)?;
    let file = File::create_new(path)?;
    for (number, block) in content.chunks(BLOCK_BYTES).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, (number * BLOCK_BYTES) as u64)?;
        }
    }
    file.set_len(metadata.len())?;
    file.set_modified(metadata.modified()?)?;
    own(path, damages)
}

pub(super) fn by_hard_link(path: &Path, other: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    fs::hard_link(other, path)
}

/// A file, a directory with a file in it, a link and a FIFO, with names of their own.
pub(super) fn add_extra(directory: &Path, damages: &Damages) -> io::Result<()> {
    let named = |name: &[u8]| directory.join(OsStr::from_bytes(name));
    let (file, link) = (named(b"extra file \xff\n"), named(b"extra link"));
    let (below, fifo) = (named(b"extra directory"), named(b"extra fifo"));
    if fs::symlink_metadata(&file).is_ok() {
        return Ok(());
    }
    fs::write(&file, b"only here")?;
    fs::create_dir(&below)?;
    let inner = below.join("file");
    fs::write(&inner, b"only here")?;
    symlink(damages.outside.join("file"), &link)?;
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    for path in [&file, &inner, &below, &link, &fifo] {
        own(path, damages)?;
        entry::set_time(path)?;
    }
    Ok(())
}

fn own(path: &Path, damages: &Damages) -> io::Result<()> {
    match damages.plain_user {
        Some(user) => lchown(path, Some(user), Some(user)),
        None => Ok(()),
    }
}
