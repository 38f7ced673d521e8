//! A huge file, the fleet that copies it, and what is seen of its ranges.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Program;
use testkit::tool;

use crate::fleet::{Fleet, LONG, Settings, assert_no_leftovers, start};

pub const MIB: u64 = 1 << 20;

/// Not a multiple of anything.
const ODD: u64 = 12_345;

/// In MiB. What is read of it, to copy and to verify, takes seconds.
pub const FILE: u64 = 300;

/// With data at the beginning of every seventh MiB and at the end; all else are holes.
fn make(path: &Path) {
    let file = File::create(path).unwrap();
    for mib in (0..FILE).step_by(7) {
        let data: Vec<u8> = (0..64 << 10).map(|at| (at * 31 + mib) as u8 | 1).collect();
        file.write_all_at(&data, mib * MIB).unwrap();
    }
    file.write_all_at(b"the end", FILE * MIB + ODD - 7).unwrap();
}

/// `new/huge` and `small`, to be migrated from where content is slow.
pub fn huge(label: &str, settings: &Settings) -> Fleet {
    let mut fleet = Fleet::new(label, settings);
    let lower = fleet.path("lower");
    fs::create_dir_all(lower.join("new")).unwrap();
    make(&lower.join("new/huge"));
    fs::write(lower.join("small"), "small").unwrap();
    fleet.add_slow_content(&lower);
    fleet
}

/// In ranges of so many MiB. No lease ends of a worker that lives.
pub fn settings(range: u64) -> Settings {
    Settings {
        durability: "batch",
        concurrency: 1,
        transfers: 1,
        more_global: vec![
            "verify: checksum".to_owned(),
            format!("split_file_bytes: {}", 64 * MIB),
            format!("range_bytes: {}", range * MIB),
        ],
        lease_secs: 30,
        ..Settings::default()
    }
}

pub fn worker(fleet: &Fleet, name: &str) -> Program {
    start(fleet.worker_command(name).arg("--debug"))
}

/// Where the ranges begin that a worker has begun.
pub fn ranges(worker: &Program) -> Vec<u64> {
    let offset = |line: &str| {
        let (_, range) = line.split_once(": Range(")?;
        let (_, offset) = range.split_once("offset: ")?;
        let (offset, _) = offset.split_once(',')?;
        offset.parse().ok()
    };
    worker.stderr().lines().filter_map(offset).collect()
}

pub fn assert_has_begun_a_range(worker: &Program) {
    worker
        .wait_until("a range", LONG, || !ranges(worker).is_empty())
        .unwrap();
}

/// It is at the target as it is at the source, with its holes and its time.
pub fn assert_same_file(fleet: &Fleet) {
    assert_same_content(fleet);
    let [from, to] = sides(fleet).map(|file| fs::metadata(file).unwrap());
    assert!(to.blocks() <= from.blocks() + 64, "the holes were filled");
    assert_eq!(to.modified().unwrap(), from.modified().unwrap());
}

/// By what is not ours; and nothing unfinished is left.
pub fn assert_same_content(fleet: &Fleet) {
    assert_no_leftovers(&fleet.tasks[0].target);
    let [source, target] = sides(fleet);
    tool::run(Command::new("cmp").args([source, target])).unwrap();
}

fn sides(fleet: &Fleet) -> [PathBuf; 2] {
    let task = &fleet.tasks[0];
    [&task.lower, &task.target].map(|side| side.join("new/huge"))
}

/// The run did what it should, and each byte and each file is counted once.
pub fn assert_copied(fleet: &Fleet) {
    assert_same_file(fleet);
    let counts = fleet.counts(1);
    // What a dead attempt has published is found unchanged.
    assert_eq!(
        (counts.listed, counts.copied + counts.unchanged),
        (3, 3),
        "{counts:?}"
    );
    assert_eq!((counts.skipped, counts.failed), (0, 0), "{counts:?}");
    let table = fleet.results();
    let row = table.rows().next().unwrap();
    assert_eq!(row.get("success"), Some("true"), "{row:?}");
    let small = row.number("files") - 1;
    assert!(small <= 1, "{row:?}");
    let size = fs::metadata(fleet.tasks[0].lower.join("new/huge")).unwrap();
    assert_eq!(row.number("bytes"), size.len() + 5 * small);
}
