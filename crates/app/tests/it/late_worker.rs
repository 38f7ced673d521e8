//! P8: a worker that was frozen for longer than its lease changes nothing when it thaws. Its items run elsewhere, and by
//! the time the run is over its unfinished files are gone and its fence is closed.
//!
//! Each seed freezes a worker at another moment of its copying; the test asserts that it held items then and was
//! frozen throughout.

use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use testkit::compare::{Aspect, Options, compare};
use testkit::random::Random;
use testkit::tree::Recipe;
use testkit::{Program, tool};

use crate::fleet::{
    Fleet, LONG, Settings, assert_exit, assert_no_leftovers, begun, start, wait_until_serving,
};

const SEEDS: u64 = 12;
/// At the same time.
const RUNS: u64 = 6;
const CONCURRENCY: u32 = 2;
const TRANSFERS: u32 = 2;

/// What a worker finds when it thaws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Gone,
    /// It still serves the results.
    Kept,
}

#[test]
fn a_late_worker_changes_nothing() {
    let frozen_in_mid_copy: usize = (0..SEEDS / RUNS)
        .map(|round| {
            thread::scope(|scope| {
                let runs: Vec<_> = (round * RUNS..(round + 1) * RUNS)
                    .map(|seed| scope.spawn(move || thaw_after_the_end(seed)))
                    .collect();
                runs.into_iter()
                    .map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic)))
                    .filter(|in_mid_copy| *in_mid_copy)
                    .count()
            })
        })
        .sum();
    println!("{frozen_in_mid_copy} of {SEEDS} were frozen in the middle of a copy");
    assert!(frozen_in_mid_copy * 2 > SEEDS as usize);
}

/// Returns whether the worker was frozen while it copied: its item was run again by the other.
fn thaw_after_the_end(seed: u64) -> bool {
    let mut random = Random::new(seed);
    let server_then = [Server::Gone, Server::Kept][seed as usize % 2];
    let mut fleet = Fleet::new(
        "late",
        &Settings {
            durability: ["batch", "none", "file"][seed as usize / 2 % 3],
            concurrency: CONCURRENCY,
            transfers: TRANSFERS,
            ..Settings::default()
        },
    );
    for task in 0..3 {
        fleet.add_slower_tree(&Recipe::odd(10, 120), seed * 3 + task);
    }
    let mut command = fleet.server_command();
    if server_then == Server::Kept {
        command.arg("--server.keep");
    }
    let server = start(&mut command);
    // Who waits for two seconds alone finds one that serves.
    wait_until_serving(&server);
    let late = start(
        fleet
            .worker_command("late")
            .args(["--debug", "--wait-secs", "2"]),
    );
    late.wait_until("an item", LONG, || !begun(&late).is_empty())
        .unwrap();
    thread::sleep(Duration::from_millis(random.below(300)));
    late.stop();
    let other = start(fleet.worker_command("other").arg("--debug"));
    match server_then {
        Server::Gone => assert_exit(&server, 0),
        Server::Kept => server.wait_for_output("the run is over", LONG).unwrap(),
    }
    assert_exit(&other, 0);
    fleet.assert_migrated();

    let before: Vec<PathBuf> = fleet
        .tasks
        .clone()
        .iter()
        .enumerate()
        .map(|(number, task)| {
            meddle(&task.target, &mut random);
            let before = fleet.path(format!("before{number}"));
            tool::run(Command::new("cp").arg("-a").arg(&task.target).arg(&before)).unwrap();
            before
        })
        .collect();
    assert!(late.is_running());
    late.resume();
    assert_exit(&late, if server_then == Server::Kept { 0 } else { 3 });
    let moved: usize = before
        .iter()
        .zip(&fleet.tasks)
        .map(|(before, task)| {
            assert_no_leftovers(&task.target);
            moved_directories(before, &task.target)
        })
        .sum();
    assert!(
        moved <= (CONCURRENCY * TRANSFERS) as usize,
        "times of {moved} directories"
    );
    end(&server, server_then);
    let items = begun(&late);
    begun(&other)
        .iter()
        .any(|again| again.epoch > 1 && items.iter().any(|item| item.item == again.item))
}

/// How many directories differ, in their times alone: a thread that was frozen between its look at the fence and the
/// creation of an unfinished file makes it when it thaws, and takes it away again. Nothing else may differ.
fn moved_directories(before: &Path, target: &Path) -> usize {
    let differences = compare(before, target, &Options::default());
    for difference in &differences {
        let found = target.join(&difference.path).symlink_metadata();
        let is_directory = found.is_ok_and(|found| found.is_dir());
        assert!(
            is_directory && difference.aspect == Aspect::Time,
            "{difference}"
        );
    }
    differences.len()
}

/// Overwrites, truncates and removes files at the target, as its user may do when the run is over. What a late worker
/// then writes, renames or makes anew would show.
fn meddle(target: &Path, random: &mut Random) {
    let mut files = Vec::new();
    let mut pending = vec![target.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            match kind.is_dir() {
                true => pending.push(entry.path()),
                false if kind.is_file() => files.push(entry.path()),
                false => {}
            }
        }
    }
    assert!(files.len() > 100, "{}", files.len());
    for path in files {
        match random.below(3) {
            0 => fs::write(path, b"the user's own").unwrap(),
            1 => fs::remove_file(path).unwrap(),
            _ => {}
        }
    }
}

fn end(server: &Program, server_then: Server) {
    if server_then == Server::Kept {
        server.terminate();
        assert_exit(server, 0);
    }
}
