//! What the store keeps and tells of.

use model::location::SourceIdentity;
use model::{Epoch, Item, ItemId, Outcome, RunId, SessionId, StaleLease, Task, TaskId, Work};

use super::Millis;

/// What a run is made of. Two runs of equal identity do the same work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Drawn at random; used if a new run is begun.
    pub id: RunId,
    /// Hash of tasks, roots, file lists and the keys that change results.
    pub identity: String,
    pub tasks: Vec<NewTask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    pub task: Task,
    /// The first items, with ids drawn at random. None: the task is born failed.
    pub items: Result<Vec<(ItemId, Work)>, String>,
}

/// What to do when the newest run has the same identity and is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFinished {
    Keep,
    BeginNew,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// A new run.
    New,
    /// An unfinished one of the same identity goes on.
    Resumed,
    /// The newest run has this identity and is over; nothing was begun.
    AlreadyFinished,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunRun {
    pub run: RunRecord,
    pub begun: Begun,
    /// An unfinished run of another identity, which this one replaced.
    pub cancelled: Option<RunId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    Running,
    Finished,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    pub id: RunId,
    pub identity: String,
    pub state: RunState,
    pub started: Millis,
    pub finished: Option<Millis>,
}

/// The stages of a task, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Copy,
    /// Names of files that have others, where several items found them.
    Links,
    /// Directories that several items wrote into.
    Attributes,
    /// The run's marker, and the attributes of the root.
    Close,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    pub task: Task,
    pub phase: Phase,
    /// When its first item was granted.
    pub started: Option<Millis>,
    /// Set by the first worker that got ready at its roots.
    pub source_identity: Option<SourceIdentity>,
    pub result: Option<TaskResult>,
    /// Whether its row has been appended to the results file.
    pub row_written: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResult {
    pub success: bool,
    pub message: String,
    pub finished: Millis,
}

/// An item with what results and reports need of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRecord {
    pub item: Item,
    /// The phase of its task that it is part of.
    pub phase: Phase,
    /// Name of the worker that had the newest grant.
    pub worker: Option<String>,
    /// First grant.
    pub started: Option<Millis>,
    pub finished: Option<Millis>,
    /// Coverage; only of a completed attempt. `failures` is left empty here: see [`Store::failures`].
    pub outcome: Option<Outcome>,
    /// Why the last attempt ended without completing.
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    pub id: SessionId,
    /// Name of the worker.
    pub name: String,
    pub registered: Millis,
    /// How long the worker counts on each renewal; it was told at its registration.
    pub lease: Millis,
}

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub item: ItemId,
    pub task: TaskId,
    /// That of its newest grant.
    pub epoch: Epoch,
    pub is_leased: bool,
    /// As [`Item::attempts`].
    pub attempts: u32,
}

impl Standing {
    /// As [`Item::check`].
    pub fn check(&self, epoch: Epoch) -> Result<(), StaleLease> {
        match self.is_leased && epoch == self.epoch {
            true => Ok(()),
            false => Err(StaleLease {
                item: self.item,
                presented: epoch,
                newest: self.epoch,
            }),
        }
    }
}

/// A granted item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub item: Item,
    /// Whether the item has children, which this attempt must leave out.
    pub has_children: bool,
    /// The items that this one was handed over by, one by another, nearest first. What their dead attempts left in its
    /// directories is this item's to clear up: a living one never works below what it handed over.
    pub ancestors: Vec<ItemId>,
}

/// Whether a hand-back counts against the item's attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    Free,
    Attempt,
    /// Its worker was lost, and held others as well: it becomes a suspect.
    Death,
    /// A suspect's worker was lost, which held nothing else: an attempt.
    DeathAlone,
}

/// Which ranges an attempt takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeBack {
    Waiting,
    /// The file is given up.
    All,
}

/// Whether a repeated call found its work already done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Now,
    Before,
}

/// Sums over the items of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskTotals {
    /// Sum of the outcomes of done items, without failures by name.
    pub outcome: Outcome,
    /// Items that are waiting or leased.
    pub open_items: u64,
    /// Items whose attempts were used up.
    pub failed_items: u64,
    /// Attempts that were used up, or lost with their workers, over all items.
    pub retries: u64,
    /// Names of the workers that completed items of it, sorted.
    pub workers: Vec<String>,
}
