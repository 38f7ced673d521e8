//! P11: files that are rewritten, emptied and appended to while they are copied. Each that is called copied is one version
//! of its file, each other is told as changed; and when all hold still, the next copy is right.

mod changing;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use changing::{Changing, is_one_version};
use model::options::Verify;
use model::{Durability, FailureClass};
use support::judge::{
    all_but_root, as_path, assert_completed, assert_no_temps, copy, entries, number,
};
use support::sweep::attempt;
use testkit::compare::assert_same_by;

/// Copied at once, so that each changes now and then in that time.
const FILES_AT_ONCE: u64 = 45;

fn torn(target: &Path) -> Vec<PathBuf> {
    let is_torn = |path: &PathBuf| !is_one_version(&fs::read(target.join(path)).unwrap());
    entries(target).into_keys().filter(is_torn).collect()
}

#[test]
fn whatever_is_called_copied_is_one_version() {
    let place = Changing::new("changing", FILES_AT_ONCE);
    let wanted = number("CHANGING_FILES", 200);
    let (mut copied, mut told_as_changed) = (0, 0);
    let durabilities = [Durability::None, Durability::Batch, Durability::File];
    for round in 0.. {
        let target = place.target(&format!("target{round}"));
        let attempt = || {
            let mut attempt = attempt(durabilities[round % 3]);
            attempt.options.verify = [Verify::None, Verify::Checksum][round / 3 % 2];
            attempt
        };
        let outcome = place.meanwhile(|| copy(attempt, || (), place.slow_source(), &target));
        let outcome = outcome.unwrap().walk;
        let about = format!("round {round}: {outcome:?}");
        assert_no_temps(&target, &about);
        assert_eq!(torn(&target), Vec::<PathBuf>::new(), "{about}");
        let is_changed = |failure: &model::Failure| failure.class == FailureClass::Changed;
        assert!(outcome.failures.iter().all(is_changed), "{about}");
        // What is told as changed is not there, and all else is.
        let changed = outcome
            .failures
            .iter()
            .map(|failure| as_path(&failure.path));
        let changed: BTreeSet<PathBuf> = changed.collect();
        let missing = entries(&place.source()).into_keys();
        let missing: BTreeSet<PathBuf> =
            missing.filter(|path| !target.join(path).exists()).collect();
        assert_eq!(changed, missing, "{about}");
        copied += outcome.counters.copied_files;
        told_as_changed += outcome.counters.failed;
        assert_completed(attempt, &place.source(), &target, &about);
        assert_same_by(&place.source(), &target, &all_but_root());
        fs::remove_dir_all(&target).unwrap();
        if copied >= wanted && told_as_changed > 0 {
            break;
        }
        assert!(copied < 5 * wanted, "nothing came in between");
    }
    println!(
        "{copied} files copied, {told_as_changed} told as changed, {} changes",
        place.changes()
    );
}

#[test]
fn a_copier_that_looks_but_once_is_caught() {
    let place = Changing::new("unnoticed", FILES_AT_ONCE);
    let target = place.target("target");
    let begun = Instant::now();
    while torn(&target).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} changes",
            place.changes()
        );
        place.meanwhile(|| {
            for path in entries(&place.source()).into_keys() {
                fs::copy(place.slow_source().join(&path), target.join(&path)).unwrap();
            }
        });
    }
}
