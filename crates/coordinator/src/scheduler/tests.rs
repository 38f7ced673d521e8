//! The scheduler without gRPC: lives of tasks, with everything that can come between.

mod again;
mod fairness;
mod full_targets;
mod mounts;
mod no_room;
mod priorities;
mod ranges;
mod rclone;
mod refused;
mod released;
mod repeated;
mod soon;
mod support;
mod suspects;
mod waiters;

use model::{FilesWork, ItemState, ListPlace, NoRoom, Outcome, Work};

use super::*;
use crate::store::{GrantFrom, Kinds};
use support::{
    GRACE, LEASE, Lease, Place, Worker, copied, identity, is_close, item, newcomer, pass, path,
    result, walk,
};

#[test]
fn a_task_is_copied_closed_and_over() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    worker.complete(&scheduler, first, copied(5, 0));
    assert!(!scheduler.is_over());
    let (closing, work) = worker.lease_one(&scheduler);
    assert!(is_close(&work));
    worker.complete(&scheduler, closing, copied(0, 0));
    assert!(scheduler.is_over());
    assert!(result(&scheduler, 1).success);
    let rows = place.directory.path().join("data_migrate_results.csv");
    let rows = std::fs::read_to_string(rows).unwrap();
    assert!(rows.contains("Migrated task 1 successfully"), "{rows}");
}

#[test]
fn a_server_started_again_goes_on_from_every_step() {
    // How many steps there are, the loop finds out.
    for restart_before in 0.. {
        let place = Place::with_tasks(1);
        let mut scheduler = place.open();
        let mut step = 0;
        let mut restart = |scheduler: &mut Scheduler| {
            if step == restart_before {
                *scheduler = place.open();
                scheduler.take_up_results().unwrap();
            }
            step += 1;
        };
        let worker = Worker::register(&scheduler, 1);
        restart(&mut scheduler);
        let (first, _) = worker.lease_one(&scheduler);
        restart(&mut scheduler);
        scheduler
            .roots(first.0, first.1, &identity(), None)
            .unwrap();
        restart(&mut scheduler);
        let child = item(1001);
        let children = [(child, walk(&["a/b"]))];
        scheduler.split(first.0, first.1, &children).unwrap();
        restart(&mut scheduler);
        assert_eq!(worker.beat(&scheduler, &[first]), []);
        worker.complete(&scheduler, first, copied(5, 1));
        restart(&mut scheduler);
        // Its answer was lost.
        worker.complete(&scheduler, first, copied(5, 1));
        for expected in [1, 0, 0] {
            let (lease, _) = worker.lease_one(&scheduler);
            restart(&mut scheduler);
            assert_eq!(worker.beat(&scheduler, &[lease]), []);
            worker.complete(&scheduler, lease, copied(expected, 0));
            restart(&mut scheduler);
        }
        assert!(scheduler.is_over(), "restart before step {restart_before}");
        let result = result(&scheduler, 1);
        assert!(result.success, "{}", result.message);
        let snapshot = scheduler.snapshot().unwrap();
        assert_eq!(snapshot.counters().listed, 6);
        let items = scheduler.store.items(scheduler.run, TaskId(1)).unwrap();
        assert!(
            items
                .iter()
                .all(|r| r.item.state == ItemState::Done && r.item.epoch == Epoch(1))
        );
        if restart_before > step {
            break;
        }
    }
}

#[test]
fn directories_that_several_items_wrote_into_get_their_attributes_last() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    let children = [
        (item(1001), walk(&["a/b", "a/c"])),
        (item(1002), walk(&["d"])),
    ];
    scheduler.split(first.0, first.1, &children).unwrap();
    worker.complete(&scheduler, first, copied(4, 3));
    let granted = worker.lease(&scheduler);
    assert_eq!(granted.len(), 2);
    for (lease, work) in granted {
        let Work::Walk { directories, .. } = work else {
            panic!("{work:?}");
        };
        worker.complete(&scheduler, lease, copied(directories.len() as u64, 0));
    }
    worker.end(&scheduler, "a");
    let result = result(&scheduler, 1);
    assert!(result.success, "{}", result.message);
    assert_eq!(scheduler.snapshot().unwrap().counters().listed, 7);
}

#[test]
fn what_a_dead_attempt_handed_over_is_left_out_by_the_next_and_may_vanish() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let lost = Worker::register(&scheduler, 1);
    let first = lost.begin_first(&scheduler);
    let children = [(item(1001), walk(&["a"])), (item(1002), walk(&["b"]))];
    scheduler.split(first.0, first.1, &children).unwrap();
    pass(&scheduler, Instant::now(), LEASE + Duration::from_secs(1));
    let worker = Worker::register(&scheduler, 2);
    // What it handed over is beyond suspicion.
    for (lease, _) in worker.lease(&scheduler) {
        worker.complete(&scheduler, lease, copied(1, 0));
    }
    let answer = scheduler.lease(worker.session, 5, 1).unwrap();
    let (again, _) = &answer.grants[0];
    assert_eq!((again.item.id, again.item.epoch), (first.0, Epoch(2)));
    assert!(again.has_children);
    assert_eq!(scheduler.children(first.0, 0, 10).unwrap(), children);
    // The late worker is told, and changes nothing.
    let late = scheduler.complete(
        lost.session,
        first.0,
        first.1,
        copied(9, 2),
        &[],
        Vec::new(),
    );
    assert!(late.unwrap_err().is_stale());
    let late = scheduler.split(first.0, first.1, &[(item(1003), walk(&["c"]))]);
    assert!(late.unwrap_err().is_stale());
    assert!(matches!(
        scheduler.heartbeat(lost.session, vec![], ""),
        Err(Refused::UnknownSession)
    ));
    // `b` has gone from the source meanwhile.
    worker.complete(&scheduler, (first.0, Epoch(2)), copied(3, 1));
    // The lost worker may still write: the last item waits for its word.
    scheduler.tick(Instant::now()).unwrap();
    assert_eq!(worker.lease(&scheduler), []);
    scheduler.leave(lost.session).unwrap();
    scheduler.tick(Instant::now()).unwrap();
    let (closing, work) = worker.lease_one(&scheduler);
    assert!(is_close(&work));
    worker.complete(&scheduler, closing, copied(0, 0));
    let result = result(&scheduler, 1);
    assert!(result.success, "{}", result.message);
}

#[test]
fn a_lost_attempt_at_closing_is_waited_for_like_any_other() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let lost = Worker::register(&scheduler, 1);
    let first = lost.begin_first(&scheduler);
    lost.complete(&scheduler, first, copied(1, 0));
    assert!(is_close(&lost.lease_one(&scheduler).1));
    let begun = Instant::now();
    pass(&scheduler, begun, LEASE + Duration::from_secs(1));
    let worker = Worker::register(&scheduler, 2);
    let (closing, _) = worker.lease_one(&scheduler);
    worker.complete(&scheduler, closing, copied(0, 0));
    // It may be about to set the root's attributes.
    scheduler.tick(Instant::now()).unwrap();
    assert!(!scheduler.is_over());
    scheduler.leave(lost.session).unwrap();
    scheduler.tick(Instant::now()).unwrap();
    assert!(scheduler.is_over());
    assert!(result(&scheduler, 1).success);
}

#[test]
fn two_workers_are_never_both_the_first_at_a_task() {
    let place = Place::with_works(vec![vec![walk(&["a"]), walk(&["b"])]]);
    let scheduler = place.open();
    let (one, two) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let (first, _) = one.lease_one(&scheduler);
    assert_eq!(two.lease(&scheduler), []);
    scheduler
        .roots(first.0, first.1, &identity(), None)
        .unwrap();
    assert_eq!(two.lease(&scheduler).len(), 1);
}

#[test]
fn workers_at_a_task_that_ended_are_told_until_they_obey() {
    let place = Place::with_works(vec![vec![walk(&["a"]), walk(&["b"])], vec![walk(&[""])]]);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let granted = worker.lease(&scheduler);
    for ((item, epoch), _) in &granted {
        scheduler.roots(*item, *epoch, &identity(), None).unwrap();
    }
    let (other, _) = worker.lease_one(&scheduler);
    worker.release(&scheduler, granted[0].0, ReleaseReason::Task);
    let cancel = [Command::Cancel(other.0, other.1)];
    assert_eq!(scheduler.commands(worker.session).unwrap(), cancel);
    assert_eq!(scheduler.commands(worker.session).unwrap(), []);
    if let Some(session) = scheduler.state().fleet.session(worker.session) {
        let held = session.held.get_mut(&other.0).unwrap();
        held.told_to_cancel = held.told_to_cancel.map(|told| told - LEASE);
    }
    assert_eq!(scheduler.commands(worker.session).unwrap(), cancel);
    let late = scheduler.complete(
        worker.session,
        other.0,
        other.1,
        copied(1, 0),
        &[],
        Vec::new(),
    );
    assert!(late.unwrap_err().is_stale());
    assert_eq!(scheduler.commands(worker.session).unwrap(), []);
    assert_eq!(scheduler.unfinished(), [TaskId(2)]);
}

#[test]
fn a_task_of_an_empty_list_is_over_at_the_start() {
    let place = Place::with_works(vec![vec![]]);
    let scheduler = place.open();
    scheduler.take_up_results().unwrap();
    assert!(scheduler.is_over());
    assert!(result(&scheduler, 1).success);
}

#[test]
fn who_idles_gets_work_of_those_who_are_busy_but_none_that_it_refused() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let (busy, idle) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let first = busy.begin_first(&scheduler);
    let _waiting = scheduler.wait_for_work(idle.session, 2);
    assert_eq!(idle.lease(&scheduler), []);
    let later = Instant::now() + ASK_AGAIN;
    let refuse = |task| {
        let now = Instant::now();
        scheduler
            .state()
            .fleet
            .refuse(idle.session, task, String::new(), now);
    };
    refuse(TaskId(1));
    scheduler.tick(later).unwrap();
    assert_eq!(scheduler.commands(busy.session).unwrap(), []);
    if let Some(session) = scheduler.state().fleet.session(idle.session) {
        session.refusals.clear();
    }
    scheduler.tick(later).unwrap();
    let share = [Command::Share(first.0, first.1)];
    assert_eq!(scheduler.commands(busy.session).unwrap(), share);
}

#[test]
fn pages_of_a_list_end_between_paths_whatever_is_asked_for() {
    let list = Work::Paths {
        offset: 2,
        length: 12,
    };
    let place = Place::with_works(vec![vec![list]]);
    let mut scheduler = place.open();
    let file = place.directory.path().join("list");
    std::fs::write(&file, b"x\0aaaaaaa\0b\0c\0z\0").unwrap();
    let stored = StoredList {
        file,
        hash: String::new(),
        paths: 5,
        patterns: 0,
        refused: Vec::new(),
    };
    scheduler.lists.insert(TaskId(1), stored);
    let page = |from, bytes| scheduler.listed(item(100), from, bytes).unwrap();
    assert_eq!(page(0, 3), (b"aaaaaaa\0".to_vec(), true));
    assert_eq!(page(8, 3), (b"b\0".to_vec(), true));
    assert_eq!(page(8, 100), (b"b\0c\0".to_vec(), false));
    assert_eq!(page(u64::MAX, 100), (Vec::new(), false));
}

#[test]
fn a_shorter_lease_after_a_restart_does_not_shorten_those_that_workers_count_on() {
    let mut place = Place::with_tasks(1);
    let worker = {
        let scheduler = place.open();
        let worker = Worker::register(&scheduler, 1);
        worker.begin_first(&scheduler);
        worker
    };
    place.settings.lease = Duration::from_secs(2);
    let scheduler = place.open();
    let other = Worker::register(&scheduler, 2);
    let now = Instant::now();
    pass(&scheduler, now, LEASE - Duration::from_secs(1));
    assert!(scheduler.state().fleet.session(worker.session).is_some());
    pass(&scheduler, now + LEASE, Duration::from_secs(2));
    assert!(scheduler.state().fleet.session(worker.session).is_none());
    assert!(scheduler.state().fleet.session(other.session).is_none());
}

#[test]
fn a_new_run_begins_when_the_attempts_of_the_cancelled_one_have_ended() {
    let mut place = Place::with_tasks(1);
    let (worker, old) = {
        let scheduler = place.open();
        let worker = Worker::register(&scheduler, 1);
        let lease = worker.begin_first(&scheduler);
        (worker, lease)
    };
    let cancelled = RunId::from_random(77);
    place.run = 78;
    place.works = vec![vec![walk(&["other"])]];
    let scheduler = place.open();
    scheduler.wait_for_attempts_of(cancelled).unwrap();
    let other = Worker::register(&scheduler, 2);
    assert!(other.lease(&scheduler).is_empty());
    // It hears that its attempt is over, and lists it no more.
    assert_eq!(worker.beat(&scheduler, &[old]), [old]);
    assert!(other.lease(&scheduler).is_empty());
    worker.beat(&scheduler, &[]);
    other.lease_one(&scheduler);
}

#[test]
fn a_task_is_told_of_once_and_again_only_if_its_row_was_not_written() {
    let told_at = |scheduler: Scheduler| {
        let (notices, fake) = crate::notices::fake::taken_at("http://a/x");
        (scheduler.with_notices(notices.clone()), notices, fake)
    };
    let settled = |notices, fake: Arc<crate::notices::fake::Fake>| {
        crate::notices::fake::settle(notices, Duration::from_secs(60));
        fake.posts("http://a")
    };
    let place = Place::with_tasks(3);
    let (scheduler, notices, fake) = told_at(place.open());
    let failed = || failed("a reason".to_owned(), now_ms());
    scheduler.fail_task(TaskId(1), "a reason".into()).unwrap();
    // The server dies between the end of the task and its row.
    let (store, run) = (scheduler.store.clone(), scheduler.run);
    store.finish_task(run, TaskId(2), failed()).unwrap();
    drop(scheduler);
    assert_eq!(settled(&notices, fake), ["task 1"]);

    let (scheduler, notices, fake) = told_at(place.open());
    scheduler.take_up_results().unwrap();
    scheduler.fail_task(TaskId(3), "a reason".into()).unwrap();
    assert!(scheduler.is_over());
    assert_eq!(settled(&notices, fake), ["task 2", "task 3"]);

    let (scheduler, notices, fake) = told_at(place.open());
    scheduler.take_up_results().unwrap();
    assert_eq!(settled(&notices, fake), [""; 0]);
}
