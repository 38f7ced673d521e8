//! The source root, and by what every worker recognises that its own is the same.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use model::SourceIdentity;
use model::fs_type::FsType;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

use super::error::{RootsError, Side};
use super::target::look_at;

/// FUSE, of any subtype: FUSE_SUPER_MAGIC of linux/magic.h.
const FUSE: u64 = 0x6573_5546;

/// Opens the source for looking only; links in its path are followed.
pub(super) fn open(path: &Path) -> Result<OwnedFd, RootsError> {
    look_at(path).map_err(|errno| match errno {
        Errno::NOENT => RootsError::Missing {
            path: path.to_owned(),
        },
        Errno::NOTDIR => RootsError::NotDirectory {
            side: Side::Source,
            path: path.to_owned(),
        },
        _ => RootsError::io("open", path)(errno),
    })
}

pub(super) fn identify(fd: &OwnedFd, fs_type: &FsType) -> io::Result<SourceIdentity> {
    let mask = StatxFlags::INO | StatxFlags::BTIME;
    let stat = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, mask)?;
    let birth = stat.stx_btime;
    let has_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    Ok(SourceIdentity {
        inode: stat.stx_ino,
        // A birth outside the years 1677 to 2262 is none.
        birth_ns: has_birth
            .then(|| birth.tv_sec.checked_mul(1_000_000_000))
            .flatten()
            .and_then(|ns| ns.checked_add(i64::from(birth.tv_nsec))),
        fs_type: type_name(fs_type),
    })
}

/// The same name for all versions of one file system; of FUSE, though, the sub-type, which is all that tells
/// one from another.
fn type_name(fs_type: &FsType) -> String {
    match &fs_type.mount_type {
        Some(mount_type) if fs_type.magic == FUSE => mount_type.clone(),
        _ => fs_type.name(),
    }
}

/// A birth time that only one of the two kernels tells says nothing. On FUSE the inode numbers are often made up by
/// the daemon of each machine, so that only the type can be compared.
pub(super) fn is_same(found: &SourceIdentity, expected: &SourceIdentity, fs_type: &FsType) -> bool {
    let same_birth = match (found.birth_ns, expected.birth_ns) {
        (Some(here), Some(there)) => here == there,
        _ => true,
    };
    found.fs_type == expected.fs_type
        && (fs_type.magic == FUSE || (found.inode == expected.inode && same_birth))
}
