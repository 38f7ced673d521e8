//! What a stat tells about an entry.

use rustix::fs::{FileType, Stat};

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    /// FIFO, socket or device.
    Special,
    /// A listing that does not tell: stat the name.
    Unknown,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Unknown => Kind::Unknown,
            _ => Kind::Special,
        }
    }
}

/// A point in time, seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    pub secs: i64,
    pub nanos: u32,
}

/// Who owns an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// The two times that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub accessed: Timestamp,
    pub modified: Timestamp,
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
    pub nlink: u64,
    /// Space used, in units of 512 bytes.
    pub blocks: u64,
}

impl Meta {
    pub fn times(&self) -> Times {
        Times {
            accessed: self.accessed,
            modified: self.modified,
        }
    }

    /// Whether the content can't have changed between two stats, as far as stats tell.
    pub fn is_same_content_as(&self, other: &Meta) -> bool {
        self.ino == other.ino
            && self.size == other.size
            && self.modified == other.modified
            && self.changed == other.changed
    }

    /// Whether some of the content takes no space.
    pub fn is_sparse(&self) -> bool {
        self.blocks.saturating_mul(512) < self.size
    }
}

// The fields' widths differ between architectures.
#[allow(clippy::unnecessary_cast)]
impl From<Stat> for Meta {
    fn from(stat: Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            mode: stat.st_mode & 0o7777,
            owner: Owner {
                uid: stat.st_uid,
                gid: stat.st_gid,
            },
            size: u64::try_from(stat.st_size).unwrap_or(0),
            accessed: timestamp(stat.st_atime as i64, stat.st_atime_nsec as u64),
            modified: timestamp(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: timestamp(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            ino: stat.st_ino,
            dev: stat.st_dev,
            nlink: stat.st_nlink as u64,
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
        }
    }
}

fn timestamp(secs: i64, nanos: u64) -> Timestamp {
    Timestamp {
        secs,
        nanos: u32::try_from(nanos).unwrap_or(0).min(999_999_999),
    }
}

pub(crate) fn timestamps(times: &Times) -> rustix::fs::Timestamps {
    let timespec = |time: &Timestamp| rustix::fs::Timespec {
        tv_sec: time.secs,
        tv_nsec: time.nanos.into(),
    };
    rustix::fs::Timestamps {
        last_access: timespec(&times.accessed),
        last_modification: timespec(&times.modified),
    }
}
