//! What came out of all runs so far.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::faults::Kind;

/// From so many runs on each kind of fault must have fired.
const ENOUGH_FOR_ALL_KINDS: u64 = 50;

/// How one run ended.
#[derive(Debug)]
pub struct Ended {
    pub seed: u64,
    /// Kinds of its faults that had an effect.
    pub fired: Vec<Kind>,
    /// Attempts, by what they were at.
    pub begun: BTreeMap<String, u64>,
    pub lasted: Duration,
    /// Changes of sources while it ran.
    pub changes: u64,
    /// Where a wrong run can be looked at.
    pub wrong: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Tally {
    seeds: RangeInclusive<u64>,
    under_way: u64,
    fired: BTreeMap<Kind, u64>,
    begun: BTreeMap<String, u64>,
    changes: u64,
    right: u64,
    unharmed: u64,
    wrong: Vec<(u64, PathBuf)>,
}

impl Tally {
    pub fn new(first_seed: u64) -> Self {
        Self {
            // Empty.
            seeds: first_seed..=first_seed - 1,
            under_way: 0,
            fired: BTreeMap::new(),
            begun: BTreeMap::new(),
            changes: 0,
            right: 0,
            unharmed: 0,
            wrong: Vec::new(),
        }
    }

    /// The seed of the next run, as long as there are to be more.
    pub fn next(&mut self, runs: u64, most_seeds: u64) -> Option<u64> {
        let begun = self.seeds.end() + 1 - self.seeds.start();
        if self.right + self.wrong.len() as u64 + self.under_way >= runs || begun >= most_seeds {
            return None;
        }
        self.under_way += 1;
        self.seeds = *self.seeds.start()..=self.seeds.end() + 1;
        Some(*self.seeds.end())
    }

    pub fn add(&mut self, ended: Ended) {
        self.under_way -= 1;
        self.changes += ended.changes;
        for kind in &ended.fired {
            *self.fired.entry(*kind).or_default() += 1;
        }
        for (work, begun) in ended.begun {
            *self.begun.entry(work).or_default() += begun;
        }
        let (seed, secs) = (ended.seed, ended.lasted.as_secs());
        let fired: Vec<&str> = ended.fired.iter().map(|kind| kind.name()).collect();
        eprintln!("torture: seed {seed}: {secs} s, fired {}", fired.join(", "));
        match ended.wrong {
            Some(directory) => {
                eprintln!(
                    "torture: seed {} is WRONG: {}",
                    ended.seed,
                    directory.display()
                );
                eprintln!("torture: again: make torture RUNS=1 SEED={}", ended.seed);
                self.wrong.push((ended.seed, directory));
            }
            None if ended.fired.is_empty() => self.unharmed += 1,
            None => self.right += 1,
        }
    }

    /// # Panics
    /// Where a run was wrong, there were too few of them, or a kind of fault never had an effect.
    pub fn assert_right(&self, runs: u64) {
        assert!(self.wrong.is_empty(), "{self}");
        assert!(self.right > 0, "no fault fired: {self}");
        if runs < u64::MAX / 8 {
            assert_eq!(self.right, runs, "too many runs without a fault: {self}");
        }
        if self.right >= ENOUGH_FOR_ALL_KINDS {
            let silent: Vec<&Kind> = Kind::ALL
                .iter()
                .filter(|kind| !self.fired.contains_key(kind))
                .collect();
            assert!(silent.is_empty(), "never fired: {silent:?}: {self}");
            for work in ["Walk", "Shard", "Range", "Links"] {
                assert!(self.begun.contains_key(work), "no {work}: {self}");
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "torture: seeds {} to {}; fired:",
            self.seeds.start(),
            self.seeds.end()
        )?;
        for (kind, fired) in &self.fired {
            write!(f, " {} {fired},", kind.name())?;
        }
        write!(f, " attempts:")?;
        for (work, begun) in &self.begun {
            write!(f, " {work} {begun},")?;
        }
        write!(
            f,
            " changes of sources {}; runs right {}, wrong {}, without a fault that fired {}",
            self.changes,
            self.right,
            self.wrong.len(),
            self.unharmed
        )?;
        for (seed, directory) in &self.wrong {
            write!(
                f,
                "\n  wrong: make torture RUNS=1 SEED={seed} ({})",
                directory.display()
            )?;
        }
        Ok(())
    }
}
