//! What earlier attempts at an item handed over, and this one leaves out; as the engine's own `excluded` has it.

use std::collections::{BTreeMap, BTreeSet};

use model::{HashRange, ItemId, RelPath, Work, name_hash};

use crate::broken::Rule;
use crate::tree::Tree;

#[derive(Debug, Default)]
pub struct Excluded {
    directories: BTreeSet<usize>,
    /// The lowest hash of each directory's names that is another's, and all above it.
    shards: BTreeMap<usize, u64>,
}

impl Excluded {
    /// A page of what was handed over.
    pub fn add(&mut self, page: &[(ItemId, Work)], tree: &Tree, broken: Option<Rule>) {
        for (_, work) in page {
            match work {
                Work::Walk { directories, .. } => {
                    let left_out = directories.iter().map(|path| tree.directory(path));
                    self.directories.extend(left_out);
                }
                Work::Shard { directory, range } if broken != Some(Rule::ShardsForgotten) => {
                    let directory = tree.directory(directory);
                    let lowest = self.shards.entry(directory).or_insert(range.from());
                    *lowest = range.from().min(*lowest);
                }
                _ => {}
            }
        }
    }

    pub fn has_directory(&self, directory: usize) -> bool {
        self.directories.contains(&directory)
    }

    pub fn has_shards_of(&self, directory: usize) -> bool {
        self.shards.contains_key(&directory)
    }

    /// What of a range of a directory's names is left.
    pub fn left_of(&self, directory: usize, range: HashRange) -> Option<HashRange> {
        match self.shards.get(&directory) {
            Some(lowest) => range.before(*lowest),
            None => Some(range),
        }
    }

    /// Whether something at or below the path is another's.
    pub fn has_within(&self, path: &RelPath, tree: &Tree) -> bool {
        self.all(tree).any(|another| another.is_within(path))
    }

    /// The highest hash of a name in the directory at or below which something is another's.
    pub fn highest_in(&self, directory: usize, tree: &Tree) -> Option<u64> {
        let path = &tree.directories[directory].path;
        let depth = path.components().count();
        self.all(tree)
            .filter(|another| another.is_within(path))
            .filter_map(|another| another.components().nth(depth))
            .map(name_hash)
            .max()
    }

    fn all<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = &'a RelPath> {
        let directories = self.directories.iter().chain(self.shards.keys());
        directories.map(|directory| &tree.directories[*directory].path)
    }
}
