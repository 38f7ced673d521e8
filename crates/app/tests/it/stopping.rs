//! SIGTERM and Ctrl-C: workers hand back what they hold and exit, the server stores and stops, both within 10 s and
//! with an exit code that says so; a second signal ends them at once. The run goes on afterwards as if nothing had been.

use std::time::{Duration, Instant};

use testkit::Program;
use testkit::process::Signal;
use testkit::tree::Recipe;

use crate::fleet::{
    Fleet, LONG, Settings, assert_exit, assert_no_leftovers, begun, start, wait_until_serving,
};

const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// Trees that keep a worker busy for seconds; what is not handed back is taken from it after 2 s.
fn busy_fleet(label: &str, seed: u64) -> Fleet {
    busy_fleet_with_lease(label, seed, 2)
}

fn busy_fleet_with_lease(label: &str, seed: u64, lease_secs: u32) -> Fleet {
    let settings = Settings {
        transfers: 2,
        lease_secs,
        ..Settings::default()
    };
    let mut fleet = Fleet::new(label, &settings);
    for task in 0..3 {
        fleet.add_slower_tree(&Recipe::odd(20, 250), seed + task);
    }
    fleet
}

fn busy_worker(fleet: &Fleet, name: &str) -> Program {
    let worker = start(fleet.worker_command(name).arg("--debug"));
    worker
        .wait_until("an item", LONG, || !begun(&worker).is_empty())
        .unwrap();
    worker
}

#[track_caller]
fn assert_stops(program: &Program, signal: Signal, code: i32) {
    let asked = Instant::now();
    program.signal(signal);
    assert_exit(program, code);
    let taken = asked.elapsed();
    assert!(taken < STOPPED_WITHIN, "it took {taken:?}");
}

#[test]
fn sigterm_hands_back_and_exits_within_ten_seconds() {
    for (seed, signal, code) in [(100, Signal::TERM, 143), (200, Signal::INT, 130)] {
        // Too long for anybody to wait for its end.
        let fleet = busy_fleet_with_lease("stopping", seed, 30);
        let server = fleet.server();
        let first = busy_worker(&fleet, "first");
        assert_stops(&first, signal, code);
        // It took its unfinished files along, and nobody waits for its lease.
        for task in &fleet.tasks {
            let left = testkit::leftovers(&task.target);
            let is_marker = |path: &std::path::Path| path.to_string_lossy().ends_with(".marker");
            assert!(left.iter().all(|path| is_marker(path)), "{left:?}");
        }
        assert!(
            server.stderr().contains("worker first has left"),
            "{}",
            server.stderr()
        );
        assert!(!server.stderr().contains("silent"), "{}", server.stderr());

        // Its items are there for the second, and then the server stops.
        let second = busy_worker(&fleet, "second");
        assert_stops(&server, signal, code);
        assert!(second.is_running());
        let server = fleet.server();
        assert!(
            server.stderr().contains(" goes on: "),
            "{}",
            server.stderr()
        );
        assert_exit(&server, 0);
        assert_exit(&second, 0);
        fleet.assert_migrated();
        for row in fleet.results().rows() {
            assert_eq!(
                row.number("retries"),
                0,
                "handing back costs no attempt: {row:?}"
            );
        }
    }
}

#[test]
fn a_worker_stops_in_time_without_its_server() {
    let fleet = busy_fleet("stopping-alone", 300);
    let server = fleet.server();
    let worker = busy_worker(&fleet, "w1");
    server.kill();
    assert_stops(&worker, Signal::TERM, 143);
    let server = fleet.server();
    let worker = fleet.worker("w2");
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
}

#[test]
fn a_second_signal_ends_at_once() {
    let fleet = busy_fleet("stopping-twice", 400);
    let server = fleet.server();
    let worker = busy_worker(&fleet, "w1");
    // A server that does not answer makes the worker wait with its goodbye.
    server.stop();
    worker.terminate();
    worker
        .wait_for_output("a second signal ends at once", LONG)
        .unwrap();
    let waited = worker.wait(Duration::from_secs(1));
    assert!(
        waited.is_err(),
        "it waits for the server's answer, but: {waited:?}"
    );
    let asked = Instant::now();
    worker.signal(Signal::INT);
    assert_exit(&worker, 130);
    // It would wait for 8 s.
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    // What it held runs elsewhere.
    server.resume();
    let worker = fleet.worker("w2");
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
}

#[test]
fn ctrl_c_stops_a_run_in_one_process_which_can_be_resumed() {
    for (seed, signal, code) in [(500, Signal::INT, 130), (600, Signal::TERM, 143)] {
        let fleet = busy_fleet("stopping-run", seed);
        let run = fleet.run_embedded();
        wait_until_serving(&run);
        let target = &fleet.tasks[0].target;
        run.wait_until("a file at the target", LONG, || target.exists())
            .unwrap();
        assert_stops(&run, signal, code);
        assert!(fleet.ended_tasks() < fleet.tasks.len());
        let run = fleet.run_embedded();
        assert_exit(&run, 0);
        assert!(run.stderr().contains(" goes on: "), "{}", run.stderr());
        fleet.assert_migrated();
        assert_no_leftovers(&fleet.tasks[0].target);
    }
}
