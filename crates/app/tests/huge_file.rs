//! P2, P3, P6 for a huge file: several workers copy it in ranges, it is published once and whole, and what a dead one had
//! in hand is done by another.
//!
//! With `verify: checksum` a range takes long enough to be met in the middle.

mod fleet;

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use fleet::{Fleet, LONG, Settings, assert_exit, assert_no_leftovers, start};
use testkit::Program;
use testkit::process::Exit;
use testkit::tool;

const MIB: u64 = 1 << 20;

/// Not a multiple of anything.
const SIZE: u64 = 1_400 * MIB + 12_345;

/// With data at the beginning of every seventh MiB and at the end; all else are holes.
fn make(path: &Path) {
    let file = File::create(path).unwrap();
    for mib in (0..SIZE / MIB).step_by(7) {
        let data: Vec<u8> = (0..64 << 10).map(|at| (at * 31 + mib) as u8 | 1).collect();
        file.write_all_at(&data, mib * MIB).unwrap();
    }
    file.write_all_at(b"the end", SIZE - 7).unwrap();
}

fn huge(label: &str, range_mib: u64) -> Fleet {
    let mut fleet = Fleet::new(
        label,
        &Settings {
            durability: "batch",
            concurrency: 1,
            transfers: 1,
            more_global: vec![
                "verify: checksum".to_owned(),
                format!("split_file_bytes: {}", 64 * MIB),
                format!("range_bytes: {}", range_mib * MIB),
            ],
            ..Settings::default()
        },
    );
    let (source, target) = (fleet.path("source"), fleet.path("target"));
    fs::create_dir_all(source.join("new")).unwrap();
    make(&source.join("new/huge"));
    fs::write(source.join("small"), "small").unwrap();
    fleet.add_task(&source, &target, None);
    fleet
}

fn worker(fleet: &Fleet, name: &str) -> Program {
    start(fleet.worker_command(name).arg("--debug"))
}

/// Where the ranges begin that a worker has begun.
fn ranges(worker: &Program) -> Vec<u64> {
    let offset = |line: &str| {
        let (_, range) = line.split_once(": Range(")?;
        let (_, offset) = range.split_once("offset: ")?;
        let (offset, _) = offset.split_once(',')?;
        offset.parse().ok()
    };
    worker.stderr().lines().filter_map(offset).collect()
}

fn assert_has_begun_a_range(worker: &Program) {
    worker
        .wait_until("a range", LONG, || !ranges(worker).is_empty())
        .unwrap();
}

/// The run did what it should, and each byte and each file is counted once.
fn assert_copied(fleet: &Fleet) {
    let task = &fleet.tasks[0];
    assert_no_leftovers(&task.target);
    let [source, target] = [&task.source, &task.target].map(|side| side.join("new/huge"));
    let sums = [&source, &target].map(|file| {
        let sum = tool::run(Command::new("sha256sum").arg(file)).unwrap();
        sum.stdout
            .split(|&byte| byte == b' ')
            .next()
            .unwrap()
            .to_vec()
    });
    assert_eq!(sums[0], sums[1]);
    let [from, to] = [&source, &target].map(|file| fs::metadata(file).unwrap());
    assert!(to.blocks() <= from.blocks() + 64, "the holes were filled");
    assert_eq!(to.modified().unwrap(), from.modified().unwrap());
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
    assert_eq!(row.number("bytes"), SIZE + 5 * small);
}

#[test]
fn several_workers_copy_one_file() {
    let fleet = huge("huge", 16);
    let server = fleet.server();
    let workers = ["one", "two", "three"].map(|name| worker(&fleet, name));
    assert_exit(&server, 0);
    workers.iter().for_each(|worker| assert_exit(worker, 0));
    assert_copied(&fleet);
    assert_eq!(fleet.counts(1).copied, 3);
    let copied: Vec<Vec<u64>> = workers.iter().map(ranges).collect();
    assert!(
        copied.iter().filter(|ranges| !ranges.is_empty()).count() >= 2,
        "{copied:?}"
    );
    let all: Vec<u64> = copied.into_iter().flatten().collect();
    let once: HashSet<&u64> = all.iter().collect();
    assert_eq!(once.len(), all.len(), "a range was copied twice: {all:?}");
    assert!(all.iter().all(|offset| offset % (16 * MIB) == 0), "{all:?}");
}

#[test]
fn a_worker_that_is_killed_in_a_range_costs_no_more_than_that() {
    let fleet = huge("huge-range", 256);
    let server = fleet.server();
    let owner = worker(&fleet, "owner");
    owner
        .wait_until("an item", LONG, || !fleet::begun(&owner).is_empty())
        .unwrap();
    let helper = worker(&fleet, "helper");
    assert_has_begun_a_range(&helper);
    helper.kill();
    assert_eq!(helper.wait(LONG).unwrap(), Exit::Signal(9));
    let lost = *ranges(&helper).last().unwrap();
    let other = worker(&fleet, "other");
    for program in [&server, &owner, &other] {
        assert_exit(program, 0);
    }
    assert_copied(&fleet);
    let taken_back = format!("taken back from byte {lost}");
    let was_made_up_for = ranges(&other).contains(&lost)
        || owner
            .stderr()
            .lines()
            .any(|line| line.ends_with(&taken_back));
    assert!(
        was_made_up_for,
        "it was killed after its range {lost} was done"
    );
    assert_eq!(
        fleet::begun(&owner)
            .iter()
            .filter(|begun| begun.epoch > 1)
            .count(),
        0
    );
}

#[test]
fn a_file_whose_owner_is_killed_is_copied_by_another() {
    let fleet = huge("huge-owner", 256);
    let server = fleet.server();
    let owner = worker(&fleet, "owner");
    owner
        .wait_until("an item", LONG, || !fleet::begun(&owner).is_empty())
        .unwrap();
    let helper = worker(&fleet, "helper");
    assert_has_begun_a_range(&helper);
    owner.kill();
    assert_eq!(owner.wait(LONG).unwrap(), Exit::Signal(9));
    assert!(!fleet.tasks[0].target.join("new/huge").exists());
    for program in [&server, &helper] {
        assert_exit(program, 0);
    }
    assert_copied(&fleet);
    assert!(fleet::begun(&helper).iter().any(|begun| begun.epoch > 1));
}
