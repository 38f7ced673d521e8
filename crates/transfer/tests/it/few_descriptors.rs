//! A target is swept however deep it is, with few descriptors.

use std::path::Path;

use model::{Epoch, ItemId, RunId, TempName};
use rustix::process::{Resource, getrlimit};
use storage::posix::Dir;
use transfer::{Remove, sweep};

use crate::support::{Place, inner_place, run_again};

const LEVELS: usize = 10_000;
const HALFWAY: usize = LEVELS / 2;
const MAX_DESCRIPTORS: u64 = 64;

#[test]
fn ten_thousand_levels_are_swept() {
    let Some(root) = inner_place() else {
        run_again(
            "few_descriptors::ten_thousand_levels_are_swept",
            &Place::in_memory("swept"),
            &["prlimit", &format!("--nofile={MAX_DESCRIPTORS}:")],
        );
        return;
    };
    assert_eq!(getrlimit(Resource::Nofile).current, Some(MAX_DESCRIPTORS));
    let target = root.join("target");
    let root = Dir::open_root(&target).unwrap();
    make_chain(&root);

    let swept = sweep(&root, Remove::All);
    assert_eq!(swept.runs[&run()], (3, 3));
    assert!(swept.failures.is_empty(), "{:?}", swept.failures);
    assert_eq!(names(&target), ["down"]);
    root.remove_tree("down").unwrap();
}

/// With something unfinished at its end, and in directories beside it that are visited on the way down or back.
fn make_chain(root: &Dir) {
    let mut above = root.reopen().unwrap();
    for level in 0..LEVELS {
        let names: &[&str] = match level {
            HALFWAY => &["older", "down", "younger"],
            _ => &["down"],
        };
        for name in names {
            above.mkdir(*name, 0o700).unwrap();
            if *name != "down" {
                leave_unfinished(&above.open_dir(*name).unwrap());
            }
        }
        above = above.open_dir("down").unwrap();
    }
    leave_unfinished(&above);
}

fn leave_unfinished(dir: &Dir) {
    let temp = TempName {
        run: run(),
        item: ItemId::from_random(9),
        epoch: Epoch(1),
        seq: 1,
    };
    dir.mkdir(temp.format().as_str(), 0o700).unwrap();
}

fn run() -> RunId {
    RunId::from_random(1)
}

fn names(directory: &Path) -> Vec<String> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
