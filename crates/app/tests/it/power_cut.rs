//! P4: the power is cut under a whole fleet in mid-run. What the server's ledger then calls done is on the disk, whole; and
//! the run, started again, completes.
//!
//! Targets lie on an ext4 or xfs whose kernel forgets all that has not come to its disk; in one case the server's state does,
//! too. Server and workers are stopped, it is cut, and they are killed: none does anything after the cut. The ledger is read
//! by SQL of this test's own, and says of each item which directories it covers; what lies in them is looked for in the
//! target. `CYCLES=n` repeats each case.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use testkit::fuse::{self, SlowFs};
use testkit::power::{self, Disk};
use testkit::tree::Recipe;

use crate::fleet::{Fleet, LONG, Settings, assert_ends_or_never_got_in, assert_exit};

/// Files of each task: the first are done soon, the last are not.
const FILES: [u64; 8] = [20, 40, 60, 80, 120, 200, 400, 800];
const DIRECTORIES: u64 = 20;
/// Cuts for one that comes in the middle of a run.
const TRIES: u32 = 5;
/// Of items.
const DONE: u32 = 2;
/// With files beside it whose names begin so.
const LEDGER: &str = "state.sqlite";

/// Where the server's state lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Elsewhere,
    /// Where the targets are.
    SameDisk,
}

struct Case {
    fleet: Fleet,
    _slow: fuse::Mounted,
    disk: Disk,
}

impl Case {
    fn new(mkfs: &str, state: State, durability: &'static str, seed: u64) -> Self {
        let settings = Settings {
            durability,
            ..Settings::default()
        };
        let mut fleet = Fleet::new("power", &settings);
        let disk = Disk::new(mkfs);
        if state == State::SameDisk {
            let there = disk.point().join("state");
            fs::create_dir(&there).unwrap();
            symlink(there, fleet.data_dir()).unwrap();
        }
        let [lower, sources] = ["lower", "sources"].map(|name| fleet.path(name));
        fs::create_dir(&lower).unwrap();
        fs::create_dir(&sources).unwrap();
        for (number, files) in (1..).zip(FILES) {
            let recipe = Recipe::plain(DIRECTORIES, files);
            let source = lower.join(format!("{number}"));
            let made = testkit::tree::make(&source, &recipe, seed + number).unwrap();
            let (seen, target) = (
                sources.join(format!("{number}")),
                disk.point().join(format!("{number}")),
            );
            fleet.add_task(&seen, &target, Some(made));
        }
        let slow = SlowFs::over(&lower)
            .metadata_delay(Duration::from_millis(4))
            .threads(8)
            .mount(&sources);
        for (number, task) in (1..).zip(&mut fleet.tasks) {
            task.lower = lower.join(format!("{number}"));
        }
        Self {
            fleet,
            _slow: slow.unwrap(),
            disk,
        }
    }

    /// Files of all tasks that items which are done cover, and those of them that are not in the target as they are in the
    /// source.
    fn judge(&self, ledger: &Ledger) -> (usize, Vec<PathBuf>) {
        let (mut done, mut lost) = (0, Vec::new());
        for (number, task) in (1..).zip(&self.fleet.tasks) {
            for file in files(&task.lower) {
                if !ledger.is_done(number, &file) {
                    continue;
                }
                done += 1;
                let wanted = fs::read(task.lower.join(&file)).unwrap();
                let target = task.target.join(file);
                if fs::read(&target).ok() != Some(wanted) {
                    lost.push(target);
                }
            }
        }
        (done, lost)
    }

    /// Migrates until the ledger calls this share of all files done, has the power cut, and on again. What the ledger
    /// called done before, and what it is now; none if all was over before the cut.
    fn run_and_cut(&mut self, share: usize) -> Option<(usize, Ledger)> {
        let (fleet, state) = (&self.fleet, self.fleet.data_dir());
        let server = fleet.server();
        let workers = ["w1", "w2"].map(|name| fleet.worker(name));
        let is_due = || Ledger::copied_files(&state) >= all_files() / share;
        let waited = server.wait_until("some of it is done", LONG, is_due);
        waited.unwrap_or_else(|error| panic!("{error}"));
        let programs = || workers.iter().chain([&server]);
        programs().for_each(|program| program.stop());
        let before = Ledger::copied_files(&state);
        if before == all_files() || !server.is_running() {
            return None;
        }
        power::cut(&self.disk.point());
        for program in programs() {
            program.kill();
            assert_exit(program, 128 + 9);
        }
        self.disk.start_again();
        // Of a copy: who opens it may change it.
        let kept = fleet.path("kept");
        fs::create_dir(&kept).unwrap();
        for file in fs::read_dir(&state).unwrap() {
            let file = file.unwrap();
            if file.file_name().to_str().unwrap().starts_with(LEDGER) {
                fs::copy(file.path(), kept.join(file.file_name())).unwrap();
            }
        }
        Some((before, Ledger::read(&kept).unwrap()))
    }

    /// Starts all again, which completes the run.
    #[track_caller]
    fn assert_completes(&self) {
        let server = self.fleet.server();
        let workers = ["w3", "w4"].map(|name| self.fleet.worker(name));
        assert_exit(&server, 0);
        workers.iter().for_each(assert_ends_or_never_got_in);
        self.fleet.assert_migrated();
    }
}

fn all_files() -> usize {
    FILES.iter().sum::<u64>() as usize
}

/// What the server had stored.
struct Ledger {
    /// By task, from 1, and directory: whether the item that covers it, down to the directories of others, is done.
    copies: BTreeMap<(u32, PathBuf), bool>,
    /// Files that items which are done have copied.
    copied_files: usize,
}

impl Ledger {
    /// As it is at this moment, also while a server writes it.
    fn read(state: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(state.join(LEDGER), flags)?;
        let mut query = connection.prepare(
            "SELECT task.number, item.state, item.copied_files, item_work.work FROM item
                JOIN task ON task.seq = item.task JOIN item_work ON item_work.item = item.seq",
        )?;
        let mut rows = query.query([])?;
        let mut ledger = Self {
            copies: BTreeMap::new(),
            copied_files: 0,
        };
        while let Some(row) = rows.next()? {
            let is_done = row.get::<_, u32>(1)? == DONE;
            if is_done {
                ledger.copied_files += row.get::<_, u32>(2)? as usize;
            }
            for directory in copied_directories(&row.get::<_, Vec<u8>>(3)?) {
                let before = ledger.copies.insert((row.get(0)?, directory), is_done);
                assert_eq!(before, None, "a directory is two items'");
            }
        }
        Ok(ledger)
    }

    /// Files done so far; none before there is a ledger.
    fn copied_files(state: &Path) -> usize {
        Self::read(state).map_or(0, |ledger| ledger.copied_files)
    }

    fn is_done(&self, task: u32, file: &Path) -> bool {
        let covering = file
            .ancestors()
            .skip(1)
            .find_map(|directory| self.copies.get(&(task, directory.to_owned())));
        covering.is_some_and(|is_done| *is_done)
    }
}

/// The directories of an item that copies: version 1 of the form, kind 0 (directories), purpose 0 (to copy), how many, and
/// each of them. Items of purpose 1 and 2 go over directories that are copied.
///
/// # Panics
/// At any other kind of item: trees here have nothing to make any of.
fn copied_directories(work: &[u8]) -> Vec<PathBuf> {
    let mut blob = Blob(work);
    match [blob.number(), blob.number(), blob.number()] {
        [1, 0, 0] => {}
        [1, 0, 1 | 2] => return Vec::new(),
        _ => panic!("an item of another kind: {work:?}"),
    }
    let count = blob.number();
    let directories = (0..count).map(|_| blob.path()).collect();
    assert!(blob.0.is_empty(), "more than was told: {work:?}");
    directories
}

/// What is left of a stored value.
struct Blob<'a>(&'a [u8]);

impl Blob<'_> {
    /// Seven bits a byte, the lowest first; the last byte has no eighth.
    fn number(&mut self) -> usize {
        let length = 1 + self.0.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let (number, rest) = self.0.split_at(length);
        self.0 = rest;
        number
            .iter()
            .rev()
            .fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f))
    }

    /// Its length, and its bytes.
    fn path(&mut self) -> PathBuf {
        let length = self.number();
        let (path, rest) = self.0.split_at(length);
        self.0 = rest;
        PathBuf::from(std::str::from_utf8(path).unwrap())
    }
}

/// All files below, as paths from there.
fn files(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut pending) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    files
}

/// A case whose power was cut in the middle of its run. A cut that came too late is made again.
fn cut_in_the_middle(make: impl Fn() -> Case, share: usize) -> (Case, usize, Ledger) {
    for _ in 0..TRIES {
        let mut case = make();
        if let Some((before, ledger)) = case.run_and_cut(share) {
            return (case, before, ledger);
        }
    }
    panic!("{TRIES} times all was over before the cut");
}

fn assert_survives(mkfs: &str, state: State, durability: &'static str, share: usize, seed: u64) {
    let make = || Case::new(mkfs, state, durability, seed);
    let (case, before, ledger) = cut_in_the_middle(make, share);
    let (done, lost) = case.judge(&ledger);
    assert!(lost.is_empty(), "done, but not there or torn: {lost:?}");
    assert!(before <= done, "the ledger has lost some: {before}, {done}");
    assert_eq!(done, ledger.copied_files, "what its items say of it");
    let all = all_files();
    assert!(0 < done && done < all, "{done} of {all}: not in its middle");
    println!("{mkfs}, {durability}: cut when {done} of {all} files were done");
    case.assert_completes();
}

fn assert_all_survive(mkfs: &str) {
    let cycles = std::env::var("CYCLES").ok();
    let cycles = cycles.map_or(1, |n| n.parse().expect("CYCLES is a number"));
    for seed in 0..cycles {
        for (state, durability, share) in [
            (State::Elsewhere, "batch", 3),
            (State::Elsewhere, "file", 10),
            (State::SameDisk, "batch", 4),
        ] {
            assert_survives(mkfs, state, durability, share, 100 * seed);
        }
    }
}

#[test]
fn what_a_ledger_calls_done_survives_a_power_cut_of_ext4() {
    assert_all_survive("mkfs.ext4");
}

#[test]
fn what_a_ledger_calls_done_survives_a_power_cut_of_xfs() {
    assert_all_survive("mkfs.xfs");
}

#[test]
fn without_durability_the_same_cut_loses_what_is_called_done() {
    let make = || Case::new("mkfs.ext4", State::Elsewhere, "none", 7);
    let (case, _, ledger) = cut_in_the_middle(make, 4);
    let (done, lost) = case.judge(&ledger);
    assert!(!lost.is_empty(), "{done} are done: the cut lost nothing");
}
