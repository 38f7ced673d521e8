//! P3, P6: `kill -9` of workers at random moments. What a dead worker held runs elsewhere after its lease; nothing is
//! lost, torn, counted twice or left behind.
//!
//! A kill counts only if the worker was alive, had begun an item, and tasks were open after it.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use testkit::Program;
use testkit::process::Exit;
use testkit::random::Random;
use testkit::tree::Recipe;

use crate::fleet::{Begun, Fleet, LONG, Settings, assert_exit, begun, start};

const KILLS: usize = 50;
/// Runs at a time.
const RUNS: u64 = 6;
/// After so many, a run is left to end.
const KILLS_PER_RUN: usize = 9;
/// Far more than it takes where a kill comes now and then.
const MOST_RUNS: u64 = 20 * RUNS;
const TASKS: u64 = 3;
/// Items that a worker holds at once.
const CONCURRENCY: usize = 2;

#[test]
fn a_killed_worker_costs_only_its_unfinished_items() {
    let (mut kills, mut lost, mut seed) = (0, 0, 0);
    while kills < KILLS {
        assert!(seed < MOST_RUNS, "{kills} kills in {seed} runs");
        let runs: Vec<Run> = thread::scope(|scope| {
            let runs: Vec<_> = (seed..seed + RUNS)
                .map(|seed| scope.spawn(move || migrate_under_fire(seed)))
                .collect();
            runs.into_iter()
                .map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        seed += RUNS;
        kills += runs.iter().map(|run| run.kills).sum::<usize>();
        lost += runs.iter().map(|run| run.lost_attempts).sum::<usize>();
    }
    println!("{kills} kills in {seed} runs, {lost} attempts lost");
    assert!(lost > 0, "no kill took an item from its worker");
}

#[derive(Debug)]
struct Run {
    kills: usize,
    /// Attempts that had begun and were run again.
    lost_attempts: usize,
}

/// A run whose workers are killed.
fn migrate_under_fire(seed: u64) -> Run {
    let mut random = Random::new(seed);
    let mut fleet = Fleet::new(
        "killed-worker",
        &Settings {
            durability: ["batch", "none", "file"][seed as usize % 3],
            concurrency: CONCURRENCY as u32,
            transfers: 2,
            ..Settings::default()
        },
    );
    for task in 0..TASKS {
        fleet.add_slower_tree(&Recipe::odd(10, 60), seed * TASKS + task);
    }
    let server = fleet.server();
    let mut workers = [worker(&fleet, 1, 0), worker(&fleet, 2, 0)];
    let mut dead = Vec::new();
    let mut kills = 0;
    // Kills after the last task's end count for nothing.
    while kills < KILLS_PER_RUN && server.is_running() && fleet.ended_tasks() < fleet.tasks.len() {
        let victim = random.below(2) as usize;
        if !has_begun(&workers[victim], &server) {
            continue;
        }
        thread::sleep(Duration::from_millis(random.below(250)));
        let was_alive = workers[victim].is_running();
        workers[victim].kill();
        let exit = workers[victim].wait(LONG).expect("a killed process ends");
        if was_alive && exit == Exit::Signal(9) && fleet.ended_tasks() < fleet.tasks.len() {
            kills += 1;
        }
        let next = worker(&fleet, victim + 1, dead.len() + 1);
        dead.push(std::mem::replace(&mut workers[victim], next));
    }
    assert_exit(&server, 0);
    for worker in &workers {
        // One that came after the server had gone would wait for another.
        match begun(worker).is_empty() && !worker.stderr().contains("registered") {
            true => worker.kill(),
            false => assert_exit(worker, 0),
        }
    }
    fleet.assert_migrated();
    let attempts: Vec<Begun> = dead.iter().chain(&workers).flat_map(begun).collect();
    let items: HashSet<&String> = attempts.iter().map(|attempt| &attempt.item).collect();
    let lost_attempts = attempts.len() - items.len();
    assert!(
        lost_attempts <= dead.len() * CONCURRENCY,
        "{lost_attempts} attempts run again after {} deaths",
        dead.len()
    );
    Run {
        kills,
        lost_attempts,
    }
}

fn worker(fleet: &Fleet, number: usize, life: usize) -> Program {
    let name = format!("w{number}-{life}");
    start(fleet.worker_command(&name).arg("--debug"))
}

/// Waits a while for the worker to have an item; not for ever, since the other may have them all.
fn has_begun(worker: &Program, server: &Program) -> bool {
    let deadline = Instant::now() + Duration::from_secs(3);
    while server.is_running() && worker.is_running() && Instant::now() < deadline {
        if !begun(worker).is_empty() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}
