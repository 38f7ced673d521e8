//! P3 for files that several threads copy in parts: a copy that is killed in any of them leaves nothing under the final
//! name, and running it again completes it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use testkit::Scratch;
use testkit::leftovers;
use testkit::process::Exit;

use crate::fleet::{LONG, MAIN, assert_exit, assert_no_leftovers, start};

const PART: u64 = 64 << 20;

/// On local file systems a file is shared where it is hashed.
const FLAGS: [&str; 4] = ["--verify", "checksum", "--transfers", "2"];

/// With data at the beginning, in the middle, and at the end of each of four parts.
fn make_source(scratch: &Scratch) {
    let file = File::create(scratch.directory("source").join("file")).unwrap();
    for part in 0..4 {
        for at in [0, PART / 2, PART - 64] {
            let content = [part as u8 + 1; 64];
            file.write_all_at(&content, part * PART + at).unwrap();
        }
    }
}

fn copy(scratch: &Scratch, under: &[&str]) -> Exit {
    let mut words: Vec<String> = under.iter().map(|word| (*word).to_owned()).collect();
    words.extend(
        [MAIN, "copy"]
            .iter()
            .chain(&FLAGS)
            .map(|word| (*word).to_owned()),
    );
    words.extend(["source", "target"].map(|side| scratch.join(side).display().to_string()));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    start(&mut command).wait(LONG).unwrap()
}

#[test]
fn a_copy_killed_in_any_part_leaves_no_final_name() {
    let scratch = Scratch::in_memory("killed-big");
    make_source(&scratch);
    let target = scratch.join("target");
    // Each thread counts its own calls: one of the two does at least two of the four parts, with three pieces each.
    let calls = [
        ("pwrite64", 1),
        ("pwrite64", 2),
        ("pwrite64", 5),
        ("ftruncate", 1),
        ("fsync", 1),
    ];
    for (call, nth) in calls {
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        let strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        assert_eq!(copy(&scratch, &strace), Exit::Signal(9), "{call} {nth}");
        assert!(!target.join("file").exists(), "{call} {nth}");
        assert_eq!(leftovers(&target).len(), 1, "{call} {nth}");
    }
    let mut command = Command::new(MAIN);
    let sides = ["source", "target"].map(|side| scratch.join(side));
    assert_exit(&start(command.arg("copy").args(FLAGS).args(sides)), 0);
    assert_no_leftovers(&target);
    let content = fs::read(scratch.join("source/file")).unwrap();
    assert!(content == fs::read(target.join("file")).unwrap());
}
