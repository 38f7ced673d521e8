//! How tasks share the workers.

use super::*;

const DIRECTORIES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Tasks with so many items each, whose sources are known.
pub(super) fn begun(tasks: &[usize]) -> (Place, Scheduler, Worker) {
    begun_with(tasks, &[])
}

/// The same with these priorities, in the order of the tasks.
pub(super) fn begun_with(tasks: &[usize], priorities: &[i32]) -> (Place, Scheduler, Worker) {
    let works = |n: &usize| DIRECTORIES[..*n].iter().map(|d| walk(&[d])).collect();
    let mut place = Place::with_works(tasks.iter().map(works).collect());
    place.settings.priorities = (1..)
        .zip(priorities)
        .map(|(task, number)| (TaskId(task), Priority::new(*number).unwrap()))
        .collect();
    let scheduler = place.open();
    for task in scheduler.unfinished() {
        let store = &scheduler.store;
        let identity = store.set_source_identity(scheduler.run, task, &identity());
        let mut state = scheduler.state();
        let task = state.tasks.get_mut(&task).unwrap();
        task.record.source_identity = Some(identity.unwrap());
    }
    let worker = Worker::register(&scheduler, 1);
    (place, scheduler, worker)
}

/// The tasks of so many grants, one by one.
pub(super) fn granted(scheduler: &Scheduler, worker: Worker, n: usize) -> Vec<u32> {
    let lease = |_| {
        let answer = scheduler.lease(worker.session, crate::random(), 1).unwrap();
        answer.grants[0].0.item.task.0
    };
    (0..n).map(lease).collect()
}

#[test]
fn tasks_with_waiting_items_take_turns() {
    let (_place, scheduler, worker) = begun(&[6, 3, 1]);
    let tasks = granted(&scheduler, worker, 10);
    assert_eq!(tasks, [1, 2, 3, 1, 2, 1, 2, 1, 1, 1]);
}

#[test]
fn a_task_that_comes_late_has_its_turn_at_once() {
    let (_place, scheduler, worker) = begun(&[6, 1]);
    assert_eq!(granted(&scheduler, worker, 3), [1, 2, 1]);
    let parent = scheduler.store.items(scheduler.run, TaskId(2)).unwrap();
    let parent = &parent[0].item;
    let children = [(item(1001), walk(&["later"]))];
    scheduler.split(parent.id, parent.epoch, &children).unwrap();
    assert_eq!(granted(&scheduler, worker, 2), [2, 1]);
}

#[test]
fn what_ends_a_task_goes_before_what_others_have_to_copy() {
    let (_place, scheduler, worker) = begun(&[2, 1]);
    assert_eq!(granted(&scheduler, worker, 2), [1, 2]);
    let only = scheduler.store.items(scheduler.run, TaskId(2)).unwrap();
    let only = &only[0].item;
    let outcome = Outcome::default();
    scheduler
        .complete(worker.session, only.id, only.epoch, outcome, &[], vec![])
        .unwrap();
    // It has had its turn, and its last item is next all the same.
    assert_eq!(granted(&scheduler, worker, 2), [2, 1]);
}
