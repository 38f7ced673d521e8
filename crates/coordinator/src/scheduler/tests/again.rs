//! Entries that failed for a reason that may go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::{Counters, FailureClass, Outcome, Work};

use super::support::{Place, Worker, copied, from_task, item, path, result, task, walk};
use crate::scheduler::may_be_tried_again;
use crate::scheduler::{Clock, Scheduler, SystemClock, now_ms};
use crate::store::{Granted, Millis};

/// Draws small numbers: of each wait the shortest, and ids that differ.
struct Shortest(AtomicU64);

impl Shortest {
    fn clock() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_000_000)))
    }
}

impl Clock for Shortest {
    fn now(&self) -> Instant {
        SystemClock.now()
    }

    fn now_ms(&self) -> Millis {
        SystemClock.now_ms()
    }

    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn grant_at(scheduler: &Scheduler, worker: Worker, now: i64) -> Vec<Granted> {
    let from = [from_task(1)];
    let granted = scheduler
        .store
        .grant(scheduler.run, &from, worker.session, 9, now);
    granted.unwrap()
}

#[test]
fn an_entry_that_failed_waits_and_is_tried_again_until_its_attempts_are_used_up() {
    let mut place = Place::with_tasks(1);
    place.settings.item_attempts = 3;
    let mut scheduler = place.open();
    scheduler.clock = Shortest::clock();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    let again = vec![path("a/b"), path("c")];
    let mut lease = first;
    for (attempts, wait) in [(1, 2_500), (2, 5_000)] {
        let before = now_ms();
        let outcome = copied(0, 2);
        scheduler
            .complete(
                worker.session,
                lease.0,
                lease.1,
                outcome,
                &[],
                again.clone(),
            )
            .unwrap();
        let after = now_ms();
        assert!(grant_at(&scheduler, worker, before + wait - 1).is_empty());
        let granted = grant_at(&scheduler, worker, after + wait);
        assert_eq!(granted.len(), 1);
        let item = &granted[0].item;
        assert_eq!(item.work, Work::Entries(again.clone()));
        assert_eq!(item.attempts, attempts);
        let is_last = attempts == 2;
        assert_eq!(may_be_tried_again(item, 3), !is_last);
        lease = (item.id, item.epoch);
    }
    let failure = model::Failure {
        path: path("a/b"),
        class: FailureClass::Retry,
        error: "why".into(),
    };
    let last = Outcome {
        counters: Counters {
            listed: 2,
            copied: 1,
            failed: 1,
            ..Counters::default()
        },
        failures: vec![failure.clone()],
        ..Outcome::default()
    };
    worker.complete(&scheduler, lease, last);
    // The directory that an entry was put into late gets its attributes once more.
    worker.end(&scheduler, "a");
    assert!(!result(&scheduler, 1).success);
    let counters = scheduler.snapshot().unwrap().counters();
    assert_eq!(
        (counters.listed, counters.copied, counters.failed),
        (2, 1, 1)
    );
    let task = task(1).id;
    assert_eq!(scheduler.failures(task, 9).unwrap(), [failure]);
}

#[test]
fn attributes_that_could_not_be_set_are_tried_again_as_such() {
    let place = Place::with_tasks(1);
    let mut scheduler = place.open();
    scheduler.clock = Shortest::clock();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    let children = [(item(1001), walk(&["a/b"]))];
    scheduler.split(first.0, first.1, &children).unwrap();
    worker.complete(&scheduler, first, copied(1, 1));
    let (child, _) = worker.lease_one(&scheduler);
    worker.complete(&scheduler, child, copied(1, 0));
    let (attributes, work) = worker.lease_one(&scheduler);
    let again = vec![path("a")];
    scheduler
        .complete(
            worker.session,
            attributes.0,
            attributes.1,
            copied(0, 0),
            &[],
            again,
        )
        .unwrap();
    let granted = grant_at(&scheduler, worker, now_ms() + 2_500);
    assert_eq!(granted.len(), 1);
    assert_eq!(granted[0].item.work, work);
    worker.complete(
        &scheduler,
        (granted[0].item.id, granted[0].item.epoch),
        copied(0, 0),
    );
    let (closing, _) = worker.lease_one(&scheduler);
    worker.complete(&scheduler, closing, copied(0, 0));
    assert!(result(&scheduler, 1).success);
}
