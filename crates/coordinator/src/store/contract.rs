//! The rules that every store keeps, each as a function over a [`Fixture`]; its name is the
//! promise. [`contract_suite!`] makes tests of them for one implementation. A rule that is
//! not listed there is dead code, which the compiler reports.

mod book;
pub(crate) mod durability;
pub(crate) mod leases;
pub(crate) mod outcomes;
pub(crate) mod ranges;
pub(crate) mod releases;
pub(crate) mod runs;
pub(crate) mod sequences;
pub(crate) mod splits;
pub(crate) mod tasks;

use std::collections::BTreeMap;

use model::{
    Counters, Epoch, Failure, FailureClass, ItemId, Location, Outcome, Purpose, RelPath, RunId,
    SessionId, SkipReason, Task, TaskId, Work,
};

use super::{
    Begun, Cost, GrantFrom, Granted, Kinds, Millis, NewRun, NewTask, Release, SessionRecord, Store,
    StoreError, Suspects, WhenFinished,
};

/// A place for one store, empty at first.
pub(crate) trait Fixture {
    fn new() -> Self;
    /// Opens the store. When the one opened before was dropped, this has what it had.
    fn open(&self) -> Box<dyn Store>;
}

/// Makes a test of each rule for the implementation behind `$fixture`, a path from `crate`.
macro_rules! contract_suite {
    ($fixture:ty) => {
        $crate::store::contract::contract_suite! {
            @tests $fixture;
            durability: what_was_acknowledged_survives_reopening
                a_refused_call_leaves_nothing_behind
                many_callers_are_answered_rightly;
            leases: a_grant_raises_the_epoch
                items_are_granted_in_the_order_of_tasks_and_creation
                grant_never_exceeds_the_limit_of_a_task
                a_grant_is_of_the_kinds_asked_for_walks_first
                an_item_whose_worker_was_lost_is_granted_alone_and_on_demand
                two_sessions_never_get_one_item
                an_unknown_session_is_granted_nothing
                an_older_epoch_can_not_complete
                an_older_epoch_can_not_split_or_release
                only_what_was_granted_can_end;
            outcomes: completing_again_changes_nothing
                an_unbalanced_outcome_is_refused
                only_completed_attempts_count
                totals_are_the_sums_over_items
                failures_are_kept_in_order_up_to_a_limit;
            ranges: ranges_that_nobody_has_are_taken_back
                a_range_that_is_not_done_is_for_who_waits_for_it
                ranges_end_with_the_attempt_that_they_are_for;
            releases: a_free_release_costs_no_attempt
                a_released_item_waits_for_its_time
                an_item_fails_when_its_attempts_are_used_up
                releasing_again_changes_nothing
                errors_before_use_up_no_deaths
                a_done_item_can_not_be_released;
            runs: a_new_run_has_its_tasks_and_items
                an_unfinished_run_of_the_same_identity_is_resumed
                a_run_of_another_identity_is_cancelled
                a_finished_run_is_kept_or_begun_anew
                a_run_that_is_over_stays_as_it_is
                a_task_that_can_not_begin_is_born_failed
                sessions_are_remembered_until_removed
                what_is_not_there_is_said
                names_of_any_bytes_are_kept;
            sequences: any_sequence_of_verbs_keeps_the_books;
            splits: children_wait_beside_their_parent
                a_later_attempt_is_told_of_children
                an_item_knows_by_whom_it_was_handed_over
                a_repeated_split_changes_nothing
                a_repeated_split_is_answered_after_the_end
                an_attempt_that_is_over_can_not_split
                an_id_of_other_work_is_refused
                children_are_read_in_pages
                what_is_handed_in_with_the_outcome_is_stored_with_it_or_not_at_all
                what_is_tried_again_waits_and_keeps_its_attempts;
            tasks: the_first_source_identity_holds
                a_phase_begins_once
                a_finished_task_gives_nothing_more
                a_written_row_is_remembered;
        }
    };
    (@tests $fixture:ty; $($module:ident: $($rule:ident)+;)+) => {
        $(mod $module {
            $(#[test]
            fn $rule() {
                $crate::store::contract::$module::$rule::<$fixture>();
            })+
        })+
    };
}
pub(crate) use contract_suite;

const NOW: Millis = 1_700_000_000_000;

/// A store with one run and one session, in which the k-th item of task t has the id `id(t, k)`.
struct Scene {
    store: Box<dyn Store>,
    run: RunId,
}

impl Scene {
    /// With as many items in each task as `items` says.
    fn begin<F: Fixture>(fixture: &F, items: &[u64]) -> Scene {
        let store = fixture.open();
        let run = new_run(1, "identity", items);
        let id = run.id;
        let begun = store
            .begin_run(run, WhenFinished::Keep, NOW)
            .expect("begin a run");
        assert_eq!(begun.begun, Begun::New);
        add_session(&*store, 1);
        Scene { store, run: id }
    }

    /// Up to `n` items, of all tasks in order.
    fn grant(&self, n: usize) -> Vec<Granted> {
        self.grant_at(n, NOW)
    }

    fn grant_at(&self, n: usize, now: Millis) -> Vec<Granted> {
        let tasks: Vec<GrantFrom> = self
            .store
            .tasks(self.run)
            .expect("read tasks")
            .iter()
            .map(|record| from(record.task.id.0, usize::MAX))
            .collect();
        self.store
            .grant(self.run, &tasks, session(1), n, now)
            .expect("grant")
    }

    /// The one item that is granted now, and its epoch.
    fn grant_one(&self) -> (ItemId, Epoch) {
        let granted = self.grant(1);
        let [granted] = granted.as_slice() else {
            panic!("nothing was granted");
        };
        (granted.item.id, granted.item.epoch)
    }

    fn complete(&self, (item, epoch): (ItemId, Epoch)) {
        self.store
            .complete(item, epoch, outcome(1), NOW)
            .expect("complete");
    }

    fn release(&self, (item, epoch): (ItemId, Epoch)) {
        self.store
            .release(item, epoch, release(Cost::Free), NOW)
            .expect("release");
    }
}

/// Of the worker named `worker-n`. The scene's own is the first.
fn session(n: u64) -> SessionId {
    SessionId::from_random(n)
}

/// The k-th item of task t.
fn id(task: u64, k: u64) -> ItemId {
    ItemId::from_random(task * 1_000_000 + k)
}

/// An id that no item of a scene has.
fn child_id(n: u64) -> ItemId {
    ItemId::from_random((1 << 62) + n)
}

fn from(task: u32, at_most: usize) -> GrantFrom {
    GrantFrom {
        task: TaskId(task),
        at_most,
        kinds: Kinds::All,
        suspects: Suspects::LeftOut,
    }
}

fn add_session(store: &dyn Store, n: u64) {
    let record = SessionRecord {
        id: session(n),
        name: format!("worker-{n}"),
        registered: NOW,
        lease: 30_000,
    };
    store.add_session(record).expect("add a session");
}

fn new_run(id: u64, identity: &str, items: &[u64]) -> NewRun {
    NewRun {
        id: RunId::from_random(id),
        identity: identity.into(),
        tasks: (1..)
            .zip(items)
            .map(|(number, &n)| NewTask {
                task: task(number),
                items: Ok((0..n)
                    .map(|k| {
                        let item = ItemId::from_random(
                            (id - 1) * (1 << 40) + self::id(number.into(), k).get(),
                        );
                        (item, walk(&format!("{number}/{k}")))
                    })
                    .collect()),
            })
            .collect(),
    }
}

fn task(number: u32) -> Task {
    Task {
        id: TaskId(number),
        line: number + 1,
        source: Location::Posix(format!("/from/{number}").into()),
        target: Location::Posix(format!("/to/{number}").into()),
        list: None,
        target_is_shared: false,
    }
}

fn walk(directory: &str) -> Work {
    Work::Walk {
        directories: vec![RelPath::new(directory).expect("a legal path")],
        purpose: Purpose::Copy,
    }
}

/// A balanced outcome in which every number depends on `n`.
fn outcome(n: u64) -> Outcome {
    Outcome {
        counters: Counters {
            listed: 10 * n + 6,
            copied: 5 * n,
            unchanged: 4 * n,
            skipped: n + 2,
            failed: 3,
            deferred: 1,
            copied_files: 2 * n,
            copied_bytes: 1000 * n,
        },
        skipped: BTreeMap::from([(SkipReason::Special, n), (SkipReason::Vanished, 2)]),
        failures: vec![failure(n, 0), failure(n, 1)],
        unreadable_directories: n % 2,
        notes: BTreeMap::from([("hard link".into(), n), (format!("note {}", n % 3), 1)]),
    }
}

fn failure(n: u64, k: u64) -> Failure {
    Failure {
        path: RelPath::new(format!("{n}/{k}")).expect("a legal path"),
        class: FailureClass::GiveUp,
        error: format!("cannot read: {n}"),
    }
}

fn release(cost: Cost) -> Release<'static> {
    Release {
        cost,
        max_attempts: 3,
        least_deaths: 0,
        reason: "the worker is leaving",
        not_before: 0,
    }
}

#[track_caller]
fn assert_stale<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    match result {
        Err(StoreError::Stale(_)) => {}
        other => panic!("expected a stale lease, got {other:?}"),
    }
}
