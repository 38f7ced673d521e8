//! P1: with `verify: checksum` a copy that is not what was read is found, whatever the target acknowledged and the source
//! says of its holes. What stays wrong fails and gets no name; what was wrong once is made good.

use std::fs;

use model::options::Verify;
use model::{Durability, FailureClass};
use testkit::compare::compare;
use testkit::fuse::{Fault, ReadLie, SeekLie, WriteLie};
use testkit::random::Random;
use testkit::tree::Recipe;

use crate::support::judge::{Copied, all_but_root, assert_no_temps, copy, entries, number};
use crate::support::sweep::{Bad, Place, attempt};
use crate::support::{self, Try};

/// As many as the engine makes of one file.
const TRIES: u64 = 3;

fn verified() -> Try {
    let mut attempt = attempt(Durability::None);
    attempt.options.verify = Verify::Checksum;
    attempt
}

/// Small files, each written by one call.
fn small_files(files: u64) -> Recipe {
    Recipe {
        file_bytes: 1..=40_000,
        ..Recipe::plain(5, files)
    }
}

/// Files of many calls, with holes and without.
fn large_files() -> Recipe {
    Recipe {
        sparse_files: 3,
        big_files: 3,
        big_file_bytes: (2 << 20) + 1,
        ..Recipe::plain(2, 3)
    }
}

/// Lies about what is stored; one of each kind.
fn write_lies(random: &mut Random) -> [WriteLie; 3] {
    let flip = WriteLie::FlipByte { at: random.next() };
    [flip, WriteLie::Drop, WriteLie::Truncate]
}

fn regular_files(root: &std::path::Path) -> u64 {
    let found = entries(root).into_keys();
    let about = found.map(|path| fs::symlink_metadata(root.join(path)).unwrap());
    about.filter(fs::Metadata::is_file).count() as u64
}

#[test]
fn each_corrupted_copy_is_found_and_none_gets_a_name() {
    let corruptions = number("CORRUPTIONS", 200);
    let files = corruptions.div_ceil(3 * TRIES);
    let place = Place::new("corrupted", Bad::Target, &small_files(files));
    let mut found = 0;
    for lie in write_lies(&mut Random::new(1)) {
        let name = format!("{lie:?}").replace(' ', "-");
        let ended = place.copy_with(Fault::write(lie), verified, &name);
        let outcome = ended.result.unwrap().walk;
        assert_eq!(outcome.counters.failed, files, "{outcome:?}");
        for failure in &outcome.failures {
            assert_eq!(failure.class, FailureClass::Retry);
            assert!(failure.error.starts_with("not verified: "), "{failure:?}");
        }
        assert_eq!(regular_files(&place.true_target(&name)), 0);
        assert_no_temps(&place.true_target(&name), &name);
        // Each try was spoiled, each was found, and each file tried as often as that.
        assert_eq!(ended.armed.fired(), files * TRIES, "{name}");
        found += ended.armed.fired();
        place.complete(verified, &name);
    }
    println!("{found} corruptions, all found");
    assert!(found >= corruptions);
}

#[test]
fn without_verification_nobody_would_notice() {
    let place = Place::new("unnoticed", Bad::Target, &small_files(20));
    let source = place.true_source();
    for lie in write_lies(&mut Random::new(2)) {
        let name = format!("{lie:?}");
        let target = place.true_target(&name);
        let armed = place.mounted.arm(Fault::write(lie));
        let copied = copy(
            || attempt(Durability::None),
            || (),
            &source,
            &place.target(&name),
        );
        assert!(
            copied.as_ref().is_ok_and(Copied::claims_success),
            "{copied:?}"
        );
        assert_eq!(armed.fired(), 20);
        assert_eq!(
            compare(&source, &target, &all_but_root()).len(),
            20,
            "{name}"
        );
        armed.disarm();
    }
}

#[test]
fn what_was_stored_wrong_once_is_written_again() {
    for recipe in [small_files(60), large_files()] {
        let place = Place::new("healed", Bad::Target, &recipe);
        let mut random = Random::new(3);
        for round in 0..4 {
            for lie in write_lies(&mut random) {
                let name = format!("{round}-{lie:?}").replace(' ', "-");
                let nth = 1 + random.below(30);
                let ended = place.copy_with(Fault::write(lie).nth(nth), verified, &name);
                assert_eq!(ended.armed.fired(), 1, "{name}");
                assert!(ended.claims_success(), "{name}: {:?}", ended.result);
                place.complete(verified, &name);
            }
        }
    }
}

#[test]
fn a_large_file_is_looked_at_in_all_its_places() {
    let place = Place::new("places", Bad::Target, &large_files());
    let source = place.true_source();
    let large = support::sweep::a_large_file(&source, 2 << 20);
    let mut random = Random::new(4);
    // One after another, so that each try of a file meets the fault.
    let verified = || {
        let mut attempt = verified();
        attempt.threads = 1;
        attempt
    };
    for round in 0..6 {
        let lie = *random.pick(&write_lies(&mut random.clone()));
        let name = format!("{round}-{lie:?}").replace(' ', "-");
        let fault = Fault::write(lie).every_nth(1 + random.below(15));
        let ended = place.copy_with(fault, verified, &name);
        assert!(ended.armed.fired() > 0, "{name}");
        let copied = ended.result.unwrap();
        let is_told = |path: &std::path::Path| {
            let paths = copied
                .failures()
                .map(|failure| support::judge::as_path(&failure.path));
            paths.into_iter().any(|failed| failed == path)
        };
        assert!(
            is_told(large.strip_prefix(&source).unwrap()),
            "{name}: {copied:?}"
        );
        place.complete(verified, &name);
    }
}

#[test]
fn a_target_that_reads_otherwise_than_it_stored_is_not_trusted() {
    let place = Place::new("misread", Bad::Target, &small_files(20));
    let fault = Fault::read(ReadLie::FlipByte { at: 77 });
    let ended = place.copy_with(fault, verified, "misread");
    assert_eq!(ended.armed.fired(), 20 * TRIES);
    assert_eq!(ended.result.unwrap().walk.counters.failed, 20);
    let once = Fault::read(ReadLie::FlipByte { at: 77 }).nth(5);
    let ended = place.copy_with(once, verified, "once");
    assert_eq!(ended.armed.fired(), 1);
    assert!(ended.claims_success(), "{:?}", ended.result);
}

#[test]
fn a_source_that_lies_about_its_holes_is_read_in_full() {
    let place = Place::new("holes", Bad::Source, &large_files());
    let armed = place.mounted.arm(Fault::seek(SeekLie::AllHole));
    let trusting = copy(
        || attempt(Durability::None),
        || (),
        &place.source(),
        &place.true_target("trusting"),
    );
    assert!(trusting.is_ok_and(|copied| copied.claims_success()));
    assert!(armed.fired() > 0);
    let differences = |name| {
        compare(
            &place.true_source(),
            &place.true_target(name),
            &all_but_root(),
        )
        .len()
    };
    assert!(differences("trusting") > 0, "the lie was believed");
    let copied = copy(
        verified,
        || (),
        &place.source(),
        &place.true_target("verified"),
    );
    assert!(copied.is_ok_and(|copied| copied.claims_success()));
    assert_eq!(differences("verified"), 0);
}
