//! P2, P6: one directory with nearly all of a tree in it is worked on by several workers, each of which has its share of
//! the names; one of them dies over it. Every entry is counted once, and the directory itself keeps its attributes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use testkit::Program;

use crate::fleet::{Fleet, LONG, Settings, assert_exit, assert_tree, begun, start};

/// Names in the directory: every tenth a directory with a file in it, every tenth a link.
const NAMES: u64 = 8_000;
const ENTRIES: u64 = 1 + NAMES + NAMES / 10;

fn make_huge(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for n in 0..NAMES {
        let path = directory.join(format!("name {n}"));
        match n % 10 {
            0 => {
                fs::create_dir(&path).unwrap();
                fs::write(path.join("file"), n.to_string()).unwrap();
            }
            1 => symlink("nowhere", &path).unwrap(),
            _ => fs::write(&path, n.to_string()).unwrap(),
        }
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o2751)).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::open(directory)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
}

fn has_shard(worker: &Program) -> bool {
    worker.stderr().contains("Shard {")
}

#[test]
fn four_workers_share_one_directory_and_one_of_them_dies() {
    let mut fleet = Fleet::new(
        "huge-directory",
        &Settings {
            concurrency: 1,
            transfers: 1,
            // Long enough for those who live.
            lease_secs: 6,
            more_global: vec!["shard_entries: 400".to_owned()],
            ..Settings::default()
        },
    );
    let tree = fleet.path("tree");
    make_huge(&tree.join("huge"));
    // What is soon done is not shared.
    fleet.add_slow(&tree, None);
    let server = fleet.server();
    let workers: Vec<Program> = ["a", "b", "c", "d"]
        .map(|name| start(fleet.worker_command(name).arg("--debug")))
        .into();
    // The first to get one dies over it.
    server
        .wait_until("a shard", LONG, || workers.iter().any(has_shard))
        .unwrap();
    let victim = workers.iter().position(has_shard).unwrap();
    workers[victim].kill();
    let lost = begun(&workers[victim]).pop().unwrap();
    assert_exit(&server, 0);
    for (n, worker) in workers.iter().enumerate() {
        if n != victim {
            assert_exit(worker, 0);
        }
    }

    assert_tree(&fleet.tasks[0]);
    let counts = fleet.counts(1);
    assert_eq!(counts.listed, ENTRIES, "{counts:?}");
    assert_eq!(counts.copied + counts.unchanged, ENTRIES, "{counts:?}");
    let survivors = workers.iter().filter(|worker| has_shard(worker)).count();
    assert!(survivors >= 3, "{survivors} workers had a part in it");
    let again = workers
        .iter()
        .flat_map(begun)
        .find(|begun| begun.item == lost.item && begun.epoch == lost.epoch + 1);
    assert!(again.is_some(), "{lost:?} was not run again");
    assert!(fleet.results().rows().next().unwrap().number("retries") >= 1);
}
