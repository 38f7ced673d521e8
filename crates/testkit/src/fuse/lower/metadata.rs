//! Requests about an inode's attributes, extended ones among them.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};

use fuser::TimeOrNow;
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, StatVfs, Timestamps, Uid, XattrFlags, chmod, chownat, fstat,
    fstatvfs, ftruncate, getxattr, getxattr_query, listxattr, listxattr_query, readlinkat,
    removexattr, setxattr, utimensat,
};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::Lower;
use crate::fuse::Op;
use crate::fuse::attributes::time_to_set;
use crate::fuse::nodes::Node;

/// What one SETATTR sets.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    pub(crate) mode: Option<u32>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) accessed: Option<TimeOrNow>,
    pub(crate) modified: Option<TimeOrNow>,
}

impl Change {
    pub(crate) fn op(&self) -> Op {
        if self.size_bytes.is_some() {
            Op::Truncate
        } else if self.user.is_some() || self.group.is_some() {
            Op::Chown
        } else if self.mode.is_some() {
            Op::Chmod
        } else {
            Op::Utimens
        }
    }
}

/// How much of an attribute fits into the answer. Who does not know asks for the length first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Unknown,
    Bytes(usize),
}

pub(crate) enum Attribute {
    Length(usize),
    Value(Vec<u8>),
}

impl Lower {
    pub(crate) fn stat(&self, node: &Node) -> Result<Stat, Errno> {
        fstat(&node.descriptor)
    }

    /// An owner before the mode, of which it may clear bits; times last.
    pub(crate) fn change(
        &self,
        node: &Node,
        opened: Option<&OwnedFd>,
        change: &Change,
    ) -> Result<(), Errno> {
        if change.user.is_some() || change.group.is_some() {
            let (user, group) = (
                change.user.map(Uid::from_raw),
                change.group.map(Gid::from_raw),
            );
            chownat(&node.descriptor, "", user, group, AtFlags::EMPTY_PATH)?;
        }
        if let Some(mode) = change.mode {
            chmod(Self::path_of(node), Mode::from_raw_mode(mode & 0o7777))?;
        }
        if let Some(size_bytes) = change.size_bytes {
            match opened {
                Some(opened) => ftruncate(opened, size_bytes)?,
                None => ftruncate(
                    self.reopen(node.descriptor.as_fd(), OFlags::WRONLY)?,
                    size_bytes,
                )?,
            }
        }
        if change.accessed.is_some() || change.modified.is_some() {
            let times = Timestamps {
                last_access: time_to_set(change.accessed),
                last_modification: time_to_set(change.modified),
            };
            let name = DecInt::from_fd(&node.descriptor);
            utimensat(&self.descriptors, name, &times, AtFlags::empty())?;
        }
        Ok(())
    }

    pub(crate) fn read_link(&self, node: &Node) -> Result<Vec<u8>, Errno> {
        Ok(readlinkat(&node.descriptor, "", Vec::new())?.into_bytes())
    }

    pub(crate) fn file_system(&self) -> Result<StatVfs, Errno> {
        fstatvfs(&self.nodes.root().descriptor)
    }

    pub(crate) fn extended_attribute(
        &self,
        node: &Node,
        name: &OsStr,
        room: Room,
    ) -> Result<Attribute, Errno> {
        let path = Self::path_of(node);
        match room {
            Room::Unknown => getxattr_query(path, name).map(Attribute::Length),
            Room::Bytes(bytes) => {
                let mut value = vec![0; bytes];
                let length = getxattr(path, name, &mut value[..])?;
                value.truncate(length);
                Ok(Attribute::Value(value))
            }
        }
    }

    /// The names of all, each ended by a zero.
    pub(crate) fn extended_attributes(&self, node: &Node, room: Room) -> Result<Attribute, Errno> {
        let path = Self::path_of(node);
        match room {
            Room::Unknown => listxattr_query(path).map(Attribute::Length),
            Room::Bytes(bytes) => {
                let mut names = vec![0; bytes];
                let length = listxattr(path, &mut names[..])?;
                names.truncate(length);
                Ok(Attribute::Value(names))
            }
        }
    }

    pub(crate) fn set_extended_attribute(
        &self,
        node: &Node,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let flags = XattrFlags::from_bits_retain(flags as u32);
        setxattr(Self::path_of(node), name, value, flags)
    }

    pub(crate) fn remove_extended_attribute(&self, node: &Node, name: &OsStr) -> Result<(), Errno> {
        removexattr(Self::path_of(node), name)
    }
}
