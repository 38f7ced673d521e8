//! The life of a task.

use model::{ItemState, SourceIdentity, TaskId};

use super::{Fixture, NOW, Scene, assert_stale, id, outcome, release, walk};
use crate::store::{Applied, Cost, Phase, Release, TaskResult};

pub(crate) fn the_first_source_identity_holds<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1, 1]);
    let identity = |inode, birth_ns| SourceIdentity {
        inode,
        birth_ns,
        fs_type: "nfs4".into(),
    };
    let set = |task, identity| {
        let holds = scene
            .store
            .set_source_identity(scene.run, TaskId(task), identity);
        holds.expect("set")
    };
    let first = identity(u64::MAX, Some(-1));
    let second = identity(2, None);
    assert_eq!(set(1, &first), first);
    assert_eq!(set(1, &second), first);
    assert_eq!(set(2, &second), second);
    let tasks = scene.store.tasks(scene.run).expect("read");
    assert_eq!(tasks[0].source_identity, Some(first));
    assert_eq!(tasks[1].source_identity, Some(second));
}

pub(crate) fn a_phase_begins_once<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    scene.complete(scene.grant_one());
    let begin = |phase, n| {
        let items = [(id(1, n), walk("phase"))];
        let begun = scene
            .store
            .begin_phase(scene.run, TaskId(1), phase, &items, NOW);
        begun.expect("begin")
    };
    let phase = || scene.store.tasks(scene.run).expect("read")[0].phase;
    assert_eq!(begin(Phase::Copy, 1), Applied::Before);
    assert_eq!(phase(), Phase::Copy);
    assert_eq!(begin(Phase::Attributes, 2), Applied::Now);
    assert_eq!(phase(), Phase::Attributes);
    assert_eq!(begin(Phase::Attributes, 3), Applied::Before);
    // A phase with nothing to do may be left out.
    assert_eq!(begin(Phase::Close, 4), Applied::Now);
    assert_eq!(begin(Phase::Attributes, 5), Applied::Before);
    assert_eq!(phase(), Phase::Close);
    let items = scene.store.items(scene.run, TaskId(1)).expect("read");
    let found: Vec<_> = items.iter().map(|r| (r.item.id, r.phase)).collect();
    assert_eq!(
        found,
        [
            (id(1, 0), Phase::Copy),
            (id(1, 2), Phase::Attributes),
            (id(1, 4), Phase::Close)
        ]
    );
}

pub(crate) fn a_finished_task_gives_nothing_more<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[4, 1]);
    let task = TaskId(1);
    let [done, leased, delayed] = [scene.grant_one(), scene.grant_one(), scene.grant_one()];
    scene.complete(done);
    let later = Release {
        not_before: NOW + 1,
        ..release(Cost::Free)
    };
    scene
        .store
        .release(delayed.0, delayed.1, later, NOW)
        .expect("release");
    let result = TaskResult {
        success: false,
        message: "the mount is gone".into(),
        finished: NOW + 5,
    };
    let finish = |message: &str| {
        let result = TaskResult {
            message: message.into(),
            ..result.clone()
        };
        scene
            .store
            .finish_task(scene.run, task, result)
            .expect("finish")
    };
    assert_eq!(finish("the mount is gone"), Applied::Now);
    assert_eq!(finish("again"), Applied::Before);
    let records = scene.store.tasks(scene.run).expect("read");
    assert_eq!(records[0].result, Some(result));
    assert_eq!(records[1].result, None);
    for (k, expected) in [
        ItemState::Done,
        ItemState::Failed,
        ItemState::Failed,
        ItemState::Failed,
    ]
    .into_iter()
    .enumerate()
    {
        let record = scene.store.item(id(1, k as u64)).expect("read");
        assert_eq!(record.item.state, expected, "item {k}");
    }
    assert_eq!(scene.store.leased(scene.run).expect("read"), []);
    let totals = scene.store.totals(scene.run, task).expect("sum");
    assert_eq!((totals.open_items, totals.failed_items), (0, 3));
    assert_eq!(totals.outcome.counters, outcome(1).counters);
    assert_stale(scene.store.complete(leased.0, leased.1, outcome(2), NOW));
    let children = [(id(1, 9), walk("child"))];
    assert_stale(scene.store.split(leased.0, leased.1, &children, NOW));
    let granted = scene.grant_at(99, NOW + 99);
    let ids: Vec<_> = granted.iter().map(|g| g.item.id).collect();
    assert_eq!(ids, [id(2, 0)]);
}

pub(crate) fn a_written_row_is_remembered<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1, 1]);
    for _ in 0..2 {
        scene
            .store
            .set_row_written(scene.run, TaskId(2))
            .expect("set");
        let tasks = scene.store.tasks(scene.run).expect("read");
        let written: Vec<_> = tasks.iter().map(|t| t.row_written).collect();
        assert_eq!(written, [false, true]);
    }
}
