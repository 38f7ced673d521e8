//! How tasks and the run end.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use model::found_files::shared_lists;
use model::{Engine, RunId, TaskId};

use super::owed::Owed;
use super::{Scheduler, State, failed};
use crate::fleet::Session;
use crate::ledger::{Ledger, ledger};
use crate::notices::Event;
use crate::report::TaskEnd;
use crate::report::message::{self, Ended};
use crate::results::{FinishedTask, ResultsError, Written};
use crate::store::{Applied, Millis, StoreError, TaskRecord, TaskResult};

/// Failures that the judgement of a task looks at by name.
const FAILURES_LOOKED_AT: usize = 100;

impl Scheduler {
    /// Judges a task whose items are all over.
    pub(super) fn finish_task(&self, task: TaskId) -> Result<(), StoreError> {
        let Some(record) = self.record(task) else {
            return Ok(());
        };
        let ledger = self.ledger(task)?;
        let mut failures = self.store.failures(self.run, task, FAILURES_LOOKED_AT)?;
        failures.extend(self.refused(task).iter().cloned());
        let (end, message) = message::verdict(&Ended {
            task,
            list: record.task.list.as_deref(),
            dry_run: self.settings.options.dry_run,
            outcome: &ledger.outcome,
            failures: &failures,
            failed_items: ledger.failed_items,
            last_error: ledger.last_error.as_deref(),
        });
        let result = TaskResult {
            success: end == TaskEnd::Success,
            message,
            finished: self.clock.now_ms(),
        };
        self.end_task(task, result)
    }

    /// Ends a task that can't be run, with the reason.
    pub(super) fn fail_task(&self, task: TaskId, message: String) -> Result<(), StoreError> {
        // What it has done so far stays counted, and is not the whole.
        let begun = self
            .record(task)
            .is_some_and(|record| record.source_identity.is_some());
        let message = match begun {
            true => message::incomplete(&message),
            false => message,
        };
        self.end_task(task, failed(message, self.clock.now_ms()))
    }

    fn end_task(&self, task: TaskId, result: TaskResult) -> Result<(), StoreError> {
        let applied = self.store.finish_task(self.run, task, result.clone())?;
        if applied == Applied::Before {
            return Ok(());
        }
        match result.success {
            true => tracing::info!("{}", result.message),
            false => tracing::error!("task {task} failed: {}", result.message),
        }
        {
            let mut state = self.state();
            state.targets.forget(task);
            for session in state.fleet.sessions.values_mut() {
                for held in session.held.values_mut().filter(|held| held.task == task) {
                    held.cancel = true;
                    session.commands.notify_waiters();
                }
            }
            if let Some(state) = state.tasks.get_mut(&task) {
                state.record.result = Some(result);
            }
        }
        self.settle(Owed::Results)
    }

    /// Rows of tasks that ended before this server could write them, and the end of a run whose
    /// last task ended so.
    pub fn take_up_results(&self) -> Result<(), StoreError> {
        if self.is_over() {
            return Ok(());
        }
        self.settle(Owed::Results)?;
        for task in self.unfinished() {
            self.advance(task)?;
        }
        Ok(())
    }

    /// Writes what is not written yet of the results; the run ends after the last row.
    pub(super) fn write_results(&self) -> Result<(), StoreError> {
        let _ending = self
            .ending
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut unwritten: Vec<TaskRecord> = self
            .state()
            .tasks
            .values()
            .filter(|task| task.record.result.is_some() && !task.is_row_done)
            .map(|task| task.record.clone())
            .collect();
        unwritten.sort_by_key(|record| record.task.id);
        for record in unwritten {
            self.write_rows(&record)?;
        }
        self.finish_run_if_done()
    }

    fn write_rows(&self, record: &TaskRecord) -> Result<(), StoreError> {
        let task = record.task.id;
        let finished = self.finished_task(record)?;
        // Before the row counts as written: after a crash here it is told of again, not never.
        self.tell_of_end(task, || {
            Event::Task(Box::new(self.results.task_row(&finished)))
        });
        match self.results.task_ended(&finished) {
            Err(error) if error.is_no_room() => {
                return Err(StoreError::NoRoom {
                    action: "write the results of a task",
                    source: error.into(),
                });
            }
            // The run goes on: its report at the end has the row too.
            Err(error) => tracing::error!(
                "cannot write the results of task {task}: {}",
                model::error_chain(&error)
            ),
            Ok(()) => self.store.set_row_written(self.run, task)?,
        }
        if let Some(state) = self.state().tasks.get_mut(&task) {
            state.is_row_done = true;
        }
        Ok(())
    }

    /// Once, however often its row is tried.
    fn tell_of_end(&self, task: TaskId, event: impl FnOnce() -> Event) {
        let is_told = match self.state().tasks.get_mut(&task) {
            Some(state) => std::mem::replace(&mut state.is_told, true),
            None => true,
        };
        if !is_told {
            self.notices.tell(&event());
        }
    }

    fn finished_task(&self, record: &TaskRecord) -> Result<FinishedTask, StoreError> {
        let task = record.task.id;
        let mut failures = self
            .store
            .failures(self.run, task, model::outcome::MAX_FAILURES)?;
        failures.extend(self.refused(task).iter().cloned());
        let has_pieces = record.task.list.is_some() || self.engine_of(task) == Engine::Rclone;
        let items = match has_pieces {
            true => self.store.items(self.run, task)?,
            false => Vec::new(),
        };
        let logs = items.iter().filter_map(|record| {
            let item = &record.item;
            let log = self.received.newest_log(task, item.id, item.epoch)?;
            Some((item.id, log))
        });
        Ok(FinishedTask {
            item_logs: logs.collect(),
            record: self
                .store
                .tasks(self.run)?
                .into_iter()
                .find(|stored| stored.task.id == task)
                .unwrap_or_else(|| record.clone()),
            ledger: self.ledger(task)?,
            items,
            failures,
            list: self.lists.get(&task).cloned(),
        })
    }

    fn finish_run_if_done(&self) -> Result<(), StoreError> {
        if self.is_over() || !self.unfinished().is_empty() {
            return Ok(());
        }
        self.store.finish_run(self.run, self.clock.now_ms())?;
        self.remove_lists();
        self.over.send_replace(true);
        self.wake_all();
        for session in self.state().fleet.sessions.values() {
            session.commands.notify_waiters();
        }
        Ok(())
    }

    /// Lists that walks wrote down are of no use any more.
    fn remove_lists(&self) {
        let own = self.received.remove_lists();
        let shared = match &self.settings.rclone.list_dir {
            Some(directory) => remove_shared_lists(directory, self.run),
            None => Ok(()),
        };
        for removed in [own, shared] {
            if let Err(e) = removed {
                tracing::warn!(
                    "lists of files that are no longer needed could not be removed: {e}"
                );
            }
        }
    }

    /// Ends tasks that no worker can run.
    pub(super) fn give_up_refused(&self, now: Instant) -> Result<(), StoreError> {
        let grace = self.settings.ineligible_grace;
        self.note_held(now);
        for task in self.unfinished() {
            if let Some(message) = self.refused_for_good(task, grace, now) {
                self.fail_task(task, message)?;
            }
        }
        Ok(())
    }

    fn note_held(&self, now: Instant) {
        let mut state = self.state();
        let State { fleet, tasks, .. } = &mut *state;
        for task in fleet.held_tasks() {
            if let Some(task) = tasks.get_mut(&task) {
                task.last_held = Some(now);
            }
        }
    }

    /// Why no worker can run the task, if none can. One that was able to, and is gone, has `grace`
    /// to come back.
    fn refused_for_good(&self, task: TaskId, grace: Duration, now: Instant) -> Option<String> {
        let state = self.state();
        let State { fleet, tasks, .. } = &*state;
        let task_state = tasks.get(&task)?;
        let fits = |session: &Session| self.could_begin(session, task_state);
        let refusal = fleet.refused_by_all(task, grace, now, fits)?;
        let is_long_ago = |held| now.duration_since(held) >= grace;
        let has_ended = task_state.last_held.is_none_or(is_long_ago) && fleet.held_of(task) == 0;
        has_ended.then(|| refusal.message.clone())
    }

    pub(super) fn ledger(&self, task: TaskId) -> Result<Ledger, StoreError> {
        ledger(&*self.store, self.run, task, self.refused(task))
    }

    /// Entries of the task's list that can't be migrated as written.
    pub(super) fn refused(&self, task: TaskId) -> &[model::Failure] {
        self.lists.get(&task).map_or(&[], |list| &list.refused)
    }

    fn record(&self, task: TaskId) -> Option<TaskRecord> {
        self.state()
            .tasks
            .get(&task)
            .map(|task| task.record.clone())
    }

    pub fn write_report(
        &self,
        started: Millis,
        finished: Millis,
        tasks: &[FinishedTask],
    ) -> Result<Written, ResultsError> {
        self.results
            .write_report(self.run, started, finished, tasks)
    }

    /// All tasks with their results, for the final report.
    pub fn finished_tasks(&self) -> Result<Vec<FinishedTask>, StoreError> {
        self.store
            .tasks(self.run)?
            .iter()
            .map(|record| self.finished_task(record))
            .collect()
    }
}

/// What workers wrote into the folder that they share, where this machine sees it.
fn remove_shared_lists(directory: &Path, run: RunId) -> io::Result<()> {
    match std::fs::remove_dir_all(directory.join(shared_lists(run))) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
