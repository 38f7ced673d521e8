//! What becomes of an item that is handed back.

use model::{Epoch, ItemState, TaskId};

use super::{Fixture, NOW, Scene, assert_stale, from, id, release, session};
use crate::store::{Cost, GrantFrom, Release, ReleasedTo, Suspects};

pub(crate) fn a_free_release_costs_no_attempt<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    for _ in 0..10 {
        scene.release(scene.grant_one());
    }
    let record = scene.store.item(id(1, 0)).expect("read");
    assert_eq!(record.item.attempts, 0);
    assert_eq!(record.item.state, ItemState::Waiting);
    assert_eq!(record.last_error.as_deref(), Some("the worker is leaving"));
    let totals = scene.store.totals(scene.run, TaskId(1)).expect("sum");
    assert_eq!((totals.open_items, totals.retries), (1, 0));
}

pub(crate) fn a_released_item_waits_for_its_time<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let (item, epoch) = scene.grant_one();
    let later = Release {
        not_before: NOW + 100,
        ..release(Cost::Attempt)
    };
    let to = scene.store.release(item, epoch, later, NOW);
    assert_eq!(to.expect("release"), ReleasedTo::Waiting);
    let granted = |now| -> Vec<_> {
        let granted = scene.grant_at(9, now);
        granted.iter().map(|g| g.item.id).collect()
    };
    assert_eq!(granted(NOW), [id(1, 1)]);
    assert_eq!(granted(NOW + 99), []);
    assert_eq!(granted(NOW + 100), [item]);
}

pub(crate) fn an_item_fails_when_its_attempts_are_used_up<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[2]);
    let mut became = Vec::new();
    for _ in 0..3 {
        let (item, epoch) = scene.grant_one();
        assert_eq!(item, id(1, 0));
        let to = scene
            .store
            .release(item, epoch, release(Cost::Attempt), NOW);
        became.push(to.expect("release"));
    }
    let [waiting, failed] = [ReleasedTo::Waiting, ReleasedTo::Failed];
    assert_eq!(became, [waiting, waiting, failed]);
    let record = scene.store.item(id(1, 0)).expect("read");
    assert_eq!(record.item.state, ItemState::Failed);
    assert_eq!((record.item.attempts, record.finished), (3, Some(NOW)));
    assert_eq!(record.outcome, None);
    assert_eq!(scene.grant_one().0, id(1, 1), "a failed item was granted");
    let totals = scene.store.totals(scene.run, TaskId(1)).expect("sum");
    assert_eq!(
        (totals.open_items, totals.failed_items, totals.retries),
        (1, 1, 3)
    );
}

pub(crate) fn releasing_again_changes_nothing<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let last = Release {
        max_attempts: 2,
        least_deaths: 0,
        ..release(Cost::Attempt)
    };
    for (epoch, expected) in [(1, ReleasedTo::Waiting), (2, ReleasedTo::Failed)] {
        let (item, granted) = scene.grant_one();
        assert_eq!(granted, Epoch(epoch));
        for _ in 0..3 {
            let to = scene.store.release(item, granted, last, NOW);
            assert_eq!(to.expect("release"), expected);
            let record = scene.store.item(item).expect("read");
            assert_eq!(record.item.attempts, epoch);
        }
    }
    let totals = scene.store.totals(scene.run, TaskId(1)).expect("sum");
    assert_eq!(
        (totals.open_items, totals.failed_items, totals.retries),
        (0, 1, 2)
    );
}

pub(crate) fn errors_before_use_up_no_deaths<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let hand_back = |cost| {
        let alone = GrantFrom {
            suspects: Suspects::Alone,
            ..from(1, 1)
        };
        let from = [from(1, 1), alone];
        let granted = scene.store.grant(scene.run, &from, session(1), 1, NOW);
        let item = &granted.expect("grant")[0].item;
        let lost = Release {
            max_attempts: 3,
            least_deaths: 4,
            ..release(cost)
        };
        let to = scene.store.release(item.id, item.epoch, lost, NOW);
        to.expect("release")
    };
    use ReleasedTo::{Failed, Waiting};
    let costs = [Cost::Attempt, Cost::Attempt, Cost::Death];
    assert_eq!(costs.map(hand_back), [Waiting; 3]);
    let alone = [Cost::DeathAlone; 3];
    assert_eq!(alone.map(hand_back), [Waiting, Waiting, Failed]);
}

pub(crate) fn a_done_item_can_not_be_released<F: Fixture>() {
    let fixture = F::new();
    let scene = Scene::begin(&fixture, &[1]);
    let lease = scene.grant_one();
    scene.complete(lease);
    for cost in [Cost::Free, Cost::Attempt] {
        assert_stale(scene.store.release(lease.0, lease.1, release(cost), NOW));
    }
    let record = scene.store.item(lease.0).expect("read");
    assert_eq!(record.item.state, ItemState::Done);
}
