//! Who moves the bytes of a big file on network file systems: the kernel within one, this process between two.

use std::path::{Path, PathBuf};

use model::Durability;
use testkit::Scratch;
use testkit::compare::assert_same_by;
use testkit::fuse::{Mounted, Op, SlowFs};
use testkit::tree::{Recipe, make};

use crate::support::judge::{all_but_root, copy};
use crate::support::sweep::attempt;

const MIB: u64 = 1 << 20;
const BYTES: u64 = 20 * MIB;

fn mount(scratch: &Scratch, name: &str) -> Mounted {
    let lower = scratch.directory(name);
    let point = scratch.directory(format!("{name}-mount"));
    SlowFs::over(&lower).threads(6).mount(&point).unwrap()
}

fn make_big_file(at: &Path) {
    let recipe = Recipe {
        big_files: 1,
        big_file_bytes: BYTES,
        ..Recipe::default()
    };
    make(at, &recipe, 5).unwrap();
}

fn copied(source: &Path, target: PathBuf) {
    std::fs::create_dir(&target).unwrap();
    let copied = copy(|| attempt(Durability::None), || (), source, &target).unwrap();
    assert!(copied.claims_success(), "{copied:?}");
    assert_same_by(source, &target, &all_but_root());
}

#[test]
fn within_one_the_kernel_does() {
    let scratch = Scratch::in_memory("within");
    let mounted = mount(&scratch, "both");
    let source = scratch.join("both/source");
    make_big_file(&source);
    copied(
        &mounted.path().join("source"),
        mounted.path().join("target"),
    );
    let count = |op| mounted.counters().get(op);
    assert!(count(Op::CopyFileRange) > 0);
    assert!(count(Op::Write) < BYTES / MIB);
}

/// The kernel would pass on pieces of 128 KiB, one after the other.
#[test]
fn between_two_large_pieces_are_written() {
    let scratch = Scratch::in_memory("between");
    let [from, to] = ["from", "to"].map(|name| mount(&scratch, name));
    make_big_file(&scratch.join("from/source"));
    copied(&from.path().join("source"), to.path().join("target"));
    let [copies, writes] = [Op::CopyFileRange, Op::Write].map(|op| to.counters().get(op));
    assert_eq!(copies, 0);
    assert!(
        (BYTES / MIB..2 * BYTES / MIB).contains(&writes),
        "{writes} writes"
    );
}
