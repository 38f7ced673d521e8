//! The bytes of one file: small ones by one read and one write, large ones by the kernel where it can, else in
//! large pieces; what is a hole stays one. What is to be read back is read in full and hashed on the way.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::options::Sparse;
use model::{Durability, FileIdentity};
use storage::posix::{Error, File, Meta};

use crate::engine::{Engine, Problem};
use crate::entry::Entry;
use crate::parts::{PartDone, Shared, Work};
use crate::threads::{BUFFER_BYTES, Scratch};
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
    /// Of the bytes that were read here, where it was asked for.
    pub(crate) hashed: Vec<Hashed>,
}

/// Some bytes of a file, and the hash of them.
#[derive(Clone)]
pub(crate) struct Hashed {
    pub(crate) bytes: Range<u64>,
    pub(crate) hash: blake3::Hash,
}

/// A file and its copy, both open.
pub(crate) struct Copying {
    pub(crate) source: Arc<File>,
    pub(crate) target: Arc<File>,
    pub(crate) keeps_holes: bool,
    pub(crate) by: By,
}

/// Who moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The kernel where it can.
    Kernel,
    /// This process: what it writes it has read before it looked at the fence.
    Reading,
}

impl By {
    /// Between two network file systems the kernel passes on pieces of 128 KiB at the most, and waits for each of them.
    /// Within one the server may have to move no bytes at all, and on this machine's own nobody waits.
    pub(crate) fn best(engine: &Engine, source: &Meta) -> Self {
        let is_within = engine
            .target_root
            .is_some_and(|(device, _)| device == source.dev);
        match is_within || engine.is_local {
            true => Self::Kernel,
            false => Self::Reading,
        }
    }
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
        self.engine.count_read(length as u64);
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
        let hashed = self.engine.reads_back().then(|| Hashed {
            bytes: 0..length as u64,
            hash: blake3::hash(content),
        });
        Ok(Some(Content {
            bytes: length as u64,
            hashed: hashed.into_iter().collect(),
        }))
    }

    /// Whether the source is still what it was. What waits for its batch is looked at again when that is published.
    fn is_unchanged(&self, source: &File, before: &Meta) -> Result<bool, Error> {
        let is_looked_at_later = self.is_walk() && self.engine.durability == Durability::Batch;
        Ok(is_looked_at_later || source.meta_again()?.is_same_content_as(before))
    }

    /// `None`: the source changed meanwhile. `temp`: the name that it is written under, if it is one of its own.
    pub(crate) fn copy_large(
        &mut self,
        copying: Copying,
        meta: &Meta,
        temp: Option<&str>,
    ) -> Result<Option<Content>, Broken> {
        let engine = self.engine;
        if meta.size >= LONG_BYTES {
            self.leave_rest();
            watch::at(Some(Arc::new(self.path())));
        }
        let shared = match temp {
            Some(temp) => self.shared(&copying, meta, temp)?,
            None => None,
        };
        if copying.keeps_holes || shared.is_some() {
            // Parts come in any order, and the last may be a hole.
            engine.check_fence()?;
            copying.target.set_size(meta.size).map_err(Broken::Target)?;
        }
        let source = Arc::clone(&copying.source);
        let target = Arc::clone(&copying.target);
        let path = Arc::new(self.path());
        let done = if let Some(shared) = shared {
            let temp_inode = shared.temp_inode;
            let work = Work::Copy(copying);
            let done = engine.do_in_ranges(path, meta.size, work, shared, self.scratch)?;
            let is_there = self.is_still(temp, temp_inode, &target, meta.size)?;
            done.filter(|_| is_there)
        } else if engine.does_in_parts(meta.size) {
            engine.do_in_parts(path, meta.size, Work::Copy(copying), self.scratch)?
        } else {
            let whole = copying.part(engine, 0, meta.size, self.scratch)?;
            let bytes = 0..meta.size;
            let hashed = whole.hash.map(|hash| Hashed { bytes, hash });
            whole.is_right.then(|| hashed.into_iter().collect())
        };
        let Some(hashed) = done else {
            return Ok(None);
        };
        drop(target);
        let is_whole = self.is_unchanged(&source, meta).map_err(Broken::Source)?;
        Ok(is_whole.then_some(Content {
            bytes: meta.size,
            hashed,
        }))
    }

    /// What others need to copy ranges of it; `None`: it is not for others.
    fn shared(&self, copying: &Copying, meta: &Meta, temp: &str) -> Result<Option<Shared>, Broken> {
        let Some(sizes) = self.engine.range_sizes(meta.size) else {
            return Ok(None);
        };
        let made = copying.target.meta().map_err(Broken::Target)?;
        Ok(Some(Shared {
            file: self.path(),
            identity: identity_of(meta),
            temp: temp.to_owned(),
            temp_inode: made.ino,
            sizes,
        }))
    }

    /// Whether what others wrote into is what will be published, and all there.
    fn is_still(
        &self,
        temp: Option<&str>,
        inode: u64,
        target: &File,
        size: u64,
    ) -> Result<bool, Broken> {
        let (Some(name), Some(dir)) = (temp, self.target) else {
            return Ok(false);
        };
        let written = target.meta_again().map_err(Broken::Target)?;
        match dir.stat_again(name) {
            Ok(named) => Ok(named.ino == inode && written.ino == inode && written.size == size),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(Broken::Target(error)),
        }
    }
}

/// As every machine that has the file system sees it.
pub(crate) fn identity_of(meta: &Meta) -> FileIdentity {
    FileIdentity {
        inode: meta.ino,
        size: meta.size,
        modified_ns: meta.modified.as_nanos(),
        changed_ns: meta.changed.as_nanos(),
    }
}

impl Engine {
    pub(crate) fn count_read(&self, bytes: u64) {
        let progress = &self.attempt.progress;
        progress.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Copying {
    /// Copies from `begin` to `end`. It is not right when the source ends before.
    pub(crate) fn part(
        &self,
        engine: &Engine,
        begin: u64,
        end: u64,
        scratch: &mut Scratch,
    ) -> Result<PartDone, Broken> {
        let buffer = &mut scratch.buffer[..BUFFER_BYTES];
        let (mut hash, mut next_data) = (None, 0);
        let is_right = if engine.reads_back() {
            let (reached, content) = self.copy_hashed(engine, begin, end, buffer)?;
            hash = Some(content);
            reached == end
        } else if self.keeps_holes {
            let (is_right, next) = self.copy_sparse(engine, begin, end, buffer)?;
            next_data = next;
            is_right
        } else {
            self.copy_range(engine, begin, end, buffer)? == end
        };
        Ok(PartDone {
            is_right,
            hash,
            next_data,
        })
    }

    /// Reads everything, whatever the source says of holes; how far it came, and the hash of it.
    fn copy_hashed(
        &self,
        engine: &Engine,
        mut offset: u64,
        end: u64,
        buffer: &mut [u8],
    ) -> Result<(u64, blake3::Hash), Broken> {
        let mut hasher = blake3::Hasher::new();
        while offset < end {
            engine.check_on()?;
            let length = (end - offset).min(BUFFER_BYTES as u64) as usize;
            let read = self.source.read_at(&mut buffer[..length], offset);
            let read = read.map_err(Broken::Source)?;
            if read == 0 {
                break;
            }
            engine.check_fence()?;
            let data = &buffer[..read];
            hasher.update(data);
            for piece in data.chunks(HOLE_BYTES) {
                let is_hole = self.keeps_holes && piece.iter().all(|&byte| byte == 0);
                if !is_hole {
                    let written = self.target.write_all_at(piece, offset);
                    written.map_err(Broken::Target)?;
                }
                offset += piece.len() as u64;
            }
            engine.count_read(read as u64);
        }
        Ok((offset, hasher.finalize()))
    }

    /// Copies only what isn't a hole. Where holes can't be told, all of it. Whether that was all, and where data begins after
    /// it.
    fn copy_sparse(
        &self,
        engine: &Engine,
        mut offset: u64,
        end: u64,
        buffer: &mut [u8],
    ) -> Result<(bool, u64), Broken> {
        while offset < end {
            engine.check_on()?;
            let data = match self.source.next_data(offset) {
                Ok(Some(data)) => data,
                Ok(None) => u64::MAX,
                Err(_) => offset,
            };
            if data >= end {
                return Ok((true, data));
            }
            let end_of_data = match self.source.next_hole(data) {
                Ok(hole) if hole > data => hole.min(end),
                _ => end,
            };
            offset = self.copy_range(engine, data, end_of_data, buffer)?;
            if offset < end_of_data {
                return Ok((false, 0));
            }
        }
        Ok((true, end))
    }

    /// Copies from `offset` to `end`; returns how far it came before the file's end.
    fn copy_range(
        &self,
        engine: &Engine,
        mut offset: u64,
        end: u64,
        buffer: &mut [u8],
    ) -> Result<u64, Broken> {
        // A copy that shares the source's storage would share its holes too.
        let mut by_kernel = engine.options.sparse == Sparse::Auto && self.by == By::Kernel;
        while offset < end {
            engine.check_on()?;
            engine.check_fence()?;
            let left = end - offset;
            let mut copied = 0;
            if by_kernel {
                let length = left.min(CHUNK_BYTES) as usize;
                match watch::asking_for_much(|| {
                    self.source.copy_range_to(&self.target, offset, length)
                }) {
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
                let read = self.source.read_at(&mut buffer[..length], offset);
                let read = read.map_err(Broken::Source)?;
                if read == 0 {
                    return Ok(offset);
                }
                engine.check_fence()?;
                let written = self.target.write_all_at(&buffer[..read], offset);
                written.map_err(Broken::Target)?;
                copied = read as u64;
            }
            offset += copied;
            engine.count_read(copied);
        }
        Ok(offset)
    }
}
