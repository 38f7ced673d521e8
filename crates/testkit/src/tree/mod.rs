//! Source trees made from a recipe and a seed, with counts that are known before anything looks at them.
//!
//! The same recipe and seed give the same names, content, modes, owners and times everywhere; what a file system or a
//! plain user cannot have (owners, devices, times out of its range) is left as it comes or out. Nothing is counted by reading the tree
//! back: [`Made`] adds up what was created, and a test here checks that against an independent walk.

mod attributes;
mod chain;
mod content;
mod extended;
mod maker;
mod many;
mod names;
mod places;
mod vast;

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;

pub use chain::make_deep;
pub use many::{Many, make_many};
pub use names::odd_names;
pub use vast::{Vast, make_vast};

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
    /// Files with space that was asked for and never written.
    pub preallocated_files: u64,
    pub big_files: u64,
    pub big_file_bytes: u64,
    /// Further names of files made before.
    pub hard_links: u64,
    pub symlinks: u64,
    /// Further names of symlinks made before.
    pub symlink_hard_links: u64,
    /// Length of the longest link target: ext4 and tmpfs take 4,095 bytes, xfs 1,023.
    pub longest_target_bytes: usize,
    /// FIFOs and sockets, in turn.
    pub specials: u64,
    /// Character and block devices, in turn, which only root can make.
    pub devices: u64,
    /// Further names of FIFOs, sockets and devices made before.
    pub special_hard_links: u64,
    /// Levels of a chain of directories with names of 255 bytes, one file in the last: with 17, its path is longer
    /// than PATH_MAX.
    pub chain: u64,
    /// Names of any bytes, among them all of [`odd_names`] where there are as many entries.
    pub odd_names: bool,
    /// Names drawn from any bytes and lengths, for all that get no odd one.
    pub random_names: bool,
    /// Unusual modes, owners and times.
    pub odd_attributes: bool,
    /// Among unusual times those before 1901 and after 2446, which tmpfs and btrfs hold, ext4 and xfs do not.
    pub distant_times: bool,
    /// Attributes of users on files and directories; where root makes the tree, `trusted.*` and `security.*` on
    /// entries of every kind.
    pub extended_attributes: bool,
    /// Length of the longest value: ext4 takes some 4,000 bytes for all of an entry, xfs 65,536.
    pub longest_value_bytes: usize,
    /// Rights of named users and groups; default ACLs on directories.
    pub acls: bool,
    /// Capabilities on some files, which only root can give.
    pub capabilities: bool,
    /// All belongs to this user and the group of the same number, and is what such a user can make and read.
    pub plain_user: Option<u32>,
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
            preallocated_files: 0,
            big_files: 0,
            big_file_bytes: 20 << 20,
            hard_links: 0,
            symlinks: 0,
            symlink_hard_links: 0,
            longest_target_bytes: 1_000,
            specials: 0,
            devices: 0,
            special_hard_links: 0,
            chain: 0,
            odd_names: false,
            random_names: false,
            odd_attributes: false,
            distant_times: false,
            extended_attributes: false,
            longest_value_bytes: 3_000,
            acls: false,
            capabilities: false,
            plain_user: None,
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

    /// Some of everything that ext4, xfs, btrfs and tmpfs can all hold, cp and rsync can copy and they can judge: no
    /// path longer than a call takes, no time out of range.
    pub fn full() -> Self {
        Self {
            sparse_files: 5,
            preallocated_files: 3,
            big_files: 1,
            big_file_bytes: (2 << 20) + 1,
            hard_links: 10,
            symlink_hard_links: 4,
            specials: 6,
            devices: 5,
            special_hard_links: 5,
            random_names: true,
            extended_attributes: true,
            acls: true,
            capabilities: true,
            ..Self::odd(70, 200)
        }
    }
}

/// What was made below the root, which is not counted itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// Names of regular files.
    pub files: u64,
    pub directories: u64,
    /// Names of symlinks.
    pub symlinks: u64,
    /// Names of FIFOs, sockets and devices.
    pub specials: u64,
    /// Sum of the sizes of all names of files, holes included.
    pub bytes: u64,
}

impl Made {
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.symlinks + self.specials
    }
}

/// What so many threads make together, each until it has nothing left to make.
fn made_by(threads: usize, make: impl Fn() -> io::Result<Made> + Sync) -> io::Result<Made> {
    let parts: Vec<io::Result<Made>> = thread::scope(|scope| {
        let makers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(&make)).collect();
        makers
            .into_iter()
            .map(|maker| maker.join().expect("making entries does not panic"))
            .collect()
    });
    let mut sum = Made::default();
    for made in parts {
        let made = made?;
        sum.files += made.files;
        sum.directories += made.directories;
        sum.symlinks += made.symlinks;
        sum.specials += made.specials;
        sum.bytes += made.bytes;
    }
    Ok(sum)
}

/// Makes the tree in `root`, which is created if need be and should be empty.
pub fn make(root: &Path, recipe: &Recipe, seed: u64) -> io::Result<Made> {
    fs::create_dir_all(root)?;
    maker::Maker::new(root, recipe, seed).make()
}

#[cfg(test)]
mod tests;
