//! What is asked of the engine, and what comes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use model::found_links::FoundLink;
use model::{
    CopyOptions, Epoch, HashRange, ItemId, NoRoom, Outcome, RangeSizes, RangeState, RangeWork,
    RelPath, RunId,
};
use storage::posix::Dir;

use crate::engine::Engine;
use crate::progress::Progress;
use crate::rclone::Claims;
use crate::threads::Threads;
use crate::watch::asking;

/// Says whether this attempt still holds its lease. Asked before each change at the target.
pub trait Fence: Send + Sync {
    /// "May I still write?" Waits while it is not known.
    fn may_write(&self) -> bool;

    /// Whether [`Fence::may_write`] would answer yes at once.
    fn is_open(&self) -> bool;
}

/// Takes work off this attempt's hands.
pub trait Share: Send + Sync {
    /// Whether somebody wants work; cheap (an atomic load).
    fn is_wanted(&self) -> bool;

    /// Whether somebody may ever want work: what is not begun is kept for them.
    fn has_takers(&self) -> bool {
        true
    }

    /// Whether all of it is wanted, and not just a part: this attempt has done enough.
    fn is_all_wanted(&self) -> bool {
        false
    }

    /// From so many names on, a directory is handed over by ranges of their hashes; none: never. It is made under its
    /// final name at once, and read before anything in it is begun.
    fn shard_entries(&self) -> Option<usize> {
        None
    }

    /// Work that is done in less time, by this attempt's own measure, is not worth handing over.
    fn least_time(&self) -> Duration {
        Duration::ZERO
    }

    /// There is nothing to hand over, now or when more is published: whoever wants work asks again.
    fn decline(&self) {}

    /// Hands work over for good; it is forgotten only after Ok.
    ///
    /// # Errors
    /// It was not taken: this attempt keeps it and goes on.
    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken>;

    /// Which files are shared in ranges; `None`: none are.
    fn ranges(&self) -> Option<RangeSizes> {
        None
    }

    /// Whether somebody has nothing else to do: ranges that only wait would be taken back again.
    fn wants_ranges(&self) -> bool {
        false
    }

    /// Hands ranges of a file over, until they are done or taken back. In this order they have the ids.
    ///
    /// # Errors
    /// They were not taken: this attempt keeps them and goes on.
    fn hand_over_ranges(&self, _: Vec<RangeWork>) -> Result<Vec<ItemId>, NotTaken> {
        Err(NotTaken)
    }

    /// Where these ranges stand; those that nobody has are this attempt's again. `is_given_up`: those too that somebody
    /// has, for nobody will publish the file.
    ///
    /// # Errors
    /// There was no answer, and the lease is lost.
    fn take_back(&self, _: &[ItemId], _is_given_up: bool) -> Result<Vec<RangeState>, NotTaken> {
        Err(NotTaken)
    }
}

/// Work that an attempt has not begun, and that can be another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unbegun {
    /// With all below it.
    Directory(RelPath),
    /// The names of a directory whose hashes fall into the range, with all below them. The directory itself stays an
    /// entry of the attempt that found it.
    Shard {
        directory: RelPath,
        range: HashRange,
    },
}

/// Work that was offered stays with the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was not taken")]
pub struct NotTaken;

/// Set once to make an attempt stop soon.
#[derive(Debug, Default)]
pub struct Cancel {
    is_cancelled: AtomicBool,
    is_left_behind: AtomicBool,
    /// For those who wait until it is set, or for their time.
    is_heard: Mutex<()>,
    hears: Condvar,
}

impl Cancel {
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        // Whoever has looked at it and not begun to wait yet is waited for.
        let _told = self.is_heard.lock();
        self.hears.notify_all();
    }

    /// Waits, at most until it is set.
    pub fn wait(&self, time: Duration) {
        let quiet = self.is_heard.lock().unwrap_or_else(PoisonError::into_inner);
        let _waited = self
            .hears
            .wait_timeout_while(quiet, time, |()| !self.is_cancelled());
    }

    /// Cancels an attempt whose threads get no answer: nobody waits for them, and others work in their stead.
    pub fn leave_behind(&self) {
        self.is_left_behind.store(true, Ordering::Relaxed);
        self.cancel();
    }

    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    pub fn is_left_behind(&self) -> bool {
        self.is_left_behind.load(Ordering::Relaxed)
    }
}

/// Why the roots can't be worked at any more; the text says what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsLost {
    /// They are not what they were.
    #[error("{0}")]
    Gone(String),
    /// They can't be looked at now: a handle is stale, the storage answers with errors.
    #[error("{0}")]
    Stale(String),
}

/// Called to find out whether both roots are still what they were.
pub type CheckRoots = Arc<dyn Fn() -> Result<(), RootsLost> + Send + Sync>;

/// One attempt at one item.
pub struct Attempt {
    pub run: RunId,
    pub item: ItemId,
    pub epoch: Epoch,
    pub options: CopyOptions,
    /// From when the filter counts ages back, seconds since 1970: the beginning of the run, so that all its attempts
    /// leave out the same.
    pub ages_from_secs: i64,
    /// Another task writes at, above or below the same target: directories are made under
    /// their final names at once, and may come into being at any time.
    pub target_is_shared: bool,
    pub source: Arc<Dir>,
    /// `None` only in a dry run without a target root.
    pub target: Option<Arc<Dir>>,
    pub work: AttemptWork,
    pub files: FileWork,
    /// Entries that fail for a reason that may go away are left to another attempt: see [`Finished::again`].
    pub another_try_follows: bool,
    /// Handed to other items by earlier attempts.
    pub excluded: Vec<Unbegun>,
    /// Items that this one was handed over by. What they left unfinished in its directories is removed: they are
    /// dead, or work elsewhere.
    pub ancestors: Vec<ItemId>,
    /// Who takes down names of files that have others outside of this attempt; `None`: they are made files of their own.
    pub links: Option<Arc<dyn FoundLinks>>,
    /// Called at each publish batch and at most once a second besides.
    pub check_roots: CheckRoots,
    pub fence: Arc<dyn Fence>,
    pub share: Arc<dyn Share>,
    pub progress: Arc<Progress>,
    pub cancel: Arc<Cancel>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptWork {
    /// Everything below these directories, and these directories themselves, but for the root.
    Walk(Vec<RelPath>),
    /// These entries, with everything below them. They were listed by another attempt: what is not there any more has
    /// vanished. They are not handed over, only what is found below them.
    Entries(Vec<RelPath>),
    /// The names of a directory whose hashes fall into the range, with all below them.
    Shard {
        directory: RelPath,
        range: HashRange,
    },
    /// These files, links and directories with all below them.
    Paths(Vec<RelPath>),
    /// These files, which rclone has copied: see [`FileWork::Settle`].
    Settle(Vec<RelPath>),
    /// These names, found by other attempts: the first of each file is copied, the others are linked to it.
    Links(Vec<FoundLink>),
    /// The attributes of just these directories. They are counted elsewhere; only failures are
    /// listed and counted here.
    Attributes(Vec<RelPath>),
    /// A piece of a file that another attempt copies. It is no entry: nothing is counted.
    Range(RangeWork),
}

/// What is done about regular files.
#[derive(Clone)]
pub enum FileWork {
    /// They are copied here.
    Copy,
    /// Those that must be written are only found, for rclone to copy; all else is done here.
    Find(Arc<dyn Found>),
    /// As [`FileWork::Find`], for a target that only rclone can reach: there is no target directory.
    FindForRemote(Arc<dyn Found>),
    /// rclone has copied them: what is there is looked at, and its attributes are set.
    Settle(Arc<Settling>),
    /// All that lies in the one directory is left to other attempts, and not copied: it fails as if for a reason that
    /// may go away. Of several paths, these themselves are left. Of a huge directory most names are handed over as
    /// shards, since no message holds them. What can't be taken apart is copied: a file that is alone.
    Leave,
}

/// Takes down the files that a walk found.
pub trait Found: Send + Sync {
    /// # Errors
    /// Why it could not be taken down, which ends the attempt.
    fn add(&self, path: &RelPath, size: Option<u64>) -> Result<(), String>;
}

/// Takes down names of files for the links phase.
pub trait FoundLinks: Send + Sync {
    /// # Errors
    /// Why it could not be taken down, which ends the attempt.
    fn add(&self, link: &FoundLink) -> Result<(), String>;
}

/// What rclone says of the files that are settled.
pub struct Settling {
    pub claims: Claims,
    /// When rclone was started, seconds since 1970 by this machine's clock.
    pub began_secs: i64,
}

/// An attempt that came to its end.
#[derive(Debug)]
pub struct Finished {
    pub outcome: Outcome,
    /// Directories whose attributes are to be set when all items of the task have ended, since
    /// others still create entries in them.
    pub deferred_attributes: Vec<RelPath>,
    /// What failed for a reason that may go away and is left to a later attempt: entries, counted as deferred, with
    /// all below them; of [`AttemptWork::Attributes`] the directories, not counted. Their parents' times are not
    /// right any more after that attempt.
    pub again: Vec<RelPath>,
}

/// Why an attempt came to no end. Nothing it did counts, and what it left unfinished is removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    #[error("cancelled")]
    Cancelled,
    #[error("the lease was lost")]
    LeaseLost,
    #[error("the mount is gone: {0}")]
    MountGone(String),
    /// It may be well again.
    #[error("the mount is stale: {0}")]
    MountStale(String),
    #[error("{0}")]
    TargetFull(NoRoom),
    /// Structural trouble: the whole item is to be run again.
    #[error("run again: {0}")]
    Again(String),
}

impl RootsLost {
    pub(crate) fn stops(self) -> Stopped {
        match self {
            RootsLost::Gone(why) => Stopped::MountGone(why),
            RootsLost::Stale(why) => Stopped::MountStale(why),
        }
    }
}

/// Runs an attempt to its end, on the pool; blocks the caller.
///
/// # Errors
/// See [`Stopped`]. Entries that fail one by one are no error but counted in the outcome.
pub fn run(threads: &Threads, attempt: Attempt) -> Result<Finished, Stopped> {
    let engine = Arc::new(asking(|| Engine::new(attempt, threads.pool()))?);
    threads.pool().run_to_end(&engine);
    engine.finish()
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::Cancel;

    #[test]
    fn who_waits_is_woken_when_it_is_set_and_waits_no_more_then() {
        let cancel = Cancel::default();
        cancel.wait(Duration::from_millis(1));
        assert!(!cancel.is_cancelled());
        // A wait that nobody ends would last for as long as the tests.
        const LONG: Duration = Duration::from_secs(3600);
        thread::scope(|scope| {
            scope.spawn(|| cancel.wait(LONG));
            cancel.cancel();
        });
        cancel.wait(LONG);
        assert!(cancel.is_cancelled());
    }
}
