//! Handing work over: about half of the sub-directories that wait, nearest the root first, of those that the
//! item is made of, and of each huge directory all but one part of what is not begun; if that is worth it. And ranges of huge files, first: one mount
//! may let little into a file at a time, so that they take long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{HashRange, RelPath};
use storage::posix::thread_cpu_time;

use crate::attempt::Unbegun;
use crate::engine::{Engine, Problem, lock};
use crate::ledger::Tally;
use crate::queue::{GroupId, Job, Queue};
use crate::start::Feeder;
use crate::supply::Supply;
use crate::walk::{Lister, Pending};
use crate::watch;

/// Shards that one directory is cut into at once.
const MOST_SHARDS: u64 = 8;

/// So many times as long as a look was at work that found nothing to hand over, there is no other: it takes the lock that all
/// threads need.
const PAUSE: u32 = 20;

/// After somebody wanted work, so many µs: who still wants some asks again before.
const WANTED_FOR: u64 = 2_000_000;

/// So many keep a thread at work until the next directory is read.
const FILES_A_THREAD: f64 = 2.0;

/// A batch that is not yet full is published for the sake of those who want work.
const OLD_BATCH: Duration = Duration::from_millis(500);

impl Engine {
    /// Hands directories over when somebody wants work. Only one thread does it at a time.
    pub(crate) fn share_if_wanted(self: &Arc<Self>) {
        if !self.attempt.share.is_wanted() {
            return;
        }
        let began = self.elapsed_us();
        self.wanted_until
            .store(began + WANTED_FOR, Ordering::Relaxed);
        if self.shares_again_at.load(Ordering::Relaxed) > began
            || self.is_sharing.swap(true, Ordering::Acquire)
        {
            return;
        }
        let used = thread_cpu_time();
        match self.share() {
            Ok(true) => {}
            Ok(false) => {
                let pause = thread_cpu_time().saturating_sub(used) * PAUSE;
                let next = self.elapsed_us() + pause.as_micros() as u64;
                self.shares_again_at.store(next, Ordering::Relaxed);
            }
            Err(problem) => {
                debug_assert!(matches!(problem, Problem::Stopping), "no entry's");
            }
        }
        self.is_sharing.store(false, Ordering::Release);
    }

    /// Whether somebody wanted work a moment ago, and may want more.
    pub(crate) fn is_wanted_of_late(&self) -> bool {
        self.wanted_until.load(Ordering::Relaxed) > self.elapsed_us()
    }

    /// Directories that so many threads begin at once where what is not begun is kept for others: fewer, the more files a
    /// directory had so far.
    pub(crate) fn begins_at_once(&self, threads: usize) -> usize {
        let directories = FILES_A_THREAD * threads as f64 / self.pace.files_of_one();
        (directories as usize).clamp(1, threads)
    }

    /// Whether something was handed over.
    fn share(self: &Arc<Self>) -> Result<bool, Problem> {
        let are_taken = self.share_ranges();
        let batch_holds_up = lock(&self.batch).is_older_than(OLD_BATCH);
        let offer = self
            .pool
            .with_queue(self, |queue| self.offer(queue, batch_holds_up));
        let Some(offer) = offer else {
            return Ok(are_taken);
        };
        let work = offer.work();
        let (parts, time) = (work.len(), self.time_of(&offer));
        if work.is_empty() || time < self.attempt.share.least_time() {
            let others_wait = offer.others_wait;
            self.take_back(offer);
            tracing::debug!(
                "asked for work: {parts} unbegun parts would take {time:.1?} and are kept"
            );
            if !are_taken && !others_wait {
                self.attempt.share.decline();
            }
            return Ok(are_taken);
        }
        if watch::waiting(|| self.attempt.share.hand_over(&work)).is_err() {
            self.take_back(offer);
            return Ok(are_taken);
        }
        tracing::debug!("asked for work: handed over {parts} parts that would take {time:.1?}");
        self.forget(offer)?;
        Ok(true)
    }

    /// How long this attempt would take for it, by what it has begun so far.
    fn time_of(&self, offer: &Offer) -> Duration {
        let names = offer.huge.iter().filter_map(|huge| huge.cut);
        let names = names.map(|cut| cut.names).sum();
        let waiting = offer.directories.iter().map(|pending| pending.depth() + 1);
        let depths = waiting.chain(offer.rest.iter().map(|path| path.components().count()));
        let directories = depths.map(|depth| self.pace.expected(depth)).sum();
        let so_far = Duration::from_micros(self.elapsed_us());
        self.pace.time(directories, names, so_far)
    }

    /// Takes out of the queue what others may have.
    fn offer(&self, queue: &mut Queue, batch_holds_up: bool) -> Offer {
        let is_all_wanted = self.attempt.share.is_all_wanted();
        let waiting = std::mem::take(&mut queue.pending);
        let (mut free, kept): (Vec<Pending>, Vec<Pending>) = waiting
            .into_iter()
            .partition(|pending| self.can_be_shared(pending));
        if free.is_empty() && !kept.is_empty() && batch_holds_up {
            // What lies in directories that wait for their files can be shared then.
            queue.push_first(Job::Flush);
        }
        let others_wait = !kept.is_empty();
        queue.pending = kept.into();
        free.sort_by_key(Pending::depth);
        let n = match is_all_wanted {
            true => free.len(),
            // The last one goes, too, if all threads have something else to do.
            false if queue.has_files() || !self.pool.has_room() => free.len().div_ceil(2),
            false => free.len() / 2,
        };
        let rest = free.split_off(n);
        // The nearest to the root wait longest, at the front.
        for pending in rest.into_iter().rev() {
            queue.pending.push_front(pending);
        }
        let huge = queue
            .take_listers(|lister| lister.cut_for_others(is_all_wanted).is_some())
            .into_iter()
            .map(|(group, lister)| {
                let cut = lister.cut_for_others(is_all_wanted);
                HugeOffer { group, lister, cut }
            })
            .collect();
        let feeder = queue.take_feeder();
        let (from, rest) = match &feeder {
            Some(feeder) => {
                let (from, rest) = feeder.unbegun(is_all_wanted);
                let rest = rest.filter(|path| !self.excluded.has_within(path));
                (from, rest.cloned().collect())
            }
            None => (0, Vec::new()),
        };
        Offer {
            directories: free,
            others_wait,
            huge,
            feeder,
            from,
            rest,
        }
    }

    /// Whoever gets it finds it under its path, and nothing in it is another's already.
    fn can_be_shared(&self, pending: &Pending) -> bool {
        pending.parent.is_reachable() && !self.excluded.has_within(&pending.path())
    }

    /// Where everything is left to others: hands over what of a huge directory is not in memory. If it is not taken, it
    /// is read on.
    pub(crate) fn hand_over_unread(&self, lister: &mut Lister) {
        let Some(cut) = lister.cut_unread() else {
            return;
        };
        let work = cut.work(&lister.node.path);
        if watch::waiting(|| self.attempt.share.hand_over(&work)).is_ok() {
            lister.node.mark_shared_out();
            lister.leave_to_others(cut);
        }
    }

    fn take_back(self: &Arc<Self>, offer: Offer) {
        self.pool.with_queue(self, |queue| {
            for pending in offer.directories.into_iter().rev() {
                queue.pending.push_front(pending);
            }
            for huge in offer.huge {
                queue.push_files(huge.group, [], Some(huge.lister));
            }
            if let Some(feeder) = offer.feeder {
                queue.push_feeder(feeder);
            }
        });
    }

    /// It is others' now.
    fn forget(self: &Arc<Self>, offer: Offer) -> Result<(), Problem> {
        self.pool.with_queue(self, |queue| {
            for mut huge in offer.huge {
                huge.lister.node.mark_shared_out();
                if let Some(cut) = huge.cut {
                    huge.lister.leave_to_others(cut);
                }
                queue.push_files(huge.group, [], Some(huge.lister));
            }
            if let Some(mut feeder) = offer.feeder {
                if !offer.rest.is_empty() {
                    feeder.forget(offer.from, |path| self.excluded.has_within(path));
                }
                queue.push_feeder(feeder);
            }
        });
        let mut tally = Tally::default();
        tally.counters.listed = offer.rest.len() as u64;
        tally.counters.deferred = (offer.directories.len() + offer.rest.len()) as u64;
        self.record(tally);
        for pending in offer.directories {
            pending.parent.sub_directory_deferred(self)?;
        }
        Ok(())
    }
}

/// What is offered to others, and forgotten only when it is taken.
struct Offer {
    directories: Vec<Pending>,
    /// There are more that wait, until they can be found under their paths.
    others_wait: bool,
    /// What the item is made of and has not come to, out of the queue for now.
    feeder: Option<Feeder>,
    /// Of that, from here on, the directories offered.
    from: usize,
    rest: Vec<RelPath>,
    huge: Vec<HugeOffer>,
}

/// A huge directory, of which the names from a hash on are offered.
struct HugeOffer {
    group: GroupId,
    lister: Lister,
    cut: Option<Cut>,
}

impl Offer {
    fn work(&self) -> Vec<Unbegun> {
        let directories = self.directories.iter();
        let directories = directories
            .map(Pending::path)
            .chain(self.rest.iter().cloned());
        let directories = directories.map(Unbegun::Directory);
        let shards = self.huge.iter().flat_map(|huge| {
            let directory = &huge.lister.node.path;
            huge.cut.map_or_else(Vec::new, |cut| cut.work(directory))
        });
        directories.chain(shards).collect()
    }
}

/// Where the unbegun names of a huge directory are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    others: HashRange,
    /// About so many names.
    names: u64,
    /// Names that are worth an item.
    least: u64,
}

impl Cut {
    /// As many shards as are worth their while: each reads the whole directory.
    fn work(self, directory: &RelPath) -> Vec<Unbegun> {
        let n = (self.names / self.least).clamp(1, MOST_SHARDS);
        let ranges = self.others.parts(n as usize).into_iter();
        let shards = ranges.map(|range| Unbegun::Shard {
            directory: RelPath::clone(directory),
            range,
        });
        shards.collect()
    }
}

impl Lister {
    /// What others may have of it: all that nobody has anything of already, or of that all but one part. Who is done with
    /// one takes the next, the attempt itself like the others, so that all end at about the same time.
    fn cut_for_others(&self, is_all_wanted: bool) -> Option<Cut> {
        let Supply::Huge(window) = &self.supply else {
            return None;
        };
        let (left, names) = (window.left()?, window.left_names());
        if !self.node.is_reachable() || (is_all_wanted && !window.has_paid()) {
            return None;
        }
        let free = self.free_of(left)?;
        let least = window.least_names(self.depth());
        let others = match is_all_wanted {
            true => free,
            false => {
                let parts = (names / least).clamp(2, MOST_SHARDS + 1);
                free.since(left.parts(parts as usize).get(1)?.from())?
            }
        };
        // Hashes are spread evenly.
        let names = (names as f64 * others.width() / left.width()) as u64;
        let cut = Cut {
            others,
            names,
            least,
        };
        (is_all_wanted || names >= least).then_some(cut)
    }

    /// All that nobody has anything of already, if none of it is in memory.
    fn cut_unread(&self) -> Option<Cut> {
        let Supply::Huge(window) = &self.supply else {
            return None;
        };
        window.to_be_read()?;
        let others = self.free_of(window.left()?)?;
        let cut = Cut {
            others,
            names: window.left_names(),
            least: window.least_names(self.depth()),
        };
        (self.node.is_reachable()).then_some(cut)
    }

    fn depth(&self) -> usize {
        self.node.path.components().count()
    }

    fn free_of(&self, left: HashRange) -> Option<HashRange> {
        match self.others_to {
            Some(hash) => left.since(hash.checked_add(1)?),
            None => Some(left),
        }
    }

    fn leave_to_others(&mut self, cut: Cut) {
        if let Supply::Huge(window) = &mut self.supply {
            window.cut(cut.others.from());
            self.strangers.cut(cut.others.from());
        }
    }
}

impl Pending {
    fn depth(&self) -> usize {
        self.parent.path.components().count()
    }
}
