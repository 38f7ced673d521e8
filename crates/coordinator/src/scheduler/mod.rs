//! Decides who does what, and when a task and the run are over.
//!
//! Two kinds of state: what must survive is in the [`Store`], who is there is in the [`Fleet`].
//! Every change goes to the store first. No lock on the fleet is held while the store works, so
//! that many calls share one commit; the store refuses what has become stale meanwhile.
//!
//! All functions here block on the store: async callers run them on blocking threads.

mod finish;
mod grant;
mod phases;
mod report;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::location::SourceIdentity;
use model::{CopyOptions, Epoch, ItemId, Outcome, RunId, SessionId, TaskId, Work};
use tokio::sync::{Notify, watch};

use crate::fleet::{Fleet, Progress, Session};
use crate::notices::{Notices, Paused};
use crate::plan::StoredList;
use crate::results::Results;
use crate::store::{
    Cost, Millis, Phase, Release, ReleasedTo, RunRecord, RunState, SessionRecord, Store,
    StoreError, TaskRecord, TaskResult,
};

pub use grant::LeaseAnswer;
pub use report::{Snapshot, TaskSnapshot};

/// What the scheduler goes by, from the config.
#[derive(Debug, Clone)]
pub struct Settings {
    pub lease: Duration,
    pub heartbeat: Duration,
    /// How long a task that every worker refuses waits for another worker, from the first one's arrival.
    pub ineligible_grace: Duration,
    /// Attempts at an item before it is failed.
    pub item_attempts: u32,
    /// Items that one worker may hold at once.
    pub concurrency: u32,
    /// Threads of a worker.
    pub transfers: u32,
    pub options: CopyOptions,
    pub source_fs_types: Vec<String>,
    pub target_fs_types: Vec<String>,
    pub config_file: PathBuf,
}

/// Work that began less than this long ago is not shared: handing it over would cost more than it wins.
const LEAST_TO_SHARE: Duration = Duration::from_secs(2);

/// A target that is full is tried again after this time.
const FULL_TARGET_WAIT: Duration = Duration::from_secs(60);

/// What a call can be answered with besides success.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("unknown session: register again")]
    UnknownSession,
    #[error(transparent)]
    Store(StoreError),
    #[error("cannot read the file list {path}")]
    List {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Misplaced(&'static str),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            // It left, or its lease ran out, while the call was under way.
            StoreError::NoSuchSession(_) => Refused::UnknownSession,
            other => Refused::Store(other),
        }
    }
}

impl Refused {
    pub fn is_stale(&self) -> bool {
        matches!(self, Refused::Store(StoreError::Stale(_)))
    }
}

/// Why a worker hands an item back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    Drain,
    Machine,
    Task,
    TargetFull,
    Failed,
}

/// What a worker is told besides its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Share(ItemId, Epoch),
    Cancel(ItemId, Epoch),
    RunOver,
}

pub struct Scheduler {
    store: Arc<dyn Store>,
    run: RunId,
    started: Millis,
    settings: Settings,
    lists: HashMap<TaskId, StoredList>,
    results: Results,
    notices: Notices,
    state: Mutex<State>,
    /// Woken when items may have become grantable, or the run is over.
    work: Notify,
    /// Woken when commands may be there.
    commands: Notify,
    /// One grant at a time may be the first of its task: see [`Scheduler::lease`].
    establishing: Mutex<()>,
    /// One task ends at a time, so that the run ends after the last one's rows are written.
    ending: Mutex<()>,
    over: watch::Sender<bool>,
}

struct State {
    fleet: Fleet,
    tasks: HashMap<TaskId, TaskState>,
    /// Workers with attempts of a cancelled run, until when each may go on with them: nothing is granted before they
    /// have heard that the attempts are over.
    predecessors: HashMap<SessionId, Instant>,
    /// What went wrong with the store; the server can't go on.
    broken: Option<String>,
}

/// What is kept of a task between calls.
#[derive(Debug, Clone)]
struct TaskState {
    record: TaskRecord,
    /// Items of it were waiting at the last look.
    may_have_waiting: bool,
    /// Nothing of its phase is open, and it is time that brings the next one.
    waits_for_time: bool,
    /// When an attempt at it was last seen under way.
    last_held: Option<Instant>,
    /// The newest thing that held it up, for people.
    trouble: Option<String>,
}

impl Scheduler {
    /// Takes up a run that the store has begun or resumed.
    pub fn new(
        store: Arc<dyn Store>,
        run: &RunRecord,
        settings: Settings,
        lists: HashMap<TaskId, StoredList>,
        results: Results,
    ) -> Result<Self, StoreError> {
        let now = Instant::now();
        let mut fleet = Fleet::new(settings.lease);
        for record in store.sessions()? {
            // Deadlines are not stored: who is known gets a whole lease time to be heard.
            let lease = Duration::from_millis(record.lease.max(0) as u64);
            let session = Session::new(record.name, String::new(), None, lease, now);
            fleet.sessions.insert(record.id, session);
        }
        let mut tasks = HashMap::new();
        for record in store.tasks(run.id)? {
            let state = TaskState {
                record,
                may_have_waiting: true,
                waits_for_time: false,
                last_held: None,
                trouble: None,
            };
            tasks.insert(state.record.task.id, state);
        }
        let scheduler = Self {
            store,
            run: run.id,
            started: run.started,
            settings,
            lists,
            results,
            notices: Notices::default(),
            state: Mutex::new(State {
                fleet,
                tasks,
                predecessors: HashMap::new(),
                broken: None,
            }),
            work: Notify::new(),
            commands: Notify::new(),
            establishing: Mutex::new(()),
            ending: Mutex::new(()),
            over: watch::Sender::new(run.state != RunState::Running),
        };
        scheduler.take_up_leases(now)?;
        Ok(scheduler)
    }

    /// Tells of tasks that end and of targets that are full.
    pub(crate) fn with_notices(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self
    }

    /// Leases that were there before this server was.
    fn take_up_leases(&self, now: Instant) -> Result<(), StoreError> {
        let mut orphans = Vec::new();
        {
            let mut state = self.state();
            for item in self.store.leased(self.run)? {
                let model::ItemState::Leased(session) = item.state else {
                    continue;
                };
                match state.fleet.session(session) {
                    Some(session) => session.hold(item.id, item.epoch, item.task, now),
                    None => {
                        // Its worker's session has ended, it may still write.
                        state.fleet.suspect(session, vec![item.task], now);
                        orphans.push((item.id, item.epoch));
                    }
                }
            }
        }
        // An attempt that was superseded before the restart may not have been heard of since.
        let mut suspects = Vec::new();
        for task in self.unfinished() {
            if self.store.totals(self.run, task)?.retries > 0 {
                suspects.push(task);
            }
        }
        if !suspects.is_empty() {
            let nobody = SessionId::from_random(0);
            self.state().fleet.suspect(nobody, suspects, now);
        }
        for (item, epoch) in orphans {
            self.put_back(
                item,
                epoch,
                Cost::Free,
                "its worker is gone",
                Duration::ZERO,
            )?;
        }
        Ok(())
    }

    /// Grants nothing before the attempts of a cancelled run have ended: they may write where this run's will.
    pub fn wait_for_attempts_of(&self, cancelled: RunId) -> Result<(), StoreError> {
        let now = Instant::now();
        let leased = self.store.leased(cancelled)?;
        let mut state = self.state();
        for item in leased {
            if let model::ItemState::Leased(session) = item.state {
                let known = state.fleet.session(session).map(|s| s.lease);
                let lease = known.unwrap_or(self.settings.lease);
                state.predecessors.insert(session, now + lease);
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere while it was locked leaves values that are each still whole.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn run(&self) -> RunId {
        self.run
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    pub fn watch_over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    pub fn work_may_be_there(&self) -> tokio::sync::futures::Notified<'_> {
        self.work.notified()
    }

    pub fn commands_may_be_there(&self) -> tokio::sync::futures::Notified<'_> {
        self.commands.notified()
    }

    /// Unfinished tasks, in order.
    fn unfinished(&self) -> Vec<TaskId> {
        let state = self.state();
        let mut tasks: Vec<TaskId> = state
            .tasks
            .values()
            .filter(|task| task.record.result.is_none())
            .map(|task| task.record.task.id)
            .collect();
        tasks.sort();
        tasks
    }

    pub fn register(
        &self,
        name: String,
        address: String,
        program_version: String,
        request: u64,
        id: SessionId,
    ) -> Result<SessionId, Refused> {
        if let Some(known) = self.state().fleet.by_request(request) {
            return Ok(known);
        }
        self.store.add_session(SessionRecord {
            id,
            name: name.clone(),
            registered: now_ms(),
            lease: self.settings.lease.as_millis() as Millis,
        })?;
        tracing::info!("worker {name} ({address}) is here");
        let lease = self.settings.lease;
        let mut session = Session::new(name, address, Some(request), lease, Instant::now());
        session.program_version = program_version;
        self.state().fleet.sessions.insert(id, session);
        Ok(id)
    }

    /// Renews; returns what of the list is no longer the worker's.
    pub fn heartbeat(
        &self,
        id: SessionId,
        listed: Vec<(ItemId, Epoch, Progress)>,
        address: &str,
    ) -> Result<Vec<(ItemId, Epoch)>, Refused> {
        let heard = {
            let mut state = self.state();
            // What it was told to stop by the answer before, it no longer lists.
            if listed.is_empty() && state.predecessors.remove(&id).is_some() {
                self.work.notify_waiters();
            }
            if let Some(session) = state.fleet.session(id)
                && session.address != address
            {
                session.address = address.to_owned();
            }
            state
                .fleet
                .heard(id, listed, Instant::now())
                .ok_or(Refused::UnknownSession)?
        };
        for (item, epoch) in heard.unheard {
            tracing::warn!("item {item}: its grant never reached the worker, it waits again");
            self.put_back(
                item,
                epoch,
                Cost::Free,
                "the grant was lost",
                Duration::ZERO,
            )?;
        }
        Ok(heard.lost)
    }

    /// Commands for a session that are due now. That of sharing is given once: if it is lost, the
    /// worker is asked again while somebody idles. That of cancelling is repeated until it is obeyed.
    pub fn commands(&self, id: SessionId) -> Result<Vec<Command>, Refused> {
        let over = self.is_over();
        let now = Instant::now();
        let mut state = self.state();
        let session = state.fleet.session(id).ok_or(Refused::UnknownSession)?;
        let mut commands = Vec::new();
        for (item, held) in &mut session.held {
            if held.cancel {
                let is_due = held
                    .told_to_cancel
                    .is_none_or(|told| now.duration_since(told) >= self.settings.lease);
                if is_due {
                    held.told_to_cancel = Some(now);
                    commands.push(Command::Cancel(*item, held.epoch));
                }
            } else if std::mem::take(&mut held.share) {
                commands.push(Command::Share(*item, held.epoch));
            }
        }
        if over {
            commands.push(Command::RunOver);
        }
        Ok(commands)
    }

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
    ) -> Result<(), Refused> {
        let record = self.store.item(item)?;
        let task = record.item.task;
        let completed = self.store.complete(item, epoch, outcome, now_ms());
        // Taken or refused, this attempt is over.
        self.drop_held(session, item, epoch);
        completed?;
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

    /// The worker ends, or has stopped what it did in a session that was lost.
    pub fn leave(&self, id: SessionId) -> Result<(), Refused> {
        let session = {
            let mut state = self.state();
            state.fleet.acknowledged(id);
            state.predecessors.remove(&id);
            state.fleet.sessions.remove(&id)
        };
        let Some(session) = session else {
            return Ok(());
        };
        tracing::info!("worker {} has left", session.name);
        for (item, held) in session.held {
            self.put_back(
                item,
                held.epoch,
                Cost::Free,
                "its worker left",
                Duration::ZERO,
            )?;
        }
        self.store.remove_session(id)?;
        Ok(())
    }

    pub fn sessions_left(&self) -> usize {
        self.state().fleet.sessions.len()
    }

    /// The attempt is over; one with another epoch is not meant.
    fn drop_held(&self, session: SessionId, item: ItemId, epoch: Epoch) {
        if let Some(session) = self.state().fleet.session(session) {
            session
                .held
                .retain(|held, h| *held != item || h.epoch != epoch);
        }
    }

    /// Like [`Scheduler::hand_back`]; if it is stale, somebody else did it already.
    fn put_back(
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
    fn waiting(&self, task: TaskId) {
        if let Some(state) = self.state().tasks.get_mut(&task) {
            state.may_have_waiting = true;
        }
        self.work.notify_waiters();
    }

    /// What time alone brings about. To be called a few times a second.
    pub fn tick(&self, now: Instant) -> Result<(), StoreError> {
        let expired = self.state().fleet.expire(now);
        for dead in expired {
            tracing::warn!(
                "worker {} was silent for {} s: what it held runs elsewhere",
                dead.session.name,
                self.settings.lease.as_secs()
            );
            for (item, held) in dead.session.held {
                self.put_back(
                    item,
                    held.epoch,
                    Cost::Attempt,
                    "its worker was lost",
                    Duration::ZERO,
                )?;
            }
            self.store.remove_session(dead.id)?;
        }
        self.give_up_refused(now)?;
        for task in self.waiting_for_time() {
            self.advance(task)?;
        }
        self.share_out(now);
        Ok(())
    }

    fn waiting_for_time(&self) -> Vec<TaskId> {
        self.state()
            .tasks
            .values()
            .filter(|task| task.record.result.is_none() && task.waits_for_time)
            .map(|task| task.record.task.id)
            .collect()
    }

    /// Asks busy workers for work if somebody idles and nothing waits that the idle ones may run.
    fn share_out(&self, now: Instant) {
        let asked = {
            let mut state = self.state();
            let idle = state.fleet.idle_slots();
            if idle == 0 {
                return;
            }
            let State { fleet, tasks, .. } = &mut *state;
            let wanted: Vec<&TaskState> = tasks
                .values()
                .filter(|task| task.record.result.is_none())
                .filter(|task| fleet.is_wanted(task.record.task.id, now))
                .collect();
            if wanted.iter().any(|task| task.may_have_waiting) {
                return;
            }
            let shareable: HashSet<TaskId> = wanted
                .into_iter()
                .filter(|task| task.record.phase == Phase::Copy)
                .map(|task| task.record.task.id)
                .collect();
            fleet.ask_to_share(idle, LEAST_TO_SHARE, now, |task| shareable.contains(&task))
        };
        if asked > 0 {
            self.commands.notify_waiters();
        }
    }

    /// Says that the run can't go on: the store fails, or something that can't be did happen.
    pub fn broken(&self, why: String) {
        self.state().broken.get_or_insert(why);
    }

    pub fn what_broke(&self) -> Option<String> {
        self.state().broken.clone()
    }
}

/// Growing waits between attempts, 5, 10, 20… up to 60 s: all of them together outlast a storage server that fails over.
fn retry_wait(attempts: u32) -> Duration {
    Duration::from_secs((5u64 << attempts.min(6)).min(60))
}

pub fn now_ms() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as Millis)
}

fn failed(message: String) -> TaskResult {
    TaskResult {
        success: false,
        message,
        finished: now_ms(),
    }
}

#[cfg(test)]
mod tests;
