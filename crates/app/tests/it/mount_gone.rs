//! P12: a mount that goes away in mid-run stops its task: nothing is written on what comes to light beneath it or was
//! mounted over it, the results say what happened, and other tasks go on.
//!
//! The fault: a worker is frozen when it has copied something and not all; the mount is detached, or another file system
//! mounted over it; then the worker goes on. It stays frozen for longer than the time between two looks at the mounts, so
//! that it must notice with its next step. The side that stays is slow, so that the worker is met in the middle.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use testkit::fuse::{self, SlowFs};
use testkit::mount::Tmpfs;
use testkit::tree::{Recipe, make};

use crate::fleet::{Fleet, LONG, Settings, assert_exit, assert_tree};

const DIRECTORIES: u64 = 100;
const FILES: u64 = 1_500;
/// Longer than from one look at the mounts to the next.
const FROZEN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Unmount,
    MountOver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

/// A task between two mounts, and a second one that has nothing to do with them.
struct Case {
    fleet: Fleet,
    /// Which of the mounts the fault is to fall on.
    side: Side,
    faulty: Tmpfs,
    slow: fuse::Mounted,
}

impl Case {
    fn new(label: &str, durability: &'static str, side: Side) -> Self {
        let settings = Settings {
            durability,
            // One at a time: so slow that it is met in the middle.
            transfers: 1,
            // Longer than the worker is frozen.
            lease_secs: 20,
            ..Settings::default()
        };
        let mut fleet = Fleet::new(label, &settings);
        let directory = |name: &str| {
            let path = fleet.path(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let [source, target, lower] = ["source1", "target1", "lower1"].map(directory);
        let (faulty, slow) = match side {
            Side::Source => (&source, &target),
            Side::Target => (&target, &source),
        };
        let faulty = Tmpfs::over(faulty, 256).unwrap();
        let tree = match side {
            Side::Source => &source,
            Side::Target => &lower,
        };
        let made = make(tree, &Recipe::plain(DIRECTORIES, FILES), 7).unwrap();
        let slow = SlowFs::over(&lower)
            .metadata_delay(Duration::from_millis(1))
            .mount(slow)
            .unwrap();
        fleet.add_task(&source, &target, Some(made));
        fleet.add_tree(&Recipe::plain(5, 20), 8);
        Self {
            fleet,
            side,
            faulty,
            slow,
        }
    }

    /// Lets the fault fall on the mount; it must stop the task with a message that says where.
    #[track_caller]
    fn assert_stops(self, fault: Fault) {
        let point = self.faulty.path();
        let side = match self.side {
            Side::Source => "source",
            Side::Target => "target",
        };
        let server = self.fleet.server();
        let worker = self.fleet.worker("w1");
        let task = &self.fleet.tasks[0];
        let half = || fs::read_dir(&task.target).unwrap().count() > 5;
        worker
            .wait_until("some of the tree", LONG, half)
            .unwrap_or_else(|error| panic!("{error}"));
        worker.stop();
        let (wanted, found) = (entries(&task.source), entries(&task.target));
        assert!(found < wanted, "the fault came too late: all was copied");
        let over = match fault {
            Fault::Unmount => {
                self.faulty.detach().unwrap();
                None
            }
            Fault::MountOver => Some(Tmpfs::over(point, 8).unwrap()),
        };
        thread::sleep(FROZEN);
        worker.resume();
        assert_exit(&server, 1);
        assert_exit(&worker, 0);
        let visible: Vec<_> = fs::read_dir(point).unwrap().collect();
        assert!(visible.is_empty(), "written where it was: {visible:?}");
        drop(over);

        let table = self.fleet.results();
        let row = table.find("id", "1").expect("the task has a row");
        assert_eq!(row.get("success"), Some("false"));
        assert_eq!(
            row.get("message"),
            Some(&*format!(
                "incomplete: {side} dir {} is no longer the directory it was: its file system was unmounted, or \
                 another one was mounted over it",
                point.display()
            ))
        );
        assert!(
            row.number("files") < FILES,
            "it went on to the end: {row:?}"
        );
        let log = worker.stderr();
        assert!(log.contains("is no longer the directory it was"), "{log}");
        let other = table.find("id", "2").expect("the other task has a row");
        assert_eq!(other.get("success"), Some("true"), "{other:?}");
        assert_tree(&self.fleet.tasks[1]);
        self.assert_nothing_beneath();
    }

    fn assert_nothing_beneath(&self) {
        if self.faulty.is_mounted() {
            self.faulty.detach().unwrap();
        }
        self.slow.detach().unwrap();
        for point in [self.faulty.path(), self.slow.path()] {
            let beneath: Vec<_> = fs::read_dir(point).unwrap().collect();
            assert!(beneath.is_empty(), "written beneath: {beneath:?}");
        }
    }
}

fn entries(directory: &Path) -> u64 {
    let mut count = 0;
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            count += 1;
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
        }
    }
    count
}

#[test]
fn a_target_that_is_unmounted_stops_the_task() {
    let case = Case::new("gone", "none", Side::Target);
    case.assert_stops(Fault::Unmount);
}

#[test]
fn a_target_that_is_unmounted_stops_the_task_with_batches_too() {
    let case = Case::new("batch", "batch", Side::Target);
    case.assert_stops(Fault::Unmount);
}

#[test]
fn a_target_that_is_mounted_over_stops_the_task() {
    let case = Case::new("over", "none", Side::Target);
    case.assert_stops(Fault::MountOver);
}

#[test]
fn a_source_that_is_unmounted_stops_the_task() {
    let case = Case::new("sourcegone", "none", Side::Source);
    case.assert_stops(Fault::Unmount);
}

#[test]
fn a_source_that_is_mounted_over_stops_the_task() {
    let case = Case::new("sourceover", "none", Side::Source);
    case.assert_stops(Fault::MountOver);
}
