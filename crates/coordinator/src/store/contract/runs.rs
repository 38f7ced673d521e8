//! Which run it is that goes on, and what is known of it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use model::{
    Epoch, Failure, FailureClass, ItemState, Location, Outcome, Purpose, RelPath, RunId, Task,
    TaskId, Work,
};

use super::{Fixture, NOW, Scene, add_session, from, id, new_run, outcome, session, task, walk};
use crate::store::{
    Applied, Begun, NewRun, NewTask, Phase, RunState, Store, StoreError, WhenFinished,
};

pub(crate) fn a_new_run_has_its_tasks_and_items<F: Fixture>() {
    let fixture = F::new();
    let store = fixture.open();
    assert_eq!(store.latest_run().expect("read"), None);
    let begun = store
        .begin_run(new_run(1, "same", &[2, 0]), WhenFinished::Keep, NOW)
        .expect("begin");
    assert_eq!((begun.begun, begun.cancelled), (Begun::New, None));
    assert_eq!(begun.run.id, RunId::from_random(1));
    assert_eq!(begun.run.identity, "same");
    assert_eq!(
        (begun.run.state, begun.run.started),
        (RunState::Running, NOW)
    );
    assert_eq!(store.latest_run().expect("read"), Some(begun.run.clone()));
    let tasks = store.tasks(begun.run.id).expect("read");
    assert_eq!(tasks.len(), 2);
    for (number, record) in (1..).zip(tasks) {
        assert_eq!(record.task, task(number));
        assert_eq!((record.phase, record.row_written), (Phase::Copy, false));
        assert_eq!(
            (record.started, record.source_identity, record.result),
            (None, None, None)
        );
    }
    let items = store.items(begun.run.id, TaskId(1)).expect("read");
    assert_eq!(items.len(), 2);
    for (k, record) in (0..).zip(items) {
        assert_eq!(record.item.id, id(1, k));
        assert_eq!(record.item.work, walk(&format!("1/{k}")));
        assert_eq!(
            (record.item.state, record.item.epoch),
            (ItemState::Waiting, Epoch(0))
        );
        assert_eq!(
            (record.phase, record.worker, record.outcome),
            (Phase::Copy, None, None)
        );
    }
    let totals = store.totals(begun.run.id, TaskId(1)).expect("sum");
    assert_eq!((totals.open_items, totals.outcome), (2, Outcome::default()));
}

pub(crate) fn an_unfinished_run_of_the_same_identity_is_resumed<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[3]);
    scene.complete(scene.grant_one());
    let lease = scene.grant_one();
    let before = scene.store.items(scene.run, TaskId(1)).expect("read");
    for when in [WhenFinished::Keep, WhenFinished::BeginNew] {
        let begun = scene
            .store
            .begin_run(new_run(2, "identity", &[9]), when, NOW + 9);
        let begun = begun.expect("begin");
        assert_eq!((begun.begun, begun.cancelled), (Begun::Resumed, None));
        assert_eq!((begun.run.id, begun.run.started), (scene.run, NOW));
    }
    assert_eq!(
        scene.store.items(scene.run, TaskId(1)).expect("read"),
        before
    );
    scene.complete(lease);
}

pub(crate) fn a_run_of_another_identity_is_cancelled<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let lease = scene.grant_one();
    let other = new_run(2, "other", &[1]);
    let begun = scene
        .store
        .begin_run(other, WhenFinished::Keep, NOW + 9)
        .expect("begin");
    assert_eq!(
        (begun.begun, begun.cancelled),
        (Begun::New, Some(scene.run))
    );
    assert_eq!(
        scene.store.latest_run().expect("read"),
        Some(begun.run.clone())
    );
    assert_eq!(scene.grant(9), [], "an item of a cancelled run was granted");
    // Its lease stays and may still end.
    assert_eq!(scene.store.leased(scene.run).expect("read").len(), 1);
    assert_eq!(scene.store.leased(begun.run.id).expect("read"), []);
    scene.complete(lease);
    let granted = scene
        .store
        .grant(begun.run.id, &[from(1, 9)], session(1), 9, NOW);
    assert_eq!(granted.expect("grant").len(), 1);
    // The old identity is not resumed, since its run is over.
    let again = scene
        .store
        .begin_run(new_run(3, "identity", &[1]), WhenFinished::Keep, NOW);
    let again = again.expect("begin");
    assert_eq!(
        (again.begun, again.cancelled),
        (Begun::New, Some(begun.run.id))
    );
}

pub(crate) fn a_finished_run_is_kept_or_begun_anew<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    scene.store.finish_run(scene.run, NOW + 7).expect("finish");
    let kept = scene
        .store
        .begin_run(new_run(2, "identity", &[1]), WhenFinished::Keep, NOW);
    let kept = kept.expect("begin");
    assert_eq!((kept.begun, kept.cancelled), (Begun::AlreadyFinished, None));
    assert_eq!(kept.run.id, scene.run);
    assert_eq!(
        (kept.run.state, kept.run.finished),
        (RunState::Finished, Some(NOW + 7))
    );
    assert_eq!(scene.grant(9), [], "an item of a finished run was granted");
    let anew = scene
        .store
        .begin_run(new_run(2, "identity", &[1]), WhenFinished::BeginNew, NOW);
    let anew = anew.expect("begin");
    assert_eq!((anew.begun, anew.cancelled), (Begun::New, None));
    scene.store.finish_run(anew.run.id, NOW).expect("finish");
    let other = scene
        .store
        .begin_run(new_run(3, "other", &[1]), WhenFinished::Keep, NOW);
    assert_eq!(other.expect("begin").begun, Begun::New);
}

pub(crate) fn a_run_that_is_over_stays_as_it_is<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    scene.store.finish_run(scene.run, NOW + 1).expect("finish");
    let finished = scene.store.latest_run().expect("read");
    scene.store.finish_run(scene.run, NOW + 2).expect("finish");
    assert_eq!(scene.store.latest_run().expect("read"), finished);
}

pub(crate) fn a_task_that_can_not_begin_is_born_failed<F: Fixture>() {
    let fixture = F::new();
    let store = fixture.open();
    let mut run = new_run(1, "identity", &[1, 1]);
    run.tasks[0].items = Err("the list is missing".into());
    let run = store
        .begin_run(run, WhenFinished::Keep, NOW)
        .expect("begin")
        .run
        .id;
    let tasks = store.tasks(run).expect("read");
    let result = tasks[0].result.as_ref().expect("it is over");
    assert_eq!((result.success, result.finished), (false, NOW));
    assert_eq!(result.message, "the list is missing");
    assert_eq!(tasks[1].result, None);
    assert_eq!(store.items(run, TaskId(1)).expect("read"), []);
    let items = [(id(1, 0), walk("late"))];
    let begun = store.begin_phase(run, TaskId(1), Phase::Attributes, &items, NOW);
    assert_eq!(begun.expect("begin"), Applied::Before);
    assert_eq!(store.items(run, TaskId(1)).expect("read"), []);
}

pub(crate) fn sessions_are_remembered_until_removed<F: Fixture>() {
    let fixture = F::new();
    let store = fixture.open();
    for n in [1, 2, 1] {
        add_session(&*store, n);
    }
    let names = |store: &dyn Store| -> Vec<String> {
        let sessions = store.sessions().expect("read");
        assert!(sessions.iter().all(|s| s.registered == NOW));
        sessions.into_iter().map(|s| s.name).collect()
    };
    assert_eq!(names(&*store), ["worker-1", "worker-2"]);
    for _ in 0..2 {
        store.remove_session(session(1)).expect("remove");
        assert_eq!(names(&*store), ["worker-2"]);
    }
}

pub(crate) fn what_is_not_there_is_said<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let store = &scene.store;
    let (run, task, item) = (RunId::from_random(99), TaskId(99), id(99, 0));
    let no_run = |error| matches!(error, StoreError::NoSuchRun(r) if r == run);
    assert!(no_run(store.tasks(run).expect_err("no run")));
    assert!(no_run(store.leased(run).expect_err("no run")));
    assert!(no_run(store.finish_run(run, NOW).expect_err("no run")));
    let granted = store.grant(run, &[from(1, 1)], session(1), 1, NOW);
    assert!(no_run(granted.expect_err("no run")));
    let no_task = |error| matches!(error, StoreError::NoSuchTask { task: t, .. } if t == task);
    assert!(no_task(store.items(scene.run, task).expect_err("no task")));
    assert!(no_task(store.totals(scene.run, task).expect_err("no task")));
    assert!(no_task(
        store.open_items(scene.run, task).expect_err("no task")
    ));
    assert!(no_task(
        store.next_due(scene.run, task).expect_err("no task")
    ));
    assert!(no_task(
        store.failures(scene.run, task, 1).expect_err("no task")
    ));
    assert!(no_task(
        store.set_row_written(scene.run, task).expect_err("no task")
    ));
    let no_item = |error| matches!(error, StoreError::NoSuchItem(i) if i == item);
    assert!(no_item(store.item(item).expect_err("no item")));
    assert!(no_item(store.standing(item).expect_err("no item")));
    assert!(no_item(store.children(item, 0, 1).expect_err("no item")));
    let completed = store.complete(item, Epoch(1), outcome(1), NOW);
    assert!(no_item(completed.expect_err("no item")));
    assert!(no_item(
        store.split(item, Epoch(1), &[], NOW).expect_err("no item")
    ));
}

pub(crate) fn names_of_any_bytes_are_kept<F: Fixture>() {
    let fixture = F::new();
    let store = fixture.open();
    // Every byte that may be in a path.
    let bytes: Vec<u8> = (1..=255).filter(|&b| b != b'/').collect();
    let absolute = || OsString::from_vec([&b"/"[..], &bytes].concat()).into();
    let path = RelPath::new(bytes.clone()).expect("a legal path");
    let odd = Task {
        id: TaskId(u32::MAX),
        line: 7,
        source: Location::Posix(absolute()),
        target: Location::Remote("remote:ü/\n".into()),
        list: Some(absolute()),
        target_is_shared: true,
    };
    let walk = |purpose| Work::Walk {
        directories: vec![RelPath::ROOT, path.clone()],
        purpose,
    };
    let works = [
        walk(Purpose::Copy),
        walk(Purpose::Attributes),
        walk(Purpose::Close),
        Work::Paths {
            offset: u64::MAX,
            length: 0,
        },
    ];
    let new = NewTask {
        task: odd.clone(),
        items: Ok((0..)
            .zip(works.clone())
            .map(|(k, work)| (id(1, k), work))
            .collect()),
    };
    let run = NewRun {
        tasks: vec![new],
        ..new_run(1, "ü\0", &[])
    };
    let run = store
        .begin_run(run, WhenFinished::Keep, NOW)
        .expect("begin")
        .run
        .id;
    assert_eq!(store.tasks(run).expect("read")[0].task, odd);
    add_session(&*store, 1);
    let granted = store
        .grant(run, &[from(u32::MAX, 9)], session(1), 9, NOW)
        .expect("grant");
    assert!(granted.iter().map(|g| &g.item.work).eq(&works));
    let classes = [
        FailureClass::Retry,
        FailureClass::GiveUp,
        FailureClass::Changed,
        FailureClass::TargetFull,
        FailureClass::Missing,
        FailureClass::Unreadable,
    ];
    let failures = classes.map(|class| Failure {
        path: path.clone(),
        class,
        error: "ü\0".into(),
    });
    let mut outcome = Outcome {
        failures: failures.to_vec(),
        ..Outcome::default()
    };
    outcome.counters.listed = 6;
    outcome.counters.failed = 6;
    store
        .complete(id(1, 0), Epoch(1), outcome, NOW)
        .expect("complete");
    assert_eq!(store.failures(run, odd.id, 9).expect("read"), failures);
}
