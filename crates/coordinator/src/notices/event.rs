//! What notices tell of.

use std::path::PathBuf;

use model::config::NoticeKind;
use model::{TaskId, go_duration};

use crate::report::{Link, Row, TaskCounts, TaskEnd};
use crate::results::Written;
use crate::store::Millis;

#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A task has ended: its row, never one of a piece of its list.
    Task(Box<Row>),
    Run(RunEnd),
    Paused(Paused),
    Resumed(Paused),
    /// The server's own disk has no room, with the message.
    ServerFull(String),
}

/// The run is over.
#[derive(Debug, Clone)]
pub(crate) struct RunEnd {
    pub(crate) started: Millis,
    pub(crate) finished: Millis,
    pub(crate) tasks: TaskCounts,
    /// Where the report is.
    pub(crate) report: PathBuf,
    /// What opens the one in the bucket.
    pub(crate) report_link: Option<Link>,
}

/// A target is full, its tasks wait; or has room again, and they go on.
#[derive(Debug, Clone)]
pub(crate) struct Paused {
    pub(crate) task: TaskId,
    pub(crate) source: String,
    pub(crate) target: String,
    /// All that wait for it.
    pub(crate) tasks: Vec<TaskId>,
    /// Who found it full; empty once it has room.
    pub(crate) client: String,
    pub(crate) message: String,
}

impl Event {
    pub(super) fn kind(&self) -> NoticeKind {
        match self {
            Event::Task(_) => NoticeKind::Task,
            Event::Run(_) => NoticeKind::Run,
            Event::Paused(_) | Event::ServerFull(_) => NoticeKind::Paused,
            Event::Resumed(_) => NoticeKind::Resumed,
        }
    }

    /// How it is named in the log.
    pub(super) fn name(&self) -> String {
        match self {
            Event::Task(row) => format!("task {}", row.id),
            Event::Run(_) => "the run".to_owned(),
            Event::Paused(paused) => format!("task {} paused", paused.task),
            Event::ServerFull(_) => "the server's disk is full".to_owned(),
            Event::Resumed(paused) => format!("task {} resumed", paused.task),
        }
    }
}

impl RunEnd {
    /// From its report.
    pub(crate) fn new(started: Millis, finished: Millis, written: &Written) -> Self {
        let mut tasks = TaskCounts::default();
        for row in written.rows.iter().filter(|row| row.subtask_id == 0) {
            tasks.add(TaskEnd::of(row.success, &row.message));
        }
        Self {
            started,
            finished,
            tasks,
            report: written.report.clone(),
            report_link: written.report_link.clone(),
        }
    }

    /// Tasks that did not succeed.
    pub(super) fn failed(&self) -> u64 {
        self.tasks.failed + self.tasks.incomplete
    }

    pub(super) fn duration_ms(&self) -> u64 {
        (self.finished - self.started).max(0) as u64
    }

    /// As Go prints it.
    pub(super) fn duration(&self) -> String {
        go_duration::format(std::time::Duration::from_millis(self.duration_ms()))
    }
}
