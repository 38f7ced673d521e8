//! What time brings about by itself: leases that run out, items that come due, work that is asked for.

use std::collections::BTreeMap;
use std::time::Instant;

use model::{SessionId, TaskId};

use super::owed::Owed;
use super::{ASK_AGAIN, Scheduler, State, TaskState};
use crate::fleet::{Session, Wanted};
use crate::store::{Kinds, Phase, StoreError};

/// Workers that wait for a task, beyond which no more are asked for them at once.
const WAITING_LOOKED_AT: usize = 64;

impl Scheduler {
    /// What time alone brings about. To be called a few times a second.
    pub fn tick(&self, now: Instant) -> Result<(), StoreError> {
        let expired = self.state().fleet.expire(now);
        for dead in expired {
            tracing::warn!(
                "worker {} was silent for {} s: what it held runs elsewhere",
                dead.session.name,
                self.settings.lease.as_secs()
            );
            let cost = dead.session.cost_of_its_loss();
            for (item, held) in dead.session.held {
                let lost = "its worker was lost";
                self.settle(Owed::PutBack(item, held.epoch, cost, lost))?;
            }
            self.settle(Owed::RemoveSession(dead.id))?;
            dead.session.commands.notify_waiters();
        }
        self.settle_owed(now)?;
        self.look_for_room(now);
        self.look_at_targets(now);
        self.give_up_refused(now)?;
        self.look_for_engines(now)?;
        for task in self.waiting_for_time() {
            self.advance(task)?;
        }
        self.share_out(now);
        self.wake_for_time(now);
        Ok(())
    }

    /// Wakes whoever may take what time has brought.
    fn wake_for_time(&self, now: Instant) {
        let now_ms = self.clock.now_ms();
        let (due, are_heard) = {
            let mut state = self.state();
            let open = state.tasks.values().filter(|t| t.record.result.is_none());
            let due: Vec<TaskId> = open
                .filter(|task| task.stock.is_due(now_ms))
                .map(|task| task.record.task.id)
                .collect();
            let before = state.predecessors.len();
            state.predecessors.retain(|_, until| now < *until);
            (due, before > 0 && state.predecessors.is_empty())
        };
        for task in due {
            // Who gets all it has room for wakes the next.
            self.wake_for(task, 1);
        }
        if are_heard {
            self.wake_all();
        }
    }

    fn waiting_for_time(&self) -> Vec<TaskId> {
        self.state()
            .tasks
            .values()
            .filter(|task| task.record.result.is_none() && task.waits_for_time)
            .map(|task| task.record.task.id)
            .collect()
    }

    /// Until somebody has looked for work in vain.
    pub async fn somebody_idles(&self) {
        self.idles.notified().await;
    }

    /// Asks busy workers for work if somebody idles and nothing waits that the idle ones may run.
    pub fn share_out(&self, now: Instant) {
        let mut state = self.state();
        let idle = state.fleet.idle();
        if idle.is_empty() {
            return;
        }
        let wanted = self.wanted_of_others(&mut state, &idle, now);
        if wanted.is_empty() {
            return;
        }
        let fleet = &mut state.fleet;
        fleet.ask_to_share(&wanted, ASK_AGAIN, now);
        for session in fleet.sessions.values() {
            if session.held.values().any(|held| held.share) {
                session.commands.notify_waiters();
            }
        }
    }

    /// Tasks of which those who idle would take what others hand over; none while something waits that they may run.
    fn wanted_of_others(
        &self,
        state: &mut State,
        idle: &[SessionId],
        now: Instant,
    ) -> BTreeMap<TaskId, Wanted> {
        let State {
            fleet,
            tasks,
            targets,
            ..
        } = state;
        let now_ms = self.clock.now_ms();
        let waiting_for = |task: &TaskState, fits: &dyn Fn(Kinds) -> bool| -> Vec<SessionId> {
            let fits = |session: &Session| self.kinds_for(session, task).is_some_and(fits);
            let waiting = fleet.waiting_for(idle, task.record.task.id, now, fits);
            waiting.take(WAITING_LOOKED_AT).collect()
        };
        // What waits for the first worker to say what it found helps nobody who idles.
        let is_open = |task: &TaskState| {
            task.record.source_identity.is_some() || fleet.held_of(task.record.task.id) == 0
        };
        let is_there = |task: &TaskState| {
            task.stock.may_have(Kinds::All, now_ms)
                && !waiting_for(task, &|kinds| task.stock.may_have(kinds, now_ms)).is_empty()
                && is_open(task)
        };
        let mut wanted = BTreeMap::new();
        for task in tasks.values() {
            let id = task.record.task.id;
            if task.record.result.is_some() || targets.pause_of(id).is_some() {
                continue;
            }
            if is_there(task) {
                return BTreeMap::new();
            }
            if matches!(task.record.phase, Phase::Copy | Phase::Links) {
                let waiting = waiting_for(task, &|_| true);
                let priority = self.settings.priority_of(id);
                wanted.insert(id, Wanted { priority, waiting });
            }
        }
        wanted.retain(|_, one| !one.waiting.is_empty());
        wanted
    }
}
