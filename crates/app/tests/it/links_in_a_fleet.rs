//! P5: files of several names stay one file, also where workers that share a tree find different names of it. They come
//! last, when the times of their directories have been set: these must be right all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use testkit::compare::{Options, assert_same_by};
use testkit::tree::Recipe;
use testkit::{Program, Stamps};

use crate::fleet::{Fleet, LONG, MAIN, Settings, assert_exit, begun, start};

#[test]
fn directories_of_files_with_several_names_keep_their_times() {
    let mut fleet = Fleet::new("links", &Settings::default());
    let source = fleet.add_tree(&Recipe::odd(20, 200), 6).source.clone();
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    for n in 0..10 {
        let directory = source.join(format!("several/{n}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("first"), b"one file").unwrap();
        for name in ["second", "third"] {
            fs::hard_link(directory.join("first"), directory.join(name)).unwrap();
        }
        let other = source.join(format!("several/{}/from {n}", (n + 5) % 10));
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::hard_link(directory.join("first"), other).unwrap();
    }
    for entry in fs::read_dir(source.join("several")).unwrap() {
        let directory = fs::File::open(entry.unwrap().path()).unwrap();
        directory.set_modified(old).unwrap();
    }
    let run = fleet.run_embedded();
    assert_exit(&run, 0);
    assert_same_with_links(&fleet);
}

#[test]
fn names_that_different_workers_find_are_names_of_one_file() {
    let fleet = shared_tree("links-shared", 30);
    let names = link_across(&fleet.tasks[0].lower);
    let server = fleet.server();
    let [first, second] = two_workers(&fleet);
    assert_exit(&server, 0);
    assert_exit(&first, 0);
    assert_exit(&second, 0);

    assert_same_with_links(&fleet);
    let took_part = |worker: &Program| begun(worker).len() > 1;
    assert!(took_part(&first) && took_part(&second));
    let left = [&first, &second].map(names_in_links_phase);
    // Both names of many may have been met by one item.
    assert!(left.iter().sum::<u64>() > names / 10, "{left:?} of {names}");
    let row = fleet.results();
    let row = row.rows().next().unwrap();
    assert_eq!(row.number("retries"), 0);

    // Again, by one who finds all of them: nothing is left to do.
    let task = &fleet.tasks[0];
    let before = Stamps::take(&task.target).unwrap();
    let mut again = fleet.command(MAIN, "again");
    again.arg("copy").arg(&task.source).arg(&task.target);
    assert_exit(&start(&mut again), 0);
    before.assert_untouched(&task.target);
}

#[test]
fn a_worker_that_dies_among_names_of_one_file_loses_none() {
    let fleet = shared_tree("links-killed", 2);
    link_across(&fleet.tasks[0].lower);
    let server = fleet.server();
    let workers = two_workers(&fleet);
    let in_links_phase = || {
        workers
            .iter()
            .position(|worker| names_in_links_phase(worker) > 0)
    };
    workers[0]
        .wait_until("the links phase", LONG, || in_links_phase().is_some())
        .unwrap();
    let dies = in_links_phase().expect("one is there");
    workers[dies].kill();
    assert_exit(&server, 0);
    assert_exit(&workers[1 - dies], 0);
    assert_same_with_links(&fleet);
}

/// One tree that takes so long that two workers share it.
fn shared_tree(label: &str, lease_secs: u32) -> Fleet {
    let mut fleet = Fleet::new(
        label,
        &Settings {
            concurrency: 1,
            transfers: 1,
            lease_secs,
            ..Settings::default()
        },
    );
    fleet.add_slower_tree(&Recipe::odd(150, 1_000), 4);
    fleet
}

fn two_workers(fleet: &Fleet) -> [Program; 2] {
    ["first", "second"].map(|name| start(fleet.worker_command(name).arg("--debug")))
}

/// Gives one file of each directory a second name in another one, half the tree away; how many names these files have.
fn link_across(source: &Path) -> u64 {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut waiting = vec![source.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(&directory).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let is_file = |path: &&PathBuf| path.symlink_metadata().unwrap().is_file();
        files.extend(paths.iter().find(is_file).cloned());
        let is_directory = |path: &PathBuf| path.symlink_metadata().unwrap().is_dir();
        waiting.extend(paths.into_iter().filter(is_directory));
    }
    let half = files.len() / 2;
    assert!(half > 50, "{half}");
    for (number, (first, other)) in files.iter().zip(&files[half..]).enumerate() {
        let directory = other.parent().unwrap();
        fs::hard_link(first, directory.join(format!("another name {number}"))).unwrap();
    }
    2 * half as u64
}

/// Of the items of the links phase that it has begun.
fn names_in_links_phase(worker: &Program) -> u64 {
    let output = worker.stderr();
    output
        .lines()
        .filter_map(|line| line.split_once("Links { names: ")?.1.split_once(' '))
        .map(|(names, _)| names.parse::<u64>().unwrap())
        .sum()
}

fn assert_same_with_links(fleet: &Fleet) {
    let task = &fleet.tasks[0];
    let all = Options {
        hard_links: true,
        directory_times: true,
        ..Options::default()
    };
    assert_same_by(&task.lower, &task.target, &all);
}
