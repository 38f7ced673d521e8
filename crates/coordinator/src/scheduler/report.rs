//! What people see of a run while it goes on.

use model::{Counters, Epoch, ItemId, Priority, RunId, TaskId};

use super::Scheduler;
use crate::fleet;
use crate::ledger::{Ledger, so_far};
use crate::mounts::LeftBehind;
use crate::report::{Progress, TaskEnd};
use crate::store::{Millis, Phase, StoreError, TaskRecord};

/// The state of a run at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub run: RunId,
    pub config: String,
    pub started: Millis,
    pub now: Millis,
    pub over: bool,
    pub tasks: Vec<TaskSnapshot>,
    pub workers: Vec<WorkerSnapshot>,
}

#[derive(Debug, Clone)]
pub struct TaskSnapshot {
    pub record: TaskRecord,
    pub priority: Priority,
    pub open_items: u64,
    pub leased_items: u64,
    pub ledger: Ledger,
    /// What attempts that are under way say of themselves.
    pub running: Counters,
    /// Why it is not getting on, if it isn't.
    pub trouble: Option<String>,
    /// Its target takes nothing more: since when, and when it is tried again.
    pub paused: Option<PausedSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedSnapshot {
    pub since_ms: u64,
    pub probe_in_ms: u64,
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct WorkerSnapshot {
    pub name: String,
    pub address: String,
    pub program_version: String,
    /// Its rclone's version, or why it has no usable one; neither is known of a worker that registered with an earlier
    /// server.
    pub rclone: Option<Result<String, String>>,
    pub silent_ms: u64,
    pub items: Vec<WorkerItem>,
    pub refusals: Vec<(TaskId, String)>,
    pub left_behind: Vec<LeftBehind>,
}

#[derive(Debug, Clone)]
pub struct WorkerItem {
    pub item: ItemId,
    pub epoch: Epoch,
    pub task: TaskId,
    pub held_ms: u64,
    pub progress: fleet::Progress,
}

impl Snapshot {
    /// Entries and bytes so far, done and under way.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for task in &self.tasks {
            sum.add(&task.ledger.outcome.counters);
            sum.add(&task.running);
        }
        sum
    }

    /// The progress line's numbers; rates are against an earlier snapshot.
    pub fn progress(&self, earlier: Option<&Snapshot>) -> Progress {
        let counters = self.counters();
        let before = earlier.map(Snapshot::counters).unwrap_or_default();
        let ended = |wanted: fn(TaskEnd) -> bool| {
            self.tasks
                .iter()
                .filter_map(|task| task.record.result.as_ref())
                .filter(|result| wanted(TaskEnd::of(result.success, &result.message)))
                .count() as u64
        };
        Progress {
            tasks: self.tasks.len() as u64,
            success: ended(|end| end == TaskEnd::Success),
            failed: ended(|end| end != TaskEnd::Success),
            clients: self.workers.iter().map(|w| w.name.clone()).collect(),
            files: counters.copied_files,
            bytes: counters.copied_bytes,
            failures: counters.failed,
            recent_files: counters.copied_files.saturating_sub(before.copied_files),
            recent_bytes: counters.copied_bytes.saturating_sub(before.copied_bytes),
            recent_ms: self.now - earlier.map_or(self.started, |e| e.now),
        }
    }

    pub fn all_succeeded(&self) -> bool {
        self.tasks
            .iter()
            .all(|task| task.record.result.as_ref().is_some_and(|r| r.success))
    }
}

impl TaskSnapshot {
    pub fn state_name(&self) -> &'static str {
        match &self.record.result {
            Some(result) => TaskEnd::of(result.success, &result.message).name(),
            None if self.paused.is_some() => "paused",
            None if self.leased_items > 0 => "running",
            None => "waiting",
        }
    }

    pub fn phase_name(&self) -> &'static str {
        match self.record.phase {
            Phase::Copy => "copy",
            Phase::Links => "links",
            Phase::Attributes => "attributes",
            Phase::Close => "close",
        }
    }
}

impl Scheduler {
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let (records, workers) = self.records_and_workers();
        let mut tasks = Vec::with_capacity(records.len());
        for (record, trouble) in records {
            let task = record.task.id;
            let paused = self.paused(task);
            let mut running = Counters::default();
            let mut leased_items = 0;
            for item in workers.iter().flat_map(|w| &w.items) {
                if item.task == task {
                    running.add(&item.progress.counters);
                    leased_items += 1;
                }
            }
            tasks.push(TaskSnapshot {
                open_items: self.store.totals(self.run, task)?.open_items,
                ledger: so_far(&*self.store, self.run, task, self.refused(task))?,
                priority: self.settings.priority_of(task),
                leased_items,
                running,
                record,
                trouble,
                paused,
            });
        }
        Ok(Snapshot {
            run: self.run,
            config: self.settings.config_file.display().to_string(),
            started: self.started,
            now: self.clock.now_ms(),
            over: self.is_over(),
            tasks,
            workers,
        })
    }

    fn paused(&self, task: TaskId) -> Option<PausedSnapshot> {
        let now = self.clock.now();
        let state = self.state();
        let pause = state.targets.pause_of(task)?;
        Some(PausedSnapshot {
            since_ms: now.duration_since(pause.since).as_millis() as u64,
            probe_in_ms: pause.next_probe.duration_since(now).as_millis() as u64,
            message: pause.message.clone(),
        })
    }

    fn records_and_workers(&self) -> (Vec<(TaskRecord, Option<String>)>, Vec<WorkerSnapshot>) {
        let now = self.clock.now();
        let state = self.state();
        let mut records: Vec<_> = state
            .tasks
            .values()
            .map(|task| (task.record.clone(), task.trouble.clone()))
            .collect();
        records.sort_by_key(|(record, _)| record.task.id);
        let mut workers: Vec<WorkerSnapshot> = state
            .fleet
            .sessions
            .values()
            .map(|session| WorkerSnapshot {
                name: session.name.clone(),
                address: session.address.clone(),
                program_version: session.program_version.clone(),
                rclone: session.rclone.clone(),
                silent_ms: now.duration_since(session.last_heard).as_millis() as u64,
                items: session
                    .held
                    .iter()
                    .map(|(item, held)| WorkerItem {
                        item: *item,
                        epoch: held.epoch,
                        task: held.task,
                        held_ms: now.duration_since(held.granted).as_millis() as u64,
                        progress: held.progress.clone(),
                    })
                    .collect(),
                refusals: session
                    .refusals
                    .iter()
                    .map(|(task, refusal)| (*task, refusal.message.clone()))
                    .collect(),
                left_behind: session.left_behind.clone(),
            })
            .collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        (records, workers)
    }

    pub fn failures(&self, task: TaskId, n: usize) -> Result<Vec<model::Failure>, StoreError> {
        self.store.failures(self.run, task, n)
    }
}
