//! An open regular file. Positions are always given, so that threads can share it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::SeekFrom;
use rustix::io::{Errno, retry_on_intr};

use super::dir;
use super::error::{Action, Attempted, Error};
use super::meta::{Freshness, Meta, Owner, Times, stat};

/// An open file.
#[derive(Debug)]
pub struct File {
    fd: OwnedFd,
}

impl File {
    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub fn meta(&self) -> Result<Meta, Error> {
        stat(&self.fd, c"", Freshness::Cached).attempted(Action::Stat)
    }

    /// Stats the file once more, past any cache of a network file system.
    pub fn meta_again(&self) -> Result<Meta, Error> {
        stat(&self.fd, c"", Freshness::Synced).attempted(Action::Stat)
    }

    /// Reads at most `buffer.len()` bytes from `offset`; 0 is the end of the file.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buffer, offset)).attempted(Action::Read)
    }

    /// Writes all of `data` at `offset`.
    pub fn write_all_at(&self, mut data: &[u8], mut offset: u64) -> Result<(), Error> {
        while !data.is_empty() {
            let written = retry_on_intr(|| rustix::io::pwrite(&self.fd, data, offset))
                .and_then(|n| if n == 0 { Err(Errno::IO) } else { Ok(n) })
                .attempted(Action::Write)?;
            data = &data[written..];
            offset += written as u64;
        }
        Ok(())
    }

    /// Has the kernel copy up to `length` bytes to the same offset of `target`. 0 or an error
    /// may come in the middle of a file: the caller reads on by itself then.
    pub fn copy_range_to(&self, target: &File, offset: u64, length: usize) -> Result<usize, Error> {
        let (mut from, mut to) = (offset, offset);
        retry_on_intr(|| {
            rustix::fs::copy_file_range(
                &self.fd,
                Some(&mut from),
                &target.fd,
                Some(&mut to),
                length,
            )
        })
        .attempted(Action::Write)
    }

    /// Where data begins at or after `offset`; `None` when there is only a hole up to the end.
    pub fn next_data(&self, offset: u64) -> Result<Option<u64>, Error> {
        match retry_on_intr(|| rustix::fs::seek(&self.fd, SeekFrom::Data(offset))) {
            Err(Errno::NXIO) => Ok(None),
            result => result.map(Some).attempted(Action::Read),
        }
    }

    /// Where the data at `offset` ends.
    pub fn next_hole(&self, offset: u64) -> Result<u64, Error> {
        retry_on_intr(|| rustix::fs::seek(&self.fd, SeekFrom::Hole(offset))).attempted(Action::Read)
    }

    pub fn set_size(&self, size: u64) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::ftruncate(&self.fd, size)).attempted(Action::Write)
    }

    pub fn set_owner(&self, owner: Owner) -> Result<(), Error> {
        dir::set_owner(&self.fd, owner)
    }

    pub fn set_mode(&self, mode: u32) -> Result<(), Error> {
        dir::set_mode(&self.fd, mode)
    }

    pub fn set_times(&self, times: &Times) -> Result<(), Error> {
        dir::set_times(&self.fd, times)
    }

    /// Drops what the system has cached of its content, as far as that is on the storage. A hint: errors say nothing.
    pub fn drop_cache(&self) {
        let _ = rustix::fs::fadvise(&self.fd, 0, None, rustix::fs::Advice::DontNeed);
    }

    pub fn sync(&self) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::fsync(&self.fd)).attempted(Action::Sync)
    }

    /// Closes it, and tells what a drop keeps to itself: some file systems (FUSE, NFS, SMB) store what was written, or find
    /// no room for it, only now. It is closed in any case.
    pub fn close(self) -> Result<(), Error> {
        nix::unistd::close(self.fd)
            .map_err(|errno| Errno::from_raw_os_error(errno as i32))
            .attempted(Action::Close)
    }
}
