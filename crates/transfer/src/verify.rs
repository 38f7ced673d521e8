//! Reading in full: whether two files hold the same bytes, and whether a copy is what was written.
//!
//! What is read back was synced, its cached pages are dropped, and it is read past the cache where the file
//! system allows that. What a storage server caches is out of reach.

use std::ops::Range;

use storage::posix::{File, Kind};

use crate::bytes::{Broken, Content};
use crate::content::Unfinished;
use crate::engine::{Engine, Problem};
use crate::entry::Entry;
use crate::full_read::{self, Ends, hash_part};
use crate::parts::{Work, is_big};
use crate::threads::Scratch;
use crate::watch;

impl Entry<'_> {
    /// Whether the file just written holds what was read from the source, by a full read of its storage.
    pub(crate) fn is_as_written(
        &mut self,
        written: Unfinished<'_>,
        content: &Content,
    ) -> Result<bool, Broken> {
        let Unfinished {
            dir, name, file, ..
        } = written;
        watch::asking_for_much(|| file.sync()).map_err(Broken::Target)?;
        file.drop_cache();
        let engine = self.engine;
        let opened = engine.opening(|| dir.open_file_past_cache(name));
        let read = self.reads_as(opened.map_err(Broken::Target)?, content);
        match read {
            Err(Broken::Target(error)) if error.is_not_held() => {
                // It can be opened so, but not read.
                let file = engine.opening(|| dir.open_file(name));
                self.reads_as(file.map_err(Broken::Target)?, content)
            }
            read => read,
        }
    }

    fn reads_as(&mut self, file: File, content: &Content) -> Result<bool, Broken> {
        if self.engine.does_in_parts(content.bytes) {
            let work = Work::ReadBack(file, content.hashes.clone());
            return Ok(self.do_in_parts(content.bytes, work)?.are_right);
        }
        let read = self.hash(&file, content.bytes)?;
        Ok(read.as_ref() == content.hashes.first())
    }

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
            true => self
                .do_in_parts(size, Work::Compare(sides))
                .map(|done| done.are_right),
            false => sides.are_same(engine, 0..size, Ends::There, self.scratch),
        };
        are_same.map_err(|broken| match broken {
            Broken::Source(error) => of_source(error),
            Broken::Target(error) => of_target(error),
            Broken::Problem(problem) => problem,
        })
    }

    fn hash(&mut self, file: &File, expected_bytes: u64) -> Result<Option<blake3::Hash>, Broken> {
        let engine = self.engine;
        let buffer = &mut self.scratch.buffer;
        full_read::hash(file, buffer, expected_bytes, Broken::Target, |_| {
            Ok(engine.check_on()?)
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
