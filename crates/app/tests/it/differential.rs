//! Any tree is copied as `rsync -aHAXS` and `cp -a` copy it, as root and as a plain user, onto targets that are empty,
//! identical or in conflict; and again: then nothing is touched.
//!
//! Besides the cases named here, `DIFFERENTIAL_CASES` of them (4 where it is not set) are drawn for each test. One that
//! fails is shown in its smallest form, with all that makes it again. That rsync passes the same examination shows
//! that a failure is no fault of the examination.

use std::path::Path;

use proptest::test_runner::{Config, TestRunner};
use testkit::damage::Damage;
use testkit::mount::{LoopMount, Tmpfs};
use testkit::tree::Recipe;

use crate::oracle::{Before, Case, Tool, User, any_case, examine, has_sticky_acls};
use crate::place;

fn cases() -> u32 {
    match std::env::var("DIFFERENTIAL_CASES") {
        Ok(text) => text.parse().expect("DIFFERENTIAL_CASES is a number"),
        Err(_) => 4,
    }
}

fn drawn(subject: Tool, user: User, mounted: &Path) {
    let config = Config {
        cases: cases(),
        max_shrink_iters: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let done = runner.run(&any_case(user), |mut case| {
        if subject == Tool::Rsync {
            case = within_reach_of_rsync(case, user);
            case.recipe.acls &= !has_sticky_acls(&case);
        }
        examine(&case, subject, user, mounted);
        Ok(())
    });
    if let Err(failed) = done {
        panic!("{failed}");
    }
}

/// Some of everything, onto each kind of state.
fn named(user: User) -> Vec<Case> {
    let recipe = Recipe {
        directories: 30,
        files: 100,
        plain_user: (user == User::Plain).then_some(place::PLAIN_USER),
        ..Recipe::full()
    };
    let damaged = |kinds: &[Damage]| Before::Damaged {
        kinds: kinds.to_vec(),
        seed: 5,
    };
    [
        Before::Empty,
        Before::Identical,
        damaged(&Damage::ALL),
        damaged(&[Damage::Kind, Damage::OutsideLink]),
        damaged(&[Damage::Split, Damage::Joined]),
    ]
    .map(|before| Case {
        recipe: recipe.clone(),
        seed: 3,
        before,
    })
    .to_vec()
}

#[test]
fn a_copy_onto_ext4_is_what_the_oracles_make_and_stays_so() {
    let mounted = LoopMount::ext4(512).unwrap();
    for case in named(User::Root) {
        examine(&case, Tool::DataMigrate, User::Root, mounted.path());
    }
    drawn(Tool::DataMigrate, User::Root, mounted.path());
}

#[test]
fn a_copy_onto_tmpfs_is_what_the_oracles_make_and_stays_so() {
    let mounted = Tmpfs::new(512).unwrap();
    let distant = Case {
        recipe: Recipe {
            distant_times: true,
            ..Recipe::full()
        },
        seed: 4,
        before: Before::Empty,
    };
    examine(&distant, Tool::DataMigrate, User::Root, mounted.path());
    drawn(Tool::DataMigrate, User::Root, mounted.path());
}

#[test]
fn a_copy_by_a_plain_user_is_what_the_oracles_make_and_stays_so() {
    let mounted = LoopMount::ext4(512).unwrap();
    for case in named(User::Plain) {
        examine(&case, Tool::DataMigrate, User::Plain, mounted.path());
    }
    drawn(Tool::DataMigrate, User::Plain, mounted.path());
}

#[test]
fn an_oracle_passes_the_same_examination() {
    let mounted = LoopMount::ext4(512).unwrap();
    for user in [User::Root, User::Plain] {
        for case in named(user) {
            let case = within_reach_of_rsync(case, user);
            examine(&case, Tool::Rsync, user, mounted.path());
        }
        drawn(Tool::Rsync, user, mounted.path());
    }
}

#[test]
#[should_panic(expected = "were touched")]
fn a_copy_that_makes_all_again_does_not_pass() {
    let mounted = LoopMount::ext4(512).unwrap();
    let [_, identical, ..] = &named(User::Root)[..] else {
        unreachable!("there are more than two");
    };
    examine(identical, Tool::Cp, User::Root, mounted.path());
}

/// The case without that which rsync is known not to copy.
fn within_reach_of_rsync(mut case: Case, user: User) -> Case {
    if let Before::Damaged { kinds, .. } = &mut case.before {
        // See where the oracles are chosen.
        kinds.retain(|kind| *kind != Damage::Joined);
    }
    // A plain user's rsync gives a directory without `w` its attributes, and then cannot put anything into it.
    case.recipe.odd_attributes &= user == User::Root;
    case
}
