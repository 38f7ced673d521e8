//! The end of an attempt, or of a part of its work: each of these verbs is refused unless it
//! comes under the newest epoch, in the same transaction that would change something.
//! What repeats a call that was applied is told so, since its answer may have been lost.

use model::{Epoch, ItemId, Outcome, StaleLease, WorkKind};
use rusqlite::{Connection, OptionalExtension};

use super::encode::{details_to_blob, kind_code};
use super::error::CallError;
use super::failures::WhyFailed;
use super::items::{NewItem, Origin, alone, insert_items, is_stored};
use super::rows::{DONE, FAILED, LEASED, WAITING, integer, phase};
use super::{failures, ranges, tasks};
use crate::store::{Applied, Cost, Millis, Phase, ReleasedTo, StoreError};

/// No counter of one item is larger, so that no sum over items overflows.
const MAX_COUNT: u64 = 1 << 56;

/// Where an item stands: its newest attempt, as the database has it.
pub(super) struct Attempt {
    pub(super) seq: i64,
    item: ItemId,
    task: i64,
    phase: Phase,
    state: u32,
    epoch: Epoch,
    attempts: u32,
    deaths: u32,
    worker: Option<String>,
    is_range: bool,
}

impl Attempt {
    pub(super) fn newest(connection: &Connection, item: ItemId) -> Result<Self, CallError> {
        connection
            .prepare_cached(
                "SELECT seq, task, phase, state, epoch, attempts, deaths, worker, kind FROM item WHERE id = ?1",
            )?
            .query_row([integer(item.get())], |row| {
                Ok(Attempt {
                    seq: row.get("seq")?,
                    item,
                    task: row.get("task")?,
                    phase: phase(row)?,
                    state: row.get("state")?,
                    epoch: Epoch(row.get("epoch")?),
                    attempts: row.get("attempts")?,
                    deaths: row.get("deaths")?,
                    worker: row.get("worker")?,
                    is_range: row.get::<_, u32>("kind")? == kind_code(WorkKind::Range),
                })
            })
            .optional()?
            .ok_or_else(|| StoreError::NoSuchItem(item).into())
    }

    /// The item's state if `epoch` is that of its newest grant. Epoch 0 is no grant.
    fn state_under(&self, epoch: Epoch) -> Result<u32, CallError> {
        if epoch == self.epoch && epoch > Epoch(0) {
            Ok(self.state)
        } else {
            Err(self.stale(epoch))
        }
    }

    /// # Errors
    /// It is over.
    pub(super) fn check_leased(&self, epoch: Epoch) -> Result<(), CallError> {
        match self.state_under(epoch)? {
            LEASED => Ok(()),
            _ => Err(self.stale(epoch)),
        }
    }

    /// What it hands over is part of.
    fn origin(&self) -> Origin {
        Origin {
            task: self.task,
            phase: self.phase,
            parent: Some(self.seq),
        }
    }

    fn stale(&self, presented: Epoch) -> CallError {
        let stale = StaleLease {
            item: self.item,
            presented,
            newest: self.epoch,
        };
        StoreError::Stale(stale).into()
    }
}

/// Whether an outcome adds up. Its numbers come from a worker: none may overflow a sum.
pub(super) fn is_sound(outcome: &Outcome) -> bool {
    let c = &outcome.counters;
    [
        c.listed,
        c.copied,
        c.unchanged,
        c.skipped,
        c.failed,
        c.deferred,
    ]
    .into_iter()
    .chain([
        c.copied_files,
        c.copied_bytes,
        outcome.unreadable_directories,
    ])
    .chain(outcome.skipped.values().copied())
    .chain(outcome.notes.values().copied())
    .all(|n| n <= MAX_COUNT)
        && outcome.is_balanced()
}

pub(super) fn complete(
    connection: &Connection,
    item: ItemId,
    epoch: Epoch,
    outcome: &Outcome,
    children: &[NewItem],
    now: Millis,
) -> Result<Applied, CallError> {
    let attempt = Attempt::newest(connection, item)?;
    match attempt.state_under(epoch)? {
        LEASED => {}
        DONE => return Ok(Applied::Before),
        _ => return Err(attempt.stale(epoch)),
    }
    let c = &outcome.counters;
    connection
        .prepare_cached(
            "UPDATE item SET state = 2, session = NULL, finished = ?2, listed = ?3, copied = ?4,
                 unchanged = ?5, skipped = ?6, failed = ?7, deferred = ?8, copied_files = ?9,
                 copied_bytes = ?10, unreadable = ?11, details = ?12 WHERE seq = ?1",
        )?
        .execute((
            attempt.seq,
            now,
            integer(c.listed),
            integer(c.copied),
            integer(c.unchanged),
            integer(c.skipped),
            integer(c.failed),
            integer(c.deferred),
            integer(c.copied_files),
            integer(c.copied_bytes),
            integer(outcome.unreadable_directories),
            details_to_blob(&outcome.skipped, &outcome.notes),
        ))?;
    ranges::withdraw_all(connection, &attempt)?;
    // Before the item's own end is counted, so that the task never looks as if nothing of it were open.
    insert_items(connection, attempt.origin(), children)?;
    failures::insert(connection, attempt.task, attempt.seq, &outcome.failures)?;
    tasks::add_outcome(connection, attempt.task, outcome, attempt.worker.as_deref())?;
    Ok(Applied::Now)
}

pub(super) fn split(
    connection: &Connection,
    item: ItemId,
    epoch: Epoch,
    children: &[NewItem],
) -> Result<Applied, CallError> {
    let attempt = Attempt::newest(connection, item)?;
    let origin = attempt.origin();
    if attempt.state_under(epoch)? == LEASED {
        return Ok(match insert_items(connection, origin, children)? {
            0 => Applied::Before,
            _ => Applied::Now,
        });
    }
    // The attempt is over: this can only be a repetition.
    for child in children {
        if !is_stored(connection, origin, child)? {
            return Err(attempt.stale(epoch));
        }
    }
    match children {
        [] => Err(attempt.stale(epoch)),
        _ => Ok(Applied::Before),
    }
}

/// [`crate::store::Release`], owned.
pub(super) struct HandBack {
    pub(super) cost: Cost,
    pub(super) max_attempts: u32,
    pub(super) least_deaths: u32,
    pub(super) reason: String,
    pub(super) not_before: Millis,
}

pub(super) fn release(
    connection: &Connection,
    item: ItemId,
    epoch: Epoch,
    release: &HandBack,
    now: Millis,
) -> Result<ReleasedTo, CallError> {
    let attempt = Attempt::newest(connection, item)?;
    match attempt.state_under(epoch)? {
        LEASED => {}
        WAITING => return Ok(ReleasedTo::Waiting),
        FAILED => return Ok(ReleasedTo::Failed),
        _ => return Err(attempt.stale(epoch)),
    }
    ranges::withdraw_all(connection, &attempt)?;
    if attempt.is_range && release.cost != Cost::Free {
        // The attempt that waits for it does it itself, and meets what is wrong with it: charged as any other.
        ranges::withdraw_one(connection, &attempt)?;
        return Ok(ReleasedTo::Withdrawn);
    }
    let (used_up, deaths) = match release.cost {
        Cost::Free => (0, 0),
        Cost::Attempt => (1, 0),
        Cost::Death => (0, 1),
        Cost::DeathAlone => (1, 1),
    };
    let attempts = attempt.attempts + used_up;
    let is_used_up = attempts >= release.max_attempts;
    let to = match release.cost {
        Cost::Attempt if is_used_up => ReleasedTo::Failed,
        Cost::DeathAlone if is_used_up && attempt.deaths + deaths >= release.least_deaths => {
            ReleasedTo::Failed
        }
        _ => ReleasedTo::Waiting,
    };
    let (state, finished, failed) = match to {
        ReleasedTo::Failed => (FAILED, Some(now), 1),
        _ => (WAITING, None, 0),
    };
    let not_before = match release.not_before {
        later if later > now => later.max(0),
        _ => 0,
    };
    connection
        .prepare_cached(
            "UPDATE item SET state = ?2, session = NULL, attempts = ?3, finished = ?4,
                 not_before = ?5, last_error = ?6, deaths = deaths + ?7,
                 kind = kind | ?8 WHERE seq = ?1",
        )?
        .execute((
            attempt.seq,
            state,
            attempts,
            finished,
            not_before,
            &release.reason,
            deaths,
            alone(deaths),
        ))?;
    if to == ReleasedTo::Failed {
        let why = match release.cost {
            Cost::DeathAlone => WhyFailed::Deaths(attempt.deaths + deaths),
            _ => WhyFailed::Reason(&release.reason),
        };
        failures::insert_covered(connection, attempt.task, attempt.seq, why)?;
    }
    connection
        .prepare_cached(
            "UPDATE task SET retries = retries + ?2, open_items = open_items - ?3,
                 failed_items = failed_items + ?3 WHERE seq = ?1",
        )?
        .execute((attempt.task, used_up.max(deaths), failed))?;
    Ok(to)
}
