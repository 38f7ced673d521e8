//! What the server must not forget. Each verb is one transaction: when it returns,
//! what it did survives a power cut, and when it fails, nothing of it happened. [`StoreError::NoRoom`] is the one
//! failure after which the store goes on: the caller tries again.
//!
//! Renewals of leases are not stored: a server that becomes active extends every
//! lease by one lease time, so a stored deadline would say nothing.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod full;
mod records;
mod sqlite;

use std::path::PathBuf;

use model::location::SourceIdentity;
use model::{
    Epoch, Item, ItemId, Outcome, RangeState, RunId, SessionId, StaleLease, TaskId, Work, WorkKind,
};

#[cfg(test)]
pub(crate) use full::Full;
pub use records::{
    Applied, Begun, BegunRun, Cost, Granted, ItemRecord, NewRun, NewTask, Phase, RunRecord,
    RunState, SessionRecord, Standing, TakeBack, TaskRecord, TaskResult, TaskTotals, WhenFinished,
};
pub use sqlite::SqliteStore;

/// Milliseconds since 1970 UTC.
pub type Millis = i64;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action}")]
    Database {
        action: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk is full, or a quota used up: nothing of it happened, and the same call may succeed when there is room.
    #[error("cannot {action}: no room on the server's disk")]
    NoRoom {
        action: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The data directory was written by a later version.
    #[error(
        "the data directory has format {found}, this version knows up to {known}: use the version that wrote it, or another server.data_dir"
    )]
    Format { found: u32, known: u32 },
    #[error("{path} is no database of data-migrate")]
    Foreign { path: PathBuf },
    #[error(transparent)]
    Stale(#[from] StaleLease),
    #[error("no such item: {0}")]
    NoSuchItem(ItemId),
    #[error("no such run: {0}")]
    NoSuchRun(RunId),
    #[error("run {run} has no task {task}")]
    NoSuchTask { run: RunId, task: TaskId },
    #[error("no such session: {0}")]
    NoSuchSession(SessionId),
    /// Ids are drawn at random: the same one for other work is an error of the caller.
    #[error("item {0} exists already with other work or another parent")]
    IdTaken(ItemId),
    /// Entries without a result, reasons that don't add up, or numbers beyond all reason.
    #[error("the outcome of item {0} does not add up")]
    Unbalanced(ItemId),
}

impl StoreError {
    pub fn is_no_room(&self) -> bool {
        matches!(self, StoreError::NoRoom { .. })
    }
}

/// Told of an answer when what it says is durable. It must not wait for the store; if the store has stopped it is dropped untold.
pub type Then<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Implementations pass one contract suite.
pub trait Store: Send + Sync {
    /// Begins a run, resumes the unfinished one of the same identity, or finds it finished.
    /// An unfinished run of another identity is cancelled: nothing more is granted of it, while
    /// its leases stay and may still complete. Tasks with `Err` items are stored with a failed
    /// result. A resumed run keeps its own id, tasks and leases; `run.tasks` is not looked at.
    fn begin_run(
        &self,
        run: NewRun,
        when: WhenFinished,
        now: Millis,
    ) -> Result<BegunRun, StoreError>;
    /// The run that was begun last.
    fn latest_run(&self) -> Result<Option<RunRecord>, StoreError>;
    /// In the order of their ids.
    fn tasks(&self, run: RunId) -> Result<Vec<TaskRecord>, StoreError>;
    /// All items of a run's task (ordered by creation), for reports.
    fn items(&self, run: RunId, task: TaskId) -> Result<Vec<ItemRecord>, StoreError>;
    fn item(&self, item: ItemId) -> Result<ItemRecord, StoreError>;
    /// What a call about an item has to know of it, without its work: that may be large.
    fn standing(&self, item: ItemId) -> Result<Standing, StoreError>;
    /// Items of the run that are leased now.
    fn leased(&self, run: RunId) -> Result<Vec<Item>, StoreError>;

    /// The same session again replaces what is known of it.
    fn add_session(&self, session: SessionRecord) -> Result<(), StoreError>;
    /// Sessions that were added and not removed.
    fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError>;
    /// What it has leased stays leased until it is released. An unknown session is no error.
    fn remove_session(&self, session: SessionId) -> Result<(), StoreError>;

    /// Grants up to `n` waiting items to the session, from these tasks in the order given, at most
    /// `at_most` of each; of one task by kind, then in the order of creation. Only items whose `not_before` has
    /// come, and only while the run is running. An unknown session is an error.
    fn grant(
        &self,
        run: RunId,
        tasks: &[GrantFrom],
        session: SessionId,
        n: usize,
        now: Millis,
    ) -> Result<Vec<Granted>, StoreError>;
    /// As [`Store::grant`], but `then` hears the answer. Where no better is known, it waits all the same.
    fn grant_then(
        &self,
        run: RunId,
        tasks: &[GrantFrom],
        session: SessionId,
        n: usize,
        now: Millis,
        then: Then<Vec<Granted>>,
    ) {
        then(self.grant(run, tasks, session, n, now));
    }
    /// As [`Store::complete_with`] where nothing is tried again, but `then` hears the answer. Where no better is known, it waits all the same.
    fn complete_then(
        &self,
        item: ItemId,
        epoch: Epoch,
        outcome: Outcome,
        children: &[(ItemId, Work)],
        now: Millis,
        then: Then<Applied>,
    ) {
        then(self.complete_with(item, epoch, outcome, children, &Again::default(), now));
    }
    /// As [`Store::complete_with`], without children.
    fn complete(
        &self,
        item: ItemId,
        epoch: Epoch,
        outcome: Outcome,
        now: Millis,
    ) -> Result<Applied, StoreError> {
        self.complete_with(item, epoch, outcome, &[], &Again::default(), now)
    }
    /// Records an attempt's outcome, and with it stores work that is left to others as waiting items of
    /// the task's phase, all or nothing, `again` among them. Refused unless the epoch is the newest and leased; the same
    /// epoch again answers `Before`, even when the task is over, and the first outcome stays. An
    /// unbalanced outcome is an error of the caller. Failures beyond
    /// [`model::outcome::MAX_FAILURES`] are dropped.
    fn complete_with(
        &self,
        item: ItemId,
        epoch: Epoch,
        outcome: Outcome,
        children: &[(ItemId, Work)],
        again: &Again,
        now: Millis,
    ) -> Result<Applied, StoreError>;
    /// Stores work that the attempt hands back as waiting items, with ids drawn by the worker:
    /// the same call again changes nothing, and is answered even after the attempt's end. They
    /// are part of the item's task and phase. Refused like [`Store::complete`].
    fn split(
        &self,
        item: ItemId,
        epoch: Epoch,
        children: &[(ItemId, Work)],
        now: Millis,
    ) -> Result<Applied, StoreError>;
    /// Says where ranges stand that the attempt has split off. Those that nobody has become [`model::ItemState::Withdrawn`]; with
    /// [`TakeBack::All`] those too that somebody has. In the order asked for. Refused unless the attempt holds the item.
    fn take_back(
        &self,
        item: ItemId,
        epoch: Epoch,
        ranges: &[ItemId],
        what: TakeBack,
    ) -> Result<Vec<RangeState>, StoreError>;
    /// Puts a leased item back to waiting. With [`Cost::Attempt`] or [`Cost::DeathAlone`], an item that has used up
    /// `max_attempts` becomes failed instead, and what it covers a failure by name; a range that costs
    /// anything is withdrawn. Repeated under the newest epoch, it answers what
    /// became of the item and changes nothing. Refused like [`Store::complete`].
    fn release(
        &self,
        item: ItemId,
        epoch: Epoch,
        release: Release<'_>,
        now: Millis,
    ) -> Result<ReleasedTo, StoreError>;
    /// A page of the works that an item handed back, in order, from the `from`-th on.
    fn children(
        &self,
        item: ItemId,
        from: u64,
        n: usize,
    ) -> Result<Vec<(ItemId, Work)>, StoreError>;

    /// Sets the source identity of a task if it has none yet; returns the one that now holds.
    fn set_source_identity(
        &self,
        run: RunId,
        task: TaskId,
        identity: &SourceIdentity,
    ) -> Result<SourceIdentity, StoreError>;
    fn totals(&self, run: RunId, task: TaskId) -> Result<TaskTotals, StoreError>;
    /// [`TaskTotals::open_items`] alone, which is asked for after each completion.
    fn open_items(&self, run: RunId, task: TaskId) -> Result<u64, StoreError>;
    /// Failures by name over the done items of a task, at most `n`: items in the order of their
    /// creation, each one's failures as its outcome had them, and what failed items cover.
    fn failures(
        &self,
        run: RunId,
        task: TaskId,
        n: usize,
    ) -> Result<Vec<model::Failure>, StoreError>;
    /// When the first of the task's items comes due that wait for their time: one that has come since a grant, too.
    fn next_due(&self, run: RunId, task: TaskId) -> Result<Option<Millis>, StoreError>;
    /// Moves a task to a later phase with that phase's items. For a phase already begun, or a task
    /// that is over: nothing, and the answer is `Before`.
    fn begin_phase(
        &self,
        run: RunId,
        task: TaskId,
        phase: Phase,
        items: &[(ItemId, Work)],
        now: Millis,
    ) -> Result<Applied, StoreError>;
    /// Ends a task; what of its items is still waiting or leased becomes failed. For a task that
    /// is over: nothing, and the answer is `Before`.
    fn finish_task(
        &self,
        run: RunId,
        task: TaskId,
        result: TaskResult,
    ) -> Result<Applied, StoreError>;
    /// Remembers that the task's row is in the results file.
    fn set_row_written(&self, run: RunId, task: TaskId) -> Result<(), StoreError>;
    /// A run that is over, in whatever way, stays as it is.
    fn finish_run(&self, run: RunId, now: Millis) -> Result<(), StoreError>;
}

/// A task that may be granted from, and how many of its items at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantFrom {
    pub task: TaskId,
    pub at_most: usize,
    pub kinds: Kinds,
    pub suspects: Suspects,
}

/// Whether items are granted with which workers were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspects {
    LeftOut,
    /// One of them and nothing beside it, if nothing was granted before.
    Alone,
}

/// Which of a task's items may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    All,
    /// For who has a range already: one mount may let little into a file at a time, so that more of them wait for each other.
    RangesLast,
    NoRanges,
    Only(WorkKind),
}

impl Kinds {
    /// Ranges come first: somebody waits for them. Then looking: it finds work for others.
    pub fn in_order(&self) -> &[WorkKind] {
        match self {
            Kinds::All => &[WorkKind::Range, WorkKind::Walk, WorkKind::Files],
            Kinds::RangesLast => &[WorkKind::Walk, WorkKind::Files, WorkKind::Range],
            Kinds::NoRanges => &[WorkKind::Walk, WorkKind::Files],
            Kinds::Only(kind) => std::slice::from_ref(kind),
        }
    }
}

/// Items for what an attempt failed at and leaves to another try.
#[derive(Debug, Clone, Default)]
pub struct Again {
    pub items: Vec<(ItemId, Work)>,
    /// Those that were used up at it so far.
    pub attempts: u32,
    /// Workers that were lost with what these were split from; else none.
    pub deaths: u32,
    /// The earliest time of their first grant.
    pub not_before: Millis,
}

#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    pub cost: Cost,
    pub max_attempts: u32,
    /// It does not fail for the loss of workers before it lost so many.
    pub least_deaths: u32,
    pub reason: &'a str,
    /// The earliest time of the next grant.
    pub not_before: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleasedTo {
    Waiting,
    Failed,
    /// A range, which the attempt that handed it over does itself.
    Withdrawn,
}
