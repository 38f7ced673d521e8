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

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::location::SourceIdentity;
use model::{CopyOptions, Epoch, ItemId, Outcome, RunId, SessionId, TaskId, Work};
use tokio::sync::{Notify, watch};

use crate::fleet::{Fleet, Progress, Session};
use crate::plan::StoredList;
use crate::results::Results;
use crate::store::{
    Cost, Millis, Phase, Release, RunRecord, RunState, SessionRecord, Store, StoreError,
    TaskRecord, TaskResult,
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
    Store(#[from] StoreError),
    #[error("cannot read the file list {path}")]
    List {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Misplaced(&'static str),
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
    state: Mutex<State>,
    /// Woken when items may have become grantable, or the run is over.
    work: Notify,
    /// Woken when commands may be there.
    commands: Notify,
    /// One grant at a time may be the first of its task: see [`Scheduler::lease`].
    establishing: Mutex<()>,
    over: watch::Sender<bool>,
}

struct State {
    fleet: Fleet,
    tasks: HashMap<TaskId, TaskState>,
    /// What went wrong with the store; the server can't go on.
    broken: Option<String>,
}

/// What is kept of a task between calls.
#[derive(Debug, Clone)]
struct TaskState {
    record: TaskRecord,
    /// Items of it were waiting at the last look.
    may_have_waiting: bool,
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
        let mut fleet = Fleet::new(settings.lease, settings.heartbeat);
        for record in store.sessions()? {
            // Deadlines are not stored: who is known gets a whole lease time to be heard.
            let session = Session::new(record.name, String::new(), 0, now);
            fleet.sessions.insert(record.id, session);
        }
        let mut tasks = HashMap::new();
        for record in store.tasks(run.id)? {
            let state = TaskState {
                record,
                may_have_waiting: true,
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
            state: Mutex::new(State {
                fleet,
                tasks,
                broken: None,
            }),
            work: Notify::new(),
            commands: Notify::new(),
            establishing: Mutex::new(()),
            over: watch::Sender::new(run.state != RunState::Running),
        };
        scheduler.take_up_leases(now)?;
        Ok(scheduler)
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
        let unfinished: Vec<TaskId> = self.unfinished();
        let mut suspects = Vec::new();
        for task in unfinished {
            if self
                .store
                .items(self.run, task)?
                .iter()
                .any(|record| record.item.attempts > 0)
            {
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
        })?;
        tracing::info!("worker {name} ({address}) is here");
        let mut session = Session::new(name, address, request, Instant::now());
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

    /// Commands for a session that are due now; each is given once.
    pub fn commands(&self, id: SessionId) -> Result<Vec<Command>, Refused> {
        let over = self.is_over();
        let mut state = self.state();
        let session = state.fleet.session(id).ok_or(Refused::UnknownSession)?;
        let mut commands = Vec::new();
        for (item, held) in &mut session.held {
            if std::mem::take(&mut held.cancel) {
                commands.push(Command::Cancel(*item, held.epoch));
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
        self.store.complete(item, epoch, outcome, now_ms())?;
        self.drop_held(session, item);
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
        record.item.check(epoch).map_err(StoreError::from)?;
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
                (Cost::Free, FULL_TARGET_WAIT)
            }
            ReleaseReason::Failed => {
                tracing::warn!(
                    "item {item} of task {task} on {name}: {message}; it is tried again"
                );
                (Cost::Attempt, retry_wait(record.item.attempts))
            }
        };
        self.drop_held(session, item);
        self.put_back(item, epoch, cost, message, wait)?;
        if reason == ReleaseReason::Task {
            self.fail_task(task, message.to_owned())?;
        }
        if let Some(state) = self.state().tasks.get_mut(&task) {
            state.trouble = (reason != ReleaseReason::Drain).then(|| message.to_owned());
        }
        self.give_up_refused(Instant::now())?;
        Ok(())
    }

    /// The worker ends, or has stopped what it did in a session that was lost.
    pub fn leave(&self, id: SessionId) -> Result<(), Refused> {
        let session = {
            let mut state = self.state();
            state.fleet.acknowledged(id);
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

    fn drop_held(&self, session: SessionId, item: ItemId) {
        if let Some(session) = self.state().fleet.session(session) {
            session.held.remove(&item);
        }
    }

    /// Makes a leased item grantable again, or failed. Stale: somebody else did already.
    fn put_back(
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
        match self.store.release(item, epoch, release, now) {
            Ok(to) => {
                let task = self.store.item(item)?.item.task;
                if to == crate::store::ReleasedTo::Failed {
                    tracing::error!("item {item} of task {task} has failed for good: {reason}");
                    self.advance(task)?;
                }
                self.waiting(task);
                Ok(())
            }
            Err(StoreError::Stale(_)) => Ok(()),
            Err(e) => Err(e),
        }
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
        for task in self.unfinished() {
            self.advance(task)?;
        }
        self.share_out(now);
        Ok(())
    }

    /// Asks busy workers for work if somebody idles and nothing waits.
    fn share_out(&self, now: Instant) {
        let asked = {
            let mut state = self.state();
            let idle = state.fleet.idle_slots();
            let waiting = state
                .tasks
                .values()
                .any(|task| task.record.result.is_none() && task.may_have_waiting);
            if idle == 0 || waiting {
                return;
            }
            let State { fleet, tasks, .. } = &mut *state;
            fleet.ask_to_share(idle, LEAST_TO_SHARE, now, |task| {
                tasks
                    .get(&task)
                    .is_some_and(|t| t.record.phase == Phase::Copy && t.record.result.is_none())
            })
        };
        if asked > 0 {
            self.commands.notify_waiters();
        }
    }

    /// Says that the store fails: the run can't go on with it.
    pub fn broken(&self, error: &StoreError) {
        let mut state = self.state();
        if state.broken.is_none() {
            state.broken = Some(crate::error_chain(error));
            self.over.send_if_modified(|_| true);
        }
    }

    pub fn what_broke(&self) -> Option<String> {
        self.state().broken.clone()
    }
}

/// Growing waits between attempts: 1, 2, 4… up to 60 s.
fn retry_wait(attempts: u32) -> Duration {
    Duration::from_secs((1u64 << attempts.min(6)).min(60))
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
