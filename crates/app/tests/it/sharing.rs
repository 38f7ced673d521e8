//! P2, P6: one large tree is worked on by several workers: the server asks the busy one to hand work over, and
//! every entry is still counted once. What takes long hands its rest back unasked. Nobody dies, and no lease ends.

use std::collections::HashSet;

use testkit::tree::Recipe;

use crate::fleet::{Fleet, LONG, Settings, assert_exit, begun, start};

#[test]
fn two_workers_share_one_tree() {
    let mut fleet = Fleet::new(
        "sharing",
        &Settings {
            concurrency: 1,
            transfers: 1,
            lease_secs: 30,
            ..Settings::default()
        },
    );
    // What is soon done is not shared.
    fleet.add_slower_tree(&Recipe::odd(100, 1_000), 4);
    let server = fleet.server();
    let first = start(fleet.worker_command("first").arg("--debug"));
    first
        .wait_until("an item", LONG, || !begun(&first).is_empty())
        .unwrap();
    let second = start(fleet.worker_command("second").arg("--debug"));
    assert_exit(&server, 0);
    assert_exit(&first, 0);
    assert_exit(&second, 0);
    fleet.assert_migrated();

    let table = fleet.results();
    let row = table.rows().next().unwrap();
    assert_eq!(row.get("client id"), Some("first, second"));
    assert_eq!(row.number("retries"), 0);
    let [first, second] = [begun(&first), begun(&second)];
    assert!(first.len() + second.len() > 3, "{first:?} {second:?}");
    let items: HashSet<_> = first
        .iter()
        .chain(&second)
        .map(|begun| &begun.item)
        .collect();
    assert_eq!(
        items.len(),
        first.len() + second.len(),
        "an item was begun twice"
    );
}

#[test]
fn an_item_that_has_run_for_its_time_hands_back_what_it_has_not_begun() {
    let mut fleet = Fleet::new(
        "item-target",
        &Settings {
            concurrency: 1,
            transfers: 1,
            lease_secs: 30,
            more_global: vec!["item_target_secs: 1".to_owned()],
            ..Settings::default()
        },
    );
    fleet.add_slower_tree(&Recipe::odd(100, 1_000), 4);
    let server = fleet.server();
    let worker = start(fleet.worker_command("alone").arg("--debug"));
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
    let begun = begun(&worker);
    // The walk of the root, its end, and what was handed back.
    assert!(begun.len() > 3, "{begun:?}");
    assert!(begun.iter().all(|begun| begun.epoch == 1), "{begun:?}");
}
