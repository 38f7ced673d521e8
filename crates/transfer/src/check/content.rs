//! Whether two files hold the same bytes, by reading both to the end.

use std::ffi::CStr;

use storage::posix::{Dir, Error, File, Kind, Meta, Side};

use super::entry::{Both, Halt};
use super::{Checker, Unseen};
use crate::full_read;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;

impl Checker<'_> {
    pub(super) fn has_same_content(&mut self, both: &Both<'_>) -> Result<bool, Halt> {
        let ours = self.hash(both.source, both.name, both.ours, Side::Source)?;
        let theirs = self.hash(both.target, both.name, both.theirs, Side::Target)?;
        Ok(ours == theirs)
    }

    /// Of all bytes of a file that is still the one that was looked at, at the end too. Of the target's what is on its
    /// storage counts, not what is in the cache.
    fn hash(
        &mut self,
        dir: &Dir,
        name: &CStr,
        looked_at: &Meta,
        side: Side,
    ) -> Result<blake3::Hash, Halt> {
        let opened = match side {
            Side::Source => dir.open_file(name),
            Side::Target => dir.open_file_past_cache(name),
        };
        match self.hash_opened(opened, looked_at, side) {
            Err(Broken::Read(error)) if side == Side::Target && error.is_not_held() => {
                // It can be opened past the cache, but not read.
                let opened = dir.open_file(name);
                self.hash_opened(opened, looked_at, side)
            }
            hash => hash,
        }
        .map_err(|broken| match broken {
            Broken::Halt(halt) => halt,
            Broken::Read(error) => Unseen::new(side, &error).into(),
        })
    }

    fn hash_opened(
        &mut self,
        opened: Result<File, Error>,
        looked_at: &Meta,
        side: Side,
    ) -> Result<blake3::Hash, Broken> {
        let file = opened.map_err(Broken::Read)?;
        let is_still_the_same = |file: &File| match file.meta() {
            Ok(now) => is_unchanged(looked_at, &now, side).map_err(|e| Broken::Halt(e.into())),
            Err(error) => Err(Broken::Read(error)),
        };
        is_still_the_same(&file)?;
        if side == Side::Target {
            file.drop_cache();
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        let check = self.shared.check;
        let go_on = |read_bytes| {
            check.progress.add_read_bytes(read_bytes);
            match check.cancel.is_cancelled() {
                true => Err(Broken::Halt(Halt::Stopping)),
                false => Ok(()),
            }
        };
        let size = looked_at.size;
        let hash = full_read::hash(&file, &mut self.buffer, size, Broken::Read, go_on)?;
        is_still_the_same(&file)?;
        hash.ok_or_else(|| Broken::Halt(changed(side).into()))
    }
}

/// Why there is no hash.
enum Broken {
    Read(Error),
    Halt(Halt),
}

fn is_unchanged(looked_at: &Meta, now: &Meta, side: Side) -> Result<(), Unseen> {
    let is_same_file = now.kind == Kind::File && now.dev == looked_at.dev;
    if is_same_file && now.is_same_content_as(looked_at) {
        return Ok(());
    }
    Err(changed(side))
}

fn changed(side: Side) -> Unseen {
    let error = "it changed while it was looked at".to_owned();
    Unseen { side, error }
}
