//! A huge file, copied in blocks: by the attempt that met it, its owner, and by those to whom the owner hands ranges of it
//! over (decision 0029).

use std::collections::VecDeque;

use model::{FileIdentity, ItemId, RangeState, RangeWork, Work};

use crate::attempt::{Action, Attempt, Next};
use crate::broken::Rule;
use crate::tree::{Temp, Tree, Unfinished};

/// Blocks of a range; each is written by itself.
pub const RANGE_BLOCKS: usize = 2;

/// A block that is to be written, with what was read for it: before the fence is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    pub file: usize,
    pub inode: u64,
    pub block: usize,
    pub version: u64,
}

/// What an owner has of its file.
#[derive(Debug)]
pub struct Parts {
    /// As it was when its copy was begun.
    version: u64,
    inode: u64,
    /// Blocks that nobody has begun.
    todo: VecDeque<usize>,
    /// What other items have, by the first of their blocks.
    handed_over: Vec<(ItemId, usize)>,
    is_given_up: bool,
}

impl Parts {
    pub fn new(made: Unfinished, blocks: usize) -> Self {
        Self {
            version: made.version,
            inode: made.inode,
            todo: (0..blocks).collect(),
            handed_over: Vec::new(),
            is_given_up: false,
        }
    }

    /// What is to be done before all of it is written, or before it is given up.
    pub fn next(&mut self, file: usize, tree: &Tree, broken: Option<Rule>) -> Option<Next> {
        if tree.files[file].version != Some(self.version) {
            self.is_given_up = true;
            self.todo.clear();
        }
        if let Some(block) = self.todo.pop_front() {
            return Some(Next::Act(Action::Write(Write {
                file,
                inode: self.inode,
                block,
                version: self.version,
            })));
        }
        if self.handed_over.is_empty() || broken == Some(Rule::RangesNotAwaited) {
            return None;
        }
        let ranges = self.handed_over.iter().map(|(range, _)| *range);
        Some(Next::TakeBack(ranges.collect(), self.is_given_up))
    }

    /// About half of the ranges of which nothing is begun, from the end.
    pub fn unbegun(&self) -> Vec<usize> {
        let is_whole = |first: &usize| {
            let mut blocks = *first..*first + RANGE_BLOCKS;
            blocks.all(|block| self.todo.contains(&block))
        };
        let firsts = self.todo.iter().copied();
        let firsts = firsts.filter(|block| block.is_multiple_of(RANGE_BLOCKS));
        let whole: Vec<usize> = firsts.filter(is_whole).collect();
        whole[whole.len() / 2..].to_vec()
    }

    pub fn handed_over(&mut self, ranges: Vec<(ItemId, usize)>) {
        for (_, first) in &ranges {
            let blocks = *first..*first + RANGE_BLOCKS;
            self.todo.retain(|block| !blocks.contains(block));
        }
        self.handed_over.extend(ranges);
    }

    /// Where those stand that it asked for; how many are its own again.
    fn settle(&mut self, asked: &[ItemId], states: &[RangeState]) -> u64 {
        let mut back = 0;
        for (range, state) in asked.iter().zip(states) {
            let Some(at) = self.handed_over.iter().position(|(id, _)| id == range) else {
                continue;
            };
            if *state == RangeState::Leased {
                continue;
            }
            let (_, first) = self.handed_over.remove(at);
            if *state == RangeState::TakenBack {
                back += 1;
                if !self.is_given_up {
                    self.todo.extend(first..first + RANGE_BLOCKS);
                }
            }
        }
        back
    }

    /// Others are at work, and it has nothing else to do.
    fn only_waits(&self) -> bool {
        self.todo.is_empty() && !self.handed_over.is_empty()
    }
}

/// What an attempt at a range knows of it, once it has opened both files.
#[derive(Debug)]
pub struct Opened {
    file: usize,
    version: u64,
    inode: u64,
    blocks: VecDeque<usize>,
}

impl Opened {
    /// None: the source has changed, or what it is to be written into is gone or another file.
    fn new(work: &RangeWork, tree: &Tree) -> Option<Self> {
        let file = tree.file(&work.file)?;
        let temp = tree.temp_named(&work.temp)?;
        let version = u64::try_from(work.identity.modified_ns).ok()?;
        let is_as_it_was = tree.files[file].version == Some(version);
        if !is_as_it_was || temp.inode != work.temp_inode {
            return None;
        }
        let first = work.offset as usize;
        Some(Self {
            file,
            version,
            inode: temp.inode,
            blocks: (first..first + work.length as usize).collect(),
        })
    }
}

impl Attempt {
    pub fn next_of_range(&mut self, work: &RangeWork, tree: &Tree) -> Next {
        if self.range.is_none() {
            self.range = Opened::new(work, tree);
        }
        let Some(opened) = &mut self.range else {
            return Next::GiveUp;
        };
        let now = tree.files[opened.file].version;
        match (opened.blocks.pop_front(), now) {
            // Of a file that changed meanwhile what it has now is read, and found out at the end.
            (Some(block), Some(version)) => Next::Act(Action::Write(Write {
                file: opened.file,
                inode: opened.inode,
                block,
                version,
            })),
            (None, Some(version)) if version == opened.version => Next::HandIn,
            _ => Next::GiveUp,
        }
    }

    /// The ranges of its file that are offered to others.
    pub fn unbegun_ranges(&self, tree: &Tree) -> Vec<(usize, Work)> {
        let (Some(file), Some(parts)) = (self.temp, &self.parts) else {
            return Vec::new();
        };
        let temp = self.temp_of(file);
        let work = |first: usize| {
            Work::Range(RangeWork {
                file: tree.file_path(file),
                identity: FileIdentity {
                    inode: file as u64,
                    size: tree.files[file].blocks as u64,
                    modified_ns: parts.version as i64,
                    changed_ns: 0,
                },
                temp: temp.name(),
                temp_inode: parts.inode,
                offset: first as u64,
                length: RANGE_BLOCKS as u64,
            })
        };
        let firsts = parts.unbegun().into_iter();
        firsts.map(|first| (first, work(first))).collect()
    }

    /// Whether it has nothing to do but wait, and how many ranges it got back.
    pub fn settle(&mut self, asked: &[ItemId], states: &[RangeState]) -> (bool, u64) {
        let Some(parts) = &mut self.parts else {
            return (false, 0);
        };
        let back = parts.settle(asked, states);
        (parts.only_waits(), back)
    }
}

impl Temp {
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.item, self.epoch.0, self.file)
    }
}
