//! The bytes of one regular file, from the source to a name that nobody takes for finished:
//! a temp name, or the final name in a directory that is staged.
//!
//! The source is stat before and after; a copy of something that changed is thrown away and made
//! again, a few times.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use storage::posix::{Error, File, Kind, Meta, Side};

use crate::attributes::{creation_mode, set_on_new_file};
use crate::engine::Problem;
use crate::entry::{Entry, changed};
use crate::threads::BUFFER_BYTES;

/// Copies made of a file that changes before it is given up.
const TRIES: u32 = 3;

/// Most bytes of one kernel-side copy; between two the fence is asked.
const CHUNK_BYTES: u64 = 64 << 20;

/// Files from this size on are shown by name.
const SHOWN_BYTES: u64 = 16 << 20;

/// Files below are copied with their holes filled: one read and one write is cheaper.
const MIN_SPARSE_BYTES: u64 = 64 << 10;

/// A complete copy that has no final name yet, or has it in a staged directory.
pub(crate) struct Written {
    pub(crate) temp: Option<(u64, String)>,
    /// The source as it was copied.
    pub(crate) source: Meta,
    pub(crate) bytes: u64,
}

/// Which side broke a copy.
enum Broken {
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
    /// Writes a complete copy with its attributes, synced if asked.
    pub(crate) fn write_copy(&mut self, sync: bool) -> Result<Written, Problem> {
        for _ in 0..TRIES {
            if let Some(written) = self.try_write(sync)? {
                return Ok(written);
            }
        }
        Err(changed("each time it was read"))
    }

    /// `None`: the source changed meanwhile, and the copy is gone again.
    fn try_write(&mut self, sync: bool) -> Result<Option<Written>, Problem> {
        let engine = self.engine;
        let source_problem = |error| engine.source_problem(&error);
        let opened = engine.opening(|| self.source.open_file(self.name));
        let source = opened.map_err(|error| {
            if error.is_other_kind() {
                return changed("it became another kind of entry");
            }
            source_problem(error)
        })?;
        let meta = source.meta().map_err(source_problem)?;
        if meta.kind != Kind::File {
            return Err(changed("it became another kind of entry"));
        }
        // Small files are read before anything is made: a broken one leaves nothing.
        let keeps_holes = meta.is_sparse() && meta.size >= MIN_SPARSE_BYTES;
        let is_small = meta.size < BUFFER_BYTES as u64 && !keeps_holes;
        let small = if is_small {
            match self.read_small(&source, &meta).map_err(source_problem)? {
                Some(length) => Some(length),
                None => return Ok(None),
            }
        } else {
            None
        };
        let Some(target_dir) = &self.node.target else {
            return Err(engine.stop_with(crate::Stopped::Again("internal: no target".into())));
        };
        engine.check_fence()?;
        let mode = creation_mode(self.node, &meta, self.scratch.creation_mask);
        let temp = (!self.node.is_staged).then(|| engine.new_temp(target_dir));
        let name = temp
            .as_ref()
            .map_or(self.name.to_bytes(), |(_, name)| name.as_bytes());
        let created = self.node.create(engine, || {
            engine.opening(|| target_dir.create_file(name, mode.mode))
        });
        let target = created.map_err(|error| {
            if let Some((seq, _)) = &temp {
                engine.forget_temp(*seq);
            }
            if error.is_existing() {
                return crate::target::conflict("the target has an entry of that name");
            }
            engine.target_problem(&error)
        })?;
        let written = match small {
            Some(length) => target
                .write_all_at(&self.scratch.buffer[..length], 0)
                .map(|()| Some(length as u64))
                .map_err(Broken::Target),
            None => self.copy_large(&source, &target, &meta),
        };
        let finished = written.and_then(|bytes| {
            if bytes.is_some() {
                set_on_new_file(engine, self.node, &target, &meta, mode, self.tally)
                    .and_then(|()| if sync { target.sync() } else { Ok(()) })
                    .map_err(Broken::Target)?;
            }
            Ok(bytes)
        });
        match finished {
            Ok(Some(bytes)) => Ok(Some(Written {
                temp,
                source: meta,
                bytes,
            })),
            Ok(None) => {
                self.drop_copy(temp.as_ref())?;
                Ok(None)
            }
            Err(broken) => {
                if !matches!(broken, Broken::Problem(_)) {
                    self.drop_copy(temp.as_ref())?;
                }
                Err(match broken {
                    Broken::Source(error) => engine.source_problem(&error),
                    Broken::Target(error) => engine.target_problem(&error),
                    Broken::Problem(problem) => problem,
                })
            }
        }
    }

    /// Removes a copy that will not be published.
    pub(crate) fn drop_copy(&self, temp: Option<&(u64, String)>) -> Result<(), Problem> {
        match (temp, &self.node.target) {
            (Some((seq, _)), _) => self.engine.drop_temp(*seq),
            (None, Some(target)) => {
                self.engine.check_fence()?;
                match target.unlink(self.name) {
                    Err(error) if !error.is_missing() => {
                        // A partial file would be published with its directory.
                        return Err(self.engine.stop_again(&error, &self.path()));
                    }
                    _ => {}
                }
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Reads all of a small file into the buffer; `None` when it changed meanwhile.
    fn read_small(&mut self, source: &File, meta: &Meta) -> Result<Option<usize>, Error> {
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
        let after = source.meta()?;
        Ok((after.is_same_content_as(meta) && (length == size || is_unsized)).then_some(length))
    }

    fn count_read(&self, bytes: u64) {
        let progress = &self.engine.attempt.progress;
        progress.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn copy_large(
        &mut self,
        source: &File,
        target: &File,
        meta: &Meta,
    ) -> Result<Option<u64>, Broken> {
        if meta.size >= SHOWN_BYTES {
            let path = Some(Arc::new(self.path()));
            self.engine.attempt.progress.show(self.scratch.thread, path);
        }
        let complete = if meta.is_sparse() {
            self.copy_sparse(source, target, meta)?
        } else {
            self.copy_range(source, target, 0, meta.size)? == meta.size
        };
        let after = source.meta().map_err(Broken::Source)?;
        Ok((complete && after.is_same_content_as(meta)).then_some(meta.size))
    }

    /// Copies only what isn't a hole. Where holes can't be told, all of it.
    fn copy_sparse(&mut self, source: &File, target: &File, meta: &Meta) -> Result<bool, Broken> {
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
                return Ok(false);
            }
        }
        target.set_size(meta.size).map_err(Broken::Target)?;
        Ok(true)
    }

    /// Copies from `offset` to `end`; returns how far it came before the file's end.
    fn copy_range(
        &mut self,
        source: &File,
        target: &File,
        mut offset: u64,
        end: u64,
    ) -> Result<u64, Broken> {
        let mut by_kernel = true;
        while offset < end {
            self.engine.check_on()?;
            self.engine.check_fence()?;
            let left = end - offset;
            let mut copied = 0;
            if by_kernel {
                let length = left.min(CHUNK_BYTES) as usize;
                match source.copy_range_to(target, offset, length) {
                    Ok(n) if n > 0 => copied = n as u64,
                    Err(error) if error.class(Side::Target) == model::FailureClass::TargetFull => {
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
