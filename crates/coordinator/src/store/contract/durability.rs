//! What is answered has happened, and what is refused has not.

use std::sync::Mutex;
use std::thread;

use model::{ItemId, Outcome, TaskId};

use super::{Fixture, NOW, Scene, add_session, child_id, from, id, outcome, session, walk};
use crate::store::{Applied, StoreError};

pub(crate) fn what_was_acknowledged_survives_reopening<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[20]);
    let task = TaskId(1);
    for n in 0..10 {
        let lease = scene.grant_one();
        let children = [(child_id(n), walk("child"))];
        scene
            .store
            .split(lease.0, lease.1, &children, NOW)
            .expect("split");
        scene.complete(lease);
    }
    let held = scene.grant_one();
    let run = scene.store.latest_run().expect("read");
    let items = scene.store.items(scene.run, task).expect("read");
    let totals = scene.store.totals(scene.run, task).expect("sum");
    let failures = scene.store.failures(scene.run, task, 99).expect("read");
    let sessions = scene.store.sessions().expect("read");
    drop(scene.store);

    let scene = Scene {
        store: fixture.open(),
        run: scene.run,
    };
    assert_eq!(scene.store.latest_run().expect("read"), run);
    assert_eq!(scene.store.items(scene.run, task).expect("read"), items);
    assert_eq!(scene.store.totals(scene.run, task).expect("sum"), totals);
    assert_eq!(
        scene.store.failures(scene.run, task, 99).expect("read"),
        failures
    );
    assert_eq!(scene.store.sessions().expect("read"), sessions);
    // Who was at work before may end it after.
    assert_eq!(scene.store.leased(scene.run).expect("read").len(), 1);
    scene.complete(held);
}

pub(crate) fn a_refused_call_leaves_nothing_behind<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let taken = vec![(child_id(1), walk("new")), (id(1, 1), walk("taken"))];
    let before = scene.store.tasks(scene.run).expect("read");
    let begun = scene.store.begin_phase(
        scene.run,
        TaskId(1),
        crate::store::Phase::Attributes,
        &taken,
        NOW,
    );
    assert!(matches!(begun, Err(StoreError::IdTaken(item)) if item == id(1, 1)));
    assert_eq!(scene.store.tasks(scene.run).expect("read"), before);
    let items = scene.store.items(scene.run, TaskId(1)).expect("read");
    assert_eq!(items.len(), 2);
    let totals = scene.store.totals(scene.run, TaskId(1)).expect("sum");
    assert_eq!(totals.open_items, 2);
}

/// Workers that split, complete and give wrong answers, all at once: what each was told
/// is what the store has in the end.
pub(crate) fn many_callers_are_answered_rightly<F: Fixture>() {
    const WORKERS: u64 = 16;
    const EACH: u64 = 20;
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[WORKERS * EACH / 2]);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for n in 1..=WORKERS {
            let (scene, done) = (&scene, &done);
            scope.spawn(move || {
                add_session(&*scene.store, n);
                for turn in 0..EACH {
                    if let Some(item) = work_once(scene, n, turn) {
                        done.lock().expect("no panic").push(item);
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    done.sort();
    let records = scene.store.items(scene.run, TaskId(1)).expect("read");
    let mut sum = Outcome::default();
    let mut stored = Vec::new();
    for record in &records {
        if let Some(outcome) = &record.outcome {
            stored.push(record.item.id);
            sum.add(outcome.clone());
        }
    }
    stored.sort();
    assert_eq!(stored, done);
    let totals = scene.store.totals(scene.run, TaskId(1)).expect("sum");
    assert_eq!(totals.outcome, sum);
    assert_eq!(totals.open_items, (records.len() - done.len()) as u64);
}

/// The item that was done, if there was one.
fn work_once(scene: &Scene, worker: u64, turn: u64) -> Option<ItemId> {
    let granted = scene
        .store
        .grant(scene.run, &[from(1, 1)], session(worker), 1, NOW)
        .expect("grant");
    let item = &granted.first()?.item;
    let child = child_id(worker * 1000 + turn);
    let taken = [(child, walk("lost")), (item.id, walk("taken"))];
    let refused = scene.store.split(item.id, item.epoch, &taken, NOW);
    assert!(
        matches!(refused, Err(StoreError::IdTaken(_))),
        "{refused:?}"
    );
    let children = [(child, walk("kept"))];
    let split = scene.store.split(item.id, item.epoch, &children, NOW);
    assert_eq!(split.expect("split"), Applied::Now);
    let completed = scene
        .store
        .complete(item.id, item.epoch, outcome(turn), NOW);
    assert_eq!(completed.expect("complete"), Applied::Now);
    Some(item.id)
}
