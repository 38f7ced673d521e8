//! P3 for `data-migrate copy`: however it is killed, each file that has its final name is whole, and running it again
//! completes the copy.

mod fleet;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use fleet::{LONG, MAIN, assert_exit, assert_no_leftovers, start};
use testkit::leftovers::is_temp_name;
use testkit::process::Exit;
use testkit::random::Random;
use testkit::tree::{Made, Recipe, make};
use testkit::{Scratch, assert_same};

/// For each of the three kinds of durability.
const KILLS: u32 = 7;

#[test]
fn a_killed_copy_leaves_only_whole_files() {
    let scratch = Scratch::in_memory("killed-copy");
    let source = scratch.join("source");
    let recipe = Recipe {
        big_files: 2,
        big_file_bytes: 3 << 20,
        ..Recipe::odd(80, 1_500)
    };
    let made = make(&source, &recipe, 11).unwrap();
    let in_mid_copy: u32 = thread::scope(|scope| {
        let (scratch, source, made) = (&scratch, &source, &made);
        let kinds: Vec<_> = ["none", "batch", "file"]
            .into_iter()
            .map(|durability| scope.spawn(move || kill_often(scratch, source, made, durability)))
            .collect();
        kinds
            .into_iter()
            .map(|kind| kind.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .sum()
    });
    println!("{in_mid_copy} kills with some files finished and some not");
    assert!(in_mid_copy >= KILLS, "{in_mid_copy}");
}

/// Kills copies to targets of their own, each twice and then completed. How many kills found some files finished and
/// some not.
fn kill_often(scratch: &Scratch, source: &Path, made: &Made, durability: &str) -> u32 {
    let mut random = Random::new(durability.len() as u64);
    let command = |target: &Path| {
        let mut command = Command::new(MAIN);
        command.arg("copy").args([source, target]);
        command.args(["--transfers", "2", "--durability", durability]);
        command
    };
    let begun = Instant::now();
    let target = scratch.join(durability);
    assert_exit(&start(&mut command(&target)), 0);
    let span = begun.elapsed();
    let (mut kills, mut in_mid_copy) = (0, 0);
    for round in 0.. {
        let target = scratch.join(format!("{durability}{round}"));
        for _ in 0..2 {
            let killed = start(&mut command(&target));
            thread::sleep(span.mul_f64(random.below(1_000) as f64 / 1_000.0));
            killed.kill();
            let exit = killed.wait(LONG).unwrap();
            kills += u32::from(exit == Exit::Signal(9));
            let whole = assert_whole_files(source, &target);
            in_mid_copy += u32::from(exit == Exit::Signal(9) && (1..made.files).contains(&whole));
        }
        assert_exit(&start(&mut command(&target)), 0);
        assert_no_leftovers(&target);
        assert_same(source, &target);
        fs::remove_dir_all(&target).unwrap();
        if kills >= KILLS {
            break;
        }
    }
    in_mid_copy
}

/// Looks at each file with a final name in directories with final names; how many there are.
fn assert_whole_files(source: &Path, target: &Path) -> u64 {
    let mut found = 0;
    let Ok(entries) = fs::read_dir(target) else {
        assert!(!target.exists());
        return 0;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if is_temp_name(name.as_bytes()) {
            continue;
        }
        let (from, to) = (source.join(&name), entry.path());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found += assert_whole_files(&from, &to);
        } else if kind.is_file() {
            assert_eq!(
                fs::read(&from).unwrap(),
                fs::read(&to).unwrap(),
                "{}",
                to.display()
            );
            found += 1;
        } else {
            assert_eq!(fs::read_link(&from).unwrap(), fs::read_link(&to).unwrap());
        }
    }
    found
}
