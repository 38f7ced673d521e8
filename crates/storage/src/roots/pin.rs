//! A root as it was opened, and whether its path still leads to it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use model::fs_type::FsType;
use rustix::io::Errno;

use super::error::{RootsError, Side};
use super::marker::Marker;
use super::nesting::{self, Identity};
use super::target::look_at;
use crate::fs_type::magic;
use crate::posix::Dir;

/// While the descriptor is held, neither the inode number nor the device number
/// is given to anything else, also after an unmount; so comparing them later is safe.
#[derive(Debug)]
pub(super) struct Pin {
    side: Side,
    pub(super) path: PathBuf,
    /// The same from the file system's root: whoever checks may have another working directory.
    absolute: PathBuf,
    pub(super) fd: OwnedFd,
    identity: Identity,
    magic: u64,
}

impl Pin {
    /// `fs_type`: that of the descriptor.
    pub(super) fn new(
        side: Side,
        path: &Path,
        fd: OwnedFd,
        fs_type: &FsType,
    ) -> Result<Self, RootsError> {
        Ok(Self {
            side,
            path: path.to_owned(),
            absolute: std::path::absolute(path)
                .map_err(|error| RootsError::io("find", path)(error))?,
            identity: nesting::identity(&fd).map_err(RootsError::io("stat", path))?,
            magic: fs_type.magic,
            fd,
        })
    }

    /// The same directory, opened to be read. By way of its descriptor, so it can't be another.
    pub(super) fn readable(&self) -> Result<Dir, RootsError> {
        let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()));
        Dir::open_root(&by_descriptor)
            .map_err(|error| RootsError::io("open", &self.path)(error.source))
    }

    /// Device and inode are the same only on the same file system, whose type does not change; its magic is
    /// compared for file systems that hand out one device number twice.
    pub(super) fn check(&self) -> Result<(), RootsError> {
        let fd = match look_at(&self.absolute) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(self.replaced()),
            Err(errno) => return Err(RootsError::io("open", &self.path)(errno)),
        };
        let identity = nesting::identity(&fd).map_err(RootsError::io("stat", &self.path))?;
        let magic = magic(&fd).map_err(RootsError::io("stat", &self.path))?;
        if (identity, magic) == (self.identity, self.magic) {
            Ok(())
        } else {
            Err(self.replaced())
        }
    }

    /// Of a target: also whether the marker that was taken is still there.
    pub(super) fn check_with(&self, marker: Option<&Marker>) -> Result<(), RootsError> {
        self.check()?;
        match marker {
            Some(marker) if !marker.is_at(&self.fd, &self.path)? => Err(RootsError::MarkerGone {
                marker: marker.name().to_owned(),
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn replaced(&self) -> RootsError {
        RootsError::Replaced {
            side: self.side,
            path: self.path.clone(),
        }
    }
}
