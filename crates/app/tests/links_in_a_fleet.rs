//! P5: files of several names come last, when the times of their directories have been set: these must be right all the same.

mod fleet;

use std::fs;
use std::time::{Duration, SystemTime};

use fleet::{Fleet, Settings, assert_exit};
use testkit::compare::{Options, assert_same_by};
use testkit::tree::Recipe;

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
    let task = &fleet.tasks[0];
    let all = Options {
        hard_links: true,
        directory_times: true,
        ..Options::default()
    };
    assert_same_by(&task.source, &task.target, &all);
}
