//! Tasks: their phases, their ends, and the sums over their items.

use std::collections::BTreeMap;

use model::location::SourceIdentity;
use model::{Outcome, RunId, TaskId};
use rusqlite::{Connection, Row};

use super::encode::{
    identity_from_blob, identity_to_blob, skip_reason, skip_reason_code, task_from_blob,
};
use super::error::{CallError, database};
use super::items::{NewItem, Origin, insert_items};
use super::rows::{count, counters, find_run, find_task, integer, phase, phase_code};
use crate::store::{Applied, Phase, TaskRecord, TaskResult, TaskTotals};

pub(super) fn tasks(connection: &Connection, run: RunId) -> Result<Vec<TaskRecord>, CallError> {
    let (run, _) = find_run(connection, run)?;
    connection
        .prepare_cached(
            "SELECT definition, phase, started, source_identity, success, message, finished,
                 row_written
             FROM task WHERE run = ?1 ORDER BY number",
        )?
        .query_and_then([run], task_record)?
        .collect()
}

fn task_record(row: &Row<'_>) -> Result<TaskRecord, CallError> {
    let identity: Option<Vec<u8>> = row.get("source_identity")?;
    let result = match row.get("success")? {
        Some(success) => Some(TaskResult {
            success,
            message: row.get("message")?,
            finished: row.get("finished")?,
        }),
        None => None,
    };
    Ok(TaskRecord {
        task: task_from_blob(&row.get::<_, Vec<u8>>("definition")?)?,
        phase: phase(row)?,
        started: row.get("started")?,
        source_identity: identity.as_deref().map(identity_from_blob).transpose()?,
        result,
        row_written: row.get("row_written")?,
    })
}

pub(super) fn set_source_identity(
    connection: &Connection,
    run: RunId,
    task: TaskId,
    identity: &SourceIdentity,
) -> Result<SourceIdentity, CallError> {
    let holds: Vec<u8> = connection
        .prepare_cached(
            "UPDATE task SET source_identity = coalesce(source_identity, ?2) WHERE seq = ?1
             RETURNING source_identity",
        )?
        .query_row(
            (
                find_task(connection, run, task)?,
                identity_to_blob(identity),
            ),
            |row| row.get(0),
        )?;
    Ok(identity_from_blob(&holds)?)
}

pub(super) fn begin_phase(
    connection: &Connection,
    run: RunId,
    task: TaskId,
    phase: Phase,
    items: &[NewItem],
) -> Result<Applied, CallError> {
    let task = find_task(connection, run, task)?;
    let moved = connection
        .prepare_cached(
            "UPDATE task SET phase = ?2 WHERE seq = ?1 AND phase < ?2 AND success IS NULL",
        )?
        .execute((task, phase_code(phase)))?;
    if moved == 0 {
        return Ok(Applied::Before);
    }
    let origin = Origin {
        task,
        phase,
        parent: None,
    };
    insert_items(connection, origin, items)?;
    Ok(Applied::Now)
}

pub(super) fn finish(
    connection: &Connection,
    run: RunId,
    task: TaskId,
    result: &TaskResult,
) -> Result<Applied, CallError> {
    let task = find_task(connection, run, task)?;
    let ended = connection
        .prepare_cached(
            "UPDATE task SET success = ?2, message = ?3, finished = ?4
             WHERE seq = ?1 AND success IS NULL",
        )?
        .execute((task, result.success, &result.message, result.finished))?;
    if ended == 0 {
        return Ok(Applied::Before);
    }
    let mut dropped = 0;
    for (index, open) in [
        ("item_ready", "state = 0 AND not_before = 0"),
        ("item_delayed", "state = 0 AND not_before > 0"),
        ("item_leased", "state = 1"),
    ] {
        let sql = format!(
            "UPDATE item INDEXED BY {index} SET state = 3, session = NULL, finished = ?2,
                 last_error = coalesce(last_error, 'the task ended before the item')
             WHERE task = ?1 AND {open}"
        );
        dropped += connection
            .prepare_cached(&sql)?
            .execute((task, result.finished))?;
    }
    connection
        .prepare_cached(
            "UPDATE task SET open_items = open_items - ?2, failed_items = failed_items + ?2
             WHERE seq = ?1",
        )?
        .execute((task, integer(dropped as u64)))?;
    Ok(Applied::Now)
}

pub(super) fn set_row_written(
    connection: &Connection,
    run: RunId,
    task: TaskId,
) -> Result<(), CallError> {
    connection
        .prepare_cached("UPDATE task SET row_written = 1 WHERE seq = ?1")?
        .execute([find_task(connection, run, task)?])?;
    Ok(())
}

pub(super) fn totals(
    connection: &Connection,
    run: RunId,
    task: TaskId,
) -> Result<TaskTotals, CallError> {
    let task = find_task(connection, run, task)?;
    let mut totals = connection
        .prepare_cached("SELECT * FROM task WHERE seq = ?1")?
        .query_row([task], |row| {
            Ok(TaskTotals {
                outcome: Outcome {
                    counters: counters(row)?,
                    unreadable_directories: count(row, "unreadable")?,
                    ..Outcome::default()
                },
                open_items: count(row, "open_items")?,
                failed_items: count(row, "failed_items")?,
                retries: count(row, "retries")?,
                workers: Vec::new(),
            })
        })?;
    let mut reasons =
        connection.prepare_cached("SELECT reason, n FROM task_skipped WHERE task = ?1")?;
    for reason in reasons.query_map([task], |row| Ok((row.get(0)?, count(row, "n")?)))? {
        let (code, n) = reason?;
        let reason = skip_reason(code)
            .ok_or_else(|| database("read totals", "unknown reason of skipping"))?;
        totals.outcome.skipped.insert(reason, n);
    }
    totals.outcome.notes = connection
        .prepare_cached("SELECT note, n FROM task_note WHERE task = ?1")?
        .query_map([task], |row| Ok((row.get(0)?, count(row, "n")?)))?
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    totals.workers = connection
        .prepare_cached("SELECT name FROM task_worker WHERE task = ?1 ORDER BY name")?
        .query_map([task], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(totals)
}

pub(super) fn open_items(
    connection: &Connection,
    run: RunId,
    task: TaskId,
) -> Result<u64, CallError> {
    Ok(connection
        .prepare_cached("SELECT open_items FROM task WHERE seq = ?1")?
        .query_row([find_task(connection, run, task)?], |row| {
            count(row, "open_items")
        })?)
}

/// Adds a done item to what its task sums up.
pub(super) fn add_outcome(
    connection: &Connection,
    task: i64,
    outcome: &Outcome,
    worker: Option<&str>,
) -> Result<(), CallError> {
    let c = &outcome.counters;
    connection
        .prepare_cached(
            "UPDATE task SET open_items = open_items - 1, listed = listed + ?2,
                 copied = copied + ?3, unchanged = unchanged + ?4, skipped = skipped + ?5,
                 failed = failed + ?6, deferred = deferred + ?7, copied_files = copied_files + ?8,
                 copied_bytes = copied_bytes + ?9, unreadable = unreadable + ?10
             WHERE seq = ?1",
        )?
        .execute((
            task,
            integer(c.listed),
            integer(c.copied),
            integer(c.unchanged),
            integer(c.skipped),
            integer(c.failed),
            integer(c.deferred),
            integer(c.copied_files),
            integer(c.copied_bytes),
            integer(outcome.unreadable_directories),
        ))?;
    for (reason, n) in &outcome.skipped {
        connection
            .prepare_cached(
                "INSERT INTO task_skipped (task, reason, n) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )?
            .execute((task, skip_reason_code(*reason), integer(*n)))?;
    }
    for (note, n) in &outcome.notes {
        connection
            .prepare_cached(
                "INSERT INTO task_note (task, note, n) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )?
            .execute((task, note, integer(*n)))?;
    }
    if let Some(worker) = worker {
        connection
            .prepare_cached("INSERT OR IGNORE INTO task_worker (task, name) VALUES (?1, ?2)")?
            .execute((task, worker))?;
    }
    Ok(())
}
