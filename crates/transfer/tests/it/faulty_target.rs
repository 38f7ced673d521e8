//! P5 and P2 at a target that answers the n-th call of each kind with an error: no false success, accounts that add up,
//! nothing wrong under a final name, nothing left behind; and the next attempt completes the copy.

use std::path::PathBuf;

use model::{Durability, NoRoom};
use rustix::io::Errno;
use testkit::Scratch;
use testkit::compare::assert_same_by;
use testkit::fuse::{CopyLie, Fault, Mounted, Op, SlowFs, WriteLie};
use testkit::tree::{Recipe, make};
use transfer::Stopped;

use crate::support::judge::{Copied, all_but_root, copy};
use crate::support::sweep::{Bad, Place, attempt, go_on_failing, recipe, sweep};

/// What changes the target, or makes it durable: an error there must not be lost.
const CHANGES: [Op; 13] = [
    Op::Mkdir,
    Op::Mknod,
    Op::Symlink,
    Op::Rename,
    Op::Link,
    Op::Chmod,
    Op::Chown,
    Op::Utimens,
    Op::Create,
    Op::Write,
    Op::Flush,
    Op::Fsync,
    Op::Setxattr,
];

const QUESTIONS: [Op; 8] = [
    Op::Lookup,
    Op::Getattr,
    Op::Opendir,
    Op::Readdir,
    Op::Listxattr,
    Op::Getxattr,
    Op::Statfs,
    Op::Truncate,
];

#[test]
fn no_error_of_a_change_is_lost() {
    sweep(Bad::Target, &CHANGES, &CHANGES, Durability::None);
}

#[test]
fn no_error_of_a_change_is_lost_where_each_file_is_synced() {
    sweep(Bad::Target, &CHANGES, &CHANGES, Durability::Batch);
}

#[test]
fn errors_of_questions_leave_accounts_exact() {
    sweep(Bad::Target, &QUESTIONS, &[Op::Truncate], Durability::None);
}

#[test]
fn a_target_that_goes_on_failing_leaves_accounts_exact() {
    go_on_failing(Bad::Target, &CHANGES, Errno::IO);
    go_on_failing(Bad::Target, &QUESTIONS[..6], Errno::IO);
}

#[test]
fn a_target_that_stays_full_gets_nothing_unfinished() {
    go_on_failing(
        Bad::Target,
        &[Op::Create, Op::Write, Op::Mkdir],
        Errno::NOSPC,
    );
}

#[test]
fn what_was_done_though_it_failed_is_found_by_the_next_attempt() {
    let place = Place::new("done", Bad::Target, &recipe());
    for op in [Op::Mkdir, Op::Create, Op::Rename, Op::Symlink, Op::Link] {
        for nth in [1, 3] {
            let name = format!("{op}-{nth}");
            let fault = Fault::errno_though_done(op, Errno::IO).nth(nth);
            let ended = place.copy_with(fault, || attempt(Durability::None), &name);
            assert_eq!(ended.armed.fired(), 1, "{name}");
            place.complete(|| attempt(Durability::None), &name);
        }
    }
}

#[test]
fn short_writes_are_written_on() {
    let place = Place::new("short", Bad::Target, &recipe());
    let fault = Fault::write(WriteLie::Short { bytes: 1_000 }).every_nth(2);
    let ended = place.copy_with(fault, || attempt(Durability::None), "short");
    assert!(ended.armed.fired() > 10, "{}", ended.armed.fired());
    assert!(ended.claims_success(), "{:?}", ended.result);
}

#[test]
fn writes_that_take_nothing_fail_their_file_and_do_not_spin() {
    let place = Place::new("nothing", Bad::Target, &recipe());
    let fault = Fault::write(WriteLie::Short { bytes: 0 });
    let ended = place.copy_with(fault, || attempt(Durability::None), "nothing");
    assert!(ended.armed.fired() > 0);
    assert!(!ended.claims_success(), "{:?}", ended.result);
    place.complete(|| attempt(Durability::None), "nothing");
}

/// Source and target of one file system, where the kernel copies.
struct OneMount {
    scratch: Scratch,
    mounted: Mounted,
}

impl OneMount {
    fn new(recipe: &Recipe) -> Self {
        let scratch = Scratch::in_memory("one-mount");
        make(&scratch.join("lower/source"), recipe, 5).unwrap();
        let file_system = SlowFs::over(&scratch.join("lower")).threads(6);
        let mounted = file_system.mount(&scratch.directory("mount")).unwrap();
        Self { scratch, mounted }
    }

    fn copy(&self, name: &str) -> Result<Copied, Stopped> {
        let target = self.scratch.directory(format!("lower/{name}"));
        let [from, to] = ["source", name].map(|name| self.mounted.path().join(name));
        let copied = copy(|| attempt(Durability::None), || (), &from, &to);
        if copied.as_ref().is_ok_and(Copied::claims_success) {
            assert_same_by(&self.lower_source(), &target, &all_but_root());
        }
        copied
    }

    fn lower_source(&self) -> PathBuf {
        self.scratch.join("lower/source")
    }
}

#[test]
fn copies_by_the_kernel_that_come_short_are_gone_on_with() {
    let place = OneMount::new(&recipe());
    let short = CopyLie::Short { bytes: 300_001 };
    let nothing = CopyLie::Short { bytes: 0 };
    for (name, fault) in [
        ("short", Fault::copy(short)),
        ("nothing at first", Fault::copy(nothing).nth(1)),
        ("nothing", Fault::copy(nothing)),
        ("error", Fault::errno(Op::CopyFileRange, Errno::IO).nth(2)),
        ("unknown", Fault::errno(Op::CopyFileRange, Errno::NOSYS)),
    ] {
        let armed = place.mounted.arm(fault);
        let copied = place.copy(name);
        assert!(armed.fired() > 0, "{name}");
        assert!(
            copied.as_ref().is_ok_and(Copied::claims_success),
            "{name}: {copied:?}"
        );
        armed.disarm();
    }
}

#[test]
fn a_copy_by_the_kernel_that_ends_in_the_middle_is_gone_on_with() {
    let place = OneMount::new(&Recipe {
        big_files: 1,
        big_file_bytes: 2 << 20,
        ..Recipe::default()
    });
    let arm = |bytes| Fault::copy(CopyLie::Short { bytes });
    // Of those whose turn it is the first counts.
    let nothing = place.mounted.arm(arm(0).nth(3));
    let short = place.mounted.arm(arm(300_001));
    let copied = place.copy("middle");
    assert_eq!((short.fired(), nothing.fired()), (2, 1));
    assert!(
        copied.as_ref().is_ok_and(Copied::claims_success),
        "{copied:?}"
    );
}

#[test]
fn a_target_without_room_for_what_the_kernel_copies_stops_the_attempt() {
    for (errno, what) in [
        (Errno::NOSPC, NoRoom::Space),
        (Errno::DQUOT, NoRoom::Quota),
        (Errno::ROFS, NoRoom::ReadOnly),
    ] {
        let place = OneMount::new(&recipe());
        let full = place
            .mounted
            .arm(Fault::errno(Op::CopyFileRange, errno).nth(2));
        let stopped = place.copy("full").unwrap_err();
        assert_eq!((stopped, full.fired()), (Stopped::TargetFull(what), 1));
    }
}
