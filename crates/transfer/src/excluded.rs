//! What earlier attempts at this item handed to other items, and this one leaves out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use model::{HashRange, RelPath, name_hash};

use crate::attempt::Unbegun;

#[derive(Default)]
pub(crate) struct Excluded {
    directories: BTreeSet<RelPath>,
    /// Of each directory that was handed over by shards: the lowest hash that is another's. Shards are cut from above,
    /// so all that lies above is, too.
    shards: BTreeMap<RelPath, u64>,
}

impl Excluded {
    pub(crate) fn new(handed_over: Vec<Unbegun>) -> Self {
        let mut excluded = Self::default();
        for unbegun in handed_over {
            match unbegun {
                Unbegun::Directory(path) => {
                    excluded.directories.insert(path);
                }
                Unbegun::Shard { directory, range } => {
                    let lowest = excluded.shards.entry(directory).or_insert(range.from());
                    *lowest = range.from().min(*lowest);
                }
            }
        }
        excluded
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.shards.is_empty()
    }

    pub(crate) fn has_directory(&self, path: &RelPath) -> bool {
        self.directories.contains(path)
    }

    /// Whether some of the directory's own names are another's.
    pub(crate) fn has_shards_of(&self, directory: &RelPath) -> bool {
        self.shards.contains_key(directory)
    }

    /// What of the range of a directory's names is left to this item.
    pub(crate) fn left_of(&self, directory: &RelPath, range: HashRange) -> Option<HashRange> {
        match self.shards.get(directory) {
            Some(lowest) => range.before(*lowest),
            None => Some(range),
        }
    }

    /// Whether something at or below the directory is another's: whoever got it whole would do that twice.
    pub(crate) fn has_within(&self, directory: &RelPath) -> bool {
        self.has_directory(directory)
            || self.has_shards_of(directory)
            || self.below(directory).next().is_some()
    }

    /// The highest hash of a name in the directory at or below which something is another's: whoever got a range with it
    /// would do that twice.
    pub(crate) fn highest_in(&self, directory: &RelPath) -> Option<u64> {
        let depth = directory.components().count();
        self.below(directory)
            .filter_map(|path| path.components().nth(depth))
            .map(name_hash)
            .max()
    }

    fn below(&self, directory: &RelPath) -> impl Iterator<Item = &RelPath> {
        // What lies below begins with its path and a slash, and so stands together.
        let mut from = directory.as_bytes().to_vec();
        if !directory.is_root() {
            from.push(b'/');
        }
        let below = (Bound::Excluded(from.as_slice()), Bound::Unbounded);
        let is_below = |path: &&RelPath| path.is_within(directory);
        let directories = self.directories.range::<[u8], _>(below);
        let shards = self.shards.range::<[u8], _>(below);
        let shards = shards.map(|(path, _)| path);
        directories
            .take_while(is_below)
            .chain(shards.take_while(is_below))
    }
}

#[cfg(test)]
mod tests {
    use model::{HashRange, RelPath, name_hash};

    use super::Excluded;
    use crate::attempt::Unbegun;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn shard(directory: &str, from: u64, to: u64) -> Unbegun {
        Unbegun::Shard {
            directory: path(directory),
            range: HashRange::new(from, to).unwrap(),
        }
    }

    #[test]
    fn a_directory_with_something_of_another_s_below_it_is_known() {
        let excluded = Excluded::new(vec![
            Unbegun::Directory(path("a/b/c")),
            Unbegun::Directory(path("a-b")),
            shard("d/e", 7, 9),
        ]);
        for within in ["", "a", "a/b", "a/b/c", "a-b", "d", "d/e"] {
            assert!(excluded.has_within(&path(within)), "{within}");
        }
        for other in ["a/b/c/d", "a/b/cc", "a/a", "a-", "d/e/f", "e", "z"] {
            assert!(!excluded.has_within(&path(other)), "{other}");
        }
        assert!(!Excluded::default().has_within(&RelPath::ROOT));
    }

    #[test]
    fn the_highest_name_with_something_of_another_s_is_known() {
        let excluded = Excluded::new(vec![
            Unbegun::Directory(path("a/b/c")),
            Unbegun::Directory(path("a/d")),
            Unbegun::Directory(path("a-b")),
            shard("", 7, 9),
            shard("e/f", 7, 9),
        ]);
        let highest = |names: &[&str]| names.iter().map(|name| name_hash(name.as_bytes())).max();
        for (directory, names) in [
            ("", &["a", "a-b", "e"][..]),
            ("a", &["b", "d"]),
            ("a/b", &["c"]),
            ("e", &["f"]),
            ("e/f", &[]),
            ("a/d", &[]),
            ("b", &[]),
        ] {
            let found = excluded.highest_in(&path(directory));
            assert_eq!(found, highest(names), "{directory}");
        }
    }

    #[test]
    fn what_is_left_of_a_directory_lies_below_all_that_was_cut_off() {
        let excluded = Excluded::new(vec![shard("d", 50, 99), shard("d", 20, 49)]);
        let left = |range| excluded.left_of(&path("d"), range);
        assert_eq!(left(HashRange::ALL), HashRange::new(0, 19));
        assert_eq!(left(HashRange::new(20, 99).unwrap()), None);
        let other = excluded.left_of(&path("e"), HashRange::ALL);
        assert_eq!(other, Some(HashRange::ALL));
    }
}
