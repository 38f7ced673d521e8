//! What a server does when it is started after the end of its run: nothing, unless told to or given other tasks; and
//! whether it stays to serve the results.

use std::fs;
use std::time::SystemTime;

use testkit::Program;
use testkit::tree::Recipe;

use crate::fleet::{Fleet, LONG, Settings, assert_exit, assert_tree, start};

fn small_fleet(label: &str) -> Fleet {
    let mut fleet = Fleet::new(label, &Settings::default());
    fleet.add_tree(&Recipe::odd(10, 100), 1);
    fleet.add_tree(&Recipe::odd(10, 100), 2);
    fleet
}

fn migrate(fleet: &Fleet, more: &[&str]) -> Program {
    let server = start(fleet.server_command().args(more));
    let worker = fleet.worker("w1");
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    server
}

/// When the file was last changed.
fn changed(path: &std::path::Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn a_finished_run_is_not_started_again() {
    let fleet = small_fleet("finished");
    let first = migrate(&fleet, &[]);
    fleet.assert_migrated();
    let (rows, written) = (fleet.results(), changed(&fleet.results_file()));
    fs::remove_dir_all(&fleet.tasks[0].target).unwrap();

    // No worker is there: it needs none.
    let again = fleet.start_server();
    assert_exit(&again, 0);
    assert!(
        again
            .stderr()
            .contains("is over already, nothing is done again; --new-run begins another"),
        "{}",
        again.stderr()
    );
    assert!(!again.stderr().contains(" begins: "), "{}", again.stderr());
    assert_eq!(
        again.stdout(),
        first.stdout(),
        "the same table and files are named"
    );
    assert!(
        again.stdout().contains("Migrated task 2 successfully"),
        "{}",
        again.stdout()
    );
    assert!(!fleet.tasks[0].target.exists(), "it ran again");
    assert_eq!(
        (fleet.results(), changed(&fleet.results_file())),
        (rows, written)
    );

    let new = migrate(&fleet, &["--new-run"]);
    assert!(new.stderr().contains(" begins: "), "{}", new.stderr());
    assert_tree(&fleet.tasks[0]);
    assert_eq!(fleet.results().len(), 4, "two rows a run");
}

#[test]
fn a_failed_run_that_is_over_keeps_its_exit_code() {
    let mut fleet = small_fleet("finished-failed");
    let (missing, target) = (fleet.path("missing"), fleet.path("target3"));
    fleet.add_task(&missing, &target, None);
    let server = fleet.server();
    let worker = fleet.worker("w1");
    assert_exit(&server, 1);
    assert_exit(&worker, 0);
    assert_exit(&fleet.start_server(), 1);
    assert_eq!(fleet.results().len(), 3);
}

#[test]
fn other_tasks_are_another_run_and_the_unfinished_one_is_cancelled() {
    let mut fleet = small_fleet("other-tasks");
    let server = fleet.server();
    server.terminate();
    assert_exit(&server, 143);
    fleet.add_tree(&Recipe::odd(10, 100), 3);
    let server = migrate(&fleet, &[]);
    let log = server.stderr();
    assert!(log.contains(" was unfinished and is cancelled"), "{log}");
    assert!(log.contains(" begins: "), "{log}");
    fleet.assert_migrated();
}

#[test]
fn a_kept_server_serves_its_results_until_it_is_told_to_stop() {
    let fleet = small_fleet("kept");
    for by_flag in [true, false] {
        // The first time it runs, the second time it finds the run over.
        let mut command = fleet.server_command();
        match by_flag {
            true => command.arg("--server.keep"),
            false => command.env("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        };
        let server = start(&mut command);
        let worker = fleet.worker("w1");
        assert_exit(&worker, 0);
        server
            .wait_for_output("its results are served until", LONG)
            .unwrap();
        let status = fleet.status().expect("it answers");
        assert!(status.contains(": over, "), "{status}");
        assert!(status.contains("Migrated task 2 successfully"), "{status}");
        server.terminate();
        assert_exit(&server, 0);
    }
    fleet.assert_migrated();

    // In Kubernetes too, if the user says otherwise.
    let mut command = fleet.server_command();
    let server = start(
        command
            .arg("--server.keep=false")
            .env("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
    );
    assert_exit(&server, 0);
}
