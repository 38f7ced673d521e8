//! A tree is removed however deep it is, with few descriptors. Alone in its file, since the limit is the
//! process's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use storage::posix::Dir;
use testkit::Scratch;

const LEVELS: usize = 10_000;
const MAX_DESCRIPTORS: u64 = 64;

#[test]
fn ten_thousand_levels_are_removed() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(MAX_DESCRIPTORS);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();

    let scratch = Scratch::in_memory("deep");
    let root = Dir::open_root(scratch.path()).unwrap();
    make_chain(&root);
    root.remove_tree("down").unwrap();
    root.rmdir("other").unwrap();
    root.unlink("file").unwrap();
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

/// With a file and an empty directory in each directory.
fn make_chain(root: &Dir) {
    let mut above = root.reopen().unwrap();
    for level in 0..LEVELS {
        above.create_file("file", 0o600).unwrap();
        // A listing in the order of creation has some visited on the way down, some on the way back.
        let mut names = ["down", "other"];
        names.rotate_left(level % 2);
        for name in names {
            above.mkdir(name, 0o700).unwrap();
        }
        above = above.open_dir("down").unwrap();
    }
}
