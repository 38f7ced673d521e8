//! A chain of directories whose path is longer than any single call takes: made step by step, by descriptors.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

const CONTENT: &[u8] = b"at the end of the chain\n";

/// Makes `levels` directories in one another, with names of 255 bytes, and one file in the last. Returns its size.
pub(super) fn make(root: &Path, levels: u64) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(CWD, root, flags, Mode::empty())?;
    for level in 0..levels {
        let name = format!("chain-{level:0>249}");
        mkdirat(&directory, &name, Mode::from_raw_mode(0o755))?;
        directory = openat(&directory, &name, flags, Mode::empty())?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(&directory, "end", flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(CONTENT)?;
    Ok(CONTENT.len() as u64)
}
