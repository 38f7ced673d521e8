//! P9: a target that takes nothing more is paused, with all tasks whose targets lie on it; others go on. It is tried again
//! by itself, and once there is room all of it is migrated: nothing has failed, and no attempt was used up.
//!
//! Blocks and inodes are used up on small file systems of ext4 and in memory; quotas and read-only mounts are made up by
//! FUSE. `CYCLES=n` repeats each case.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use testkit::Program;
use testkit::fuse::{Fault, Op, SlowFs};
use testkit::mount::{LoopMount, Tmpfs};
use testkit::tree::Recipe;

use crate::fleet::{self, Fleet, LONG, Settings, assert_exit, begun};
use crate::receiver::Receiver;

/// Room that is left on the full file system: enough to begin, not for all.
const ROOM_BYTES: u64 = 256 << 10;
const ROOM_FILES: usize = 20;

fn cycles() -> u32 {
    let cycles = std::env::var("CYCLES").ok();
    cycles.map_or(1, |n| n.parse().expect("CYCLES is a number"))
}

/// Tasks 1 and 3 go to the volume at `full`, task 2 elsewhere.
struct Case {
    fleet: Fleet,
    full: PathBuf,
    told: Receiver,
    /// That of the worker, if it copies.
    rclone: Option<PathBuf>,
}

impl Case {
    fn new(label: &str, durability: &'static str) -> Self {
        let told = Receiver::new(&[]);
        let settings = settings(&told, durability);
        let mut fleet = Fleet::new(label, &settings);
        let full = fleet.path("full");
        fs::create_dir(&full).unwrap();
        for seed in 1..=3 {
            let target = match seed {
                2 => fleet.path("target2"),
                _ => full.join(format!("target{seed}")),
            };
            let source = fleet.path(format!("source{seed}"));
            let recipe = Recipe::plain(40, 400);
            let made = testkit::tree::make(&source, &recipe, seed).unwrap();
            fleet.add_task(&source, &target, Some(made));
        }
        Self {
            fleet,
            full,
            told,
            rclone: None,
        }
    }

    fn with_rclone(label: &str, rclone: PathBuf) -> Self {
        let case = Self {
            rclone: Some(rclone),
            ..Self::new(label, "none")
        };
        let mut settings = settings(&case.told, "none");
        settings.more_global.push("engine: rclone".to_owned());
        case.fleet.configure(&settings);
        case
    }

    /// Runs until both tasks wait and have been tried again, and the other one is done; makes room; then all must be
    /// right.
    fn assert_waits_and_completes(
        self,
        is_tried: impl Fn(&Program) -> bool,
        make_room: impl FnOnce(),
    ) {
        let fleet = &self.fleet;
        let server = fleet.server();
        let mut worker = fleet.worker_command("w1");
        if let Some(rclone) = &self.rclone {
            worker.arg("--rclone.path").arg(rclone);
        }
        let worker = fleet::start(worker.arg("--debug"));
        wait(&server, "the pause is shown", || {
            let status = fleet.status().unwrap_or_default();
            [1, 3].iter().all(|task| state(&status, *task) == "paused")
        });
        wait(&server, "the other task is done", || {
            fleet.results_file().exists() && fleet.results().find("id", "2").is_some()
        });
        wait(&worker, "the target is tried again and again", || {
            is_tried(&worker)
        });
        assert_eq!(fleet.ended_tasks(), 1, "{}", server.stderr());
        make_room();
        assert_exit(&server, 0);
        assert_exit(&worker, 0);

        fleet.assert_migrated();
        let table = fleet.results();
        for row in table.rows() {
            assert_eq!((row.number("retries"), row.number("failures")), (0, 0));
        }
        let log = server.stderr();
        assert!(log.contains("takes nothing more"), "{log}");
        assert!(log.contains("there is room again after"), "{log}");
        let events: Vec<String> = self.told.taken().iter().map(event).collect();
        let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
        assert!(count("paused") >= 1, "{events:?}");
        assert_eq!(count("paused"), count("resumed"), "{events:?}");
    }
}

fn settings(told: &Receiver, durability: &'static str) -> Settings {
    Settings {
        durability,
        // Nobody dies, and no attempt may be used up.
        lease_secs: 30,
        more_server: vec!["full_target_secs: 1".to_owned()],
        more_sections: format!(
            "notify:\n  - webhook: {}\n    on: [paused, resumed]\n",
            told.url("x")
        ),
        ..Settings::default()
    }
}

fn event(notice: &serde_json::Value) -> String {
    notice["event"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn wait(program: &Program, what: &str, until: impl Fn() -> bool) {
    program
        .wait_until(what, LONG, until)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// In the line `  1 SOURCE -> TARGET: STATE (PHASE), …` of the status.
fn state(status: &str, task: u32) -> &str {
    let line = status
        .lines()
        .find(|line| line.starts_with(&format!("  {task} /")));
    let state = line.and_then(|line| line.split_once(": ")?.1.split_once(" ("));
    state.map_or("", |(state, _)| state)
}

/// One of the worker's items had two probes that found no room.
fn is_begun_again(worker: &Program) -> bool {
    begun(worker).iter().any(|attempt| attempt.epoch >= 3)
}

/// Uses up all blocks but some: what is returned holds them.
fn use_up_blocks(volume: &Path) -> PathBuf {
    let ballast = volume.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    let mut used = 0;
    loop {
        match file.write(&[7; 64 << 10]) {
            Ok(n) => used += n as u64,
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
                break;
            }
        }
    }
    file.set_len(used - ROOM_BYTES).unwrap();
    file.sync_all().unwrap();
    ballast
}

/// Uses up all inodes but some.
fn use_up_inodes(volume: &Path) -> PathBuf {
    let ballast = volume.join("ballast");
    fs::create_dir(&ballast).unwrap();
    let name = |n: usize| ballast.join(n.to_string());
    let used = (0..).find(|n| File::create(name(*n)).is_err()).unwrap();
    for n in used - ROOM_FILES..used {
        fs::remove_file(name(n)).unwrap();
    }
    ballast
}

#[test]
fn a_file_system_without_blocks_pauses_its_tasks() {
    for _ in 0..cycles() {
        let case = Case::new("blocks", "batch");
        let volume = LoopMount::ext4_over(&case.full, 24).unwrap();
        let ballast = use_up_blocks(volume.path());
        case.assert_waits_and_completes(is_begun_again, || fs::remove_file(ballast).unwrap());
    }
}

#[test]
fn a_file_system_without_inodes_pauses_its_tasks() {
    for _ in 0..cycles() {
        let case = Case::new("inodes", "none");
        let volume = LoopMount::ext4_over(&case.full, 24).unwrap();
        let ballast = use_up_inodes(volume.path());
        case.assert_waits_and_completes(is_begun_again, || fs::remove_dir_all(ballast).unwrap());
    }
}

#[test]
fn a_full_file_system_in_memory_pauses_its_tasks() {
    for _ in 0..cycles() {
        let case = Case::new("memory", "none");
        let volume = Tmpfs::over(&case.full, 16).unwrap();
        let ballast = use_up_blocks(volume.path());
        case.assert_waits_and_completes(is_begun_again, || fs::remove_file(ballast).unwrap());
    }
}

#[test]
fn what_rclone_finds_full_waits_too() {
    for (label, rclone) in testkit::rclone::both() {
        let case = Case::with_rclone(label, rclone);
        let volume = LoopMount::ext4_over(&case.full, 24).unwrap();
        let ballast = use_up_blocks(volume.path());
        case.assert_waits_and_completes(is_begun_again, || fs::remove_file(ballast).unwrap());
    }
}

/// Each of these requests is answered so until there is room.
fn assert_fault_pauses(label: &str, errno: Errno, at: &[Op]) {
    for _ in 0..cycles() {
        let case = Case::new(label, "none");
        let lower = case.fleet.path("lower");
        fs::create_dir(&lower).unwrap();
        let mounted = SlowFs::over(&lower).mount(&case.full).unwrap();
        let faults: Vec<_> = at
            .iter()
            .map(|op| mounted.arm(Fault::errno(*op, errno)))
            .collect();
        // By two tasks that met it, and by two probes at least.
        let is_tried = |_: &Program| faults.iter().map(|fault| fault.fired()).sum::<u64>() >= 4;
        let make_room = || faults.iter().for_each(|fault| fault.disarm());
        case.assert_waits_and_completes(is_tried, make_room);
    }
}

#[test]
fn a_quota_that_is_used_up_pauses_its_tasks() {
    assert_fault_pauses("quota", Errno::DQUOT, &[Op::Write]);
}

#[test]
fn a_read_only_target_pauses_its_tasks() {
    let changes = [Op::Mkdir, Op::Create, Op::Mknod, Op::Rename, Op::Write];
    assert_fault_pauses("readonly", Errno::ROFS, &changes);
}
