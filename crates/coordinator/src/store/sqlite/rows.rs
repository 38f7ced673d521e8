//! Between rows and the model: ids, counts and codes as SQL integers.

use model::{Counters, Item, ItemId, ItemState, RunId, SessionId, TaskId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::encode::work_from_blob;
use super::error::CallError;
use crate::store::{Phase, RunRecord, RunState, StoreError};

/// `item.state`.
pub(super) const WAITING: u32 = 0;
pub(super) const LEASED: u32 = 1;
pub(super) const DONE: u32 = 2;
pub(super) const FAILED: u32 = 3;
pub(super) const WITHDRAWN: u32 = 4;

/// Ids have 63 bits, and counts are checked before they are stored.
pub(super) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| unknown_code(value))
}

fn unknown_code(value: i64) -> rusqlite::Error {
    let problem = format!("unexpected number {value}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, problem.into())
}

pub(super) fn run_state_code(state: RunState) -> u32 {
    match state {
        RunState::Running => 0,
        RunState::Finished => 1,
        RunState::Cancelled => 2,
    }
}

pub(super) fn phase_code(phase: Phase) -> u32 {
    match phase {
        Phase::Copy => 0,
        Phase::Links => 1,
        Phase::Attributes => 2,
        Phase::Close => 3,
    }
}

pub(super) fn phase(row: &Row<'_>) -> rusqlite::Result<Phase> {
    match row.get("phase")? {
        0 => Ok(Phase::Copy),
        1 => Ok(Phase::Links),
        2 => Ok(Phase::Attributes),
        3 => Ok(Phase::Close),
        code => Err(unknown_code(code)),
    }
}

pub(super) const RUN_COLUMNS: &str = "id, identity, state, started, finished";

pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: RunId::from_random(count(row, "id")?),
        identity: row.get("identity")?,
        state: match row.get("state")? {
            0 => RunState::Running,
            1 => RunState::Finished,
            2 => RunState::Cancelled,
            code => return Err(unknown_code(code)),
        },
        started: row.get("started")?,
        finished: row.get("finished")?,
    })
}

/// Of `item` joined with its `task` and `item_work`.
pub(super) const ITEM_COLUMNS: &str =
    "item.id, task.number, item.state, item.session, item.epoch, item.attempts,
    item.deaths, work";

pub(super) fn item(row: &Row<'_>) -> Result<Item, CallError> {
    let work = work_from_blob(
        row.get_ref("work")?
            .as_blob()
            .map_err(rusqlite::Error::from)?,
    )?;
    Ok(Item {
        id: ItemId::from_random(count(row, "id")?),
        task: TaskId(row.get("number")?),
        work,
        state: item_state(row)?,
        epoch: model::Epoch(row.get("epoch")?),
        attempts: row.get("attempts")?,
        deaths: row.get("deaths")?,
    })
}

fn item_state(row: &Row<'_>) -> rusqlite::Result<ItemState> {
    match row.get::<_, u32>("state")? {
        WAITING => Ok(ItemState::Waiting),
        LEASED => Ok(ItemState::Leased(SessionId::from_random(count(
            row, "session",
        )?))),
        DONE => Ok(ItemState::Done),
        FAILED => Ok(ItemState::Failed),
        WITHDRAWN => Ok(ItemState::Withdrawn),
        code => Err(unknown_code(code.into())),
    }
}

pub(super) fn counters(row: &Row<'_>) -> rusqlite::Result<Counters> {
    Ok(Counters {
        listed: count(row, "listed")?,
        copied: count(row, "copied")?,
        unchanged: count(row, "unchanged")?,
        skipped: count(row, "skipped")?,
        failed: count(row, "failed")?,
        deferred: count(row, "deferred")?,
        copied_files: count(row, "copied_files")?,
        copied_bytes: count(row, "copied_bytes")?,
    })
}

/// A run's `seq` and state.
pub(super) fn find_run(connection: &Connection, run: RunId) -> Result<(i64, RunState), CallError> {
    let sql = format!("SELECT seq, {RUN_COLUMNS} FROM run WHERE id = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([integer(run.get())], |row| {
            Ok((row.get("seq")?, self::run(row)?.state))
        })
        .optional()?
        .ok_or_else(|| StoreError::NoSuchRun(run).into())
}

/// A task's `seq`.
pub(super) fn find_task(
    connection: &Connection,
    run: RunId,
    task: TaskId,
) -> Result<i64, CallError> {
    connection
        .prepare_cached(
            "SELECT task.seq FROM task JOIN run ON run.seq = task.run
             WHERE run.id = ?1 AND task.number = ?2",
        )?
        .query_row((integer(run.get()), task.0), |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::NoSuchTask { run, task }.into())
}
