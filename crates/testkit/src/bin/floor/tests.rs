use std::fs;
use std::os::unix::fs::FileTypeExt as _;

use testkit::Scratch;
use testkit::compare::{Options, compare};
use testkit::tree::{Recipe, make};

use super::{Content, Failures, Flags, Node, copy};

fn flags(arguments: &[&str]) -> Option<Flags> {
    Flags::parse(arguments.iter().map(|argument| (*argument).to_owned()))
}

/// How many failures there were.
fn run(scratch: &Scratch) -> u64 {
    let mut flags = flags(&["--threads", "8", "--files-per-job", "3", "a", "b"]).unwrap();
    (flags.source, flags.target) = (scratch.join("a"), scratch.join("b"));
    let failures = Failures::default();
    let root = Node::root(&flags.source, &flags.target).unwrap();
    copy(&flags, root, &failures);
    failures.0.into_inner()
}

#[test]
fn it_copies_names_content_and_attributes() {
    let scratch = Scratch::in_memory("floor");
    let recipe = Recipe {
        depth: 6,
        ..Recipe::odd(40, 300)
    };
    make(&scratch.join("a"), &recipe, 7).unwrap();
    assert_eq!(run(&scratch), 0);
    let options = Options {
        root_attributes: false,
        ..Options::default()
    };
    let differences = compare(&scratch.join("a"), &scratch.join("b"), &options);
    assert_eq!(differences, []);
}

#[test]
fn what_it_cannot_copy_is_a_failure() {
    let scratch = Scratch::in_memory("floor");
    let recipe = Recipe {
        specials: 2,
        ..Recipe::plain(1, 3)
    };
    make(&scratch.join("a"), &recipe, 7).unwrap();
    assert_eq!(run(&scratch), 2);
    // Nothing that is there is replaced.
    assert!(run(&scratch) > 2);
    let is_plain = |entry: fs::DirEntry| !entry.file_type().unwrap().is_fifo();
    assert!(
        fs::read_dir(scratch.join("b"))
            .unwrap()
            .flatten()
            .all(is_plain)
    );
}

#[test]
fn flags_are_checked() {
    let given = flags(&["--reflink", "a", "b"]).unwrap();
    assert_eq!((given.threads, given.content), (64, Content::Reflink));
    for wrong in [
        &["a"][..],
        &["--threads", "0", "a", "b"],
        &["--none", "a", "b"],
    ] {
        assert!(flags(wrong).is_none(), "{wrong:?}");
    }
}
