//! P2 and P11 at a source that fails or tells less than there is: accounts that add up, nothing wrong under a final name;
//! and the next attempt completes the copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use model::options::Verify;
use model::{Durability, FailureClass, SkipReason};
use rustix::io::Errno;
use testkit::fuse::{Fault, Op, ReadLie};

use crate::support::judge::{Copied, assert_no_temps, copy};
use crate::support::sweep::{Bad, Place, a_large_file, attempt, go_on_failing, recipe, sweep};

/// Without their answers an entry is not known.
const TELLING: [Op; 5] = [
    Op::Getattr,
    Op::Open,
    Op::Readlink,
    Op::Listxattr,
    Op::Getxattr,
];

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const DIRECTORIES: [Op; 2] = [Op::Opendir, Op::Readdir];

#[test]
fn no_error_of_an_entry_is_lost() {
    sweep(Bad::Source, &TELLING, &TELLING, Durability::None);
}

#[test]
fn no_error_of_an_entry_is_lost_in_batches() {
    // A second look that fails has the file copied again.
    sweep(Bad::Source, &TELLING, &TELLING[1..], Durability::Batch);
}

#[test]
fn what_is_read_again_is_right() {
    // By the kernel, or by the engine where the kernel was to copy.
    sweep(Bad::Source, &[Op::Lookup, Op::Read], &[], Durability::None);
}

#[test]
fn a_directory_that_cannot_be_read_is_told() {
    sweep(Bad::Source, &DIRECTORIES, &DIRECTORIES, Durability::None);
}

#[test]
fn a_root_that_cannot_be_read_to_its_end_is_told_and_the_rest_is_copied() {
    let place = Place::new("root", Bad::Source, &recipe());
    let fault = Fault::errno(Op::Readdir, Errno::IO).nth(1);
    let ended = place.copy_with(fault, || attempt(Durability::None), "root");
    assert_eq!(ended.armed.fired(), 1);
    let copied = ended.result.unwrap();
    assert_eq!(copied.walk.unreadable_directories, 1, "{copied:?}");
    let told: Vec<String> = copied.failures().map(|one| one.to_string()).collect();
    assert!(
        told.len() == 1 && told[0].contains("cannot list"),
        "{told:?}"
    );
}

#[test]
fn holes_that_cannot_be_found_are_copied_as_data() {
    let mut place = Place::new("holes", Bad::Source, &recipe());
    place.judged_by.holes = false;
    for nth in [1, 2] {
        let name = format!("lseek-{nth}");
        let fault = Fault::errno(Op::Lseek, Errno::IO).nth(nth);
        let ended = place.copy_with(fault, || attempt(Durability::None), &name);
        assert_eq!(ended.armed.fired(), 1, "{name}");
        assert!(ended.claims_success(), "{:?}", ended.result);
    }
}

#[test]
fn a_source_that_goes_on_failing_leaves_accounts_exact() {
    go_on_failing(Bad::Source, &TELLING, Errno::IO);
    go_on_failing(Bad::Source, &[Op::Lookup, Op::Read], Errno::IO);
    go_on_failing(Bad::Source, &DIRECTORIES, Errno::STALE);
}

#[test]
fn short_reads_are_read_on() {
    let place = Place::new("short", Bad::Source, &recipe());
    let fault = Fault::read(ReadLie::Short { bytes: 700 });
    let ended = place.copy_with(fault, || attempt(Durability::None), "short");
    assert!(ended.armed.fired() > 100, "{}", ended.armed.fired());
    assert!(ended.claims_success(), "{:?}", ended.result);
}

#[test]
fn a_file_with_less_in_it_than_its_size_is_told_as_changed() {
    let place = Place::new("empty", Bad::Source, &recipe());
    let large = a_large_file(&place.true_source(), 1 << 20);
    let name = large.file_name().unwrap();
    // At its beginning, and in the middle of it.
    for nth in [1, 3] {
        let fault = Fault::read(ReadLie::Empty).name_suffix(name).from_nth(nth);
        let name = format!("from-{nth}");
        let ended = place.copy_with(fault, || attempt(Durability::None), &name);
        assert!(ended.armed.fired() > 0);
        let copied = ended.result.as_ref().unwrap();
        let failures = &copied.walk.failures;
        assert!(!failures.is_empty(), "{copied:?}");
        let is_changed = |failure: &model::Failure| failure.class == FailureClass::Changed;
        assert!(failures.iter().all(is_changed), "{failures:?}");
        place.complete(|| attempt(Durability::None), &name);
    }
}

/// Done to a file of the source while it is read.
type Meddle = fn(&Path);

/// A copy during which a large file was meddled with, and what that file had in it before.
struct MeddledWith {
    place: Place,
    copied: Copied,
    name: PathBuf,
    before: Vec<u8>,
}

impl MeddledWith {
    /// Copies while the first large file is read, and meddles with that in the middle.
    fn by(meddle: Meddle, verify: Verify) -> Self {
        let place = Place::new("meddled", Bad::Source, &recipe());
        let large = a_large_file(&place.true_source(), 2 << 20);
        let name = large.strip_prefix(place.true_source()).unwrap().to_owned();
        let before = fs::read(&large).unwrap();
        let third_read = Fault::hang(Op::Read).name_suffix(name.file_name().unwrap());
        let held = place.mounted.arm(third_read.nth(3));
        let copied = thread::scope(|scope| {
            scope.spawn(|| {
                assert!(held.wait_until_fired(1, PATIENCE), "it was never read");
                meddle(&large);
                held.release();
            });
            let attempt = || {
                let mut attempt = attempt(Durability::None);
                attempt.options.verify = verify;
                attempt
            };
            copy(
                attempt,
                || (),
                &place.source(),
                &place.true_target("target"),
            )
        });
        assert_eq!(held.fired(), 1);
        assert_no_temps(&place.true_target("target"), "meddled with");
        Self {
            copied: copied.unwrap(),
            place,
            name,
            before,
        }
    }

    fn arrived(&self) -> Option<Vec<u8>> {
        fs::read(self.place.true_target("target").join(&self.name)).ok()
    }
}

#[test]
fn a_file_that_shrinks_to_nothing_while_it_is_read_gets_no_full_copy() {
    let shrink: Meddle = |path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(0).unwrap();
    };
    for verify in [Verify::None, Verify::Checksum] {
        let after = MeddledWith::by(shrink, verify);
        // The second try found it steady.
        assert!(after.copied.claims_success(), "{:?}", after.copied);
        assert_eq!(after.arrived(), Some(Vec::new()));
    }
}

#[test]
fn a_file_that_vanishes_while_it_is_read_is_whole_or_told_as_vanished() {
    let remove: Meddle = |path| fs::remove_file(path).unwrap();
    let after = MeddledWith::by(remove, Verify::None);
    assert!(after.copied.claims_success(), "{:?}", after.copied);
    let skipped = &after.copied.walk.skipped;
    match after.arrived() {
        Some(content) => assert!(content == after.before && skipped.is_empty()),
        None => assert_eq!(skipped.get(&SkipReason::Vanished), Some(&1)),
    }
}
