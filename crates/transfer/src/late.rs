//! What is done when all else is: files of several names (see [`crate::hard_links`]) and files that changed just
//! now (see [`crate::settled`]). Until then their names are only written down.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex};

use model::RelPath;
use storage::posix::Meta;

use crate::attributes::sync_directory;
use crate::engine::{Engine, Problem, lock};
use crate::entry::{Done, Entry};
use crate::ledger::Verdict;
use crate::node::Node;
use crate::parents::{Both, NoWay, Parents};
use crate::queue::Job;
use crate::settled::Seen;
use crate::start::passage;
use crate::threads::Scratch;

/// Files done in one go.
const FILES_AT_ONCE: usize = 64;

/// Device and inode.
pub(crate) type Identity = (u64, u64);

/// Files met so far.
#[derive(Default)]
pub(crate) struct Late(Mutex<HashMap<Identity, Names>>);

#[derive(Default)]
struct Names {
    paths: Vec<RelPath>,
    seen: Option<Seen>,
}

/// Some of the files.
pub(crate) struct LateFiles(Vec<LateFile>);

/// A file with its names, one or several.
pub(crate) struct LateFile {
    pub(crate) file: Identity,
    pub(crate) paths: Vec<RelPath>,
    /// It changed just before.
    pub(crate) seen: Option<Seen>,
}

impl Late {
    fn add(&self, meta: &Meta, path: RelPath, seen: Option<Seen>) {
        let mut files = lock(&self.0);
        let names = files.entry((meta.dev, meta.ino)).or_default();
        names.paths.push(path);
        names.seen = seen.or(names.seen);
    }

    /// All that were met since the last time; `None`: there are none.
    pub(crate) fn take(&self) -> Option<LateFiles> {
        let files = std::mem::take(&mut *lock(&self.0));
        let files = files.into_iter().map(|(file, Names { mut paths, seen })| {
            paths.sort_unstable();
            LateFile { file, paths, seen }
        });
        let mut files: Vec<LateFile> = files.collect();
        // Taken from the end; neighbours share the way to them.
        files.sort_unstable_by(|a, b| b.paths.cmp(&a.paths));
        (!files.is_empty()).then_some(LateFiles(files))
    }
}

impl Entry<'_> {
    /// Writes the name down if the file has others.
    pub(crate) fn waits_for_links(&self, meta: &Meta) -> bool {
        let waits = meta.nlink > 1 && self.is_walk() && self.engine.keeps_links();
        if waits {
            let seen = self.seen_recently(meta);
            self.engine.late.add(meta, self.path(), seen);
        }
        waits
    }

    /// Writes the name down if the file changed just now.
    pub(crate) fn waits_to_settle(&self, meta: &Meta) -> bool {
        let seen = match self.is_walk() {
            true => self.seen_recently(meta),
            false => None,
        };
        if seen.is_some() {
            self.engine.late.add(meta, self.path(), seen);
        }
        seen.is_some()
    }
}

impl Engine {
    /// Does some of the files; the rest is left to whoever is free.
    pub(crate) fn do_late(
        self: &Arc<Self>,
        mut files: LateFiles,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let rest = files.0.len().saturating_sub(FILES_AT_ONCE);
        let mine = files.0.split_off(rest);
        if !files.0.is_empty() {
            self.pool
                .with_queue(self, |queue| queue.push_first(Job::Late(files)));
        }
        let mut parents = Parents::default();
        for file in mine.into_iter().rev() {
            self.copy_and_link(file, &mut parents, scratch)?;
        }
        Ok(())
    }

    /// Its directory on both sides.
    pub(crate) fn place(
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
    pub(crate) fn finish_name(
        &self,
        node: &Node,
        both: &Both,
        done: Result<Done, Problem>,
    ) -> Result<Verdict, Problem> {
        let verdict = match done {
            Ok(Done::Now(verdict)) | Err(Problem::Entry(verdict)) => verdict,
            Ok(Done::Later | Done::AtEnd) => {
                return Err(self.stop_with(crate::Stopped::Again(
                    "internal: a file was left for later twice".into(),
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
