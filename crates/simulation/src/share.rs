//! Handing work over: about half of what is not begun, once somebody wants some.

use model::{ItemId, Purpose, Work};

use crate::attempt::Attempt;
use crate::broken::Rule;
use crate::lister::{Cut, Lister};
use crate::message::Request;
use crate::tree::Tree;
use crate::worker::Key;
use crate::world::World;

/// Items that directories of one hand-over make, at most.
const ITEMS: usize = 3;

/// What is offered to others, and forgotten only when it is taken.
#[derive(Debug, Default)]
pub struct Offer {
    directories: Vec<usize>,
    cuts: Vec<Cut>,
    /// Of a huge file, by their first blocks.
    ranges: Vec<(usize, Work)>,
    /// Their items.
    children: Vec<ItemId>,
}

impl Offer {
    fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.cuts.is_empty() && self.ranges.is_empty()
    }

    fn works(&self, tree: &Tree) -> Vec<Work> {
        let shards = self.cuts.iter().flat_map(|cut| cut.works(tree));
        let each = self.directories.len().div_ceil(ITEMS).max(1);
        let walks = self.directories.chunks(each).map(|directories| Work::Walk {
            directories: directories
                .iter()
                .map(|directory| tree.directories[*directory].path.clone())
                .collect(),
            purpose: Purpose::Copy,
        });
        let ranges = self.ranges.iter().map(|(_, range)| range.clone());
        ranges.chain(shards).chain(walks).collect()
    }
}

impl World<'_> {
    /// Whether the attempt asks the server to take something.
    pub fn shares(&mut self, worker: usize, key: Key) -> bool {
        let shares_above = self.broken == Some(Rule::SharedAbove);
        let is_all_wanted = self.random.chance(400);
        let Some(attempt) = self.workers[worker].attempt(key) else {
            return false;
        };
        let tree = &self.trees[&attempt.task];
        let offer = match attempt.is_split {
            true => attempt.unread(tree),
            false if attempt.is_wanted => attempt.unbegun(tree, is_all_wanted, shares_above),
            false => return false,
        };
        if offer.is_empty() {
            return false;
        }
        attempt.is_wanted = false;
        let works = offer.works(tree).into_iter();
        let children: Vec<(ItemId, Work)> = works
            .map(|work| (ItemId::from_random(self.random.next()), work))
            .collect();
        attempt.offered = Offer {
            children: children.iter().map(|(child, _)| *child).collect(),
            ..offer
        };
        for (_, work) in &children {
            match work {
                Work::Shard { .. } => self.fired.shards_handed_over += 1,
                Work::Range(_) => self.fired.ranges_handed_over += 1,
                _ => {}
            }
        }
        self.ask(worker, key, Request::Split(key.0, key.1, children));
        true
    }
}

impl Attempt {
    /// Half of the directories, nearest the root first, and of each huge one the upper half of its names, or all. What lies
    /// above something that was handed over before is kept: its taker would do that once more. Where there is none of these:
    /// ranges of a huge file.
    fn unbegun(&self, tree: &Tree, is_all_wanted: bool, shares_above: bool) -> Offer {
        let is_above = |directory: &usize| {
            let path = &tree.directories[*directory].path;
            self.excluded.has_within(path, tree)
        };
        let mut directories = self.todo.clone();
        directories.retain(|directory| shares_above || !is_above(directory));
        directories.truncate(directories.len() / 2);
        let cut = |lister: &Lister| lister.cut_for_others(is_all_wanted, tree);
        let offer = Offer {
            directories,
            cuts: self.listers.iter().filter_map(cut).collect(),
            ..Offer::default()
        };
        match offer.is_empty() {
            true => Offer {
                ranges: self.unbegun_ranges(tree),
                ..offer
            },
            false => offer,
        }
    }

    /// Where all is left to others: what can't be left by name, since it has not been read.
    fn unread(&self, tree: &Tree) -> Offer {
        let unread = self.listers.last().filter(|lister| lister.is_unread());
        Offer {
            cuts: unread
                .and_then(|lister| lister.cut_for_others(true, tree))
                .into_iter()
                .collect(),
            ..Offer::default()
        }
    }

    /// What it offered is others' now.
    pub fn hand_over(&mut self) {
        let Offer {
            directories,
            cuts,
            ranges,
            children,
        } = std::mem::take(&mut self.offered);
        if let Some(parts) = &mut self.parts {
            let firsts = ranges.iter().map(|(first, _)| *first);
            parts.handed_over(children.into_iter().zip(firsts).collect());
        }
        self.todo
            .retain(|directory| !directories.contains(directory));
        self.counters.copied -= directories.len() as u64;
        self.counters.deferred += directories.len() as u64;
        for cut in cuts {
            let mut listers = self.listers.iter_mut();
            if let Some(lister) = listers.find(|lister| lister.directory == cut.directory) {
                lister.leave_to_others(&cut);
            }
        }
    }
}
