//! Handing work over: about half of the sub-directories that wait, nearest the root first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::RelPath;

use crate::engine::{Engine, Problem, lock};
use crate::ledger::Tally;
use crate::queue::Job;
use crate::walk::Pending;
use crate::watch;

/// So many times as long as a look took that found nothing to hand over, there is no other: it takes the lock that all
/// threads need.
const PAUSE: u64 = 20;

/// A batch that is not yet full is published for the sake of those who want work.
const OLD_BATCH: Duration = Duration::from_millis(500);

impl Engine {
    /// Hands directories over when somebody wants work. Only one thread does it at a time.
    pub(crate) fn share_if_wanted(self: &Arc<Self>) {
        if !self.attempt.share.is_wanted()
            || self.shares_again_at.load(Ordering::Relaxed) > self.elapsed_us()
            || self.is_sharing.swap(true, Ordering::Acquire)
        {
            return;
        }
        let began = self.elapsed_us();
        match self.share() {
            Ok(true) => {}
            Ok(false) => {
                let now = self.elapsed_us();
                let next = now + (now - began) * PAUSE;
                self.shares_again_at.store(next, Ordering::Relaxed);
            }
            Err(problem) => {
                debug_assert!(matches!(problem, Problem::Stopping), "no entry's");
            }
        }
        self.is_sharing.store(false, Ordering::Release);
    }

    /// Whether something was handed over.
    fn share(self: &Arc<Self>) -> Result<bool, Problem> {
        let batch_holds_up = lock(&self.batch).is_older_than(OLD_BATCH);
        let offered = self.pool.with_queue(self, |queue| {
            let waiting = std::mem::take(&mut queue.pending);
            let (mut free, kept): (Vec<Pending>, Vec<Pending>) =
                waiting.into_iter().partition(Pending::can_be_shared);
            if free.is_empty() && !kept.is_empty() && batch_holds_up {
                // What lies in directories that wait for their files can be shared then.
                queue.push_first(Job::Flush);
            }
            queue.pending = kept.into();
            free.sort_by_key(Pending::depth);
            let n = match self.attempt.share.is_all_wanted() {
                true => free.len(),
                false if free.len() >= 2 => free.len() / 2,
                false => 0,
            };
            let rest = free.split_off(n);
            // The nearest to the root wait longest, at the front.
            for pending in rest.into_iter().rev() {
                queue.pending.push_front(pending);
            }
            free
        });
        let Some(offered) = offered.filter(|offered| !offered.is_empty()) else {
            return Ok(false);
        };
        let paths: Vec<RelPath> = offered.iter().map(Pending::path).collect();
        if watch::waiting(|| self.attempt.share.hand_over(&paths)).is_err() {
            self.pool.with_queue(self, |queue| {
                for pending in offered {
                    queue.pending.push_front(pending);
                }
            });
            return Ok(false);
        }
        let mut tally = Tally::default();
        tally.counters.deferred = offered.len() as u64;
        self.record(tally);
        for pending in offered {
            pending.parent.sub_directory_deferred(self)?;
        }
        Ok(true)
    }
}

impl Pending {
    fn can_be_shared(&self) -> bool {
        self.parent.is_reachable()
    }

    fn depth(&self) -> usize {
        self.parent.path.components().count()
    }
}
