//! Calls that come twice, or from who has gone.

use super::*;

#[test]
fn calls_that_are_repeated_are_answered_as_before() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let id = SessionId::from_random(99);
    let again = scheduler.register(newcomer(1), id);
    assert_eq!(again.unwrap(), worker.session);
    let ask = || scheduler.lease(worker.session, 5, 1).unwrap().grants;
    let first = ask();
    assert_eq!(first[0].0, ask()[0].0);
    let lease = (first[0].0.item.id, first[0].0.item.epoch);
    worker.release(&scheduler, lease, ReleaseReason::Drain);
    worker.release(&scheduler, lease, ReleaseReason::Drain);
    let (lease, _) = worker.lease_one(&scheduler);
    assert_eq!(lease.1, Epoch(2));
    scheduler.leave(worker.session).unwrap();
    scheduler.leave(worker.session).unwrap();
}

#[test]
fn a_repeated_lease_call_does_not_bring_back_what_was_taken_away() {
    let mut place = Place::with_tasks(1);
    // It is over at once.
    place.settings.lease = Duration::ZERO;
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let ask = || scheduler.lease(worker.session, 5, 1).unwrap().grants;
    let first = ask();
    // The answer never arrived, so no heartbeat lists it.
    worker.beat(&scheduler, &[]);
    let again = ask();
    assert_eq!(again[0].0.item.id, first[0].0.item.id);
    assert_eq!(again[0].0.item.epoch, Epoch(2));
}

#[test]
fn nothing_stays_leased_to_a_worker_that_left_meanwhile() {
    let place = Place::with_works(vec![vec![walk(&["a"]), walk(&["b"]), walk(&["c"])]]);
    let scheduler = place.open();
    let first = Worker::register(&scheduler, 1);
    let lease = first.begin_first(&scheduler);
    first.release(&scheduler, lease, ReleaseReason::Drain);
    for n in 2..40 {
        let worker = Worker::register(&scheduler, n);
        std::thread::scope(|scope| {
            scope.spawn(|| match scheduler.lease(worker.session, n, 3) {
                Ok(_) | Err(Refused::UnknownSession) => {}
                Err(other) => panic!("{other}"),
            });
            scope.spawn(|| scheduler.leave(worker.session).unwrap());
        });
        assert_eq!(scheduler.store.leased(scheduler.run).unwrap(), [], "{n}");
    }
}

#[test]
fn a_store_that_forgot_a_session_is_no_broken_store() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    scheduler.store.remove_session(worker.session).unwrap();
    let refused = scheduler.lease(worker.session, 1, 1);
    assert!(matches!(refused, Err(Refused::UnknownSession)));
}
