//! Workers wait for a server that is not there yet, without filling the log, or give up when told to.

use std::time::{Duration, Instant};

use testkit::tree::Recipe;

use crate::fleet::{self, Fleet, LONG, Settings, assert_exit, start};

const UNREACHABLE: &str = "can't be reached";

#[test]
fn workers_wait_for_a_server() {
    let mut fleet = Fleet::new("waiting", &Settings::default());
    fleet.add_tree(&Recipe::odd(20, 300), 7);
    let workers = ["w1", "w2"].map(|name| fleet.worker(name));
    // Meanwhile they try, at ever longer intervals, and say so once.
    let begun = Instant::now();
    for worker in &workers {
        worker.wait_for_output(UNREACHABLE, LONG).unwrap();
        worker
            .wait_until("several tries", LONG, || {
                begun.elapsed() > Duration::from_secs(2)
            })
            .unwrap();
        assert_eq!(
            worker.stderr().matches(UNREACHABLE).count(),
            1,
            "{}",
            worker.stderr()
        );
    }
    // A kept one: the faster worker may have done everything before the other tries again.
    let server = start(fleet.server_command().arg("--server.keep"));
    for worker in &workers {
        assert_exit(worker, 0);
        assert!(
            worker.stderr().contains("answers again"),
            "{}",
            worker.stderr()
        );
    }
    server.terminate();
    assert_exit(&server, 0);
    fleet.assert_migrated();
}

#[test]
fn a_worker_gives_up_after_wait_secs() {
    let fleet = Fleet::new("giving-up", &Settings::default());
    let begun = Instant::now();
    let worker = start(fleet.worker_command("w1").args(["--wait-secs", "2"]));
    assert_exit(&worker, 3);
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert!(
        worker.stderr().contains("no server was reached for 2 s"),
        "{}",
        worker.stderr()
    );
}

#[test]
fn a_second_address_is_tried_when_the_first_is_dead() {
    let mut fleet = Fleet::new("second-address", &Settings::default());
    fleet.add_tree(&Recipe::odd(5, 50), 8);
    let server = fleet.server();
    let mut command = fleet.command(fleet::WORKER, "w1");
    let addresses = format!("127.0.0.1:{},{}", testkit::free_port(), fleet.address());
    let worker = start(command.args(["--server.address", &addresses]));
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
}
