//! One directory at the target, from its making to its attributes.
//!
//! A new directory is *staged*: made under a temp name with mode 0700, filled, and published by one
//! rename that never replaces anything: when its files are done, or after [`STAGED_FOR`], so that an attempt that
//! is stopped in a large one leaves what it did. Its attributes are set when nothing changes its own
//! entries any more: when its files are done and its direct sub-directories are published; for
//! a leaf before its own rename. What lies deeper doesn't matter to it, so a node lives no longer
//! than its own entries need.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::{FailureClass, RelPath};
use storage::posix::{Error, Meta, Replace, Xattrs};

use crate::attributes::{self, Creation, Set};
use crate::engine::{Engine, Problem, lock};
use crate::held::Held;
use crate::ledger::{Tally, Verdict};

/// Then entries get temp names, which takes a call more for each, and the directory its final one.
const STAGED_FOR: Duration = Duration::from_secs(10);

/// What a node's directory is to the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A root, or on the way to a listed path: no entry, its attributes are others' business.
    Passage,
    /// An entry with a result and attributes of its own.
    Entry,
}

/// Made by us under a temp name.
pub(crate) struct Stage {
    pub(crate) seq: u64,
    pub(crate) temp: String,
    /// It is to be published in.
    pub(crate) parent: Arc<Node>,
    /// Something else has the final name, and is to be removed.
    pub(crate) replaces: bool,
}

/// How the directory came to be at the target.
pub(crate) enum Origin {
    Staged(Stage),
    /// Made by us under its final name.
    Made,
    /// It was there.
    Existing,
    /// A dry run, and it isn't there.
    Imagined,
}

/// A directory at the target as it was found or made.
pub(crate) struct Made {
    pub(crate) target: Option<Arc<Held>>,
    pub(crate) origin: Origin,
    pub(crate) creation: Creation,
    pub(crate) meta: Option<Meta>,
}

pub(crate) struct Node {
    pub(crate) path: Arc<RelPath>,
    pub(crate) name: CString,
    pub(crate) role: Role,
    /// `None` in a dry run where there is nothing at the target.
    pub(crate) target: Option<Arc<Held>>,
    pub(crate) source_meta: Meta,
    /// Those of the source that are to be kept.
    pub(crate) source_xattrs: Xattrs,
    /// What a creation in here yields.
    pub(crate) creation: Creation,
    /// As it came to be, before its attributes are set.
    pub(crate) made_as: Option<Meta>,
    /// By this process, as far as it made it.
    made_at: Instant,
    /// It came to be by this attempt (in a dry run: would have).
    pub(crate) was_made: bool,
    reach: Arc<Reach>,
    state: Mutex<State>,
}

/// Whether a directory has its final name, and those above it that had none when it was made.
#[derive(Debug)]
pub(crate) struct Reach {
    is_published: AtomicBool,
    above: Option<Arc<Reach>>,
}

impl Reach {
    fn new(is_published: bool, above: Option<&Arc<Reach>>) -> Arc<Self> {
        Arc::new(Self {
            is_published: AtomicBool::new(is_published),
            above: above.filter(|above| !above.is_whole()).map(Arc::clone),
        })
    }

    /// Whether others can find it under its path.
    fn is_whole(&self) -> bool {
        let mut here = Some(self);
        while let Some(reach) = here {
            if !reach.is_published.load(Ordering::Acquire) {
                return false;
            }
            here = reach.above.as_deref();
        }
        true
    }
}

impl Drop for Reach {
    /// One after the other: a tree may be deeper than the stack.
    fn drop(&mut self) {
        let mut next = self.above.take();
        while let Some(Ok(mut reach)) = next.map(Arc::try_unwrap) {
            next = reach.above.take();
        }
    }
}

struct State {
    /// Own entries without a result, and one for the reading of the directory.
    entries: usize,
    /// Sub-directories not yet published.
    sub_directories: usize,
    /// Something was created, replaced or removed in here.
    wrote: bool,
    /// Others will create entries in here.
    is_shared_out: bool,
    attributes_done: bool,
    /// Its mode forbade writing, and was changed until its attributes are set.
    is_opened_up: bool,
    /// Threads that make entries in here under final names, and what is to be synced of these.
    in_stage: usize,
    /// Reading it broke off, with this error.
    unreadable: Option<String>,
    origin: Origin,
    tally: Tally,
}

impl State {
    /// For who gives it its name, one alone; and the results that count with that.
    fn take_staged(&mut self) -> (Option<Stage>, Tally) {
        let tally = std::mem::take(&mut self.tally);
        match std::mem::replace(&mut self.origin, Origin::Made) {
            Origin::Staged(staged) => (Some(staged), tally),
            other => {
                self.origin = other;
                (None, tally)
            }
        }
    }
}

impl Node {
    pub(crate) fn new(
        path: RelPath,
        name: CString,
        role: Role,
        source: (Meta, Xattrs),
        made: Made,
        above: Option<&Arc<Reach>>,
    ) -> Self {
        let Made {
            target,
            origin,
            creation,
            meta,
        } = made;
        let (source_meta, source_xattrs) = source;
        let is_staged = matches!(origin, Origin::Staged(_));
        Self {
            path: Arc::new(path),
            name,
            role,
            target,
            source_meta,
            source_xattrs,
            creation,
            made_as: meta,
            made_at: Instant::now(),
            was_made: !matches!(origin, Origin::Existing),
            reach: Reach::new(!is_staged, above),
            state: Mutex::new(State {
                entries: 1,
                sub_directories: 0,
                wrote: false,
                is_shared_out: false,
                attributes_done: false,
                is_opened_up: false,
                in_stage: 0,
                unreadable: None,
                origin,
                tally: Tally::default(),
            }),
        }
    }

    pub(crate) fn is_published(&self) -> bool {
        self.reach.is_published.load(Ordering::Acquire)
    }

    /// Whether others can find it: it and all above it have their final names.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reach.is_whole()
    }

    pub(crate) fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    /// Entries were listed, whose results will come.
    pub(crate) fn expect(&self, entries: usize, sub_directories: usize) {
        let mut state = lock(&self.state);
        state.entries += entries;
        state.sub_directories += sub_directories;
    }

    /// So many of the expected entries have their results, which are in `tally`.
    pub(crate) fn entries_done(
        &self,
        engine: &Engine,
        n: usize,
        tally: Tally,
        wrote: bool,
    ) -> Result<(), Problem> {
        if n == 0 {
            // By now another thread may have published the directory with the results it had.
            engine.record(tally);
            return Ok(());
        }
        let is_last = {
            let mut state = lock(&self.state);
            state.tally.add(tally);
            state.wrote |= wrote;
            state.entries -= n;
            state.entries == 0
        };
        if is_last {
            self.publish(engine)
        } else {
            Ok(())
        }
    }

    /// Before entries are made in here: whether they get their final names at once, since nobody else sees them. Then
    /// each is whole, or gone, before [`Node::leave_stage`].
    pub(crate) fn enter_stage(&self, engine: &Engine) -> Result<bool, Problem> {
        let is_empty = {
            let mut state = lock(&self.state);
            if !matches!(state.origin, Origin::Staged(_)) {
                return Ok(false);
            }
            if self.made_at.elapsed() < STAGED_FOR {
                state.in_stage += 1;
                return Ok(true);
            }
            state.in_stage == 0
        };
        if is_empty {
            self.publish_early(engine)?;
        }
        Ok(false)
    }

    /// An entry in here has its final name, and is not durable yet; to be ended like the others.
    pub(crate) fn stay_in_stage(&self) {
        lock(&self.state).in_stage += 1;
    }

    pub(crate) fn leave_stage(&self, engine: &Engine) -> Result<(), Problem> {
        let is_last = {
            let mut state = lock(&self.state);
            state.in_stage -= 1;
            state.in_stage == 0 && self.made_at.elapsed() >= STAGED_FOR
        };
        match is_last {
            true => self.publish_early(engine),
            false => Ok(()),
        }
    }

    /// A sub-directory is published, or will never be.
    pub(crate) fn sub_directory_done(&self, engine: &Engine, wrote: bool) -> Result<(), Problem> {
        let is_last = {
            let mut state = lock(&self.state);
            state.wrote |= wrote;
            state.sub_directories -= 1;
            state.sub_directories == 0 && state.entries == 0 && self.is_published()
        };
        if is_last {
            self.complete(engine)
        } else {
            Ok(())
        }
    }

    /// A sub-directory was given to another item.
    pub(crate) fn sub_directory_deferred(&self, engine: &Engine) -> Result<(), Problem> {
        self.mark_shared_out();
        self.sub_directory_done(engine, false)
    }

    /// Some of its names are another item's.
    pub(crate) fn mark_shared_out(&self) {
        lock(&self.state).is_shared_out = true;
    }

    /// Creates an entry in here. Where the mode of a plain user's own directory forbids that, it
    /// is opened up first; its mode is set again with its attributes.
    pub(crate) fn create<T>(
        &self,
        engine: &Engine,
        create: impl Fn() -> Result<T, Error>,
    ) -> Result<T, Error> {
        match create() {
            Err(error) if error.is_refused() && self.open_up(engine) => create(),
            result => result,
        }
    }

    fn open_up(&self, engine: &Engine) -> bool {
        let Ok(Some(target)) = engine.open_held(self.target.as_ref(), &self.path) else {
            return false;
        };
        let mut state = lock(&self.state);
        if !state.is_opened_up && attributes::open_up(engine, &target) {
            state.is_opened_up = true;
            state.wrote = true;
            if self.role == Role::Passage {
                engine.defer_attributes(&self.path);
            }
        }
        state.is_opened_up
    }

    /// Not all of its entries could be read.
    pub(crate) fn mark_unreadable(&self, error: String) {
        lock(&self.state).unreadable = Some(error);
    }

    /// All own entries are done: the directory gets its final name, and what is in it counts.
    fn publish(&self, engine: &Engine) -> Result<(), Problem> {
        let (staged, tally, is_leaf) = {
            let mut state = lock(&self.state);
            let is_leaf = state.sub_directories == 0 && !state.is_shared_out;
            let (staged, tally) = state.take_staged();
            (staged, tally, is_leaf)
        };
        if let Some(staged) = staged {
            if is_leaf {
                self.complete(engine)?;
            }
            return self.take_name(engine, staged, tally);
        }
        engine.record(tally);
        let is_complete = lock(&self.state).sub_directories == 0;
        match is_complete {
            true => self.complete(engine),
            false => Ok(()),
        }
    }

    /// All that is in it is whole, and there is more to come.
    fn publish_early(&self, engine: &Engine) -> Result<(), Problem> {
        let (staged, tally) = lock(&self.state).take_staged();
        match staged {
            Some(staged) => self.take_name(engine, staged, tally),
            None => {
                engine.record(tally);
                Ok(())
            }
        }
    }

    fn take_name(&self, engine: &Engine, stage: Stage, tally: Tally) -> Result<(), Problem> {
        let Stage {
            seq,
            temp,
            parent,
            replaces,
        } = stage;
        engine.check_fence()?;
        let Some(into) = engine.open_held(parent.target.as_ref(), &parent.path)? else {
            return Ok(());
        };
        // Whatever goes wrong here concerns all that the directory holds.
        let stop = |error| engine.stop_again(&error, &self.path);
        let name = self.name.to_bytes();
        if replaces {
            engine.swap(&into, &temp, name).map_err(stop)?;
            engine.drop_temp(seq);
        } else {
            into.rename(temp.as_bytes(), &into, name, Replace::Refused)
                .map_err(stop)?;
            engine.forget_temp(seq);
        }
        if let Some(target) = &self.target {
            engine.held.may_close(target);
        }
        engine.record(tally);
        let is_complete = {
            let state = lock(&self.state);
            self.reach.is_published.store(true, Ordering::Release);
            state.entries == 0 && state.sub_directories == 0
        };
        parent.sub_directory_done(engine, true)?;
        match is_complete {
            true => self.complete(engine),
            false => Ok(()),
        }
    }

    /// Nothing changes its entries any more: sets its attributes and counts it, once.
    fn complete(&self, engine: &Engine) -> Result<(), Problem> {
        let (wrote, is_shared_out, is_opened_up, unreadable) = {
            let mut state = lock(&self.state);
            if std::mem::replace(&mut state.attributes_done, true) {
                return Ok(());
            }
            let unreadable = state.unreadable.take();
            (
                state.wrote,
                state.is_shared_out,
                state.is_opened_up,
                unreadable,
            )
        };
        if self.role == Role::Passage {
            return self.sync(engine, wrote);
        }
        let mut tally = Tally::default();
        let set = match (is_shared_out, wrote) {
            (true, _) => Set::Later,
            (false, true) => Set::Now { is_opened_up },
            (false, false) => Set::IfNeeded,
        };
        let verdict = match attributes::complete_directory(engine, self, set, &mut tally) {
            Ok(verdict) | Err(Problem::Entry(verdict)) => verdict,
            Err(problem) => return Err(problem),
        };
        self.sync(engine, wrote || matches!(verdict, Verdict::Copied))?;
        let verdict = match unreadable {
            Some(error) => Verdict::Failed {
                class: FailureClass::Unreadable,
                error,
            },
            None => verdict,
        };
        if matches!(verdict, Verdict::Failed { .. }) {
            engine.failed_after_its_entries(&self.path);
        }
        tally.count(verdict, || RelPath::clone(&self.path));
        engine.record(tally);
        Ok(())
    }

    /// What an earlier attempt wrote is found unchanged, but need not be durable.
    fn sync(&self, engine: &Engine, wrote: bool) -> Result<(), Problem> {
        if !engine.syncs_each_directory || !(wrote || engine.attempt.epoch.0 > 1) {
            return Ok(());
        }
        match engine.open_held(self.target.as_ref(), &self.path)? {
            Some(target) => attributes::sync_directory(engine, &target, &self.path),
            None => Ok(()),
        }
    }
}
