//! `data-migrate copy` without changing anything, and what it shows while it works, on a terminal and elsewhere;
//! `data-migrate fstype`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use testkit::tree::{Recipe, make};
use testkit::{assert_same, tool};

use crate::place::{MAIN, Place};

#[test]
fn a_dry_copy_creates_nothing_and_counts_what_it_would_do() {
    let place = Place::new("dry");
    let made = make(&place.path("source"), &Recipe::odd(10, 60), 6).unwrap();
    let dry = || {
        let mut command = place.command(MAIN);
        place
            .run(command.args(["copy", "--dry-run", "source", "target"]))
            .assert_code(0)
    };
    let before = place.listing();
    let done = dry();
    assert_eq!(place.listing(), before);
    let entries = made.entries();
    let expected = format!(
        "{entries} entries listed: {entries} would be copied ({} files, ",
        made.files
    );
    assert!(done.stdout.starts_with(&expected), "{}", done.stdout);

    let mut command = place.command(MAIN);
    place
        .run(command.args(["copy", "source/", "target/"]))
        .assert_code(0);
    assert_same(&place.path("source"), &place.path("target"));
    fs::remove_file(place.path("target/#comment")).unwrap();
    let above = || fs::metadata(place.path("target")).unwrap().ctime_nsec();
    let (before, since) = (place.listing(), above());
    let done = dry();
    assert_eq!((place.listing(), above()), (before, since));
    assert!(
        done.stdout.contains(": 1 would be copied (1 file, ")
            || done.stdout.contains(": 2 would be copied (1 file, "),
        "{}",
        done.stdout
    );
}

#[test]
fn a_dry_copy_counts_the_bytes_of_a_file_with_several_names_once() {
    let place = Place::new("dry-links");
    place.directory("source/a");
    place.bytes("source/a/file", &[7; 3 << 20]);
    for further in ["source/a/further", "source/last"] {
        fs::hard_link(place.path("source/a/file"), place.path(further)).unwrap();
    }
    let says = |arguments: &[&str]| {
        let mut command = place.command(MAIN);
        let done = place.run(
            command
                .arg("copy")
                .args(arguments)
                .args(["source", "target"]),
        );
        done.assert_code(0).stdout.replace("would be ", "")
    };
    let dry = says(&["--dry-run"]);
    assert!(dry.contains(" 4 copied (3 files, 3.0 MiB), "), "{dry}");
    assert_eq!(says(&[]), dry);
    place.bytes("source/last", &[8; 3 << 20]);
    let dry = says(&["--dry-run"]);
    assert!(dry.contains(" 3 copied (3 files, 3.0 MiB), "), "{dry}");
    assert_eq!(says(&[]), dry);
}

/// A copy that takes a second at least, on a terminal or not.
fn slow_copy(label: &str, in_terminal: bool) -> String {
    let place = Place::new(label);
    make(&place.path("source"), &Recipe::plain(10, 300), 6).unwrap();
    let slow = format!(
        "strace -f -qq -o /dev/null -e trace=openat -e inject=openat:delay_enter=3000 {MAIN} copy --transfers 1 source target"
    );
    let mut command = match in_terminal {
        true => place.any_command("script"),
        false => place.any_command("sh"),
    };
    match in_terminal {
        true => command
            .env("TERM", "xterm")
            .args(["-qec", &slow, "/dev/null"]),
        false => command.args(["-c", &slow]),
    };
    let output = tool::run(&mut command).unwrap();
    assert_same(&place.path("source"), &place.path("target"));
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_line_is_redrawn_on_a_terminal() {
    let text = slow_copy("terminal", true);
    let drawn: Vec<&str> = text.split("\r\u{1b}[K").skip(1).collect();
    assert!(drawn.len() > 3, "{text:?}");
    assert!(
        drawn
            .iter()
            .any(|line| line.contains(" entries, ") && line.contains(" files/s, ")),
        "{text:?}"
    );
    assert!(
        drawn
            .iter()
            .any(|line| line.contains(" %, ") && line.contains(" left")),
        "{text:?}"
    );
    let last = drawn.last().expect("there are some");
    assert!(
        last.starts_with("310 entries listed: 310 copied (300 files, "),
        "nothing of it stays: {text:?}"
    );
}

#[test]
fn no_line_is_redrawn_elsewhere() {
    let text = slow_copy("plain", false);
    assert!(!text.contains('\r') && !text.contains('\u{1b}'), "{text:?}");
    assert!(
        text.ends_with(" 0 unchanged, 0 skipped, 0 failed\n"),
        "{text:?}"
    );
}

#[test]
fn fstype_shows_what_the_guard_sees() {
    let place = Place::new("fstype");
    let mut command = place.command(MAIN);
    let done = place
        .run(command.args(["fstype", "/proc", "/proc/nowhere/below"]))
        .assert_code(0);
    for expected in [
        "path:         /proc\n",
        "does not exist; what follows is for /proc\n",
        "type:         proc\n",
        "magic:        0x9fa0\n",
        "mount point:  /proc\n",
    ] {
        assert!(
            done.stdout.contains(expected),
            "{expected}: {}",
            done.stdout
        );
    }
}
