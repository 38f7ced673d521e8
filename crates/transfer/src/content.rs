//! One regular file, from the source to a name that nobody takes for finished: a temp name, or the final name in a
//! directory that is staged.
//!
//! The source is stat before and after; a copy of something that changed is thrown away and made again, a few times.
//! So is one that is not what was written when it is read back.

use std::sync::Arc;

use model::options::{Sparse, Verify};
use storage::posix::{Dir, Error, File, Kind, Meta, Xattrs};

use crate::attributes::{At, CreationMode, Present, Wanted, creation_mode, inherited};
use crate::bytes::{Broken, By, Content, Copying};
use crate::engine::{Engine, Problem};
use crate::entry::{Entry, Part, changed};
use crate::ledger::{Note, Verdict};
use crate::settled::Seen;
use crate::threads::BUFFER_BYTES;
use crate::watch;

/// Copies made of a file that changes before it is given up.
const TRIES: u32 = 3;

/// Files below are copied with their holes filled: one read and one write is cheaper.
const MIN_SPARSE_BYTES: u64 = 64 << 10;

/// A complete copy that has no final name yet, or has it in a staged directory.
pub(crate) struct Written {
    pub(crate) temp: Option<(u64, String)>,
    /// The source as it was copied.
    pub(crate) source: Meta,
    pub(crate) bytes: u64,
}

/// A file that is being written.
#[derive(Clone, Copy)]
pub(crate) struct Unfinished<'a> {
    pub(crate) dir: &'a Dir,
    pub(crate) name: &'a [u8],
    pub(crate) file: &'a File,
    /// What it was made with.
    mode: CreationMode,
}

/// What became of one try.
enum Tried {
    Written(Written),
    /// It has other names, or changed just now: see [`crate::late`].
    AtEnd,
    /// It changed just now, and is to be left alone for some time.
    Unsettled(Seen),
    /// The copy is gone again: the source changed meanwhile.
    Changed,
    /// The copy is gone again: what was read back was not what was written.
    ReadBackDiffers,
}

impl Entry<'_> {
    /// Writes a complete copy with its attributes, synced if asked. `None`: it is left for the end, or until it has settled
    /// there, as its part says.
    pub(crate) fn write_copy(&mut self, sync: bool) -> Result<Option<Written>, Problem> {
        let mut tries = 0;
        loop {
            let problem = match self.try_write(sync)? {
                Tried::Written(written) => return Ok(Some(written)),
                Tried::AtEnd => return Ok(None),
                Tried::Unsettled(seen) => {
                    self.part = Part::End(Some(seen));
                    return Ok(None);
                }
                Tried::Changed => changed("each time it was read"),
                Tried::ReadBackDiffers => not_verified(),
            };
            tries += 1;
            if tries == TRIES {
                return Err(problem);
            }
        }
    }

    fn try_write(&mut self, sync: bool) -> Result<Tried, Problem> {
        let engine = self.engine;
        let source_problem = |error| engine.source_problem(&error);
        let opened = engine.opening(|| self.source.open_file(self.name));
        let source = opened.map_err(|error| {
            if error.is_other_kind() {
                return changed("it became another kind of entry");
            }
            source_problem(error)
        })?;
        let source = Arc::new(source);
        let meta = source.meta().map_err(source_problem)?;
        if meta.kind != Kind::File {
            return Err(changed("it became another kind of entry"));
        }
        if self.waits_for_links(&meta) || self.waits_for_the_end(&meta) {
            return Ok(Tried::AtEnd);
        }
        if let Some(seen) = self.unsettled(&meta) {
            return Ok(Tried::Unsettled(seen));
        }
        let xattrs = engine.source_xattrs(source.xattrs())?;
        // Small files are read before anything is made: a broken one leaves nothing.
        let keeps_holes = keeps_holes(engine, &meta);
        let is_small = meta.size < BUFFER_BYTES as u64 && !keeps_holes;
        let small = match is_small {
            true => match self.read_small(&source, &meta).map_err(source_problem)? {
                Some(length) => Some(length),
                None => return Ok(Tried::Changed),
            },
            false => None,
        };
        let Some(target_dir) = self.target else {
            return Err(engine.stop_with(crate::Stopped::Again("internal: no target".into())));
        };
        engine.check_fence()?;
        let mask = self.scratch.creation_mask;
        let mode = creation_mode(
            engine,
            (self.node, self.in_stage),
            target_dir,
            &meta,
            &xattrs,
            mask,
        );
        let temp = (!self.in_stage).then(|| engine.new_temp(target_dir));
        let name = temp
            .as_ref()
            .map_or(self.name.to_bytes(), |(_, name)| name.as_bytes());
        let created = self.node.create(engine, || {
            engine.opening(|| target_dir.create_file(name, mode.mode))
        });
        let target = match created {
            Ok(target) => Arc::new(target),
            Err(error) => return Err(self.not_made(temp.as_ref(), &error)),
        };
        let written = match small {
            Some(length) => self.write_small(&target, length),
            None => {
                let copying = Copying {
                    source,
                    target: Arc::clone(&target),
                    keeps_holes,
                    by: By::best(engine, &meta),
                };
                let temp = temp.as_ref().map(|(_, name)| name.as_str());
                self.copy_large(copying, &meta, temp)
            }
        };
        let finished = written.and_then(|content| match content {
            Some(content) => {
                let wanted = Wanted {
                    meta: &meta,
                    xattrs: &xattrs,
                };
                let unfinished = Unfinished {
                    dir: target_dir,
                    name,
                    file: &target,
                    mode,
                };
                self.finish(unfinished, content, wanted, sync)
            }
            None => Ok(Err(Tried::Changed)),
        });
        // Whatever came before, it is closed here; the first error counts.
        let closed = self.take_back(target);
        let closed = closed.and_then(|target| target.close().map_err(Broken::Target));
        let finished = match (finished, closed) {
            (Ok(_), Err(error)) => Err(error),
            (finished, _) => finished,
        };
        match finished {
            Ok(Ok(bytes)) => {
                self.note_written(&meta);
                Ok(Tried::Written(Written {
                    temp,
                    source: meta,
                    bytes,
                }))
            }
            Ok(Err(tried)) => {
                self.drop_copy(temp.as_ref())?;
                Ok(tried)
            }
            Err(Broken::Problem(Problem::Stopping)) => Err(Problem::Stopping),
            Err(broken) => {
                self.drop_copy(temp.as_ref())?;
                Err(match broken {
                    Broken::Source(error) => engine.source_problem(&error),
                    Broken::Target(error) => engine.target_problem(&error),
                    Broken::Problem(problem) => problem,
                })
            }
        }
    }

    /// The content is written: looks at it as asked, and sets the attributes.
    fn finish(
        &mut self,
        unfinished: Unfinished<'_>,
        content: Content,
        wanted: Wanted<'_>,
        sync: bool,
    ) -> Result<Result<u64, Tried>, Broken> {
        let engine = self.engine;
        let bytes = content.bytes;
        match engine.options.verify {
            Verify::None => {}
            Verify::Size => {
                let now = unfinished.file.meta().map_err(Broken::Target)?;
                if now.size != content.bytes {
                    return Ok(Err(Tried::ReadBackDiffers));
                }
            }
            Verify::Checksum => {
                let Unfinished {
                    dir, name, file, ..
                } = unfinished;
                let path = Arc::new(self.path());
                let scratch = &mut *self.scratch;
                if !engine.is_as_written(path, (dir, name), file, content, scratch)? {
                    return Ok(Err(Tried::ReadBackDiffers));
                }
            }
        }
        self.set_on_new_file(unfinished, wanted)?;
        if sync {
            watch::asking_for_much(|| unfinished.file.sync()).map_err(Broken::Target)?;
        }
        Ok(Ok(bytes))
    }

    /// Sets the attributes of a file that was just written.
    fn set_on_new_file(
        &mut self,
        unfinished: Unfinished<'_>,
        wanted: Wanted<'_>,
    ) -> Result<(), Broken> {
        let Unfinished { dir, file, .. } = unfinished;
        let engine = self.engine;
        let creation = &self.node.creation;
        let xattrs: Xattrs = inherited(engine, creation, dir, file.xattrs())?;
        let created = unfinished.mode;
        let mode = created.is_final.then_some(created.mode);
        let present = Present {
            owner: creation.owner_of(file).map_err(Broken::Target)?,
            mode,
            modified: None,
            xattrs,
        };
        self.keep(At::File(file), wanted, &present)?;
        Ok(())
    }

    fn note_written(&mut self, source: &Meta) {
        if source.is_locked {
            self.tally.note(Note::FlagsNotKept);
        }
        if self.engine.reads_back() {
            self.tally.note(Note::Verified);
        }
    }

    /// Why there is no copy. Answers get lost: what may have been made all the same is removed.
    pub(crate) fn not_made(&mut self, temp: Option<&(u64, String)>, error: &Error) -> Problem {
        if error.is_existing() {
            if let Some((seq, _)) = temp {
                self.engine.forget_temp(*seq);
            }
            return crate::target::conflict("the target has an entry of that name");
        }
        match self.drop_copy(temp) {
            Ok(()) => self.engine.target_problem(error),
            Err(problem) => problem,
        }
    }

    /// Removes a copy that will not be published.
    pub(crate) fn drop_copy(&self, temp: Option<&(u64, String)>) -> Result<(), Problem> {
        match (temp, self.target) {
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
}

/// Whether holes of the source are left out.
pub(crate) fn keeps_holes(engine: &Engine, meta: &Meta) -> bool {
    engine.options.sparse == Sparse::Auto && meta.is_sparse() && meta.size >= MIN_SPARSE_BYTES
}

fn not_verified() -> Problem {
    Problem::Entry(Verdict::Failed {
        class: model::FailureClass::Retry,
        error: "not verified: what was read back from the target is not what was written".into(),
    })
}
