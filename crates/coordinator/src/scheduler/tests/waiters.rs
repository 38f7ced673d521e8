//! Who is woken by what comes, and what it costs that many wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use super::fairness::begun;
use super::*;
use crate::store::Full;

/// Two workers that wait for work, beside one that holds the first item of the only task.
struct Idlers {
    scheduler: Scheduler,
    is_full: Arc<AtomicBool>,
    _place: Place,
    busy: Worker,
    first: Lease,
    idle: [Worker; 2],
}

fn idlers() -> Idlers {
    let place = Place::with_tasks(1);
    let is_full = Arc::new(AtomicBool::new(false));
    let scheduler = place.open_with(|store| {
        Arc::new(Full {
            store: Box::new(store),
            is_full: is_full.clone(),
        })
    });
    let busy = Worker::register(&scheduler, 1);
    let first = busy.begin_first(&scheduler);
    let idle = [2, 3].map(|n| Worker::register(&scheduler, n));
    for worker in idle {
        assert_eq!(worker.lease(&scheduler), []);
    }
    Idlers {
        scheduler,
        is_full,
        _place: place,
        busy,
        first,
        idle,
    }
}

impl Idlers {
    fn wait(&self, worker: Worker) -> Waiting<'_> {
        self.scheduler.wait_for_work(worker.session, 1)
    }

    fn hand_over(&self, items: std::ops::Range<u64>) {
        let children: Vec<_> = items.map(|n| (item(1000 + n), walk(&["a"]))).collect();
        let (item, epoch) = self.first;
        self.scheduler.split(item, epoch, &children).unwrap();
    }

    /// Whose turn it is to look.
    fn woken(&self) -> Vec<SessionId> {
        self.scheduler.state().waiters.woken()
    }
}

#[test]
fn each_item_that_comes_wakes_one_of_those_who_wait() {
    let idlers = idlers();
    let [one, two] = idlers.idle;
    let waiting = [idlers.wait(one), idlers.wait(two)];
    assert_eq!(idlers.woken(), []);
    idlers.hand_over(0..1);
    assert_eq!(idlers.woken(), [one.session]);
    idlers.hand_over(1..2);
    assert_eq!(idlers.woken(), [one.session, two.session]);
    let looks = waiting.each_ref().map(Waiting::should_look);
    assert_eq!(looks, [Some(1), Some(1)]);
    assert_eq!(idlers.woken(), []);
}

#[test]
fn what_comes_is_spread_over_all_who_wait() {
    let idlers = idlers();
    let waiting = idlers.idle.map(|idle| {
        let scheduler = &idlers.scheduler;
        scheduler.wait_for_work(idle.session, 3)
    });
    idlers.hand_over(0..4);
    let looks = waiting.each_ref().map(Waiting::should_look);
    assert_eq!(looks, [Some(2), Some(2)]);
    // A look without a turn is for all it has room for.
    idlers.hand_over(4..5);
    let looks = waiting.each_ref().map(Waiting::should_look);
    assert_eq!(looks, [Some(1), Some(3)]);
}

#[test]
fn who_holds_nothing_is_woken_first() {
    let idlers = idlers();
    let [one, two] = idlers.idle;
    let _waiting = [idlers.wait(idlers.busy), idlers.wait(one), idlers.wait(two)];
    idlers.hand_over(0..1);
    assert_eq!(idlers.woken(), [one.session]);
    idlers.hand_over(1..3);
    let all = [idlers.busy, one, two].map(|worker| worker.session);
    assert_eq!(idlers.woken(), all);
}

#[test]
fn whose_threads_are_busy_gets_nothing_more_of_the_task_until_they_have_room() {
    let idlers = idlers();
    let Idlers {
        scheduler, busy, ..
    } = &idlers;
    scheduler.note_room(busy.session, 0);
    let waiting = scheduler.wait_for_work(busy.session, 3);
    idlers.hand_over(0..4);
    assert_eq!(idlers.woken(), []);
    assert_eq!(waiting.should_look(), None);
    assert_eq!(busy.lease(scheduler), []);
    scheduler.note_room(busy.session, 1);
    assert_eq!(waiting.should_look(), Some(3));
    assert_eq!(busy.lease(scheduler).len(), 1);
    scheduler.note_room(busy.session, 0);
    assert_eq!(busy.lease(scheduler), []);
    // Nor does it keep others from it.
    assert_eq!(idlers.idle[0].lease(scheduler).len(), 3);
}

#[test]
fn who_is_done_with_its_last_of_a_task_is_woken_for_the_next() {
    let (_place, scheduler, worker) = begun(&[1, 3]);
    scheduler.note_room(worker.session, 0);
    let held = worker.lease(&scheduler);
    let tasks = held
        .iter()
        .map(|((item, _), _)| scheduler.store.standing(*item).unwrap().task);
    let tasks: Vec<TaskId> = tasks.collect();
    assert_eq!(tasks, [TaskId(1), TaskId(2)]);
    let waiting = scheduler.wait_for_work(worker.session, 1);
    assert_eq!(waiting.should_look(), None);
    let mut woken = std::pin::pin!(waiting.woken());
    let mut context = Context::from_waker(Waker::noop());
    assert!(woken.as_mut().poll(&mut context).is_pending());
    worker.complete(&scheduler, held[1].0, Outcome::default());
    assert!(woken.as_mut().poll(&mut context).is_ready());
    assert_eq!(waiting.should_look(), Some(1));
}

#[test]
fn a_turn_for_which_there_is_no_room_any_more_is_handed_on() {
    let idlers = idlers();
    let Idlers {
        scheduler, busy, ..
    } = &idlers;
    let [first, second] = [idlers.wait(*busy), idlers.wait(idlers.idle[0])];
    let state = |scheduler: &Scheduler| {
        scheduler
            .state()
            .fleet
            .session(busy.session)
            .unwrap()
            .more_of_a_task = 0
    };
    idlers.hand_over(0..2);
    assert_eq!(idlers.woken(), [busy.session, idlers.idle[0].session]);
    assert_eq!(second.should_look(), Some(1));
    state(scheduler);
    assert_eq!(first.should_look(), None);
    assert_eq!(idlers.woken(), [idlers.idle[0].session]);
}

#[test]
fn who_can_not_run_it_is_not_woken_for_it() {
    let idlers = idlers();
    let [one, two] = idlers.idle;
    let _waiting = [idlers.wait(one), idlers.wait(two)];
    let now = Instant::now();
    let refuse = |state: &mut State| {
        state
            .fleet
            .refuse(one.session, TaskId(1), "no mount".into(), now);
    };
    refuse(&mut idlers.scheduler.state());
    idlers.hand_over(0..2);
    assert_eq!(idlers.woken(), [two.session]);
}

#[test]
fn a_call_that_ends_before_its_look_hands_its_turn_on() {
    let idlers = idlers();
    let [one, two] = idlers.idle;
    let (ends, _goes_on) = (idlers.wait(one), idlers.wait(two));
    idlers.hand_over(0..1);
    assert_eq!(idlers.woken(), [one.session]);
    drop(ends);
    assert_eq!(idlers.woken(), [two.session]);
}

#[test]
fn who_gets_all_it_has_room_for_wakes_the_next() {
    let idlers = idlers();
    let [one, two] = idlers.idle;
    let waiting = idlers.wait(two);
    idlers.hand_over(0..2);
    // It looks, and sleeps again.
    assert_eq!(waiting.should_look(), Some(1));
    assert_eq!(idlers.woken(), []);
    let leased = idlers.scheduler.lease(one.session, 7, 1).unwrap();
    assert_eq!(leased.grants.len(), 1);
    assert_eq!(idlers.woken(), [two.session]);
}

#[test]
fn who_waits_in_vain_costs_the_store_nothing() {
    let idlers = idlers();
    let [one, two] = idlers.idle;
    let waiting = idlers.wait(one);
    // Whatever wrote now would be refused.
    idlers.is_full.store(true, Ordering::SeqCst);
    for worker in [one, two, idlers.busy] {
        assert_eq!(worker.lease(&idlers.scheduler), []);
    }
    assert_eq!(waiting.should_look(), None);
    idlers.is_full.store(false, Ordering::SeqCst);
    idlers.hand_over(0..1);
    assert_eq!(waiting.should_look(), Some(1));
    idlers.is_full.store(true, Ordering::SeqCst);
    let refused = idlers.scheduler.lease(one.session, 8, 1);
    refused.expect_err("this one asks the store");
}

#[test]
fn an_item_is_looked_for_again_when_its_time_has_come() {
    let idlers = idlers();
    let [one, two] = idlers.idle;
    let _waiting = idlers.wait(one);
    let (item, epoch) = idlers.first;
    let later = Duration::from_millis(300);
    idlers
        .scheduler
        .release(
            idlers.busy.session,
            item,
            epoch,
            ReleaseReason::Drain,
            "",
            later,
        )
        .unwrap();
    // Whether its time has come by now or not: one look finds out, and from then on the tick knows.
    let mut got = two.lease(&idlers.scheduler);
    let give_up = Instant::now() + Duration::from_secs(60);
    while got.is_empty() {
        assert!(Instant::now() < give_up, "it is never granted again");
        idlers.scheduler.tick(Instant::now()).unwrap();
        if !idlers.woken().is_empty() {
            got = one.lease(&idlers.scheduler);
        }
    }
    assert_eq!(got.len(), 1);
}
