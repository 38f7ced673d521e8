//! Items of tasks whose mount is in trouble on a worker.

use super::*;

/// Another worker, which has copied the one item.
fn another_copies(scheduler: &Scheduler) -> Worker {
    let other = Worker::register(scheduler, 2);
    let (lease, _) = other.lease_one(scheduler);
    other.complete(scheduler, lease, copied(1, 0));
    other
}

#[track_caller]
fn assert_closes(scheduler: &Scheduler, worker: Worker) {
    let (_, work) = worker.lease_one(scheduler);
    assert!(is_close(&work));
}

#[test]
fn what_hangs_on_one_worker_goes_to_another_without_blame_and_is_waited_for() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let hangs = Worker::register(&scheduler, 1);
    let lease = hangs.begin_first(&scheduler);
    hangs.release(&scheduler, lease, ReleaseReason::Hung);
    assert!(hangs.lease(&scheduler).is_empty());
    let begun = Instant::now();
    scheduler.tick(begun + GRACE * 2).unwrap();
    assert!(!scheduler.is_over());

    let other = another_copies(&scheduler);
    assert_eq!(
        scheduler
            .store
            .totals(scheduler.run, TaskId(1))
            .unwrap()
            .retries,
        0
    );
    // Its threads may still write.
    assert!(other.lease(&scheduler).is_empty());
    hangs.beat(&scheduler, &[]);
    scheduler.leave_threads_behind(hangs.session).unwrap();
    assert!(other.lease(&scheduler).is_empty());
    scheduler.leave(hangs.session).unwrap();
    scheduler.tick(Instant::now()).unwrap();
    assert_closes(&scheduler, other);
}

#[test]
fn what_a_worker_leaves_behind_at_its_end_is_waited_for() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let hangs = Worker::register(&scheduler, 1);
    hangs.begin_first(&scheduler);
    scheduler.leave_threads_behind(hangs.session).unwrap();
    let other = another_copies(&scheduler);
    assert!(other.lease(&scheduler).is_empty());
    scheduler.leave(hangs.session).unwrap();
    scheduler.tick(Instant::now()).unwrap();
    assert_closes(&scheduler, other);
}

#[test]
fn a_stale_mount_costs_nothing_and_is_not_waited_for() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let stale = Worker::register(&scheduler, 1);
    let lease = stale.begin_first(&scheduler);
    stale.release(&scheduler, lease, ReleaseReason::Stale);
    assert!(stale.lease(&scheduler).is_empty());
    scheduler.tick(Instant::now() + GRACE * 2).unwrap();
    assert!(!scheduler.is_over());
    let other = another_copies(&scheduler);
    assert_closes(&scheduler, other);
}
