//! Items of tasks that rclone copies.

use super::*;

fn rclone_place(n: usize) -> Place {
    let mut place = Place::with_tasks(n);
    place.settings.engines = (1..=n as u32)
        .map(|task| (TaskId(task), Engine::Rclone))
        .collect();
    place
}

fn files(n: u64) -> (ItemId, Work) {
    let work = Work::Files(FilesWork {
        files: n,
        bytes: 10 * n,
        place: ListPlace::Server,
    });
    (item(5_000 + n), work)
}

/// An outcome of a walk that left files to others.
fn walked(listed: u64, left: u64) -> Outcome {
    let mut outcome = copied(listed - left, 0);
    outcome.counters.listed = listed;
    outcome.counters.deferred = left;
    outcome
}

#[test]
fn rclone_s_items_go_to_workers_that_have_it_and_wait_for_one() {
    let place = rclone_place(1);
    let scheduler = place.open();
    let without = Newcomer {
        rclone: Err("rclone: not found in PATH".to_owned()),
        ..newcomer(1)
    };
    let id = scheduler.register(without, SessionId::from_random(1));
    let without = Worker {
        session: id.unwrap(),
    };
    assert!(without.lease(&scheduler).is_empty());
    scheduler.tick(Instant::now() + GRACE * 2).unwrap();
    let snapshot = scheduler.snapshot().unwrap();
    assert_eq!(snapshot.tasks[0].record.result, None, "it waits");
    let trouble = snapshot.tasks[0].trouble.as_deref().unwrap();
    assert!(trouble.contains("not found in PATH"), "{trouble}");

    let with = Worker::register(&scheduler, 2);
    let (lease, _) = with.lease_one(&scheduler);
    assert_eq!(scheduler.snapshot().unwrap().tasks[0].trouble, None);
    assert!(lease.1 > Epoch(0));
}

#[test]
fn where_no_other_worker_can_come_a_task_without_rclone_fails_at_once() {
    let mut place = rclone_place(1);
    place.settings.embedded = true;
    let scheduler = place.open();
    let without = Newcomer {
        rclone: Err("rclone: not found in PATH".to_owned()),
        ..newcomer(1)
    };
    scheduler
        .register(without, SessionId::from_random(1))
        .unwrap();
    scheduler.tick(Instant::now()).unwrap();
    let snapshot = scheduler.snapshot().unwrap();
    let result = snapshot.tasks[0].record.result.as_ref().unwrap();
    assert!(result.message.contains("not found in PATH"), "{result:?}");
    assert!(scheduler.is_over());
}

#[test]
fn lists_that_a_walk_wrote_become_items_with_its_end_and_the_books_balance() {
    let place = rclone_place(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let (lease, _) = worker.lease_one(&scheduler);
    scheduler
        .roots(lease.0, lease.1, &identity(), None)
        .unwrap();
    let children = [files(3), files(4)];
    let complete = || {
        scheduler.complete(
            worker.session,
            lease.0,
            lease.1,
            walked(9, 7),
            &children,
            Vec::new(),
        )
    };
    complete().unwrap();
    complete().unwrap();
    let leased = worker.lease(&scheduler);
    assert_eq!(leased.len(), 2, "each once: {leased:?}");
    for ((lease, _), n) in leased.iter().zip([3, 4]) {
        worker.complete(&scheduler, *lease, copied(n, 0));
    }
    let (close, _) = worker.lease_one(&scheduler);
    worker.complete(&scheduler, close, Outcome::default());
    let finished = scheduler.finished_tasks().unwrap();
    let counters = finished[0].ledger.outcome.counters;
    assert_eq!((counters.listed, counters.copied), (9, 9));
    assert!(finished[0].record.result.as_ref().unwrap().success);
}

#[test]
fn beside_the_server_sources_are_listed_and_elsewhere_files_are_copied() {
    let mut place = rclone_place(1);
    place.settings.server_side_listing = true;
    let scheduler = place.open();
    let elsewhere = Worker::register(&scheduler, 1);
    assert!(elsewhere.lease(&scheduler).is_empty());
    let lister = Newcomer {
        only_walks: true,
        rclone: Err("it only lists".to_owned()),
        ..newcomer(2)
    };
    let id = scheduler.register(lister, SessionId::from_random(2));
    let lister = Worker {
        session: id.unwrap(),
    };
    let (lease, _) = lister.lease_one(&scheduler);
    scheduler
        .roots(lease.0, lease.1, &identity(), None)
        .unwrap();
    let completed = scheduler.complete(
        lister.session,
        lease.0,
        lease.1,
        walked(3, 3),
        &[files(3)],
        Vec::new(),
    );
    completed.unwrap();
    assert!(lister.lease(&scheduler).is_empty());
    let (lease, work) = elsewhere.lease(&scheduler).remove(0);
    assert_eq!(work, files(3).1);
    elsewhere.complete(&scheduler, lease, copied(3, 0));
}

#[test]
fn a_list_is_taken_only_under_the_newest_epoch_and_served_as_it_was_sent() {
    let place = rclone_place(1);
    std::fs::create_dir(place.directory.path().join("pieces")).unwrap();
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let (lease, _) = worker.lease_one(&scheduler);
    scheduler
        .roots(lease.0, lease.1, &identity(), None)
        .unwrap();
    let list = item(5_002);
    let send = |lease, offset, bytes: &[u8], last| {
        scheduler.take_piece(worker.session, lease, Sent::List(list), offset, bytes, last)
    };
    let late = (lease.0, Epoch(lease.1.0 + 1));
    assert!(send(late, 0, b"1 a\0", false).unwrap_err().is_stale());
    assert_eq!(send(lease, 0, b"1 a\0", false).unwrap(), 4);
    assert_eq!(send(lease, 0, b"1 a\0", false).unwrap(), 4, "it came again");
    assert_eq!(send(lease, 4, b"2 b\0", true).unwrap(), 8);
    let outcome = walked(2, 2);
    let children = [(list, files(2).1)];
    scheduler
        .complete(
            worker.session,
            lease.0,
            lease.1,
            outcome,
            &children,
            Vec::new(),
        )
        .unwrap();
    let (lease, _) = worker.lease_one(&scheduler);
    assert_eq!(
        scheduler.listed(lease.0, 0, 5).unwrap(),
        (b"1 a\0".to_vec(), true)
    );
    assert_eq!(
        scheduler.listed(lease.0, 4, 5).unwrap(),
        (b"2 b\0".to_vec(), false)
    );
}
