//! What workers say of the items they hold: where they stand, what they hand back, how they end.

use std::path::PathBuf;
use std::time::Duration;

use model::location::SourceIdentity;
use model::{Epoch, ItemId, Outcome, RangeState, RelPath, SessionId, TaskId, Work, WorkKind};

use super::again::retry_wait;
use super::soon::answer;
use super::suspects::{DEATHS_BEFORE_SPLIT, LEAST_ATTEMPTS};
use super::{Refused, ReleaseReason, Scheduler, State};
use crate::store::{Applied, Cost, Millis, Release, ReleasedTo, StoreError, TakeBack};

/// No worker may hold up an item for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// An attempt, and of which task it is.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub session: SessionId,
    pub item: ItemId,
    pub epoch: Epoch,
    pub task: TaskId,
}

impl Scheduler {
    /// The first worker at a task's roots sets the identity of its source; all hear what holds. `volume`: where what
    /// the target lies on is mounted.
    pub fn roots(
        &self,
        item: ItemId,
        epoch: Epoch,
        identity: &SourceIdentity,
        volume: Option<PathBuf>,
    ) -> Result<SourceIdentity, Refused> {
        let standing = self.store.standing(item)?;
        standing.check(epoch).map_err(StoreError::from)?;
        let task = standing.task;
        // It never changes once it is set.
        let known = self.source_identity(task);
        let holds = match &known {
            Some(holds) => holds.clone(),
            None => self.store.set_source_identity(self.run, task, identity)?,
        };
        {
            let mut state = self.state();
            if let Some(volume) = volume {
                state.targets.lies_on(task, volume);
            }
            if let Some(task) = state.tasks.get_mut(&task) {
                task.record.source_identity = Some(holds.clone());
            }
        }
        if known.is_none() {
            // Other items of the task were waiting for this.
            self.wake_for(task, usize::MAX);
        }
        Ok(holds)
    }

    fn source_identity(&self, task: TaskId) -> Option<SourceIdentity> {
        let state = self.state();
        state.tasks.get(&task)?.record.source_identity.clone()
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
        self.store
            .split(item, epoch, children, self.clock.now_ms())?;
        self.waiting(self.store.standing(item)?.task, children.len());
        Ok(())
    }

    /// Where ranges stand that the attempt has split off; those that nobody has are its own again.
    pub fn take_back(
        &self,
        item: ItemId,
        epoch: Epoch,
        ranges: &[ItemId],
        what: TakeBack,
    ) -> Result<Vec<RangeState>, Refused> {
        Ok(self.store.take_back(item, epoch, ranges, what)?)
    }

    pub fn complete(
        &self,
        session: SessionId,
        item: ItemId,
        epoch: Epoch,
        outcome: Outcome,
        children: &[(ItemId, Work)],
        again: Vec<RelPath>,
    ) -> Result<(), Refused> {
        let task = match self.held_task(session, item) {
            Some(task) => task,
            None => self.store.standing(item)?.task,
        };
        let has_copied = outcome.counters.copied > 0;
        let now = self.clock.now_ms();
        let again = self.tried_again(item, again, now)?;
        let completed = self
            .store
            .complete_with(item, epoch, outcome, children, &again, now);
        let attempt = Attempt {
            session,
            item,
            epoch,
            task,
        };
        let waiting = children.len() + again.items.len();
        let next = self.completed(attempt, has_copied, waiting, completed)?;
        next.map_or(Ok(()), |task| Ok(self.advance(task)?))
    }

    /// As [`Scheduler::complete`] of an item that the session holds and of which nothing is tried again, but it keeps no
    /// thread waiting. Answers with the task if the caller has to let it [`Scheduler::advance`]. It must run to its end:
    /// what was stored has to be noted.
    pub async fn complete_held(
        &self,
        attempt: Attempt,
        outcome: Outcome,
        children: &[(ItemId, Work)],
    ) -> Result<Option<TaskId>, Refused> {
        let has_copied = outcome.counters.copied > 0;
        let Attempt { item, epoch, .. } = attempt;
        let completed = answer(|then| {
            let now = self.clock.now_ms();
            self.store
                .complete_then(item, epoch, outcome, children, now, then);
        });
        let completed = completed.await;
        self.completed(attempt, has_copied, children.len(), completed)
    }

    /// Notes how an attempt's outcome was taken, in memory alone, and that so many items came to wait with it. Answers
    /// with its task if that may have to advance: while something else of it is held, it has not.
    fn completed(
        &self,
        attempt: Attempt,
        has_copied: bool,
        waiting: usize,
        completed: Result<Applied, StoreError>,
    ) -> Result<Option<TaskId>, Refused> {
        let Attempt {
            session,
            item,
            epoch,
            task,
        } = attempt;
        // A range counts nothing, and has found room for what it wrote.
        let has_copied = has_copied || self.is_range(session, item);
        // Taken or refused, this attempt is over; where there is no room, its worker holds it until there is.
        if !matches!(&completed, Err(error) if error.is_no_room()) {
            self.drop_held(session, item, epoch);
        }
        completed?;
        let now = self.clock.now();
        let resumed = self
            .state()
            .targets
            .completed((item, epoch), has_copied, now);
        self.resume(resumed);
        if waiting > 0 {
            self.waiting(task, waiting);
        }
        self.next_first(task);
        let is_last = !self.state().fleet.holds_any_of(task);
        Ok(is_last.then_some(task))
    }

    /// Hands an item back. It is not granted again before its worker says (`not_before` from now on) and the reason allows.
    pub fn release(
        &self,
        session: SessionId,
        item: ItemId,
        epoch: Epoch,
        reason: ReleaseReason,
        message: &str,
        not_before: Duration,
    ) -> Result<(), Refused> {
        let standing = self.store.standing(item)?;
        let task = standing.task;
        let name = self
            .state()
            .fleet
            .session(session)
            .map_or_else(String::new, |s| s.name.clone());
        let (cost, wait) = match &reason {
            ReleaseReason::Drain => (Cost::Free, Duration::ZERO),
            ReleaseReason::Machine => {
                tracing::warn!("worker {name} can't run task {task}: {message}; others may");
                self.state()
                    .fleet
                    .refuse(session, task, message.to_owned(), self.clock.now());
                (Cost::Free, Duration::ZERO)
            }
            ReleaseReason::Task => (Cost::Free, Duration::ZERO),
            ReleaseReason::Hung | ReleaseReason::Stale => {
                tracing::warn!("worker {name}, task {task}: {message}; others go on with it");
                self.keep_from_mount(session, task, &reason, message);
                (Cost::Free, Duration::ZERO)
            }
            ReleaseReason::TargetFull(_) => (Cost::Free, Duration::ZERO),
            ReleaseReason::Failed => {
                tracing::warn!(
                    "item {item} of task {task} on {name}: {message}; it is tried again"
                );
                (
                    Cost::Attempt,
                    retry_wait(standing.attempts, self.clock.random()),
                )
            }
        };
        if let ReleaseReason::TargetFull(full) = &reason
            && standing.check(epoch).is_ok()
        {
            // First, so that the item is not granted before its target is paused.
            self.pause(task, (item, epoch), full.clone(), &name, message);
        }
        let wait = wait.max(not_before.min(LONGEST_WAIT));
        let handed_back = self.hand_back(item, epoch, cost, message, wait);
        if !matches!(&handed_back, Err(error) if error.is_no_room()) {
            self.drop_held(session, item, epoch);
            self.next_first(task);
        }
        handed_back?;
        // Another's completion may have found this one still held.
        self.advance(task)?;
        if reason == ReleaseReason::Task {
            self.fail_task(task, message.to_owned())?;
        }
        if let Some(state) = self.state().tasks.get_mut(&task) {
            state.trouble = (reason != ReleaseReason::Drain).then(|| message.to_owned());
        }
        self.give_up_refused(self.clock.now())?;
        Ok(())
    }

    /// The task of an item that the session holds.
    pub fn held_task(&self, session: SessionId, item: ItemId) -> Option<TaskId> {
        let mut state = self.state();
        Some(state.fleet.session(session)?.held.get(&item)?.task)
    }

    fn is_range(&self, session: SessionId, item: ItemId) -> bool {
        let mut state = self.state();
        let session = state.fleet.session(session);
        let held = session.and_then(|session| session.held.get(&item));
        held.is_some_and(|held| held.kind == WorkKind::Range)
    }

    /// The attempt is over; one with another epoch is not meant.
    pub(super) fn drop_held(&self, id: SessionId, item: ItemId, epoch: Epoch) {
        let mut state = self.state();
        let Some(session) = state.fleet.session(id) else {
            return;
        };
        if session
            .held
            .get(&item)
            .is_none_or(|held| held.epoch != epoch)
        {
            return;
        }
        let dropped = session.held.remove(&item);
        if let Some((_, grants)) = &mut session.last_lease {
            grants.retain(|granted| granted.item.id != item);
        }
        let is_empty = session.held.is_empty();
        let may_get_another = dropped.is_some_and(|dropped| {
            dropped.kind == WorkKind::Range
                || session.more_of_a_task == 0 && session.room_for(dropped.task) > 0
        });
        if is_empty {
            state.waiters.set_room(id, true);
        }
        if may_get_another {
            state.waiters.wake(id);
        }
        drop(state);
        if is_empty {
            self.wake_empty(id);
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
        let now = self.clock.now_ms();
        let release = Release {
            cost,
            max_attempts: match cost {
                Cost::DeathAlone => self.settings.item_attempts.max(LEAST_ATTEMPTS),
                _ => self.settings.item_attempts,
            },
            // An attempt that takes it apart is among them, however many were used up by errors before.
            least_deaths: DEATHS_BEFORE_SPLIT + 1,
            reason,
            not_before: now + wait.as_millis() as Millis,
        };
        let to = self.store.release(item, epoch, release, now)?;
        let task = self.store.standing(item)?.task;
        if to == ReleasedTo::Failed {
            tracing::error!("item {item} of task {task} has failed for good: {reason}");
            self.advance(task)?;
        }
        self.waiting(task, 1);
        Ok(())
    }

    /// So many items of the task have come to wait, at most.
    pub(super) fn waiting(&self, task: TaskId, items: usize) {
        {
            let mut state = self.state();
            state.put = state.put.next();
            let State { tasks, put, .. } = &mut *state;
            if let Some(task) = tasks.get_mut(&task) {
                task.stock.put(*put);
            }
        }
        self.wake_for(task, items);
    }

    /// Of a task that nobody has begun, one item is held at a time: after it comes another.
    fn next_first(&self, task: TaskId) {
        if self.source_identity(task).is_none() {
            self.wake_for(task, 1);
        }
    }
}
