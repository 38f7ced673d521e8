//! Which mount a descriptor belongs to, as this process's mount table tells.
//!
//! The mount is looked up for an open descriptor, never for a path: a path may lead elsewhere
//! a moment later, a descriptor stays on the mount it was opened on. A mount that was detached
//! (lazy unmount) while a descriptor is open has no line in the table any more: no mount is found then.
//!
//! Format: proc_pid_mountinfo(5). The fields may hold any bytes; space, tab, line feed and backslash come
//! as octal escapes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

/// How often the table is read again for a mount id that is not in it: a table that changes while
/// it is read may lack lines on kernels before 5.8.
const READS: usize = 3;

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Unique among the mounts of now; reused after an unmount.
    pub id: u64,
    /// Major and minor number. On btrfs not the one that stat tells.
    pub device: (u32, u32),
    /// The directory within the file system that is visible at the mount point.
    pub root: PathBuf,
    pub mount_point: PathBuf,
    /// Of this mount, separated by commas.
    pub options: OsString,
    /// `ext4`, `nfs4`, `fuse.SUBTYPE`…
    pub fs_type: String,
    /// The device, export or whatever the file system calls its source.
    pub source: OsString,
    /// Of the file system, separated by commas. May name users and servers.
    pub super_options: OsString,
}

impl Mount {
    /// Whether the mount or the whole file system is read-only.
    pub fn is_read_only(&self) -> bool {
        [&self.options, &self.super_options]
            .iter()
            .any(|options| options.as_bytes().split(|&b| b == b',').any(|o| o == b"ro"))
    }
}

/// All mounts of this process's namespace, in the order they are in the table.
pub fn read() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// The mount that an open descriptor (also one opened with `O_PATH`) is on; `None` when it has been detached.
pub fn of_descriptor(fd: impl AsFd) -> io::Result<Option<Mount>> {
    let fd = fd.as_fd();
    let mask = StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, mask);
    match stat {
        Ok(stat) if stat.stx_mask & mask.bits() != 0 => by_id(stat.stx_mnt_id),
        // Before Linux 5.8, and in sandboxes that know no statx.
        Ok(_) | Err(rustix::io::Errno::NOSYS) => {
            let stat = rustix::fs::fstat(fd)?;
            let device = (
                rustix::fs::major(stat.st_dev),
                rustix::fs::minor(stat.st_dev),
            );
            Ok(by_path(read()?, device, &path_of_descriptor(fd)?))
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Where the file system is mounted on which `path` lies, or would, if it were made.
pub fn volume_of(path: &Path) -> io::Result<Option<PathBuf>> {
    for existing in path.ancestors() {
        match rustix::fs::open(existing, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => return Ok(of_descriptor(fd)?.map(|mount| mount.mount_point)),
            Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(None)
}

/// The path by which the kernel knows an open descriptor. It is a hint: it may have been renamed since, and
/// ends in ` (deleted)` when it was removed.
pub(crate) fn path_of_descriptor(fd: impl AsFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

fn by_id(id: u64) -> io::Result<Option<Mount>> {
    for _ in 0..READS {
        if let Some(mount) = read()?.into_iter().find(|mount| mount.id == id) {
            return Ok(Some(mount));
        }
    }
    Ok(None)
}

/// The mount of the given device with the longest mount point at or above `path`; where several lie on
/// one another, the last. Where no device fits (btrfs), that of any device.
fn by_path(mounts: Vec<Mount>, device: (u32, u32), path: &Path) -> Option<Mount> {
    let longest = |mounts: Vec<Mount>| {
        mounts
            .into_iter()
            .max_by_key(|mount| mount.mount_point.as_os_str().len())
    };
    let (same, other): (Vec<_>, Vec<_>) = mounts
        .into_iter()
        .filter(|mount| path.starts_with(&mount.mount_point))
        .partition(|mount| mount.device == device);
    longest(same).or_else(|| longest(other))
}

/// Lines that can't be read are left out: better no mount type than no answer at all.
fn parse(table: &[u8]) -> Vec<Mount> {
    table
        .split(|&b| b == b'\n')
        .filter_map(parse_line)
        .collect()
}

/// `ID PARENT MAJOR:MINOR ROOT MOUNT_POINT OPTIONS [TAG…] - TYPE SOURCE SUPER_OPTIONS`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let id = number(fields.next()?)?;
    let _parent = fields.next()?;
    let mut device = fields.next()?.split(|&b| b == b':');
    let device = (
        u32::try_from(number(device.next()?)?).ok()?,
        u32::try_from(number(device.next()?)?).ok()?,
    );
    let root = unescape(fields.next()?).into();
    let mount_point = unescape(fields.next()?).into();
    let options = unescape(fields.next()?);
    fields.find(|&field| field == b"-")?;
    Some(Mount {
        id,
        device,
        root,
        mount_point,
        options,
        fs_type: unescape(fields.next()?).to_string_lossy().into_owned(),
        // Empty for a source that is the empty string.
        source: unescape(fields.next()?),
        super_options: unescape(fields.next().unwrap_or_default()),
    })
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Undoes `\ooo`. A backslash without three octal digits after it stands for itself.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if byte == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &after[3..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// Where `path`, which is known to lie on `mount`, is within the file system itself; `None` when it is
/// not below the mount point (it was moved since).
pub(crate) fn path_in_file_system(mount: &Mount, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(&mount.mount_point).ok()?;
    Some(if below.as_os_str() == OsStr::new("") {
        mount.root.clone()
    } else {
        mount.root.join(below)
    })
}

#[cfg(test)]
mod tests {
    use super::{Mount, by_path, of_descriptor, parse, path_in_file_system, volume_of};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    const TABLE: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        30 27 0:40 / /mnt/a\\040b\\134\\011\\012\xff ro,relatime shared:2 master:1 - nfs4 host:/e\\040x rw,vers=4.2\n\
        31 27 0:41 /sub /mnt/f rw - fuse.some\\040fs  ro,user_id=0\n\
        32 31 0:42 / /mnt/f rw - tmpfs tmpfs rw\n\
        not a line\n\
        33 27 0:43 / /cut rw\n\
        34 27 x:43 / /cut rw - tmpfs tmpfs rw\n";

    fn mounts() -> Vec<Mount> {
        parse(TABLE)
    }

    #[test]
    fn any_bytes_in_the_mount_table_are_read() {
        let mounts = mounts();
        assert_eq!(
            mounts.iter().map(|mount| mount.id).collect::<Vec<_>>(),
            [22, 27, 30, 31, 32]
        );
        let nfs = &mounts[2];
        assert_eq!(nfs.device, (0, 40));
        assert_eq!(
            nfs.mount_point.as_os_str().as_bytes(),
            b"/mnt/a b\\\t\n\xff"
        );
        assert_eq!(nfs.fs_type, "nfs4");
        assert_eq!(nfs.source, OsStr::new("host:/e x"));
        assert!(nfs.is_read_only(), "by the mount's own option");
        let fuse = &mounts[3];
        assert_eq!(fuse.fs_type, "fuse.some fs");
        assert_eq!(fuse.source, OsStr::new(""));
        assert!(fuse.is_read_only(), "by the file system's option");
        assert!(!mounts[4].is_read_only());
    }

    #[test]
    fn without_mount_ids_device_and_longest_mount_point_decide() {
        for (device, path, expected) in [
            ((0, 41), "/mnt/f/x", Some(31)),
            ((0, 42), "/mnt/f/x", Some(32)),
            ((254, 0), "/mnt/f/x", Some(27)),
            ((254, 0), "/mnt/false", Some(27)),
            // The device is in no line: of those at the same place the last.
            ((9, 9), "/mnt/f", Some(32)),
            ((9, 9), "relative", None),
        ] {
            let found = by_path(mounts(), device, Path::new(path));
            assert_eq!(found.map(|mount| mount.id), expected, "{device:?} {path}");
        }
    }

    #[test]
    fn a_place_within_a_bound_file_system_is_told_from_its_root() {
        let fuse = &mounts()[3];
        let within = |path| path_in_file_system(fuse, Path::new(path));
        assert_eq!(within("/mnt/f"), Some("/sub".into()));
        assert_eq!(within("/mnt/f/a"), Some("/sub/a".into()));
        assert_eq!(within("/mnt/other"), None);
    }

    #[test]
    fn what_is_not_there_would_lie_where_its_ancestor_does() {
        let volume = |path: &str| volume_of(Path::new(path)).unwrap();
        assert_eq!(volume("/proc/self"), Some("/proc".into()));
        assert_eq!(volume("/proc/no/such/file"), Some("/proc".into()));
        assert_eq!(volume("relative"), None);
    }

    #[test]
    fn an_open_descriptor_has_a_mount() {
        let proc = std::fs::File::open("/proc/self/status").unwrap();
        let mount = of_descriptor(&proc).unwrap().unwrap();
        assert_eq!(
            (mount.fs_type.as_str(), mount.mount_point),
            ("proc", "/proc".into())
        );
    }
}
