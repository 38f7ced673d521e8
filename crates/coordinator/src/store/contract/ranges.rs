//! Ranges of huge files: they end with the attempt that they are for, or when it takes them back.

use model::{Epoch, FileIdentity, ItemId, ItemState, RangeState, RangeWork, RelPath, TaskId, Work};

use super::{Fixture, NOW, Scene, assert_stale, child_id, outcome, release, walk};
use crate::store::{Again, Applied, Cost, ReleasedTo, TakeBack};

fn range(n: u64) -> (ItemId, Work) {
    let work = RangeWork {
        file: RelPath::new("a/huge").expect("a path"),
        identity: FileIdentity {
            inode: 7,
            size: 1 << 40,
            modified_ns: -5,
            changed_ns: 6,
        },
        temp: ".dm.temp".to_owned(),
        temp_inode: 8,
        offset: n << 30,
        length: 1 << 30,
    };
    (child_id(n), Work::Range(work))
}

/// An attempt that has handed four ranges over.
fn with_ranges(scene: &Scene) -> (ItemId, Epoch) {
    let owner = scene.grant_one();
    let ranges: Vec<_> = (0..4).map(range).collect();
    let split = scene.store.split(owner.0, owner.1, &ranges, NOW);
    assert_eq!(split.expect("split"), Applied::Now);
    owner
}

fn ids() -> Vec<ItemId> {
    (0..4).map(child_id).collect()
}

fn state(scene: &Scene, n: u64) -> ItemState {
    let record = scene.store.item(child_id(n)).expect("read");
    assert_eq!(record.item.work, range(n).1);
    record.item.state
}

fn open_items(scene: &Scene) -> u64 {
    let totals = scene.store.totals(scene.run, TaskId(1));
    totals.expect("sum").open_items
}

pub(crate) fn ranges_that_nobody_has_are_taken_back<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let owner = with_ranges(&scene);
    let [done, lost, leased] = [(); 3].map(|()| scene.grant_one());
    scene.complete(done);
    scene.release(lost);
    let take = |what| {
        let taken = scene.store.take_back(owner.0, owner.1, &ids(), what);
        taken.expect("take back")
    };
    use RangeState::{Done, Leased, TakenBack};
    // However often it is asked.
    for _ in 0..2 {
        let expected = [Done, TakenBack, Leased, TakenBack];
        assert_eq!(take(TakeBack::Waiting), expected);
        assert_eq!(open_items(&scene), 2);
    }
    assert_eq!(state(&scene, 1), ItemState::Withdrawn);
    assert!(scene.grant(9).is_empty());
    let expected = [Done, TakenBack, TakenBack, TakenBack];
    assert_eq!(take(TakeBack::All), expected);
    assert_eq!(open_items(&scene), 1);
    // Too late.
    let complete =
        scene
            .store
            .complete_with(leased.0, leased.1, outcome(0), &[], &Again::default(), NOW);
    assert_stale(complete);
    assert_eq!(take(TakeBack::All), expected);
}

pub(crate) fn a_range_that_is_not_done_is_for_who_waits_for_it<F: Fixture>() {
    for cost in [Cost::Attempt, Cost::Death, Cost::DeathAlone] {
        let fixture = F::new();
        let scene = Scene::begin(&fixture, &[1]);
        let owner = with_ranges(&scene);
        let hand_back = |cost| {
            let (item, epoch) = scene.grant_one();
            let released = scene.store.release(item, epoch, release(cost), NOW);
            (item, released.expect("release"))
        };
        // Its worker stops: any other may have it.
        let first = (child_id(0), ReleasedTo::Waiting);
        assert_eq!(hand_back(Cost::Free), first);
        assert_eq!(hand_back(cost), (child_id(0), ReleasedTo::Withdrawn));
        assert_eq!(state(&scene, 0), ItemState::Withdrawn);
        assert_eq!(scene.grant_one().0, child_id(1));
        let (item, epoch) = owner;
        let taken = scene
            .store
            .take_back(item, epoch, &ids()[..1], TakeBack::Waiting);
        assert_eq!(taken.expect("take back"), [RangeState::TakenBack]);
        let totals = scene.store.totals(scene.run, TaskId(1)).expect("sum");
        assert_eq!((totals.failed_items, totals.retries), (0, 0));
    }
}

pub(crate) fn ranges_end_with_the_attempt_that_they_are_for<F: Fixture>() {
    for is_completed in [false, true] {
        let fixture = F::new();
        let scene = Scene::begin(&fixture, &[1]);
        let owner = with_ranges(&scene);
        let walks = [(child_id(9), walk("sub"))];
        let split = scene.store.split(owner.0, owner.1, &walks, NOW);
        assert_eq!(split.expect("split"), Applied::Now);
        let leased = scene.grant_one();
        assert_eq!(leased.0, child_id(0));
        match is_completed {
            true => scene.complete(owner),
            false => scene.release(owner),
        }
        for n in 0..4 {
            assert_eq!(state(&scene, n), ItemState::Withdrawn);
        }
        let free = release(Cost::Free);
        assert_stale(scene.store.release(leased.0, leased.1, free, NOW));
        let (item, epoch) = owner;
        assert_stale(scene.store.take_back(item, epoch, &ids(), TakeBack::All));
        // Directories that it handed over are others' for good.
        let walk = scene.store.item(child_id(9)).expect("read");
        assert_eq!(walk.item.state, ItemState::Waiting);
        assert_eq!(open_items(&scene), 1 + u64::from(!is_completed));
        assert_eq!(scene.store.leased(scene.run).expect("read"), []);
    }
}
