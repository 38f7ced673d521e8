//! Requests about what is in files. All of them name their offset; a handle's own position means nothing.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{
    FallocateFlags, OFlags, SeekFrom, copy_file_range, fallocate, fdatasync, fsync, seek,
};
use rustix::io::{Errno, pread, pwrite};

use super::Lower;
use crate::fuse::nodes::Node;

/// The two that the kernel asks of a file system, as in lseek(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whence {
    Data,
    Hole,
}

impl Whence {
    pub(crate) fn from_raw(whence: i32) -> Result<Self, Errno> {
        match whence {
            3 => Ok(Self::Data),
            4 => Ok(Self::Hole),
            _ => Err(Errno::INVAL),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    DataOnly,
    All,
}

impl Lower {
    /// Appending and O_DIRECT are the kernel's affair: it sends offsets, and passes its cache by.
    pub(super) fn flags_below(flags: OFlags) -> OFlags {
        flags - OFlags::APPEND - OFlags::DIRECT
    }

    pub(crate) fn open(&self, node: &Node, flags: OFlags) -> Result<OwnedFd, Errno> {
        let not_to_pass = OFlags::NOFOLLOW | OFlags::CREATE | OFlags::EXCL;
        let flags = Self::flags_below(flags) - not_to_pass;
        self.reopen(node.descriptor.as_fd(), flags)
    }

    /// Fewer bytes only at the end of the file.
    pub(crate) fn read(
        &self,
        file: &OwnedFd,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, Errno> {
        let mut data = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match pread(file, &mut data[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        data.truncate(filled);
        Ok(data)
    }

    pub(crate) fn write(&self, file: &OwnedFd, data: &[u8], offset: u64) -> Result<usize, Errno> {
        pwrite(file, data, offset)
    }

    pub(crate) fn sync(&self, file: &OwnedFd, what: Sync) -> Result<(), Errno> {
        match what {
            Sync::DataOnly => fdatasync(file),
            Sync::All => fsync(file),
        }
    }

    pub(crate) fn seek(&self, file: &OwnedFd, whence: Whence, offset: u64) -> Result<u64, Errno> {
        match whence {
            Whence::Data => seek(file, SeekFrom::Data(offset)),
            Whence::Hole => seek(file, SeekFrom::Hole(offset)),
        }
    }

    pub(crate) fn allocate(
        &self,
        file: &OwnedFd,
        mode: i32,
        offset: u64,
        length: u64,
    ) -> Result<(), Errno> {
        fallocate(
            file,
            FallocateFlags::from_bits_retain(mode as u32),
            offset,
            length,
        )
    }

    pub(crate) fn copy_range(
        &self,
        (from, mut read_at): (&OwnedFd, u64),
        (to, mut write_at): (&OwnedFd, u64),
        length: usize,
    ) -> Result<usize, Errno> {
        copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), length)
    }
}
