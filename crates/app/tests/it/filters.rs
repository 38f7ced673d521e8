//! Filters: what is left out is counted with its reason and stays out, with `copy` and with a server and workers alike.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use testkit::mount::Tmpfs;

use crate::fleet::{Fleet, MAIN, Settings, assert_exit, assert_no_leftovers, start};
use crate::place::Place;

/// 14 entries that are listed, of which 7 are kept; what is in directories that are left out is not even that.
const LISTED: u64 = 14;
const KEPT: [&str; 7] = ["a", "a/keep", "a/keep.tmp", "b", "b/c", "b/c/keep", "link"];
const SKIPPED: [&str; 4] = [
    "skipped, excluded: 4",
    "skipped, size outside the limits: 1",
    "skipped, age outside the limits: 1",
    "skipped, on another file system: 1",
];

const CONFIG: [&str; 4] = [
    "exclude: [.snapshot, lost+found/, \"*.tmp\", \"!keep.tmp\"]",
    "max_size: 4K",
    "max_age: 30d",
    "one_file_system: true",
];

const FLAGS: [&str; 9] = [
    "--exclude-from",
    "patterns",
    "--exclude=*.tmp",
    "--exclude",
    "!keep.tmp",
    "--max-size=4K",
    "--max-age",
    "30d",
    "-x",
];

/// A file system of its own lies at `mnt`.
fn make_source(source: &Path) -> Tmpfs {
    let file = |path: &str, bytes: usize| {
        let path = source.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![b'x'; bytes]).unwrap();
    };
    for path in [
        "a/keep",
        "a/x.tmp",
        "a/keep.tmp",
        "b/c/keep",
        "b/.snapshot/1/x",
        ".snapshot/2/y",
        "lost+found/#1",
    ] {
        file(path, 100);
    }
    file("b/large", 4097);
    file("b/c/old", 100);
    let old = SystemTime::now() - Duration::from_secs(40 * 24 * 60 * 60);
    let opened = fs::File::options().write(true).open(source.join("b/c/old"));
    opened.unwrap().set_modified(old).unwrap();
    symlink("a/keep", source.join("link")).unwrap();
    fs::create_dir(source.join("mnt")).unwrap();
    let mounted = Tmpfs::over(&source.join("mnt"), 1).unwrap();
    file("mnt/elsewhere", 100);
    mounted
}

#[track_caller]
fn assert_names(target: &Path, expected: &[&str]) {
    let mut names = BTreeSet::new();
    let mut waiting = vec![target.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                waiting.push(path.clone());
            }
            names.insert(path.strip_prefix(target).unwrap().to_owned());
        }
    }
    let expected: BTreeSet<PathBuf> = expected.iter().map(PathBuf::from).collect();
    assert_eq!(names, expected);
}

#[track_caller]
fn assert_reasons(text: &str) {
    for line in SKIPPED {
        assert!(text.lines().any(|said| said == line), "{line}: {text}");
    }
}

#[test]
fn a_copy_leaves_out_what_its_flags_say() {
    let place = Place::new("copy-filter");
    let _mounted = make_source(&place.directory("source"));
    place.file(
        "patterns",
        "# of file systems\r\n\n.snapshot\r\nlost+found/\n",
    );
    let copy = || {
        let mut command = place.command(MAIN);
        let command = command.arg("copy").args(FLAGS).args(["source", "target"]);
        let done = place.run(command).assert_code(0);
        assert_reasons(&done.stderr);
        assert_names(&place.path("target"), &KEPT);
        done.stdout
    };
    let said = copy();
    assert!(
        said.contains(&format!("{LISTED} entries listed: 7 copied (3 files, ")),
        "{said}"
    );
    assert!(
        said.contains(", 0 unchanged, 7 skipped, 0 failed"),
        "{said}"
    );
    let again = copy();
    assert!(
        again.contains(", 7 unchanged, 7 skipped, 0 failed"),
        "{again}"
    );
}

#[test]
fn a_check_leaves_out_what_the_copy_did() {
    let place = Place::new("check-filter");
    let _mounted = make_source(&place.directory("source"));
    place.file("patterns", ".snapshot\nlost+found/\n");
    let run = |command: &str, more: &[&str]| {
        let mut program = place.command(MAIN);
        let program = program.arg(command).args(more);
        place.run(program.args(["source", "target"]))
    };
    run("copy", &FLAGS).assert_code(0);
    let checked = run("check", &FLAGS).assert_code(0);
    assert_eq!(checked.stdout, "");
    assert!(
        checked
            .stderr
            .contains("7 entries compared: 0 missing, 0 extra, 0 differ, 7 skipped"),
        "{}",
        checked.stderr
    );
    let unfiltered = run("check", &[]).assert_code(1);
    let mut lines: Vec<&str> = unfiltered.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "+ .snapshot/",
            "+ a/x.tmp",
            "+ b/.snapshot/",
            "+ b/c/old",
            "+ b/large",
            "+ lost+found/",
            "+ mnt/"
        ]
    );

    // What is left out of the source is left alone at the target, and what is not is found.
    place.file("target/b/.snapshot/own", "");
    place.file("target/b/large", "small");
    place.file("target/a/new", "");
    place.file("target/a/keep", "changed");
    let mut lines: Vec<String> = run("check", &FLAGS)
        .assert_code(1)
        .stdout
        .lines()
        .filter(|line| !line.ends_with("(mtime)"))
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["* a/keep (size, mtime)", "- a/new"]);
}

#[test]
fn a_copy_with_a_pattern_or_limit_that_can_not_be_meant_is_refused() {
    let place = Place::new("copy-bad-filter");
    place.file("source/x", "");
    place.file("patterns", "good\n[bad\n");
    for (flags, expected) in [
        (
            &["--exclude", "a//b"][..],
            "error: exclude: the pattern 'a//b' has an empty, '.' or '..' component",
        ),
        (
            &["--include", "!a"],
            "error: include: the pattern '!a' begins with '!'",
        ),
        (
            &["--exclude-from", "patterns"],
            "error: exclude: the pattern '[bad' has a '[' without its ']'",
        ),
        (
            &["--exclude-from", "nowhere"],
            "error: cannot read nowhere: No such file",
        ),
        (
            &["--min-size", "2K", "--max-size", "1K"],
            "error: the smallest size is larger than the largest",
        ),
        (
            &["--max-size", "1X"],
            "error: invalid value '1X' for '--max-size <SIZE>': not a whole number of bytes",
        ),
        (
            &["--min-age", "30"],
            "error: invalid value '30' for '--min-age <AGE>': not whole numbers with their units",
        ),
    ] {
        let mut command = place.command(MAIN);
        let command = command.arg("copy").args(flags).args(["source", "target"]);
        let done = place.run(command).assert_code(2);
        assert!(
            done.stderr.starts_with(expected),
            "{expected}: {}",
            done.stderr
        );
        assert!(!place.path("target").exists());
    }
}

fn filtered_fleet(label: &str, filter: &[&str]) -> Fleet {
    let settings = Settings {
        more_global: filter.iter().map(|line| (*line).to_owned()).collect(),
        ..Settings::default()
    };
    Fleet::new(label, &settings)
}

#[track_caller]
fn assert_counts(fleet: &Fleet, copied: u64, unchanged: u64) {
    let counts = fleet.counts(1);
    let n = [
        counts.listed,
        counts.copied,
        counts.unchanged,
        counts.skipped,
        counts.failed,
    ];
    assert_eq!(n, [LISTED, copied, unchanged, 7, 0]);
    assert_reasons(&fleet.task_log(1).unwrap());
    let target = &fleet.tasks[0].target;
    assert_names(target, &KEPT);
    assert_no_leftovers(target);
}

#[test]
fn workers_leave_out_what_the_config_says() {
    let mut fleet = filtered_fleet("filter", &CONFIG);
    let source = fleet.path("source");
    fs::create_dir(&source).unwrap();
    let _mounted = make_source(&source);
    let target = fleet.path("target");
    fleet.add_task(&source, &target, None);
    let migrate = |more: &[&str]| {
        let server = start(fleet.server_command().args(more));
        // One alone: the run may be over before a second is here, which would wait for the next.
        let worker = fleet.worker("first");
        assert_exit(&server, 0);
        assert_exit(&worker, 0);
    };
    migrate(&[]);
    assert_counts(&fleet, 7, 0);
    migrate(&["--new-run"]);
    assert_counts(&fleet, 0, 7);
    let rows = fleet.results();
    assert!(
        rows.rows().all(|row| row.get("success") == Some("true")),
        "{rows:?}"
    );
}

#[test]
fn what_a_list_names_is_left_out_too() {
    let fleet = filtered_fleet("filter-list", &CONFIG);
    let source = fleet.path("source");
    fs::create_dir(&source).unwrap();
    let _mounted = make_source(&source);
    let listed = "a\nb/large\nb/.snapshot/1\nlost+found\nmnt\nmnt/elsewhere\nb/c/old\n";
    fs::write(fleet.path("list"), listed).unwrap();
    let [target, list] = ["target", "list"].map(|name| fleet.path(name));
    let task = format!(
        "{} {} {}\n",
        source.display(),
        target.display(),
        list.display()
    );
    fs::write(fleet.tasks_file(), task).unwrap();
    assert_exit(&fleet.run_embedded(), 0);
    // `a` with three entries, and five of the others: what is below `mnt` counts with it.
    let log = fleet.task_log(1).unwrap();
    let counts = fleet.counts(1);
    let n = [counts.listed, counts.copied, counts.skipped];
    assert_eq!(n, [9, 3, 6], "{log}");
    for line in [
        "skipped, excluded: 3",
        "skipped, size outside the limits: 1",
        "skipped, age outside the limits: 1",
        "skipped, on another file system: 1",
    ] {
        assert!(log.lines().any(|said| said == line), "{line}: {log}");
    }
    assert_names(&target, &["a", "a/keep", "a/keep.tmp", "b", "b/c"]);
}
