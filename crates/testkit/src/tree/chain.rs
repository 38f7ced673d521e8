//! Chains of directories, made step by step by descriptors: names so long that the path is more than any single call
//! takes, or so many levels that what recurses or holds each directory open gets stuck.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use super::Made;

const CONTENT: &[u8] = b"at the end of the chain\n";

/// Makes `levels` directories in one another, with names of 255 bytes, and one file in the last. Returns its size.
pub(super) fn make(root: &Path, levels: u64) -> io::Result<u64> {
    descend(root, levels, |level| format!("chain-{level:0>249}"))
}

/// Makes `levels` directories in one another in `root`, which is created if need be, and one file in the last. Their
/// names are short: the path is longer than a single call takes from some 2,000 levels on.
pub fn make_deep(root: &Path, levels: u64) -> io::Result<Made> {
    fs::create_dir_all(root)?;
    let bytes = descend(root, levels, |level| format!("{}", level % 10))?;
    Ok(Made {
        files: 1,
        directories: levels,
        bytes,
        ..Made::default()
    })
}

fn descend(root: &Path, levels: u64, name: impl Fn(u64) -> String) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(CWD, root, flags, Mode::empty())?;
    for level in 0..levels {
        let name = name(level);
        mkdirat(&directory, &name, Mode::from_raw_mode(0o755))?;
        directory = openat(&directory, &name, flags, Mode::empty())?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(&directory, "end", flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(CONTENT)?;
    Ok(CONTENT.len() as u64)
}
