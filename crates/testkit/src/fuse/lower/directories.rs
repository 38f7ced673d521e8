//! Requests that list directories.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, OFlags, RawDir, SeekFrom, seek, statat};
use rustix::io::Errno;

use super::Lower;
use crate::fuse::nodes::Node;

/// As much as an answer has room for: a page, mostly.
const BUFFER_BYTES: usize = 8 << 10;

/// One name of a listing.
pub(crate) struct Listed<'a> {
    pub(crate) number: u64,
    /// Where the listing goes on after it.
    pub(crate) next_offset: u64,
    pub(crate) kind: FileType,
    pub(crate) name: &'a OsStr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Left,
    Full,
}

impl Lower {
    pub(crate) fn open_directory(&self, node: &Node) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.reopen(node.descriptor.as_fd(), flags)
    }

    /// Gives names from `offset` on until there is no more room or no more of them.
    pub(crate) fn list(
        &self,
        directory: &OwnedFd,
        offset: u64,
        mut give: impl FnMut(Listed<'_>) -> Page,
    ) -> Result<(), Errno> {
        seek(directory, SeekFrom::Start(offset))?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    FileType::from_raw_mode(statat(directory, entry.file_name(), flags)?.st_mode)
                }
                kind => kind,
            };
            let page = give(Listed {
                number: entry.ino(),
                next_offset: entry.next_entry_cookie(),
                kind,
                name: OsStr::from_bytes(entry.file_name().to_bytes()),
            });
            if page == Page::Full {
                break;
            }
        }
        Ok(())
    }
}
