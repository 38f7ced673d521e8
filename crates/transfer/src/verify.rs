//! Reading in full: whether two files hold the same bytes, and whether a copy is what was written.
//!
//! What is read back was synced, its cached pages are dropped, and it is read past the cache where the file
//! system allows that. What a storage server caches is out of reach.

use std::ops::Range;
use std::sync::Arc;

use model::RelPath;
use storage::posix::{Dir, File, Kind};

use crate::bytes::{Broken, Content};
use crate::engine::{Engine, Problem};
use crate::entry::Entry;
use crate::full_read::{self, Ends, hash_part};
use crate::parts::{Todo, Work, is_big};
use crate::threads::Scratch;
use crate::watch;

impl Engine {
    /// Whether the file just written, at this place, holds what was read from the source, by a full read of its storage.
    pub(crate) fn is_as_written(
        self: &Arc<Self>,
        path: Arc<RelPath>,
        (dir, name): (&Dir, &[u8]),
        file: &File,
        content: Content,
        scratch: &mut Scratch,
    ) -> Result<bool, Broken> {
        watch::asking_for_much(|| file.sync()).map_err(Broken::Target)?;
        file.drop_cache();
        let opened = self.opening(|| dir.open_file_past_cache(name));
        let opened = opened.map_err(Broken::Target)?;
        let read = self.reads_as(Arc::clone(&path), opened, &content, scratch);
        match read {
            Err(Broken::Target(error)) if error.is_not_held() => {
                // It can be opened so, but not read.
                let file = self.opening(|| dir.open_file(name));
                self.reads_as(path, file.map_err(Broken::Target)?, &content, scratch)
            }
            read => read,
        }
    }

    fn reads_as(
        self: &Arc<Self>,
        path: Arc<RelPath>,
        file: File,
        content: &Content,
        scratch: &mut Scratch,
    ) -> Result<bool, Broken> {
        if let [whole] = content.hashed.as_slice()
            && whole.bytes == (0..content.bytes)
        {
            let go_on = |_| Ok(self.check_on()?);
            let buffer = &mut scratch.buffer;
            let read = full_read::hash(&file, buffer, content.bytes, Broken::Target, go_on)?;
            return Ok(read == Some(whole.hash));
        }
        let parts = content.hashed.iter();
        let hashes = parts.clone().map(|part| (part.bytes.start, part.hash));
        let work = Work::ReadBack(file, hashes.collect());
        let todo = Todo::parts(content.bytes, parts.map(|part| part.bytes.clone()));
        let done = self.do_these(path, todo, work, scratch)?;
        Ok(done.is_some())
    }
}

impl Entry<'_> {
    /// Whether the target's file holds the same bytes as the source's; both are read to the end.
    pub(crate) fn has_same_content(&mut self) -> Result<bool, Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(false);
        };
        let of_source = |error| engine.source_problem(&error);
        let of_target = |error| engine.target_problem(&error);
        let source = engine
            .opening(|| self.source.open_file(self.name))
            .map_err(of_source)?;
        let found = match engine.opening(|| target.open_file(self.name)) {
            Ok(found) => found,
            // One that we may not read, or that is none any more, can still be replaced.
            Err(error) if error.is_refused() || error.is_missing() || error.is_other_kind() => {
                return Ok(false);
            }
            Err(error) => return Err(of_target(error)),
        };
        // What was looked at by name may be a device by now, which never ends.
        let source_meta = source.meta().map_err(of_source)?;
        let found_meta = found.meta().map_err(of_target)?;
        if [source_meta.kind, found_meta.kind] != [Kind::File; 2]
            || source_meta.size != found_meta.size
        {
            return Ok(false);
        }
        let size = source_meta.size;
        let sides = Sides { source, found };
        let are_same = match is_big(size) {
            true => {
                let path = Arc::new(self.path());
                engine
                    .do_in_parts(path, size, Work::Compare(sides), self.scratch)
                    .map(|done| done.is_some())
            }
            false => sides.are_same(engine, 0..size, Ends::There, self.scratch),
        };
        are_same.map_err(|broken| match broken {
            Broken::Source(error) => of_source(error),
            Broken::Target(error) => of_target(error),
            Broken::Problem(problem) => problem,
        })
    }
}

/// A file and what has its name at the target.
pub(crate) struct Sides {
    source: File,
    found: File,
}

impl Sides {
    /// Whether both hold the same in these bytes.
    pub(crate) fn are_same(
        &self,
        engine: &Engine,
        bytes: Range<u64>,
        ends: Ends,
        scratch: &mut Scratch,
    ) -> Result<bool, Broken> {
        let go_on = |_| Ok(engine.check_on()?);
        let buffer = &mut scratch.buffer;
        let expected = hash_part(
            &self.source,
            buffer,
            bytes.clone(),
            ends,
            Broken::Source,
            go_on,
        )?;
        if expected.is_none() {
            return Ok(false);
        }
        let found = hash_part(&self.found, buffer, bytes, ends, Broken::Target, go_on)?;
        Ok(found == expected)
    }
}
