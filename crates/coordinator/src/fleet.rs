//! Who is there and who holds what: the sessions, kept in memory.
//!
//! A session lives from one heartbeat to the next and dies when it was silent for a lease time;
//! with it die the leases of all that it held. Nothing here waits, asks the clock or touches the
//! store: each rule is a function of the fleet and of `now`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Counters, Epoch, Item, ItemId, Priority, RelPath, SessionId, TaskId, WorkKind};
use tokio::sync::Notify;

use crate::mounts::{LeftBehind, Unanswered};
use crate::store::{Cost, Granted};

/// A refused task is offered to the worker again after this time: mounts come back.
const REFUSAL: Duration = Duration::from_secs(60);

/// Attempts that are asked for work for each slot that has none: most have nothing to give when a run ends.
const ASKED_FOR_A_SLOT: usize = 3;

/// How far an attempt has come, as its worker says: a lower bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub counters: Counters,
    pub paths_in_flight: Vec<RelPath>,
    /// Calls into mounts that have waited long.
    pub unanswered: Vec<Unanswered>,
}

#[derive(Debug, Clone)]
pub struct Held {
    pub epoch: Epoch,
    pub task: TaskId,
    pub kind: WorkKind,
    pub granted: Instant,
    pub progress: Progress,
    /// When it was granted or last listed.
    pub listed: Instant,
    /// A command for the worker that it has not fetched yet.
    pub share: bool,
    /// When it was last asked to share.
    pub asked: Option<Instant>,
    /// Its task was ended.
    pub cancel: bool,
    /// When the worker was last told so: the answer may have been lost.
    pub told_to_cancel: Option<Instant>,
}

/// Why a worker can't run a task, and since when.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub message: String,
    pub since: Instant,
    /// Then the task is offered again.
    pub until: Instant,
    pub blames: Blames,
}

/// What keeps a worker from a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blames {
    /// It can't run it as it is.
    Machine,
    /// A mount that is in trouble, or does not answer: when all meet that, the task waits.
    Mount,
}

impl Refusal {
    /// Whether it still keeps the task from the worker.
    fn holds(&self, now: Instant) -> bool {
        now <= self.until
    }
}

#[derive(Debug, Clone)]
pub struct Session {
    pub name: String,
    pub address: String,
    pub program_version: String,
    /// Its rclone's version, or why it has no usable one. Not known of sessions that registered with an earlier
    /// server: they are believed to have one.
    pub rclone: Option<Result<String, String>>,
    /// It stands beside the server and takes only items that look at sources.
    pub only_walks: bool,
    /// Of its registration: a repetition finds the session by it. Not known of sessions that
    /// registered with an earlier server.
    pub request: Option<u64>,
    pub registered: Instant,
    pub last_heard: Instant,
    /// How long its worker counts on each renewal, as it was told at its registration.
    pub lease: Duration,
    pub held: BTreeMap<ItemId, Held>,
    pub refusals: BTreeMap<TaskId, Refusal>,
    /// Attempts whose threads wait for a mount, and that it no longer holds.
    pub left_behind: Vec<LeftBehind>,
    /// A suspect, beside which it gets nothing.
    pub suspect: Option<ItemId>,
    /// The newest answer to `Lease`, for repetitions of the call.
    pub last_lease: Option<(u64, Vec<Granted>)>,
    /// Slots for which it waits for work now.
    pub idle_slots: usize,
    /// So many more items it has room for, of a task that it holds something of.
    pub more_of_a_task: usize,
    /// Wakes its calls that wait for commands.
    pub commands: Arc<Notify>,
}

impl Session {
    pub fn new(
        name: String,
        address: String,
        request: Option<u64>,
        lease: Duration,
        now: Instant,
    ) -> Self {
        Self {
            lease,
            name,
            address,
            program_version: String::new(),
            rclone: None,
            only_walks: false,
            request,
            registered: now,
            last_heard: now,
            held: BTreeMap::new(),
            refusals: BTreeMap::new(),
            left_behind: Vec::new(),
            suspect: None,
            last_lease: None,
            idle_slots: 0,
            more_of_a_task: usize::MAX,
            commands: Arc::default(),
        }
    }

    /// Why it can't run rclone's items.
    pub fn rclone_problem(&self) -> Option<&str> {
        self.rclone.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// Whether it has listed all that the newest answer granted: then it will not ask for that again.
    fn has_heard_answer(&self) -> bool {
        self.last_lease.as_ref().is_some_and(|(_, grants)| {
            grants.iter().all(|granted| {
                let held = self.held.get(&granted.item.id);
                held.is_some_and(|h| h.epoch == granted.item.epoch && h.listed > h.granted)
            })
        })
    }

    /// How many more items of the task it has room for.
    pub fn room_for(&self, task: TaskId) -> usize {
        match self.held.values().any(|held| held.task == task) {
            true => self.more_of_a_task,
            false => self.more_of_a_task.max(1),
        }
    }

    /// How many ranges it holds.
    pub fn ranges(&self) -> usize {
        let held = self.held.values();
        held.filter(|held| held.kind == WorkKind::Range).count()
    }

    /// Slots for which it waits for work that its threads have room for.
    fn roomy_slots(&self) -> usize {
        self.idle_slots.min(self.more_of_a_task.max(1))
    }

    /// Whether it waits for items of the task.
    fn waits_for(&self, task: TaskId) -> bool {
        self.idle_slots > 0 && self.room_for(task) > 0
    }

    /// Whether it holds a suspect, which keeps others away.
    pub fn has_suspect(&self) -> bool {
        self.suspect
            .is_some_and(|item| self.held.contains_key(&item))
    }

    /// What each item that it held is charged for the loss of the worker.
    pub fn cost_of_its_loss(&self) -> Cost {
        match self.has_suspect() && self.held.len() == 1 {
            true => Cost::DeathAlone,
            false => Cost::Death,
        }
    }

    /// Notes that the item is granted to it.
    pub fn take_on(&mut self, item: &Item, now: Instant) {
        self.hold((item.id, item.epoch), item.task, item.work.kind(), now);
        if item.is_suspect() {
            self.suspect = Some(item.id);
        }
    }

    /// Notes a grant. It is how a refusal of its task is tried again, so that is forgotten.
    fn hold(&mut self, (item, epoch): (ItemId, Epoch), task: TaskId, kind: WorkKind, now: Instant) {
        self.refusals.remove(&task);
        self.held.insert(
            item,
            Held {
                epoch,
                task,
                kind,
                granted: now,
                progress: Progress::default(),
                listed: now,
                share: false,
                asked: None,
                cancel: false,
                told_to_cancel: None,
            },
        );
    }
}

/// A task of which some workers wait for items.
#[derive(Debug)]
pub struct Wanted {
    pub priority: Priority,
    pub waiting: Vec<SessionId>,
}

/// What a heartbeat brought to light.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Listed, but no longer the worker's.
    pub lost: Vec<(ItemId, Epoch)>,
    /// Granted and not listed for a lease time: the worker never heard of it, or too late to begin it.
    pub unheard: Vec<(ItemId, Epoch)>,
}

/// A session that was silent for too long, and what it held.
#[derive(Debug)]
pub struct Expired {
    pub id: SessionId,
    pub session: Session,
}

#[derive(Debug)]
pub struct Fleet {
    pub sessions: BTreeMap<SessionId, Session>,
    lease: Duration,
    /// When silence was last looked at.
    looked: Option<Instant>,
    /// Attempts that were taken from their workers without their knowing, by session; until when
    /// one of them might still write, should it never be heard of.
    superseded: BTreeMap<SessionId, (Instant, Vec<TaskId>)>,
}

impl Fleet {
    pub fn new(lease: Duration) -> Self {
        Self {
            sessions: BTreeMap::new(),
            lease,
            looked: None,
            superseded: BTreeMap::new(),
        }
    }

    pub fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// How long ago the oldest of these items was granted to the session.
    pub fn age_of(
        &self,
        id: SessionId,
        items: impl Iterator<Item = ItemId>,
        now: Instant,
    ) -> Duration {
        let held = self.sessions.get(&id).map(|session| &session.held);
        let granted = items.filter_map(|item| Some(held?.get(&item)?.granted));
        granted
            .min()
            .map_or(Duration::ZERO, |at| now.duration_since(at))
    }

    pub fn by_request(&self, request: u64) -> Option<SessionId> {
        self.sessions
            .iter()
            .find(|(_, session)| session.request == Some(request))
            .map(|(id, _)| *id)
    }

    /// Renews a session and compares what it lists with what it was granted. `None`: unknown session.
    pub fn heard(
        &mut self,
        id: SessionId,
        listed: Vec<(ItemId, Epoch, Progress)>,
        now: Instant,
    ) -> Option<Heard> {
        let session = self.sessions.get_mut(&id)?;
        session.last_heard = now;
        let mut heard = Heard::default();
        for (item, epoch, progress) in listed {
            match session.held.get_mut(&item) {
                Some(held) if held.epoch == epoch => {
                    held.progress = progress;
                    held.listed = now;
                }
                _ => heard.lost.push((item, epoch)),
            }
        }
        // Their works may be large.
        if session.has_heard_answer() {
            session.last_lease = None;
        }
        let lease = session.lease;
        let mut tasks = Vec::new();
        session.held.retain(|item, held| {
            // Not before: the answer may be on its way, and its worker counts on the item for nearly as long.
            let unheard = now.duration_since(held.listed) >= lease;
            if unheard {
                heard.unheard.push((*item, held.epoch));
                tasks.push(held.task);
            }
            !unheard
        });
        if !tasks.is_empty() {
            self.note_superseded_until(id, tasks, now + lease.max(self.lease) * 2);
        }
        Some(heard)
    }

    /// Takes out the sessions whose lease has run out. What time passes between two calls
    /// without our looking (this process was frozen, or the store stood still) is nobody's silence.
    pub fn expire(&mut self, now: Instant) -> Vec<Expired> {
        let unseen = self
            .looked
            .replace(now)
            .map_or(Duration::ZERO, |looked| now.duration_since(looked));
        if unseen > self.lease / 2 {
            for session in self.sessions.values_mut() {
                session.last_heard = (session.last_heard + unseen).min(now);
            }
        }
        let dead: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| now.duration_since(session.last_heard) > session.lease)
            .map(|(id, _)| *id)
            .collect();
        let mut expired = Vec::with_capacity(dead.len());
        for id in dead {
            if let Some(session) = self.sessions.remove(&id) {
                let tasks: Vec<TaskId> = session.held.values().map(|held| held.task).collect();
                if !tasks.is_empty() {
                    self.note_superseded_until(id, tasks, now + session.lease.max(self.lease) * 2);
                }
                expired.push(Expired { id, session });
            }
        }
        expired
    }

    /// Notes that attempts of unknown sessions may be alive, as after a restart of the server.
    pub fn note_superseded(&mut self, id: SessionId, tasks: Vec<TaskId>, now: Instant) {
        self.note_superseded_until(id, tasks, now + self.lease * 2);
    }

    fn note_superseded_until(&mut self, id: SessionId, tasks: Vec<TaskId>, until: Instant) {
        let noted = self.superseded.entry(id).or_insert((until, Vec::new()));
        noted.0 = until;
        noted.1.extend(tasks);
    }

    /// A worker has stopped whatever it did in this session.
    pub fn acknowledged(&mut self, id: SessionId) {
        self.superseded.remove(&id);
    }

    /// Whether a superseded attempt at the task might still write.
    pub fn may_be_written_to(&mut self, task: TaskId, now: Instant) -> bool {
        self.superseded.retain(|_, (until, _)| now < *until);
        self.superseded
            .values()
            .any(|(_, tasks)| tasks.contains(&task))
    }

    /// Tasks of which something is held. It looks at all that is held, as [`Fleet::held_of`] does for one task.
    pub fn held_tasks(&self) -> BTreeSet<TaskId> {
        self.held().map(|held| held.task).collect()
    }

    /// Ranges do not count: they end with the attempt that they are for, and what they end with may be refused.
    pub fn holds_any_of(&self, task: TaskId) -> bool {
        self.held()
            .any(|held| held.task == task && held.kind != WorkKind::Range)
    }

    pub fn held_of(&self, task: TaskId) -> usize {
        self.held().filter(|held| held.task == task).count()
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        let sessions = self.sessions.values();
        sessions.flat_map(|session| session.held.values())
    }

    pub fn refuse(&mut self, id: SessionId, task: TaskId, message: String, now: Instant) {
        let refusal = Refusal {
            message,
            since: now,
            until: now + REFUSAL,
            blames: Blames::Machine,
        };
        self.keep_from(id, task, refusal);
    }

    /// Keeps a task from a session for some time.
    pub fn keep_from(&mut self, id: SessionId, task: TaskId, refusal: Refusal) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.refusals.insert(task, refusal);
        }
    }

    /// Whether there is less than before of what a session left behind.
    pub fn note_left_behind(&mut self, id: SessionId, left_behind: Vec<LeftBehind>) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else {
            return false;
        };
        let before = std::mem::replace(&mut session.left_behind, left_behind);
        let now = &session.left_behind;
        before
            .iter()
            .any(|left| now.iter().all(|still| still.task != left.task))
    }

    /// Whether the session may be granted items of the task. A refusal is tried again
    /// after a minute: mounts come back.
    pub fn may_run(&self, id: SessionId, task: TaskId, now: Instant) -> bool {
        self.sessions.get(&id).is_some_and(|session| {
            let refusal = session.refusals.get(&task);
            let waits_for_mount = session.left_behind.iter().any(|left| left.task == task);
            !waits_for_mount && refusal.is_none_or(|refusal| !refusal.holds(now))
        })
    }

    /// Those that wait for work.
    pub fn idle(&self) -> Vec<SessionId> {
        let idle = self.sessions.iter();
        let idle = idle.filter(|(_, s)| s.idle_slots > 0 && !s.has_suspect());
        idle.map(|(id, _)| *id).collect()
    }

    /// Which of these sessions wait for items of the task and may be granted some.
    pub fn waiting_for<'a>(
        &'a self,
        idle: &'a [SessionId],
        task: TaskId,
        now: Instant,
        fits: impl Fn(&Session) -> bool + 'a,
    ) -> impl Iterator<Item = SessionId> + 'a {
        let waits = move |id: &&SessionId| {
            let session = self.sessions.get(*id);
            session.is_some_and(|session| session.waits_for(task) && fits(session))
                && self.may_run(**id, task, now)
        };
        idle.iter().filter(waits).copied()
    }

    /// If no worker can run the task: what the last of them said. A task that no worker has
    /// seen yet is not refused, one that a worker may try again by now is not, and nor is
    /// one while the first worker has been here for less than `grace`. Workers that do not fit are not asked.
    pub fn refused_by_all(
        &self,
        task: TaskId,
        grace: Duration,
        now: Instant,
        fits: impl Fn(&Session) -> bool,
    ) -> Option<&Refusal> {
        let mut last: Option<&Refusal> = None;
        for session in self.sessions.values().filter(|session| fits(session)) {
            let refusal = session.refusals.get(&task)?;
            let counts = refusal.blames == Blames::Machine && refusal.holds(now);
            let refusal = counts.then_some(refusal)?;
            if last.is_none_or(|l| l.since < refusal.since) {
                last = Some(refusal);
            }
        }
        // After the loop, which mostly ends with the first session.
        let first = self.sessions.values().map(|s| s.registered).min()?;
        last.filter(|_| now.duration_since(first) >= grace)
    }

    /// Marks attempts at these tasks that are to hand work back to those who wait for it, where nothing else is there for
    /// them: some for each slot, of each priority, since whether it is worth it each knows for itself, and those of one may
    /// have nothing to give for long. Those that have run longest come first, and none that was asked less than
    /// `again` ago. A worker that waits alone for the task is left alone: its slots share their threads. Returns how
    /// many were marked.
    pub fn ask_to_share(
        &mut self,
        wanted: &BTreeMap<TaskId, Wanted>,
        again: Duration,
        now: Instant,
    ) -> usize {
        let mut waiting: BTreeMap<Priority, BTreeSet<SessionId>> = BTreeMap::new();
        for one in wanted.values() {
            waiting
                .entry(one.priority)
                .or_default()
                .extend(&one.waiting);
        }
        let slots = |of: &BTreeSet<SessionId>| -> usize {
            let sessions = of.iter().filter_map(|id| self.sessions.get(id));
            sessions.map(Session::roomy_slots).sum()
        };
        let slots: BTreeMap<Priority, usize> = waiting
            .iter()
            .map(|(priority, waiting)| (*priority, slots(waiting)))
            .collect();
        let mut candidates: Vec<(Priority, &mut Held)> = self
            .sessions
            .iter_mut()
            .flat_map(|(id, session)| {
                let held = session.held.values_mut();
                held.map(|held| (*id, held))
            })
            .filter(|(_, held)| {
                held.kind != WorkKind::Range
                    && !held.share
                    && held
                        .asked
                        .is_none_or(|asked| now.duration_since(asked) >= again)
            })
            .filter_map(|(id, held)| {
                let wanted = wanted.get(&held.task)?;
                let does_another_wait = wanted.waiting.iter().any(|waits| *waits != id);
                does_another_wait.then_some((wanted.priority, held))
            })
            .collect();
        candidates.sort_by_key(|(priority, held)| (*priority, held.granted));
        candidates
            .chunk_by_mut(|(one, _), (other, _)| one == other)
            .flat_map(|equals| {
                let slots = equals.first().and_then(|(priority, _)| slots.get(priority));
                let most = slots.copied().unwrap_or_default() * ASKED_FOR_A_SLOT;
                equals.iter_mut().take(most)
            })
            .map(|(_, held)| {
                held.share = true;
                held.asked = Some(now);
            })
            .count()
    }
}

#[cfg(test)]
mod tests;
