//! Damages that leave an entry in its place: its content, or only what is said about it.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Timespec, Timestamps, XattrFlags, llistxattr, lremovexattr, lsetxattr, utimensat,
};
use rustix::io::Errno;

use crate::posix_acl::{self, PosixAcl, Subject};

/// Later than any ordinary time of a tree that was made here.
const OTHER_SECONDS: i64 = 1_800_000_000;
const OTHER_OWNER: u32 = 4_321;

pub(super) fn change_content(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut first = [0];
    file.read_exact_at(&mut first, 0)?;
    file.write_all_at(&[!first[0]], 0)?;
    set_time(path)
}

pub(super) fn lengthen(path: &Path, metadata: &Metadata) -> io::Result<()> {
    File::options()
        .write(true)
        .open(path)?
        .set_len(metadata.len() + 1)?;
    let time = Timespec {
        tv_sec: metadata.mtime(),
        tv_nsec: metadata.mtime_nsec() as _,
    };
    set_time_to(path, time)
}

pub(super) fn change_mode(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let mode = metadata.mode() & 0o7777 ^ 0o027;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

pub(super) fn change_owner(path: &Path) -> io::Result<()> {
    lchown(path, Some(OTHER_OWNER), Some(OTHER_OWNER))
}

pub(super) fn set_time(path: &Path) -> io::Result<()> {
    let time = Timespec {
        tv_sec: OTHER_SECONDS,
        tv_nsec: 0,
    };
    set_time_to(path, time)
}

fn set_time_to(path: &Path, time: Timespec) -> io::Result<()> {
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(super) fn change_attributes(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let mut names = vec![0; 64 << 10];
    let length = llistxattr(path, &mut names)?;
    for name in names[..length].split(|byte| *byte == 0) {
        if !name.is_empty() && !name.starts_with(b"system.") {
            lremovexattr(path, name)?;
        }
    }
    let unwanted = match metadata.is_file() || metadata.is_dir() {
        true => "user.unwanted",
        false => "trusted.unwanted",
    };
    Ok(lsetxattr(path, unwanted, b"value", XattrFlags::empty())?)
}

pub(super) fn set_access_acl(path: &Path) -> io::Result<()> {
    set_acl(path, posix_acl::ACCESS)
}

pub(super) fn set_default_acl(path: &Path) -> io::Result<()> {
    set_acl(path, posix_acl::DEFAULT)
}

/// A user that no tree names may do everything.
fn set_acl(path: &Path, name: &str) -> io::Result<()> {
    let acl = PosixAcl::new([
        (Subject::Owner, 7),
        (Subject::User(OTHER_OWNER), 7),
        (Subject::OwningGroup, 5),
        (Subject::Mask, 7),
        (Subject::Others, 0),
    ]);
    match lsetxattr(path, name, &acl.to_value(), XattrFlags::empty()) {
        // The file system has none.
        Err(Errno::NOTSUP) => Ok(()),
        done => Ok(done?),
    }
}
