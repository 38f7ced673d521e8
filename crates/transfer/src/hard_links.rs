//! Files with several names stay one file.
//!
//! While the tree is walked they are only written down. When all else is done the first name of each is copied, and
//! the others are linked to it, each only if a new look at the source still shows the same file; else it is copied as a
//! file of its own. So no order of the walk and no number of threads matters.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex};

use model::RelPath;
use storage::posix::{Dir, Kind, Meta};

use crate::attributes::sync_directory;
use crate::engine::{Engine, Problem, lock};
use crate::entry::{Done, Entry, Part};
use crate::ledger::{Note, Tally, Verdict};
use crate::node::Node;
use crate::parents::{Both, NoWay, Parents};
use crate::queue::Job;
use crate::start::passage;
use crate::threads::Scratch;

/// Files done in one go.
const GROUPS_AT_ONCE: usize = 64;

/// Device and inode.
type Identity = (u64, u64);

/// Names met so far, by the file that they are names of.
#[derive(Default)]
pub(crate) struct Links(Mutex<HashMap<Identity, Vec<RelPath>>>);

/// The names of some files.
pub(crate) struct Groups(Vec<Group>);

struct Group {
    file: Identity,
    paths: Vec<RelPath>,
}

impl Links {
    fn add(&self, meta: &Meta, path: RelPath) {
        let mut names = lock(&self.0);
        names.entry((meta.dev, meta.ino)).or_default().push(path);
    }

    /// All that were met since the last time; `None`: there are none.
    pub(crate) fn take(&self) -> Option<Groups> {
        let names = std::mem::take(&mut *lock(&self.0));
        let groups = names.into_iter().map(|(file, mut paths)| {
            paths.sort_unstable();
            Group { file, paths }
        });
        let mut groups: Vec<Group> = groups.collect();
        // Taken from the end; neighbours share the way to them.
        groups.sort_unstable_by(|a, b| b.paths.cmp(&a.paths));
        (!groups.is_empty()).then_some(Groups(groups))
    }
}

/// The name that the others are linked to.
struct First {
    dir: Arc<Dir>,
    name: CString,
    /// At the target.
    file: Identity,
}

impl Entry<'_> {
    /// Writes the name down if the file has others; then it is done after all else.
    pub(crate) fn waits_for_links(&self, meta: &Meta) -> bool {
        let waits = meta.nlink > 1 && self.part == Part::Walk && self.engine.keeps_links();
        if waits {
            self.engine.links.add(meta, self.path());
        }
        waits
    }
}

impl Engine {
    /// Copies and links some of the files that have several names; the rest is left to whoever is free.
    pub(crate) fn link(
        self: &Arc<Self>,
        mut groups: Groups,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let rest = groups.0.len().saturating_sub(GROUPS_AT_ONCE);
        let mine = groups.0.split_off(rest);
        if !groups.0.is_empty() {
            self.pool
                .with_queue(self, |queue| queue.push_first(Job::Link(groups)));
        }
        let mut parents = Parents::default();
        for group in mine.into_iter().rev() {
            self.link_group(group, &mut parents, scratch)?;
        }
        Ok(())
    }

    fn link_group(
        self: &Arc<Self>,
        group: Group,
        parents: &mut Parents,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let known = group.paths.len() as u64;
        let mut first: Option<First> = None;
        for path in group.paths {
            self.check_on()?;
            let mut tally = Tally::default();
            let verdict = match self.place(&path, parents) {
                Ok((node, both, name)) => {
                    let mut entry = Entry {
                        engine: self,
                        node: &node,
                        source: &both.source,
                        target: both.target.as_ref(),
                        name: &name,
                        part: Part::Links,
                        scratch: &mut *scratch,
                        tally: &mut tally,
                    };
                    let done = entry.copy_or_link(group.file, known, &mut first);
                    self.finish_name(&node, &both, done)
                }
                Err(problem) => Err(problem),
            };
            match verdict {
                Ok(verdict) | Err(Problem::Entry(verdict)) => tally.count(verdict, || path),
                Err(problem) => return Err(problem),
            }
            self.record(tally);
        }
        Ok(())
    }

    /// Its directory on both sides.
    fn place(
        &self,
        path: &RelPath,
        parents: &mut Parents,
    ) -> Result<(Arc<Node>, Both, CString), Problem> {
        let Some((parent, name)) = path.split_last() else {
            return Err(Problem::Stopping);
        };
        let name = CString::new(name).map_err(|_| Problem::Stopping)?;
        let source_problem = |error| self.source_problem(&error);
        let both = match parents.open(self, &parent) {
            Ok(both) => both,
            Err(NoWay::Source(error)) => return Err(source_problem(error)),
            Err(NoWay::Target(error)) => return Err(self.target_problem(&error)),
            Err(NoWay::Problem(problem)) => return Err(problem),
        };
        let node = passage(&both, parent).map_err(source_problem)?;
        Ok((node, both, name))
    }

    /// The directory's times are not right any more: one that failed may have been made and removed again.
    fn finish_name(
        &self,
        node: &Node,
        both: &Both,
        done: Result<Done, Problem>,
    ) -> Result<Verdict, Problem> {
        let verdict = match done {
            Ok(Done::Now(verdict)) | Err(Problem::Entry(verdict)) => verdict,
            Ok(Done::Later | Done::Linked) => {
                return Err(self.stop_with(crate::Stopped::Again(
                    "internal: a name of several was left for later".into(),
                )));
            }
            Err(problem) => return Err(problem),
        };
        if verdict.may_have_written() {
            if node.path.split_last().is_some() {
                self.defer_attributes(&node.path);
            }
            if let Some(target) = &both.target {
                sync_directory(self, target, &node.path)?;
            }
        }
        Ok(verdict)
    }
}

impl Entry<'_> {
    fn copy_or_link(
        &mut self,
        file: Identity,
        known: u64,
        first: &mut Option<First>,
    ) -> Result<Done, Problem> {
        let meta = self
            .source
            .stat(self.name)
            .map_err(|error| self.engine.source_problem(&error))?;
        let present = self.look_at_target()?;
        let is_same = (meta.dev, meta.ino) == file;
        if let (true, Some(first)) = (is_same, &*first)
            && let Some(done) = self.link_to(first, &meta, present)?
        {
            return Ok(done);
        }
        let done = self.copy_kind(meta.kind, present)?;
        if is_same && first.is_none() {
            if meta.nlink > known {
                // The others are not among what is copied here.
                self.tally.note(Note::HardLinks);
            }
            *first = self.as_first(&done)?;
        }
        Ok(done)
    }

    /// What was just copied, or was there, as what others are linked to.
    fn as_first(&self, done: &Done) -> Result<Option<First>, Problem> {
        let is_there = matches!(
            done,
            Done::Now(Verdict::CopiedFile(_) | Verdict::Copied | Verdict::Unchanged)
        );
        let (true, Some(target)) = (is_there, self.target) else {
            return Ok(None);
        };
        let meta = target
            .stat(self.name)
            .map_err(|error| self.engine.target_problem(&error))?;
        Ok(Some(First {
            dir: Arc::clone(target),
            name: self.name.to_owned(),
            file: (meta.dev, meta.ino),
        }))
    }

    /// `None`: the target can't have a further name of it, so that it is to be a file of its own.
    fn link_to(
        &mut self,
        first: &First,
        meta: &Meta,
        present: Option<Meta>,
    ) -> Result<Option<Done>, Problem> {
        if let Some(present) = &present
            && (present.dev, present.ino) == first.file
        {
            return Ok(Some(Done::Now(Verdict::Unchanged)));
        }
        if let Some(refusal) = self.refusal(present.as_ref()) {
            return Err(refusal);
        }
        let Some(target) = self.target else {
            return Ok(None);
        };
        let engine = self.engine;
        let linked = match present {
            None => {
                engine.check_fence()?;
                let name = self.name;
                let linked = self.node.create(engine, || {
                    first.dir.link(first.name.as_c_str(), target, name)
                });
                match linked {
                    Err(error) if error.is_no_further_name() => {
                        self.note_lost_link(&error)?;
                        return Ok(None);
                    }
                    linked => linked.map_err(|error| engine.target_problem(&error)),
                }
            }
            Some(_) => self.put(
                |dir, name| first.dir.link(first.name.as_c_str(), dir, name),
                None,
            ),
        };
        linked?;
        Ok(Some(Done::Now(match meta.kind {
            Kind::File => Verdict::CopiedFile(0),
            _ => Verdict::Copied,
        })))
    }
}
