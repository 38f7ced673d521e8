//! Runs, and the sessions of workers.

use model::{RunId, SessionId};
use rusqlite::{Connection, OptionalExtension};

use super::encode::task_to_blob;
use super::error::CallError;
use super::items::{NewItem, Origin, insert_items};
use super::rows::{RUN_COLUMNS, find_run, integer, phase_code, run, run_state_code};
use crate::store::{
    Begun, BegunRun, Millis, NewRun, NewTask, Phase, RunRecord, RunState, SessionRecord,
    WhenFinished,
};

pub(super) fn begin(
    connection: &Connection,
    new: NewRun,
    when: WhenFinished,
    now: Millis,
) -> Result<BegunRun, CallError> {
    let newest = latest(connection)?;
    let mut cancelled = None;
    if let Some(newest) = newest {
        let begun = match newest.state {
            RunState::Running if newest.identity == new.identity => Some(Begun::Resumed),
            RunState::Running => {
                end(connection, newest.id, RunState::Cancelled, now)?;
                cancelled = Some(newest.id);
                None
            }
            RunState::Finished if newest.identity == new.identity && when == WhenFinished::Keep => {
                Some(Begun::AlreadyFinished)
            }
            RunState::Finished | RunState::Cancelled => None,
        };
        if let Some(begun) = begun {
            return Ok(BegunRun {
                run: newest,
                begun,
                cancelled: None,
            });
        }
    }
    Ok(BegunRun {
        run: create(connection, new, now)?,
        begun: Begun::New,
        cancelled,
    })
}

pub(super) fn latest(connection: &Connection) -> Result<Option<RunRecord>, CallError> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM run ORDER BY seq DESC LIMIT 1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([], run)
        .optional()?)
}

pub(super) fn finish(connection: &Connection, run: RunId, now: Millis) -> Result<(), CallError> {
    find_run(connection, run)?;
    end(connection, run, RunState::Finished, now)
}

fn end(connection: &Connection, run: RunId, state: RunState, now: Millis) -> Result<(), CallError> {
    connection
        .prepare_cached("UPDATE run SET state = ?2, finished = ?3 WHERE id = ?1 AND state = 0")?
        .execute((integer(run.get()), run_state_code(state), now))?;
    Ok(())
}

fn create(connection: &Connection, new: NewRun, now: Millis) -> Result<RunRecord, CallError> {
    connection
        .prepare_cached("INSERT INTO run (id, identity, state, started) VALUES (?1, ?2, ?3, ?4)")?
        .execute((
            integer(new.id.get()),
            &new.identity,
            run_state_code(RunState::Running),
            now,
        ))?;
    let run = connection.last_insert_rowid();
    for task in &new.tasks {
        create_task(connection, run, task, now)?;
    }
    Ok(RunRecord {
        id: new.id,
        identity: new.identity,
        state: RunState::Running,
        started: now,
        finished: None,
    })
}

fn create_task(
    connection: &Connection,
    run: i64,
    new: &NewTask,
    now: Millis,
) -> Result<(), CallError> {
    let stillborn = new.items.as_ref().err();
    connection
        .prepare_cached(
            "INSERT INTO task (run, number, definition, phase, success, message, finished)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            run,
            new.task.id.0,
            task_to_blob(&new.task),
            phase_code(Phase::Copy),
            stillborn.map(|_| false),
            stillborn,
            stillborn.map(|_| now),
        ))?;
    let origin = Origin {
        task: connection.last_insert_rowid(),
        phase: Phase::Copy,
        parent: None,
    };
    if let Ok(items) = &new.items {
        insert_items(connection, origin, &NewItem::encode(items))?;
    }
    Ok(())
}

pub(super) fn add_session(
    connection: &Connection,
    session: &SessionRecord,
) -> Result<(), CallError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO session (id, name, registered, lease) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((
            integer(session.id.get()),
            &session.name,
            session.registered,
            session.lease,
        ))?;
    Ok(())
}

pub(super) fn sessions(connection: &Connection) -> Result<Vec<SessionRecord>, CallError> {
    connection
        .prepare_cached("SELECT id, name, registered, lease FROM session ORDER BY registered, id")?
        .query_map([], |row| {
            Ok(SessionRecord {
                id: SessionId::from_random(super::rows::count(row, "id")?),
                name: row.get("name")?,
                registered: row.get("registered")?,
                lease: row.get("lease")?,
            })
        })?
        .map(|session| Ok(session?))
        .collect()
}

pub(super) fn remove_session(connection: &Connection, session: SessionId) -> Result<(), CallError> {
    connection
        .prepare_cached("DELETE FROM session WHERE id = ?1")?
        .execute([integer(session.get())])?;
    Ok(())
}
