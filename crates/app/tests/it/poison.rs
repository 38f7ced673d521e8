//! A file that kills whoever reads it: it alone is set aside, by name; what lay beside it arrives, and so do other tasks.
//!
//! The test does the killing: reads of the file hang in a FUSE file system until the worker that asks has got SIGKILL.
//! There is one worker at a time, so it is the one.

use std::fs;
use std::time::Duration;

use testkit::compare::{Options, compare};
use testkit::fuse::{Fault, Op, SlowFs};
use testkit::process::Exit;
use testkit::tree::Recipe;

use crate::fleet::{Fleet, LONG, Settings, assert_exit, assert_no_leftovers, assert_tree};

/// One in company, two alone, one for each level at which it is narrowed down (the directory, a piece of it), and the
/// attempts of the file.
const DEATHS: usize = 10;
const NEIGHBOURS: usize = 30;

#[test]
fn what_kills_its_workers_is_found_and_set_aside_and_its_neighbours_arrive() {
    let mut fleet = Fleet::new("poison", &Settings::default());
    let (source, target) = (fleet.path("source1"), fleet.path("target1"));
    let mut names: Vec<String> = (0..NEIGHBOURS).map(|n| format!("d/n{n:02}")).collect();
    names.extend(["d/poison", "e/f/other", "top"].map(str::to_owned));
    for name in &names {
        let path = source.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    fleet.add_task(&source, &target, None);
    fleet.add_tree(&Recipe::plain(5, 60), 8);
    let mounted = SlowFs::over(&source).direct_io().mount(&source).unwrap();
    let server = fleet.server();
    let mut deaths = 0;
    let last = loop {
        let poison = mounted.arm(Fault::hang(Op::Open).name_prefix("poison"));
        let worker = fleet.worker(&format!("w{deaths}"));
        while server.is_running() && !poison.wait_until_fired(1, Duration::from_millis(100)) {}
        poison.disarm();
        if poison.fired() == 0 {
            break worker;
        }
        worker.kill();
        poison.release();
        assert_eq!(worker.wait(LONG).unwrap(), Exit::Signal(9));
        deaths += 1;
        assert!(deaths <= DEATHS, "it is tried again and again");
    };
    assert_exit(&server, 1);
    assert_exit(&last, 0);
    assert!(deaths > 1, "{deaths}");
    let log = fleet.task_log(1).unwrap();
    let named = format!("d/poison: set aside: it killed {deaths} workers");
    let listed = format!("FAILED (give up) {named}");
    assert_eq!(log.matches(&listed).count(), 1, "{log}");
    assert_eq!(log.matches("FAILED").count(), 1, "{log}");
    let counts = fleet.counts(1);
    // With d, e and e/f.
    let listed = names.len() as u64 + 3;
    assert_eq!((counts.listed, counts.failed), (listed, 1), "{counts:?}");
    assert_eq!(counts.copied + counts.unchanged, listed - 1, "{counts:?}");
    let table = fleet.results();
    let row = table.find("id", "1").unwrap();
    assert_eq!(row.get("success"), Some("false"), "{row:?}");
    assert!(row.get("message").unwrap().contains(&named), "{row:?}");
    mounted.unmount().unwrap();
    assert_no_leftovers(&target);
    let differences = compare(&source, &target, &Options::everything());
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(!target.join("d/poison").exists());
    assert_tree(&fleet.tasks[1]);
}
