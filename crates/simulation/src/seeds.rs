//! Many seeds, on all processors.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context;
use model::config::{self, Config};

use crate::broken::Rule;
use crate::faults::Fired;
use crate::server::Servers;
use crate::world::{Plan, Ran, World};

/// Seeds to run.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    pub from: u64,
    pub seeds: u64,
    /// After so many wrong ones, no more are run.
    pub most_wrong: usize,
}

/// A seed that does not do what it must.
#[derive(Debug)]
pub struct Wrong {
    pub seed: u64,
    pub what: Vec<String>,
}

/// What all seeds came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub fired: Fired,
    pub virtual_ms: u64,
    /// The longest time from the last fault to the end of a run.
    pub longest_ms: u64,
    /// In the order of their seeds.
    pub wrong: Vec<Wrong>,
}

/// Plays one seed, with a trace if wanted.
pub fn play(seed: u64, broken: Option<Rule>, is_traced: bool) -> anyhow::Result<Ran> {
    let config = config()?;
    let directory = directory()?;
    let plan = Plan {
        seed,
        config: &config,
        directory: directory.path(),
        broken,
        is_traced,
    };
    let servers = Servers::default();
    World::new(&plan, &servers)?.run()
}

/// Plays all of them.
pub fn run(range: Range, broken: Option<Rule>) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let tally = Mutex::new(Tally::default());
    let next = AtomicU64::new(range.from);
    let is_enough = AtomicBool::new(false);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= range.from + range.seeds || is_enough.load(Ordering::Relaxed) {
                return;
            }
            let ran = catch_unwind(|| play(seed, broken, false));
            let mut tally = tally.lock().unwrap_or_else(|p| p.into_inner());
            tally.add(seed, ran);
            is_enough.fetch_or(tally.wrong.len() >= range.most_wrong, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(|p| p.into_inner());
    tally.wrong.sort_by_key(|wrong| wrong.seed);
    tally
}

impl Tally {
    fn add(&mut self, seed: u64, ran: std::thread::Result<anyhow::Result<Ran>>) {
        self.seeds += 1;
        let what = match ran {
            Ok(Ok(ran)) => {
                self.fired.add(&ran.fired);
                self.virtual_ms += ran.virtual_ms;
                self.longest_ms = self.longest_ms.max(ran.after_faults_ms);
                ran.violations
            }
            Ok(Err(error)) => vec![format!("{error:#}")],
            Err(_) => vec!["it panicked".to_owned()],
        };
        if !what.is_empty() {
            self.wrong.push(Wrong { seed, what });
        }
    }
}

fn config() -> anyhow::Result<Config> {
    let text = "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: t}";
    let parsed = config::parse(text.as_bytes(), Path::new("simulation.yaml"))?;
    Ok(parsed.config)
}

/// In memory where there is such a place: a power cut is not what is simulated.
fn directory() -> anyhow::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.context("no directory for the store")
}
