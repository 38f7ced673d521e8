//! The books of one task: what its items say, added up and settled.
//!
//! A directory that one item hands to another is listed by both. It is taken out once, after a
//! check that no fewer directories were taken than were handed over: should there be fewer, the
//! books don't balance and the task is no success. There may be more: what a dead attempt handed over
//! is not counted by its successor if it has vanished since, nor if the item failed for good.

use model::{Failure, Outcome, Purpose, RunId, TaskId, Work};

use crate::store::{ItemRecord, Store, StoreError, TaskTotals};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Over all done items and the refused entries of the list; without failures by name.
    pub outcome: Outcome,
    pub failed_items: u64,
    pub retries: u64,
    pub workers: Vec<String>,
    /// Why the last attempt of a failed item ended.
    pub last_error: Option<String>,
}

/// The books while the task runs, without the check: what is not settled yet is left out.
pub fn so_far(
    store: &dyn Store,
    run: RunId,
    task: TaskId,
    refused: &[Failure],
) -> Result<Ledger, StoreError> {
    let totals = store.totals(run, task)?;
    let deferred = totals.outcome.counters.deferred;
    Ok(add_up(totals, deferred, refused))
}

/// The books of a task whose items are over.
pub fn ledger(
    store: &dyn Store,
    run: RunId,
    task: TaskId,
    refused: &[Failure],
) -> Result<Ledger, StoreError> {
    let totals = store.totals(run, task)?;
    if totals.outcome.counters.deferred == 0 && totals.failed_items == 0 {
        return Ok(add_up(totals, 0, refused));
    }
    let items = store.items(run, task)?;
    let last_error = items
        .iter()
        .filter(|record| record.item.state == model::ItemState::Failed)
        .find_map(|record| record.last_error.clone());
    let mut ledger = add_up(totals, taken_over(&items), refused);
    // Those of lists that no attempt came to an end with have no other result.
    let left = left_in_lists(&items);
    ledger.outcome.counters.listed += left;
    ledger.outcome.counters.failed += left;
    Ok(Ledger {
        last_error,
        ..ledger
    })
}

fn add_up(totals: TaskTotals, taken_over: u64, refused: &[Failure]) -> Ledger {
    let mut outcome = totals.outcome;
    settle(&mut outcome, taken_over);
    outcome.counters.listed += refused.len() as u64;
    outcome.counters.failed += refused.len() as u64;
    Ledger {
        outcome,
        failed_items: totals.failed_items,
        retries: totals.retries,
        workers: totals.workers,
        last_error: None,
    }
}

/// What items took over from others: all walked directories but the root, all entries tried again, all files of lists
/// that walks wrote down, and all names that were left to the links phase.
fn taken_over(items: &[ItemRecord]) -> u64 {
    items
        .iter()
        .map(|record| match &record.item.work {
            Work::Walk {
                directories,
                purpose: Purpose::Copy,
            }
            | Work::Entries(directories) => {
                directories.iter().filter(|d| !d.is_root()).count() as u64
            }
            Work::Files(files) => files.files,
            Work::Links { names } => *names,
            _ => 0,
        })
        .sum()
}

/// Files and names of lists, directories handed over and entries tried again, whose items failed for good.
fn left_in_lists(items: &[ItemRecord]) -> u64 {
    let failed = items
        .iter()
        .filter(|record| record.item.state == model::ItemState::Failed);
    failed
        .map(|record| match &record.item.work {
            Work::Files(files) => files.files,
            Work::Links { names } => *names,
            work => {
                let paths = work.directories_and_entries();
                paths.iter().filter(|path| !path.is_root()).count() as u64
            }
        })
        .sum()
}

/// Takes out what was counted twice: of a directory handed over, its listing by the one that did.
fn settle(outcome: &mut Outcome, taken_over: u64) {
    let counters = &mut outcome.counters;
    if counters.deferred <= taken_over && counters.listed >= counters.deferred {
        counters.listed -= counters.deferred;
        counters.deferred = 0;
    } else {
        // Shown as what it is: as many results are missing as directories were not taken.
        counters.deferred = counters.deferred.saturating_sub(taken_over);
    }
}

#[cfg(test)]
mod tests {
    use super::settle;
    use model::{Counters, Outcome};

    fn outcome(listed: u64, copied: u64, deferred: u64) -> Outcome {
        Outcome {
            counters: Counters {
                listed,
                copied,
                deferred,
                ..Default::default()
            },
            ..Default::default()
        }
    }

    #[test]
    fn what_was_handed_over_is_counted_once() {
        let mut settled = outcome(12, 10, 2);
        settle(&mut settled, 2);
        assert_eq!(settled, outcome(10, 10, 0));
        assert!(settled.is_balanced());
    }

    #[test]
    fn what_a_dead_attempt_handed_over_may_be_counted_by_its_taker_alone() {
        let mut settled = outcome(12, 10, 2);
        settle(&mut settled, 3);
        assert_eq!(settled, outcome(10, 10, 0));
    }

    #[test]
    fn a_directory_handed_over_and_not_taken_unbalances_the_books() {
        let mut unsettled = outcome(12, 10, 2);
        settle(&mut unsettled, 1);
        assert!(!unsettled.is_balanced());
    }
}
