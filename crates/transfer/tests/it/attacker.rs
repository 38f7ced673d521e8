//! P14: while root copies, others swap directories and files with links, FIFOs and devices, at the source and at the target,
//! and give names at the target to what lies outside. Nothing outside the two roots is created, changed, removed or read into
//! the target.
//!
//! A copier that goes by paths is caught by the same test, and so is this engine where it is built so that it follows
//! links (`--features deliberately-unsafe`): so the attackers do get where they want.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::options::{Conflicts, Specials, Verify};
use model::{Compare, Durability};
use testkit::random::Random;
use transfer::Stopped;

use crate::attack::{Arena, Canaries, naive_copy};
use crate::support::judge::{copy, number};
use crate::support::{Try, walk};

const NOTHING: Vec<PathBuf> = Vec::new();

/// One of many ways to copy.
fn any_attempt(random: &mut Random, epoch: u32) -> Try {
    let mut attempt = walk();
    attempt.epoch = epoch;
    attempt.target_is_shared = random.below(4) == 0;
    let options = &mut attempt.options;
    options.durability = *random.pick(&[Durability::None, Durability::Batch, Durability::File]);
    options.conflicts = *random.pick(&[Conflicts::Fail, Conflicts::Replace]);
    options.compare = *random.pick(&[Compare::Mtime, Compare::Always, Compare::Checksum]);
    options.verify = *random.pick(&[Verify::None, Verify::None, Verify::Checksum]);
    options.specials = *random.pick(&[Specials::Skip, Specials::Copy]);
    attempt
}

/// Longer than it takes, with one processor and much else to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// Copies in one attack; then the attackers rest, and everything is looked at.
const COPIES: u32 = 5;

#[test]
#[cfg_attr(feature = "deliberately-unsafe", ignore = "this build follows links")]
fn nothing_outside_the_roots_is_reached() {
    let arena = Arena::new("attack");
    let canaries = arena.canaries();
    let attack_time = Duration::from_secs(number("ATTACK_SECS", 5));
    let begun = Instant::now();
    let mut random = Random::new(number("ATTACK_SEED", 8));
    let (mut copies, mut copied, mut failed) = (0, 0, 0);
    // A copy whose files are always swapped takes seconds.
    let is_enough = |copied: u64, failed: u64| copied > 100 && failed > 0;
    while begun.elapsed() < attack_time || !is_enough(copied, failed) {
        assert!(begun.elapsed() < attack_time + PATIENCE, "too few copies");
        arena.under_attack(|| {
            for _ in 0..COPIES {
                copies += 1;
                let seed = random.next();
                let attempt = || any_attempt(&mut Random::new(seed), copies);
                match copy(attempt, || (), &arena.source(), &arena.target()) {
                    Ok(done) => {
                        copied += done.walk.counters.copied;
                        failed += done.walk.counters.failed;
                    }
                    // What it had made was swapped.
                    Err(Stopped::Again(why)) => {
                        assert!(!why.starts_with("internal"), "{why}");
                    }
                    Err(stopped) => panic!("{stopped}"),
                }
            }
        });
        let about = format!("copy {copies}, seed {}", random.clone().next());
        assert_eq!(canaries.harmed(), NOTHING, "{about}");
        assert_eq!(Canaries::read_into(&arena.target()), NOTHING, "{about}");
        arena.make_room(&mut random);
    }
    let swaps = arena.swaps();
    println!("{copies} copies, {copied} entries copied, {failed} failed, {swaps} swaps");
    assert!(swaps > 1_000);
}

#[test]
fn a_copier_that_goes_by_paths_is_caught() {
    let begun = Instant::now();
    let (mut harmed, mut read_into) = (Vec::new(), Vec::new());
    while !Canaries::has_twin(&harmed) || read_into.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{harmed:?} {read_into:?}");
        // A new one each time: canaries that were overwritten can no longer be read.
        let arena = Arena::new("naive");
        let canaries = arena.canaries();
        arena.under_attack(|| {
            for _ in 0..COPIES {
                // One that cannot even begin is not what is looked for.
                let _ = naive_copy(&arena.source(), &arena.target());
            }
        });
        harmed.extend(canaries.harmed());
        read_into.extend(Canaries::read_into(&arena.target()));
    }
    println!(
        "{} harmed, {} read into the target",
        harmed.len(),
        read_into.len()
    );
}

/// The engine as it must not be: its opens follow links.
#[test]
#[cfg(feature = "deliberately-unsafe")]
fn an_engine_that_follows_links_is_caught() {
    let begun = Instant::now();
    let mut random = Random::new(number("ATTACK_SEED", 8));
    let (mut copies, mut harmed, mut read_into) = (0, Vec::new(), Vec::new());
    while harmed.is_empty() || read_into.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{harmed:?} {read_into:?}");
        let arena = Arena::new("unsafe");
        let canaries = arena.canaries();
        arena.under_attack(|| {
            for _ in 0..COPIES {
                copies += 1;
                let seed = random.next();
                let attempt = || any_attempt(&mut Random::new(seed), copies);
                // One that stops has done enough.
                let _ = copy(attempt, || (), &arena.source(), &arena.target());
            }
        });
        harmed.extend(canaries.harmed());
        read_into.extend(Canaries::read_into(&arena.target()));
    }
    let (harmed, read_into) = (harmed.len(), read_into.len());
    println!("{copies} copies, {harmed} harmed, {read_into} read into the target");
}
