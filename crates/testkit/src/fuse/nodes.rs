//! The inodes that the kernel knows: each is held by an `O_PATH` descriptor, so that neither renames nor removals nor
//! long paths come between a request and its file, and no inode number is given to another file meanwhile.
//!
//! Nodes go by the inode numbers of the lower file system, which must therefore be one: what is mounted below the lower
//! directory is refused (EXDEV).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::INodeNo;
use rustix::fs::{Stat, fstat};
use rustix::io::Errno;

pub(super) struct Node {
    pub(super) descriptor: OwnedFd,
    /// As which it was last seen.
    name: Mutex<OsString>,
}

impl Node {
    pub(super) fn name(&self) -> MutexGuard<'_, OsString> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry that was looked at, of which the kernel has not heard yet.
pub(super) struct Found {
    pub(super) descriptor: OwnedFd,
    pub(super) stat: Stat,
}

struct Known {
    node: Arc<Node>,
    lookups: u64,
}

pub(super) struct Nodes {
    root: Arc<Node>,
    root_stat: Stat,
    known: Mutex<HashMap<u64, Known>>,
}

impl Nodes {
    pub(super) fn new(root: OwnedFd) -> Result<Self, Errno> {
        Ok(Self {
            root_stat: fstat(&root)?,
            root: Arc::new(Node {
                descriptor: root,
                name: Mutex::default(),
            }),
            known: Mutex::default(),
        })
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    pub(super) fn get(&self, number: INodeNo) -> Result<Arc<Node>, Errno> {
        if number == INodeNo::ROOT {
            return Ok(Arc::clone(&self.root));
        }
        match self.known().get(&number.0) {
            Some(known) => Ok(Arc::clone(&known.node)),
            None => Err(Errno::STALE),
        }
    }

    /// To be called once for each answer that tells the kernel of the entry.
    pub(super) fn tell(&self, found: Found, name: &OsStr) -> Result<(), Errno> {
        let is_foreign = found.stat.st_dev != self.root_stat.st_dev;
        if is_foreign || found.stat.st_ino == INodeNo::ROOT.0 {
            return Err(Errno::XDEV);
        }
        let mut known = self.known();
        let entry = known.entry(found.stat.st_ino).or_insert_with(|| Known {
            node: Arc::new(Node {
                descriptor: found.descriptor,
                name: Mutex::default(),
            }),
            lookups: 0,
        });
        entry.lookups += 1;
        name.clone_into(&mut entry.node.name());
        Ok(())
    }

    pub(super) fn forget(&self, number: INodeNo, lookups: u64) {
        let mut known = self.known();
        let Some(entry) = known.get_mut(&number.0) else {
            return;
        };
        entry.lookups = entry.lookups.saturating_sub(lookups);
        if entry.lookups == 0 {
            let forgotten = known.remove(&number.0);
            // To close what has no name left may take long.
            drop(known);
            drop(forgotten);
        }
    }

    /// What has this inode number goes by another name now.
    pub(super) fn rename(&self, number: u64, name: &OsStr) {
        if let Some(entry) = self.known().get(&number) {
            name.clone_into(&mut entry.node.name());
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
