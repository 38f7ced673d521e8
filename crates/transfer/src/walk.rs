//! Directories: begun, read chunk by chunk, and matched with what is at the target.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use model::filter::Above;
use model::{Attribute, FailureClass, HashRange, RelPath, SkipReason, TempName};
use storage::posix::{Dir, Error, Kind, Listed, Meta, Replace};

use crate::engine::{Engine, Problem, describe};
use crate::entry::{FilesBuilder, Presence};
use crate::held::{Held, HeldDirs};
use crate::ledger::{Tally, Verdict};
use crate::node::{Made, Node, Origin, Role};
use crate::queue::GroupId;
use crate::supply::{First, Supply};
use crate::target::{Leftovers, Names, conflict};
use crate::threads::Scratch;
use crate::vanished::Strangers;
use crate::watch;
use crate::window::NameList;

/// A sub-directory that waits.
pub(crate) struct Pending {
    pub(crate) parent: Arc<Node>,
    /// The parent at the source.
    pub(crate) source: Arc<Held>,
    pub(crate) name: CString,
    pub(crate) presence: Presence,
}

impl Pending {
    pub(crate) fn path(&self) -> RelPath {
        self.parent.path.join(self.name.to_bytes())
    }
}

/// A directory that has not been read to its end.
pub(crate) struct Lister {
    pub(crate) node: Arc<Node>,
    /// Read from here; it keeps its position.
    pub(crate) source: Arc<Dir>,
    held: Arc<Held>,
    /// At the target.
    pub(crate) names: Names,
    /// Where there were earlier attempts.
    pub(crate) strangers: Strangers,
    pub(crate) supply: Supply,
    /// Of a huge directory: up to this hash something is another's already, at or below some name.
    pub(crate) others_to: Option<u64>,
    /// What broke off its reading, to be told when what was read is taken.
    pub(crate) broken: Option<Error>,
    /// What it means for the filter of what is in it.
    above: Above,
    /// Nothing in it has been counted so far, or is another's, and it can be read again as a whole.
    is_new: bool,
}

impl Engine {
    /// Opens a directory on both sides, making it at the target, and reads its first entries.
    pub(crate) fn begin_directory(
        self: &Arc<Self>,
        pending: Pending,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let parent = Arc::clone(&pending.parent);
        let path = pending.path();
        self.pace.begin(path.components().count());
        match self.open_both(pending, path.clone(), scratch) {
            Ok(lister) => {
                if lister.node.is_published() {
                    parent.sub_directory_done(self, lister.node.was_made)?;
                }
                watch::at(Some(Arc::clone(&lister.node.path)));
                let thread = scratch.thread;
                let group = self.pool.with_queue(self, |queue| queue.open_group(thread));
                let Some(group) = group else {
                    return Err(Problem::Stopping);
                };
                self.list(group, lister, scratch)
            }
            Err(Problem::Entry(verdict)) => {
                if matches!(verdict, Verdict::Skipped(SkipReason::Vanished)) {
                    self.clear_vanished_path(&path, Leftovers::OfAncestorsToo);
                }
                // It may have been made and removed again.
                let wrote = matches!(&verdict, Verdict::Failed { class, .. } if *class != FailureClass::Unreadable);
                let mut tally = Tally::default();
                tally.count(verdict, || path);
                self.record(tally);
                parent.sub_directory_done(self, wrote)
            }
            Err(problem) => Err(problem),
        }
    }

    fn open_both(
        &self,
        pending: Pending,
        path: RelPath,
        scratch: &mut Scratch,
    ) -> Result<Lister, Problem> {
        let Pending {
            parent,
            source: from_held,
            name,
            presence,
        } = pending;
        let unreadable = |error: Error| {
            if error.is_missing() {
                return Problem::Entry(Verdict::Skipped(SkipReason::Vanished));
            }
            if error.is_out_of_descriptors() {
                return self.source_problem(&error);
            }
            if let Err(problem) = self.check_mount_after(&error) {
                return problem;
            }
            self.is_left_unread(&path, &error);
            Problem::Entry(Verdict::Failed {
                class: FailureClass::Unreadable,
                error: describe(&error),
            })
        };
        let from = self
            .opening(|| self.held.open(&from_held))
            .map_err(unreadable)?;
        let opened = self
            .opening(|| from.open_dir(name.as_c_str()))
            .map_err(unreadable)?;
        let source_meta = opened.meta().map_err(unreadable)?;
        if let Some(reason) = self.selection.skips_directory(&source_meta) {
            return Err(Problem::Entry(Verdict::Skipped(reason)));
        }
        if self.target_root == Some((source_meta.dev, source_meta.ino)) {
            return Err(conflict("the target lies within its own source"));
        }
        // Before anything is made; without them its entries stay unknown.
        let source_xattrs = self.carried(opened.own_xattrs()).map_err(unreadable)?;
        let first = self.first_names(&opened, &path, None, scratch)?;
        let making = first.making();
        let made = self.open_target(&parent, &name, presence, &source_meta, making)?;
        let there = match (&made.target, &made.origin) {
            (Some(_), Origin::Existing) if self.was_completed(&source_meta, &made) => {
                (Names::Unknown, Strangers::default())
            }
            (Some(target), Origin::Existing | Origin::Made) => self
                .held
                .open(target)
                .and_then(|target| {
                    let (leftovers, within) = (Leftovers::OfAncestorsToo, first.within());
                    self.names_at_target(&target, leftovers, within, &mut scratch.listing)
                })
                .map_err(|error| self.target_problem(&error))?,
            _ => (Names::None, Strangers::default()),
        };
        let opened = Arc::new(opened);
        let held = HeldDirs::below(&from_held, &name, Arc::clone(&opened), &source_meta);
        self.held.may_close(&held);
        let source = (source_meta, source_xattrs);
        let node = Node::new(path, name, Role::Entry, source, made, Some(parent.reach()));
        Ok(Lister::new(
            self,
            Arc::new(node),
            (opened, held),
            there,
            first,
        ))
    }

    /// Whether the directory has its time, which it gets when all in it is done: then its names are most likely there,
    /// and nothing unfinished. A listing would tell nothing new, and cost as much as looking at a fifth of them.
    fn was_completed(&self, source: &Meta, made: &Made) -> bool {
        let has_its_time = made
            .meta
            .is_some_and(|meta| meta.modified == source.modified);
        has_its_time
            && self.options.keeps(Attribute::Times)
            && self.attempt.epoch.0 == 1
            && self.attempt.ancestors.is_empty()
            && self.tells_names_apart(made)
    }

    /// Else only a listing tells whether a name is there, or one that the target takes for the same.
    fn tells_names_apart(&self, made: &Made) -> bool {
        if self.replaces_absent == Replace::Allowed {
            return true;
        }
        let (Some(device), Some(target)) = (self.marks_folding, &made.target) else {
            return false;
        };
        target.device() == device
            && (self.held.open(target)).is_ok_and(|target| !target.is_marked_to_fold_case())
    }

    /// Reads on in a directory and queues what it finds.
    pub(crate) fn list(
        self: &Arc<Self>,
        group: GroupId,
        mut lister: Lister,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let mut found = Found::new(self, &mut lister);
        let is_new = std::mem::take(&mut lister.is_new);
        if is_new
            && let Some(error) = &lister.broken
            && self.is_left_unread(&lister.node.path, error)
        {
            // It is read again from its beginning, so that what was found counts there.
            lister.supply = Supply::Whole(NameList::default());
        }
        if self.leaves_all() {
            self.hand_over_unread(&mut lister);
        }
        let result = self.next_names(&mut lister, &mut found, scratch)?;
        if is_new
            && let Err(error) = &result
            && !error.is_missing()
            && self.is_left_unread(&lister.node.path, error)
        {
            found = Found::new(self, &mut lister);
        }
        let is_at_end = !matches!(result, Ok(Listed::Chunk));
        let Found {
            files,
            directories,
            strangers,
            mut tally,
        } = found;
        let node = Arc::clone(&lister.node);
        match &result {
            Ok(Listed::End) => {
                self.clear_strangers(&node, &lister.source, &strangers, &mut scratch.listing)?;
            }
            _ => lister.strangers = strangers,
        }
        node.expect(files.len(), directories.len());
        self.pace.read(is_new, files.len());
        self.count_excluded(&node, directories, &mut tally, |kept| {
            lister.names = if is_at_end {
                Names::None
            } else {
                std::mem::replace(&mut lister.names, Names::None)
            };
            let batches = files.finish();
            self.pool.with_queue(self, |queue| {
                queue.pending.extend(kept);
                queue.push_files(group, batches, (!is_at_end).then_some(lister));
            });
        })?;
        if let Err(error) = result
            && !error.is_missing()
        {
            self.check_mount_after(&error)?;
            self.unreadable(&node, &error, &mut tally);
        }
        if is_at_end {
            node.entries_done(self, 1, tally, false)
        } else {
            node.entries_done(self, 0, tally, false)
        }
    }

    /// Leaves out directories that other items have, then queues the rest.
    fn count_excluded(
        &self,
        node: &Arc<Node>,
        directories: Vec<Pending>,
        tally: &mut Tally,
        queue: impl FnOnce(Vec<Pending>),
    ) -> Result<(), Problem> {
        if self.excluded.is_empty() {
            queue(directories);
            return Ok(());
        }
        let (excluded, kept): (Vec<_>, Vec<_>) = directories
            .into_iter()
            .partition(|pending| self.excluded.has_directory(&pending.path()));
        queue(kept);
        for _ in &excluded {
            tally.counters.deferred += 1;
            node.sub_directory_deferred(self)?;
        }
        Ok(())
    }

    fn unreadable(&self, node: &Node, error: &Error, tally: &mut Tally) {
        match node.role {
            Role::Passage => tally.unreadable_root(RelPath::clone(&node.path), describe(error)),
            Role::Entry => node.mark_unreadable(describe(error)),
        }
    }
}

/// What a chunk of a listing holds.
pub(crate) struct Found {
    pub(crate) files: FilesBuilder,
    pub(crate) directories: Vec<Pending>,
    pub(crate) strangers: Strangers,
    tally: Tally,
}

impl Found {
    fn new(engine: &Engine, lister: &mut Lister) -> Self {
        let batch_files = lister.supply.batch_files(engine);
        Self {
            files: FilesBuilder::new(&lister.node, &lister.source, batch_files),
            directories: Vec::new(),
            strangers: std::mem::take(&mut lister.strangers),
            tally: Tally::default(),
        }
    }

    pub(crate) fn add(&mut self, engine: &Engine, lister: &Lister, name: &CStr, kind: Kind) {
        // Only a target that lies in its own source has these.
        if TempName::parse(name.to_bytes()).is_some_and(|temp| temp.run == engine.attempt.run) {
            return;
        }
        self.tally.counters.listed += 1;
        let mut count = |verdict| {
            let path = || lister.node.path.join(name.to_bytes());
            self.tally.count(verdict, path);
        };
        let kind = match kind {
            Kind::Unknown => match lister.source.stat(name) {
                Ok(meta) => meta.kind,
                Err(error) => {
                    if let Problem::Entry(verdict) = engine.source_problem(&error) {
                        count(verdict);
                    }
                    return;
                }
            },
            kind => kind,
        };
        if kind == Kind::Directory {
            self.strangers.remove(name.to_bytes());
        }
        let path = || lister.node.path.join(name.to_bytes());
        if let Some(reason) = engine.selection.skips(lister.above, path, kind) {
            return count(Verdict::Skipped(reason));
        }
        if engine.leaves_all()
            && let Some(left) = engine.left(&path())
        {
            return count(left);
        }
        let presence = lister.names.presence(name.to_bytes());
        match kind {
            Kind::Directory => self.directories.push(Pending {
                parent: Arc::clone(&lister.node),
                source: Arc::clone(&lister.held),
                name: name.to_owned(),
                presence,
            }),
            kind => self.files.add(name, kind, presence),
        }
    }
}

impl Lister {
    fn new(
        engine: &Engine,
        node: Arc<Node>,
        (source, held): (Arc<Dir>, Arc<Held>),
        (names, strangers): (Names, Strangers),
        first: First,
    ) -> Self {
        if first.is_shared_out {
            node.mark_shared_out();
        }
        let others_to = match &first.supply {
            Supply::Huge(_) => engine.excluded.highest_in(&node.path),
            Supply::Source | Supply::Whole(_) => None,
        };
        Self {
            above: engine.selection.above(&node.path),
            is_new: !first.is_shared_out,
            others_to,
            node,
            source,
            held,
            names,
            strangers: match first.is_empty() {
                true => Strangers::default(),
                false => strangers,
            },
            supply: first.supply,
            broken: first.broken,
        }
    }

    /// Reads a root or a shard, whose descriptors are at hand.
    pub(crate) fn of_passage(
        engine: &Engine,
        node: Arc<Node>,
        source: Arc<Dir>,
        shard: Option<HashRange>,
        scratch: &mut Scratch,
    ) -> Result<Self, Problem> {
        let again = |error: Error| engine.stop_again(&error, &node.path);
        let first = engine.first_names(&source, &node.path, shard, scratch)?;
        let leftovers = match shard {
            // Whoever handed it over is at work in the same directory.
            Some(_) => Leftovers::OfItem,
            None => Leftovers::OfAncestorsToo,
        };
        let there = match &node.target {
            Some(target) => {
                let target = engine.held.open(target).map_err(again)?;
                engine
                    .names_at_target(&target, leftovers, first.within(), &mut scratch.listing)
                    .map_err(again)?
            }
            None => (Names::None, Strangers::default()),
        };
        let held = HeldDirs::root(Arc::clone(&source));
        let lister = Self::new(engine, node, (source, held), there, first);
        Ok(Self {
            // A shard is no entry, and its directory has others.
            is_new: lister.is_new && shard.is_none(),
            ..lister
        })
    }
}
