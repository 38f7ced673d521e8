//! What the item is made of, taken piece by piece: directories to walk, listed paths, or
//! directories whose attributes are to be set.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;

use model::filter::Above;
use model::{FailureClass, HashRange, RelPath, SkipReason};
use storage::posix::{Dir, Error, Kind, Side, Xattrs};

use crate::attempt::AttemptWork;
use crate::attributes::{Creation, attributes_of_directory};
use crate::engine::{Engine, Problem, describe};
use crate::entry::{BATCH_FILES, FilesBuilder, Presence};
use crate::held::HeldDirs;
use crate::ledger::{Tally, Verdict};
use crate::node::{Made, Node, Origin, Role};
use crate::parents::{Both, NoWay, Parents};
use crate::patterns;
use crate::target::Leftovers;
use crate::threads::Scratch;
use crate::walk::{Lister, Pending};

/// Paths of one parent taken at once.
const PIECE: usize = 256;

/// What has not been begun.
pub(crate) struct Feeder {
    purpose: Purpose,
    /// Sorted by components, so that those of one parent stand together and what lies below
    /// a directory comes right after it (right before it when attributes are set).
    paths: VecDeque<RelPath>,
    parents: Parents,
    is_expanded: bool,
    /// The item is made of more than one path.
    has_several: bool,
    /// Rid of what earlier attempts left in it.
    cleared: Option<RelPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Walk,
    Entries,
    /// Of the one directory.
    Shard(HashRange),
    Paths,
    Settle,
    Attributes,
}

impl Feeder {
    pub(crate) fn new(purpose: Purpose, paths: Vec<RelPath>) -> Self {
        let mut paths = in_order(paths);
        if purpose == Purpose::Attributes {
            // What lies below first: a directory's own mode may close the way to it.
            paths.reverse();
        }
        Self {
            purpose,
            has_several: paths.len() > 1,
            paths: paths.into(),
            parents: Parents::default(),
            is_expanded: purpose != Purpose::Paths,
            cleared: None,
        }
    }
}

impl Feeder {
    /// Paths that it has not come to.
    pub(crate) fn len(&self) -> usize {
        self.paths.len()
    }

    /// Directories to walk that may be another's, from a place in the middle on, or all; and where that is.
    pub(crate) fn unbegun(&self, is_all_wanted: bool) -> (usize, impl Iterator<Item = &RelPath>) {
        let n = match (self.purpose, is_all_wanted) {
            (Purpose::Walk, true) => self.paths.len(),
            (Purpose::Walk, false) => self.paths.len() / 2,
            _ => 0,
        };
        let from = self.paths.len() - n;
        (from, self.paths.range(from..))
    }

    /// Forgets those, from a place on, that are another's now.
    pub(crate) fn forget(&mut self, from: usize, is_kept: impl Fn(&RelPath) -> bool) {
        let rest = self.paths.split_off(from);
        self.paths
            .extend(rest.into_iter().filter(|path| is_kept(path)));
    }
}

fn in_order(mut paths: Vec<RelPath>) -> Vec<RelPath> {
    paths.sort_by(|a, b| a.components().cmp(b.components()));
    paths.dedup();
    paths
}

impl Engine {
    /// Begins the next piece and queues the rest.
    pub(crate) fn feed(
        self: &Arc<Self>,
        mut feeder: Feeder,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        if !feeder.is_expanded {
            let (paths, tally) = patterns::expand(self, feeder.paths.into(), scratch);
            self.record(tally);
            feeder.paths = in_order(paths).into();
            feeder.is_expanded = true;
        }
        let Some(first) = feeder.paths.front() else {
            return Ok(());
        };
        match (feeder.purpose, first.split_last()) {
            (Purpose::Attributes, _) => self.set_next_attributes(&mut feeder)?,
            (Purpose::Shard(range), _) => {
                let directory = first.clone();
                return self.walk_shard(&mut feeder, &directory, range, scratch);
            }
            // Everything else lies below it.
            (_, None) => return self.walk_root(scratch),
            (_, Some((parent, _))) => self.feed_piece(&mut feeder, &parent, scratch)?,
        }
        self.pool
            .with_queue(self, |queue| queue.push_feeder(feeder));
        Ok(())
    }

    fn walk_root(self: &Arc<Self>, scratch: &mut Scratch) -> Result<(), Problem> {
        let both = Both {
            source: Arc::clone(&self.attempt.source),
            target: self.attempt.target.clone(),
        };
        self.walk_passage(&both, RelPath::ROOT, None, scratch)
    }

    fn walk_passage(
        self: &Arc<Self>,
        both: &Both,
        path: RelPath,
        shard: Option<HashRange>,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let again = |error: Error| self.stop_again(&error, &path);
        // These descriptors have their reading positions elsewhere.
        let both = Both {
            source: Arc::new(both.source.reopen().map_err(again)?),
            target: match &both.target {
                Some(target) => Some(Arc::new(target.reopen().map_err(again)?)),
                None => None,
            },
        };
        let node = passage(&both, path.clone()).map_err(again)?;
        let lister = Lister::of_passage(self, node, both.source, shard, scratch)?;
        let thread = scratch.thread;
        match self.pool.with_queue(self, |queue| queue.open_group(thread)) {
            Some(group) => self.list(group, lister, scratch),
            None => Err(Problem::Stopping),
        }
    }

    /// Walks some names of a directory. The directory is another item's entry: should it be gone, so are its names.
    fn walk_shard(
        self: &Arc<Self>,
        feeder: &mut Feeder,
        directory: &RelPath,
        range: HashRange,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let unreadable = |error: String| {
            let mut tally = Tally::default();
            tally.unreadable_root(directory.clone(), error);
            self.record(tally);
        };
        match feeder.parents.open(self, directory) {
            Ok(both) => return self.walk_passage(&both, directory.clone(), Some(range), scratch),
            Err(NoWay::Source(error)) if error.is_missing() || error.is_other_kind() => {
                // Whoever handed it over may still be at work in it.
                self.clear_vanished_path(directory, Leftovers::OfItem);
            }
            Err(NoWay::Source(error)) => unreadable(describe(&error)),
            Err(NoWay::Target(error)) => match self.target_problem(&error) {
                Problem::Entry(Verdict::Failed { error, .. }) => unreadable(error),
                Problem::Entry(_) => {}
                problem => return Err(problem),
            },
            Err(NoWay::Problem(Problem::Entry(Verdict::Failed { error, .. }))) => unreadable(error),
            // It is on another file system, or left out in another way: so were its names.
            Err(NoWay::Problem(Problem::Entry(_))) => {}
            Err(NoWay::Problem(problem)) => return Err(problem),
        }
        Ok(())
    }

    /// Takes the paths that have this parent.
    fn feed_piece(
        self: &Arc<Self>,
        feeder: &mut Feeder,
        parent: &RelPath,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let above = self.selection.above(parent);
        let opened = self.open_parent(feeder, parent, above, scratch);
        let (both, node) = match opened {
            Ok(opened) => opened,
            Err(no_way) => return self.count_unreachable(feeder, parent, no_way),
        };
        let mut tally = Tally::default();
        let mut files = FilesBuilder::new(&node, &both.source, BATCH_FILES);
        let mut directories = Vec::new();
        for _ in 0..PIECE {
            let Some((path, name)) = next_of(feeder, parent) else {
                break;
            };
            tally.counters.listed += 1;
            if self.excluded.has_directory(&path) {
                tally.counters.deferred += 1;
                skip_below(feeder, &path);
                continue;
            }
            if feeder.has_several
                && let Some(left) = self.left(&path)
            {
                // Not even looked at: that may be what kills.
                skip_below(feeder, &path);
                tally.count(left, || path);
                continue;
            }
            let meta = match both.source.stat(name.as_c_str()) {
                Ok(meta) => meta,
                Err(error) => {
                    if error.is_missing() {
                        self.clear_vanished_path(&path, Leftovers::OfAncestorsToo);
                    }
                    tally.count(feeder.purpose.unfound(&error), || path);
                    continue;
                }
            };
            if let Some(reason) = self.selection.skips(above, || path.clone(), meta.kind) {
                skip_below(feeder, &path);
                tally.count(Verdict::Skipped(reason), || path);
                continue;
            }
            match meta.kind {
                Kind::Directory => {
                    skip_below(feeder, &path);
                    directories.push(Pending {
                        parent: Arc::clone(&node),
                        source: HeldDirs::root(Arc::clone(&both.source)),
                        name,
                        presence: Presence::Unknown,
                    });
                }
                kind => files.add(&name, kind, Presence::Unknown),
            }
        }
        node.expect(files.len(), directories.len());
        let thread = scratch.thread;
        self.pool.with_queue(self, |queue| {
            queue.pending.extend(directories);
            let group = queue.open_group(thread);
            queue.push_files(group, files.finish(), None);
        });
        node.entries_done(self, 1, tally, false)
    }

    fn open_parent(
        &self,
        feeder: &mut Feeder,
        parent: &RelPath,
        above: Above,
        scratch: &mut Scratch,
    ) -> Result<(Both, Arc<Node>), NoWay> {
        if above == Above::LeftOut {
            // And so nothing on the way to it is made.
            return Err(NoWay::skipped(SkipReason::Excluded));
        }
        let both = feeder.parents.open(self, parent)?;
        if self.attempt.epoch.0 > 1
            && feeder.cleared.as_ref() != Some(parent)
            && let Some(target) = &both.target
        {
            self.clear_leftovers(target, scratch)
                .map_err(NoWay::Target)?;
            feeder.cleared = Some(parent.clone());
        }
        let node = passage(&both, parent.clone()).map_err(NoWay::Source)?;
        Ok((both, node))
    }

    /// Removes what earlier attempts at the item left unfinished in a directory at the target.
    pub(crate) fn clear_leftovers(&self, target: &Dir, scratch: &mut Scratch) -> Result<(), Error> {
        let fresh = target.reopen()?;
        self.names_at_target(&fresh, Leftovers::OfItem, None, &mut scratch.listing)
            .map(drop)
    }

    /// Counts the next paths of a parent that can't be entered.
    fn count_unreachable(
        &self,
        feeder: &mut Feeder,
        parent: &RelPath,
        no_way: NoWay,
    ) -> Result<(), Problem> {
        if let NoWay::Source(error) = &no_way
            && error.is_missing()
        {
            self.clear_vanished_path(parent, Leftovers::OfAncestorsToo);
        }
        let mut tally = Tally::default();
        while let Some((path, _)) = next_of(feeder, parent) {
            tally.counters.listed += 1;
            let verdict = match &no_way {
                NoWay::Source(error) => feeder.purpose.unfound(error),
                NoWay::Target(error) => match self.target_problem(error) {
                    Problem::Entry(verdict) => verdict,
                    problem => return Err(problem),
                },
                NoWay::Problem(Problem::Entry(Verdict::Failed { class, error })) => {
                    Verdict::Failed {
                        class: *class,
                        error: error.clone(),
                    }
                }
                NoWay::Problem(Problem::Entry(Verdict::Skipped(reason))) => {
                    Verdict::Skipped(*reason)
                }
                NoWay::Problem(_) => return Err(Problem::Stopping),
            };
            tally.count(verdict, || path);
        }
        self.record(tally);
        Ok(())
    }

    fn set_next_attributes(self: &Arc<Self>, feeder: &mut Feeder) -> Result<(), Problem> {
        for _ in 0..PIECE {
            let Some(path) = feeder.paths.pop_front() else {
                break;
            };
            self.check_on()?;
            let result = attributes_of_directory(self, &mut feeder.parents, &path);
            match result {
                Ok(tally) => self.record(tally),
                Err(Problem::Entry(verdict)) => {
                    if !matches!(self.attempt.work, AttemptWork::Attributes(_)) {
                        self.failed_after_its_entries(&path);
                    }
                    let mut tally = Tally::default();
                    tally.counters.listed += 1;
                    tally.count(verdict, || path);
                    self.record(tally);
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(())
    }
}

impl Purpose {
    /// What it means that a path can't be looked at in the source.
    fn unfound(self, error: &Error) -> Verdict {
        match self {
            _ if !error.is_missing() && !error.is_other_kind() => Verdict::Failed {
                class: error.class(Side::Source),
                error: describe(error),
            },
            // It was there when its parent was read.
            Purpose::Walk | Purpose::Entries | Purpose::Shard(_) | Purpose::Settle => {
                Verdict::Skipped(SkipReason::Vanished)
            }
            _ if error.is_missing() => Verdict::Failed {
                class: FailureClass::Missing,
                error: "not in the source".into(),
            },
            _ => Verdict::Failed {
                class: FailureClass::GiveUp,
                error: "a parent is a link or no directory; links on the way are not followed"
                    .into(),
            },
        }
    }
}

/// Takes the next path if it has this parent.
fn next_of(feeder: &mut Feeder, parent: &RelPath) -> Option<(RelPath, CString)> {
    let (its_parent, name) = feeder.paths.front()?.split_last()?;
    if its_parent != *parent {
        return None;
    }
    // A RelPath holds no NUL.
    let name = CString::new(name).ok()?;
    Some((feeder.paths.pop_front()?, name))
}

/// What lies below a listed directory counts with it.
fn skip_below(feeder: &mut Feeder, directory: &RelPath) {
    while feeder
        .paths
        .front()
        .is_some_and(|path| path.is_within(directory))
    {
        feeder.paths.pop_front();
    }
}

/// A node for a directory that is no entry of this item.
pub(crate) fn passage(both: &Both, path: RelPath) -> Result<Arc<Node>, Error> {
    let source = (both.source.meta()?, Xattrs::default());
    let made = Made {
        target: both.target.clone().map(HeldDirs::root),
        origin: Origin::Existing,
        creation: Creation::default(),
        meta: None,
    };
    let name = CString::default();
    Ok(Arc::new(Node::new(
        path,
        name,
        Role::Passage,
        source,
        made,
        None,
    )))
}
