//! P17: a tree of any depth is walked and copied with few descriptors, also where at each level others wait.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat};
use rustix::process::{Resource, getrlimit};

use crate::support::{Place, inner_place, run_again, walk};

const LEVELS: usize = 10_000;
const DESCRIPTORS: u64 = 2_048;

/// Every so many levels a file has a second name.
const LINK_EVERY: usize = 1_000;

/// At each level a directory with a file, and the next level.
fn make(place: &Place) {
    let mut here = File::open(place.source("")).unwrap();
    let open = |from: &File, name: &str| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        File::from(openat(from.as_fd(), name, flags, Mode::empty()).unwrap())
    };
    for level in 1..=LEVELS {
        for name in ["a", "b", "c"] {
            mkdirat(here.as_fd(), name, Mode::from_raw_mode(0o755)).unwrap();
        }
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let beside = open(&here, "a");
        openat(beside.as_fd(), "file", flags, Mode::from_raw_mode(0o644)).unwrap();
        if level % LINK_EVERY == 0 {
            let other = open(&here, "c");
            linkat(&beside, "file", &other, "link", AtFlags::empty()).unwrap();
        }
        here = open(&here, "b");
    }
}

#[test]
fn ten_thousand_levels_with_siblings_take_few_descriptors() {
    let Some(root) = inner_place() else {
        let place = Place::in_memory("deep");
        make(&place);
        run_again(
            "deep_tree::ten_thousand_levels_with_siblings_take_few_descriptors",
            &place,
            &["prlimit", &format!("--nofile={DESCRIPTORS}:")],
        );
        for side in ["source", "target"] {
            let removed = Command::new("rm")
                .arg("-rf")
                .arg(place.root.join(side))
                .status();
            assert!(removed.unwrap().success());
        }
        return;
    };
    assert_eq!(getrlimit(Resource::Nofile).current, Some(DESCRIPTORS));
    let run = || {
        let (source, target) = (root.join("source"), root.join("target"));
        let finished = walk().run_between(&source, &target).unwrap();
        finished.outcome.counters
    };
    let (first, second) = (run(), run());
    let entries = (4 * LEVELS + LEVELS / LINK_EVERY) as u64;
    assert_eq!((first.listed, first.copied), (entries, entries));
    assert_eq!((second.listed, second.unchanged), (entries, entries));
}
