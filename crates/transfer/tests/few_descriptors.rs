//! A target is swept however deep it is, with few descriptors. Alone in its file, since the limit is the
//! process's.

use std::path::Path;

use model::{Epoch, ItemId, RunId, TempName};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use storage::posix::Dir;
use transfer::{Remove, sweep};

const LEVELS: usize = 10_000;
const HALFWAY: usize = LEVELS / 2;
const MAX_DESCRIPTORS: u64 = 64;

#[test]
fn ten_thousand_levels_are_swept() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(MAX_DESCRIPTORS);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();

    // In memory: removing directories one in another takes minutes on some disks.
    let scratch = tempfile::tempdir_in(testkit::memory());
    let scratch = scratch.unwrap();
    let root = Dir::open_root(scratch.path()).unwrap();
    make_chain(&root);

    let swept = sweep(&root, Remove::All);
    assert_eq!(swept.runs[&run()], (3, 3));
    assert!(swept.failures.is_empty(), "{:?}", swept.failures);
    assert_eq!(names(scratch.path()), ["down"]);
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
