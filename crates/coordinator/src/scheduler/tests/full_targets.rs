//! Targets that take nothing more.

use super::*;

/// Of tasks 1 and 2 the targets lie on one volume, that of 3 on another; each has its first item leased, and two more
/// waiting.
fn begun(place: &Place) -> (Scheduler, Worker, Vec<Lease>) {
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let firsts: Vec<Lease> = worker.lease(&scheduler).into_iter().map(|l| l.0).collect();
    for (n, ((item, epoch), volume)) in (1..).zip(firsts.iter().zip(["/a", "/a", "/b"])) {
        let volume = Some(volume.into());
        let agreed = scheduler.roots(*item, *epoch, &identity(), volume);
        agreed.unwrap();
        let children = [0, 1].map(|k| (super::item(n * 1000 + k), walk(&["a"])));
        scheduler.split(*item, *epoch, &children).unwrap();
    }
    (scheduler, worker, firsts)
}

fn space() -> ReleaseReason {
    ReleaseReason::TargetFull(Full {
        no_room: NoRoom::Space,
        volume: Some("/a".into()),
    })
}

fn tasks_of(leases: &[(Lease, Work)]) -> Vec<u64> {
    let task = |((item, _), _): &(Lease, Work)| {
        (1..=3).find(|n| {
            [0, 1].map(|k| super::item(n * 1000 + k)).contains(item)
                || super::item(n * 100) == *item
        })
    };
    leases.iter().filter_map(task).collect()
}

fn states(scheduler: &Scheduler) -> Vec<&'static str> {
    let tasks = scheduler.snapshot().unwrap().tasks;
    tasks.iter().map(TaskSnapshot::state_name).collect()
}

#[test]
fn of_a_full_volume_nothing_is_granted_and_others_go_on() {
    let place = Place::with_tasks(3);
    let (scheduler, worker, firsts) = begun(&place);
    worker.release(&scheduler, firsts[0], space());
    assert_eq!(states(&scheduler), ["paused", "paused", "running"]);
    assert_eq!(tasks_of(&worker.lease(&scheduler)), [3, 3]);
    let reply = crate::status::reply(&scheduler, 0).unwrap();
    for task in [0, 1] {
        let message = &reply.tasks[task].message;
        assert!(
            message.contains("takes nothing more") && message.contains("a reason"),
            "{message}"
        );
    }
    // What waits for room keeps nobody from sharing what others have.
    let now = Instant::now() + ASK_AGAIN;
    let idle = Worker::register(&scheduler, 9);
    assert_eq!(idle.lease(&scheduler), []);
    let _waiting = scheduler.wait_for_work(idle.session, 1);
    scheduler.tick(now).unwrap();
    let asked = scheduler.commands(worker.session).unwrap();
    assert!(asked.contains(&Command::Share(firsts[2].0, firsts[2].1)));
    let of_the_third = |command: &Command| match command {
        Command::Share(item, _) => scheduler.store.standing(*item).unwrap().task == TaskId(3),
        _ => false,
    };
    assert!(asked.iter().all(of_the_third), "{asked:?}");
}

#[test]
fn a_probe_that_copies_lets_all_go_on_at_no_cost() {
    let mut place = Place::with_tasks(3);
    place.settings.full_target = Duration::ZERO;
    let (scheduler, worker, firsts) = begun(&place);
    worker.release(&scheduler, firsts[0], space());
    worker.release(&scheduler, firsts[1], space());
    worker.complete(&scheduler, firsts[2], copied(1, 2));
    // One task after the other.
    for of in [1, 2, 1] {
        let granted = worker.lease(&scheduler);
        assert_eq!(tasks_of(&granted)[0], of);
        assert_eq!(tasks_of(&granted).iter().filter(|t| **t < 3).count(), 1);
        assert_eq!(worker.lease(&scheduler), [], "one probe at a time");
        worker.release(&scheduler, granted[0].0, space());
    }
    let probe = worker.lease(&scheduler)[0].clone();
    worker.complete(&scheduler, probe.0, copied(1, 2));
    let mut granted = tasks_of(&worker.lease(&scheduler));
    granted.sort();
    let snapshot = scheduler.snapshot().unwrap();
    assert!(snapshot.tasks.iter().all(|task| task.ledger.retries == 0));
    assert_eq!(granted.len(), 5, "{granted:?}");
    assert!(snapshot.tasks.iter().all(|task| task.trouble.is_none()));
    assert!(!states(&scheduler).contains(&"paused"));
}

#[test]
fn a_late_word_of_a_full_target_pauses_nothing() {
    let place = Place::with_tasks(3);
    let (scheduler, worker, firsts) = begun(&place);
    worker.complete(&scheduler, firsts[0], copied(0, 0));
    let (item, epoch) = firsts[0];
    let late = scheduler.release(worker.session, item, epoch, space(), "late", Duration::ZERO);
    assert!(late.unwrap_err().is_stale());
    assert!(!states(&scheduler).contains(&"paused"));
}

#[test]
fn a_probe_whose_worker_is_lost_is_followed_by_another() {
    let mut place = Place::with_tasks(3);
    place.settings.full_target = Duration::ZERO;
    let (scheduler, worker, firsts) = begun(&place);
    worker.release(&scheduler, firsts[0], space());
    let other = Worker::register(&scheduler, 2);
    assert!(!other.lease(&scheduler).is_empty());
    scheduler.leave(other.session).unwrap();
    scheduler.tick(Instant::now()).unwrap();
    assert!(tasks_of(&worker.lease(&scheduler))[0] < 3);
}
