//! Reading a directory, one buffer at a time.
//!
//! The reading position is the descriptor's own, so a reader can stop after any chunk and go on
//! later with another buffer; nothing has to be held meanwhile.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::dir::Dir;
use super::error::{Action, Error};
use super::meta::Kind;

/// Bytes read at once: some 1,000 names.
const BUFFER_BYTES: usize = 32 * 1024;

/// A reusable buffer, one for each thread.
pub struct ListingBuffer {
    bytes: Vec<MaybeUninit<u8>>,
}

impl Default for ListingBuffer {
    fn default() -> Self {
        Self {
            bytes: vec![MaybeUninit::uninit(); BUFFER_BYTES],
        }
    }
}

/// How far a reader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// There may be more.
    Chunk,
    /// The directory has been read to its end.
    End,
}

impl Dir {
    /// Reads the next chunk of entries, `.` and `..` left out.
    pub fn list_chunk(
        &self,
        buffer: &mut ListingBuffer,
        mut each: impl FnMut(&CStr, Kind),
    ) -> Result<Listed, Error> {
        let mut entries = RawDir::new(&self.fd, &mut buffer.bytes);
        loop {
            match entries.next() {
                None => return Ok(Listed::End),
                Some(Err(Errno::INTR)) => continue,
                Some(Err(errno)) => return Err(Error::new(Action::List, errno)),
                Some(Ok(entry)) => {
                    let name = entry.file_name();
                    if name != c"." && name != c".." {
                        each(name, entry.file_type().into());
                    }
                }
            }
            if entries.is_buffer_empty() {
                return Ok(Listed::Chunk);
            }
        }
    }
}
