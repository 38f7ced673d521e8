//! What is done when all else is: files of several names (see [`crate::hard_links`]), files that changed just now (see
//! [`crate::settled`]), and big files of new directories, which would be lost with these if the attempt breaks off before
//! all is done in them. Until then their names are only written down.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use model::{Attribute, RelPath};
use storage::posix::Meta;

use crate::attributes::sync_directory;
use crate::engine::{Engine, Problem, lock};
use crate::entry::{Done, Entry};
use crate::hard_links::First;
use crate::ledger::Verdict;
use crate::links_phase::Links;
use crate::node::Node;
use crate::parents::{Both, NoWay, Parents};
use crate::queue::Job;
use crate::settled::Seen;
use crate::start::passage;
use crate::threads::Scratch;

/// Files done in one go, and their bytes, but for one that has more.
const FILES_AT_ONCE: usize = 64;
const BYTES_AT_ONCE: u64 = 64 << 20;

/// How often a file may have to wait until it has settled.
const MAX_WAITS: u32 = 3;

/// Files of a dry run that are kept in mind for their further names.
const MAX_COUNTED: usize = 1_000_000;

/// Beyond so many, files that changed just now are read at once: a clock that is far off may make all of them look so.
const MAX_WAITING: usize = 500_000;

/// Files of a new directory from this size on wait until it has its name.
const BIG_BYTES: u64 = 64 << 20;

/// Device and inode.
pub(crate) type Identity = (u64, u64);

/// A file of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    /// `None` until it is looked at: other machines have other numbers for it.
    pub(crate) device: Option<u64>,
    pub(crate) inode: u64,
}

impl FileId {
    /// Whether what was found is this file. The first with its inode says on which device it is.
    pub(crate) fn is_of(&mut self, meta: &Meta) -> bool {
        self.inode == meta.ino && *self.device.get_or_insert(meta.dev) == meta.dev
    }
}

/// Files met so far, and directories into which such files were put, so that their times are not right any more.
#[derive(Default)]
pub(crate) struct Late {
    files: Mutex<HashMap<Identity, Names>>,
    directories: Mutex<HashSet<RelPath>>,
    /// In a dry run: files that were counted, with the names that are yet to come.
    counted: Mutex<HashMap<Identity, u64>>,
    pub(crate) links: Links,
}

#[derive(Default)]
struct Names {
    paths: Vec<RelPath>,
    /// That the file has; 1 where they do not matter.
    nlink: u64,
    seen: Option<Seen>,
    bytes: u64,
}

/// Some of the files.
pub(crate) struct LateFiles(Vec<LateFile>);

/// A file with its names, one or several.
pub(crate) struct LateFile {
    pub(crate) file: FileId,
    pub(crate) paths: Vec<RelPath>,
    /// Names that it had when it was met; 1 where they do not matter.
    pub(crate) nlink: u64,
    /// It changed just before.
    pub(crate) seen: Option<Seen>,
    pub(crate) bytes: u64,
    /// All names that were met, those too that are done.
    pub(crate) known: u64,
    /// What was made of the first of them.
    pub(crate) first: Option<First>,
    pub(crate) waits: u32,
}

impl LateFile {
    /// When it can be read.
    fn due(&self) -> Option<Instant> {
        self.seen.map(Seen::settles_at)
    }

    /// Has its name `path` and those that follow wait until it has settled, unless they have waited often enough.
    pub(crate) fn waits(&mut self, path: &RelPath, seen: Seen) -> bool {
        let waits = self.waits < MAX_WAITS;
        if waits {
            let done = self.paths.iter().take_while(|done| *done != path).count();
            self.paths.drain(..done);
            self.waits += 1;
            self.seen = Some(seen);
        }
        waits
    }
}

impl Late {
    /// `nlink`: how many names the file has; 1 where they do not matter.
    pub(crate) fn add(&self, meta: &Meta, path: RelPath, seen: Option<Seen>, nlink: u64) {
        let mut files = lock(&self.files);
        let names = files.entry((meta.dev, meta.ino)).or_default();
        names.paths.push(path);
        names.nlink = names.nlink.max(nlink);
        names.seen = seen.or(names.seen);
        names.bytes = meta.size;
    }

    /// All that were met since the last time; `None`: there are none.
    pub(crate) fn take(&self) -> Option<LateFiles> {
        let files = std::mem::take(&mut *lock(&self.files));
        let files = files.into_iter().map(|(file, mut names)| {
            names.paths.sort_unstable();
            LateFile {
                file: FileId {
                    device: Some(file.0),
                    inode: file.1,
                },
                known: names.paths.len() as u64,
                nlink: names.nlink,
                first: None,
                waits: 0,
                paths: names.paths,
                seen: names.seen,
                bytes: names.bytes,
            }
        });
        let files: Vec<LateFile> = files.collect();
        (!files.is_empty()).then(|| LateFiles::new(files))
    }

    /// The directories whose attributes are to be set once more; `None`: there are none.
    pub(crate) fn take_directories(&self) -> Option<Vec<RelPath>> {
        let directories = std::mem::take(&mut *lock(&self.directories));
        (!directories.is_empty()).then(|| directories.into_iter().collect())
    }
}

impl LateFiles {
    pub(crate) fn new(mut files: Vec<LateFile>) -> Self {
        // Taken from the end; neighbours share the way to them.
        files.sort_unstable_by(|a, b| b.paths.cmp(&a.paths));
        Self(files)
    }

    /// Those that one thread does in one go, from the end.
    fn take_some(&mut self) -> Vec<LateFile> {
        let mut bytes = 0;
        let fits = |late: &&LateFile| {
            bytes += late.bytes;
            bytes <= BYTES_AT_ONCE
        };
        let n = self.0.iter().rev().take(FILES_AT_ONCE).take_while(fits);
        let n = n.count().max(1).min(self.0.len());
        self.0.split_off(self.0.len() - n)
    }
}

impl Entry<'_> {
    /// Writes the name down if the file has others.
    pub(crate) fn waits_for_links(&self, meta: &Meta) -> bool {
        let waits = meta.nlink > 1 && self.is_walk() && self.engine.keeps_links();
        if waits && !self.engine.leaves_name(meta, || self.path()) {
            let seen = self.seen_recently(meta);
            self.engine.late.add(meta, self.path(), seen, meta.nlink);
        }
        waits
    }

    /// In a dry run: the bytes that would be copied for it. Those of a file with several names count for the first that is met,
    /// as long as not too many files wait for others of theirs.
    pub(crate) fn would_copy(&self, meta: &Meta) -> Verdict {
        if meta.nlink <= 1 || !self.engine.options.keeps(Attribute::Links) {
            return Verdict::CopiedFile(meta.size);
        }
        let mut counted = lock(&self.engine.late.counted);
        let file = (meta.dev, meta.ino);
        match counted.get_mut(&file) {
            Some(1) => {
                counted.remove(&file);
                Verdict::CopiedFile(0)
            }
            Some(left) => {
                *left -= 1;
                Verdict::CopiedFile(0)
            }
            None => {
                if counted.len() < MAX_COUNTED {
                    counted.insert(file, meta.nlink - 1);
                }
                Verdict::CopiedFile(meta.size)
            }
        }
    }

    /// Writes the name down if the file changed just now, or is a big one in a directory that has no name yet.
    pub(crate) fn waits_for_the_end(&self, meta: &Meta) -> bool {
        if !self.is_walk() {
            return false;
        }
        let seen = self.seen_recently(meta);
        if lock(&self.engine.late.files).len() >= MAX_WAITING {
            return false;
        }
        let waits = seen.is_some() || (self.in_stage && meta.size >= BIG_BYTES);
        if waits {
            self.engine.late.add(meta, self.path(), seen, 1);
        }
        waits
    }
}

impl Engine {
    /// Does some of the files; the rest is left to whoever is free.
    pub(crate) fn do_late(
        self: &Arc<Self>,
        mut files: LateFiles,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let mine = files.take_some();
        if !files.0.is_empty() {
            self.pool
                .with_queue(self, |queue| queue.push_first(Job::Late(files)));
        }
        let mut parents = Parents::default();
        let mine = self.leave_links(mine, &mut parents)?;
        let now = Instant::now();
        let is_due = |file: &LateFile| file.due().is_none_or(|due| due <= now);
        let (mine, mut waiting): (Vec<_>, Vec<_>) = mine.into_iter().partition(is_due);
        for file in mine.into_iter().rev() {
            waiting.extend(self.copy_and_link(file, &mut parents, scratch)?);
        }
        if let Some(due) = waiting.iter().filter_map(LateFile::due).max() {
            self.pool
                .with_queue(self, |queue| queue.push_at(due, LateFiles(waiting)));
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
            if node.path.split_last().is_some() && !self.is_links_phase() {
                lock(&self.late.directories).insert(RelPath::clone(&node.path));
            }
            if let Some(target) = &both.target {
                sync_directory(self, target, &node.path)?;
            }
        }
        Ok(verdict)
    }
}
