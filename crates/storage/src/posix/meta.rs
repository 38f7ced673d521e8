//! What a stat tells about an entry.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
    /// A listing that does not tell: stat the name.
    Unknown,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Unknown => Kind::Unknown,
        }
    }
}

impl Kind {
    /// Neither data nor names: it is never opened.
    pub fn is_special(self) -> bool {
        matches!(
            self,
            Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice
        )
    }
}

/// A point in time, seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    pub secs: i64,
    pub nanos: u32,
}

impl Timestamp {
    /// Nanoseconds since 1970, as far as they fit.
    pub fn as_nanos(self) -> i64 {
        let nanos = i64::from(self.nanos);
        self.secs
            .saturating_mul(1_000_000_000)
            .saturating_add(nanos)
    }
}

/// Who owns an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// The two times that can be set; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub accessed: Option<Timestamp>,
    pub modified: Option<Timestamp>,
}

/// What a stat tells about an entry; links are never followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `0o7777`.
    pub mode: u32,
    pub owner: Owner,
    pub size: u64,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
    pub ino: u64,
    pub dev: u64,
    /// Of a device node: which device it is.
    pub rdev: u64,
    pub nlink: u64,
    /// Space used, in units of 512 bytes.
    pub blocks: u64,
    /// Marked immutable or append-only (`chattr +i`, `+a`), as far as the file system tells.
    pub is_locked: bool,
}

/// How fresh a stat has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As the file system keeps it: a network file system may answer from its cache.
    Cached,
    /// Asked from the server.
    Synced,
}

impl Meta {
    /// Whether the content can't have changed between two stats, as far as stats tell.
    pub fn is_same_content_as(&self, other: &Meta) -> bool {
        self.ino == other.ino
            && self.size == other.size
            && self.modified == other.modified
            && self.changed == other.changed
    }

    /// Whether it is the entry that was looked at before, with the same names since: one that it gets, loses or changes sets
    /// the time of its last change, but for a clock that ticks too coarsely to tell.
    pub fn is_untouched_since(&self, before: &Meta) -> bool {
        (self.kind, self.dev, self.ino, self.rdev)
            == (before.kind, before.dev, before.ino, before.rdev)
            && (self.nlink, self.changed) == (before.nlink, before.changed)
    }

    /// Whether some of the content takes no space.
    pub fn is_sparse(&self) -> bool {
        self.blocks.saturating_mul(512) < self.size
    }
}

/// Stats `name` in `dir`, or `dir` itself where the name is empty.
pub(super) fn stat(
    dir: impl AsFd,
    name: impl Arg + Copy,
    freshness: Freshness,
) -> Result<Meta, Errno> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    if freshness == Freshness::Synced {
        flags |= AtFlags::STATX_FORCE_SYNC;
    }
    let mask = StatxFlags::BASIC_STATS;
    retry_on_intr(|| rustix::fs::statx(&dir, name, flags, mask)).map(Meta::from)
}

impl From<Statx> for Meta {
    fn from(stat: Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        let locked = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        Self {
            kind: FileType::from_raw_mode(mode).into(),
            mode: mode & 0o7777,
            owner: Owner {
                uid: stat.stx_uid,
                gid: stat.stx_gid,
            },
            size: stat.stx_size,
            accessed: timestamp(stat.stx_atime),
            modified: timestamp(stat.stx_mtime),
            changed: timestamp(stat.stx_ctime),
            ino: stat.stx_ino,
            dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            rdev: rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
            nlink: u64::from(stat.stx_nlink),
            blocks: stat.stx_blocks,
            is_locked: stat.stx_attributes.intersects(locked),
        }
    }
}

fn timestamp(time: rustix::fs::StatxTimestamp) -> Timestamp {
    Timestamp {
        secs: time.tv_sec,
        nanos: time.tv_nsec.min(999_999_999),
    }
}

/// A time that is to stay as it is (`UTIME_OMIT`).
const AS_IT_IS: rustix::fs::Timespec = rustix::fs::Timespec {
    tv_sec: 0,
    tv_nsec: rustix::fs::UTIME_OMIT as _,
};

pub(crate) fn timestamps(times: &Times) -> rustix::fs::Timestamps {
    let timespec = |time: Option<Timestamp>| match time {
        Some(time) => rustix::fs::Timespec {
            tv_sec: time.secs,
            tv_nsec: time.nanos.into(),
        },
        None => AS_IT_IS,
    };
    rustix::fs::Timestamps {
        last_access: timespec(times.accessed),
        last_modification: timespec(times.modified),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use testkit::Scratch;

    use crate::posix::Dir;

    type Change = fn(&Scratch);

    #[test]
    fn a_name_that_came_or_went_or_moved_shows() {
        let changes: [Change; 3] = [
            |scratch| fs::hard_link(scratch.join("name"), scratch.join("other")).unwrap(),
            |scratch| {
                fs::hard_link(scratch.join("name"), scratch.join("other")).unwrap();
                fs::remove_file(scratch.join("other")).unwrap();
            },
            |scratch| fs::rename(scratch.join("name"), scratch.join("other")).unwrap(),
        ];
        for change in changes {
            let scratch = Scratch::new("untouched");
            fs::write(scratch.join("name"), "").unwrap();
            let root = Dir::open_root(scratch.path()).unwrap();
            let inode = root.hold("name").unwrap();
            let before = inode.meta().unwrap();
            assert!(inode.meta().unwrap().is_untouched_since(&before));
            // Until the clock ticks.
            let began = fs::metadata(scratch.path()).unwrap().ctime_nsec();
            while fs::metadata(scratch.path()).unwrap().ctime_nsec() == began {
                fs::write(scratch.join("tick"), "").unwrap();
                fs::remove_file(scratch.join("tick")).unwrap();
            }
            change(&scratch);
            assert!(!inode.meta().unwrap().is_untouched_since(&before));
        }
    }
}
