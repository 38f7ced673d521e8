//! Whether one directory is another, or lies below it. A tree that is copied into itself never ends,
//! and a copy onto itself may destroy what it reads.
//!
//! Two ways, since neither sees everything: going up by `..` from descriptor to descriptor sees through links and
//! through mounts on mounts; comparing the places within the file system sees through bind mounts of a
//! part of it. Two mounts that the kernel takes for two file systems (an export mounted twice with
//! `nosharecache`, one Lustre mounted twice) are not recognised.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use crate::mounts;

/// A path has at most 4096 bytes, but a tree may be deeper; a loop of bind mounts has no end.
const MAX_DEPTH: usize = 100_000;

/// By what a directory is known while it is held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

pub(super) fn identity(fd: impl AsFd) -> io::Result<Identity> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    })
}

/// Whether `inner` is `outer` or lies below it.
pub(super) fn is_within(inner: impl AsFd, outer: impl AsFd) -> io::Result<bool> {
    Ok(is_above(&outer, &inner)? || is_place_within(&inner, &outer)?)
}

/// Goes up from `start`, itself included, until `wanted` or the top is found.
fn is_above(wanted: impl AsFd, start: impl AsFd) -> io::Result<bool> {
    let wanted = identity(wanted)?;
    let mut directory = start.as_fd().try_clone_to_owned()?;
    let mut here = (identity(&directory)?, mount_id(&directory)?);
    for _ in 0..MAX_DEPTH {
        if here.0 == wanted {
            return Ok(true);
        }
        let parent = parent(&directory)?;
        let above = (identity(&parent)?, mount_id(&parent)?);
        // Only at the top is `..` the directory itself. The mount counts too: below a directory that is
        // bound into itself, parent and child have the same inode.
        if above == here {
            return Ok(false);
        }
        (directory, here) = (parent, above);
    }
    Err(io::Error::other("too many directories above it"))
}

fn parent(directory: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, c"..", flags, Mode::empty())?)
}

/// `None` before Linux 5.8.
fn mount_id(fd: &OwnedFd) -> io::Result<Option<u64>> {
    match rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(stat) => Ok((stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)),
        Err(rustix::io::Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn is_place_within(inner: impl AsFd, outer: impl AsFd) -> io::Result<bool> {
    Ok(match (place(inner)?, place(outer)?) {
        (Some((inner_device, inner)), Some((outer_device, outer))) => {
            inner_device == outer_device && inner.starts_with(outer)
        }
        _ => false,
    })
}

/// The file system, and where in it the directory is. The device is the mount table's, which is one
/// for all subvolumes of a btrfs.
fn place(fd: impl AsFd) -> io::Result<Option<((u32, u32), PathBuf)>> {
    let Some(mount) = mounts::of_descriptor(&fd)? else {
        return Ok(None);
    };
    let path = mounts::path_of_descriptor(&fd)?;
    let within = mounts::path_in_file_system(&mount, &path);
    Ok(within.map(|within| (mount.device, within)))
}
