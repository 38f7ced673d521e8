//! What failed for a reason that may go away is tried again before the copy ends: less often and sooner than in a
//! run with a server, since somebody waits for it.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Outcome, RelPath};
use transfer::Cancel;

/// Before each further try.
pub(super) const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Waits, unless the copy is told to stop: the next try ends at once then.
pub(super) fn wait(wait: Duration, entries: usize, cancel: &Cancel) {
    tracing::warn!(
        "{entries} entries failed for a reason that may go away: tried again in {} s",
        wait.as_secs()
    );
    cancel.wait(wait);
}

/// What was left to another try is listed there once more.
pub(super) fn count_once(outcome: &mut Outcome) {
    let counters = &mut outcome.counters;
    counters.listed = counters.listed.saturating_sub(counters.deferred);
    counters.deferred = 0;
}

/// The directories whose times are not right any more when these have been tried again.
pub(super) fn parents(paths: &[RelPath]) -> BTreeSet<RelPath> {
    let parents = paths.iter().filter_map(RelPath::split_last);
    parents.map(|(parent, _)| parent).collect()
}
