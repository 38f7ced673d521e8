//! What a filter leaves out is counted with its reason, and neither read, nor made, nor touched at the target.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, UNIX_EPOCH};

use model::{Filter, Outcome, SkipReason};
use transfer::AttemptWork;

use crate::support::{Place, Try, path, tree, walk};

const AGES_FROM_SECS: i64 = 1_700_000_000;

fn filtered(filter: &Filter) -> Try {
    let mut attempt = walk();
    attempt.options.filter = filter.clone();
    attempt.ages_from_secs = AGES_FROM_SECS;
    attempt
}

fn excluding(lines: &[&str]) -> Filter {
    Filter {
        exclude: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..Filter::default()
    }
}

fn names_at_target(place: &Place) -> Vec<String> {
    let names = tree(&place.target("")).into_keys();
    names
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

/// Listed, copied and unchanged, and why the rest was skipped.
#[track_caller]
fn assert_counts(outcome: &Outcome, counts: [u64; 3], skipped: &[(SkipReason, u64)]) {
    let n = &outcome.counters;
    assert_eq!([n.listed, n.copied, n.unchanged], counts, "{outcome:?}");
    let skipped: BTreeMap<SkipReason, u64> = skipped.iter().copied().collect();
    assert_eq!(outcome.skipped, skipped);
    assert_eq!(n.failed, 0);
}

#[test]
fn a_directory_that_is_left_out_is_one_skip_and_not_entered() {
    let place = Place::new("excluded");
    for file in [
        "a/keep",
        "a/.snapshot/1/x",
        "a/.snapshot/2/x",
        ".snapshot/x",
        "lost+found",
    ] {
        place.write(file, "content");
    }
    let filter = excluding(&[".snapshot", "lost+found/"]);
    let outcome = filtered(&filter).run(&place).unwrap().outcome;
    assert_counts(&outcome, [5, 3, 0], &[(SkipReason::Excluded, 2)]);
    assert_eq!(names_at_target(&place), ["a", "a/keep", "lost+found"]);
    let again = filtered(&filter).run(&place).unwrap().outcome;
    assert_counts(&again, [5, 0, 3], &[(SkipReason::Excluded, 2)]);
}

#[test]
fn what_is_left_out_stays_at_the_target_as_it_is() {
    let place = Place::new("at-target");
    place.write("cache/x", "new");
    place.write("y", "new");
    fs::create_dir(place.target("cache")).unwrap();
    for file in ["cache/x", "y"] {
        fs::write(place.target(file), "older").unwrap();
    }
    filtered(&excluding(&["cache/"])).run(&place).unwrap();
    assert_eq!(
        fs::read_to_string(place.target("cache/x")).unwrap(),
        "older"
    );
    assert_eq!(fs::read_to_string(place.target("y")).unwrap(), "new");
}

#[test]
fn with_include_directories_are_made_and_only_what_matches_is_put_into_them() {
    let place = Place::new("included");
    for file in ["a/1.jpg", "a/1.png", "raw/b/2.png", "c/d/x"] {
        place.write(file, "content");
    }
    symlink("1.jpg", place.source("a/link")).unwrap();
    symlink("1.jpg", place.source("a/link.jpg")).unwrap();
    let filter = Filter {
        include: vec!["*.jpg".into(), "/raw/".into()],
        ..Filter::default()
    };
    let outcome = filtered(&filter).run(&place).unwrap().outcome;
    assert_counts(&outcome, [11, 8, 0], &[(SkipReason::NotIncluded, 3)]);
    let expected = [
        "a",
        "a/1.jpg",
        "a/link.jpg",
        "c",
        "c/d",
        "raw",
        "raw/b",
        "raw/b/2.png",
    ];
    assert_eq!(names_at_target(&place), expected);
}

#[test]
fn limits_of_size_and_age_hold_for_regular_files_alone() {
    let place = Place::new("limits");
    for (file, bytes, age_secs) in [
        ("small", 9, 100),
        ("fits", 10, 100),
        ("large", 21, 100),
        ("young", 15, 59),
        ("old", 15, 3601),
        ("future", 15, -100),
    ] {
        place.write(file, vec![b'x'; bytes]);
        let modified = UNIX_EPOCH + Duration::from_secs((AGES_FROM_SECS - age_secs) as u64);
        let opened = fs::File::options()
            .write(true)
            .open(place.source(file))
            .unwrap();
        opened.set_modified(modified).unwrap();
    }
    symlink("x", place.source("link")).unwrap();
    fs::create_dir(place.source("directory")).unwrap();
    let filter = Filter {
        min_size_bytes: Some(10),
        max_size_bytes: Some(20),
        min_age_secs: Some(60),
        max_age_secs: Some(3600),
        ..Filter::default()
    };
    let skipped = [(SkipReason::Size, 2), (SkipReason::Age, 3)];
    let outcome = filtered(&filter).run(&place).unwrap().outcome;
    assert_counts(&outcome, [8, 3, 0], &skipped);
    assert_eq!(names_at_target(&place), ["directory", "fits", "link"]);
    let again = filtered(&filter).run(&place).unwrap().outcome;
    assert_counts(&again, [8, 0, 3], &skipped);
}

#[test]
fn the_filter_holds_for_listed_paths_too() {
    let place = Place::new("listed");
    for file in ["a/x", "a/out/b/1", "a/out/b/2", "out/x", "c/x", "c/out"] {
        place.write(file, "content");
    }
    let listed = ["a/x", "a/out/b/1", "a/out/b/2", "out", "out/x", "c"];
    let attempt = Try {
        work: AttemptWork::Paths(listed.map(path).to_vec()),
        ..filtered(&excluding(&["out"]))
    };
    let outcome = attempt.run(&place).unwrap().outcome;
    // Of `out` and `out/x` the former; below `c` two.
    assert_counts(&outcome, [7, 3, 0], &[(SkipReason::Excluded, 4)]);
    assert_eq!(names_at_target(&place), ["a", "a/x", "c", "c/x"]);
}
