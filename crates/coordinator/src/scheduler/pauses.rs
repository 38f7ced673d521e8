//! Pauses of full targets: what is said of them, and who is told.

use std::time::Instant;

use model::{Epoch, ItemId, TaskId};

use super::targets::{Full, Place, Told};
use super::{Scheduler, State};
use crate::notices::{Event, Paused};
use crate::report::human;

impl Scheduler {
    /// An attempt found that the target takes nothing more: it waits with all that lies where it lies.
    pub(super) fn pause(
        &self,
        task: TaskId,
        attempt: (ItemId, Epoch),
        full: Full,
        client: &str,
        message: &str,
    ) {
        let began = {
            let mut state = self.state();
            state
                .targets
                .full(task, attempt, full, message, self.clock.now())
        };
        let Some(began) = began else { return };
        tracing::warn!(
            "{} {}: {message} (found by {client}); it is tried again every {} s",
            place(&began),
            waits(&began.tasks),
            self.settings.full_target.as_secs()
        );
        if let Some(paused) = self.notice(task, &began, client, message.to_owned()) {
            self.notices.tell(&Event::Paused(paused));
        }
    }

    /// Ends pauses whose probes get on, says which last, and wakes whoever may run a probe.
    pub(super) fn look_at_targets(&self, now: Instant) {
        let looked = {
            let mut state = self.state();
            let State { fleet, targets, .. } = &mut *state;
            targets.look(now, |item, epoch| {
                let mut held = fleet.sessions.values().filter_map(|s| s.held.get(&item));
                let held = held.find(|held| held.epoch == epoch)?;
                Some(held.progress.counters.copied)
            })
        };
        for still in &looked.still {
            tracing::warn!(
                "{} {} since {}: {}",
                place(still),
                waits(&still.tasks),
                human::duration(still.lasted.as_millis() as i64),
                still.message
            );
        }
        self.resume(looked.ended);
        if looked.is_probe_due {
            self.wake_all();
        }
    }

    /// Their tasks go on.
    pub(super) fn resume(&self, ended: Vec<Told>) {
        for pause in ended {
            let lasted = human::duration(pause.lasted.as_millis() as i64);
            let message = format!("there is room again after {lasted}");
            tracing::info!("{}: {message}: {} on", place(&pause), go(&pause.tasks));
            for task in &pause.tasks {
                if let Some(state) = self.state().tasks.get_mut(task) {
                    state.trouble = None;
                }
                self.waiting(*task, usize::MAX);
            }
            let first = pause.tasks.first();
            let notice = first.and_then(|task| self.notice(*task, &pause, "", message));
            if let Some(notice) = notice {
                self.notices.tell(&Event::Resumed(notice));
            }
        }
    }

    fn notice(&self, task: TaskId, told: &Told, client: &str, message: String) -> Option<Paused> {
        let state = self.state();
        let record = &state.tasks.get(&task)?.record.task;
        Some(Paused {
            task,
            source: record.source.to_string(),
            target: record.target.to_string(),
            tasks: told.tasks.clone(),
            client: client.to_owned(),
            message,
        })
    }
}

fn place(told: &Told) -> String {
    match &told.place {
        Place::Volume(volume) => format!("target volume {}", volume.display()),
        Place::Task(task) => format!("target of task {task}"),
    }
}

fn waits(tasks: &[TaskId]) -> String {
    match tasks {
        [_] => format!("takes nothing more, task {} waits", listed(tasks)),
        _ => format!("takes nothing more, tasks {} wait", listed(tasks)),
    }
}

fn go(tasks: &[TaskId]) -> String {
    match tasks {
        [_] => format!("task {} goes", listed(tasks)),
        _ => format!("tasks {} go", listed(tasks)),
    }
}

fn listed(tasks: &[TaskId]) -> String {
    let tasks: Vec<String> = tasks.iter().map(TaskId::to_string).collect();
    tasks.join(", ")
}
