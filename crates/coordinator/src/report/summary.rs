//! What a report says about the run as a whole, beside its rows.

use model::{Counters, Failure, Outcome, RunId, TaskId};

use crate::store::Millis;

/// How a task ended. Only `Success` is success in the results table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskEnd {
    Success,
    /// All is known, and some entries failed; or it could not begin.
    Failed,
    /// It is not known whether all was found.
    Incomplete,
}

impl TaskEnd {
    /// Reads how a task ended from what its row says.
    pub fn of(success: bool, message: &str) -> Self {
        match success {
            true => TaskEnd::Success,
            false if message.starts_with(super::message::INCOMPLETE) => TaskEnd::Incomplete,
            false => TaskEnd::Failed,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            TaskEnd::Success => "success",
            TaskEnd::Failed => "failed",
            TaskEnd::Incomplete => "incomplete",
        }
    }
}

/// Tasks by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskCounts {
    pub success: u64,
    pub failed: u64,
    pub incomplete: u64,
}

impl TaskCounts {
    pub fn add(&mut self, end: TaskEnd) {
        match end {
            TaskEnd::Success => self.success += 1,
            TaskEnd::Failed => self.failed += 1,
            TaskEnd::Incomplete => self.incomplete += 1,
        }
    }

    pub fn total(&self) -> u64 {
        self.success + self.failed + self.incomplete
    }
}

/// When a task ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskInterval {
    pub task: TaskId,
    pub started: Millis,
    pub finished: Millis,
    pub end: TaskEnd,
}

/// What failed in a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailures {
    pub task: TaskId,
    /// By name; need not be all.
    pub failures: Vec<Failure>,
    /// All of them.
    pub total: u64,
}

/// The run as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub run: RunId,
    /// Name of the config file, as the user gave it.
    pub config: String,
    pub version: String,
    pub started: Millis,
    pub finished: Millis,
    pub tasks: TaskCounts,
    /// Over all tasks; its own `failures` are not looked at.
    pub outcome: Outcome,
    /// Tasks that were begun.
    pub intervals: Vec<TaskInterval>,
    pub failures: Vec<TaskFailures>,
    /// What the reader should know of this run: a dry run, what durability was given up, …
    pub notes: Vec<String>,
}

impl Summary {
    pub fn end(&self) -> TaskEnd {
        match self.tasks {
            TaskCounts {
                incomplete: 1.., ..
            } => TaskEnd::Incomplete,
            TaskCounts { failed: 1.., .. } => TaskEnd::Failed,
            _ => TaskEnd::Success,
        }
    }

    pub fn duration_ms(&self) -> Millis {
        (self.finished - self.started).max(0)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.outcome.counters
    }

    /// Entries found. A directory that was handed over is listed by the item that
    /// found it and by the one that took it: it is counted once here.
    pub(super) fn listed(&self) -> u64 {
        let counters = self.counters();
        counters.listed.saturating_sub(counters.deferred)
    }
}
