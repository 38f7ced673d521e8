//! P2 at a source that fails for a while: what failed is left to another attempt, which completes the copy, and every
//! entry is counted once.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use model::{Counters, Durability, RelPath};
use rustix::io::Errno;
use testkit::fuse::{Armed, Fault, Op};
use testkit::tree::Recipe;
use transfer::{AttemptWork, Finished};

use crate::support::Try;
use crate::support::sweep::{Bad, Place, attempt, recipe};

fn try_again(work: AttemptWork, epoch: u32) -> Try {
    Try {
        work,
        epoch,
        another_try_follows: true,
        ..attempt(Durability::None)
    }
}

/// An attempt with a fault at work from the moment at which the roots are open.
fn with_fault(place: &Place, fault: Fault, name: &str) -> (Finished, Armed) {
    let armed = Arc::new(OnceLock::new());
    let (mounted, hold) = (Arc::clone(&place.mounted), Arc::clone(&armed));
    let first = Try {
        begin: Box::new(move || {
            hold.get_or_init(|| mounted.arm(fault));
        }),
        ..try_again(AttemptWork::Walk(vec![RelPath::ROOT]), 1)
    };
    let finished = first.run_between(&place.source(), &place.target(name));
    let armed = armed.get().expect("it was armed").clone();
    armed.disarm();
    (finished.unwrap(), armed)
}

#[test]
fn what_failed_for_a_while_is_completed_by_another_attempt_and_counted_once() {
    // Names of one file that are tried again apart become files of their own.
    let recipe = Recipe {
        hard_links: 0,
        symlink_hard_links: 0,
        ..recipe()
    };
    let place = Place::new("again", Bad::Source, &recipe);
    place.true_target("whole");
    let whole = try_again(AttemptWork::Walk(vec![RelPath::ROOT]), 1)
        .run_between(&place.source(), &place.target("whole"))
        .unwrap();
    assert_eq!(whole.again, []);
    for op in [
        Op::Open,
        Op::Readlink,
        Op::Opendir,
        Op::Readdir,
        Op::Listxattr,
    ] {
        for nth in [1, 2, 5] {
            let name = format!("{op}-{nth}");
            let true_target = place.true_target(&name);
            // An attempt that can't open its root is tried again as a whole.
            let nth = nth + u64::from(op == Op::Opendir);
            let fault = Fault::errno(op, Errno::IO).nth(nth);
            let (first, armed) = with_fault(&place, fault, &name);
            assert_eq!(armed.fired(), 1, "{name}");
            assert_eq!(first.again.len(), 1, "{name}: {first:?}");
            assert_eq!(first.outcome.failures, [], "{name}");
            let directories: BTreeSet<RelPath> = first
                .again
                .iter()
                .filter_map(|path| path.split_last())
                .map(|(parent, _)| parent)
                .collect();
            let second = try_again(AttemptWork::Entries(first.again.clone()), 2)
                .run_between(&place.source(), &place.target(&name))
                .unwrap();
            assert_eq!(
                (&second.again[..], &second.outcome.failures[..]),
                (&[][..], &[][..])
            );
            let attributes = AttemptWork::Attributes(directories.into_iter().collect());
            try_again(attributes, 3)
                .run_between(&place.source(), &place.target(&name))
                .unwrap();
            let deferred = first.outcome.counters.deferred;
            let mut sum = first.outcome.counters;
            sum.add(&second.outcome.counters);
            // A directory that the first attempt made without its entries is found unchanged if it has none.
            let found_again = sum.unchanged.min(1);
            let sum = Counters {
                listed: sum.listed - deferred,
                deferred: 0,
                copied: sum.copied + found_again,
                unchanged: sum.unchanged - found_again,
                ..sum
            };
            assert_eq!(sum, whole.outcome.counters, "{name}");
            testkit::compare::assert_same_by(&place.true_source(), &true_target, &place.judged_by);
        }
    }
}

#[test]
fn without_another_try_it_is_a_failure_by_name() {
    let place = Place::new("last", Bad::Source, &recipe());
    place.true_target("last");
    let _armed = place.mounted.arm(Fault::errno(Op::Open, Errno::IO));
    let last = Try {
        another_try_follows: false,
        ..try_again(AttemptWork::Walk(vec![RelPath::ROOT]), 1)
    };
    let finished = last
        .run_between(&place.source(), &place.target("last"))
        .unwrap();
    assert_eq!(finished.again, []);
    assert!(!finished.outcome.failures.is_empty());
    assert_eq!(
        finished.outcome.counters.failed,
        finished.outcome.failures.len() as u64
    );
}
