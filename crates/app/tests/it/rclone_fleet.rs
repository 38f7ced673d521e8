//! The rclone engine in a fleet: workers without a usable rclone get none of its tasks and say why; a worker that is
//! killed costs only what it had not finished, and its rclone dies with it (P3, P6).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use testkit::Program;
use testkit::compare::Options;
use testkit::leftovers;
use testkit::process::Exit;
use testkit::rclone::{both, current, debian};
use testkit::tree::Recipe;

use crate::fleet::{self, Fleet, LONG, Settings, assert_exit, start};
use crate::rclone::{assert_ends, lives};

fn settings() -> Settings {
    Settings {
        more_global: vec!["engine: rclone".to_owned()],
        item_attempts: 20,
        ..Settings::default()
    }
}

/// A worker that finds this rclone.
fn worker(fleet: &Fleet, name: &str, rclone: &Path, variables: &[(&str, &str)]) -> Program {
    let mut command = fleet.worker_command(name);
    command
        .arg("--debug")
        .arg("--rclone.path")
        .arg(rclone)
        .envs(variables.iter().copied());
    start(&mut command)
}

fn status_says(fleet: &Fleet, text: &str) -> bool {
    fleet.status().is_some_and(|status| status.contains(text))
}

#[test]
fn a_worker_without_a_usable_rclone_gets_no_task_and_says_why() {
    let mut fleet = Fleet::new("no-rclone", &settings());
    fleet.add_tree(&Recipe::odd(10, 100), 1);
    let server = fleet.server();
    let without = worker(&fleet, "without", Path::new("/no/such/rclone"), &[]);
    let excluding = worker(
        &fleet,
        "excluding",
        &current(),
        &[("RCLONE_EXCLUDE", "*.bak")],
    );
    let missing = "/no/such/rclone was not found; install rclone, or name it with --rclone.path";
    let refused = "the environment sets RCLONE_EXCLUDE, which would change what rclone does";
    for text in [
        missing,
        refused,
        "no rclone: ",
        "no worker has a usable rclone, which this task needs: ",
    ] {
        server
            .wait_until(text, LONG, || status_says(&fleet, text))
            .unwrap();
    }
    let waits = "task 1 waits: no worker has a usable rclone, which this task needs: ";
    server.wait_for_output(waits, LONG).unwrap();
    assert!(!status_says(&fleet, "*.bak"), "no value is shown");
    assert!(without.is_running() && excluding.is_running());
    let with = worker(&fleet, "with", &current(), &[]);
    assert_exit(&server, 0);
    for worker in [&without, &excluding, &with] {
        assert_exit(worker, 0);
    }
    fleet.assert_migrated();
    for idle in [&without, &excluding] {
        // Setting attributes at the end needs none.
        let log = idle.stderr();
        assert!(
            !log.contains("purpose: Copy") && !log.contains("Files("),
            "{log}"
        );
    }
}

#[test]
fn a_run_of_one_process_without_rclone_fails_at_once() {
    let mut fleet = Fleet::new("alone", &settings());
    fleet.add_tree(&Recipe::plain(2, 5), 1);
    let mut command = fleet.command(fleet::MAIN, "server");
    command
        .args(["run", "--config.file"])
        .arg(fleet.config_file());
    let run = start(command.args(["--rclone.path", "/no/such/rclone"]));
    assert_exit(&run, 1);
    let table = fleet.results();
    let message = table.find("id", "1").unwrap().get("message").unwrap();
    assert!(
        message.contains("/no/such/rclone was not found"),
        "{message}"
    );
    assert!(!fleet.tasks[0].target.exists());
}

/// In front of the real one: copies slowly, and leaves its number in `pids`.
fn slow(fleet: &Fleet, rclone: &Path) -> PathBuf {
    let script = fleet.path("slow-rclone");
    let text = format!(
        "#!/bin/bash
[[ $1 != copy ]] || echo $$ >>{pids}
exec {rclone} \"$@\" $([[ $1 != copy ]] || echo --bwlimit 256k:256k)
",
        pids = fleet.path("pids").display(),
        rclone = rclone.display(),
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[test]
fn a_killed_worker_takes_its_rclone_along_and_another_copies_the_rest() {
    for (version, program) in both() {
        let mut fleet = Fleet::new(version, &settings());
        let recipe = Recipe {
            big_files: 3,
            big_file_bytes: 2 << 20,
            ..Recipe::plain(10, 60)
        };
        fleet.add_tree(&recipe, 5);
        let (source, target) = (fleet.tasks[0].source.clone(), fleet.tasks[0].target.clone());
        let server = fleet.server();
        let victim = worker(&fleet, "victim", &slow(&fleet, &program), &[]);
        // In mid-file: unfinished under another name, or, with the older one, shorter than its source.
        let is_in_mid_file = || match version {
            "debian" => target.exists() && has_short_file(&source, &target),
            _ => target.exists() && leftovers(&target).iter().any(|path| is_of_rclone(path)),
        };
        victim
            .wait_until("a file that is not finished", LONG, is_in_mid_file)
            .unwrap();
        victim.kill();
        assert_eq!(victim.wait(LONG).unwrap(), Exit::Signal(9));
        assert!(is_in_mid_file(), "{version}: it was killed in mid-file");
        let pids = fs::read_to_string(fleet.path("pids")).unwrap();
        assert!(!pids.is_empty());
        pids.lines().for_each(assert_ends);
        let other = worker(&fleet, "other", &program, &[]);
        assert_exit(&server, 0);
        assert_exit(&other, 0);
        // With that no unfinished file is left.
        let table = fleet.results();
        let row = table.find("id", "1").unwrap();
        assert_eq!(row.get("success"), Some("true"), "{row:?}");
        assert!(leftovers(&target).is_empty(), "{:?}", leftovers(&target));
        fleet::assert_tree(&fleet.tasks[0]);
    }
}

fn is_of_rclone(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    !name.starts_with(".dm.")
}

/// Whether a big file of the source is there in part.
fn has_short_file(source: &Path, target: &Path) -> bool {
    let bigs = testkit::tool::run(
        std::process::Command::new("find")
            .arg(source)
            .args(["-name", "big*", "-printf", "%P\\n"]),
    );
    let bigs = String::from_utf8_lossy(&bigs.unwrap().stdout).into_owned();
    bigs.lines().any(|name| {
        let size = |root: &Path| fs::metadata(root.join(name)).map(|meta| meta.len());
        matches!((size(source), size(target)), (Ok(whole), Ok(part)) if part < whole)
    })
}

#[test]
fn a_frozen_worker_s_rclone_changes_nothing_that_another_has_copied() {
    freeze("frozen", &current());
}

#[test]
fn a_frozen_worker_s_older_rclone_changes_nothing_either() {
    freeze("frozen-debian", &debian());
}

fn freeze(version: &str, program: &Path) {
    // Its rclone can't log any more long before this lease is over.
    let lease = Settings {
        lease_secs: 10,
        heartbeat_secs: 1,
        ..settings()
    };
    let mut fleet = Fleet::new(version, &lease);
    let recipe = Recipe {
        odd_attributes: true,
        ..Recipe::plain(10, 800)
    };
    fleet.add_tree(&recipe, 5);
    let target = fleet.tasks[0].target.clone();
    let server = fleet.server();
    let late = worker(&fleet, "late", &slow(&fleet, program), &[]);
    let pids = fleet.path("pids");
    let writes = || pids.exists() && target.exists() && has_data(&target);
    late.wait_until("a file", LONG, writes).unwrap();
    late.stop();
    let pids = fs::read_to_string(pids).unwrap();
    assert!(!is_complete(&fleet.tasks[0]), "it was frozen in mid-copy");
    let other = worker(&fleet, "other", program, &[]);
    assert_exit(&server, 0);
    assert_exit(&other, 0);
    assert!(pids.lines().all(lives), "{version}: its rclone waits");
    fleet::assert_tree(&fleet.tasks[0]);
    late.kill();
    pids.lines().for_each(assert_ends);
    fleet::assert_tree(&fleet.tasks[0]);
}

fn is_complete(task: &fleet::Task) -> bool {
    testkit::compare(&task.source, &task.target, &Options::data_only()).is_empty()
}

/// Whether rclone has begun to write.
fn has_data(target: &Path) -> bool {
    let files = testkit::tool::run(
        std::process::Command::new("find")
            .arg(target)
            .args(["-type", "f", "-size", "+0"]),
    );
    files.is_ok_and(|done| !done.stdout.is_empty())
}
