//! Decides who does what, and when a task and the run are over.
//!
//! Two kinds of state: what must survive is in the [`Store`], who is there is in the [`Fleet`].
//! Every change goes to the store first. No lock on the fleet is held while the store works, so
//! that many calls share one commit; the store refuses what has become stale meanwhile.
//!
//! All functions here block on the store: async callers run them on blocking threads.

pub(crate) mod again;
mod attempts;
mod clock;
mod engines;
mod finish;
mod grant;
mod mounts;
mod owed;
mod pauses;
mod phases;
mod report;
mod sessions;
mod soon;
mod stock;
mod suspects;
mod targets;
mod tick;
mod uploads;
mod waiters;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use model::{
    CopyOptions, Engine, Epoch, ItemId, Priority, RcloneOptions, RunId, SessionId, TaskId,
};
use tokio::sync::{Notify, watch};

use crate::fleet::{Fleet, Session};
use crate::notices::Notices;
use crate::plan::StoredList;
use crate::received::Received;
use crate::results::Results;
use crate::store::{Cost, Millis, RunRecord, RunState, Store, StoreError, TaskRecord, TaskResult};

use owed::{Owed, Shortage};
use stock::{Mark, Stock};
use targets::Targets;
use waiters::Waiters;

pub use again::may_be_tried_again;
pub use attempts::Attempt;
pub use clock::{Clock, SystemClock, now_ms};
pub use grant::LeaseAnswer;
pub use report::{PausedSnapshot, Snapshot, TaskSnapshot};
pub use sessions::Newcomer;
pub use suspects::is_split;
pub use targets::Full;
pub use uploads::Sent;
pub use waiters::Waiting;

/// What the scheduler goes by, from the config.
#[derive(Debug, Clone)]
pub struct Settings {
    pub lease: Duration,
    pub heartbeat: Duration,
    /// How long a task that every worker refuses waits for another worker, from the first one's arrival.
    pub ineligible_grace: Duration,
    /// Attempts at an item before it is failed.
    pub item_attempts: u32,
    /// How often a full target is tried.
    pub full_target: Duration,
    /// Items that one worker may hold at once.
    pub concurrency: u32,
    /// Threads of a worker.
    pub transfers: u32,
    /// A mount that does not answer for so long hangs.
    pub hung_mount: Duration,
    /// From so many names on, one directory is shared.
    pub shard_entries: u64,
    /// An attempt that has run for so long hands back what it has not begun.
    pub item_target: Duration,
    pub ranges: model::RangeSizes,
    pub options: CopyOptions,
    /// Of each task.
    pub engines: BTreeMap<TaskId, Engine>,
    /// Of the tasks whose lines name one.
    pub priorities: BTreeMap<TaskId, Priority>,
    pub rclone: RcloneOptions,
    /// Sources of rclone tasks are looked at by the worker beside the server alone.
    pub server_side_listing: bool,
    /// The one worker runs in this process: no other will come.
    pub embedded: bool,
    pub source_fs_types: Vec<String>,
    pub target_fs_types: Vec<String>,
    pub config_file: PathBuf,
}

impl Settings {
    pub fn priority_of(&self, task: TaskId) -> Priority {
        self.priorities.get(&task).copied().unwrap_or_default()
    }
}

/// An attempt is asked to share at most this often: it may have had nothing worth it, or not yet.
const ASK_AGAIN: Duration = Duration::from_millis(250);

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
    #[error("cannot keep {path}")]
    Keep {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseReason {
    Drain,
    Machine,
    Task,
    TargetFull(Full),
    Failed,
    /// A mount gives its threads no answer: they may still write.
    Hung,
    /// A mount is in trouble.
    Stale,
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
    clock: Arc<dyn Clock>,
    run: RunId,
    started: Millis,
    settings: Settings,
    lists: HashMap<TaskId, StoredList>,
    /// What attempts sent.
    received: Received,
    results: Results,
    notices: Notices,
    state: Mutex<State>,
    /// One task ends at a time, so that the run ends after the last one's rows are written.
    ending: Mutex<()>,
    /// Held while names that several items left are dealt out.
    dealing: Mutex<()>,
    over: watch::Sender<bool>,
    /// Somebody has looked for work in vain.
    idles: Notify,
}

pub(crate) struct State {
    pub(crate) fleet: Fleet,
    tasks: BTreeMap<TaskId, TaskState>,
    /// The newest thing that happened to any task's stock.
    put: Mark,
    /// How many tasks were granted from so far.
    turns: u64,
    waiters: Waiters,
    targets: Targets,
    /// Workers with attempts of a cancelled run, until when each may go on with them: nothing is granted before they
    /// have heard that the attempts are over.
    predecessors: BTreeMap<SessionId, Instant>,
    /// What waits for room on the disk, and when it was last tried.
    owed: VecDeque<Owed>,
    owed_tried: Option<Instant>,
    shortage: Option<Shortage>,
    /// What went wrong with the store; the server can't go on.
    broken: Option<String>,
}

/// What is kept of a task between calls.
#[derive(Debug, Clone)]
struct TaskState {
    record: TaskRecord,
    stock: Stock,
    /// When it was last granted from, by [`State::turns`].
    turn: u64,
    /// The store is asked for its first item.
    is_being_granted: bool,
    /// Nothing of its phase is open, and it is time that brings the next one.
    waits_for_time: bool,
    /// When an attempt at it was last seen under way.
    last_held: Option<Instant>,
    /// The newest thing that held it up, for people.
    trouble: Option<String>,
    /// When it was last said that no worker has its engine.
    told_of_engine: Option<Instant>,
    /// People have heard of its end.
    is_told: bool,
    /// Its row is written, or can't be for another reason than room.
    is_row_done: bool,
}

impl TaskState {
    /// No worker has said yet what it found at the roots.
    fn is_unbegun(&self) -> bool {
        self.record.result.is_none() && self.record.source_identity.is_none()
    }
}

impl Scheduler {
    /// Takes up a run that the store has begun or resumed.
    pub fn new(
        store: Arc<dyn Store>,
        run: &RunRecord,
        settings: Settings,
        lists: HashMap<TaskId, StoredList>,
        received: Received,
        results: Results,
    ) -> Result<Self, StoreError> {
        let clock = Arc::new(SystemClock);
        Self::with_clock(store, run, settings, lists, received, results, clock)
    }

    /// As [`Scheduler::new`], under a clock that is not this machine's.
    pub fn with_clock(
        store: Arc<dyn Store>,
        run: &RunRecord,
        settings: Settings,
        lists: HashMap<TaskId, StoredList>,
        received: Received,
        results: Results,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let now = clock.now();
        let mut fleet = Fleet::new(settings.lease);
        for record in store.sessions()? {
            // Deadlines are not stored: who is known gets a whole lease time to be heard.
            let lease = Duration::from_millis(record.lease.max(0) as u64);
            let session = Session::new(record.name, String::new(), None, lease, now);
            fleet.sessions.insert(record.id, session);
        }
        let mut tasks = BTreeMap::new();
        for record in store.tasks(run.id)? {
            let is_row_done = record.row_written;
            let state = TaskState {
                record,
                stock: Stock::unknown(Mark::default()),
                turn: 0,
                is_being_granted: false,
                waits_for_time: false,
                last_held: None,
                trouble: None,
                told_of_engine: None,
                is_told: false,
                is_row_done,
            };
            tasks.insert(state.record.task.id, state);
        }
        let targets = Targets::new(settings.full_target);
        let scheduler = Self {
            store,
            clock,
            run: run.id,
            started: run.started,
            settings,
            lists,
            received,
            results,
            notices: Notices::default(),
            state: Mutex::new(State {
                fleet,
                tasks,
                put: Mark::default(),
                turns: 0,
                waiters: Waiters::default(),
                targets,
                predecessors: BTreeMap::new(),
                owed: VecDeque::new(),
                owed_tried: None,
                shortage: None,
                broken: None,
            }),
            ending: Mutex::new(()),
            dealing: Mutex::new(()),
            over: watch::Sender::new(run.state != RunState::Running),
            idles: Notify::new(),
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
                    Some(session) => session.take_on(&item, now),
                    None => {
                        // Its worker's session has ended, it may still write.
                        state.fleet.note_superseded(session, vec![item.task], now);
                        orphans.push((item.id, item.epoch));
                    }
                }
            }
        }
        // An attempt that was superseded before the restart may not have been heard of since.
        let mut superseded = Vec::new();
        for task in self.unfinished() {
            if self.store.totals(self.run, task)?.retries > 0 {
                superseded.push(task);
            }
        }
        if !superseded.is_empty() {
            let nobody = SessionId::from_random(0);
            self.state().fleet.note_superseded(nobody, superseded, now);
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
        let now = self.clock.now();
        let leased = self.store.leased(cancelled)?;
        let mut state = self.state();
        for item in leased {
            if let model::ItemState::Leased(session) = item.state {
                let known = state.fleet.session(session).map(|s| s.lease);
                let lease = known.unwrap_or(self.settings.lease);
                state.predecessors.insert(session, now + lease);
            }
        }
        if let Some(last) = state.predecessors.values().max() {
            let workers = state.predecessors.len();
            let left = last.duration_since(now).as_secs();
            tracing::info!(
                "nothing begins before the workers of the cancelled run have stopped, {workers} of which may still write: when they say so, or in {left} s"
            );
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

    pub fn started(&self) -> Millis {
        self.started
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

    /// Says that the run can't go on: the store fails, or something that can't be did happen.
    pub fn broken(&self, why: String) {
        self.state().broken.get_or_insert(why);
    }

    pub fn what_broke(&self) -> Option<String> {
        self.state().broken.clone()
    }
}

fn failed(message: String, finished: Millis) -> TaskResult {
    TaskResult {
        success: false,
        message,
        finished,
    }
}

#[cfg(test)]
mod tests;
