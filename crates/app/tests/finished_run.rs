//! What a server does when its run is over, and when it is started again after that.

mod fleet;

use fleet::{Fleet, Settings, assert_exit};
use testkit::tree::Recipe;

#[test]
fn a_finished_run_is_not_started_again() {
    let mut fleet = Fleet::new("finished", &Settings::default());
    fleet.add_tree(&Recipe::odd(20, 200), 1);
    let server = fleet.server();
    let worker = fleet.worker("w1");
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
}
