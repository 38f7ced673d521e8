//! The disk of the server's own data directory fills, at any moment, and is emptied later: workers wait, nothing is
//! lost, and the run ends right without a restart (P7). `CYCLES=n` seeds.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use testkit::Program;
use testkit::fuse::{self, SlowFs};
use testkit::mount::Tmpfs;
use testkit::random::Random;
use testkit::tree::Recipe;

use crate::fleet::{Fleet, LONG, Settings, assert_ends_or_never_got_in, assert_exit};

const NO_ROOM: &str = "no room on the server's disk";

/// A run whose state lies on a small file system of its own, and whose targets answer so slowly that it takes seconds.
struct Case {
    fleet: Fleet,
    disk: Tmpfs,
    _targets: fuse::Mounted,
}

fn case(label: &str, seed: u64) -> Case {
    let settings = Settings {
        transfers: 2,
        ..Settings::default()
    };
    let mut fleet = Fleet::new(label, &settings);
    let [lower, targets] = ["lower", "targets"].map(|name| fleet.path(name));
    fs::create_dir(&lower).unwrap();
    fs::create_dir(&targets).unwrap();
    for (n, (directories, files)) in (1..).zip([(60, 600), (30, 200)]) {
        let source = fleet.path(format!("source{n}"));
        let recipe = Recipe::plain(directories, files);
        let made = testkit::tree::make(&source, &recipe, seed + n).unwrap();
        fleet.add_task(&source, &targets.join(n.to_string()), Some(made));
    }
    fs::create_dir(fleet.data_dir()).unwrap();
    Case {
        disk: Tmpfs::over(&fleet.data_dir(), 32).unwrap(),
        _targets: SlowFs::over(&lower)
            .metadata_delay(Duration::from_millis(4))
            .mount(&targets)
            .unwrap(),
        fleet,
    }
}

/// Takes all room that is left.
fn fill(disk: &Path) -> PathBuf {
    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[7; 4 << 10]).is_ok() {}
    ballast
}

fn assert_waits(server: &Program) {
    server
        .wait_for_output(NO_ROOM, LONG)
        .unwrap_or_else(|error| panic!("{error}"));
}

fn assert_right(fleet: &Fleet, server: &Program) {
    assert_exit(server, 0);
    fleet.assert_migrated();
    let reports = fs::read_dir(fleet.data_dir().join("reports")).unwrap();
    assert_eq!(reports.count(), 1, "there is no report");
}

#[test]
fn a_disk_that_fills_at_any_moment_loses_nothing() {
    let cycles = std::env::var("CYCLES").ok();
    let cycles = cycles.map_or(1, |n| n.parse().expect("CYCLES is a number"));
    for seed in 0..cycles {
        let Case { fleet, disk, .. } = &case("anytime", seed);
        let mut random = Random::new(seed);
        let server = fleet.server();
        // The first time it is full before anybody can register.
        let mut ballast = fill(disk.path());
        let workers = ["w1", "w2"].map(|name| fleet.worker(name));
        assert_waits(&server);
        while server.is_running() {
            thread::sleep(Duration::from_millis(random.below(3_000)));
            fs::remove_file(&ballast).unwrap();
            thread::sleep(Duration::from_millis(random.below(2_000)));
            ballast = fill(disk.path());
            // The report can't be written either: the run ends when there is room.
            if fleet.ended_tasks() == 2 {
                thread::sleep(Duration::from_millis(random.below(3_000)));
                break;
            }
        }
        fs::remove_file(&ballast).unwrap();
        assert_right(fleet, &server);
        workers.iter().for_each(assert_ends_or_never_got_in);
    }
}

#[test]
fn a_worker_that_is_killed_while_the_disk_is_full_is_made_up_for() {
    let Case { fleet, disk, .. } = &case("killed", 9);
    let server = fleet.server();
    let worker = fleet.worker("w1");
    let begun = || fleet.tasks[0].target.is_dir();
    worker.wait_until("it copies", LONG, begun).unwrap();
    worker.stop();
    let ballast = fill(disk.path());
    worker.kill();
    // Its session is over, which can't be stored.
    let silent = "worker w1 was silent for";
    server.wait_for_output(silent, LONG).unwrap();
    assert_waits(&server);
    let other = fleet.worker("w2");
    // People are answered all the same.
    assert!(fleet.status().is_some());
    fs::remove_file(&ballast).unwrap();
    assert_right(fleet, &server);
    assert_exit(&other, 0);
}
