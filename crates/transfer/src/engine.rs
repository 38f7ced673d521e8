//! What all jobs of one attempt share: its orders, the ledger, what is unfinished at the target,
//! and whether to go on.

mod left;
mod problem;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{CopyOptions, Durability, RelPath};
use storage::posix::{Dir, Error, Identity, Replace, max_descriptors, process_mask};

use crate::again::{Directories, Listed, take_out};
use crate::attempt::{Attempt, AttemptWork, FileWork, Finished, Stopped};
use crate::batch::{Batch, max_directories};
use crate::excluded::Excluded;
use crate::fs_types;
use crate::held::{Held, HeldDirs};
use crate::late::Late;
use crate::ledger::Tally;
use crate::pace::Pace;
use crate::parts::Parts;
use crate::policy::Losses;
use crate::queue::{Job, Queue};
use crate::selection::Selection;
use crate::start::{Feeder, Purpose};
use crate::threads::{Pool, Scratch};
use crate::unfinished::Unfinished;
use crate::watch;
use crate::window::Room;

pub(crate) use problem::{Problem, describe};

/// Roots are checked at most this often besides the publish batches.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Engine {
    pub(crate) attempt: Attempt,
    pub(crate) options: CopyOptions,
    pub(crate) selection: Selection,
    pub(crate) pool: Arc<Pool>,
    pub(crate) identity: Identity,
    pub(crate) durability: Durability,
    /// A file is synced before it gets its name.
    pub(crate) syncs_each_file: bool,
    /// No call syncs the names of the whole file system.
    pub(crate) syncs_each_directory: bool,
    pub(crate) max_batch_directories: u64,
    pub(crate) excluded: Excluded,
    /// From so many names on, a directory is shared by ranges of their hashes.
    pub(crate) shard_entries: Option<usize>,
    pub(crate) name_room: Arc<Room>,
    pub(crate) batch: Mutex<Batch>,
    /// Held by the thread that publishes a batch.
    pub(crate) publishing: Mutex<()>,
    /// Opened before the first write, so that each error of writing back is reported to it.
    pub(crate) sync_target: Option<Dir>,
    /// Device and inode of the target root: a walk must not enter it.
    pub(crate) target_root: Option<(u64, u64)>,
    pub(crate) pace: Pace,
    pub(crate) is_sharing: AtomicBool,
    /// Big files of which ranges can be handed over.
    pub(crate) shared_files: Mutex<Vec<Arc<Parts>>>,
    /// Microseconds after `started`, as is the next.
    pub(crate) shares_again_at: AtomicU64,
    pub(crate) wanted_until: AtomicU64,
    ledger: Mutex<Ledger>,
    pub(crate) unfinished: Unfinished,
    pub(crate) losses: Losses,
    pub(crate) held: HeldDirs,
    pub(crate) late: Late,
    /// The devices of source and target, if their times are fine: see [`crate::settled`].
    pub(crate) finely_timed: Vec<u64>,
    /// What may be in the place of an entry whose name was not there.
    pub(crate) replaces_absent: Replace,
    /// The device of the target, if directories on it that fold names are marked.
    pub(crate) marks_folding: Option<u64>,
    /// Neither side is on a network.
    pub(crate) is_local: bool,
    /// Permission bits that this process gives to nobody, for modes that are not kept.
    pub(crate) process_mask: u32,
    /// Not all that is at the target is known to be durable.
    wrote: AtomicBool,
    started: Instant,
    /// Milliseconds after `started`.
    next_check: AtomicU64,
    stopping: AtomicBool,
    stopped: Mutex<Option<Stopped>>,
    end: Mutex<End>,
}

#[derive(Default)]
struct Ledger {
    tally: Tally,
    deferred_attributes: HashSet<RelPath>,
    directories: Directories,
}

/// What is still to do when the queue is empty.
#[derive(Default, PartialEq, Clone, Copy)]
enum End {
    #[default]
    Working,
    /// The last names have been made durable, or the rests removed.
    Done,
}

impl Engine {
    pub(crate) fn new(mut attempt: Attempt, pool: &Arc<Pool>) -> Result<Self, Stopped> {
        let again = |error: Error| Stopped::Again(describe(&error));
        let sync_target = match &attempt.target {
            Some(target) if !attempt.options.dry_run => Some(target.reopen().map_err(again)?),
            None if !attempt.options.dry_run && !has_remote_target(&attempt.files) => {
                return Err(Stopped::Again("internal: a copy without a target".into()));
            }
            _ => None,
        };
        let target_root = match &attempt.target {
            Some(target) => {
                let meta = target.meta().map_err(again)?;
                Some((meta.dev, meta.ino))
            }
            None => None,
        };
        let selection = match attempt.files {
            // Those were chosen when they were found.
            FileWork::Settle(_) => Selection::default(),
            FileWork::Copy | FileWork::Leave | FileWork::Find(_) | FileWork::FindForRemote(_) => {
                Selection::new(
                    &attempt.options.filter,
                    attempt.ages_from_secs,
                    &attempt.source,
                )?
            }
        };
        let source_magic = attempt.source.fs_magic().map_err(again)?;
        let mut finely_timed = Vec::new();
        if fs_types::is_finely_timed(source_magic) {
            finely_timed.push(attempt.source.meta().map_err(again)?.dev);
        }
        let mut replaces_absent = Replace::Refused;
        let mut marks_folding = None;
        let mut is_local = fs_types::is_local(source_magic);
        let mut durability = attempt.options.durability;
        let mut syncs_each_file = durability == Durability::File;
        let mut syncs_each_directory = false;
        if let Some(target) = &sync_target {
            let fs_magic = target.fs_magic().map_err(again)?;
            is_local &= fs_types::is_local(fs_magic);
            if fs_types::is_finely_timed(fs_magic) {
                finely_timed.extend(target_root.map(|(device, _)| device));
            }
            if fs_types::tells_names_apart(fs_magic) {
                replaces_absent = Replace::Allowed;
            }
            if fs_types::marks_what_it_folds(fs_magic) {
                marks_folding = target_root.map(|(device, _)| device);
            }
            if durability == Durability::None {
                syncs_each_file = fs_types::reports_errors_at_close(fs_magic);
            } else if !fs_types::is_synced_as_a_whole(fs_magic) {
                durability = Durability::File;
                syncs_each_file = true;
                syncs_each_directory = true;
            }
        }
        // What an earlier attempt has published is found unchanged and written by nobody: its names
        // must be durable all the same before the item counts as done.
        let wrote = AtomicBool::new(!attempt.options.dry_run);
        Ok(Self {
            options: attempt.options.clone(),
            selection,
            pool: Arc::clone(pool),
            identity: Identity::current(),
            durability,
            syncs_each_file,
            syncs_each_directory,
            max_batch_directories: max_directories(max_descriptors()),
            excluded: Excluded::new(std::mem::take(&mut attempt.excluded)),
            shard_entries: attempt.share.shard_entries(),
            name_room: Arc::default(),
            batch: Mutex::default(),
            publishing: Mutex::default(),
            sync_target,
            target_root,
            pace: Pace::default(),
            is_sharing: AtomicBool::new(false),
            shared_files: Mutex::default(),
            shares_again_at: AtomicU64::new(0),
            wanted_until: AtomicU64::new(0),
            ledger: Mutex::default(),
            unfinished: Unfinished::default(),
            losses: Losses::default(),
            held: HeldDirs::new(max_descriptors()),
            late: Late::default(),
            finely_timed,
            replaces_absent,
            marks_folding,
            is_local,
            process_mask: process_mask(),
            wrote,
            started: Instant::now(),
            next_check: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            stopped: Mutex::default(),
            end: Mutex::default(),
            attempt,
        })
    }

    /// A target that only rclone reaches, and that keeps files alone.
    pub(crate) fn has_remote_target(&self) -> bool {
        has_remote_target(&self.attempt.files)
    }

    pub(crate) fn first_jobs(&self, queue: &mut Queue) {
        let (purpose, paths) = match &self.attempt.work {
            AttemptWork::Walk(paths) => (Purpose::Walk, paths.clone()),
            AttemptWork::Entries(paths) => (Purpose::Entries, paths.clone()),
            AttemptWork::Shard { directory, range } => {
                (Purpose::Shard(*range), vec![directory.clone()])
            }
            AttemptWork::Paths(paths) => (Purpose::Paths, paths.clone()),
            AttemptWork::Settle(paths) => (Purpose::Settle, paths.clone()),
            AttemptWork::Attributes(paths) => (Purpose::Attributes, paths.clone()),
            AttemptWork::Links(names) => return self.begin_links(names, queue),
            AttemptWork::Range(range) => return queue.push_first(Job::Range(range.clone())),
        };
        queue.push_feeder(Feeder::new(purpose, paths));
    }

    /// Does one job; when the attempt is stopping, drops it.
    pub(crate) fn perform(self: &Arc<Self>, job: Job, scratch: &mut Scratch) {
        if let Job::Clean = job {
            // Before anything else: should this panic, it is not done for ever.
            *lock(&self.end) = End::Done;
            self.drop_all_temps();
            return;
        }
        if self.check_on().is_err() {
            return;
        }
        // What a feeder has can't be found while it is at work: a look in vain, and a pause after it.
        if !matches!(job, Job::Feed(_)) {
            self.share_if_wanted();
        }
        let result = match job {
            Job::Begin(pending) => self.begin_directory(pending, scratch),
            Job::List(group, lister) => self.list(group, *lister, scratch),
            Job::Files(_, files) => self.copy_files(files, scratch),
            Job::Feed(feeder) => self.feed(feeder, scratch),
            Job::Late(files) => self.do_late(files, scratch),
            Job::Publish(files) => self.publish_synced(files, scratch),
            Job::Flush => self.flush(scratch),
            Job::Help(parts) => {
                self.help(&parts, scratch);
                Ok(())
            }
            Job::Range(range) => self.copy_range(&range, scratch),
            Job::Sync | Job::Clean => self.sync_names(),
        };
        debug_assert!(result.is_ok() || self.is_stopping());
    }

    /// What is to be done when nothing is queued or running.
    pub(crate) fn next_job(&self) -> Option<Job> {
        if *lock(&self.end) == End::Done {
            return None;
        }
        if self.is_stopping() {
            return Some(Job::Clean);
        }
        // Further names go into directories that may get theirs only with their batch.
        if !lock(&self.batch).is_empty() {
            return Some(Job::Flush);
        }
        if let Some(files) = self.late.take() {
            return Some(Job::Late(files));
        }
        if let Some(directories) = self.late.take_directories() {
            return Some(Job::Feed(Feeder::new(Purpose::Attributes, directories)));
        }
        if self.wrote.load(Ordering::Relaxed) && self.durability != Durability::None {
            return Some(Job::Sync);
        }
        None
    }

    pub(crate) fn mark_synced(&self) {
        self.wrote.store(false, Ordering::Relaxed);
    }

    pub(crate) fn finish(&self) -> Result<Finished, Stopped> {
        if let Some(stopped) = lock(&self.stopped).take() {
            return Err(stopped);
        }
        let ledger = std::mem::take(&mut *lock(&self.ledger));
        let mut outcome = ledger.tally.into_outcome();
        if !outcome.is_balanced() {
            return Err(Stopped::Again(format!(
                "internal: ledger does not add up: {:?}",
                outcome.counters
            )));
        }
        let mut deferred_attributes: Vec<RelPath> =
            ledger.deferred_attributes.into_iter().collect();
        deferred_attributes.sort();
        let listed = match self.attempt.work {
            AttemptWork::Attributes(_) => Listed::Elsewhere,
            _ => Listed::Here,
        };
        let again = take_out(&mut outcome, listed, |class, path| {
            self.may_be_left(path)
                && ledger.directories.get_another_try(class, path)
                && !self.excluded.has_within(path)
        });
        Ok(Finished {
            outcome,
            deferred_attributes,
            again,
        })
    }

    // Stopping.

    pub(crate) fn stop(&self, reason: Stopped) {
        lock(&self.stopped).get_or_insert(reason);
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether to go on at all; looked at between entries and chunks.
    pub(crate) fn check_on(&self) -> Result<(), Problem> {
        watch::got_on();
        if self.is_stopping() {
            return Err(Problem::Stopping);
        }
        if self.attempt.cancel.is_cancelled() {
            return Err(self.stop_with(Stopped::Cancelled));
        }
        let now = self.elapsed_ms();
        let due = self.next_check.load(Ordering::Relaxed);
        let next = now.saturating_add(CHECK_INTERVAL.as_millis() as u64);
        if now >= due
            && self
                .next_check
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.check_roots()?;
        }
        Ok(())
    }

    pub(crate) fn elapsed_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn check_roots(&self) -> Result<(), Problem> {
        (self.attempt.check_roots)().map_err(|lost| self.stop_with(lost.stops()))
    }

    /// Asked before each change at the target.
    pub(crate) fn check_fence(&self) -> Result<(), Problem> {
        if self.is_stopping() {
            return Err(Problem::Stopping);
        }
        if !watch::waiting(|| self.attempt.fence.may_write()) {
            return Err(self.stop_with(Stopped::LeaseLost));
        }
        if !self.wrote.load(Ordering::Relaxed) {
            self.wrote.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A directory at the target that waited, opened again if need be.
    pub(crate) fn open_held(
        &self,
        held: Option<&Arc<Held>>,
        path: &RelPath,
    ) -> Result<Option<Arc<Dir>>, Problem> {
        let Some(held) = held else {
            return Ok(None);
        };
        let opened = self.opening(|| self.held.open(held));
        opened
            .map(Some)
            .map_err(|error| self.stop_again(&error, path))
    }

    pub(crate) fn record(&self, tally: Tally) {
        self.attempt.progress.add(&tally.counters);
        lock(&self.ledger).tally.add(tally);
    }

    pub(crate) fn defer_attributes(&self, path: &RelPath) {
        lock(&self.ledger).deferred_attributes.insert(path.clone());
    }
}

fn has_remote_target(files: &FileWork) -> bool {
    matches!(files, FileWork::FindForRemote(_))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
