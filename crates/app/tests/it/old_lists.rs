//! Tasks files and file lists as users have them: comments, `#` in paths, quoted blanks, merged and nested targets; lists
//! with CRLF, slashes, blank lines, patterns, `..` and entries that do not exist.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use testkit::compare::{Options, assert_same_by};
use testkit::results::Table;
use testkit::tree::{Recipe, make};
use testkit::{assert_same, leftovers};

use crate::place::{self, Place};

fn place(label: &str, more_global: &str) -> Place {
    let place = Place::new(label);
    let config = "global_config:\n  source_fs_types: [any]\n  target_fs_types: [any]\n  tasks_file: tasks.txt\n  durability: none\n";
    place.file("config.yaml", &format!("{config}{more_global}"));
    place
}

/// Runs these tasks.
fn run(place: &Place, tasks: &str, code: i32) -> (Table, String) {
    place.file("tasks.txt", tasks);
    let done = place.migrate("config.yaml").assert_code(code);
    (place.results(), done.stderr)
}

fn message(place: &Place, table: &Table, id: &str) -> String {
    let row = table.find("id", id).expect("it has a row");
    place.without_directory(row.get("message").unwrap_or_default())
}

/// What is below a directory, relative to it.
fn below(place: &Place, directory: &str) -> Vec<String> {
    let root = place.path(directory);
    let all = place::list(&root).into_keys();
    all.map(|path| {
        path.strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    })
    .collect()
}

#[test]
fn a_tasks_file_may_hold_comments_blanks_quotes_and_number_signs() {
    let place = place("tasks", "");
    for source in ["a", "b", "with blank", "it's#c"] {
        place.file(&format!("{source}/file"), source);
    }
    place.file("lists/mnt#csi-data-gfs#camera_1#.txt", "/file\r\n");
    let tasks = "\u{feff}# Format: source_path destination_path file_list_path\r\n\
        DIR/a/ DIR/to/a/ DIR/lists/mnt#csi-data-gfs#camera_1#.txt\r\n\
        \r\n   # indented comment\r\n\
        DIR//b\tDIR/to/./b\n\
        \"DIR/with blank\" 'DIR/to/with blank'\n\
        DIR/it's#c  DIR/to/#it's";
    let (table, _) = run(&place, tasks, 0);
    assert_eq!(table.len(), 4);
    assert_eq!(
        message(&place, &table, "1"),
        "Migrated task 1 with include file DIR/lists/mnt#csi-data-gfs#camera_1#.txt successfully"
    );
    for (source, target) in [
        ("a", "a"),
        ("b", "b"),
        ("with blank", "with blank"),
        ("it's#c", "#it's"),
    ] {
        assert_same(&place.path(source), &place.path(format!("to/{target}")));
    }
}

#[test]
fn merged_sources_keep_all_their_entries() {
    let place = place("merged", "  concurrency: 4\n");
    // The same names of directories in each, other names of files.
    let shared = ["x", "x/y", "x/y/z", "w"];
    let mut expected = Vec::from(shared.map(str::to_owned));
    let mut tasks = String::new();
    for source in 0..4 {
        for directory in shared {
            for number in 0..50 {
                let name = format!("{directory}/from {source} {number}");
                place.file(&format!("source{source}/{name}"), &name);
                expected.push(name);
            }
        }
        tasks += &format!("DIR/source{source} DIR/target\n");
    }
    let (table, log) = run(&place, &tasks, 0);
    assert!(
        log.contains("WARN the tasks of lines 1, 2, 3, 4 write to the same or nested targets, at or below DIR/target"),
        "{log}"
    );
    let files: u64 = table.rows().map(|row| row.number("files")).sum();
    assert_eq!(files, 4 * 4 * 50);
    expected.sort();
    let mut found = below(&place, "target");
    found.sort();
    assert_eq!(found, expected);
    let extra_allowed = Options {
        extra_entries_allowed: true,
        // Those of the directories are of one source or the other.
        directory_times: false,
        root_attributes: false,
        ..Options::default()
    };
    for source in 0..4 {
        let source = place.path(format!("source{source}"));
        assert_same_by(&source, &place.path("target"), &extra_allowed);
    }
    assert!(leftovers(&place.path("target")).is_empty());
}

#[test]
fn targets_may_be_nested_in_one_another() {
    let place = place("nested", "");
    make(&place.path("kube"), &Recipe::plain(10, 100), 1).unwrap();
    make(&place.path("var"), &Recipe::plain(10, 100), 2).unwrap();
    make(&place.path("udev"), &Recipe::plain(2, 10), 3).unwrap();
    let tasks = "DIR/kube/ DIR/z\nDIR/var DIR/z/var\nDIR/udev DIR/z/etc/udev\n";
    let (_, log) = run(&place, tasks, 0);
    assert!(
        log.contains("WARN the tasks of lines 1, 2, 3 write to the same or nested targets"),
        "{log}"
    );
    assert_same(&place.path("var"), &place.path("z/var"));
    assert_same(&place.path("udev"), &place.path("z/etc/udev"));
    let around = Options {
        extra_entries_allowed: true,
        root_attributes: false,
        ..Options::default()
    };
    assert_same_by(&place.path("kube"), &place.path("z"), &around);
    assert!(leftovers(&place.path("z")).is_empty());
}

/// A source for lists.
fn listed_source(place: &Place) {
    for path in [
        "file",
        "d/a",
        "d/b",
        "d/below/c",
        "e/x",
        "2024-01",
        "2024-02",
        "2025",
    ] {
        place.file(&format!("source/{path}"), path);
    }
    place.file("source/[odd] *", "a name, not a pattern");
    place.directory("source/empty");
}

#[test]
fn old_lists_are_understood() {
    let place = place("lists", "");
    listed_source(&place);
    let list = "/file\r\n\r\nd/\r\n  e//x  \r\nd/below/c\r\nempty/\r\nfile\r\n2024*\r\n[odd] *\r\n./d/a\r\n";
    place.file("list", list);
    let (table, log) = run(&place, "DIR/source DIR/target DIR/list\n", 0);
    let mut found = below(&place, "target");
    found.sort();
    assert_eq!(
        found,
        [
            "2024-01",
            "2024-02",
            "[odd] *",
            "d",
            "d/a",
            "d/b",
            "d/below",
            "d/below/c",
            "e",
            "e/x",
            "empty",
            "file"
        ]
    );
    assert!(
        log.contains("WARN task 1: 2 entries of the file list DIR/list with any of *?[{: what has no such name"),
        "a pattern is expanded with a warning: {log}"
    );
    let row = table.find("id", "1").unwrap();
    assert_eq!(row.number("files"), 8);
    assert_eq!(row.get("include file"), place.path("list").to_str());
    assert_eq!(row.get("file from"), place.path("list").to_str());
    let subset = Options {
        extra_entries_allowed: true,
        root_attributes: false,
        ..Options::default()
    };
    // The other way round: all that is there is as in the source.
    assert_same_by(&place.path("target"), &place.path("source"), &subset);
}

#[test]
fn what_a_list_names_and_is_not_there_is_a_failure_by_name() {
    let place = place("missing", "");
    listed_source(&place);
    place.file("outside", "not to be taken");
    place.file(
        "list",
        "file\nnot there\nd/nor this\nno/such/place\n../outside\nnone*\nd/../../outside\n",
    );
    let (table, _) = run(&place, "DIR/source DIR/target DIR/list\n", 1);
    let row = table.find("id", "1").unwrap();
    assert_eq!(row.number("failures"), 6);
    assert_eq!(row.number("files"), 1);
    assert!(
        message(&place, &table, "1").starts_with("6 files failed. First few errors: "),
        "{row:?}"
    );
    let log = fs::read_to_string(row.get("log file").unwrap()).unwrap();
    for expected in [
        "FAILED (missing) not there: not in the source",
        "FAILED (missing) d/nor this: not in the source",
        "line 5: '../outside' leaves the source by '..', expected a path below it",
        "line 7: 'd/../../outside' leaves the source by '..', expected a path below it",
        "FAILED (missing) none*: ",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    let mut found = below(&place, "target");
    found.sort();
    // The way to what is not there may have been made, and nothing else.
    found.retain(|path| path != "d");
    assert_eq!(found, ["file"]);
}

#[test]
fn a_list_with_nul_holds_names_of_any_bytes() {
    let place = place("nul", "");
    let odd: [&[u8]; 4] = [b"line\nbreak", b" blanks ", b"\xff\xfe", b"# no comment"];
    place.directory("source");
    for name in odd {
        let path = place.path("source").join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, name).unwrap();
    }
    place.bytes("list", &odd.join(&0));
    run(&place, "DIR/source DIR/target DIR/list\n", 0);
    let subset = Options {
        root_attributes: false,
        ..Options::default()
    };
    assert_same_by(&place.path("source"), &place.path("target"), &subset);
}

#[test]
fn a_list_in_pieces_has_a_row_for_each() {
    let place = place("pieces", "  max_files_per_output: 3\n");
    let names: Vec<String> = (0..10)
        .map(|number| format!("d{}/f{number}", number % 2))
        .collect();
    for name in &names {
        place.file(&format!("source/{name}"), name);
    }
    place.file("list", &names.join("\n"));
    let (table, _) = run(&place, "DIR/source DIR/target DIR/list\n", 0);
    let rows: Vec<(u64, u64, String)> = table
        .rows()
        .map(|row| {
            let message = row.get("message").unwrap_or_default();
            assert_eq!(row.get("success"), Some("true"));
            (
                row.number("subtask id"),
                row.number("files"),
                place.without_directory(message),
            )
        })
        .collect();
    assert_eq!(
        rows[0],
        (
            0,
            10,
            "Migrated task 1 with include file DIR/list successfully".to_owned()
        )
    );
    let pieces: Vec<u64> = rows[1..].iter().map(|row| row.0).collect();
    assert_eq!(pieces, [1, 2, 3, 4]);
    let mut files: Vec<u64> = rows[1..].iter().map(|row| row.1).collect();
    files.sort();
    assert_eq!(files, [1, 3, 3, 3]);
    assert_same(&place.path("source"), &place.path("target"));
    assert!(Path::new(&place.path("target/d0")).is_dir());
}
