//! Tasks that go before others.

use super::fairness::{begun_with, granted};
use super::*;

/// Completes the only item of a task.
fn complete_only(scheduler: &Scheduler, worker: Worker, task: u32) {
    let items = scheduler.store.items(scheduler.run, TaskId(task)).unwrap();
    let only = (items[0].item.id, items[0].item.epoch);
    worker.complete(scheduler, only, Outcome::default());
}

#[test]
fn the_highest_priority_goes_first_and_equals_take_turns() {
    let (_place, scheduler, worker) = begun_with(&[2, 2, 1, 2], &[0, 5, -1, 5]);
    assert_eq!(granted(&scheduler, worker, 7), [2, 4, 2, 4, 1, 1, 3]);
}

#[test]
fn what_comes_late_of_a_higher_priority_is_next() {
    let (_place, scheduler, worker) = begun_with(&[4, 1], &[0, 5]);
    assert_eq!(granted(&scheduler, worker, 3), [2, 1, 1]);
    let parent = scheduler.store.items(scheduler.run, TaskId(2)).unwrap();
    let parent = &parent[0].item;
    let children = [0, 1].map(|n| (item(1000 + n), walk(&["later"])));
    scheduler.split(parent.id, parent.epoch, &children).unwrap();
    assert_eq!(granted(&scheduler, worker, 4), [2, 2, 1, 1]);
}

#[test]
fn slots_that_a_higher_priority_leaves_are_filled_with_lower_ones() {
    let (_place, scheduler, worker) = begun_with(&[2, 2, 2], &[0, 5, -5]);
    let answer = scheduler.lease(worker.session, 1, 5).unwrap();
    let tasks: Vec<u32> = (answer.grants.iter())
        .map(|(granted, _)| granted.item.task.0)
        .collect();
    assert_eq!(tasks, [2, 2, 1, 1, 3]);
}

#[test]
fn busy_threads_leave_no_slot_to_a_lower_priority() {
    let (_place, scheduler, worker) = begun_with(&[2, 3], &[0, 5]);
    scheduler.note_room(worker.session, 0);
    let answer = scheduler.lease(worker.session, 1, 4).unwrap();
    let tasks = answer.grants.iter().map(|(granted, _)| granted.item.task.0);
    assert_eq!(tasks.collect::<Vec<_>>(), [2, 2, 2, 1]);
}

#[test]
fn who_can_not_run_a_higher_priority_gets_a_lower_one() {
    let (_place, scheduler, unable) = begun_with(&[2, 2], &[0, 5]);
    let able = Worker::register(&scheduler, 2);
    let now = Instant::now();
    let refuse = |state: &mut State| {
        let why = "no mount".to_owned();
        state.fleet.refuse(unable.session, TaskId(2), why, now);
    };
    refuse(&mut scheduler.state());
    assert_eq!(granted(&scheduler, unable, 2), [1, 1]);
    assert_eq!(granted(&scheduler, able, 2), [2, 2]);
}

#[test]
fn while_a_higher_priority_waits_for_its_first_worker_others_get_a_lower_one() {
    let mut place = Place::with_tasks(2);
    place.settings.priorities = BTreeMap::from([(TaskId(2), Priority::HIGHEST)]);
    let scheduler = place.open();
    let [one, two] = [1, 2].map(|n| Worker::register(&scheduler, n));
    assert_eq!(granted(&scheduler, one, 1), [2]);
    assert_eq!(granted(&scheduler, two, 1), [1]);
}

#[test]
fn while_a_higher_priority_waits_for_its_time_lower_ones_go_on() {
    let (_place, scheduler, worker) = begun_with(&[2, 1], &[0, 5]);
    assert_eq!(granted(&scheduler, worker, 1), [2]);
    let items = scheduler.store.items(scheduler.run, TaskId(2)).unwrap();
    let (item, epoch) = (items[0].item.id, items[0].item.epoch);
    let hour = Duration::from_secs(3600);
    scheduler
        .release(worker.session, item, epoch, ReleaseReason::Failed, "", hour)
        .unwrap();
    assert_eq!(granted(&scheduler, worker, 2), [1, 1]);
}

#[test]
fn a_full_target_of_a_higher_priority_keeps_nobody_from_a_lower_one() {
    let (_place, scheduler, worker) = begun_with(&[2, 3], &[0, 5]);
    assert_eq!(granted(&scheduler, worker, 1), [2]);
    let items = scheduler.store.items(scheduler.run, TaskId(2)).unwrap();
    let full = Full {
        no_room: NoRoom::Space,
        volume: None,
    };
    let first = (items[0].item.id, items[0].item.epoch);
    worker.release(&scheduler, first, ReleaseReason::TargetFull(full));
    assert_eq!(granted(&scheduler, worker, 2), [1, 1]);
}

#[test]
fn a_probe_of_a_full_target_waits_for_a_higher_priority() {
    let mut place = begun_with(&[2, 2], &[0, 5]).0;
    place.settings.full_target = Duration::ZERO;
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 7);
    let now = Instant::now();
    let full = Full {
        no_room: NoRoom::Space,
        volume: None,
    };
    let earlier = (item(9), Epoch(1));
    let told = (scheduler.state().targets).full(TaskId(1), earlier, full, "", now);
    assert!(told.is_some());
    assert_eq!(granted(&scheduler, worker, 3), [2, 2, 1]);
}

#[test]
fn what_ends_a_task_waits_for_a_higher_priority() {
    let (_place, scheduler, worker) = begun_with(&[1, 2, 2], &[0, 5, 0]);
    assert_eq!(granted(&scheduler, worker, 1), [2]);
    let held = Worker::register(&scheduler, 2);
    let now = Instant::now();
    let refuse = |state: &mut State| {
        let why = "no mount".to_owned();
        state.fleet.refuse(held.session, TaskId(2), why, now);
    };
    refuse(&mut scheduler.state());
    assert_eq!(granted(&scheduler, held, 1), [1]);
    complete_only(&scheduler, held, 1);
    assert_eq!(granted(&scheduler, worker, 4), [2, 1, 3, 3]);
}

#[test]
fn suspects_of_a_higher_priority_go_before_what_is_beyond_suspicion_of_a_lower_one() {
    let (_place, scheduler, lost) = begun_with(&[3, 2], &[0, 5]);
    assert_eq!(granted(&scheduler, lost, 1), [2]);
    pass(&scheduler, Instant::now(), LEASE + Duration::from_secs(1));
    let suspect = scheduler.store.items(scheduler.run, TaskId(2)).unwrap();
    let suspect = &suspect[0].item;
    assert!(suspect.is_suspect());
    let [one, two] = [2, 3].map(|n| Worker::register(&scheduler, n));
    // Beside others none is run, and the slot does not stay empty for it.
    assert_eq!(granted(&scheduler, one, 2), [2, 1]);
    let answer = scheduler.lease(two.session, 1, 9).unwrap();
    let items: Vec<ItemId> = answer.grants.iter().map(|g| g.0.item.id).collect();
    assert_eq!(items, [suspect.id]);
    assert_eq!(granted(&scheduler, one, 2), [1, 1]);
}

#[test]
fn a_look_that_brings_others_learns_that_there_are_no_suspects() {
    let (_place, scheduler, worker) = begun_with(&[2, 1], &[0, 5]);
    let may_have = |task| {
        let state = scheduler.state();
        let stock = &state.tasks[&TaskId(task)].stock;
        stock.may_have_suspects(Kinds::All, 0)
    };
    assert_eq!(granted(&scheduler, worker, 1), [2]);
    assert!(may_have(2), "nobody looked for them");
    let empty = Worker::register(&scheduler, 2);
    assert_eq!(granted(&scheduler, empty, 1), [1]);
    assert!(!may_have(2));
    assert!(may_have(1), "nobody looked for them");
}

#[test]
fn a_server_that_starts_again_goes_by_the_priorities_of_now() {
    let (mut place, scheduler, worker) = begun_with(&[3, 3, 1], &[5, 0, 0]);
    assert_eq!(granted(&scheduler, worker, 1), [1]);
    drop(scheduler);
    place.settings.priorities = BTreeMap::from([(TaskId(3), Priority::HIGHEST)]);
    let scheduler = place.open();
    assert_eq!(granted(&scheduler, worker, 4), [3, 1, 2, 1]);
    let shown = scheduler.snapshot().unwrap().tasks;
    let shown: Vec<i32> = shown.iter().map(|task| task.priority.get()).collect();
    assert_eq!(shown, [0, 0, 1000]);
    let reply = crate::status::reply(&scheduler, 0).unwrap();
    assert_eq!(reply.tasks[2].priority, 1000);
}

#[test]
fn a_lower_priority_is_asked_to_share_beside_a_higher_one() {
    let (_place, scheduler, worker) = begun_with(&[1, 1], &[0, 5]);
    assert_eq!(granted(&scheduler, worker, 2), [2, 1]);
    let idle = Worker::register(&scheduler, 2);
    assert_eq!(idle.lease(&scheduler), []);
    let _waiting = scheduler.wait_for_work(idle.session, 1);
    scheduler.tick(Instant::now() + ASK_AGAIN).unwrap();
    let asked = scheduler.commands(worker.session).unwrap();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let is_share = |command: &Command| matches!(command, Command::Share(..));
    assert!(asked.iter().all(is_share), "{asked:?}");
}
