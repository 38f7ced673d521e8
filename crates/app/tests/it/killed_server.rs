//! P3, P7: `kill -9` of the server at random moments, started again at once or after more than a lease. The same run
//! goes on; what was finished is not run again, and neither is what runs meanwhile. The workers live on throughout.
//!
//! A kill counts only if the server was alive and tasks were open after it.

use std::collections::HashSet;
use std::fs;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use testkit::Program;
use testkit::process::Exit;
use testkit::random::Random;
use testkit::tree::Recipe;

use crate::fleet::{Begun, Fleet, LONG, Settings, assert_exit, begun, start, wait_until_serving};

const KILLS: usize = 50;
/// Runs at a time.
const RUNS: u64 = 6;
/// After so many, a run is left to end.
const KILLS_PER_RUN: usize = 9;
/// Far more than it takes where a kill comes now and then.
const MOST_RUNS: u64 = 20 * RUNS;
const TASKS: u64 = 3;
/// More than the lease of 2 s.
const LONG_OUTAGE: Duration = Duration::from_millis(2_600);

#[test]
fn a_killed_server_goes_on_with_the_same_run() {
    let (mut kills, mut seed) = (0, 0);
    while kills < KILLS {
        assert!(seed < MOST_RUNS, "{kills} kills in {seed} runs");
        kills += thread::scope(|scope| {
            let runs: Vec<_> = (seed..seed + RUNS)
                .map(|seed| scope.spawn(move || migrate_under_fire(seed)))
                .collect();
            runs.into_iter()
                .map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .sum::<usize>()
        });
        seed += RUNS;
    }
    println!("{kills} kills in {seed} runs");
}

/// How a server can be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    Killed,
    Frozen,
}

#[test]
fn an_outage_longer_than_the_lease_costs_no_work() {
    thread::scope(|scope| {
        for (seed, outage) in [(1_000, Outage::Killed), (1_001, Outage::Frozen)] {
            scope.spawn(move || migrate_through(outage, seed));
        }
    });
}

fn migrate_through(outage: Outage, seed: u64) {
    let mut fleet = Fleet::new(
        "outage",
        &Settings {
            concurrency: 1,
            transfers: 1,
            ..Settings::default()
        },
    );
    fleet.add_slower_tree(&Recipe::odd(50, 500), seed);
    let mut server = fleet.server();
    let worker = start(fleet.worker_command("w1").arg("--debug"));
    worker
        .wait_until("an item", LONG, || !begun(&worker).is_empty())
        .unwrap();
    match outage {
        Outage::Killed => server.kill(),
        Outage::Frozen => server.stop(),
    }
    thread::sleep(LONG_OUTAGE);
    assert_eq!(fleet.ended_tasks(), 0, "nothing was under way");
    match outage {
        Outage::Killed => server = fleet.server(),
        Outage::Frozen => server.resume(),
    }
    // While the item lasts, which may be short now, it is shown as the first attempt.
    while server.is_running() {
        let status = fleet.status().unwrap_or_default();
        assert!(!status.contains(", attempt 2,"), "{status}");
    }
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
    let attempts = begun(&worker);
    assert!(
        attempts.iter().all(|begun| begun.epoch == 1),
        "{attempts:?}"
    );
    assert_eq!(fleet.results().rows().next().unwrap().number("retries"), 0);
    assert!(
        !worker.stderr().contains("the session was lost"),
        "{}",
        worker.stderr()
    );
}

/// A run whose server is killed; how often that was.
fn migrate_under_fire(seed: u64) -> usize {
    let mut random = Random::new(seed);
    let mut fleet = Fleet::new(
        "killed-server",
        &Settings {
            durability: ["file", "batch", "none"][seed as usize % 3],
            concurrency: 1,
            transfers: 1,
            ..Settings::default()
        },
    );
    for task in 0..TASKS {
        fleet.add_slower_tree(&Recipe::odd(10, 60), seed * TASKS + task);
    }
    let workers = ["w1", "w2"].map(|name| start(fleet.worker_command(name).arg("--debug")));
    let mut servers = vec![fleet.server()];
    // A worker that came too late for every server would wait for the next one.
    for worker in &workers {
        worker.wait_for_output("registered as ", LONG).unwrap();
    }
    let mut kills = 0;
    let mut is_over = false;
    // Kills after the last task's end count for nothing, and could keep the workers from being told for ever.
    while kills < KILLS_PER_RUN && !is_over {
        let server = &servers[servers.len() - 1];
        thread::sleep(Duration::from_millis(random.below(400)));
        if !server.is_running() {
            break;
        }
        server.kill();
        let exit = server.wait(LONG).expect("a killed process ends");
        if exit == Exit::Signal(9) && fleet.ended_tasks() < fleet.tasks.len() {
            kills += 1;
        }
        let rows = whole_rows(&fleet);
        if kills % 4 == 3 {
            thread::sleep(LONG_OUTAGE);
        }
        // One that was told of the run's end before the kill may go.
        is_over = fleet.ended_tasks() == fleet.tasks.len();
        assert!(
            is_over || workers.iter().all(Program::is_running),
            "a worker ended"
        );
        servers.push(fleet.start_server());
        if random.below(2) == 0 {
            wait_until_serving(&servers[servers.len() - 1]);
            assert!(whole_rows(&fleet).starts_with(&rows), "rows were lost");
        }
    }
    assert_exit(&servers[servers.len() - 1], 0);
    workers.iter().for_each(|worker| assert_exit(worker, 0));
    fleet.assert_migrated();
    assert_one_run(&servers);
    assert_nothing_ran_twice(&workers, &servers);
    kills
}

/// The results file up to its last line break.
fn whole_rows(fleet: &Fleet) -> String {
    let mut text = fs::read_to_string(fleet.results_file()).unwrap_or_default();
    text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
    text
}

/// All servers that came so far as to say so served the same run.
fn assert_one_run(servers: &[Program]) {
    let runs: HashSet<String> = servers
        .iter()
        .filter_map(|server| word_after(&server.stderr(), "serving run "))
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let goes_on = servers[1..]
        .iter()
        .filter_map(|server| {
            let log = server.stderr();
            assert!(!log.contains(" begins: "), "a server began a run: {log}");
            word_before(&log, " goes on: ")
        })
        .collect::<HashSet<_>>();
    assert_eq!(goes_on, runs);
}

fn word_after(log: &str, before: &str) -> Option<String> {
    let (_, after) = log.split_once(before)?;
    after.split_whitespace().next().map(str::to_owned)
}

fn word_before(log: &str, after: &str) -> Option<String> {
    let (before, _) = log.split_once(after)?;
    before.split_whitespace().last().map(str::to_owned)
}

/// The workers lived on, so each item was begun once, under its first epoch but where the grant itself was lost, and no
/// task was finished twice.
fn assert_nothing_ran_twice(workers: &[Program], servers: &[Program]) {
    let attempts: Vec<Begun> = workers.iter().flat_map(begun).collect();
    let items: HashSet<&String> = attempts.iter().map(|attempt| &attempt.item).collect();
    assert!(!attempts.is_empty());
    let again: Vec<&Begun> = attempts.iter().filter(|begun| begun.epoch > 1).collect();
    assert_eq!(items.len(), attempts.len(), "begun again: {again:?}");
    let logs: String = servers.iter().map(Program::stderr).collect();
    for task in 1..=TASKS {
        let said = logs
            .matches(&format!("Migrated task {task} successfully"))
            .count();
        assert!(said <= 1, "task {task} was finished {said} times");
    }
    for worker in workers {
        assert!(
            !worker.stderr().contains("the session was lost"),
            "{}",
            worker.stderr()
        );
    }
}
