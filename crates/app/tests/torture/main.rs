//! P2, P3, P6 to P10: a server and four workers, each on a machine of its own as far as network and mounts of sources go,
//! from a seed killed, frozen, cut off, started again, robbed of answers, of room and of mounts, while sources change. Every
//! run must end by itself with the right trees and the right ledger.
//!
//! `make test` runs [`SECS`] seconds of it, `make torture RUNS=500 SEED=1` so many runs from that seed on. A seed says what
//! trees there are, what goes wrong, with whom and when; how threads and packets fall is not in it, so that a wrong run may
//! need some repetitions. Each fault is counted only where it is seen to have had an effect, and a run only where one of its
//! faults was. A wrong run leaves its directory, with the logs of all programs, and the command that repeats it.

#[allow(dead_code, unused_imports, reason = "a part is used")]
#[path = "../it/fleet/mod.rs"]
mod fleet;

mod changing;
mod faults;
mod judge;
mod mounts;
mod run;
mod sources;
mod tally;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use run::Run;
use tally::Tally;

/// Unless `TORTURE_SECS` or `TORTURE_RUNS` says otherwise.
const SECS: u64 = 70;
/// Runs at a time: each waits for leases most of the time.
const AT_ONCE: u64 = 4;
/// Seeds for each run that counts, at most.
const PATIENCE: u64 = 4;

#[test]
fn whatever_dies_freezes_or_is_cut_off_the_run_ends_right() {
    let runs = number("TORTURE_RUNS").unwrap_or(u64::MAX / PATIENCE);
    let limit = Duration::from_secs(match number("TORTURE_RUNS") {
        None => number("TORTURE_SECS").unwrap_or(SECS),
        Some(_) => u64::MAX,
    });
    let begun = Instant::now();
    let tally = Mutex::new(Tally::new(number("TORTURE_SEED").unwrap_or(1)));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(runs) {
            scope.spawn(|| {
                while begun.elapsed() < limit {
                    let next = tally.lock().unwrap().next(runs, PATIENCE * runs);
                    let Some(seed) = next else { return };
                    let result = Run::new(seed).finish();
                    tally.lock().unwrap().add(result);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    println!("{tally}");
    tally.assert_right(runs);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text
        .parse()
        .unwrap_or_else(|_| panic!("{variable}={text} is no number"));
    Some(number)
}
