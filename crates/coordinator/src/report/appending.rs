//! A file that only grows by whole lines, in a place where others may have prepared traps:
//! it is opened without following links, a line is appended with one write, and what
//! could not be written whole is taken back.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use super::atomic::{create_new, sync_directory_of};

/// Why a file must not be written to, though it could be opened.
pub(super) fn trap(file: &Metadata, dir: &Metadata) -> Option<&'static str> {
    let others_write_here = dir.mode() & 0o022 != 0;
    if !file.is_file() {
        Some("is no regular file")
    } else if file.nlink() != 1 {
        Some("has a second name")
    } else if others_write_here && file.uid() != rustix::process::geteuid().as_raw() {
        Some("belongs to another user")
    } else {
        None
    }
}

pub(super) fn open_existing(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: a FIFO in its place must not stop us.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new()
        .read(true)
        .append(true)
        .custom_flags(flags.cast_signed())
        .open(path)
}

pub(super) fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_symlink())
}

pub(super) fn ends_with_newline(file: &File) -> bool {
    let mut last = [0];
    match file.metadata().map(|meta| meta.len()) {
        Ok(len @ 1..) => file.read_exact_at(&mut last, len - 1).is_ok() && last == *b"\n",
        _ => false,
    }
}

/// One write, then sync. On any error the file is as long as before, as far as that can be had.
pub(super) fn append_line(file: &mut File, line: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let written = loop {
        match file.write(line) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    let result = match written {
        Ok(n) if n == line.len() => file.sync_data(),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::StorageFull,
            "only a part of the row could be written",
        )),
        Err(error) => Err(error),
    };
    // Somebody else's row after ours would be lost with it: then a torn one is left for the next start.
    let added = file.metadata()?.len().saturating_sub(before);
    if result.is_err() && added > 0 && added <= line.len() as u64 {
        file.set_len(before)?;
    }
    result
}

/// Moves the end of the file to a file of its own.
pub(super) fn take_out(
    file: &mut File,
    whole_len: u64,
    rest: &[u8],
    kept_in: &Path,
) -> io::Result<()> {
    let mut kept = create_new(kept_in)?;
    kept.write_all(rest)?;
    kept.sync_all()?;
    sync_directory_of(kept_in)?;
    file.set_len(whole_len)?;
    file.sync_all()
}

/// A free name beside `path`: its own, the time in milliseconds, and what is added.
pub(super) fn aside(path: &Path, added: &str) -> PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    (now..)
        .map(|millis| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{millis}{added}"));
            PathBuf::from(name)
        })
        .find(|name| name.symlink_metadata().is_err())
        .expect("not every name is taken")
}
