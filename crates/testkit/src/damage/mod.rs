//! What may be wrong with a copy, and what may lie in its way: done to a tree by a seed.
//!
//! The same tree, damages and seed give the same tree again, but for the times of entries that were damaged and of
//! directories; extra entries have set times. Whoever makes two trees alike and damages them alike can give one to each of two
//! tools.

mod apply;
mod entry;
mod replace;

use std::io;
use std::path::{Path, PathBuf};

/// One thing that can be done to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Damage {
    /// Another byte in a file, and a later time.
    Content,
    /// A file longer by one byte, of the same time.
    Size,
    Mode,
    /// Only where entries may belong to others.
    Owner,
    Time,
    /// Extended attributes taken away, and one that should not be there.
    Attributes,
    /// Other rights of other users.
    AccessAcl,
    /// What is created in a directory gets rights that it should not have.
    DefaultAcl,
    /// An entry of another kind in its place: directories, some of them not empty, files, FIFOs and links.
    Kind,
    /// A link in its place that leads to an entry of the same kind outside the tree.
    OutsideLink,
    Missing,
    /// One of several names of a file became a file of its own.
    Split,
    /// Two files became one of two names.
    Joined,
    /// Entries that the source has not, in a directory.
    Extra,
}

impl Damage {
    pub const ALL: [Self; 14] = [
        Self::Content,
        Self::Size,
        Self::Mode,
        Self::Owner,
        Self::Time,
        Self::Attributes,
        Self::AccessAcl,
        Self::DefaultAcl,
        Self::Kind,
        Self::OutsideLink,
        Self::Missing,
        Self::Split,
        Self::Joined,
        Self::Extra,
    ];
}

/// What is done to a tree.
#[derive(Debug, Clone)]
pub struct Damages {
    /// About every other entry gets one of these that its kind can have.
    pub kinds: Vec<Damage>,
    pub seed: u64,
    /// An existing directory that links lead to: with a file `file` and a directory `directory`.
    pub outside: PathBuf,
    /// Whose the tree is, where it is not root's: all that is made belongs to this user and group.
    pub plain_user: Option<u32>,
}

/// Damages the tree; how many entries were damaged.
pub fn damage(root: &Path, damages: &Damages) -> io::Result<u64> {
    apply::Damager::new(root, damages).apply()
}

#[cfg(test)]
mod tests;
