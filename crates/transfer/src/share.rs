//! Handing work over: about half of the sub-directories that wait, nearest the root first.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::RelPath;

use crate::engine::{Engine, Problem};
use crate::ledger::Tally;
use crate::walk::Pending;

impl Engine {
    /// Hands directories over when somebody wants work. Only one thread does it at a time.
    pub(crate) fn share_if_wanted(self: &Arc<Self>) {
        if !self.attempt.share.is_wanted() || self.is_sharing.swap(true, Ordering::Acquire) {
            return;
        }
        if let Err(Problem::Entry(verdict)) = self.share() {
            debug_assert!(false, "sharing has no verdict: {verdict:?}");
        }
        self.is_sharing.store(false, Ordering::Release);
    }

    fn share(self: &Arc<Self>) -> Result<(), Problem> {
        let offered = self.pool.with_queue(self, |queue| {
            let waiting = std::mem::take(&mut queue.pending);
            let (mut free, kept): (Vec<Pending>, Vec<Pending>) =
                waiting.into_iter().partition(Pending::can_be_shared);
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
            return Ok(());
        };
        let paths: Vec<RelPath> = offered.iter().map(Pending::path).collect();
        if self.attempt.share.hand_over(&paths).is_err() {
            self.pool.with_queue(self, |queue| {
                for pending in offered {
                    queue.pending.push_front(pending);
                }
            });
            return Ok(());
        }
        let mut tally = Tally::default();
        tally.counters.deferred = offered.len() as u64;
        self.record(tally);
        for pending in offered {
            pending.parent.sub_directory_deferred(self)?;
        }
        Ok(())
    }
}

impl Pending {
    fn can_be_shared(&self) -> bool {
        self.parent.is_published()
    }

    fn depth(&self) -> usize {
        self.parent.path.components().count()
    }
}
