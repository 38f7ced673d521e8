//! Failures by name, of items that are over.

use model::outcome::MAX_FAILURES;
use model::{Failure, FailureClass, RelPath, RunId, TaskId};
use rusqlite::{Connection, Row};

use super::encode::work_from_blob;
use super::error::{CallError, database};
use super::rows::{find_task, integer};

pub(super) fn insert(
    connection: &Connection,
    task: i64,
    item: i64,
    failures: &[Failure],
) -> Result<(), CallError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO failure (task, item, n, path, class, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (n, failure) in (0_i64..).zip(failures).take(MAX_FAILURES) {
        insert.execute((
            task,
            item,
            n,
            failure.path.as_bytes(),
            class_code(failure.class),
            &failure.error,
        ))?;
    }
    Ok(())
}

/// Why an item failed for good.
#[derive(Clone, Copy)]
pub(super) enum WhyFailed<'a> {
    Reason(&'a str),
    /// So many workers were lost with it, and it was alone with the last ones.
    Deaths(u32),
}

/// Names what an item that failed for good covers, as far as its work says it.
pub(super) fn insert_covered(
    connection: &Connection,
    task: i64,
    item: i64,
    why: WhyFailed<'_>,
) -> Result<(), CallError> {
    let work: Vec<u8> = connection
        .prepare_cached("SELECT work FROM item_work WHERE item = ?1")?
        .query_row([item], |row| row.get(0))?;
    let work = work_from_blob(&work)?;
    let paths = work.directories_and_entries();
    let (class, error) = match why {
        WhyFailed::Reason(reason) => (
            FailureClass::Retry,
            format!("failed at every attempt: {reason}"),
        ),
        WhyFailed::Deaths(workers) => {
            let what = match paths.len() {
                1 => "it".to_owned(),
                n => format!("one of {n} entries"),
            };
            (
                FailureClass::GiveUp,
                format!("set aside: {what} killed {workers} workers"),
            )
        }
    };
    let covered = paths.iter().map(|path| Failure {
        path: path.clone(),
        class,
        error: error.clone(),
    });
    let failures: Vec<Failure> = covered.take(MAX_FAILURES).collect();
    insert(connection, task, item, &failures)
}

pub(super) fn failures(
    connection: &Connection,
    run: RunId,
    task: TaskId,
    n: usize,
) -> Result<Vec<Failure>, CallError> {
    connection
        .prepare_cached(
            "SELECT path, class, error FROM failure WHERE task = ?1 ORDER BY item, n LIMIT ?2",
        )?
        .query_and_then(
            (find_task(connection, run, task)?, integer(n as u64)),
            failure,
        )?
        .collect()
}

fn failure(row: &Row<'_>) -> Result<Failure, CallError> {
    let action = "read a failure";
    let path: Vec<u8> = row.get("path")?;
    let code: u32 = row.get("class")?;
    Ok(Failure {
        path: RelPath::new(path).map_err(|error| database(action, error))?,
        class: class(code).ok_or_else(|| database(action, "unknown class"))?,
        error: row.get("error")?,
    })
}

const CLASSES: [FailureClass; 6] = [
    FailureClass::Retry,
    FailureClass::GiveUp,
    FailureClass::Changed,
    FailureClass::TargetFull,
    FailureClass::Missing,
    FailureClass::Unreadable,
];

/// Never change what a number means: it is on users' disks.
fn class_code(class: FailureClass) -> u32 {
    match class {
        FailureClass::Retry => 0,
        FailureClass::GiveUp => 1,
        FailureClass::Changed => 2,
        FailureClass::TargetFull => 3,
        FailureClass::Missing => 4,
        FailureClass::Unreadable => 5,
    }
}

fn class(code: u32) -> Option<FailureClass> {
    CLASSES.into_iter().find(|class| class_code(*class) == code)
}
