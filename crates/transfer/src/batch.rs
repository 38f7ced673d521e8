//! Durable publishing: files are written, then all of them synced by one call, then their sources
//! looked at again, then they get their final names. So a final name implies durable content.
//!
//! A sync that fails is never repeated (the kernel reports an error once, and forgets it):
//! the whole attempt is thrown away.

use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::RelPath;
use storage::posix::{Dir, Replace};

use crate::attempt::Stopped;
use crate::content::Written;
use crate::engine::{Engine, Problem, describe, lock};
use crate::entry::{Entry, Part};
use crate::ledger::{Tally, Verdict};
use crate::node::Node;
use crate::queue::Job;
use crate::settled::Seen;
use crate::threads::Scratch;
use crate::watch;

const MAX_FILES: usize = 1_000;
const MAX_BYTES: u64 = 1 << 30;
/// Directories whose files wait; each holds two descriptors. Fewer where descriptors are few.
const MAX_DIRECTORIES: u64 = 400;
const MAX_PART_OF_DESCRIPTORS: u64 = 16;
const MAX_AGE: Duration = Duration::from_secs(10);
/// Files published in one go: each asks for its source once more, which takes its time on a network.
const FILES_AT_ONCE: usize = 32;

/// A written file that waits for its batch.
pub(crate) struct Unpublished {
    pub(crate) node: Arc<Node>,
    pub(crate) source: Arc<Dir>,
    pub(crate) name: CString,
    pub(crate) written: Written,
    pub(crate) replace: Replace,
}

/// Some files of a batch that has been synced.
pub(crate) struct Synced(Vec<Unpublished>);

impl Unpublished {
    /// It has its final name in a directory that nobody else sees.
    fn is_in_stage(&self) -> bool {
        self.written.temp.is_none()
    }

    fn path(&self) -> RelPath {
        self.node.path.join(self.name.to_bytes())
    }
}

/// What became of a file of a batch.
enum Published {
    /// It has its name; its bytes.
    At(u64),
    /// It changed, and is copied anew when all else is done.
    AtEnd,
}

#[derive(Default)]
pub(crate) struct Batch {
    files: Vec<Unpublished>,
    bytes: u64,
    /// Changes from one directory to another.
    directories: u64,
    began: Option<Instant>,
}

/// How many directories a batch may hold open.
pub(crate) fn max_directories(max_descriptors: u64) -> u64 {
    (max_descriptors / MAX_PART_OF_DESCRIPTORS).clamp(1, MAX_DIRECTORIES)
}

impl Batch {
    fn is_full(&self, max_directories: u64) -> bool {
        self.files.len() >= MAX_FILES
            || self.bytes >= MAX_BYTES
            || self.directories >= max_directories
            || self.began.is_some_and(|began| began.elapsed() >= MAX_AGE)
    }

    fn push(&mut self, file: Unpublished) {
        let last = self.files.last();
        if last.is_none_or(|last| !Arc::ptr_eq(&last.node, &file.node)) {
            self.directories += 1;
        }
        self.began.get_or_insert_with(Instant::now);
        self.bytes += file.written.bytes;
        self.files.push(file);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn is_older_than(&self, age: Duration) -> bool {
        self.began.is_some_and(|began| began.elapsed() >= age)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Engine {
    /// Leaves a file to the next batch, which this call may publish.
    pub(crate) fn put_in_batch(
        self: &Arc<Self>,
        file: Unpublished,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        if file.is_in_stage() {
            file.node.stay_in_stage();
        }
        let is_full = {
            let mut batch = lock(&self.batch);
            batch.push(file);
            batch.is_full(self.max_batch_directories)
        };
        if !is_full {
            return Ok(());
        }
        // Whoever finds the batch full waits until the one before is published: so what waits, and
        // with it the descriptors held, stays bounded however slow the disk is.
        let _turn = watch::waiting(|| lock(&self.publishing));
        self.check_on()?;
        let batch = {
            let mut batch = lock(&self.batch);
            let is_full = batch.is_full(self.max_batch_directories);
            is_full.then(|| std::mem::take(&mut *batch))
        };
        match batch {
            Some(batch) => self.publish_batch(batch, scratch),
            None => Ok(()),
        }
    }

    /// Publishes what waits.
    pub(crate) fn flush(self: &Arc<Self>, scratch: &mut Scratch) -> Result<(), Problem> {
        let _turn = watch::waiting(|| lock(&self.publishing));
        let batch = std::mem::take(&mut *lock(&self.batch));
        match batch.is_empty() {
            true => Ok(()),
            false => self.publish_batch(batch, scratch),
        }
    }

    /// Makes the last names durable, at the very end.
    pub(crate) fn sync_names(&self) -> Result<(), Problem> {
        self.sync_all()?;
        self.mark_synced();
        Ok(())
    }

    fn sync_all(&self) -> Result<(), Problem> {
        let Some(target) = &self.sync_target else {
            return Ok(());
        };
        watch::asking_for_much(|| target.sync_fs())
            .map_err(|error| self.stop_again(&error, &RelPath::ROOT))
    }

    fn publish_batch(self: &Arc<Self>, batch: Batch, scratch: &mut Scratch) -> Result<(), Problem> {
        self.sync_all()?;
        self.check_roots()?;
        let mut mine = batch.files;
        let mut others = Vec::new();
        while mine.len() > FILES_AT_ONCE {
            let rest = mine.len() - FILES_AT_ONCE;
            others.push(Job::Publish(Synced(mine.split_off(rest))));
        }
        if !others.is_empty() {
            self.pool.with_queue(self, |queue| {
                others.into_iter().for_each(|job| queue.push_first(job))
            });
        }
        self.publish_synced(Synced(mine), scratch)
    }

    /// Gives files whose content is durable their names.
    pub(crate) fn publish_synced(
        self: &Arc<Self>,
        files: Synced,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        for file in files.0 {
            watch::got_on();
            watch::at_entry(file.name.to_bytes());
            if self.attempt.cancel.is_cancelled() {
                return Err(self.stop_with(Stopped::Cancelled));
            }
            let node = Arc::clone(&file.node);
            let mut tally = Tally::default();
            let verdict = match self.publish_file(&file, &mut tally, scratch) {
                Ok(Published::At(bytes)) => Some(Verdict::CopiedFile(bytes)),
                Ok(Published::AtEnd) => None,
                Err(Problem::Entry(verdict)) => Some(verdict),
                Err(problem) => return Err(problem),
            };
            if let Some(verdict) = verdict {
                tally.count(verdict, || file.path());
            }
            // Whatever became of it, it was there under a temp name.
            node.entries_done(self, 1, tally, true)?;
            if file.is_in_stage() {
                node.leave_stage(self)?;
            }
        }
        Ok(())
    }

    /// Looks at the source again and gives the file its name. One that changed is copied anew at the end.
    fn publish_file(
        self: &Arc<Self>,
        file: &Unpublished,
        tally: &mut Tally,
        scratch: &mut Scratch,
    ) -> Result<Published, Problem> {
        let target = self.open_held(file.node.target.as_ref(), &file.node.path)?;
        let mut entry = Entry {
            engine: self,
            node: &file.node,
            source: &file.source,
            target: target.as_ref(),
            in_stage: false,
            name: &file.name,
            part: Part::End(None),
            rest: None,
            group: None,
            scratch,
            tally,
        };
        match file.source.stat_again(file.name.as_c_str()) {
            Ok(now) if now.is_same_content_as(&file.written.source) => {
                entry.publish(&file.written, file.replace)?;
                Ok(Published::At(file.written.bytes))
            }
            Ok(now) => {
                entry.drop_copy(file.written.temp.as_ref())?;
                self.late.add(&now, file.path(), Some(Seen::now(&now)), 1);
                Ok(Published::AtEnd)
            }
            Err(error) => {
                entry.drop_copy(file.written.temp.as_ref())?;
                if error.is_missing() {
                    // Whatever became of it before that is not known.
                    return Err(self.source_problem(&error));
                }
                tracing::debug!(error = describe(&error), "cannot look again");
                self.late.add(&file.written.source, file.path(), None, 1);
                Ok(Published::AtEnd)
            }
        }
    }
}
