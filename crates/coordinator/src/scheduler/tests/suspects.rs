//! Items whose workers were lost.

use super::*;

/// A worker that holds all that it is granted is lost; what it held.
fn lose(scheduler: &Scheduler, n: u64) -> Vec<ItemId> {
    let worker = Worker::register(scheduler, n);
    let granted = worker.lease(scheduler).into_iter();
    let held = granted.map(|((item, _), _)| item).collect();
    pass(scheduler, Instant::now(), LEASE + Duration::from_secs(1));
    held
}

fn charged(scheduler: &Scheduler, item: ItemId) -> (u32, u32) {
    let item = scheduler.store.item(item).unwrap().item;
    (item.attempts, item.deaths)
}

#[test]
fn a_lost_worker_charges_only_what_it_ran_alone() {
    let mut place = Place::with_works(vec![vec![walk(&["a"]), walk(&["b"])]]);
    place.settings.item_attempts = 5;
    let scheduler = place.open();
    let first = Worker::register(&scheduler, 1);
    let begun = first.begin_first(&scheduler);
    let (other, _) = first.lease_one(&scheduler);
    pass(&scheduler, Instant::now(), LEASE + Duration::from_secs(1));
    let items = [begun.0, other.0];
    assert_eq!(items.map(|item| charged(&scheduler, item)), [(0, 1); 2]);
    // Suspects are granted one by one, and beside nothing.
    assert_eq!(lose(&scheduler, 2), [items[0]]);
    assert_eq!(
        items.map(|item| charged(&scheduler, item)),
        [(1, 2), (0, 1)]
    );
    assert_eq!(lose(&scheduler, 3), [items[0]]);
    // Now it is split: all that it finds is run alone, in pieces.
    let worker = Worker::register(&scheduler, 4);
    let (lease, _) = worker.lease_one(&scheduler);
    assert_eq!(lease.0, items[0]);
    let again = ["a/x", "a/y"].map(path).to_vec();
    scheduler
        .complete(worker.session, lease.0, lease.1, copied(1, 2), &[], again)
        .unwrap();
    let mut found = Vec::new();
    for _ in 0..3 {
        let (lease, work) = worker.lease_one(&scheduler);
        assert_eq!(worker.lease(&scheduler), [], "it holds a suspect");
        worker.complete(&scheduler, lease, copied(1, 0));
        found.push(work);
    }
    let pieces = ["a/x", "a/y"].map(|entry| Work::Entries(vec![path(entry)]));
    assert_eq!(found, [walk(&["b"]), pieces[0].clone(), pieces[1].clone()]);
}

#[test]
fn what_an_item_covers_is_named_when_its_attempts_are_used_up() {
    let mut place = Place::with_works(vec![vec![walk(&["a", "b"])]]);
    place.settings.item_attempts = 1;
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    worker.release(&scheduler, first, ReleaseReason::Failed);
    let failures = scheduler.failures(TaskId(1), 9).unwrap();
    let named: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        ["a", "b"].map(|path| format!("{path}: failed at every attempt: a reason"))
    );
}

#[test]
fn a_single_entry_that_goes_on_killing_is_set_aside_by_name() {
    let mut place = Place::with_works(vec![vec![walk(&["a"])]]);
    place.settings.item_attempts = 4;
    let scheduler = place.open();
    let first = Worker::register(&scheduler, 1).begin_first(&scheduler);
    pass(&scheduler, Instant::now(), LEASE + Duration::from_secs(1));
    for n in 2..4 {
        assert_eq!(lose(&scheduler, n), [first.0]);
    }
    // The directory is split, then its only entry, which is no directory.
    let worker = Worker::register(&scheduler, 4);
    let (lease, _) = worker.lease_one(&scheduler);
    let found = vec![path("a/x")];
    scheduler
        .complete(worker.session, lease.0, lease.1, copied(1, 1), &[], found)
        .unwrap();
    scheduler.leave(worker.session).unwrap();
    for n in 5..9 {
        assert_eq!(lose(&scheduler, n).len(), 1);
    }
    let failures = scheduler.failures(TaskId(1), 9).unwrap();
    let named: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["a/x: set aside: it killed 7 workers"]);
    let ledger = scheduler.ledger(TaskId(1)).unwrap();
    let counters = ledger.outcome.counters;
    assert_eq!(
        (counters.listed, counters.copied, counters.failed),
        (2, 1, 1)
    );
}
