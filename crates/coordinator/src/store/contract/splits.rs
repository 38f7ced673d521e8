//! Work that an attempt hands back: stored once, whatever is repeated, and never lost.

use model::{Epoch, ItemId, ItemState, RelPath, TaskId, Work};

use super::{Fixture, NOW, Scene, assert_stale, child_id, id, outcome, walk};
use crate::store::{Again, Applied, Cost, Phase, Release, ReleasedTo, StoreError, TaskResult};

fn works(ids: impl IntoIterator<Item = u64>) -> Vec<(ItemId, Work)> {
    ids.into_iter()
        .map(|n| (child_id(n), walk(&format!("child/{n}"))))
        .collect()
}

fn split(scene: &Scene, lease: (ItemId, Epoch), children: &[(ItemId, Work)]) -> Applied {
    scene
        .store
        .split(lease.0, lease.1, children, NOW)
        .expect("split")
}

fn number_of_items(scene: &Scene) -> usize {
    let items = scene.store.items(scene.run, TaskId(1));
    items.expect("read").len()
}

fn open_items(scene: &Scene) -> u64 {
    let totals = scene.store.totals(scene.run, TaskId(1));
    totals.expect("sum").open_items
}

pub(crate) fn children_wait_beside_their_parent<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    scene.complete(scene.grant_one());
    let first = [(id(1, 1), walk("later"))];
    let (run, task) = (scene.run, TaskId(1));
    let begun = scene
        .store
        .begin_phase(run, task, Phase::Attributes, &first, NOW);
    assert_eq!(begun.expect("begin"), Applied::Now);
    let parent = scene.grant_one();
    assert_eq!(split(&scene, parent, &works(0..2)), Applied::Now);
    assert_eq!(open_items(&scene), 3);
    for n in 0..2 {
        let record = scene.store.item(child_id(n)).expect("read");
        assert_eq!((record.item.task, record.phase), (task, Phase::Attributes));
        assert_eq!(record.item.state, ItemState::Waiting);
        assert_eq!(record.item.work, works([n])[0].1);
    }
    let granted: Vec<_> = scene.grant(9).iter().map(|g| g.item.id).collect();
    assert_eq!(granted, [child_id(0), child_id(1)]);
}

pub(crate) fn a_later_attempt_is_told_of_children<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let granted = scene.grant(1);
    assert!(!granted[0].has_children);
    let first = (granted[0].item.id, granted[0].item.epoch);
    split(&scene, first, &works(0..1));
    scene.release(first);
    let granted = scene.grant(9);
    let told: Vec<_> = granted
        .iter()
        .map(|g| (g.item.id, g.has_children))
        .collect();
    assert_eq!(told, [(first.0, true), (child_id(0), false)]);
}

pub(crate) fn an_item_knows_by_whom_it_was_handed_over<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let first = scene.grant_one();
    split(&scene, first, &works(0..1));
    let second = scene.grant(1).remove(0);
    assert_eq!(second.ancestors, [first.0]);
    split(&scene, (second.item.id, second.item.epoch), &works(1..2));
    let third = scene.grant(1).remove(0);
    assert_eq!(third.ancestors, [child_id(0), first.0]);
}

pub(crate) fn a_repeated_split_changes_nothing<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let lease = scene.grant_one();
    assert_eq!(split(&scene, lease, &works(0..3)), Applied::Now);
    assert_eq!(split(&scene, lease, &works(0..3)), Applied::Before);
    // A child that went on meanwhile is left as it is.
    let child = scene.grant_one();
    assert_eq!(child.0, child_id(0));
    scene.complete(child);
    assert_eq!(split(&scene, lease, &works(0..3)), Applied::Before);
    let record = scene.store.item(child.0).expect("read");
    assert_eq!(record.item.state, ItemState::Done);
    assert_eq!((number_of_items(&scene), open_items(&scene)), (4, 3));
    // More of it is added to what is there.
    assert_eq!(split(&scene, lease, &works(0..5)), Applied::Now);
    assert_eq!((number_of_items(&scene), open_items(&scene)), (6, 5));
    assert_eq!(
        scene.store.children(lease.0, 0, 9).expect("read"),
        works(0..5)
    );
}

pub(crate) fn a_repeated_split_is_answered_after_the_end<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let [completed, released] = [scene.grant_one(), scene.grant_one()];
    split(&scene, completed, &works(0..2));
    split(&scene, released, &works(2..4));
    scene.complete(completed);
    scene.release(released);
    assert_eq!(split(&scene, completed, &works(0..2)), Applied::Before);
    assert_eq!(split(&scene, released, &works(2..4)), Applied::Before);
    let result = TaskResult {
        success: false,
        message: "stopped".into(),
        finished: NOW,
    };
    let ended = scene.store.finish_task(scene.run, TaskId(1), result);
    assert_eq!(ended.expect("finish"), Applied::Now);
    assert_eq!(split(&scene, completed, &works(0..2)), Applied::Before);
    assert_eq!((number_of_items(&scene), open_items(&scene)), (6, 0));
}

pub(crate) fn an_attempt_that_is_over_can_not_split<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let [completed, released] = [scene.grant_one(), scene.grant_one()];
    split(&scene, completed, &works(0..1));
    scene.complete(completed);
    scene.release(released);
    for (item, epoch) in [completed, released] {
        for children in [works([]), works(5..6), works([0, 5])] {
            assert_stale(scene.store.split(item, epoch, &children, NOW));
        }
    }
    assert_eq!((number_of_items(&scene), open_items(&scene)), (3, 2));
}

pub(crate) fn an_id_of_other_work_is_refused<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let [one, two] = [scene.grant_one(), scene.grant_one()];
    split(&scene, one, &works(0..1));
    let other_work = vec![(child_id(0), walk("other"))];
    let itself = vec![(one.0, walk("1/0"))];
    let twice = vec![(child_id(7), walk("a")), (child_id(7), walk("b"))];
    for (lease, children, taken) in [
        (two, works(0..1), child_id(0)),
        (one, other_work, child_id(0)),
        (one, itself, one.0),
        (one, twice, child_id(7)),
    ] {
        // What comes before the refused one is not kept either.
        let children = [works(8..9), children].concat();
        let result = scene.store.split(lease.0, lease.1, &children, NOW);
        assert!(
            matches!(result, Err(StoreError::IdTaken(item)) if item == taken),
            "{result:?}"
        );
    }
    assert_eq!((number_of_items(&scene), open_items(&scene)), (3, 3));
}

pub(crate) fn children_are_read_in_pages<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let [one, two] = [scene.grant_one(), scene.grant_one()];
    // The order is that of the hand-backs, not of the ids.
    split(&scene, one, &works([5, 3, 4]));
    split(&scene, two, &works([9]));
    split(&scene, one, &works([1, 2]));
    let page = |from, n| scene.store.children(one.0, from, n).expect("read");
    assert_eq!(page(0, 2), works([5, 3]));
    assert_eq!(page(2, 2), works([4, 1]));
    assert_eq!(page(4, 2), works([2]));
    assert_eq!(page(5, 2), []);
    assert_eq!(page(0, usize::MAX), works([5, 3, 4, 1, 2]));
    assert_eq!(page(u64::MAX, 1), []);
}

pub(crate) fn what_is_handed_in_with_the_outcome_is_stored_with_it_or_not_at_all<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let (item, epoch) = scene.grant_one();
    let complete = |epoch, children: &[(ItemId, Work)]| {
        scene
            .store
            .complete_with(item, epoch, outcome(1), children, &Again::default(), NOW)
    };
    assert_stale(complete(Epoch(epoch.0 + 1), &works(0..2)));
    // One of them can't be stored: then nothing is, the item's end included.
    let taken = [(child_id(7), walk("x")), (id(1, 1), walk("not its work"))];
    let error = complete(epoch, &taken).expect_err("the id is another item's");
    assert!(matches!(error, StoreError::IdTaken(_)), "{error}");
    assert_eq!(number_of_items(&scene), 2);
    assert_eq!(open_items(&scene), 2);
    for expected in [Applied::Now, Applied::Before, Applied::Before] {
        let applied = complete(epoch, &works(0..2));
        assert_eq!(applied.expect("complete"), expected);
    }
    assert_eq!(number_of_items(&scene), 4);
    assert_eq!(open_items(&scene), 3);
    let children = scene.store.children(item, 0, 9).expect("read");
    assert_eq!(children, works(0..2));
}

pub(crate) fn what_is_tried_again_waits_and_keeps_its_attempts<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let (item, epoch) = scene.grant_one();
    let paths = ["a", "b/c"].map(|path| RelPath::new(path).expect("a legal path"));
    let again = Again {
        items: vec![(child_id(0), Work::Entries(paths.to_vec()))],
        attempts: 3,
        deaths: 0,
        not_before: NOW + 10,
    };
    let complete = |again: &Again| {
        let outcome = outcome(1);
        scene
            .store
            .complete_with(item, epoch, outcome, &[], again, NOW)
    };
    assert_eq!(complete(&again).expect("complete"), Applied::Now);
    // A repetition draws other ids, and changes nothing.
    let repeated = Again {
        items: vec![(child_id(1), Work::Entries(paths.to_vec()))],
        ..again.clone()
    };
    assert_eq!(complete(&repeated).expect("repeat"), Applied::Before);
    assert_eq!((number_of_items(&scene), open_items(&scene)), (2, 1));
    assert_eq!(scene.grant_at(9, NOW + 9), []);
    let granted = scene.grant_at(9, NOW + 10);
    assert_eq!(granted.len(), 1);
    assert_eq!(granted[0].item.work, Work::Entries(paths.to_vec()));
    assert_eq!(granted[0].item.attempts, 3);
    assert_eq!(granted[0].ancestors, [item]);
    // One more, and they are used up.
    let release = Release {
        cost: Cost::Attempt,
        max_attempts: 4,
        least_deaths: 0,
        reason: "why",
        not_before: 0,
    };
    let lease = (granted[0].item.id, granted[0].item.epoch);
    let released = scene.store.release(lease.0, lease.1, release, NOW + 11);
    assert_eq!(released.expect("release"), ReleasedTo::Failed);
}
