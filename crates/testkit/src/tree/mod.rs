//! Source trees made from a recipe and a seed, with counts that are known before anything looks at them.
//!
//! The same recipe and seed give the same names, content, modes, owners and times everywhere; what a file system or a
//! plain user cannot have (owners, times out of its range) is left as it comes. Nothing is counted by reading the tree
//! back: [`Made`] adds up what was created, and a test here checks that against an independent walk.

mod attributes;
mod chain;
mod maker;
mod many;
mod names;

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

pub use many::{Many, make_many};
pub use names::odd_names;

/// What a tree is made of. Entries of each kind are spread over the directories by the seed.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Directories that files may be in, besides the root.
    pub directories: u64,
    pub empty_directories: u64,
    /// How many levels of directories lie below the root at most.
    pub depth: u32,
    /// Ordinary files; sparse and big ones and further names come on top.
    pub files: u64,
    pub file_bytes: RangeInclusive<u64>,
    pub sparse_files: u64,
    pub big_files: u64,
    pub big_file_bytes: u64,
    /// Further names of files made before.
    pub hard_links: u64,
    pub symlinks: u64,
    /// Length of the longest link target: ext4 and tmpfs take 4,095 bytes, xfs 1,023.
    pub longest_target_bytes: usize,
    /// FIFOs and sockets, in turn.
    pub specials: u64,
    /// Levels of a chain of directories with names of 255 bytes, one file in the last: with 17, its path is longer
    /// than PATH_MAX.
    pub chain: u64,
    /// Names of any bytes, among them all of [`odd_names`] where there are as many entries.
    pub odd_names: bool,
    /// Unusual modes, owners and times.
    pub odd_attributes: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            directories: 0,
            empty_directories: 0,
            depth: 4,
            files: 0,
            file_bytes: 0..=16 << 10,
            sparse_files: 0,
            big_files: 0,
            big_file_bytes: 20 << 20,
            hard_links: 0,
            symlinks: 0,
            longest_target_bytes: 1_000,
            specials: 0,
            chain: 0,
            odd_names: false,
            odd_attributes: false,
        }
    }
}

impl Recipe {
    /// Directories and files with ordinary names and attributes.
    pub fn plain(directories: u64, files: u64) -> Self {
        Self {
            directories,
            files,
            ..Self::default()
        }
    }

    /// Some of everything, with odd names and attributes.
    pub fn odd(directories: u64, files: u64) -> Self {
        Self {
            directories,
            files,
            empty_directories: 5,
            sparse_files: 4,
            symlinks: 40,
            odd_names: true,
            odd_attributes: true,
            ..Self::default()
        }
    }
}

/// What was made below the root, which is not counted itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// Names of regular files.
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
    pub specials: u64,
    /// Sum of the sizes of all names of files, holes included.
    pub bytes: u64,
}

impl Made {
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.symlinks + self.specials
    }
}

/// Makes the tree in `root`, which is created if need be and should be empty.
pub fn make(root: &Path, recipe: &Recipe, seed: u64) -> io::Result<Made> {
    fs::create_dir_all(root)?;
    maker::Maker::new(root, recipe, seed).make()
}

#[cfg(test)]
mod tests;
