//! The bytes of one file: small ones by one read and one write, large ones by the kernel where it can, else in
//! large pieces; what is a hole stays one. What is to be read back is read in full and hashed on the way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::Durability;
use model::options::Sparse;
use storage::posix::{Error, File, Meta};

use crate::engine::Problem;
use crate::entry::Entry;
use crate::threads::BUFFER_BYTES;
use crate::watch;

/// Most bytes of one kernel-side copy; between two the fence is asked.
const CHUNK_BYTES: u64 = 64 << 20;

/// Files from this size on are shown by name, and hold up no others.
const LONG_BYTES: u64 = 16 << 20;

/// Zeros of which this many come together are left a hole, where the source has holes.
const HOLE_BYTES: usize = 64 << 10;

/// What was written.
pub(crate) struct Content {
    pub(crate) bytes: u64,
    /// Of all bytes that were read, where it was asked for.
    pub(crate) hash: Option<blake3::Hash>,
}

/// Which side broke a copy.
pub(crate) enum Broken {
    Source(Error),
    Target(Error),
    Problem(Problem),
}

impl From<Problem> for Broken {
    fn from(problem: Problem) -> Self {
        Broken::Problem(problem)
    }
}

impl Entry<'_> {
    /// Reads all of a small file into the buffer; `None` when it changed meanwhile.
    pub(crate) fn read_small(
        &mut self,
        source: &File,
        meta: &Meta,
    ) -> Result<Option<usize>, Error> {
        let size = meta.size as usize;
        let mut length = 0;
        // Files that claim to be empty may not be (procfs): one read shows it.
        let wanted = if size == 0 { BUFFER_BYTES } else { size };
        while length < wanted {
            let read = source.read_at(&mut self.scratch.buffer[length..wanted], length as u64)?;
            if read == 0 {
                break;
            }
            length += read;
        }
        self.count_read(length as u64);
        // One that fills the buffer has more, and no size to tell how much.
        let is_unsized = size == 0 && length < BUFFER_BYTES;
        let is_whole = length == size || is_unsized;
        Ok((is_whole && self.is_unchanged(source, meta)?).then_some(length))
    }

    pub(crate) fn write_small(
        &mut self,
        target: &File,
        length: usize,
    ) -> Result<Option<Content>, Broken> {
        let content = &self.scratch.buffer[..length];
        target.write_all_at(content, 0).map_err(Broken::Target)?;
        let hash = self.engine.reads_back().then(|| blake3::hash(content));
        Ok(Some(Content {
            bytes: length as u64,
            hash,
        }))
    }

    /// Whether the source is still what it was. What waits for its batch is looked at again when that is published.
    fn is_unchanged(&self, source: &File, before: &Meta) -> Result<bool, Error> {
        let is_looked_at_later = self.is_walk() && self.engine.durability == Durability::Batch;
        Ok(is_looked_at_later || source.meta_again()?.is_same_content_as(before))
    }

    fn count_read(&self, bytes: u64) {
        let progress = &self.engine.attempt.progress;
        progress.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `None`: the source changed meanwhile.
    pub(crate) fn copy_large(
        &mut self,
        source: &File,
        target: &File,
        meta: &Meta,
        keeps_holes: bool,
    ) -> Result<Option<Content>, Broken> {
        if meta.size >= LONG_BYTES {
            self.leave_rest();
            watch::at(Some(Arc::new(self.path())));
        }
        let mut hash = None;
        let end = if self.engine.reads_back() {
            let (end, content) = self.copy_hashed(source, target, meta, keeps_holes)?;
            hash = Some(content);
            end
        } else if keeps_holes {
            self.copy_sparse(source, target, meta)?
        } else {
            self.copy_range(source, target, 0, meta.size)?
        };
        let is_whole = end == meta.size;
        let is_whole = is_whole && self.is_unchanged(source, meta).map_err(Broken::Source)?;
        Ok(is_whole.then_some(Content {
            bytes: meta.size,
            hash,
        }))
    }

    /// Reads everything, whatever the source says of holes; how far it came, and the hash of it.
    fn copy_hashed(
        &mut self,
        source: &File,
        target: &File,
        meta: &Meta,
        keeps_holes: bool,
    ) -> Result<(u64, blake3::Hash), Broken> {
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        while offset < meta.size {
            self.engine.check_on()?;
            self.engine.check_fence()?;
            let length = (meta.size - offset).min(BUFFER_BYTES as u64) as usize;
            let read = source
                .read_at(&mut self.scratch.buffer[..length], offset)
                .map_err(Broken::Source)?;
            if read == 0 {
                break;
            }
            let data = &self.scratch.buffer[..read];
            hasher.update(data);
            for piece in data.chunks(HOLE_BYTES) {
                let is_hole = keeps_holes && piece.iter().all(|&byte| byte == 0);
                if !is_hole {
                    target.write_all_at(piece, offset).map_err(Broken::Target)?;
                }
                offset += piece.len() as u64;
            }
            self.count_read(read as u64);
        }
        if keeps_holes && offset == meta.size {
            target.set_size(meta.size).map_err(Broken::Target)?;
        }
        Ok((offset, hasher.finalize()))
    }

    /// Copies only what isn't a hole. Where holes can't be told, all of it.
    fn copy_sparse(&mut self, source: &File, target: &File, meta: &Meta) -> Result<u64, Broken> {
        let mut offset = 0;
        while offset < meta.size {
            let data = match source.next_data(offset) {
                Ok(Some(data)) => data.min(meta.size),
                Ok(None) => break,
                Err(_) => offset,
            };
            if data >= meta.size {
                break;
            }
            let end = match source.next_hole(data) {
                Ok(hole) if hole > data => hole.min(meta.size),
                _ => meta.size,
            };
            offset = self.copy_range(source, target, data, end)?;
            if offset < end {
                return Ok(offset);
            }
        }
        target.set_size(meta.size).map_err(Broken::Target)?;
        Ok(meta.size)
    }

    /// Copies from `offset` to `end`; returns how far it came before the file's end.
    fn copy_range(
        &mut self,
        source: &File,
        target: &File,
        mut offset: u64,
        end: u64,
    ) -> Result<u64, Broken> {
        // A copy that shares the source's storage would share its holes too.
        let mut by_kernel = self.engine.options.sparse == Sparse::Auto;
        while offset < end {
            self.engine.check_on()?;
            self.engine.check_fence()?;
            let left = end - offset;
            let mut copied = 0;
            if by_kernel {
                let length = left.min(CHUNK_BYTES) as usize;
                match watch::asking_for_much(|| source.copy_range_to(target, offset, length)) {
                    Ok(n) if n > 0 => copied = n as u64,
                    Err(error) if error.no_room().is_some() => {
                        return Err(Broken::Target(error));
                    }
                    // 0 may come in the middle of a file: only a read knows its end.
                    _ => by_kernel = false,
                }
            }
            if !by_kernel {
                let length = left.min(BUFFER_BYTES as u64) as usize;
                let buffer = &mut self.scratch.buffer[..length];
                let read = source.read_at(buffer, offset).map_err(Broken::Source)?;
                if read == 0 {
                    return Ok(offset);
                }
                let data = &self.scratch.buffer[..read];
                target.write_all_at(data, offset).map_err(Broken::Target)?;
                copied = read as u64;
            }
            offset += copied;
            self.count_read(copied);
        }
        Ok(offset)
    }
}
