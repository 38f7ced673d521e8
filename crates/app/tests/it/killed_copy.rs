//! P3 for `data-migrate copy`: however it is killed, each entry that has its final name is whole, and running it again
//! completes the copy and leaves nothing unfinished.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::resume_unwind;
use std::path::{Component, Path};
use std::process::Command;
use std::thread;
use std::time::Instant;

use testkit::Scratch;
use testkit::compare::{Aspect, Difference, Options, assert_same_by, compare};
use testkit::leftovers::is_temp_name;
use testkit::process::Exit;
use testkit::random::Random;
use testkit::tree::{Recipe, make};

use crate::fleet::{LONG, MAIN, assert_exit, assert_no_leftovers, start};

const DURABILITIES: [&str; 3] = ["none", "batch", "file"];

/// Calls by which a target is changed, or what comes of it made durable, and those that open files.
const CALLS: [&str; 21] = [
    "openat",
    "write",
    "pwrite64",
    "copy_file_range",
    "ftruncate",
    "close",
    "mkdirat",
    "mknodat",
    "symlinkat",
    "linkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "fchmod",
    "fchown",
    "fchownat",
    "utimensat",
    "fsetxattr",
    "lsetxattr",
    "fsync",
    "syncfs",
];

/// For each of the three kinds of durability, and for each call.
fn kills() -> (u64, u64) {
    let number = |variable, default| match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}: a number")),
        Err(_) => default,
    };
    (number("KILLS", 7), number("KILLS_AT_CALL", 1))
}

fn source(scratch: &Scratch, recipe: &Recipe) -> u64 {
    let made = make(&scratch.join("source"), recipe, 11).unwrap();
    made.entries()
}

fn copy_command(scratch: &Scratch, target: &Path, durability: &str) -> Vec<String> {
    let paths = [&scratch.join("source"), target].map(|path| path.display().to_string());
    let flags = [
        "--transfers",
        "2",
        "--specials",
        "copy",
        "--durability",
        durability,
    ];
    let words = [MAIN, "copy"].into_iter().map(str::to_owned);
    words.chain(paths).chain(flags.map(str::to_owned)).collect()
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Runs a copy that nobody kills: everything is there then, and nothing else.
fn complete(scratch: &Scratch, target: &Path, durability: &str) {
    assert_exit(
        &start(&mut command(&copy_command(scratch, target, durability))),
        0,
    );
    assert_no_leftovers(target);
    assert_same_by(&scratch.join("source"), target, &Options::everything());
}

#[test]
fn a_killed_copy_leaves_only_whole_files() {
    let scratch = Scratch::in_memory("killed-copy");
    let entries = source(
        &scratch,
        &Recipe {
            files: 1_200,
            ..Recipe::full()
        },
    );
    let (kills, _) = kills();
    let in_mid_copy: u64 = thread::scope(|scope| {
        let scratch = &scratch;
        let kinds = DURABILITIES
            .map(|durability| scope.spawn(move || kill_often(scratch, entries, durability, kills)));
        let joined = kinds.map(|kind| kind.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.into_iter().sum()
    });
    println!("{in_mid_copy} kills with some entries finished and some not");
    assert!(in_mid_copy >= kills / 2, "{in_mid_copy}");
}

/// Kills copies to targets of their own, each twice and then completed. How many kills found some entries finished and
/// some not.
fn kill_often(scratch: &Scratch, entries: u64, durability: &str, wanted: u64) -> u64 {
    let mut random = Random::new(durability.len() as u64);
    let span = ["first", "second"].map(|name| {
        let target = scratch.join(format!("{durability}-{name}"));
        let begun = Instant::now();
        let whole = copy_command(scratch, &target, durability);
        assert_exit(&start(&mut command(&whole)), 0);
        begun.elapsed()
    });
    // The first has waited for what changed just before it.
    let span = span[1];
    let (mut kills, mut in_mid_copy) = (0, 0);
    for round in 0.. {
        let target = scratch.join(format!("{durability}{round}"));
        for _ in 0..2 {
            let killed = start(&mut command(&copy_command(scratch, &target, durability)));
            thread::sleep(span.mul_f64(random.below(1_000) as f64 / 1_000.0));
            killed.kill();
            let exit = killed.wait(LONG).unwrap();
            kills += u64::from(exit == Exit::Signal(9));
            let finished = assert_nothing_torn(scratch, &target, durability);
            in_mid_copy += u64::from(exit == Exit::Signal(9) && (1..entries).contains(&finished));
        }
        complete(scratch, &target, durability);
        fs::remove_dir_all(&target).unwrap();
        if kills >= wanted {
            break;
        }
    }
    in_mid_copy
}

#[test]
fn a_copy_killed_at_any_call_leaves_only_whole_files() {
    let scratch = Scratch::in_memory("killed-call");
    source(&scratch, &Recipe::full());
    let mut random = Random::new(5);
    let counts = DURABILITIES.map(|durability| calls_of_a_thread(&scratch, durability));
    let mut killed = BTreeMap::new();
    for (number, call) in CALLS.into_iter().enumerate() {
        let kind = match call {
            "syncfs" => 1,
            "fsync" => 2,
            _ => number % 3,
        };
        let durability = DURABILITIES[kind];
        let (_, kills) = kills();
        let most = counts[kind].get(call).copied().unwrap_or(0);
        for place in 0..if most > 0 { kills } else { 0 } {
            let target = scratch.join(format!("{call}-{place}"));
            let nth = 1 + random.below(most);
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let exit = traced(&scratch, &target, call, &inject, durability);
            let about = format!("{call} {nth} of {most}, durability {durability}");
            assert_nothing_torn(&scratch, &target, &about);
            *killed.entry(call).or_insert(0) += u64::from(exit == Exit::Signal(9));
            complete(&scratch, &target, durability);
            fs::remove_dir_all(&target).unwrap();
        }
    }
    println!("killed at {killed:?}");
    let calls = killed.values().filter(|kills| **kills > 0).count();
    assert!(calls >= 15, "{killed:?}");
}

/// Runs a copy under strace, which does something at some of its calls, and writes those down.
fn traced(scratch: &Scratch, target: &Path, call: &str, what: &str, durability: &str) -> Exit {
    let log = scratch.join("log").display().to_string();
    let trace = format!("trace={call}");
    // Not with --seccomp-bpf, which miscounts the calls.
    let strace = ["strace", "-f", "-qq", "-o", &log, "-e", &trace, "-e", what];
    let mut words = strace.map(str::to_owned).to_vec();
    words.extend(copy_command(scratch, target, durability));
    start(&mut command(&words)).wait(LONG).unwrap()
}

/// As often as the busiest thread makes each call in a copy, for each thread counts for itself; somewhat less, as no two
/// copies are the same.
fn calls_of_a_thread(scratch: &Scratch, durability: &str) -> BTreeMap<&'static str, u64> {
    let target = scratch.join("counted");
    let exit = traced(
        scratch,
        &target,
        &CALLS.join(","),
        "signal=none",
        durability,
    );
    assert_eq!(exit, Exit::Code(0));
    fs::remove_dir_all(&target).unwrap();
    let log = fs::read(scratch.join("log")).unwrap();
    let mut counts: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for line in String::from_utf8_lossy(&log).lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let call = rest.trim_start().split('(').next();
        if let Some(call) = CALLS.iter().find(|known| Some(**known) == call) {
            *counts.entry((*call, thread.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((call, _), count) in counts {
        let known = most.entry(call).or_insert(0);
        *known = count.max(*known);
    }
    most.values_mut().for_each(|most| *most -= *most / 4);
    most
}

/// Asserts that nothing with a final name differs from the source, but for directories whose attributes come last. How
/// many entries are there.
#[track_caller]
fn assert_nothing_torn(scratch: &Scratch, target: &Path, about: &str) -> u64 {
    let source = scratch.join("source");
    if !target.exists() {
        return 0;
    }
    for difference in compare(&source, target, &Options::everything()) {
        assert!(
            is_yet_to_come(&source, &difference),
            "{about}: {difference}"
        );
    }
    finished(target)
}

fn is_yet_to_come(source: &Path, difference: &Difference) -> bool {
    let is_temp = |component: Component<'_>| is_temp_name(component.as_os_str().as_bytes());
    match difference.aspect {
        // One name of several may be missing.
        Aspect::Missing | Aspect::HardLinks => true,
        Aspect::Extra => difference.path.components().any(is_temp),
        Aspect::Mode | Aspect::Owner | Aspect::Time | Aspect::Acl | Aspect::ExtendedAttributes => {
            let about = source.join(&difference.path).symlink_metadata();
            about.unwrap().is_dir()
        }
        _ => false,
    }
}

/// Entries with final names.
fn finished(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let finished = entries.filter(|entry| !is_temp_name(entry.file_name().as_bytes()));
    let count = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => 1 + self::finished(&entry.path()),
        false => 1,
    };
    finished.map(count).sum()
}
