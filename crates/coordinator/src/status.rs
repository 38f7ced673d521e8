//! The state of a run as a message, for `data-migrate status`.

use model::Counters;
use wire::proto;

use crate::report::human;
use crate::scheduler::{PausedSnapshot, Scheduler, Snapshot, TaskSnapshot};
use crate::store::StoreError;

/// The state now, with up to `failures` failures by name for each task.
pub fn reply(scheduler: &Scheduler, failures: usize) -> Result<proto::StatusReply, StoreError> {
    let snapshot = scheduler.snapshot()?;
    let tasks = snapshot
        .tasks
        .iter()
        .map(|task| task_status(scheduler, task, failures))
        .collect::<Result<_, _>>()?;
    Ok(proto::StatusReply {
        run: snapshot.run.get(),
        started_ms: snapshot.started,
        finished_ms: finished(&snapshot),
        now_ms: snapshot.now,
        workers: snapshot
            .workers
            .into_iter()
            .map(|worker| proto::WorkerStatus {
                name: worker.name,
                address: worker.address,
                silent_ms: worker.silent_ms.min(u32::MAX.into()) as u32,
                items: worker
                    .items
                    .into_iter()
                    .map(|item| proto::WorkerItem {
                        item: item.item.get(),
                        task: item.task.0,
                        epoch: item.epoch.0,
                        held_ms: item.held_ms.min(u32::MAX.into()) as u32,
                        progress: Some(proto::Progress {
                            paths_in_flight: item
                                .progress
                                .paths_in_flight
                                .iter()
                                .map(|path| path.as_bytes().to_vec())
                                .collect(),
                            unanswered: item.progress.unanswered.iter().map(Into::into).collect(),
                            ..progress(&item.progress.counters)
                        }),
                    })
                    .collect(),
                refusals: worker
                    .refusals
                    .into_iter()
                    .map(|(task, message)| proto::Refusal {
                        task: task.0,
                        message,
                    })
                    .collect(),
                left_behind: worker.left_behind.iter().map(Into::into).collect(),
                program_version: worker.program_version,
                rclone: worker.rclone.map(|rclone| proto::EngineVersion {
                    engine: "rclone".to_owned(),
                    version: rclone.clone().unwrap_or_default(),
                    problem: rclone.err().unwrap_or_default(),
                }),
            })
            .collect(),
        config: snapshot.config,
        tasks,
    })
}

fn finished(snapshot: &Snapshot) -> Option<i64> {
    snapshot
        .tasks
        .iter()
        .map(|task| task.record.result.as_ref().map(|r| r.finished))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .max()
}

fn task_status(
    scheduler: &Scheduler,
    task: &TaskSnapshot,
    failures: usize,
) -> Result<proto::TaskStatus, StoreError> {
    let record = &task.record;
    let failures = match failures {
        0 => Vec::new(),
        n => scheduler.failures(record.task.id, n)?,
    };
    Ok(proto::TaskStatus {
        task: record.task.id.0,
        source: record.task.source.to_string(),
        target: record.task.target.to_string(),
        phase: task.phase_name().to_owned(),
        state: task.state_name().to_owned(),
        message: match (&record.result, &task.paused) {
            (Some(result), _) => result.message.clone(),
            (None, Some(paused)) => waits(paused),
            (None, None) => task.trouble.clone().unwrap_or_default(),
        },
        open_items: task.open_items,
        leased_items: task.leased_items,
        retries: task.ledger.retries,
        done: Some(progress(&task.ledger.outcome.counters)),
        running: Some(progress(&task.running)),
        failures: failures.iter().map(Into::into).collect(),
        started_ms: record.started,
        finished_ms: record.result.as_ref().map(|r| r.finished),
        priority: task.priority.get(),
    })
}

fn waits(paused: &PausedSnapshot) -> String {
    let shown = |ms: u64| human::duration(ms as i64);
    format!(
        "its target takes nothing more since {}: {}; next try in {}",
        shown(paused.since_ms),
        paused.message,
        shown(paused.probe_in_ms)
    )
}

fn progress(counters: &Counters) -> proto::Progress {
    proto::Progress {
        listed: counters.listed,
        copied: counters.copied,
        unchanged: counters.unchanged,
        skipped: counters.skipped,
        failed: counters.failed,
        copied_files: counters.copied_files,
        copied_bytes: counters.copied_bytes,
        paths_in_flight: Vec::new(),
        unanswered: Vec::new(),
    }
}
