//! What anybody may read while an attempt runs. A lower bound; the outcome is exact.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Counters, RelPath};

/// Paths in work that are shown at once.
const SHOWN_PATHS: usize = 8;

/// Running numbers of one attempt.
#[derive(Debug, Default)]
pub struct Progress {
    pub listed: AtomicU64,
    pub copied: AtomicU64,
    pub unchanged: AtomicU64,
    pub skipped: AtomicU64,
    pub failed: AtomicU64,
    pub copied_files: AtomicU64,
    pub copied_bytes: AtomicU64,
    /// Bytes read from the source, also by copies that failed later.
    pub read_bytes: AtomicU64,
    current: [Mutex<Option<Arc<RelPath>>>; SHOWN_PATHS],
}

impl Progress {
    /// Some of the paths in work: directories, and large files.
    pub fn current_paths(&self) -> Vec<RelPath> {
        let paths = self.current.iter().filter_map(|slot| {
            let path = slot.lock().unwrap_or_else(PoisonError::into_inner);
            path.as_ref().map(|path| RelPath::clone(path))
        });
        paths.collect()
    }

    pub(crate) fn show(&self, thread: usize, path: Option<Arc<RelPath>>) {
        if let Some(slot) = self.current.get(thread) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = path;
        }
    }

    pub(crate) fn add(&self, counters: &Counters) {
        let add = |total: &AtomicU64, n: u64| {
            if n > 0 {
                total.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.listed, counters.listed);
        add(&self.copied, counters.copied);
        add(&self.unchanged, counters.unchanged);
        add(&self.skipped, counters.skipped);
        add(&self.failed, counters.failed);
        add(&self.copied_files, counters.copied_files);
        add(&self.copied_bytes, counters.copied_bytes);
    }
}
