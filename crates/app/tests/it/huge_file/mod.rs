//! P2, P3, P6, P8, P9, P11 for a huge file: several workers copy it in ranges, it is published once and whole, and what a dead
//! one had in hand is done by another.
//!
//! The file is read through a mount whose content is slow, so that a range is met in the middle on any machine; it is judged
//! where it lies.

mod huge;

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use huge::{
    FILE, MIB, assert_copied, assert_has_begun_a_range, assert_same_content, assert_same_file,
    huge, ranges, settings, worker,
};
use testkit::Program;
use testkit::mount::Tmpfs;
use testkit::process::Exit;

use crate::fleet::{self, Fleet, LONG, Settings, assert_exit, start};

/// In MiB: a third of the file, long enough to be met in the middle.
const THIRD: u64 = FILE / 3;

/// An owner that is at the file.
fn owner(fleet: &Fleet) -> Program {
    let owner = worker(fleet, "owner");
    owner
        .wait_until("an item", LONG, || !fleet::begun(&owner).is_empty())
        .unwrap();
    owner
}

/// In ranges of a third; what a dead or frozen worker held is taken from it soon.
fn one_is_lost() -> Settings {
    Settings {
        lease_secs: 4,
        ..settings(THIRD)
    }
}

/// A file that two workers are at.
struct Halves {
    fleet: Fleet,
    server: Program,
    owner: Program,
    /// In a range of it.
    helper: Program,
}

fn in_halves(label: &str, settings: &Settings) -> Halves {
    let fleet = huge(label, settings);
    let server = fleet.server();
    let owner = owner(&fleet);
    let helper = worker(&fleet, "helper");
    assert_has_begun_a_range(&helper);
    Halves {
        fleet,
        server,
        owner,
        helper,
    }
}

#[test]
fn several_workers_copy_one_file() {
    let fleet = huge("huge", &settings(16));
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
    let Halves {
        fleet,
        server,
        owner,
        helper,
    } = in_halves("huge-range", &one_is_lost());
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
    let Halves {
        fleet,
        server,
        owner,
        helper,
    } = in_halves("huge-owner", &one_is_lost());
    owner.kill();
    assert_eq!(owner.wait(LONG).unwrap(), Exit::Signal(9));
    assert!(!fleet.tasks[0].target.join("new/huge").exists());
    for program in [&server, &helper] {
        assert_exit(program, 0);
    }
    assert_copied(&fleet);
    assert!(fleet::begun(&helper).iter().any(|begun| begun.epoch > 1));
}

#[test]
fn a_worker_that_was_frozen_in_a_range_changes_nothing_when_it_thaws() {
    let fleet = huge("huge-frozen", &one_is_lost());
    let server = fleet.server();
    let owner = owner(&fleet);
    let helper = start(
        fleet
            .worker_command("helper")
            .args(["--debug", "--wait-secs", "2"]),
    );
    assert_has_begun_a_range(&helper);
    helper.stop();
    for program in [&server, &owner] {
        assert_exit(program, 0);
    }
    assert_copied(&fleet);
    assert!(helper.is_running());
    helper.resume();
    assert_exit(&helper, 3);
    // What it writes late, if anything, stands there already; it may move the time.
    assert_same_content(&fleet);
}

#[test]
fn a_file_that_changes_while_others_copy_it_arrives_as_it_is_in_the_end() {
    let Halves {
        fleet,
        server,
        owner,
        helper,
    } = in_halves("huge-changed", &settings(THIRD));
    // Through the mount, which would not notice what is done beneath it.
    let source = fleet.tasks[0].source.join("new/huge");
    let source = OpenOptions::new().write(true).open(source).unwrap();
    // In the first range, which is the owner's, and in the last.
    for at in [0, FILE] {
        source.write_all_at(b"new", at * MIB).unwrap();
    }
    for program in [&server, &owner, &helper] {
        assert_exit(program, 0);
    }
    assert_copied(&fleet);
}

#[test]
fn a_file_with_several_names_is_copied_in_ranges_and_stays_one_file() {
    // Names that nobody of the fleet can find leave the file to the links phase.
    for is_known_elsewhere in [false, true] {
        let fleet = huge("huge-names", &settings(16));
        let task = &fleet.tasks[0];
        let names = ["new/huge", "another", "new/third"];
        let first = task.lower.join(names[0]);
        for name in &names[1..] {
            fs::hard_link(&first, task.lower.join(name)).unwrap();
        }
        if is_known_elsewhere {
            fs::hard_link(&first, fleet.path("elsewhere")).unwrap();
        }
        let server = fleet.server();
        let workers = ["one", "two"].map(|name| worker(&fleet, name));
        assert_exit(&server, 0);
        workers.iter().for_each(|worker| assert_exit(worker, 0));
        assert_same_file(&fleet);
        let made = names.map(|name| fs::metadata(task.target.join(name)).unwrap());
        assert!(made.iter().all(|name| name.ino() == made[0].ino()));
        assert_eq!(made[0].nlink(), 3);
        let counts = fleet.counts(1);
        assert_eq!((counts.listed, counts.copied), (5, 5), "{counts:?}");
        assert!(workers.iter().any(|worker| !ranges(worker).is_empty()));
    }
}

#[test]
fn a_file_for_which_there_is_no_room_waits_until_there_is() {
    let mut settings = settings(16);
    settings.more_server.push("full_target_secs: 1".to_owned());
    let fleet = huge("huge-full", &settings);
    let target = &fleet.tasks[0].target;
    fs::create_dir(target).unwrap();
    // Its data are nearly 3 MiB.
    let volume = Tmpfs::over(target, 12).unwrap();
    let ballast = volume.path().join("ballast");
    fs::write(&ballast, vec![7; 10 << 20]).unwrap();
    let server = fleet.server();
    let workers = ["one", "two"].map(|name| worker(&fleet, name));
    let is_begun_again =
        |worker: &Program| fleet::begun(worker).iter().any(|begun| begun.epoch > 2);
    server
        .wait_until("another try", LONG, || workers.iter().any(is_begun_again))
        .unwrap();
    assert!(!target.join("new/huge").exists());
    fs::remove_file(ballast).unwrap();
    assert_exit(&server, 0);
    workers.iter().for_each(|worker| assert_exit(worker, 0));
    assert_copied(&fleet);
    let row = fleet.results();
    let row = row.rows().next().unwrap();
    assert_eq!((row.number("retries"), row.number("failures")), (0, 0));
}
