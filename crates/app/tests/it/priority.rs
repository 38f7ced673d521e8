//! A task with a higher priority is worked on first, wherever its line stands. One worker runs one item at a time, so that
//! its log is the order in which the server granted.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use testkit::Program;
use testkit::tree::Recipe;

use crate::fleet::{Fleet, Settings, assert_exit, assert_tree, begun, start};

/// Items of a task at its beginning, at least.
const PIECES: usize = 3;

/// Tasks whose lists make several items from the start.
fn with_trees(label: &str, trees: u64) -> Fleet {
    let mut fleet = Fleet::new(
        label,
        &Settings {
            concurrency: 1,
            transfers: 1,
            more_global: vec!["max_files_per_output: 10".to_owned()],
            ..Settings::default()
        },
    );
    for seed in 1..=trees {
        let source = fleet.add_tree(&Recipe::odd(10, 200), seed).source.clone();
        let entries = fs::read_dir(source).expect("it was just made");
        let names: Vec<Vec<u8>> = entries
            .map(|entry| entry.expect("it can be listed").file_name().into_vec())
            .collect();
        assert!(names.len() >= PIECES, "{names:?}");
        fs::write(list(&fleet, seed as usize), names.join(&0)).expect("a list can be written");
    }
    fleet
}

/// A list with a name like that of a column.
fn list(fleet: &Fleet, task: usize) -> PathBuf {
    fleet.path(format!("priority={task}"))
}

/// Writes the tasks file anew, with what is appended to each line.
fn prioritise(fleet: &Fleet, columns: &[&str]) {
    let lines: String = (1..)
        .zip(fleet.tasks.iter().zip(columns))
        .map(|(number, (task, column))| {
            let list = list(fleet, number);
            let paths = [&task.source, &task.target, &list].map(|path| path.display());
            let [source, target, list] = paths;
            format!("{source} {target} {list} {column}\n")
        })
        .collect();
    fs::write(fleet.tasks_file(), lines).expect("the tasks file can be written");
}

fn worker(fleet: &Fleet) -> Program {
    start(fleet.worker_command("alone").arg("--debug"))
}

/// The tasks in the order in which the worker came to them: a task that it came to twice is there twice.
fn order(worker: &Program) -> Vec<usize> {
    let mut tasks: Vec<usize> = begun(worker).iter().map(|begun| begun.task).collect();
    tasks.dedup();
    tasks
}

#[test]
fn the_last_line_with_the_highest_priority_is_done_before_others_are_begun() {
    let fleet = with_trees("priority", 4);
    prioritise(&fleet, &["priority=-1", "", "priority=3", "priority=7"]);
    let server = fleet.server();
    let status = fleet.status().expect("the server answers");
    for shown in [
        "(copy), priority -1,",
        "(copy), priority 3,",
        "(copy), priority 7,",
    ] {
        assert_eq!(status.matches(shown).count(), 1, "{status}");
    }
    assert_eq!(status.matches(", priority ").count(), 3, "{status}");
    let worker = worker(&fleet);
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    assert_eq!(order(&worker), [4, 3, 2, 1]);
    assert!(begun(&worker).len() >= 4 * PIECES, "each was one item");
    fleet.tasks.iter().for_each(assert_tree);
}

#[test]
fn a_run_goes_on_with_the_priorities_that_its_tasks_file_has_now() {
    let fleet = with_trees("priority-changed", 3);
    prioritise(&fleet, &["priority=9", "", ""]);
    let server = fleet.server();
    server.terminate();
    assert_exit(&server, 143);
    prioritise(&fleet, &["", "", "priority=9"]);
    let server = fleet.server();
    let log = server.stderr();
    assert!(log.contains(" goes on: "), "{log}");
    let worker = worker(&fleet);
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    let order = order(&worker);
    assert_eq!(order[0], 3);
    assert_eq!(order.iter().filter(|task| **task == 3).count(), 1);
    fleet.tasks.iter().for_each(assert_tree);
}
