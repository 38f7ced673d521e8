//! What could not be read is never called done: an unreadable directory makes a task incomplete, an unreadable file is a
//! failure by name; what vanished or is left out on purpose is counted with its reason.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use testkit::tree::{Recipe, make};

use crate::place::{Done, MAIN, Place};

const CONFIG: &str = "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: tasks.txt, durability: none}\n";

/// With a task from `source` to `to/target`, in which everybody may write to `to`.
fn place(label: &str) -> Place {
    let place = Place::new(label);
    place.directory("source");
    let to = place.directory("to");
    fs::set_permissions(to, Permissions::from_mode(0o777)).unwrap();
    place.file("config.yaml", CONFIG);
    place.file("tasks.txt", "DIR/source DIR/to/target\n");
    place
}

fn forbid(place: &Place, path: &str) {
    fs::set_permissions(place.path(path), Permissions::from_mode(0o000)).unwrap();
}

fn by_run(place: &Place, code: i32) -> Done {
    let mut command = place.command_as_plain_user(MAIN);
    command.args(["run", "--config.file", "config.yaml"]);
    place.run(&mut command).assert_code(code)
}

fn by_copy(place: &Place, code: i32) -> Done {
    let mut command = place.command_as_plain_user(MAIN);
    place
        .run(command.args(["copy", "source", "to/target"]))
        .assert_code(code)
}

fn assert_message(place: &Place, expected: &str) {
    let table = place.results();
    let row = table.rows().last().expect("it has a row");
    assert_eq!(row.get("message"), Some(expected));
    assert_eq!(row.get("success"), Some("false"));
}

fn log(place: &Place) -> String {
    let table = place.results();
    let row = table.rows().last().expect("it has a row");
    fs::read_to_string(row.get("log file").unwrap()).unwrap()
}

#[test]
fn an_unreadable_directory_makes_the_task_incomplete() {
    let place = place("directory");
    place.file("source/a/file", "content");
    place.file("source/closed/below/file", "content");
    forbid(&place, "source/closed");
    by_run(&place, 1);
    assert_message(
        &place,
        "incomplete: 1 directory could not be read: closed: cannot open: Permission denied (os error 13)",
    );
    assert!(place.path("to/target/a/file").exists(), "the others arrive");
    let log = log(&place);
    assert!(log.contains("listed 3, copied 2 (1 files, 7 bytes), unchanged 0, skipped 0, failed 1, unreadable directories 1"), "{log}");

    let done = by_copy(&place, 1);
    assert!(
        done.stderr
            .contains("failed: closed: cannot open: Permission denied (os error 13)\n"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr
            .contains("incomplete: 1 directory could not be read, what is below is unknown\n"),
        "{}",
        done.stderr
    );
    assert_eq!(
        done.stdout,
        "3 entries listed: 0 copied (0 files, 0 B), 2 unchanged, 0 skipped, 1 failed\n"
    );
}

#[test]
fn unreadable_files_are_failures_by_name() {
    let place = place("files");
    for name in ["a", "closed 1", "closed 2", "z"] {
        place.file(&format!("source/{name}"), "content");
    }
    forbid(&place, "source/closed 1");
    let done = by_copy(&place, 1);
    assert_eq!(
        done.stdout,
        "4 entries listed: 3 copied (3 files, 21 B), 0 unchanged, 0 skipped, 1 failed\n"
    );
    by_run(&place, 1);
    assert_message(
        &place,
        "1 file failed: closed 1: cannot open: Permission denied (os error 13)",
    );
    forbid(&place, "source/closed 2");
    fs::remove_file(place.path("to/target/closed 2")).unwrap();
    let mut again = place.command_as_plain_user(MAIN);
    again.args(["run", "--config.file", "config.yaml", "--new-run"]);
    place.run(&mut again).assert_code(1);
    let log = log(&place);
    assert!(
        log.contains("\n2 files failed. First few errors: closed "),
        "{log}"
    );
    for name in ["closed 1", "closed 2"] {
        assert!(
            log.contains(&format!("FAILED (give up) {name}: cannot open: ")),
            "{log}"
        );
    }
}

#[test]
fn a_target_that_can_not_be_written_to_fails_by_name() {
    let place = place("target");
    place.file("source/closed/file", "content");
    let target = place.directory("to/target/closed");
    fs::set_permissions(target, Permissions::from_mode(0o755)).unwrap();
    let done = by_copy(&place, 1);
    assert!(
        done.stderr.contains("failed: closed/file: target: "),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("Permission denied (os error 13)"),
        "{}",
        done.stderr
    );
}

#[test]
fn what_vanishes_is_skipped_and_counted_as_vanished() {
    let place = place("vanished");
    for name in ["a", "gone as it is copied", "z"] {
        place.file(&format!("source/{name}"), "content");
    }
    // To the program it is gone between listing and opening.
    let mut strace = place.any_command("strace");
    let calls = "openat,newfstatat,statx";
    strace
        .args(["-f", "-qq", "-o", "trace", "-P", "gone as it is copied"])
        .args([
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={calls}:error=ENOENT"),
        ])
        .args([MAIN, "copy", "source", "to/target"]);
    let done = place.run(&mut strace).assert_code(0);
    let trace = fs::read_to_string(place.path("trace")).unwrap();
    assert!(
        trace.contains("ENOENT (No such file or directory) (INJECTED)"),
        "the fault fired: {trace}"
    );
    assert_eq!(
        done.stdout,
        "3 entries listed: 2 copied (2 files, 14 B), 0 unchanged, 1 skipped, 0 failed\n"
    );
    assert!(
        done.stderr.contains("skipped, vanished: 1\n"),
        "{}",
        done.stderr
    );
}

#[test]
fn special_files_are_skipped_with_their_reason() {
    let place = place("special");
    let recipe = Recipe {
        specials: 4,
        ..Recipe::plain(3, 20)
    };
    let made = make(&place.path("source"), &recipe, 5).unwrap();
    place.migrate("config.yaml").assert_code(0);
    let log = log(&place);
    let entries = made.entries();
    let expected = format!("listed {entries}, copied {} (20 files, ", entries - 4);
    assert!(log.contains(&expected), "{expected}: {log}");
    assert!(log.contains("unchanged 0, skipped 4, failed 0"), "{log}");
    assert!(log.contains("\nskipped, special file: 4\n"), "{log}");
}

/// A directory into which a further name of a file is put at the end has its attributes set twice.
#[test]
fn what_can_not_be_kept_is_told_once_of_each_entry() {
    let place = place("losses");
    place.file("source/d/file", "content");
    fs::hard_link(place.path("source/d/file"), place.path("source/d/further")).unwrap();
    let done = by_copy(&place, 0);
    let said = |what: &str| done.stderr.matches(what).count();
    for (line, times) in [
        (" d: owner not kept: ", 1),
        (" d/file: owner not kept: ", 1),
        (" .: owner not kept: ", 1),
        ("owner not kept: 3\n", 1),
    ] {
        assert_eq!(said(line), times, "{line}: {}", done.stderr);
    }
    let mut strict = place.command_as_plain_user(MAIN);
    strict.args(["copy", "--metadata", "strict", "source", "to/strict"]);
    let done = place.run(&mut strict).assert_code(1);
    let expected = "4 entries listed: 0 copied (0 files, 0 B), 0 unchanged, 0 skipped, 4 failed";
    assert!(done.stdout.starts_with(expected), "{}", done.stdout);
}
