//! P8: a worker that is frozen between asking its fence and giving a temp its name changes nothing when it thaws after the end
//! of the task: its temps are gone by then, also where the source's directory has vanished, so that nobody enters it.
//!
//! The fault: strace holds one thread back at the entry of its first rename, for longer than all else takes; the worker
//! is stopped at that moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Program;

use crate::fleet::{self, Fleet, LONG, Settings, WORKER, assert_exit, assert_no_leftovers};

const RENAMES: &str = "rename,renameat,renameat2";

/// Much longer than the lease and two more, on a machine that has much else to do.
const HELD_BACK: &str = "40000000us";

struct Frozen {
    /// strace, with the worker below it.
    traced: Program,
    log: PathBuf,
}

impl Frozen {
    /// A worker that stands still just before its first rename.
    fn start(fleet: &Fleet) -> Self {
        let log = fleet.path("strace.log");
        let mut command = fleet.command("strace", "w1");
        command.args(["-f", "-o"]).arg(&log);
        command.args(["-e", &format!("trace={RENAMES}")]);
        command.args([
            "-e",
            &format!("inject={RENAMES}:delay_enter={HELD_BACK}:when=1"),
        ]);
        command.args([WORKER, "--server.address", &fleet.address(), "--name", "w1"]);
        let frozen = Self {
            traced: fleet::start(&mut command),
            log,
        };
        let begun = || frozen.log().contains("rename");
        frozen
            .traced
            .wait_until("its first rename", LONG, begun)
            .unwrap_or_else(|error| panic!("{error}"));
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        let id = self.traced.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let worker = children.split_whitespace().next().expect("strace runs it");
        let sent = Command::new("kill")
            .args([signal, worker])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether the rename was made.
    fn has_renamed(&self) -> bool {
        self.log().contains("(DELAYED)")
    }

    /// Lets it go on until it has made its call.
    fn thaw(&self) {
        self.signal("-CONT");
        self.traced
            .wait_until("the rename", LONG, || self.has_renamed())
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Freezes a worker, changes the source, lets another worker complete the run, and thaws the first.
#[track_caller]
fn assert_late_rename_fails(label: &str, change: fn(&Path), judge: fn(&Path)) {
    let mut fleet = Fleet::new(label, &Settings::default());
    let (source, target) = (fleet.path("source1"), fleet.path("target1"));
    fs::create_dir_all(source.join("d")).unwrap();
    fs::write(source.join("d/file"), "old").unwrap();
    // So that the file gets a temp there.
    fs::create_dir_all(target.join("d")).unwrap();
    fleet.add_task(&source, &target, None);
    let server = fleet.server();
    let frozen = Frozen::start(&fleet);
    change(&source);
    let other = fleet.worker("w2");
    assert_exit(&server, 0);
    assert_exit(&other, 0);
    assert!(
        !frozen.has_renamed(),
        "it was not held back for long enough"
    );
    judge(&target);
    assert_no_leftovers(&target);
    frozen.thaw();
    judge(&target);
    assert_no_leftovers(&target);
    assert!(frozen.log().contains("ENOENT"), "{}", frozen.log());
}

#[test]
fn a_late_rename_finds_nothing_where_the_source_has_changed() {
    assert_late_rename_fails(
        "changed",
        |source| fs::write(source.join("d/file"), "newer").unwrap(),
        |target| assert_eq!(fs::read(target.join("d/file")).unwrap(), b"newer"),
    );
}

#[test]
fn a_late_rename_finds_nothing_where_the_source_is_gone() {
    assert_late_rename_fails(
        "gone",
        |source| fs::remove_dir_all(source.join("d")).unwrap(),
        |target| assert_eq!(fs::read_dir(target.join("d")).unwrap().count(), 0),
    );
}
