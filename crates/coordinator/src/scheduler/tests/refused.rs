//! Tasks that workers can't run.

use super::*;

#[test]
fn a_worker_that_can_not_run_a_task_leaves_it_to_others() {
    let place = Place::with_tasks(2);
    let scheduler = place.open();
    let (one, two) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let granted = one.lease(&scheduler);
    one.release(&scheduler, granted[0].0, ReleaseReason::Machine);
    assert_eq!(one.lease(&scheduler), []);
    let (lease, _) = two.lease_one(&scheduler);
    assert_eq!(lease, (granted[0].0.0, Epoch(2)));
    assert_eq!(scheduler.snapshot().unwrap().tasks[0].ledger.retries, 0);
}

#[test]
fn a_task_that_all_refuse_fails_after_the_grace_and_the_others_go_on() {
    let place = Place::with_tasks(2);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let granted = worker.lease(&scheduler);
    worker.release(&scheduler, granted[0].0, ReleaseReason::Machine);
    let now = Instant::now();
    scheduler.tick(now).unwrap();
    assert_eq!(scheduler.unfinished(), [TaskId(1), TaskId(2)]);
    scheduler.tick(now + GRACE).unwrap();
    assert_eq!(scheduler.unfinished(), [TaskId(2)]);
    assert_eq!(result(&scheduler, 1).message, "a reason");
}

#[test]
fn the_one_worker_that_can_run_a_task_has_time_to_come_back() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let (unable, able) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let (lease, _) = unable.lease_one(&scheduler);
    unable.release(&scheduler, lease, ReleaseReason::Machine);
    able.begin_first(&scheduler);
    let later = Instant::now() + GRACE;
    scheduler.tick(later).unwrap();
    scheduler.leave(able.session).unwrap();
    scheduler.tick(later + GRACE / 2).unwrap();
    assert_eq!(scheduler.unfinished(), [TaskId(1)]);
    scheduler.tick(later + GRACE).unwrap();
    assert!(result(&scheduler, 1).message.starts_with("incomplete: "));
}
