//! How much an attempt has found and begun, and so what the rest will take: sub-trees are likely to be like those that were
//! begun at the same depth, directories to have as many files as those that were read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What lies deeper is counted with the last.
const LEVELS: usize = 64;

/// Files of a directory, as long as nothing is known of any, and how many directories this counts for.
const GUESSED_FILES: f64 = 16.0;
const GUESSES: f64 = 4.0;

pub(crate) struct Pace {
    /// Directories that were begun, by their depth.
    begun: [AtomicU64; LEVELS],
    /// Directories of which something was read.
    read: AtomicU64,
    /// What is no directory in these, so far.
    found: AtomicU64,
    /// How many of these a thread has begun. Results may come late, by the batch or the directory.
    taken: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            begun: [const { AtomicU64::new(0) }; LEVELS],
            read: AtomicU64::default(),
            found: AtomicU64::default(),
            taken: AtomicU64::default(),
        }
    }
}

impl Pace {
    /// `depth`: components of its path.
    pub(crate) fn begin(&self, depth: usize) {
        self.begun[depth.min(LEVELS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// So many files were found in a directory, of which nothing was read before if `is_new`.
    pub(crate) fn read(&self, is_new: bool, files: usize) {
        self.read.fetch_add(is_new.into(), Ordering::Relaxed);
        self.found.fetch_add(files as u64, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// About how many directories there are in the sub-tree of one at this depth, itself counted.
    pub(crate) fn expected(&self, depth: usize) -> f64 {
        let level = depth.min(LEVELS - 1);
        let tops = self.begun[level].load(Ordering::Relaxed).max(1);
        (self.from(level) as f64 / tops as f64).max(1.0)
    }

    /// About how many files there are in a directory. The first ones say little: a root is not like what is below it.
    pub(crate) fn files_of_one(&self) -> f64 {
        let [read, found] = [&self.read, &self.found].map(|n| n.load(Ordering::Relaxed) as f64);
        (found + GUESSES * GUESSED_FILES) / (read + GUESSES)
    }

    /// What so many directories, and names beside them, would take if what was begun so far took `so_far`.
    pub(crate) fn time(&self, directories: f64, names: u64, so_far: Duration) -> Duration {
        let each = 1.0 + self.files_of_one();
        let done = self.directories() + self.taken.load(Ordering::Relaxed) as f64;
        let seconds = (directories * each + names as f64) / done * so_far.as_secs_f64();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Directories that were begun, at least 1.
    fn directories(&self) -> f64 {
        self.from(0).max(1) as f64
    }

    fn from(&self, level: usize) -> u64 {
        let begun = self.begun[level..].iter();
        begun.map(|n| n.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{GUESSED_FILES, Pace};

    #[test]
    fn sub_trees_are_taken_to_be_like_those_at_their_depth() {
        let pace = Pace::default();
        assert_eq!((pace.directories(), pace.expected(1)), (1.0, 1.0));
        // Two tops, with three below each, and nothing known of what is deeper.
        for depth in [1, 2, 2, 2, 1, 2, 2, 2] {
            pace.begin(depth);
        }
        assert_eq!(pace.directories(), 8.0);
        assert_eq!(
            [0, 1, 2, 3, 1_000].map(|depth| pace.expected(depth)),
            [8.0, 4.0, 1.0, 1.0, 1.0]
        );
        pace.begin(1_000);
        pace.begin(70);
        assert_eq!(pace.expected(64), 1.0);
    }

    #[test]
    fn what_is_left_takes_as_long_as_what_was_begun_did() {
        let pace = Pace::default();
        let second = Duration::from_secs(1);
        assert_eq!(pace.time(0.0, 0, second), Duration::ZERO);
        assert_eq!(pace.files_of_one(), GUESSED_FILES);
        for _ in 0..4 {
            pace.begin(1);
            pace.read(true, 1);
            pace.read(false, 3);
        }
        // Four of 4 files, and four that are guessed to have 16.
        assert_eq!(pace.files_of_one(), 10.0);
        for _ in 0..7 {
            pace.take();
        }
        // Four directories and 7 files were begun in a second.
        assert_eq!(pace.time(1.0, 0, second), second);
        assert_eq!(pace.time(1.0, 22, second), 3 * second);
        assert_eq!(pace.time(1e300, 0, second), Duration::MAX);
    }
}
