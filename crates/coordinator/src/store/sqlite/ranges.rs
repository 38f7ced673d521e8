//! Ranges of huge files: they end with the attempt that handed them over, or when it takes them back.

use model::{Epoch, ItemId, RangeState, WorkKind};
use rusqlite::{Connection, OptionalExtension};

use super::attempts::Attempt;
use super::encode::kind_code;
use super::error::CallError;
use super::rows::{DONE, LEASED, WAITING, WITHDRAWN, integer};
use crate::store::{StoreError, TakeBack};

pub(super) fn take_back(
    connection: &Connection,
    item: ItemId,
    epoch: Epoch,
    ranges: &[ItemId],
    what: TakeBack,
) -> Result<Vec<RangeState>, CallError> {
    let attempt = Attempt::newest(connection, item)?;
    attempt.check_leased(epoch)?;
    let mut find = connection.prepare_cached(
        "SELECT seq, state FROM item WHERE id = ?1 AND parent = ?2 AND kind = ?3",
    )?;
    let kind = kind_code(WorkKind::Range);
    ranges
        .iter()
        .map(|range| {
            let (seq, state): (i64, u32) = find
                .query_row((integer(range.get()), attempt.seq, kind), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?
                .ok_or(StoreError::NoSuchItem(*range))?;
            Ok(match (state, what) {
                (DONE, _) => RangeState::Done,
                (LEASED, TakeBack::Waiting) => RangeState::Leased,
                (WAITING, _) | (LEASED, TakeBack::All) => {
                    withdraw(connection, "seq", seq)?;
                    RangeState::TakenBack
                }
                _ => RangeState::TakenBack,
            })
        })
        .collect()
}

/// The attempt is over, and nobody will publish what its ranges are written into.
pub(super) fn withdraw_all(connection: &Connection, attempt: &Attempt) -> Result<(), CallError> {
    withdraw(connection, "parent", attempt.seq)
}

/// Nobody is to do it but the attempt that it is for.
pub(super) fn withdraw_one(connection: &Connection, range: &Attempt) -> Result<(), CallError> {
    withdraw(connection, "seq", range.seq)
}

/// Withdraws the open ranges among the items of which `column` is this.
fn withdraw(connection: &Connection, column: &str, seq: i64) -> Result<(), CallError> {
    let withdrawn = connection
        .prepare_cached(&format!(
            "UPDATE item SET state = {WITHDRAWN}, session = NULL
             WHERE {column} = ?1 AND kind = ?2 AND state IN ({WAITING}, {LEASED})"
        ))?
        .execute((seq, kind_code(WorkKind::Range)))?;
    if withdrawn > 0 {
        connection
            .prepare_cached(
                "UPDATE task SET open_items = open_items - ?2
                 WHERE seq = (SELECT task FROM item WHERE seq = ?1)",
            )?
            .execute((seq, integer(withdrawn as u64)))?;
    }
    Ok(())
}
