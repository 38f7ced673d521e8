//! Items that come back, and when they are granted again.

use super::*;
use crate::store::Suspects;

#[test]
fn an_item_that_fails_at_every_attempt_makes_its_task_incomplete() {
    let mut place = Place::with_tasks(1);
    place.settings.item_attempts = 1;
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    scheduler
        .split(first.0, first.1, &[(item(1001), walk(&["a"]))])
        .unwrap();
    worker.release(&scheduler, first, ReleaseReason::Failed);
    // What it handed over is still done, and the marker removed.
    for entries in [1, 0] {
        let (lease, _) = worker.lease_one(&scheduler);
        worker.complete(&scheduler, lease, copied(entries, 0));
    }
    assert!(scheduler.is_over());
    let message = result(&scheduler, 1).message;
    assert!(
        message.contains("1 item failed at every attempt: a reason"),
        "{message}"
    );
    assert!(!message.contains("add up"), "{message}");
}

#[test]
fn a_failed_attempt_is_tried_again_later_and_costs_one() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    worker.release(&scheduler, first, ReleaseReason::Failed);
    assert_eq!(worker.lease(&scheduler), []);
    let task = &scheduler.snapshot().unwrap().tasks[0];
    assert_eq!((task.open_items, task.ledger.retries), (1, 1));
}

#[test]
fn a_full_target_holds_its_task_up_and_fails_nothing() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    let full = Full {
        no_room: NoRoom::Space,
        volume: None,
    };
    worker.release(&scheduler, first, ReleaseReason::TargetFull(full));
    assert_eq!(worker.lease(&scheduler), []);
    pass(&scheduler, Instant::now(), GRACE * 2);
    let task = &scheduler.snapshot().unwrap().tasks[0];
    assert_eq!((task.open_items, task.ledger.retries), (1, 0));
    assert_eq!(task.trouble.as_deref(), Some("a reason"));
}

#[test]
fn a_worker_says_when_its_item_may_be_granted_again_and_not_for_ever() {
    for (asked, secs) in [(0, 0), (90, 90), (u64::from(u32::MAX), 3600)] {
        let place = Place::with_tasks(1);
        let scheduler = place.open();
        let worker = Worker::register(&scheduler, 1);
        let (item, epoch) = worker.begin_first(&scheduler);
        let (drain, asked) = (ReleaseReason::Drain, Duration::from_secs(asked));
        let before = now_ms();
        let released = scheduler.release(worker.session, item, epoch, drain, "later", asked);
        released.unwrap();
        let from = [GrantFrom {
            task: TaskId(1),
            at_most: 1,
            kinds: Kinds::All,
            suspects: Suspects::LeftOut,
        }];
        let after = now_ms();
        let is_granted = |at: Millis| {
            let granted = scheduler
                .store
                .grant(scheduler.run, &from, worker.session, 1, at);
            !granted.unwrap().is_empty()
        };
        assert!(
            secs == 0 || !is_granted(before + secs * 1000 - 1),
            "{asked:?}"
        );
        assert!(is_granted(after + secs * 1000), "{asked:?}");
    }
}
