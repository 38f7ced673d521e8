//! A copy that finds everything as it should be changes nothing: its requests to the target, counted by the file system
//! itself, are questions only. And no copy ever changes its source.

use std::path::{Path, PathBuf};

use model::{Compare, Durability};
use testkit::Scratch;
use testkit::compare::assert_same_by;
use testkit::fuse::{Counters, Mounted, Op, SlowFs};
use testkit::tree::{Recipe, make};

use crate::support::judge::{Copied, all_but_root, copy, entries};
use crate::support::sweep::attempt;

/// All by which a file system is changed.
const CHANGES: [Op; 17] = [
    Op::Create,
    Op::Write,
    Op::Mkdir,
    Op::Mknod,
    Op::Symlink,
    Op::Link,
    Op::Rename,
    Op::Unlink,
    Op::Rmdir,
    Op::Chmod,
    Op::Chown,
    Op::Utimens,
    Op::Truncate,
    Op::Setxattr,
    Op::Removexattr,
    Op::Fallocate,
    Op::CopyFileRange,
];

fn changes(counters: &Counters) -> Vec<(Op, u64)> {
    let counts = CHANGES.iter().map(|op| (*op, counters.get(*op)));
    counts.filter(|(_, count)| *count > 0).collect()
}

struct Place {
    scratch: Scratch,
    source: Mounted,
    target: Mounted,
}

impl Place {
    fn new() -> Self {
        let scratch = Scratch::in_memory("second");
        make(&scratch.join("source"), &Recipe::full(), 21).unwrap();
        let mount = |lower: PathBuf, at: &str| {
            let file_system = SlowFs::over(&lower).threads(6);
            file_system.mount(&scratch.directory(at)).unwrap()
        };
        let source = mount(scratch.join("source"), "source-mount");
        let target = mount(scratch.directory("target"), "target-mount");
        Self {
            source,
            target,
            scratch,
        }
    }

    /// What a copy asks both sides to change.
    fn changes_of_a_copy(
        &self,
        target: &Path,
        durability: Durability,
        compare: Compare,
    ) -> Changes {
        self.source.counters().reset();
        self.target.counters().reset();
        let attempt = || {
            let mut attempt = attempt(durability);
            attempt.options.compare = compare;
            attempt
        };
        let copied = copy(attempt, || (), self.source.path(), target).unwrap();
        assert!(copied.claims_success(), "{copied:?}");
        Changes {
            copied,
            at_source: changes(self.source.counters()),
            at_target: changes(self.target.counters()),
        }
    }
}

struct Changes {
    copied: Copied,
    at_source: Vec<(Op, u64)>,
    at_target: Vec<(Op, u64)>,
}

#[test]
fn a_second_copy_changes_nothing_at_all() {
    let place = Place::new();
    for durability in [Durability::None, Durability::Batch, Durability::File] {
        let name = format!("{durability:?}");
        let lower = place.scratch.directory(format!("target/{name}"));
        let target = place.target.path().join(&name);
        let first = place.changes_of_a_copy(&target, durability, Compare::Mtime);
        let kinds = first.at_target.len();
        assert!(
            kinds >= 10,
            "the first is seen to change much: {:?}",
            first.at_target
        );
        assert_eq!(first.at_source, []);
        let all = entries(&place.scratch.join("source")).len() as u64;
        for compare in [Compare::Mtime, Compare::Size, Compare::Checksum] {
            let second = place.changes_of_a_copy(&target, durability, compare);
            assert_eq!(second.at_target, [], "{durability:?} {compare:?}");
            assert_eq!(second.at_source, []);
            assert_eq!(second.copied.walk.counters.unchanged, all);
        }
        assert_same_by(&place.scratch.join("source"), &lower, &all_but_root());
    }
}
