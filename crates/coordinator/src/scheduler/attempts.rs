//! What workers say of the items they hold: where they stand, what they hand back, how they end.

use std::time::{Duration, Instant};

use model::location::SourceIdentity;
use model::{Epoch, ItemId, Outcome, SessionId, TaskId, Work};

use super::{Refused, ReleaseReason, Scheduler, now_ms};
use crate::notices::Paused;
use crate::store::{Cost, Millis, Release, ReleasedTo, StoreError};

/// A target that is full is tried again after this time.
const FULL_TARGET_WAIT: Duration = Duration::from_secs(60);

impl Scheduler {
    /// The first worker at a task's roots sets the identity of its source; all hear what holds.
    pub fn roots(
        &self,
        item: ItemId,
        epoch: Epoch,
        identity: &SourceIdentity,
    ) -> Result<SourceIdentity, Refused> {
        let record = self.store.item(item)?;
        record.item.check(epoch).map_err(StoreError::from)?;
        let task = record.item.task;
        let holds = self.store.set_source_identity(self.run, task, identity)?;
        if let Some(task) = self.state().tasks.get_mut(&task) {
            task.record.source_identity = Some(holds.clone());
        }
        // Other items of the task were waiting for this.
        self.work.notify_waiters();
        Ok(holds)
    }

    pub fn children(
        &self,
        item: ItemId,
        from: u64,
        n: usize,
    ) -> Result<Vec<(ItemId, Work)>, Refused> {
        Ok(self.store.children(item, from, n)?)
    }

    pub fn split(
        &self,
        item: ItemId,
        epoch: Epoch,
        children: &[(ItemId, Work)],
    ) -> Result<(), Refused> {
        let record = self.store.item(item)?;
        self.store.split(item, epoch, children, now_ms())?;
        self.waiting(record.item.task);
        Ok(())
    }

    pub fn complete(
        &self,
        session: SessionId,
        item: ItemId,
        epoch: Epoch,
        outcome: Outcome,
        children: &[(ItemId, Work)],
    ) -> Result<(), Refused> {
        let record = self.store.item(item)?;
        let task = record.item.task;
        let completed = self
            .store
            .complete_with(item, epoch, outcome, children, now_ms());
        // Taken or refused, this attempt is over.
        self.drop_held(session, item, epoch);
        completed?;
        if !children.is_empty() {
            self.waiting(task);
        }
        self.advance(task)?;
        Ok(())
    }

    pub fn release(
        &self,
        session: SessionId,
        item: ItemId,
        epoch: Epoch,
        reason: ReleaseReason,
        message: &str,
    ) -> Result<(), Refused> {
        let record = self.store.item(item)?;
        let task = record.item.task;
        let name = self
            .state()
            .fleet
            .session(session)
            .map_or_else(String::new, |s| s.name.clone());
        let (cost, wait) = match reason {
            ReleaseReason::Drain => (Cost::Free, Duration::ZERO),
            ReleaseReason::Machine => {
                tracing::warn!("worker {name} can't run task {task}: {message}; others may");
                self.state()
                    .fleet
                    .refuse(session, task, message.to_owned(), Instant::now());
                (Cost::Free, Duration::ZERO)
            }
            ReleaseReason::Task => (Cost::Free, Duration::ZERO),
            ReleaseReason::TargetFull => {
                let wait = FULL_TARGET_WAIT.as_secs();
                tracing::warn!("task {task} waits: {message}; it is tried again in {wait} s");
                self.tell_of_full_target(task, name, message);
                (Cost::Free, FULL_TARGET_WAIT)
            }
            ReleaseReason::Failed => {
                tracing::warn!(
                    "item {item} of task {task} on {name}: {message}; it is tried again"
                );
                (Cost::Attempt, retry_wait(record.item.attempts))
            }
        };
        self.drop_held(session, item, epoch);
        self.hand_back(item, epoch, cost, message, wait)?;
        if reason == ReleaseReason::Task {
            self.fail_task(task, message.to_owned())?;
        }
        if let Some(state) = self.state().tasks.get_mut(&task) {
            state.trouble = (reason != ReleaseReason::Drain).then(|| message.to_owned());
        }
        self.give_up_refused(Instant::now())?;
        Ok(())
    }

    fn tell_of_full_target(&self, task: TaskId, client: String, message: &str) {
        let places = self.state().tasks.get(&task).map(|state| {
            let task = &state.record.task;
            (task.source.to_string(), task.target.to_string())
        });
        if let Some((source, target)) = places {
            self.notices.target_full(Paused {
                task,
                source,
                target,
                client,
                message: message.to_owned(),
            });
        }
    }

    /// The attempt is over; one with another epoch is not meant.
    pub(super) fn drop_held(&self, session: SessionId, item: ItemId, epoch: Epoch) {
        if let Some(session) = self.state().fleet.session(session) {
            session
                .held
                .retain(|held, h| *held != item || h.epoch != epoch);
        }
    }

    /// Like [`Scheduler::hand_back`]; if it is stale, somebody else did it already.
    pub(super) fn put_back(
        &self,
        item: ItemId,
        epoch: Epoch,
        cost: Cost,
        reason: &str,
        wait: Duration,
    ) -> Result<(), StoreError> {
        match self.hand_back(item, epoch, cost, reason, wait) {
            Err(StoreError::Stale(_)) => Ok(()),
            other => other,
        }
    }

    /// Makes a leased item grantable again, or failed. Safe to repeat under the newest epoch.
    fn hand_back(
        &self,
        item: ItemId,
        epoch: Epoch,
        cost: Cost,
        reason: &str,
        wait: Duration,
    ) -> Result<(), StoreError> {
        let now = now_ms();
        let release = Release {
            cost,
            max_attempts: self.settings.item_attempts,
            reason,
            not_before: now + wait.as_millis() as Millis,
        };
        let to = self.store.release(item, epoch, release, now)?;
        let task = self.store.item(item)?.item.task;
        if to == ReleasedTo::Failed {
            tracing::error!("item {item} of task {task} has failed for good: {reason}");
            self.advance(task)?;
        }
        self.waiting(task);
        Ok(())
    }

    /// Items of the task may be waiting: whoever idles looks again.
    pub(super) fn waiting(&self, task: TaskId) {
        if let Some(state) = self.state().tasks.get_mut(&task) {
            state.may_have_waiting = true;
        }
        self.work.notify_waiters();
    }
}

/// Growing waits between attempts, 5, 10, 20… up to 60 s: all of them together outlast a storage server that fails over.
fn retry_wait(attempts: u32) -> Duration {
    Duration::from_secs((5u64 << attempts.min(6)).min(60))
}
