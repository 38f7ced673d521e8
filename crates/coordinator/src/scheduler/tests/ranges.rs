//! Ranges of huge files: what is held of them keeps no task from going on.

use std::task::{Context, Waker};

use model::{FileIdentity, RangeState, RangeWork, WorkKind};

use super::*;
use crate::store::TakeBack;

fn range(n: u64) -> (ItemId, Work) {
    let work = RangeWork {
        file: path("huge"),
        identity: FileIdentity {
            inode: 7,
            size: 1 << 40,
            modified_ns: 5,
            changed_ns: 6,
        },
        temp: ".dm.temp".to_owned(),
        temp_inode: 8,
        offset: n << 30,
        length: 1 << 30,
    };
    (item(2000 + n), Work::Range(work))
}

#[test]
fn a_task_goes_on_though_somebody_is_at_a_range_that_was_given_up() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let [owner, helper] = [1, 2].map(|n| Worker::register(&scheduler, n));
    let first = owner.begin_first(&scheduler);
    scheduler
        .split(first.0, first.1, &[range(0), range(1)])
        .unwrap();
    let held = helper.lease(&scheduler);
    assert!(held.len() == 2 && held.iter().all(|(_, work)| work.kind() == WorkKind::Range));
    let ids = [range(0).0, range(1).0];
    let states = scheduler.take_back(first.0, first.1, &ids, TakeBack::Waiting);
    assert_eq!(states.unwrap(), [RangeState::Leased; 2]);
    // It was written: no entry of the helper's.
    helper.complete(&scheduler, held[0].0, Outcome::default());
    let states = scheduler.take_back(first.0, first.1, &ids, TakeBack::All);
    assert_eq!(states.unwrap(), [RangeState::Done, RangeState::TakenBack]);
    owner.complete(&scheduler, first, copied(1, 0));
    // The marker.
    let (last, _) = owner.lease_one(&scheduler);
    owner.complete(&scheduler, last, copied(0, 0));
    assert!(scheduler.is_over());
    assert!(result(&scheduler, 1).success);
    let (item, epoch) = held[1].0;
    let late = scheduler.complete(
        helper.session,
        item,
        epoch,
        Outcome::default(),
        &[],
        Vec::new(),
    );
    assert!(late.unwrap_err().is_stale());
}

/// A worker has handed over three ranges, and another takes one item at a time.
fn with_ranges() -> (Place, Scheduler, [Worker; 2], Lease) {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let workers = [1, 2].map(|n| Worker::register(&scheduler, n));
    let [owner, helper] = workers;
    let first = owner.begin_first(&scheduler);
    let children: Vec<_> = (0..3).map(range).collect();
    scheduler.split(first.0, first.1, &children).unwrap();
    scheduler.note_room(helper.session, 1);
    (place, scheduler, workers, first)
}

#[test]
fn who_has_a_range_gets_something_else_first_and_no_third() {
    let (_place, scheduler, [owner, helper], (first, epoch)) = with_ranges();
    let walk = (item(1000), walk(&["a"]));
    scheduler.split(first, epoch, &[walk]).unwrap();
    let kinds = [(); 3].map(|()| {
        let (_, work) = helper.lease_one(&scheduler);
        work.kind()
    });
    let expected = [WorkKind::Range, WorkKind::Walk, WorkKind::Range];
    assert_eq!(kinds, expected);
    assert_eq!(helper.lease(&scheduler), []);
    // One of another worker's.
    let (_, work) = owner.lease_one(&scheduler);
    assert_eq!(work.kind(), WorkKind::Range);
}

#[test]
fn who_is_done_with_a_range_is_woken_for_the_next() {
    let (_place, scheduler, [_, helper], _) = with_ranges();
    let [(done, _), _] = [(); 2].map(|()| helper.lease_one(&scheduler));
    let waiting = scheduler.wait_for_work(helper.session, 1);
    assert_eq!(helper.lease(&scheduler), []);
    assert_eq!(waiting.should_look(), None);
    let mut woken = std::pin::pin!(waiting.woken());
    let mut context = Context::from_waker(Waker::noop());
    assert!(woken.as_mut().poll(&mut context).is_pending());
    helper.complete(&scheduler, done, Outcome::default());
    assert!(woken.as_mut().poll(&mut context).is_ready());
    assert_eq!(waiting.should_look(), Some(1));
}

#[test]
fn ranges_that_wait_keep_nobody_from_being_asked_for_those_who_have_theirs() {
    let (_place, scheduler, [owner, helper], (first, epoch)) = with_ranges();
    let _held = [(); 2].map(|()| helper.lease_one(&scheduler));
    let _waiting = scheduler.wait_for_work(helper.session, 1);
    assert_eq!(helper.lease(&scheduler), []);
    scheduler.tick(Instant::now() + ASK_AGAIN).unwrap();
    let asked = [Command::Share(first, epoch)];
    assert_eq!(scheduler.commands(owner.session).unwrap(), asked);
}
