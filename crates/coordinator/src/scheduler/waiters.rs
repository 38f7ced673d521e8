//! Calls of workers that wait for work. What comes wakes those that may get it, workers that hold nothing first, then the
//! longest waiting; several items are spread over all that wait. The others sleep on: so a thousand idle workers cost one item
//! no thousand looks.
//!
//! Nothing is lost by it: a call is known before it looks, one that ends without having looked hands its turn on, and who
//! gets all it has room for wakes the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use model::{SessionId, TaskId};
use tokio::sync::Notify;

use super::{Scheduler, State};
use crate::store::Kinds;

/// Of the calls of workers whose threads are busy so many are looked at for each thing that comes: nearly all of these workers
/// hold something of its task. Whoever is left out looks for itself within a second.
const BUSY_LOOKED_AT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Waiters {
    last: u64,
    /// In the order in which they came.
    calls: BTreeMap<u64, Call>,
    of: BTreeMap<SessionId, BTreeSet<u64>>,
    /// Calls of sessions that hold nothing, or whose threads have room. All others may get something only of a task of which
    /// they hold nothing.
    roomy: BTreeSet<u64>,
}

#[derive(Debug)]
struct Call {
    session: SessionId,
    slots: usize,
    wakes: Arc<Notify>,
    /// It was woken, and has not looked yet.
    turn: Option<Turn>,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    task: TaskId,
    /// Items that it may take: others wait, too.
    most: usize,
}

impl Waiters {
    fn add(&mut self, call: Call, has_room: bool) -> u64 {
        self.last += 1;
        let number = self.last;
        self.of.entry(call.session).or_default().insert(number);
        self.calls.insert(number, call);
        if has_room {
            self.roomy.insert(number);
        }
        number
    }

    fn remove(&mut self, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.roomy.remove(&number);
        if let Some(its) = self.of.get_mut(&call.session) {
            its.remove(&number);
            if its.is_empty() {
                self.of.remove(&call.session);
            }
        }
        Some(call)
    }

    fn numbers_of(&self, session: SessionId) -> impl Iterator<Item = u64> {
        self.of.get(&session).into_iter().flatten().copied()
    }

    /// Other things may be granted to the session than before.
    pub(super) fn wake(&self, session: SessionId) {
        for number in self.numbers_of(session) {
            self.calls[&number].wakes.notify_one();
        }
    }

    pub(super) fn set_room(&mut self, session: SessionId, has_room: bool) {
        let its: Vec<u64> = self.numbers_of(session).collect();
        for number in its {
            match has_room {
                true => self.roomy.insert(number),
                false => self.roomy.remove(&number),
            };
        }
    }

    /// Calls that may be woken, in this order: those that have room, and a few of the others.
    fn sleeping(&self) -> impl Iterator<Item = u64> {
        let others = self
            .calls
            .keys()
            .filter(|number| !self.roomy.contains(number));
        let all = self.roomy.iter().chain(others.take(BUSY_LOOKED_AT));
        all.copied()
            .filter(|number| self.calls[number].turn.is_none())
    }
}

#[cfg(test)]
impl Waiters {
    /// Sessions whose calls were woken and have not looked yet.
    pub(super) fn woken(&self) -> Vec<SessionId> {
        let calls = self.calls.values().filter(|call| call.turn.is_some());
        calls.map(|call| call.session).collect()
    }
}

impl Call {
    fn wake(&mut self, turn: Turn) {
        self.turn = Some(turn);
        self.wakes.notify_one();
    }
}

/// While it lives, the session waits for work in so many slots.
pub struct Waiting<'a> {
    scheduler: &'a Scheduler,
    session: SessionId,
    number: u64,
    wakes: Arc<Notify>,
}

impl Scheduler {
    /// To be called before the first look.
    pub fn wait_for_work(&self, session: SessionId, slots: usize) -> Waiting<'_> {
        let mut state = self.state();
        if let Some(session) = state.fleet.session(session) {
            session.idle_slots = slots;
        }
        let known = state.fleet.session(session);
        let has_room = known.is_none_or(|known| known.more_of_a_task > 0 || known.held.is_empty());
        let wakes = Arc::<Notify>::default();
        let call = Call {
            session,
            slots,
            wakes: Arc::clone(&wakes),
            turn: None,
        };
        Waiting {
            scheduler: self,
            session,
            number: state.waiters.add(call, has_room),
            wakes,
        }
    }

    /// So many items of the task may have become grantable.
    pub(super) fn wake_for(&self, task: TaskId, items: usize) {
        let mut state = self.state();
        let State { waiters, fleet, .. } = &*state;
        let holds_nothing = |number: &u64| {
            let session = fleet.sessions.get(&waiters.calls[number].session);
            session.is_some_and(|session| session.held.is_empty())
        };
        let (mut sleeping, busy): (Vec<_>, Vec<_>) = waiters.sleeping().partition(holds_nothing);
        sleeping.extend(busy);
        let share = items.div_ceil(sleeping.len().max(1));
        let mut left = items;
        for number in sleeping {
            if left == 0 {
                return;
            }
            let session = state.waiters.calls[&number].session;
            if !self.may_get(&state, session, task) {
                continue;
            }
            let room = state.fleet.sessions[&session].room_for(task);
            if let Some(call) = state.waiters.calls.get_mut(&number) {
                let most = call.slots.min(share).min(room);
                left -= most.min(left);
                call.wake(Turn { task, most });
            }
        }
    }

    /// The session holds nothing any more: it may get suspects, or others again after one.
    pub(super) fn wake_empty(&self, id: SessionId) {
        let mut state = self.state();
        let now_ms = self.clock.now_ms();
        let is_suspected = state.fleet.session(id).is_some_and(|s| s.suspect.is_some());
        let mut tasks = state.tasks.values();
        if is_suspected || tasks.any(|task| task.stock.may_have_suspects(Kinds::All, now_ms)) {
            state.waiters.wake(id);
        }
    }

    /// The session has room for so many more items of a task that it holds something of. Where tasks have priorities, it
    /// counts for nothing: what is kept free would be filled with lower ones.
    pub fn note_room(&self, id: SessionId, more_of_a_task: usize) {
        if !self.settings.priorities.is_empty() {
            return;
        }
        let mut state = self.state();
        let Some(session) = state.fleet.session(id) else {
            return;
        };
        let before = std::mem::replace(&mut session.more_of_a_task, more_of_a_task);
        let has_room = more_of_a_task > 0 || session.held.is_empty();
        state.waiters.set_room(id, has_room);
        if more_of_a_task > before {
            state.waiters.wake(id);
        }
    }

    /// Anything may have become grantable to anybody, or the run is over.
    pub(super) fn wake_all(&self) {
        for call in self.state().waiters.calls.values() {
            call.wakes.notify_one();
        }
    }

    /// Whether a look of the session could bring items of the task. It may still bring none.
    fn may_get(&self, state: &State, session: SessionId, task: TaskId) -> bool {
        let now = self.clock.now();
        let Some((known, task)) = state
            .fleet
            .sessions
            .get(&session)
            .zip(state.tasks.get(&task))
        else {
            return false;
        };
        let now_ms = self.clock.now_ms();
        let has_some = |kinds| {
            task.stock.may_have(kinds, now_ms)
                || (known.held.is_empty() && task.stock.may_have_suspects(kinds, now_ms))
        };
        task.record.result.is_none()
            && task.stock.may_have_anything(now_ms)
            && !task.is_being_granted
            && !known.has_suspect()
            && known.room_for(task.record.task.id) > 0
            && self.kinds_for(known, task).is_some_and(has_some)
            && state.fleet.may_run(session, task.record.task.id, now)
    }

    fn may_get_any(&self, state: &State, session: SessionId, now: Instant) -> bool {
        // A session that is gone is to hear of it.
        !state.fleet.sessions.contains_key(&session)
            || state.predecessors.values().all(|until| now >= *until)
                && (state.tasks.keys()).any(|task| self.may_get(state, session, *task))
    }
}

impl Waiting<'_> {
    /// To be called after a look in vain.
    pub async fn woken(&self) {
        self.scheduler.idles.notify_one();
        self.wakes.notified().await;
    }

    /// How many items the call should look for now, if it should: costs no store anything. It has had its turn with this.
    pub fn should_look(&self) -> Option<usize> {
        let (turn, slots, should) = {
            let mut state = self.scheduler.state();
            let call = state.waiters.calls.get_mut(&self.number)?;
            let turn = call.turn.take();
            let slots = turn.map_or(call.slots, |turn| turn.most);
            let now = self.scheduler.clock.now();
            let should =
                self.scheduler.is_over() || self.scheduler.may_get_any(&state, self.session, now);
            (turn, slots, should)
        };
        if let Some(turn) = turn.filter(|_| !should) {
            // Its threads have become busy since.
            self.scheduler.wake_for(turn.task, 1);
        }
        should.then_some(slots)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let turn = {
            let mut state = self.scheduler.state();
            if let Some(session) = state.fleet.session(self.session) {
                session.idle_slots = 0;
            }
            let call = state.waiters.remove(self.number);
            call.and_then(|call| call.turn)
        };
        if let Some(turn) = turn {
            self.scheduler.wake_for(turn.task, 1);
        }
    }
}
