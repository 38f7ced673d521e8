//! Who gets an item, and who may still end it.

use std::collections::BTreeSet;
use std::thread;

use model::{Epoch, FilesWork, ItemState, ListPlace, Work, WorkKind};

use super::{
    Fixture, NOW, Scene, add_session, assert_stale, child_id, from, id, outcome, release, session,
    walk,
};
use crate::store::{Again, Applied, Cost, GrantFrom, Kinds, ReleasedTo, StoreError, Suspects};

pub(crate) fn a_grant_raises_the_epoch<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    for epoch in 1..4 {
        let granted = scene.grant(5);
        assert_eq!(granted.len(), 1);
        let item = &granted[0].item;
        assert_eq!((item.id, item.epoch), (id(1, 0), Epoch(epoch)));
        assert_eq!(item.state, ItemState::Leased(session(1)));
        assert_eq!(item.work, walk("1/0"));
        let leased = scene.store.leased(scene.run).expect("read");
        assert!(leased.iter().eq([item]));
        let record = scene.store.item(item.id).expect("read");
        assert_eq!(record.item, *item);
        assert_eq!(record.worker.as_deref(), Some("worker-1"));
        assert_eq!(record.started, Some(NOW));
        assert!(scene.grant(5).is_empty(), "it was granted twice");
        scene.release((item.id, item.epoch));
    }
    assert!(scene.store.leased(scene.run).expect("read").is_empty());
    let task = &scene.store.tasks(scene.run).expect("read")[0];
    assert_eq!(task.started, Some(NOW));
}

pub(crate) fn items_are_granted_in_the_order_of_tasks_and_creation<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2, 3]);
    let tasks = [from(2, 9), from(1, 9)];
    let mut ids = Vec::new();
    for n in [4, 4] {
        let granted = scene.store.grant(scene.run, &tasks, session(1), n, NOW);
        ids.extend(granted.expect("grant").iter().map(|g| g.item.id));
    }
    assert_eq!(ids, [id(2, 0), id(2, 1), id(2, 2), id(1, 0), id(1, 1)]);
}

pub(crate) fn grant_never_exceeds_the_limit_of_a_task<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[5, 5, 5]);
    let tasks = [from(1, 2), from(2, 0), from(3, 3)];
    let grant = |n| {
        let granted = scene.store.grant(scene.run, &tasks, session(1), n, NOW);
        granted
            .expect("grant")
            .iter()
            .map(|g| g.item.task.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(grant(100), [1, 1, 3, 3, 3]);
    assert_eq!(grant(3), [1, 1, 3]);
    assert_eq!(grant(0), [0_u32; 0]);
    assert_eq!(grant(100), [1, 3]);
}

pub(crate) fn an_item_whose_worker_was_lost_is_granted_alone_and_on_demand<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[3, 1]);
    let lost = scene.grant(2);
    for (granted, cost) in lost.iter().zip([Cost::Death, Cost::DeathAlone]) {
        let (item, epoch) = (granted.item.id, granted.item.epoch);
        let released = scene.store.release(item, epoch, release(cost), NOW);
        assert_eq!(released.expect("release"), ReleasedTo::Waiting);
    }
    let grant = |from: &[GrantFrom]| -> Vec<_> {
        let granted = scene.store.grant(scene.run, from, session(1), 9, NOW);
        let granted = granted.expect("grant").into_iter();
        granted
            .map(|g| (g.item.id, g.item.attempts, g.item.deaths))
            .collect()
    };
    let alone = GrantFrom {
        suspects: Suspects::Alone,
        ..from(1, 9)
    };
    // Not beside others, neither before nor after them.
    assert_eq!(grant(&[from(1, 9), alone]), [(id(1, 2), 0, 0)]);
    assert_eq!(grant(&[alone, from(2, 9)]), [(id(1, 0), 0, 1)]);
    assert_eq!(grant(&[from(1, 9), alone]), [(id(1, 1), 1, 1)]);
    assert_eq!(grant(&[alone, from(2, 9)]), [(id(2, 0), 0, 0)]);
}

pub(crate) fn two_sessions_never_get_one_item<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[200, 200]);
    let granted: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (1..=8)
            .map(|n| {
                let scene = &scene;
                scope.spawn(move || {
                    add_session(&*scene.store, n);
                    let tasks = [from(1, 7), from(2, 7)];
                    let mut all = Vec::new();
                    loop {
                        let some = scene
                            .store
                            .grant(scene.run, &tasks, session(n), 10, NOW)
                            .expect("grant");
                        if some.is_empty() {
                            return all;
                        }
                        assert!(some.iter().all(|g| g.item.epoch == Epoch(1)));
                        all.extend(some.iter().map(|g| g.item.id));
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert_eq!(granted.len(), 400);
    assert_eq!(BTreeSet::from_iter(granted).len(), 400);
}

pub(crate) fn an_unknown_session_is_granted_nothing<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    scene.store.remove_session(session(1)).expect("remove");
    let result = scene
        .store
        .grant(scene.run, &[from(1, 1)], session(1), 1, NOW);
    assert!(matches!(result, Err(StoreError::NoSuchSession(s)) if s == session(1)));
    add_session(&*scene.store, 2);
    let granted = scene
        .store
        .grant(scene.run, &[from(1, 1)], session(2), 1, NOW);
    assert_eq!(granted.expect("grant").len(), 1);
}

pub(crate) fn an_older_epoch_can_not_complete<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let late = scene.grant_one();
    scene.release(late);
    assert_stale(scene.store.complete(late.0, late.1, outcome(1), NOW));
    let newest = scene.grant_one();
    assert_eq!(newest.1, Epoch(2));
    assert_stale(scene.store.complete(late.0, late.1, outcome(1), NOW));
    let applied = scene.store.complete(newest.0, newest.1, outcome(2), NOW);
    assert_eq!(applied.expect("complete"), Applied::Now);
    assert_stale(scene.store.complete(late.0, late.1, outcome(1), NOW));
    let totals = scene.store.totals(scene.run, model::TaskId(1));
    assert_eq!(totals.expect("sum").outcome.counters, outcome(2).counters);
}

pub(crate) fn an_older_epoch_can_not_split_or_release<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let late = scene.grant_one();
    scene.release(late);
    let newest = scene.grant_one();
    let children = [(child_id(1), walk("a"))];
    assert_stale(scene.store.split(late.0, late.1, &children, NOW));
    for cost in [Cost::Free, Cost::Attempt] {
        assert_stale(scene.store.release(late.0, late.1, release(cost), NOW));
    }
    let record = scene.store.item(newest.0).expect("read");
    assert_eq!(record.item.state, ItemState::Leased(session(1)));
    assert_eq!(record.item.attempts, 0);
    assert!(scene.store.children(late.0, 0, 9).expect("read").is_empty());
}

pub(crate) fn only_what_was_granted_can_end<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let item = id(1, 0);
    for epoch in [0, 1, u32::MAX].map(Epoch) {
        assert_stale(scene.store.complete(item, epoch, outcome(1), NOW));
        assert_stale(scene.store.release(item, epoch, release(Cost::Free), NOW));
        assert_stale(scene.store.split(item, epoch, &[], NOW));
    }
    assert_eq!(scene.grant_one(), (item, Epoch(1)));
}

pub(crate) fn a_grant_is_of_the_kinds_asked_for_walks_first<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let (item, epoch) = scene.grant_one();
    let files = |n| {
        let work = Work::Files(FilesWork {
            files: 5,
            bytes: 50,
            place: ListPlace::Server,
        });
        (child_id(n), work)
    };
    let children = [files(0), files(1), (child_id(2), walk("later"))];
    let completed =
        scene
            .store
            .complete_with(item, epoch, outcome(1), &children, &Again::default(), NOW);
    assert_eq!(completed.expect("complete"), Applied::Now);
    let grant = |kinds, n| -> Vec<_> {
        let from = GrantFrom {
            kinds,
            ..from(1, 9)
        };
        let granted = scene.store.grant(scene.run, &[from], session(1), n, NOW);
        granted.expect("grant").iter().map(|g| g.item.id).collect()
    };
    assert_eq!(grant(Kinds::Only(WorkKind::Files), 1), [child_id(0)]);
    assert_eq!(grant(Kinds::Only(WorkKind::Walk), 1), [id(1, 1)]);
    assert_eq!(grant(Kinds::All, 9), [child_id(2), child_id(1)]);
}
