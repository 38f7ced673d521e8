//! Attributes and times as the lower file system and as the kernel's requests have them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use rustix::fs::{self, Stat, Timespec, UTIME_NOW, UTIME_OMIT};

/// How fine the times are that are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Nanoseconds,
    Seconds,
}

/// All that an answer says of an inode, its number among them.
pub(super) fn attributes(stat: &Stat, clock: Clock) -> FileAttr {
    let system_time = |seconds, nanoseconds: u64| match clock {
        Clock::Nanoseconds => system_time(seconds, nanoseconds as u32),
        Clock::Seconds => system_time(seconds, 0),
    };
    FileAttr {
        ino: INodeNo(stat.st_ino),
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        atime: system_time(stat.st_atime, stat.st_atime_nsec),
        mtime: system_time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: system_time(stat.st_ctime, stat.st_ctime_nsec),
        crtime: UNIX_EPOCH,
        kind: kind(fs::FileType::from_raw_mode(stat.st_mode)),
        perm: (stat.st_mode & 0o7777) as u16,
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: encode_device(stat.st_rdev),
        blksize: stat.st_blksize as u32,
        flags: 0,
    }
}

pub(super) fn kind(kind: fs::FileType) -> FileType {
    match kind {
        fs::FileType::Directory => FileType::Directory,
        fs::FileType::Symlink => FileType::Symlink,
        fs::FileType::Fifo => FileType::NamedPipe,
        fs::FileType::Socket => FileType::Socket,
        fs::FileType::CharacterDevice => FileType::CharDevice,
        fs::FileType::BlockDevice => FileType::BlockDevice,
        fs::FileType::RegularFile | fs::FileType::Unknown => FileType::RegularFile,
    }
}

/// Device numbers of 32 bits, as the kernel packs them (`new_encode_dev` in `linux/kdev_t.h`).
fn encode_device(device: u64) -> u32 {
    let (major, minor) = (fs::major(device), fs::minor(device));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

pub(super) fn decode_device(packed: u32) -> u64 {
    fs::makedev(
        (packed & 0xf_ff00) >> 8,
        (packed & 0xff) | ((packed >> 12) & 0xf_ff00),
    )
}

fn system_time(seconds: i64, nanoseconds: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = match seconds < 0 {
        true => UNIX_EPOCH - whole,
        false => UNIX_EPOCH + whole,
    };
    start + Duration::from_nanos(u64::from(nanoseconds))
}

/// A time that a request sets.
pub(super) fn time_to_set(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT as _,
        },
        Some(TimeOrNow::Now) => Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW as _,
        },
        Some(TimeOrNow::SpecificTime(time)) => requested_time(time),
    }
}

/// fuser 0.18 reads a time before 1970 as the epoch less the seconds less the nanoseconds, where the protocol means the
/// nanoseconds to be added. Turned round here: no information is lost on the way.
fn requested_time(time: SystemTime) -> Timespec {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timespec {
            tv_sec: after.as_secs() as i64,
            tv_nsec: after.subsec_nanos() as _,
        },
        Err(error) => Timespec {
            tv_sec: -(error.duration().as_secs() as i64),
            tv_nsec: error.duration().subsec_nanos() as _,
        },
    }
}
