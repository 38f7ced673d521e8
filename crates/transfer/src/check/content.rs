//! Whether two files hold the same bytes, by reading both to the end.

use std::ffi::CStr;

use storage::posix::{Dir, Error, Kind, Meta, Side};

use super::entry::{Both, Halt};
use super::{Checker, Unseen};

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;

impl Checker<'_> {
    pub(super) fn has_same_content(&mut self, both: &Both<'_>) -> Result<bool, Halt> {
        let ours = self.hash(both.source, both.name, both.ours, Side::Source)?;
        let theirs = self.hash(both.target, both.name, both.theirs, Side::Target)?;
        Ok(ours == theirs)
    }

    /// Of all bytes of a file that is still the one that was looked at, at the end too.
    fn hash(
        &mut self,
        dir: &Dir,
        name: &CStr,
        looked_at: &Meta,
        side: Side,
    ) -> Result<blake3::Hash, Halt> {
        let unseen = |error: Error| Unseen::new(side, &error);
        let file = dir.open_file(name).map_err(unseen)?;
        is_unchanged(looked_at, &file.meta().map_err(unseen)?, side)?;
        if side == Side::Target {
            // What is on its storage counts.
            file.drop_cache();
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        loop {
            if self.is_stopping() {
                return Err(Halt::Stopping);
            }
            let read = file.read_at(&mut self.buffer, offset).map_err(unseen)?;
            if read == 0 {
                break;
            }
            hasher.update(&self.buffer[..read]);
            self.progress().add_read_bytes(read);
            offset += read as u64;
        }
        is_unchanged(looked_at, &file.meta().map_err(unseen)?, side)?;
        Ok(hasher.finalize())
    }
}

fn is_unchanged(looked_at: &Meta, now: &Meta, side: Side) -> Result<(), Unseen> {
    let is_same_file = now.kind == Kind::File && now.dev == looked_at.dev;
    if is_same_file && now.is_same_content_as(looked_at) {
        return Ok(());
    }
    let error = "it changed while it was looked at".to_owned();
    Err(Unseen { side, error })
}
