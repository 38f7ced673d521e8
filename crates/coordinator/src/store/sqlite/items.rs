//! Items: made, granted, and read back.

use model::{Epoch, Item, ItemId, ItemState, Outcome, RunId, SessionId, TaskId, Work};
use rusqlite::{Connection, OptionalExtension, Row};

use super::attempts::Attempt;
use super::encode::{ALONE, details_from_blob, kind_code, work_from_blob, work_to_blob};
use super::error::CallError;
use super::rows::{
    ITEM_COLUMNS, count, counters, find_run, find_task, integer, item, phase, phase_code,
};
use crate::store::{
    Again, GrantFrom, Granted, ItemRecord, Millis, Phase, RunState, Standing, StoreError, Suspects,
};

/// An item to be made, its work encoded before the writer is bothered.
pub(super) struct NewItem {
    id: ItemId,
    kind: u32,
    work: Vec<u8>,
    attempts: u32,
    deaths: u32,
    not_before: Millis,
}

impl NewItem {
    pub(super) fn encode(items: &[(ItemId, Work)]) -> Vec<NewItem> {
        let encoded = items.iter().map(|(id, work)| NewItem {
            id: *id,
            kind: kind_code(work.kind()),
            work: work_to_blob(work),
            attempts: 0,
            deaths: 0,
            not_before: 0,
        });
        encoded.collect()
    }

    pub(super) fn encode_again(again: &Again) -> Vec<NewItem> {
        let encoded = NewItem::encode(&again.items).into_iter();
        let encoded = encoded.map(|item| NewItem {
            attempts: again.attempts,
            deaths: again.deaths,
            kind: item.kind | alone(again.deaths),
            not_before: again.not_before.max(0),
            ..item
        });
        encoded.collect()
    }
}

/// Part of the code of an item's kind.
pub(super) fn alone(deaths: u32) -> u32 {
    match deaths {
        0 => 0,
        _ => ALONE,
    }
}

/// What new items are part of.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) task: i64,
    pub(super) phase: Phase,
    pub(super) parent: Option<i64>,
}

/// Inserts those that are not there yet and returns how many. One that is there with
/// other work or another origin is an error: its work would be lost.
pub(super) fn insert_items(
    connection: &Connection,
    origin: Origin,
    items: &[NewItem],
) -> Result<usize, CallError> {
    let mut insert_item = connection.prepare_cached(
        "INSERT INTO item (id, task, parent, phase, kind, attempts, deaths, not_before)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO NOTHING",
    )?;
    let mut insert_work =
        connection.prepare_cached("INSERT INTO item_work (item, work) VALUES (?1, ?2)")?;
    let mut inserted = 0;
    for new in items {
        let id = integer(new.id.get());
        let phase = phase_code(origin.phase);
        let row = (
            id,
            origin.task,
            origin.parent,
            phase,
            new.kind,
            new.attempts,
            new.deaths,
            new.not_before,
        );
        if insert_item.execute(row)? == 1 {
            insert_work.execute((connection.last_insert_rowid(), &new.work))?;
            inserted += 1;
        } else if !is_stored(connection, origin, new)? {
            return Err(StoreError::IdTaken(new.id).into());
        }
    }
    connection
        .prepare_cached("UPDATE task SET open_items = open_items + ?2 WHERE seq = ?1")?
        .execute((origin.task, integer(inserted as u64)))?;
    Ok(inserted)
}

/// Whether just this item was made before.
pub(super) fn is_stored(
    connection: &Connection,
    origin: Origin,
    new: &NewItem,
) -> Result<bool, CallError> {
    Ok(connection
        .prepare_cached(
            "SELECT 1 FROM item JOIN item_work ON item_work.item = item.seq
             WHERE id = ?1 AND task = ?2 AND parent IS ?3 AND phase = ?4 AND work = ?5",
        )?
        .exists((
            integer(new.id.get()),
            origin.task,
            origin.parent,
            phase_code(origin.phase),
            &new.work,
        ))?)
}

pub(super) fn grant(
    connection: &Connection,
    run: RunId,
    tasks: &[GrantFrom],
    session: SessionId,
    n: usize,
    now: Millis,
) -> Result<Vec<Granted>, CallError> {
    let mut granted = Vec::new();
    if find_run(connection, run)?.1 != RunState::Running {
        return Ok(granted);
    }
    let worker = worker_of(connection, session)?;
    for from in tasks {
        let most = match from.suspects {
            Suspects::LeftOut => n,
            Suspects::Alone => 1,
        };
        let room = from.at_most.min(most.saturating_sub(granted.len()));
        if room == 0 {
            continue;
        }
        let task = find_task(connection, run, from.task)?;
        wake_delayed(connection, task, now)?;
        let mut ready = Vec::new();
        for kind in from.kinds.in_order() {
            let code = match from.suspects {
                Suspects::LeftOut => kind_code(*kind),
                Suspects::Alone => kind_code(*kind) | ALONE,
            };
            ready.extend(ready_items(connection, task, code, room - ready.len())?);
        }
        if !ready.is_empty() {
            connection
                .prepare_cached("UPDATE task SET started = ?2 WHERE seq = ?1 AND started IS NULL")?
                .execute((task, now))?;
        }
        for (seq, mut ready) in ready {
            let Some(lease) = ready.item.grant(session) else {
                continue;
            };
            connection
                .prepare_cached(
                    "UPDATE item SET state = 1, epoch = ?2, session = ?3, worker = ?4,
                         started = coalesce(started, ?5) WHERE seq = ?1",
                )?
                .execute((seq, lease.epoch.0, integer(session.get()), &worker, now))?;
            granted.push(ready);
        }
        if from.suspects == Suspects::Alone && !granted.is_empty() {
            break;
        }
    }
    Ok(granted)
}

fn worker_of(connection: &Connection, session: SessionId) -> Result<String, CallError> {
    connection
        .prepare_cached("SELECT name FROM session WHERE id = ?1")?
        .query_row([integer(session.get())], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::NoSuchSession(session).into())
}

/// Makes ready what waited for its time, so that looking for ready items never meets any that is not.
fn wake_delayed(connection: &Connection, task: i64, now: Millis) -> Result<(), CallError> {
    connection
        .prepare_cached(
            "UPDATE item INDEXED BY item_delayed SET not_before = 0
             WHERE task = ?1 AND state = 0 AND not_before > 0 AND not_before <= ?2",
        )?
        .execute((task, now))?;
    Ok(())
}

pub(super) fn next_due(
    connection: &Connection,
    run: RunId,
    task: TaskId,
) -> Result<Option<Millis>, CallError> {
    Ok(connection
        .prepare_cached(
            "SELECT min(not_before) FROM item INDEXED BY item_delayed
             WHERE task = ?1 AND state = 0 AND not_before > 0",
        )?
        .query_row((find_task(connection, run, task)?,), |row| row.get(0))?)
}

const READY_ITEMS: &str = "
    SELECT item.seq, item.parent, item.id, item.epoch, item.attempts, item.deaths, work, task.number,
        item.state, item.session,
        EXISTS (SELECT 1 FROM item AS child WHERE child.parent = item.seq) AS has_children
    FROM item INDEXED BY item_ready
    JOIN item_work ON item_work.item = item.seq
    JOIN task ON task.seq = item.task
    WHERE item.task = ?1 AND item.kind = ?2 AND item.state = 0 AND item.not_before = 0
    ORDER BY item.seq LIMIT ?3";

fn ready_items(
    connection: &Connection,
    task: i64,
    kind: u32,
    room: usize,
) -> Result<Vec<(i64, Granted)>, CallError> {
    let room = integer(room as u64);
    connection
        .prepare_cached(READY_ITEMS)?
        .query_and_then((task, kind, room), |row| {
            let granted = Granted {
                item: item(row)?,
                has_children: row.get("has_children")?,
                ancestors: ancestors(connection, row.get("parent")?)?,
            };
            Ok((row.get("seq")?, granted))
        })?
        .collect()
}

/// The item with this number, the one that handed it over, and so on.
fn ancestors(connection: &Connection, parent: Option<i64>) -> Result<Vec<ItemId>, CallError> {
    let mut chain = Vec::new();
    let mut next = parent;
    let mut select = connection.prepare_cached("SELECT id, parent FROM item WHERE seq = ?1")?;
    while let Some(seq) = next {
        let (id, above) = select.query_row([seq], |row| {
            Ok((
                ItemId::from_random(super::rows::count(row, "id")?),
                row.get("parent")?,
            ))
        })?;
        chain.push(id);
        next = above;
    }
    Ok(chain)
}

const RECORD_COLUMNS: &str = "item.phase, item.worker, item.started, item.finished,
    item.last_error, item.listed, item.copied, item.unchanged, item.skipped, item.failed,
    item.deferred, item.copied_files, item.copied_bytes, item.unreadable, item.details";

const JOINED: &str = "item JOIN task ON task.seq = item.task
    JOIN item_work ON item_work.item = item.seq";

pub(super) fn items(
    connection: &Connection,
    run: RunId,
    task: TaskId,
) -> Result<Vec<ItemRecord>, CallError> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS}, {RECORD_COLUMNS} FROM {JOINED}
         WHERE item.task = ?1 ORDER BY item.seq"
    );
    connection
        .prepare_cached(&sql)?
        .query_and_then([find_task(connection, run, task)?], record)?
        .collect()
}

pub(super) fn item_record(connection: &Connection, id: ItemId) -> Result<ItemRecord, CallError> {
    let sql = format!("SELECT {ITEM_COLUMNS}, {RECORD_COLUMNS} FROM {JOINED} WHERE item.id = ?1");
    connection
        .prepare_cached(&sql)?
        .query_and_then([integer(id.get())], record)?
        .next()
        .unwrap_or_else(|| Err(StoreError::NoSuchItem(id).into()))
}

pub(super) fn standing(connection: &Connection, id: ItemId) -> Result<Standing, CallError> {
    connection
        .prepare_cached(
            "SELECT task.number, epoch, state = 1 AS is_leased, attempts FROM item JOIN task ON task.seq = item.task
             WHERE item.id = ?1",
        )?
        .query_row([integer(id.get())], |row| {
            Ok(Standing {
                item: id,
                task: TaskId(row.get("number")?),
                epoch: Epoch(row.get("epoch")?),
                is_leased: row.get("is_leased")?,
                attempts: row.get("attempts")?,
            })
        })
        .optional()?
        .ok_or_else(|| StoreError::NoSuchItem(id).into())
}

fn record(row: &Row<'_>) -> Result<ItemRecord, CallError> {
    let item = item(row)?;
    let outcome = match item.state {
        ItemState::Done => {
            let (skipped, notes) = details_from_blob(&row.get::<_, Vec<u8>>("details")?)?;
            Some(Outcome {
                counters: counters(row)?,
                skipped,
                failures: Vec::new(),
                unreadable_directories: count(row, "unreadable")?,
                notes,
            })
        }
        ItemState::Waiting | ItemState::Leased(_) | ItemState::Failed | ItemState::Withdrawn => {
            None
        }
    };
    Ok(ItemRecord {
        item,
        phase: phase(row)?,
        worker: row.get("worker")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
        outcome,
        last_error: row.get("last_error")?,
    })
}

pub(super) fn leased(connection: &Connection, run: RunId) -> Result<Vec<Item>, CallError> {
    // Task by task, so that the index on leased items serves.
    let sql = format!(
        "SELECT {ITEM_COLUMNS} FROM item INDEXED BY item_leased
         JOIN task ON task.seq = item.task JOIN item_work ON item_work.item = item.seq
         WHERE item.state = 1 AND item.task IN (SELECT seq FROM task WHERE run = ?1)
         ORDER BY item.seq"
    );
    connection
        .prepare_cached(&sql)?
        .query_and_then([find_run(connection, run)?.0], item)?
        .collect()
}

pub(super) fn children(
    connection: &Connection,
    parent: ItemId,
    from: u64,
    n: usize,
) -> Result<Vec<(ItemId, Work)>, CallError> {
    let parent = Attempt::newest(connection, parent)?;
    connection
        .prepare_cached(
            "SELECT id, work FROM item INDEXED BY item_by_parent
             JOIN item_work ON item_work.item = item.seq
             WHERE parent = ?1 ORDER BY item.seq LIMIT ?2 OFFSET ?3",
        )?
        .query_and_then((parent.seq, integer(n as u64), integer(from)), |row| {
            let work = work_from_blob(&row.get::<_, Vec<u8>>("work")?)?;
            Ok((ItemId::from_random(count(row, "id")?), work))
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use model::WorkKind;
    use rusqlite::{Connection, StatementStatus};

    use super::{READY_ITEMS, kind_code, ready_items};
    use crate::store::sqlite::schema;

    /// Whatever it is asked for: preparing takes longer than granting.
    #[test]
    fn a_grant_is_prepared_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        let connection = schema::open_writer(&path).expect("open");
        for room in 1..=3 {
            let ready = ready_items(&connection, room, kind_code(WorkKind::Walk), room as usize);
            assert!(ready.expect("none").is_empty());
        }
        let statement = connection.prepare_cached(READY_ITEMS).expect("prepare");
        assert_eq!(statement.get_status(StatementStatus::Run), 3);
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    /// A grant must not look at items that it can't grant, nor sort those that it can.
    #[test]
    fn a_grant_reads_only_what_it_grants() {
        let connection = Connection::open_in_memory().expect("open");
        connection
            .execute_batch(&super::super::schema::MIGRATIONS.concat())
            .expect("create");
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {READY_ITEMS}"))
            .expect("prepare")
            .query_map((1, 0, 1), |row| row.get("detail"))
            .expect("ask")
            .collect::<Result<_, _>>()
            .expect("ask");
        let plan = plan.join("\n");
        assert!(
            plan.contains("SEARCH item USING INDEX item_ready (task=? AND kind=?)"),
            "{plan}"
        );
        assert!(
            !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"),
            "{plan}"
        );
    }
}
