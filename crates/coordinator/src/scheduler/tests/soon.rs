//! Calls that keep no thread waiting bring about what the others do.

use super::*;

#[test]
fn a_run_of_calls_that_wait_for_no_thread_ends_like_any_other() {
    let place = Place::with_tasks(1);
    let scheduler = Arc::new(place.open());
    let worker = Worker::register(&scheduler, 1);
    let (item, epoch) = worker.begin_first(&scheduler);
    scheduler
        .split(item, epoch, &[(self::item(1001), walk(&["a"]))])
        .unwrap();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.build().unwrap();
    let lease = |request| {
        let leased = scheduler.clone().lease_soon(worker.session, request, 1);
        let grants = runtime.block_on(leased).unwrap().grants;
        (grants[0].0.item.id, grants[0].0.item.epoch)
    };
    let complete = |(item, epoch): Lease, outcome| {
        let task = scheduler.held_task(worker.session, item);
        let attempt = Attempt {
            session: worker.session,
            item,
            epoch,
            task: task.expect("it is held"),
        };
        runtime.block_on(scheduler.complete_held(attempt, outcome, &[]))
    };
    let child = lease(7);
    assert_eq!(lease(7), child, "the same call, another answer");
    let next = complete((item, epoch), copied(3, 1)).unwrap();
    assert_eq!(next, None, "something of the task is still held");
    let late = complete((child.0, Epoch(child.1.0 + 1)), copied(1, 0));
    assert!(late.unwrap_err().is_stale());
    let next = complete(child, copied(1, 0)).unwrap();
    assert_eq!(next, Some(TaskId(1)));
    scheduler.advance(TaskId(1)).unwrap();
    let close = lease(8);
    let next = complete(close, copied(0, 0)).unwrap();
    scheduler.advance(next.expect("it was the last")).unwrap();
    assert!(result(&scheduler, 1).success);
}
