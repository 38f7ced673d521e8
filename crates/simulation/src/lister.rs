//! A huge directory that is being walked: its names are taken in the order of their hashes, of which what is not begun
//! can be cut off at any moment.

use std::collections::VecDeque;

use model::{HashRange, Work};

use crate::excluded::Excluded;
use crate::tree::{Name, Tree};

/// With more names a directory is huge.
pub const HUGE_FROM: usize = 8;
/// Names that are held at once: when they are used up, the directory is read again.
const HELD: usize = 5;
/// Names that are worth an item.
const LEAST_NAMES: usize = 2;
/// Shards that one directory is cut into at once.
const MOST_SHARDS: usize = 3;

#[derive(Debug)]
pub struct Lister {
    pub directory: usize,
    /// Hashes that are not begun.
    left: Option<HashRange>,
    /// Up to this hash something is another's already, at or below some name.
    others_to: Option<u64>,
    held: VecDeque<(u64, Name)>,
    /// The last hash whose names are held.
    held_to: u64,
}

/// Where unbegun names are cut: whose hashes these are is others'.
#[derive(Debug, Clone)]
pub struct Cut {
    pub directory: usize,
    others: HashRange,
    shards: Vec<HashRange>,
}

impl Lister {
    /// `range`: those of its names that the item is for. None: all of them are others'.
    pub fn new(directory: usize, range: HashRange, excluded: &Excluded, tree: &Tree) -> Self {
        let mut lister = Self {
            directory,
            left: excluded.left_of(directory, range),
            others_to: excluded.highest_in(directory, tree),
            held: VecDeque::new(),
            held_to: 0,
        };
        lister.read(tree);
        lister
    }

    /// As if nothing below its names were another's.
    pub fn forget_others(&mut self) {
        self.others_to = None;
    }

    fn read(&mut self, tree: &Tree) {
        let Some(left) = self.left else {
            return;
        };
        let mut names = tree.names_in(self.directory, left);
        self.held_to = match names.get(HELD) {
            Some((beyond, _)) => beyond - 1,
            None => left.to(),
        };
        names.truncate(HELD);
        self.held = names.into();
        self.begun();
    }

    /// Up to the first name that is held all is begun.
    fn begun(&mut self) {
        let begun = match self.held.front() {
            Some((next, _)) => Some(*next),
            None => self.held_to.checked_add(1),
        };
        self.left = self
            .left
            .zip(begun)
            .and_then(|(left, next)| left.since(next));
    }

    /// What it would go on with has to be read first.
    pub fn is_unread(&self) -> bool {
        self.held.is_empty() && self.left.is_some()
    }

    /// The next name. None: that was all.
    pub fn take(&mut self, tree: &Tree) -> Option<Name> {
        while self.is_unread() {
            self.read(tree);
        }
        let (_, name) = self.held.pop_front()?;
        self.begun();
        Some(name)
    }

    /// What others may have: of what is left the upper half of that, or all of it.
    pub fn cut_for_others(&self, is_all_wanted: bool, tree: &Tree) -> Option<Cut> {
        let left = self.left?;
        let free = match self.others_to {
            Some(hash) => left.since(hash.checked_add(1)?)?,
            None => left,
        };
        let others = match is_all_wanted {
            true => free,
            false => free.since(left.middle())?,
        };
        let names = tree.names_in(self.directory, others).len();
        if names < LEAST_NAMES && !is_all_wanted {
            return None;
        }
        Some(Cut {
            directory: self.directory,
            others,
            shards: others.parts((names / LEAST_NAMES).clamp(1, MOST_SHARDS)),
        })
    }

    /// They are others' now.
    pub fn leave_to_others(&mut self, cut: &Cut) {
        let from = cut.others.from();
        self.held.retain(|(hash, _)| *hash < from);
        self.left = self.left.and_then(|left| left.before(from));
        self.held_to = self.held_to.min(from.saturating_sub(1));
    }
}

impl Cut {
    pub fn works(&self, tree: &Tree) -> Vec<Work> {
        let shards = self.shards.iter().map(|range| Work::Shard {
            directory: tree.directories[self.directory].path.clone(),
            range: *range,
        });
        shards.collect()
    }
}
