//! The rclone engine moves what the native one moves, with the config of the older tool's users: whole trees with all
//! attributes, in pieces, under each of its options. Judged by our comparer and by `rclone check`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use testkit::compare::{Options, assert_same_by};
use testkit::rclone::{both, current, debian};
use testkit::tree::{Made, Recipe, make};
use testkit::{assert_same, leftovers};

use crate::place::{self, OLDER, Place};
use crate::rclone::{calls, in_front_of, migrate, unpacked};

/// A tree in `source`, and a tasks file that copies it to `target`.
fn place(label: &str, recipe: &Recipe) -> (Place, Made) {
    let place = Place::new(label);
    let made = make(&place.path("source"), recipe, 7).unwrap();
    place.file("deploy/data_sources.txt", "DIR/source/ DIR/target/\n");
    (place, made)
}

/// Files with content, for rclone is not called for others.
fn filled(files: u64) -> Recipe {
    Recipe {
        file_bytes: 1..=2000,
        ..Recipe::plain(6, files)
    }
}

#[track_caller]
fn assert_rclone_agrees(place: &Place) {
    let mut check = Command::new("timeout");
    check
        .arg("60")
        .arg(current())
        .args(["check", "--download", "--links", "--config", "/dev/null"])
        // Names that differ in their Unicode form alone are two files.
        .arg("--no-unicode-normalization")
        .args([place.path("source"), place.path("target")]);
    testkit::tool::run(&mut check).unwrap();
}

#[test]
fn a_tree_arrives_with_all_its_attributes_and_a_second_run_copies_nothing() {
    for (version, program) in both() {
        let recipe = Recipe {
            hard_links: 6,
            ..Recipe::odd(30, 300)
        };
        let (place, made) = place(version, &recipe);
        place.file("config.yaml", OLDER);
        migrate(&place, &program).assert_code(0);
        assert_same(&place.path("source"), &place.path("target"));
        assert!(leftovers(&place.path("target")).is_empty());
        assert_rclone_agrees(&place);
        let table = place.results();
        let row = table.find("id", "1").unwrap();
        assert_eq!(row.get("engine"), Some("rclone"), "{version}");
        assert_eq!(row.number("files"), made.files, "{version}");
        assert_eq!(row.number("bytes"), made.bytes, "{version}");
        assert_eq!(row.number("failures"), 0);
        // Again: nothing is to be done, and rclone is not even asked.
        let counting = in_front_of(&place, &program, "real \"$@\"");
        migrate(&place, &counting).assert_code(0);
        let table = place.results();
        let row = table.rows().last().unwrap();
        assert_eq!(row.number("files"), 0, "{version}: {row:?}");
        assert_eq!(calls(&place), 0);
        assert_same(&place.path("source"), &place.path("target"));
    }
}

#[test]
fn both_engines_make_the_same_tree() {
    let (place, _) = place("engines", &Recipe::odd(10, 100));
    place.file("config.yaml", OLDER);
    migrate(&place, &current()).assert_code(0);
    fs::rename(place.path("target"), place.path("by rclone")).unwrap();
    place.file("config.yaml", &format!("{OLDER}  engine: native\n"));
    migrate(&place, Path::new("/no/such/rclone")).assert_code(0);
    assert_same(&place.path("target"), &place.path("by rclone"));
    let table = place.results();
    let engines: Vec<_> = table.rows().map(|row| row.get("engine")).collect();
    assert_eq!(engines, [Some("rclone"), Some("native")], "{table:?}");
}

/// Gives a file content and an age.
fn write(place: &Place, path: &str, content: &str, age_secs: u64) {
    let path = place.file(path, content);
    let time = SystemTime::now() - Duration::from_secs(age_secs);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn size_only_and_update_decide_what_is_copied() {
    for program in [current(), debian()] {
        // As in the test of the native engine: what is at the target in the end.
        for (label, flags, expected) in [
            ("neither", "", ["new!", "longer", "longer"]),
            ("size", "size_only: true", ["old!", "longer", "longer"]),
            ("update", "update: true", ["new!", "newer there", "longer"]),
            // rclone alone would compare by size then, and leave what changed as it was.
            (
                "no-times",
                "local_no_set_modtime: true",
                ["new!", "longer", "longer"],
            ),
        ] {
            let (place, _) = place(label, &Recipe::default());
            write(&place, "source/same size", "new!", 100);
            write(&place, "target/same size", "old!", 200);
            write(&place, "source/newer", "longer", 200);
            write(&place, "target/newer", "newer there", 100);
            write(&place, "source/older", "longer", 100);
            write(&place, "target/older", "old", 200);
            place.file("config.yaml", &format!("{OLDER}    {flags}\n"));
            migrate(&place, &program).assert_code(0);
            let found = ["same size", "newer", "older"]
                .map(|name| fs::read_to_string(place.path(format!("target/{name}"))).unwrap());
            assert_eq!(found, expected, "{label} with {}", program.display());
        }
    }
}

#[test]
fn dryrun_changes_nothing_and_counts() {
    for (version, program) in both() {
        let (place, made) = place(version, &filled(40));
        place.file("config.yaml", &format!("{OLDER}    dryrun: true\n"));
        migrate(&place, &program).assert_code(0);
        assert!(!place.path("target").exists());
        let table = place.results();
        let row = table.find("id", "1").unwrap();
        assert_eq!(
            row.get("message"),
            Some("Migrated task 1 successfully (dry run: nothing was changed)")
        );
        assert_eq!(row.number("files"), made.files, "{version}");
    }
}

#[test]
fn local_no_set_modtime_leaves_times_alone() {
    for (version, program) in both() {
        let (place, _) = place(version, &filled(40));
        let flags = "    local_no_set_modtime: true\n    size_only: true\n";
        place.file("config.yaml", &format!("{OLDER}{flags}"));
        let began = SystemTime::now() - Duration::from_secs(2);
        migrate(&place, &program).assert_code(0);
        let no_times = Options {
            file_times: false,
            directory_times: false,
            symlink_times: false,
            ..Options::default()
        };
        assert_same_by(&place.path("source"), &place.path("target"), &no_times);
        for path in place::list(&place.path("target")).into_keys() {
            let time = path.symlink_metadata().unwrap().modified().unwrap();
            assert!(time >= began, "{version}: {}", path.display());
        }
    }
}

#[test]
fn a_task_in_pieces_has_a_row_and_a_log_for_each() {
    for (version, program) in both() {
        let (place, made) = place(version, &filled(60));
        let more = "  max_files_per_output: 7\n";
        place.file("config.yaml", &format!("{OLDER}{more}"));
        migrate(&place, &program).assert_code(0);
        assert_same(&place.path("source"), &place.path("target"));
        let table = place.results();
        let whole = table.find("subtask id", "0").unwrap();
        assert_eq!(
            (whole.number("files"), whole.number("bytes")),
            (made.files, made.bytes)
        );
        let pieces: Vec<_> = table
            .rows()
            .filter(|row| row.number("subtask id") > 0)
            .collect();
        let ids: Vec<u64> = pieces.iter().map(|row| row.number("subtask id")).collect();
        assert_eq!(ids, Vec::from_iter(1..=pieces.len() as u64));
        let sum = |column| pieces.iter().map(|row| row.number(column)).sum::<u64>();
        assert_eq!(
            (sum("files"), sum("bytes")),
            (made.files, made.bytes),
            "{version}"
        );
        let (mut copied, mut logs) = (0, Vec::new());
        for row in &pieces {
            assert!((1..=7).contains(&row.number("files")), "{row:?}");
            assert_eq!(row.get("success"), Some("true"));
            assert_eq!(row.get("engine"), Some("rclone"));
            let log = row.get("log file").unwrap();
            assert!(log.ends_with(".txt.gz"), "{log}");
            let text = unpacked(Path::new(log));
            let lines = text
                .lines()
                .filter(|line| line.contains(" INFO  : ") && line.ends_with(": Copied (new)"));
            let lines = lines.count() as u64;
            assert_eq!(lines, row.number("files"), "{text}");
            assert!(!text.contains("DEBUG"), "{text}");
            copied += lines;
            logs.push(log.to_owned());
        }
        assert_eq!(copied, made.files);
        logs.sort();
        logs.dedup();
        assert_eq!(logs.len(), pieces.len(), "each has a log of its own");
    }
}

#[test]
fn lists_are_where_the_config_says_and_gone_afterwards() {
    for (label, more) in [("shared", "  file_list_dir: DIR/lists\n"), ("server", "")] {
        let (place, made) = place(label, &filled(60));
        let shared = place.directory("lists");
        place.file(
            "config.yaml",
            &format!("{OLDER}  max_files_per_output: 7\n{more}"),
        );
        // What is there while rclone runs.
        let look = "find DIR/lists -type f >>DIR/seen.shared
            find DIR/data-migrate.d -path '*/pieces/*' -type f >>DIR/seen.server
            real \"$@\"";
        let program = in_front_of(&place, &current(), look);
        migrate(&place, &program).assert_code(0);
        assert_same(&place.path("source"), &place.path("target"));
        assert!(calls(&place) as u64 >= made.files / 7);
        let seen = |of: &str| fs::read_to_string(place.path(format!("seen.{of}"))).unwrap();
        assert_eq!(!seen("shared").is_empty(), label == "shared", "{label}");
        assert_eq!(!seen("server").is_empty(), label == "server", "{label}");
        assert!(fs::read_dir(&shared).unwrap().next().is_none());
        for line in seen("server").lines().chain(seen("shared").lines()) {
            assert!(!Path::new(line).exists(), "{line} is left");
        }
    }
}
