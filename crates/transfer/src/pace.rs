//! How large sub-trees are likely to be: like those that were begun at the same depth.

use std::sync::atomic::{AtomicU64, Ordering};

/// What lies deeper is counted with the last.
const LEVELS: usize = 64;

/// Directories that were begun, by their depth.
pub(crate) struct Subtrees([AtomicU64; LEVELS]);

impl Default for Subtrees {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; LEVELS])
    }
}

impl Subtrees {
    /// `depth`: components of its path.
    pub(crate) fn begin(&self, depth: usize) {
        self.0[depth.min(LEVELS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Directories that were begun, at least 1.
    pub(crate) fn begun(&self) -> u64 {
        self.from(0).max(1)
    }

    /// About how many directories there are in the sub-tree of one at this depth, itself counted.
    pub(crate) fn expected(&self, depth: usize) -> f64 {
        let level = depth.min(LEVELS - 1);
        let tops = self.0[level].load(Ordering::Relaxed).max(1);
        (self.from(level) as f64 / tops as f64).max(1.0)
    }

    fn from(&self, level: usize) -> u64 {
        let begun = self.0[level..].iter();
        begun.map(|n| n.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Subtrees;

    #[test]
    fn sub_trees_are_taken_to_be_like_those_at_their_depth() {
        let seen = Subtrees::default();
        assert_eq!((seen.begun(), seen.expected(1)), (1, 1.0));
        // Two tops, with three below each, and nothing known of what is deeper.
        for depth in [1, 2, 2, 2, 1, 2, 2, 2] {
            seen.begin(depth);
        }
        assert_eq!(seen.begun(), 8);
        assert_eq!(
            [0, 1, 2, 3, 1_000].map(|depth| seen.expected(depth)),
            [8.0, 4.0, 1.0, 1.0, 1.0]
        );
        seen.begin(1_000);
        seen.begin(70);
        assert_eq!(seen.expected(64), 1.0);
    }
}
