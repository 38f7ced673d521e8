//! The directory below: what each request means in system calls. Everything goes by the descriptors of known inodes;
//! nothing here counts, delays or lies.

mod content;
mod directories;
mod metadata;
mod names;

use std::collections::HashMap;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fuser::{FileHandle, INodeNo};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::nodes::{Node, Nodes};

pub(super) use content::{Sync, Whence};
pub(super) use directories::{Listed, Page};
pub(super) use metadata::{Attribute, Change, Room};
pub(super) use names::Maker;

pub(super) struct Lower {
    pub(super) nodes: Nodes,
    folds_case: bool,
    /// `/proc/self/fd`, by which an inode that is held by `O_PATH` is opened for more.
    descriptors: OwnedFd,
    open: Mutex<HashMap<u64, Arc<OwnedFd>>>,
    opened: AtomicU64,
}

impl Lower {
    pub(super) fn new(directory: &Path, folds_case: bool) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            folds_case,
            nodes: Nodes::new(openat(CWD, directory, flags, Mode::empty())?)?,
            descriptors: openat(CWD, "/proc/self/fd", flags, Mode::empty())?,
            open: Mutex::default(),
            opened: AtomicU64::new(0),
        })
    }

    pub(super) fn node(&self, number: INodeNo) -> Result<Arc<Node>, Errno> {
        self.nodes.get(number)
    }

    /// What was opened under this handle.
    pub(super) fn handle(&self, handle: FileHandle) -> Result<Arc<OwnedFd>, Errno> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&handle.0).cloned().ok_or(Errno::BADF)
    }

    pub(super) fn keep_open(&self, descriptor: OwnedFd) -> FileHandle {
        let handle = self.opened.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(handle, Arc::new(descriptor));
        FileHandle(handle)
    }

    pub(super) fn close(&self, handle: FileHandle) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = open.remove(&handle.0);
        // Nobody waits for the lock while it is closed.
        drop(open);
        drop(closed);
    }

    fn reopen(&self, descriptor: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
        openat(
            &self.descriptors,
            DecInt::from_fd(descriptor),
            flags | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    /// A name for calls that take no descriptor, or none by `O_PATH`.
    fn path_of(node: &Node) -> String {
        path_of(&node.descriptor)
    }
}

fn path_of(descriptor: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}
