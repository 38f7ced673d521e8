//! What is counted, once, and only of completed attempts.

use model::outcome::MAX_FAILURES;
use model::{ItemState, Outcome, SkipReason, TaskId};

use super::{Fixture, NOW, Scene, add_session, failure, from, id, outcome, release, session};
use crate::store::{Applied, Cost, StoreError, TaskResult};

pub(crate) fn completing_again_changes_nothing<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let task = TaskId(1);
    let (item, epoch) = scene.grant_one();
    let complete = |n| {
        let applied = scene.store.complete(item, epoch, outcome(n), NOW + 5);
        applied.expect("complete")
    };
    assert_eq!(complete(1), Applied::Now);
    let record = scene.store.item(item).expect("read");
    let totals = scene.store.totals(scene.run, task).expect("sum");
    assert_eq!(record.item.state, ItemState::Done);
    assert_eq!(record.finished, Some(NOW + 5));
    let stored = Outcome {
        failures: Vec::new(),
        ..outcome(1)
    };
    assert_eq!(record.outcome.as_ref(), Some(&stored));
    // Even with other numbers: the first answer counts.
    assert_eq!(complete(1), Applied::Before);
    assert_eq!(complete(2), Applied::Before);
    let result = TaskResult {
        success: true,
        message: String::new(),
        finished: NOW,
    };
    let ended = scene.store.finish_task(scene.run, task, result);
    assert_eq!(ended.expect("finish"), Applied::Now);
    assert_eq!(complete(1), Applied::Before);
    assert_eq!(scene.store.item(item).expect("read"), record);
    assert_eq!(scene.store.totals(scene.run, task).expect("sum"), totals);
    let failures = scene.store.failures(scene.run, task, 99).expect("read");
    assert_eq!(failures, outcome(1).failures);
}

pub(crate) fn an_unbalanced_outcome_is_refused<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let (item, epoch) = scene.grant_one();
    let spoil: [fn(&mut Outcome); 7] = [
        |o| o.counters.listed += 1,
        |o| o.counters.skipped -= 1,
        |o| *o.skipped.entry(SkipReason::Special).or_default() += 1,
        |o| o.failures.extend((0..9).map(|k| failure(1, k))),
        |o| o.counters.copied_bytes = u64::MAX,
        |o| {
            o.counters.listed = u64::MAX;
            o.counters.copied = u64::MAX;
        },
        |o| o.unreadable_directories = u64::MAX,
    ];
    for spoil in spoil {
        let mut outcome = outcome(1);
        spoil(&mut outcome);
        let result = scene.store.complete(item, epoch, outcome, NOW);
        assert!(
            matches!(result, Err(StoreError::Unbalanced(refused)) if refused == item),
            "{result:?}"
        );
    }
    let record = scene.store.item(item).expect("read");
    assert_eq!(record.item.state, ItemState::Leased(session(1)));
    scene.complete((item, epoch));
}

pub(crate) fn only_completed_attempts_count<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[3]);
    let task = TaskId(1);
    let [first, second, third] = [scene.grant_one(), scene.grant_one(), scene.grant_one()];
    scene.complete(second);
    scene.release(first);
    let to = scene
        .store
        .release(third.0, third.1, release(Cost::Attempt), NOW);
    to.expect("release");
    let totals = scene.store.totals(scene.run, task).expect("sum");
    assert_eq!(totals.outcome.counters, outcome(1).counters);
    assert_eq!((totals.open_items, totals.retries), (2, 1));
    assert_eq!(totals.workers, ["worker-1"]);
    let failures = scene.store.failures(scene.run, task, 99).expect("read");
    assert_eq!(failures, outcome(1).failures);
}

pub(crate) fn totals_are_the_sums_over_items<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[40, 10]);
    for n in 2..=4 {
        add_session(&*scene.store, n);
    }
    for n in 0..35 {
        let worker = session(n % 4 + 1);
        let granted = scene.store.grant(scene.run, &[from(1, 1)], worker, 1, NOW);
        let item = granted.expect("grant").remove(0).item;
        if n % 7 == 0 {
            let once = crate::store::Release {
                max_attempts: 1,
                least_deaths: 0,
                ..release(Cost::Attempt)
            };
            scene
                .store
                .release(item.id, item.epoch, once, NOW)
                .expect("release");
        } else {
            scene
                .store
                .complete(item.id, item.epoch, outcome(n), NOW)
                .expect("complete");
        }
    }
    let totals = scene.store.totals(scene.run, TaskId(1)).expect("sum");
    let records = scene.store.items(scene.run, TaskId(1)).expect("read");
    let mut sum = Outcome::default();
    for record in &records {
        sum.add(record.outcome.clone().unwrap_or_default());
    }
    assert_eq!(totals.outcome, sum);
    assert!(totals.outcome.counters.is_balanced());
    assert_eq!(
        totals.outcome.counters.listed,
        (0..35)
            .filter(|n| n % 7 != 0)
            .map(|n| 10 * n + 6)
            .sum::<u64>()
    );
    assert_eq!(
        (totals.open_items, totals.failed_items, totals.retries),
        (5, 5, 5)
    );
    assert_eq!(
        totals.workers,
        ["worker-1", "worker-2", "worker-3", "worker-4"]
    );
    let other = scene.store.totals(scene.run, TaskId(2)).expect("sum");
    assert_eq!((other.outcome, other.open_items), (Outcome::default(), 10));
}

pub(crate) fn failures_are_kept_in_order_up_to_a_limit<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let [first, second] = [scene.grant_one(), scene.grant_one()];
    let many = MAX_FAILURES as u64 + 5;
    let mut outcome_of_first = Outcome::default();
    outcome_of_first.counters.listed = many;
    outcome_of_first.counters.failed = many;
    outcome_of_first.failures = (0..many).map(|k| failure(7, many - k)).collect();
    // Whichever ends first, the order is that of the items.
    scene.complete(second);
    let completed = scene
        .store
        .complete(first.0, first.1, outcome_of_first.clone(), NOW);
    assert_eq!(completed.expect("complete"), Applied::Now);
    let read = |n| scene.store.failures(scene.run, TaskId(1), n).expect("read");
    let mut expected = outcome_of_first.failures;
    expected.truncate(MAX_FAILURES);
    assert_eq!(read(3), expected[..3]);
    expected.extend(outcome(1).failures);
    assert_eq!(read(usize::MAX), expected);
    let record = scene.store.item(id(1, 0)).expect("read");
    assert_eq!(record.outcome.expect("done").counters.failed, many);
}
