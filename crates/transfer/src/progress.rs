//! What anybody may read while an attempt runs. A lower bound; the outcome is exact.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Counters, RelPath};

use crate::watch::{Silence, Watch};

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
    /// The threads that work for it.
    watches: Mutex<Vec<Arc<Watch>>>,
}

impl Progress {
    /// Some of the paths in work: directories, and large files.
    pub fn current_paths(&self) -> Vec<RelPath> {
        let watches = self.watches();
        let paths = watches.iter().filter_map(|watch| watch.path());
        paths.take(SHOWN_PATHS).collect()
    }

    /// The threads that got no answer for longer than `least`, the most silent first.
    pub fn silences(&self, least: Duration) -> Vec<Silence> {
        let now = Instant::now();
        let watches = self.watches();
        let mut silences: Vec<Silence> = watches
            .iter()
            .filter_map(|watch| watch.silence(now))
            .filter(|silence| silence.lasted > least)
            .collect();
        silences.sort_by_key(|silence| std::cmp::Reverse(silence.lasted));
        silences
    }

    /// From now on this thread works for the attempt.
    pub fn join(&self) {
        crate::watch::at(None);
        self.watches().push(Watch::mine());
    }

    pub fn leave(&self) {
        let mine = Watch::mine();
        self.watches().retain(|watch| !Arc::ptr_eq(watch, &mine));
    }

    fn watches(&self) -> MutexGuard<'_, Vec<Arc<Watch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
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
