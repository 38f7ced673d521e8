//! `data-migrate check`: each difference is named, and what can't be looked at is never taken for the same; nothing is
//! written, nothing outside is reached; exit codes and JSON are for scripts.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::time::{Duration, SystemTime};

use testkit::{Stamps, tool};

use crate::place::{Done, MAIN, Place, give_to_plain_user};

/// Runs it on `source` and `target`.
fn check(place: &Place, flags: &[&str]) -> Done {
    let mut command = place.command(MAIN);
    place.run(command.args(["check", "source", "target"]).args(flags))
}

/// The lines that it writes, in their order; and that its exit code says the same.
#[track_caller]
fn found(place: &Place, flags: &[&str]) -> Vec<String> {
    let done = check(place, flags);
    let mut lines: Vec<String> = done.stdout.lines().map(str::to_owned).collect();
    done.assert_code(i32::from(!lines.is_empty()));
    lines.sort();
    lines
}

/// Files in `source`, and a copy of them in `target`.
fn copied(label: &str, files: &[&str]) -> Place {
    let place = Place::new(label);
    place.directory("source");
    for file in files {
        place.file(&format!("source/{file}"), "content");
    }
    let mut command = place.command(MAIN);
    place
        .run(command.args(["copy", "source", "target"]))
        .assert_code(0);
    place
}

/// Does something in the target's root and gives that its time back.
fn in_target(place: &Place, change: impl FnOnce()) {
    let root = File::open(place.path("target")).unwrap();
    let time = root.metadata().unwrap().modified().unwrap();
    change();
    root.set_modified(time).unwrap();
}

#[test]
fn what_differs_in_an_entry_is_named() {
    let files = ["size", "time", "mode", "owner", "many", "same"];
    let place = copied("check-names", &files);
    assert!(found(&place, &[]).is_empty());
    let target = |name: &str| place.path("target").join(name);
    let time = fs::metadata(target("size")).unwrap().modified().unwrap();
    let set_time = |name: &str, time: SystemTime| {
        let file = File::options().write(true).open(target(name)).unwrap();
        file.set_modified(time).unwrap();
    };
    fs::write(target("size"), "more content").unwrap();
    set_time("size", time);
    let later = SystemTime::now() + Duration::from_secs(1_000);
    set_time("time", later);
    fs::set_permissions(target("mode"), Permissions::from_mode(0o4711)).unwrap();
    lchown(target("owner"), Some(5), Some(6)).unwrap();
    fs::write(target("many"), "").unwrap();
    fs::set_permissions(target("many"), Permissions::from_mode(0o600)).unwrap();
    set_time("many", later);
    assert_eq!(
        found(&place, &[]),
        [
            "* many (size, mtime, mode)",
            "* mode (mode)",
            "* owner (owner)",
            "* size (size)",
            "* time (mtime)",
        ]
    );
    let only = |list: &str| found(&place, &["--preserve", list]);
    assert_eq!(only("none"), ["* many (size)", "* size (size)"]);
    assert_eq!(only("owner").len(), 3);
    assert_eq!(found(&place, &["--no-times", "--size-only"]).len(), 4);
    // Older than the source, it may never have been copied.
    let earlier = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    set_time("same", earlier);
    assert!(only("none").contains(&"* same (mtime)".to_owned()));
    let read = found(&place, &["--preserve", "none", "--checksum"]);
    assert_eq!(read, ["* many (size)", "* size (size)"]);
}

#[test]
fn other_bytes_of_the_same_size_and_time_are_found_by_reading_alone() {
    let place = copied("check-content", &["a", "d/b", "same"]);
    for name in ["target/a", "target/d/b"] {
        let file = File::options().write(true).open(place.path(name)).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"C", 3).unwrap();
        file.set_modified(time).unwrap();
    }
    assert!(found(&place, &[]).is_empty());
    let read = found(&place, &["--checksum"]);
    assert_eq!(read, ["* a (content)", "* d/b (content)"]);
}

#[test]
fn what_one_side_alone_has_is_one_line_and_all_below_it_counts() {
    let place = copied("check-sides", &["gone", "down/x/y", "down/x/z", "kind/x"]);
    in_target(&place, || {
        fs::remove_file(place.path("target/gone")).unwrap();
        fs::remove_dir_all(place.path("target/down")).unwrap();
        fs::remove_dir_all(place.path("target/kind")).unwrap();
        place.file("target/kind", "a file");
        place.file("target/new/a/b", "");
        let temp = ".dm.0123456789abcdef.0123456789abcdef.1.1";
        place.file(&format!("target/{temp}"), "");
        place.file("target/.dm.mine", "");
    });
    let expected = [
        "* kind (kind)",
        "+ down/",
        "+ gone",
        "- .dm.0123456789abcdef.0123456789abcdef.1.1 (unfinished)",
        "- .dm.mine",
        "- new/",
    ];
    assert_eq!(found(&place, &[]), expected);
    let summary = |flags: &[&str]| check(&place, flags).stderr;
    assert_eq!(
        summary(&[]),
        "1 entry compared: 6 missing, 5 extra, 1 differ, 0 errors, 0 B read\n"
    );
    assert_eq!(found(&place, &["--ignore-extra"]), expected[..3]);
    assert_eq!(
        summary(&["--ignore-extra"]),
        "1 entry compared: 6 missing, 0 extra, 1 differ, 0 errors, 0 B read\n"
    );
}

#[test]
fn links_are_compared_and_never_followed() {
    let place = copied("check-links", &["file", "directory/x"]);
    in_target(&place, || {
        place.file("outside/x", "content");
        symlink("there", place.path("source/link")).unwrap();
        symlink("elsewhere", place.path("target/link")).unwrap();
        for name in ["file", "directory"] {
            let target = place.path("target").join(name);
            fs::rename(&target, place.path("outside").join(name)).unwrap();
            symlink(place.path("outside").join(name), target).unwrap();
        }
    });
    let outside = Stamps::take(&place.path("outside")).unwrap();
    let lines = found(&place, &["--no-times", "--checksum"]);
    let expected = [
        "* directory (kind)",
        "* file (kind)",
        "* link (link target)",
    ];
    assert_eq!(lines, expected);
    outside.assert_untouched(&place.path("outside"));
}

#[test]
fn special_files_that_were_left_out_are_skipped_and_the_others_compared() {
    let place = copied("check-special", &["file"]);
    let fifo = |path: &str, mode: &str| {
        let mut command = place.any_command("mkfifo");
        tool::run(command.args(["-m", mode, path])).unwrap();
    };
    fifo("source/left-out", "600");
    fifo("source/both", "600");
    fifo("target/both", "644");
    let flags = ["--no-times"];
    assert_eq!(found(&place, &flags), ["* both (mode)"]);
    let summary = check(&place, &flags).stderr;
    assert!(summary.contains(" 1 skipped"), "{summary}");
    let copied = found(&place, &["--no-times", "--specials", "copy"]);
    assert_eq!(copied, ["* both (mode)", "+ left-out"]);
}

#[test]
fn what_can_not_be_read_is_an_error_and_hides_nothing_else() {
    let place = copied("check-unreadable", &["a/x", "b/x", "c/x", "d"]);
    for root in ["source", "target"] {
        give_to_plain_user(&place.path(root));
    }
    fs::remove_file(place.path("target/d")).unwrap();
    for (path, mode) in [("source/a", 0o000), ("target/b", 0o300)] {
        fs::set_permissions(place.path(path), Permissions::from_mode(mode)).unwrap();
    }
    let mut command = place.command_as_plain_user(MAIN);
    command.args(["check", "source", "target", "--no-times"]);
    let done = place.run(&mut command).assert_code(1);
    let mut lines: Vec<&str> = done.stdout.lines().collect();
    lines.sort_unstable();
    let refused = "cannot open: Permission denied (os error 13)";
    let expected = [
        format!("! a: source: {refused}"),
        format!("! b: target: {refused}"),
        "+ d".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert!(done.stderr.contains(" 2 errors"), "{}", done.stderr);
}

#[test]
fn every_line_of_json_can_be_read_back_to_the_bytes_of_its_path() {
    let place = copied("check-json", &["same"]);
    let odd: [&[u8]; 5] = [
        b"a\nb",
        b"\xff\xfe",
        b"quote\"\\x41",
        "größe".as_bytes(),
        b".",
    ];
    in_target(&place, || {
        for name in &odd[..4] {
            fs::write(place.path("target").join(OsStr::from_bytes(name)), "").unwrap();
        }
    });
    let root = place.path("target");
    fs::set_permissions(&root, Permissions::from_mode(0o711)).unwrap();
    let done = check(&place, &["--json"]).assert_code(1);
    assert_eq!(done.stderr, "");
    let mut objects: Vec<serde_json::Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = objects.pop().unwrap();
    let expected = serde_json::json!({"summary": {
        "compared": 1, "missing": 0, "extra": 4, "differ": 1, "skipped": 0, "errors": 0, "read_bytes": 0,
    }});
    assert_eq!(summary, expected);
    let paths: BTreeSet<Vec<u8>> = objects.iter().map(path_of).collect();
    assert_eq!(paths, odd.map(<[u8]>::to_vec).into());
}

fn path_of(object: &serde_json::Value) -> Vec<u8> {
    let Some(bytes) = object.get("path_bytes") else {
        return object["path"].as_str().unwrap().as_bytes().to_vec();
    };
    let digits = bytes.as_str().unwrap().as_bytes();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

#[test]
fn mistakes_in_flags_and_paths_are_told_as_such() {
    let place = copied("check-flags", &["file"]);
    for (arguments, expected) in [
        (
            &["source", "nowhere"][..],
            "error: path does not exist: stat nowhere: no such file or directory\n",
        ),
        (
            &["nowhere", "target"],
            "error: path does not exist: stat nowhere: no such file or directory\n",
        ),
        (
            &["source/file", "target"],
            "error: source dir source/file is not directory\n",
        ),
        (
            &["source", "target", "--preserve", "colour"],
            "error: invalid value 'colour' for '--preserve <LIST>': 'colour' is not one of",
        ),
        (
            &["source", "target", "--checksum", "--size-only"],
            "error: the argument '--checksum' cannot be used with '--size-only'",
        ),
    ] {
        let mut command = place.command(MAIN);
        let done = place.run(command.arg("check").args(arguments));
        let done = done.assert_code(2);
        assert!(done.stderr.starts_with(expected), "{}", done.stderr);
        assert_eq!(done.stdout, "");
    }
    assert!(!place.path("nowhere").exists());
}
