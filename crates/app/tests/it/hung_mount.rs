//! P10: a mount that does not answer, or is stale, blocks only its own items. The worker stays in contact, other tasks go on,
//! it can be told to stop, and all completes when the mount is well again.
//!
//! The fault: requests of one kind about one file hang in a FUSE file system, or are answered with an error, until the
//! test lets go. A second task has nothing to do with that file system.

use std::fs;

use rustix::io::Errno;
use testkit::Program;
use testkit::fuse::{Armed, Fault, Mounted, Op, SlowFs};
use testkit::tree::Recipe;

use crate::fleet::{self, Fleet, LONG, Settings, assert_exit, assert_no_leftovers, assert_tree};

#[derive(Debug, Clone, Copy)]
enum Side {
    Source,
    Target,
}

/// A task with one side on the file system that goes wrong, and a second one.
struct Case {
    fleet: Fleet,
    mounted: Mounted,
}

impl Case {
    fn new(label: &str, side: Side, settings: &Settings) -> Self {
        let mut settings = settings.clone();
        settings.more_global.push("hung_mount_secs: 1".to_owned());
        let mut fleet = Fleet::new(label, &settings);
        let (source, target) = (fleet.path("source1"), fleet.path("target1"));
        for name in ["d/hangs", "d/other", "e/f/other"] {
            let path = source.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        // So that the file gets a temp, and is renamed.
        fs::create_dir_all(target.join("d")).unwrap();
        fleet.add_task(&source, &target, None);
        fleet.add_tree(&Recipe::plain(5, 60), 8);
        let at = match side {
            Side::Source => source,
            Side::Target => target,
        };
        let mounted = SlowFs::over(&at).direct_io().mount(&at).unwrap();
        Self { fleet, mounted }
    }

    fn worker(&self, name: &str) -> Program {
        let mut command = self.fleet.worker_command(name);
        fleet::start(command.arg("--debug"))
    }

    /// Waits until `status` says so.
    #[track_caller]
    fn wait_for_status(&self, program: &Program, wanted: &str) {
        let shows = || {
            self.fleet
                .status()
                .is_some_and(|text| text.contains(wanted))
        };
        let waited = program.wait_until(&format!("the status {wanted:?}"), LONG, shows);
        waited.unwrap_or_else(|error| panic!("{error}"));
    }

    #[track_caller]
    fn wait_for_second_task(&self, program: &Program) {
        let waited = program.wait_until("the second task", LONG, || self.fleet.ended_tasks() == 1);
        waited.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Both tasks are done, right, and nobody is blamed.
    #[track_caller]
    fn assert_all_right(&self) {
        let table = self.fleet.results();
        for (id, task) in ["1", "2"].into_iter().zip(&self.fleet.tasks) {
            let row = table.find("id", id).expect("each task has a row");
            assert_eq!(row.get("success"), Some("true"), "{row:?}");
            assert_tree(task);
        }
        let counts = self.fleet.counts(1);
        assert_eq!(
            (counts.listed, counts.skipped, counts.failed),
            (6, 0, 0),
            "{counts:?}"
        );
    }
}

#[track_caller]
fn wait_for(program: &Program, output: &str) {
    program
        .wait_for_output(output, LONG)
        .unwrap_or_else(|error| panic!("{error}"));
}

#[track_caller]
fn wait_until_hangs(armed: &Armed) {
    assert!(armed.wait_until_fired(1, LONG), "nothing hung");
}

/// A call hangs; the one worker leaves it behind, does the other task, and completes this one when the call is answered.
#[track_caller]
fn assert_goes_on(op: Op, side: Side, name: &str, settings: &Settings) {
    let case = Case::new("hung", side, settings);
    let armed = case.mounted.arm(Fault::hang(op).name_prefix(name));
    let server = case.fleet.server();
    let worker = case.worker("w1");
    wait_until_hangs(&armed);
    wait_for(&worker, "is left behind: no answer for");
    case.wait_for_second_task(&worker);
    case.wait_for_status(&worker, "task 1, no answer for");
    armed.release();
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    let log = worker.stderr() + &worker.stdout();
    assert!(log.contains("its mount answers again"), "{op}: {log}");
    assert!(!log.contains("session was lost"), "it lost contact: {log}");
    case.assert_all_right();
}

#[test]
fn a_source_that_does_not_answer_holds_up_its_task_alone() {
    for op in [Op::Open, Op::Read, Op::Opendir, Op::Readdir, Op::Lookup] {
        let name = match op {
            Op::Opendir | Op::Readdir => "d",
            _ => "hangs",
        };
        assert_goes_on(op, Side::Source, name, &Settings::default());
    }
}

#[test]
fn a_target_that_does_not_answer_holds_up_its_task_alone() {
    for (op, name) in [
        (Op::Create, ".dm."),
        (Op::Write, ".dm."),
        (Op::Utimens, ".dm."),
        (Op::Rename, "hangs"),
        (Op::Mkdir, ""),
    ] {
        assert_goes_on(op, Side::Target, name, &Settings::default());
    }
}

#[test]
fn batches_are_held_up_no_worse() {
    let settings = Settings {
        durability: "batch",
        ..Settings::default()
    };
    assert_goes_on(Op::Rename, Side::Target, "hangs", &settings);
    assert_goes_on(Op::Read, Side::Source, "hangs", &settings);
}

#[test]
fn roots_that_can_not_be_opened_hold_up_nothing_else() {
    // The file system's type is asked for before anything else.
    for side in [Side::Source, Side::Target] {
        assert_goes_on(Op::Statfs, side, "", &Settings::default());
    }
}

#[test]
fn one_slot_and_one_thread_are_enough() {
    let settings = Settings {
        concurrency: 1,
        transfers: 1,
        ..Settings::default()
    };
    assert_goes_on(Op::Open, Side::Source, "hangs", &settings);
}

#[test]
fn the_path_without_an_answer_is_shown() {
    let case = Case::new("shown", Side::Source, &Settings::default());
    let armed = case.mounted.arm(Fault::hang(Op::Open).name_prefix("hangs"));
    let server = case.fleet.server();
    let worker = case.worker("w1");
    wait_until_hangs(&armed);
    case.wait_for_status(&worker, ": d/hangs\n");
    armed.release();
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    case.assert_all_right();
}

#[test]
fn another_worker_does_what_hangs_here() {
    let case = Case::new("other", Side::Source, &Settings::default());
    // The first who asks.
    let armed = case
        .mounted
        .arm(Fault::hang(Op::Open).name_prefix("hangs").nth(1));
    let server = case.fleet.server();
    let workers = ["w1", "w2"].map(|name| case.worker(name));
    wait_until_hangs(&armed);
    assert_exit(&server, 0);
    assert_eq!(armed.fired(), 1);
    case.assert_all_right();
    armed.release();
    workers.iter().for_each(|worker| assert_exit(worker, 0));
    // What came back wrote nothing.
    case.assert_all_right();
}

#[test]
fn a_worker_that_hangs_stops_when_it_is_told_to() {
    // Longer than it waits for what runs.
    let settings = Settings {
        lease_secs: 6,
        ..Settings::default()
    };
    for side in [Side::Source, Side::Target] {
        let case = Case::new("stop", side, &settings);
        let fault = match side {
            Side::Source => Fault::hang(Op::Open).name_prefix("hangs"),
            Side::Target => Fault::hang(Op::Write).name_prefix(".dm."),
        };
        let armed = case.mounted.arm(fault);
        let server = case.fleet.server();
        let worker = case.worker("w1");
        wait_until_hangs(&armed);
        worker.terminate();
        wait_for(&server, "worker w1 has left");
        server
            .wait_until("the worker's end", LONG, || has_ended(&worker))
            .unwrap_or_else(|error| panic!("{error}"));
        armed.disarm();
        armed.release();
        assert_exit(&worker, 143);
        let next = case.worker("w2");
        assert_exit(&server, 0);
        assert_exit(&next, 0);
        case.assert_all_right();
    }
}

/// What the kernel keeps of a process whose threads wait in it for an answer is no process any more.
fn has_ended(program: &Program) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    !program.is_running() || state == Some('Z')
}

#[test]
fn a_worker_that_loses_its_session_meanwhile_comes_back() {
    let settings = Settings {
        concurrency: 1,
        ..Settings::default()
    };
    let case = Case::new("lost", Side::Source, &settings);
    let armed = case.mounted.arm(Fault::hang(Op::Open).name_prefix("hangs"));
    let server = case.fleet.server();
    let worker = case.worker("w1");
    wait_until_hangs(&armed);
    // It can't stand still as a whole: one of its threads is in the kernel.
    worker.signal(testkit::process::Signal::STOP);
    wait_for(&server, "worker w1 was silent");
    worker.resume();
    wait_for(&worker, "session was lost");
    case.wait_for_second_task(&worker);
    case.wait_for_status(&worker, "task 1, no answer for");
    armed.release();
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    case.assert_all_right();
}

#[test]
fn a_stale_mount_is_no_failure_of_its_task() {
    for (errno, side) in [
        (Errno::STALE, Side::Source),
        (Errno::IO, Side::Target),
        (Errno::NOTCONN, Side::Source),
    ] {
        let case = Case::new("stale", side, &Settings::default());
        let armed = case.mounted.arm(Fault::errno(Op::Statfs, errno));
        let server = case.fleet.server();
        let worker = case.worker("w1");
        assert!(armed.wait_until_fired(1, LONG), "nothing was stale");
        case.wait_for_second_task(&worker);
        case.wait_for_status(&worker, "can't run task 1: ");
        armed.disarm();
        assert_exit(&server, 0);
        assert_exit(&worker, 0);
        case.assert_all_right();
        assert_no_leftovers(&case.fleet.tasks[0].target);
    }
}
