//! The server's own disk is full, for a while.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::Full;

/// A scheduler of one task whose disk is full while the flag is set.
fn opened(place: &Place) -> (Scheduler, Arc<AtomicBool>) {
    let is_full = Arc::new(AtomicBool::new(false));
    let full = is_full.clone();
    let scheduler = place.open_with(|store| {
        Arc::new(Full {
            store: Box::new(store),
            is_full: full,
        })
    });
    (scheduler, is_full)
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Refused>) {
    match answer {
        Err(Refused::Store(error)) if error.is_no_room() => {}
        other => panic!("not refused for want of room: {other:?}"),
    }
}

/// When what is owed is tried again.
fn later(now: Instant) -> Instant {
    now + Duration::from_secs(5)
}

#[test]
fn what_finds_no_room_changes_nothing_and_succeeds_later() {
    let place = Place::with_tasks(1);
    let (scheduler, is_full) = opened(&place);
    let worker = Worker::register(&scheduler, 1);
    let (item, epoch) = worker.begin_first(&scheduler);
    is_full.store(true, Ordering::SeqCst);
    let id = SessionId::from_random(2);
    refused(scheduler.register(newcomer(2), id));
    let children = [(super::item(1001), walk(&["a"]))];
    refused(scheduler.split(item, epoch, &children));
    refused(scheduler.complete(worker.session, item, epoch, copied(5, 0), &[], Vec::new()));
    let (drain, at_once) = (ReleaseReason::Drain, Duration::ZERO);
    refused(scheduler.release(worker.session, item, epoch, drain, "later", at_once));
    // It is still the worker's, whose lease is renewed.
    assert_eq!(worker.beat(&scheduler, &[(item, epoch)]), []);
    scheduler.tick(Instant::now()).unwrap();
    is_full.store(false, Ordering::SeqCst);
    worker.complete(&scheduler, (item, epoch), copied(5, 0));
    let (closing, work) = worker.lease_one(&scheduler);
    assert!(is_close(&work));
    worker.complete(&scheduler, closing, copied(0, 0));
    assert!(result(&scheduler, 1).success);
    assert!(scheduler.what_broke().is_none());
}

#[test]
fn a_worker_that_is_lost_meanwhile_gives_its_items_back_later() {
    let place = Place::with_tasks(1);
    let (scheduler, is_full) = opened(&place);
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    is_full.store(true, Ordering::SeqCst);
    let start = Instant::now();
    pass(&scheduler, start, LEASE * 2);
    assert!(scheduler.commands(worker.session).is_err(), "it is lost");
    assert!(!scheduler.store.leased(scheduler.run).unwrap().is_empty());
    is_full.store(false, Ordering::SeqCst);
    scheduler.tick(later(start + LEASE * 2)).unwrap();
    assert!(scheduler.store.leased(scheduler.run).unwrap().is_empty());
    assert!(scheduler.store.sessions().unwrap().is_empty());
    let other = Worker::register(&scheduler, 2);
    let (again, _) = other.lease_one(&scheduler);
    assert_eq!(again, (first.0, Epoch(2)));
}

#[test]
fn a_grant_that_was_never_heard_of_goes_back_later() {
    let place = Place::with_tasks(1);
    let (scheduler, is_full) = opened(&place);
    let worker = Worker::register(&scheduler, 1);
    worker.begin_first(&scheduler);
    is_full.store(true, Ordering::SeqCst);
    // A lease passes in which no heartbeat lists it.
    let lease = scheduler.settings.lease;
    if let Some(session) = scheduler.state().fleet.session(worker.session) {
        session
            .held
            .values_mut()
            .for_each(|held| held.listed -= lease);
    }
    // The heartbeat is answered all the same.
    assert_eq!(worker.beat(&scheduler, &[]), []);
    assert!(scheduler.state().fleet.held_of(TaskId(1)) == 0);
    assert!(!scheduler.store.leased(scheduler.run).unwrap().is_empty());
    is_full.store(false, Ordering::SeqCst);
    scheduler.tick(later(Instant::now())).unwrap();
    assert!(scheduler.store.leased(scheduler.run).unwrap().is_empty());
}

#[test]
fn a_task_and_its_run_end_later_and_are_told_of_once() {
    // The disk is full from the n-th thing on that is stored after the last item is done.
    let place = Place::with_tasks(1);
    let (scheduler, is_full) = opened(&place);
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    worker.complete(&scheduler, first, copied(5, 0));
    let ((item, epoch), _) = worker.lease_one(&scheduler);
    let done = scheduler
        .store
        .complete(item, epoch, copied(0, 0), now_ms());
    done.unwrap();
    is_full.store(true, Ordering::SeqCst);
    // The worker's call is repeated, and answered: what comes of it is the server's to do.
    refused(scheduler.complete(worker.session, item, epoch, copied(0, 0), &[], Vec::new()));
    scheduler.advance(TaskId(1)).unwrap();
    let mut now = Instant::now();
    pass(&scheduler, now, Duration::from_secs(10));
    assert!(!scheduler.is_over());
    is_full.store(false, Ordering::SeqCst);
    now = later(now + Duration::from_secs(10));
    scheduler.tick(now).unwrap();
    assert!(scheduler.is_over());
    let rows = place.directory.path().join("data_migrate_results.csv");
    let rows = std::fs::read_to_string(rows).unwrap();
    assert_eq!(
        rows.matches("Migrated task 1 successfully").count(),
        1,
        "{rows}"
    );
    assert!(scheduler.state().owed.is_empty());
}
