//! Counts the source's entries ahead of the copy, so that the live line can say how much is left.
//!
//! It reads directories and looks at no entry, so it is many times faster than the copy. What it can't
//! read it leaves out: the copy will say so. It holds one path for each level, not descriptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use storage::posix::{Dir, Kind, Listed, ListingBuffer};

use super::Done;

/// Directories of one level that wait to be counted; with more than this no time is shown.
const MAX_PENDING: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Ahead {
    entries: AtomicU64,
    complete: AtomicBool,
}

impl Ahead {
    /// All entries, once they are known.
    pub(super) fn total(&self) -> Option<u64> {
        self.complete
            .load(Ordering::Acquire)
            .then(|| self.entries.load(Ordering::Relaxed))
    }

    /// Counts until all is counted or the copy is over.
    pub(super) fn count(&self, root: &Arc<Dir>, done: &Done) {
        let mut buffer = ListingBuffer::default();
        // Held directories from the root down, each with the names that are still to be visited.
        let mut levels: Vec<(Dir, Vec<Box<std::ffi::CStr>>)> = Vec::new();
        let Some(first) = root
            .reopen()
            .ok()
            .and_then(|root| self.read(root, &mut buffer))
        else {
            return;
        };
        levels.push(first);
        while let Some((directory, names)) = levels.last_mut() {
            if done.is_set() {
                return;
            }
            let Some(name) = names.pop() else {
                levels.pop();
                continue;
            };
            let Ok(below) = directory.open_dir(&*name) else {
                continue;
            };
            match self.read(below, &mut buffer) {
                Some(level) => levels.push(level),
                None => return,
            }
        }
        self.complete.store(true, Ordering::Release);
    }

    fn read(
        &self,
        directory: Dir,
        buffer: &mut ListingBuffer,
    ) -> Option<(Dir, Vec<Box<std::ffi::CStr>>)> {
        let mut names = Vec::new();
        let mut entries = 0;
        while let Ok(Listed::Chunk) = directory.list_chunk(buffer, |name, kind| {
            entries += 1;
            if kind == Kind::Directory {
                names.push(name.into());
            }
        }) {
            if names.len() > MAX_PENDING {
                return None;
            }
        }
        self.entries.fetch_add(entries, Ordering::Relaxed);
        Some((directory, names))
    }
}
