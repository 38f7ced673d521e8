//! A notice as JSON for programs. `id` is the same at every try, so that a receiver can tell a notice that it
//! has taken already. Keys are only ever added.

use model::RunId;
use serde_json::{Value, json};

use super::event::{Event, RunEnd};
use crate::report::{Link, TaskEnd};

pub(super) fn body(event: &Event, run: RunId, config: &str) -> Value {
    let kind = event.kind().name();
    let (id, key, value) = match event {
        Event::Task(row) => {
            let value = json!({
                "id": row.id,
                "source": row.source_dir,
                "target": row.target_dir,
                "client": row.client_id,
                "duration": row.duration,
                "success": row.success,
                "state": TaskEnd::of(row.success, &row.message).name(),
                "split_pattern": row.split_pattern,
                "split_files": row.split_files,
                "file_from": row.file_from,
                "log_file": row.log_file,
                "log_link": row.log_link.as_ref().map(Link::expose),
                "message": row.message,
                "files": row.files,
                "bytes": row.bytes,
                "failures": row.failures,
                "retries": row.retries,
                "engine": row.engine,
            });
            (format!("{run}/task/{}", row.id), "task", value)
        }
        Event::Run(end) => (format!("{run}/run"), "summary", of_run(end)),
        Event::ServerFull(message) => {
            let at = crate::scheduler::now_ms();
            (
                format!("{run}/{kind}/server/{at}"),
                "server",
                json!({"message": message}),
            )
        }
        Event::Paused(paused) | Event::Resumed(paused) => {
            let value = json!({
                "id": paused.task.0,
                "source": paused.source,
                "target": paused.target,
                "tasks": paused.tasks.iter().map(|task| task.0).collect::<Vec<_>>(),
                "client": paused.client,
                "message": paused.message,
            });
            let at = crate::scheduler::now_ms();
            (format!("{run}/{kind}/{}/{at}", paused.task), "task", value)
        }
    };
    json!({"event": kind, "id": id, "run": run.to_string(), "config": config, key: value})
}

fn of_run(end: &RunEnd) -> Value {
    json!({
        "total": end.tasks.total(),
        "success": end.tasks.success,
        "failed": end.failed(),
        "incomplete": end.tasks.incomplete,
        "started_ms": end.started,
        "finished_ms": end.finished,
        "duration": end.duration(),
        "duration_ms": end.duration_ms(),
        "report": end.report.display().to_string(),
        "report_link": end.report_link.as_ref().map(Link::expose),
    })
}
