//! Compares two entries of one kind: mode, owner and time, content, link targets, devices.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{FileType, OFlags, Stat, readlinkat};

use super::Aspect;
use super::walk::{Side, Walk};

const BUFFER_BYTES: usize = 256 << 10;

/// How many bytes more than the source a copy may take up: file systems place blocks differently.
const ALLOCATION_SLACK_BYTES: i64 = 64 << 10;

impl Walk<'_> {
    pub(super) fn attributes(&mut self, a: Side<'_>, b: Side<'_>) {
        let (left, right) = (a.stat, b.stat);
        let kind = a.kind();
        // A symlink's mode is never looked at by anything.
        if self.options.modes && kind != FileType::Symlink && left.st_mode != right.st_mode {
            let shown = |stat: &Stat| format!("{:04o}", stat.st_mode & 0o7777);
            self.differ(Aspect::Mode, &shown(left), &shown(right));
        }
        let owner = |stat: &Stat| format!("{}:{}", stat.st_uid, stat.st_gid);
        if self.options.owners && owner(left) != owner(right) {
            self.differ(Aspect::Owner, &owner(left), &owner(right));
        }
        let times_count = match kind {
            FileType::Directory => self.options.directory_times,
            FileType::Symlink => self.options.symlink_times,
            _ => self.options.file_times,
        };
        if times_count && modified(left) != modified(right) {
            let shown = |stat: &Stat| {
                let (seconds, nanoseconds) = modified(stat);
                format!("{seconds} s + {nanoseconds} ns")
            };
            self.differ(Aspect::Time, &shown(left), &shown(right));
        }
        self.extended(a, b);
    }

    pub(super) fn files(&mut self, a: Side<'_>, b: Side<'_>) {
        let (left, right) = (a.stat, b.stat);
        if left.st_size != right.st_size {
            let shown = |stat: &Stat| format!("{} bytes", stat.st_size);
            return self.differ(Aspect::Size, &shown(left), &shown(right));
        }
        let allocated = |stat: &Stat| stat.st_blocks * 512;
        if self.options.holes && allocated(right) > allocated(left) + ALLOCATION_SLACK_BYTES {
            let shown = |stat: &Stat| format!("{} bytes allocated", allocated(stat));
            self.differ(Aspect::Holes, &shown(left), &shown(right));
        }
        if !self.options.content || left.st_size == 0 {
            return;
        }
        match first_unequal_byte(a, b) {
            Ok(None) => {}
            Ok(Some(offset)) => {
                let shown = format!("byte {offset}");
                self.differ(Aspect::Content, &shown, "another");
            }
            Err(error) => self.unreadable("the content", &error),
        }
    }

    pub(super) fn symlinks(&mut self, a: Side<'_>, b: Side<'_>) {
        let target = |side: Side<'_>| readlinkat(side.directory, side.name, Vec::new());
        match (target(a), target(b)) {
            (Ok(left), Ok(right)) if left == right => {}
            (Ok(left), Ok(right)) => {
                let shown = |target: CString| target.to_bytes().escape_ascii().to_string();
                self.differ(Aspect::LinkTarget, &shown(left), &shown(right));
            }
            (Err(error), _) | (_, Err(error)) => self.unreadable("the link", &error.into()),
        }
    }

    pub(super) fn devices(&mut self, a: Side<'_>, b: Side<'_>) {
        if a.stat.st_rdev != b.stat.st_rdev {
            let shown = |stat: &Stat| format!("{:#x}", stat.st_rdev);
            self.differ(Aspect::Device, &shown(a.stat), &shown(b.stat));
        }
    }

    /// Both sides are walked in one order, so that groups are the same where each name leads to the same first name.
    pub(super) fn hard_links(&mut self, a: Side<'_>, b: Side<'_>) {
        let (left, right) = (a.stat, b.stat);
        if left.st_nlink <= 1 && right.st_nlink <= 1 {
            return;
        }
        let mut first_name = |number: usize, stat: &Stat| {
            let identity = (stat.st_dev, stat.st_ino);
            let names = &mut self.first_names[number];
            let first = names.entry(identity).or_insert_with(|| self.path.clone());
            first.as_os_str().as_bytes().escape_ascii().to_string()
        };
        let (left, right) = (first_name(0, left), first_name(1, right));
        if left != right {
            let shown = |first: String| format!("one file with {first}");
            self.differ(Aspect::HardLinks, &shown(left), &shown(right));
        }
    }
}

fn modified(stat: &Stat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec as i64)
}

fn first_unequal_byte(a: Side<'_>, b: Side<'_>) -> io::Result<Option<u64>> {
    let mut left = File::from(a.open(OFlags::empty())?);
    let mut right = File::from(b.open(OFlags::empty())?);
    let wanted = usize::try_from(a.stat.st_size).unwrap_or(BUFFER_BYTES);
    // One byte more than expected, so that a file that grew shows.
    let mut buffers = [(); 2].map(|()| vec![0; BUFFER_BYTES.min(wanted.saturating_add(1))]);
    let mut offset = 0;
    loop {
        let [first, second] = &mut buffers;
        let (n, m) = (fill(&mut left, first)?, fill(&mut right, second)?);
        if first[..n] != second[..m] {
            let same = first[..n].iter().zip(&second[..m]);
            let equal_bytes = same.take_while(|(one, other)| one == other).count();
            return Ok(Some(offset + equal_bytes as u64));
        }
        if n < first.len() {
            return Ok(None);
        }
        offset += n as u64;
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
