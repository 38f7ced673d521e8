//! Tasks that need rclone go to workers that have it.

use std::time::{Duration, Instant};

use model::{Engine, SessionId, Task, TaskId, WorkKind};

use super::{Scheduler, State, TaskState};
use crate::fleet::Session;
use crate::store::{Kinds, Phase, StoreError};

/// How often it is said that no worker has rclone.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// A worker gets no more: while one is under way, the next finds its file.
const RANGES_AT_ONCE: usize = 2;

impl Scheduler {
    pub fn engine_of(&self, task: TaskId) -> Engine {
        let engine = self.settings.engines.get(&task);
        engine.copied().unwrap_or(Engine::Native)
    }

    /// Whether rclone copies any of the tasks.
    pub fn has_rclone_tasks(&self) -> bool {
        let mut engines = self.settings.engines.values();
        engines.any(|engine| *engine == Engine::Rclone)
    }

    /// Whether what is left of the task needs rclone: copying does, and with a remote everything.
    fn needs_rclone(&self, task: &TaskState) -> bool {
        let is_copying = task.record.phase == Phase::Copy;
        self.engine_of(task.record.task.id) == Engine::Rclone && (is_copying || has_remote(task))
    }

    /// Whether the session could be the one to begin the task, or to go on with it: only its refusal counts.
    pub(super) fn could_begin(&self, session: &Session, task: &TaskState) -> bool {
        match self.kinds_for(session, task) {
            None => false,
            // Nothing has been found yet.
            Some(Kinds::Only(WorkKind::Files)) => task.record.source_identity.is_some(),
            Some(_) => true,
        }
    }

    /// Which items of the task the session may get, as far as its engines decide; none: none.
    pub(super) fn kinds_for(&self, session: &Session, task: &TaskState) -> Option<Kinds> {
        let is_rclone = self.engine_of(task.record.task.id) == Engine::Rclone;
        let copies_by_rclone = is_rclone && task.record.phase == Phase::Copy;
        if session.only_walks {
            // It is there for rclone's tasks; others share their walks out.
            let can_look = !has_remote(task) || session.rclone_problem().is_none();
            return (is_rclone && can_look).then_some(Kinds::Only(WorkKind::Walk));
        }
        if self.needs_rclone(task) && session.rclone_problem().is_some() {
            return None;
        }
        if copies_by_rclone && self.settings.server_side_listing {
            return Some(Kinds::Only(WorkKind::Files));
        }
        Some(match session.ranges() {
            0 => Kinds::All,
            n if n < RANGES_AT_ONCE => Kinds::RangesLast,
            _ => Kinds::NoRanges,
        })
    }

    /// Says of tasks whose engine no worker has that they wait, and why; where no other worker can come, they fail.
    pub(super) fn look_for_engines(&self, now: Instant) -> Result<(), StoreError> {
        let mut failed = Vec::new();
        {
            let mut state = self.state();
            let State { fleet, tasks, .. } = &mut *state;
            let workers = || fleet.sessions.values().filter(|s| !s.only_walks);
            if workers().next().is_none() || workers().any(|s| s.rclone_problem().is_none()) {
                return Ok(());
            }
            let problem = workers().find_map(|s| s.rclone_problem());
            let message = format!(
                "no worker has a usable rclone, which this task needs: {}",
                problem.unwrap_or_default()
            );
            let waiting = tasks
                .values_mut()
                .filter(|task| task.record.result.is_none() && self.needs_rclone(task));
            for task in waiting {
                let id = task.record.task.id;
                if self.settings.embedded {
                    failed.push((id, message.clone()));
                } else if task
                    .told_of_engine
                    .is_none_or(|told| now.duration_since(told) >= SAY_AGAIN)
                {
                    task.told_of_engine = Some(now);
                    task.trouble = Some(message.clone());
                    tracing::warn!("task {id} waits: {message}");
                }
            }
        }
        failed
            .into_iter()
            .try_for_each(|(task, message)| self.fail_task(task, message))
    }

    /// What a worker said of its rclone when it registered: a version, or why it has none.
    pub(super) fn note_rclone(&self, id: SessionId, rclone: Result<String, String>) {
        let mut state = self.state();
        let State { fleet, tasks, .. } = &mut *state;
        let Some(session) = fleet.session(id) else {
            return;
        };
        let is_usable = rclone.is_ok() && !session.only_walks;
        session.rclone = Some(rclone);
        if is_usable {
            // What waited for it waits no longer.
            for task in tasks.values_mut().filter(|t| t.told_of_engine.is_some()) {
                (task.told_of_engine, task.trouble) = (None, None);
            }
        }
    }
}

fn has_remote(task: &TaskState) -> bool {
    let Task { source, target, .. } = &task.record.task;
    source.as_posix().is_none() || target.as_posix().is_none()
}
