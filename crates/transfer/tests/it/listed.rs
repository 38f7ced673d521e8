//! Paths of a file list.

use std::fs;
use std::os::unix::fs::symlink;

use model::FailureClass;
use model::options::Conflicts;
use transfer::AttemptWork;

use crate::support::{Place, path, walk};

#[test]
fn listed_paths_count_once_and_missing_ones_are_failures() {
    let place = Place::new("paths");
    for file in ["a/b/one", "a/b/two", "a/c", "top", "z/y/x"] {
        place.write(file, file);
    }
    symlink("a", place.source("way")).unwrap();
    let mut attempt = walk();
    let listed = [
        "a/b/one",
        "a/b",
        "top",
        "z/y/x",
        "nothing/here",
        "way/c",
        "top",
    ];
    attempt.work = AttemptWork::Paths(listed.into_iter().map(path).collect());
    let finished = attempt.run(&place).unwrap();
    let outcome = finished.outcome;
    // a/b with its two files, top, z/y/x.
    assert_eq!(outcome.counters.copied, 5, "{outcome:?}");
    let classes: Vec<_> = outcome.failures.iter().map(|f| f.class).collect();
    assert_eq!(classes, [FailureClass::Missing, FailureClass::GiveUp]);
    assert!(!place.target("a/c").exists());
    assert!(finished.deferred_attributes.contains(&path("z/y")));
    let mut attributes = walk();
    attributes.work = AttemptWork::Attributes(finished.deferred_attributes);
    attributes.run(&place).unwrap();
    let modified = |path| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(modified(place.source("z/y")), modified(place.target("z/y")));
}

#[test]
fn a_link_on_the_way_to_a_listed_path_is_replaced_and_a_file_by_policy() {
    let place = Place::new("way");
    for file in ["linked/inner/file", "taken/file"] {
        place.write(file, file);
    }
    let outside = place.root.join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, place.target("linked")).unwrap();
    fs::write(place.target("taken"), "own").unwrap();
    let listed = |conflicts: Conflicts, dry_run: bool| {
        let mut attempt = walk();
        attempt.options.conflicts = conflicts;
        attempt.options.dry_run = dry_run;
        let paths = ["linked/inner/file", "taken/file"];
        attempt.work = AttemptWork::Paths(paths.into_iter().map(path).collect());
        attempt.run(&place).unwrap().outcome
    };
    for dry_run in [true, false] {
        let outcome = listed(Conflicts::Fail, dry_run);
        let counters = &outcome.counters;
        assert_eq!((counters.copied, counters.failed), (1, 1), "{outcome:?}");
        assert_eq!(outcome.failures[0].path, path("taken/file"));
        assert_eq!(outcome.failures[0].class, FailureClass::GiveUp);
        assert_eq!(fs::read(place.target("taken")).unwrap(), b"own");
    }
    let counters = listed(Conflicts::Replace, false).counters;
    assert_eq!((counters.copied, counters.unchanged), (1, 1));
    for file in ["linked/inner/file", "taken/file"] {
        assert_eq!(fs::read(place.target(file)).unwrap(), file.as_bytes());
    }
    assert!(!place.target("linked").is_symlink());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn patterns_are_matched_unless_they_are_names() {
    let place = Place::new("patterns");
    for file in [
        "a1/x.txt",
        "a2/x.txt",
        "a2/y.dat",
        "b/x.txt",
        "[b]",
        "deep/er/z",
    ] {
        place.write(file, file);
    }
    let mut attempt = walk();
    let listed = ["a?/*.txt", "[b]", "{deep,none}/e*", "no*"];
    attempt.work = AttemptWork::Paths(listed.into_iter().map(path).collect());
    let outcome = attempt.run(&place).unwrap().outcome;
    // Two texts, [b], deep/er with its file.
    assert_eq!(outcome.counters.copied, 5, "{outcome:?}");
    assert_eq!(outcome.failures[0].class, FailureClass::Missing);
    assert_eq!(outcome.failures[0].path, path("no*"));
    assert!(!place.target("b").exists());
}
