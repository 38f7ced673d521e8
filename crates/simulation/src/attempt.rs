//! An attempt at an item, in steps. It decides what to change next, asks its fence, and changes it a moment
//! later; what lies between is where a worker may freeze.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Counters, Epoch, Failure, FailureClass, HashRange, ItemId, Outcome, Purpose, RelPath,
    SkipReason, TaskId, Work,
};
use worker::lease::{Cancel, ItemFence, LeaseClock};

use crate::broken::Rule;
use crate::excluded::Excluded;
use crate::lister::{HUGE_FROM, Lister};
use crate::message::Grant;
use crate::ranges::{Opened, Parts, Write};
use crate::share::Offer;
use crate::tree::{Name, Temp, Tree};

/// A change to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Get ready at the roots.
    Open,
    Enter(usize),
    Create(usize),
    /// A block of a huge file.
    Write(Write),
    Publish(usize),
    /// Attributes, or the end of the task.
    Touch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Say what the roots are.
    Agree,
    /// Ask for what earlier attempts handed over, from this one on.
    AskForChildren(u64),
    Act(Action),
    /// Ask where ranges stand that others have; all of them, if the file is given up.
    TakeBack(Vec<ItemId>, bool),
    HandIn,
    /// What it is for can't be done by it.
    GiveUp,
}

/// How a change went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Went {
    Well,
    /// A file has its final name.
    Published,
    TargetFull,
    /// Its temp is gone: a later attempt was here.
    Superseded,
    /// The target is not what it was when the task began.
    NoMarker,
    /// It must not be so.
    Wrong(String),
}

#[derive(Debug)]
pub struct Attempt {
    pub task: TaskId,
    pub item: ItemId,
    pub epoch: Epoch,
    pub fence: ItemFence,
    pub cancel: Arc<Cancel>,
    work: Work,
    broken: Option<Rule>,
    /// It takes its item apart.
    pub is_split: bool,
    may_be_tried_again: bool,
    failures: Vec<Failure>,
    /// What it leaves to others by name.
    pub again: Vec<RelPath>,
    ancestors: Vec<ItemId>,
    is_first_of_task: bool,
    is_open: bool,
    pub has_agreed: bool,
    is_listed: bool,
    /// Handed over by earlier attempts.
    pub excluded: Excluded,
    /// Pages of children that are still to be asked for, from this one on.
    pub children_from: Option<u64>,
    pub todo: Vec<usize>,
    /// Huge directories, of which some names are not begun.
    pub listers: Vec<Lister>,
    files: Vec<usize>,
    /// Created and not published.
    pub temp: Option<usize>,
    /// Of that, if it is huge.
    pub parts: Option<Parts>,
    /// If it is for one: what it has to write.
    pub range: Option<Opened>,
    is_touched: bool,
    /// What it is about to ask its fence for.
    pub planned: Option<Action>,
    /// What the fence let pass, and when it was asked.
    pub pending: Option<(Action, u64)>,
    pub is_wanted: bool,
    /// What it has asked the server to take.
    pub offered: Offer,
    pub counters: Counters,
    vanished: u64,
    /// Which version it says that each file has now.
    claims: BTreeMap<usize, u64>,
}

impl Tree {
    /// Whether the change needs a file to be read that kills who reads it.
    pub fn kills(&self, action: Action) -> bool {
        let read = match action {
            Action::Create(file) if self.files[file].blocks == 1 => file,
            Action::Write(Write { file, .. }) => file,
            _ => return false,
        };
        self.poison == Some(read) && self.files[read].version.is_some()
    }
}

impl Attempt {
    /// `granted_from`: see [`worker::lease::granted_from`].
    pub fn new(
        grant: Grant,
        clock: &Arc<LeaseClock>,
        granted_from: u64,
        broken: Option<Rule>,
    ) -> Self {
        let cancel = Arc::new(Cancel::default());
        Self {
            task: grant.task,
            item: grant.item,
            epoch: grant.epoch,
            fence: ItemFence::new(clock.clone(), granted_from, cancel.clone()),
            cancel,
            work: grant.work,
            broken,
            is_split: grant.is_split,
            may_be_tried_again: grant.may_be_tried_again,
            failures: Vec::new(),
            again: Vec::new(),
            ancestors: grant.ancestors,
            is_first_of_task: !grant.is_task_begun,
            is_open: false,
            has_agreed: grant.is_task_begun,
            is_listed: false,
            excluded: Excluded::default(),
            children_from: grant.has_children.then_some(0),
            todo: Vec::new(),
            listers: Vec::new(),
            files: Vec::new(),
            temp: None,
            parts: None,
            range: None,
            is_touched: false,
            planned: None,
            pending: None,
            is_wanted: false,
            offered: Offer::default(),
            counters: Counters::default(),
            vanished: 0,
            claims: BTreeMap::new(),
        }
    }

    fn purpose(&self) -> Purpose {
        match &self.work {
            Work::Walk { purpose, .. } => *purpose,
            Work::Entries(_) | Work::Shard { .. } | Work::Range(_) => Purpose::Copy,
            other => panic!("no task here has {other:?}"),
        }
    }

    /// A page of what earlier attempts handed over.
    pub fn leave_out(&mut self, page: &[(ItemId, Work)], tree: &Tree) {
        self.excluded.add(page, tree, self.broken);
    }

    /// What to do next. The source is looked at here, the target changed later.
    pub fn next(&mut self, tree: &mut Tree) -> Next {
        if !self.is_open {
            return Next::Act(Action::Open);
        }
        if !self.has_agreed {
            return Next::Agree;
        }
        if let Some(from) = self.children_from {
            return Next::AskForChildren(from);
        }
        if let Work::Range(range) = self.work.clone() {
            return self.next_of_range(&range, tree);
        }
        match (self.purpose(), self.is_touched) {
            (Purpose::Copy, _) => self.next_to_copy(tree),
            (_, true) => Next::HandIn,
            (_, false) => Next::Act(Action::Touch),
        }
    }

    fn next_to_copy(&mut self, tree: &mut Tree) -> Next {
        if !self.is_listed {
            self.is_listed = true;
            self.list_own(tree);
        }
        if let Some(file) = self.temp {
            let temp = tree.temps.get(&self.temp_of(file));
            let copied = temp.map(|temp| temp.version);
            if let Some(next) = self.next_part(file, tree) {
                return next;
            }
            if copied.is_none() || tree.files[file].version == copied {
                return Next::Act(Action::Publish(file));
            }
            // It has changed or vanished since: again.
            self.drop_temp(tree);
            self.files.push(file);
        }
        while let Some(file) = self.files.pop() {
            match (tree.files[file].version, tree.finals.get(&file)) {
                (None, _) => self.note_vanished(),
                (Some(version), Some(there)) if *there == version => {
                    self.counters.unchanged += 1;
                    self.claims.insert(file, version);
                }
                _ => return Next::Act(Action::Create(file)),
            }
        }
        while let Some(lister) = self.listers.last_mut() {
            match lister.take(tree) {
                None => {
                    self.listers.pop();
                }
                Some(name) => {
                    self.meet(name, tree);
                    return self.next_to_copy(tree);
                }
            }
        }
        match self.todo.pop() {
            Some(directory) => Next::Act(Action::Enter(directory)),
            None => Next::HandIn,
        }
    }

    fn next_part(&mut self, file: usize, tree: &Tree) -> Option<Next> {
        let broken = self.broken;
        let next = self.parts.as_mut()?.next(file, tree, broken);
        if next.is_none() {
            self.parts = None;
        }
        next
    }

    fn list_huge(&mut self, directory: usize, range: HashRange, tree: &Tree) {
        let mut lister = Lister::new(directory, range, &self.excluded, tree);
        if self.broken == Some(Rule::ShardsAbove) {
            lister.forget_others();
        }
        self.listers.push(lister);
    }

    fn list_own(&mut self, tree: &Tree) {
        let paths = match self.work.clone() {
            Work::Walk { directories, .. } => directories,
            Work::Entries(paths) => paths,
            Work::Shard { directory, range } => {
                return self.list_huge(tree.directory(&directory), range, tree);
            }
            _ => return,
        };
        let has_several = paths.len() > 1;
        for path in paths {
            let file = tree.file(&path);
            if self.is_split && has_several && !self.excluded.has_within(&path, tree) {
                self.leave(path);
            } else if let Some(file) = file {
                self.counters.listed += 1;
                self.files.push(file);
            } else if path.is_root() {
                self.todo.push(tree.directory(&path));
            } else {
                self.list_directory(tree.directory(&path));
            }
        }
    }

    fn leave(&mut self, path: RelPath) {
        self.counters.listed += 1;
        self.counters.deferred += 1;
        self.again.push(path);
    }

    fn list_directory(&mut self, directory: usize) {
        self.counters.listed += 1;
        if self.excluded.has_directory(directory) {
            self.counters.deferred += 1;
        } else {
            self.counters.copied += 1;
            self.todo.push(directory);
        }
    }

    pub fn act(&mut self, action: Action, tree: &mut Tree, leaves_temps: bool) -> Went {
        match action {
            Action::Open => {
                if !leaves_temps {
                    self.clear_beside_entries(tree);
                }
                return self.open(tree);
            }
            Action::Touch => {
                self.is_touched = true;
                if self.purpose() == Purpose::Close {
                    tree.has_marker = false;
                }
            }
            Action::Enter(directory) => self.enter(directory, tree, leaves_temps),
            Action::Create(_) | Action::Write(_) if tree.is_full => return Went::TargetFull,
            Action::Create(file) if tree.fails(file) => self.fail(file, tree),
            Action::Create(file) => match tree.files[file].version {
                None => self.note_vanished(),
                Some(version) => {
                    let made = tree.create(self.temp_of(file), version);
                    self.temp = Some(file);
                    let blocks = tree.files[file].blocks;
                    self.parts = (blocks > 1).then(|| Parts::new(made, blocks));
                }
            },
            Action::Write(write) => return self.write(write, tree),
            Action::Publish(file) => {
                self.temp = None;
                return self.publish(file, tree);
            }
        }
        Went::Well
    }

    /// Earlier attempts may have left something in the directories that have the entries, or the shard; others are at
    /// work there.
    fn clear_beside_entries(&self, tree: &mut Tree) {
        let directories: Vec<RelPath> = match &self.work {
            Work::Entries(paths) => {
                let parents = paths.iter().filter_map(RelPath::split_last);
                parents.map(|(parent, _)| parent).collect()
            }
            Work::Shard { directory, .. } => vec![directory.clone()],
            _ => return,
        };
        let (item, epoch) = (self.item, self.epoch);
        for directory in directories {
            let directory = tree.directory(&directory);
            tree.remove_temps(directory, |temp| temp.item == item && temp.epoch < epoch);
        }
    }

    fn open(&mut self, tree: &mut Tree) -> Went {
        self.is_open = true;
        let may_be_gone = self.purpose() == Purpose::Close && self.epoch > Epoch(1);
        if self.is_first_of_task {
            tree.has_marker = true;
        } else if !tree.has_marker && !may_be_gone {
            return Went::NoMarker;
        }
        Went::Well
    }

    /// For a reason that may go away.
    fn fail(&mut self, file: usize, tree: &Tree) {
        let path = tree.file_path(file);
        if self.may_be_tried_again {
            match self.broken {
                Some(Rule::LeftAndFailed) => self.counters.failed += 1,
                _ => self.counters.deferred += 1,
            }
            return self.again.push(path);
        }
        self.counters.failed += 1;
        self.failures.push(Failure {
            path,
            class: FailureClass::Retry,
            error: "cannot read: Input/output error".to_owned(),
        });
    }

    fn write(&self, write: Write, tree: &mut Tree) -> Went {
        let version = match self.broken {
            // Nothing is written of what is not there any more.
            Some(Rule::ReadAfterFence) => tree.files[write.file].version,
            _ => Some(write.version),
        };
        let Some(version) = version else {
            return Went::Well;
        };
        match tree.write(Write { version, ..write }) {
            Ok(()) => Went::Well,
            Err(wrong) => Went::Wrong(wrong),
        }
    }

    fn publish(&mut self, file: usize, tree: &mut Tree) -> Went {
        match tree.publish(self.temp_of(file)) {
            Err(wrong) => Went::Wrong(wrong),
            Ok(None) => Went::Superseded,
            Ok(Some(version)) => {
                self.claims.insert(file, version);
                self.counters.copied += 1;
                self.counters.copied_files += 1;
                Went::Published
            }
        }
    }

    fn enter(&mut self, directory: usize, tree: &mut Tree, leaves_temps: bool) {
        tree.enter(directory, |temp| {
            let is_earlier = temp.item == self.item && temp.epoch < self.epoch;
            !leaves_temps && (is_earlier || self.ancestors.contains(&temp.item))
        });
        let names = tree.names_in(directory, HashRange::ALL);
        if names.len() > HUGE_FROM || self.excluded.has_shards_of(directory) {
            return self.list_huge(directory, HashRange::ALL, tree);
        }
        for (_, name) in names {
            self.meet(name, tree);
        }
    }

    /// A name in a directory that was read.
    fn meet(&mut self, name: Name, tree: &mut Tree) {
        match name {
            Name::File(file) if self.is_split => self.leave(tree.file_path(file)),
            Name::File(file) => {
                self.counters.listed += 1;
                self.files.push(file);
            }
            Name::Directory(below) => {
                let path = &tree.directories[below].path;
                if self.is_split && !self.excluded.has_within(path, tree) {
                    return self.leave(path.clone());
                }
                // Those that others will enter are there before they come.
                tree.made.insert(below);
                self.list_directory(below);
            }
        }
    }

    fn note_vanished(&mut self) {
        self.counters.skipped += 1;
        self.vanished += 1;
    }

    pub fn temp_of(&self, file: usize) -> Temp {
        Temp {
            item: self.item,
            epoch: self.epoch,
            file,
        }
    }

    /// What it has not published is removed.
    pub fn drop_temp(&mut self, tree: &mut Tree) {
        self.parts = None;
        if let Some(file) = self.temp.take() {
            tree.temps.remove(&self.temp_of(file));
        }
    }

    /// What it says that it did, and which version it says that each file has.
    pub fn outcome(&self) -> (Outcome, BTreeMap<usize, u64>) {
        let mut outcome = Outcome {
            counters: self.counters,
            failures: self.failures.clone(),
            ..Outcome::default()
        };
        if self.vanished > 0 {
            outcome.skipped.insert(SkipReason::Vanished, self.vanished);
        }
        (outcome, self.claims.clone())
    }
}
