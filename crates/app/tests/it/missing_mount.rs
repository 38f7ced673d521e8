//! P12: a worker that does not see a mount which the others see writes nothing on the disk beneath, though that is of
//! the right type: it refuses, says so in its log and in `status`, and the task is done by the others.
//!
//! The fault: the worker runs in a mount namespace of its own, where the mount was taken off or another file system
//! mounted over it. It comes to a task that another worker has begun and stands still in; its source is slow, so that this
//! one is met in the middle.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::Program;
use testkit::fuse::{self, SlowFs};
use testkit::mount::Tmpfs;
use testkit::tree::{Recipe, make};

use crate::fleet::{Fleet, LONG, Settings, WORKER, assert_exit, start};

const DIRECTORIES: usize = 40;

/// A task between two mounts, the source slow, each over a directory of a tmpfs: `disk/source` and `disk/target`.
struct Case {
    fleet: Fleet,
    source: fuse::Mounted,
    target: Tmpfs,
    _disk: Tmpfs,
}

impl Case {
    /// The target root is `below` the target's mount.
    fn new(label: &str, below: &str) -> Self {
        let settings = Settings {
            // That of the mount, and that beneath it.
            source_fs_types: "fuse.slowfs, tmpfs".to_owned(),
            target_fs_types: "tmpfs".to_owned(),
            concurrency: 1,
            // The first worker stands still for a while.
            lease_secs: 60,
            // An item for each entry of the list, so that there is work for a second worker.
            more_global: vec!["max_files_per_output: 1".to_owned()],
            ..Settings::default()
        };
        let fleet = Fleet::new(label, &settings);
        let point = |name: &str| {
            let point = fleet.path("disk").join(name);
            fs::create_dir_all(&point).unwrap();
            point
        };
        fs::create_dir(fleet.path("disk")).unwrap();
        let _disk = Tmpfs::over(&fleet.path("disk"), 64).unwrap();
        let lower = fleet.path("lower");
        let target = Tmpfs::over(&point("target"), 64).unwrap();
        let mut list = String::new();
        for number in 0..DIRECTORIES {
            let name = format!("d{number}");
            make(&lower.join(&name), &Recipe::plain(2, 20), 1).unwrap();
            list += &format!("{name}\n");
        }
        let source = SlowFs::over(&lower)
            .metadata_delay(Duration::from_millis(1))
            .mount(&point("source"))
            .unwrap();
        fs::write(fleet.path("list"), list).unwrap();
        let task = format!(
            "{} {} {}\n",
            source.path().display(),
            target.path().join(below).display(),
            fleet.path("list").display()
        );
        fs::write(fleet.tasks_file(), task).unwrap();
        Self {
            fleet,
            source,
            target,
            _disk,
        }
    }

    /// A worker that sees the mounts as this shell command leaves them.
    fn worker_that_sees(&self, name: &str, change: &str) -> Program {
        let as_usual = self.fleet.worker_command(name);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c"])
            .arg(format!("{change} && exec \"$0\" \"$@\""))
            .arg(WORKER)
            .args(as_usual.get_args())
            .current_dir(as_usual.get_current_dir().expect("workers have one"));
        start(&mut command)
    }

    /// Runs the task with a worker that sees all and one that does not, which must say this.
    #[track_caller]
    fn assert_goes_on_elsewhere(self, change: &str, expected: &str) {
        let server = self.fleet.server();
        let seeing = self.fleet.worker("seeing");
        let has_begun = || copied(self.target.path()) > 0;
        seeing
            .wait_until("it to begin", LONG, has_begun)
            .unwrap_or_else(|error| panic!("{error}"));
        seeing.stop();
        let begun = copied(self.target.path());
        assert!(begun < DIRECTORIES, "the task was over too soon");
        let blind = self.worker_that_sees("blind", change);
        let in_status = || {
            let status = self.fleet.status().unwrap_or_default();
            status.contains("can't run task 1: ") && status.contains(expected)
        };
        server
            .wait_until("the refusal in the status", LONG, in_status)
            .unwrap_or_else(|error| panic!("{error}\n{:?}", self.fleet.status()));
        seeing.resume();
        for program in [&server, &seeing, &blind] {
            assert_exit(program, 0);
        }
        for (who, program) in [("server", &server), ("worker", &blind)] {
            let log = program.stderr();
            assert!(log.contains(expected), "the log of the {who}: {log}");
        }
        assert!(!seeing.stderr().contains(expected));

        let row = self.fleet.results();
        let row = row.find("subtask id", "0").expect("the task has a row");
        assert_eq!(row.get("success"), Some("true"), "{row:?}");
        assert_eq!(row.get("client id"), Some("seeing"));
        assert_eq!(copied(self.target.path()), DIRECTORIES);
        self.target.detach().unwrap();
        self.source.detach().unwrap();
        for point in [self.target.path(), self.source.path()] {
            let beneath: Vec<_> = fs::read_dir(point).unwrap().collect();
            assert!(beneath.is_empty(), "written beneath: {beneath:?}");
        }
    }

    fn points(&self) -> (String, String) {
        let shown = |path: &Path| path.display().to_string();
        (shown(self.source.path()), shown(self.target.path()))
    }
}

/// How many of the directories are at a target, or below it in `below`.
fn copied(target: &Path) -> usize {
    let count = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let names = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"d"));
        names.count()
    };
    count(target) + count(&target.join("below/it"))
}

#[test]
fn a_worker_whose_target_mount_is_missing_refuses() {
    let case = Case::new("target", "");
    let (_, target) = case.points();
    case.assert_goes_on_elsewhere(
        &format!("umount {target}"),
        &format!(
            "is not at {target}: another file system is mounted here, or the mount is missing"
        ),
    );
}

#[test]
fn a_worker_whose_target_would_have_to_be_made_refuses() {
    let case = Case::new("made", "below/it");
    let (_, target) = case.points();
    case.assert_goes_on_elsewhere(
        &format!("umount {target}"),
        &format!("is not at {target}/below/it: another file system is mounted here, or the mount is missing"),
    );
}

#[test]
fn a_worker_with_another_file_system_over_its_target_refuses() {
    let case = Case::new("over", "");
    let (_, target) = case.points();
    case.assert_goes_on_elsewhere(
        &format!("mount -t tmpfs none {target}"),
        &format!(
            "is not at {target}: another file system is mounted here, or the mount is missing"
        ),
    );
}

#[test]
fn a_worker_whose_source_mount_is_missing_refuses() {
    let case = Case::new("source", "");
    let (source, _) = case.points();
    case.assert_goes_on_elsewhere(
        &format!("umount {source}"),
        &format!("source dir {source} is not the directory that the run began with"),
    );
}

#[test]
fn a_worker_with_another_file_system_over_its_source_refuses() {
    let case = Case::new("oversource", "");
    let (source, _) = case.points();
    case.assert_goes_on_elsewhere(
        &format!("mount -t tmpfs none {source}"),
        &format!("source dir {source} is not the directory that the run began with"),
    );
}
