use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use super::{Parsed, TasksFileError, parse};
use crate::ids::TaskId;
use crate::location::{Location, Task};

fn read(text: impl AsRef<[u8]>) -> Result<Parsed, TasksFileError> {
    parse(text.as_ref(), Path::new("t.txt"))
}

fn tasks(text: impl AsRef<[u8]>) -> Vec<Task> {
    read(text).unwrap_or_else(|error| panic!("{error}")).tasks
}

fn posix(path: &str) -> Location {
    Location::Posix(PathBuf::from(path))
}

#[test]
fn an_older_tasks_file_goes_on_working() {
    let found = tasks(
        "\u{feff}# Format: source_path destination_path file_list_path\r\n\
         /mnt/gfs//camera_1/ /mnt/yrfs/./camera_1/ /mnt/lists/mnt#csi-data-gfs#camera_1#.txt\r\n\
         \r\n\
         \t# a comment\n\
         /var\t/tmp/z/var",
    );
    let first = Task {
        id: TaskId(1),
        line: 2,
        source: posix("/mnt/gfs/camera_1"),
        target: posix("/mnt/yrfs/camera_1"),
        list: Some("/mnt/lists/mnt#csi-data-gfs#camera_1#.txt".into()),
        target_is_shared: false,
    };
    let second = Task {
        id: TaskId(2),
        line: 5,
        source: posix("/var"),
        target: posix("/tmp/z/var"),
        list: None,
        target_is_shared: false,
    };
    assert_eq!(found, [first, second]);
}

#[test]
fn a_location_is_taken_as_written() {
    for (written, expected) in [
        ("/a/../b/", posix("/a/../b")),
        ("\"/a b/\"", posix("/a b")),
        ("/", posix("/")),
        ("/a:b", posix("/a:b")),
        ("/a,b:c", posix("/a,b:c")),
        ("s3:bucket/a/", Location::Remote("s3:bucket/a/".into())),
        ("my-s3.x@y+z:", Location::Remote("my-s3.x@y+z:".into())),
        ("s3:a,b:c", Location::Remote("s3:a,b:c".into())),
        ("'my s3:a b'", Location::Remote("my s3:a b".into())),
    ] {
        let found =
            read(format!("{written} other:t")).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(found.tasks[0].source, expected, "{written}");
    }
    let odd = tasks(b"/a\xff /b\xfe".as_slice());
    let expected = PathBuf::from(OsStr::from_bytes(b"/a\xff"));
    assert_eq!(odd[0].source, Location::Posix(expected));
    let long = format!("/{} /b", "x".repeat(1 << 20));
    assert_eq!(tasks(long).len(), 1);
}

#[test]
fn a_bad_line_gets_a_clear_error() {
    const PLACE: &str = "an absolute path, or REMOTE:PATH with a remote of rclone's configuration";
    let inline = "is a remote with inline options, which can make rclone run commands";
    for (text, expected) in [
        (
            "# nothing\n\n",
            "t.txt: the file has no tasks, expected a line for each: SOURCE TARGET [FILE_LIST] [priority=N]"
                .into(),
        ),
        (
            "/a /b\n/c\n",
            "t.txt:2: the line has 1 column, expected: SOURCE TARGET [FILE_LIST] [priority=N] (a path with \
             blanks in quotes)"
                .into(),
        ),
        (
            "/a /b /c /d",
            "t.txt:1: the line has 4 columns, expected: SOURCE TARGET [FILE_LIST] [priority=N] (a path with \
             blanks in quotes)"
                .into(),
        ),
        (
            "a /b",
            format!("t.txt:1: SOURCE is neither absolute nor a remote, expected {PLACE}"),
        ),
        (
            "/a ./b:c",
            format!("t.txt:1: TARGET is neither absolute nor a remote, expected {PLACE}"),
        ),
        (
            "/a ''",
            format!("t.txt:1: TARGET is empty, expected {PLACE}"),
        ),
        (
            "--config=x:y /b",
            format!("t.txt:1: SOURCE begins with '-' like an option, expected {PLACE}"),
        ),
        (
            ":sftp,ssh=CANARY:/a /b",
            format!("t.txt:1: SOURCE {inline}, expected {PLACE}"),
        ),
        (
            "/a s3,secret=CANARY:b",
            format!("t.txt:1: TARGET {inline}, expected {PLACE}"),
        ),
        (
            "/a :local:",
            format!("t.txt:1: TARGET {inline}, expected {PLACE}"),
        ),
        (
            "/a /b list.txt",
            "t.txt:1: FILE_LIST is not absolute, expected the absolute path of a file, or priority=N".into(),
        ),
        (
            "/a\0 /b",
            "t.txt:1: the line contains a NUL byte, expected text without any (UTF-8, not \
             UTF-16): SOURCE TARGET [FILE_LIST] [priority=N]"
                .into(),
        ),
        (
            "/a /b\n# x\n/a/ //b",
            "t.txt:3: the line repeats line 1, expected each task once".into(),
        ),
    ] {
        assert_eq!(read(text).expect_err(text).to_string(), expected);
    }
}

#[test]
fn the_last_column_may_be_a_priority() {
    let parsed = read(
        "/a /b priority=5\n/c /d\n/e /f /lists/priority=7\n/g /h /lists/priority=7 priority=-1000\n\
         /i /j priority=+1000\r\n/k/priority=3 /l/priority=4\n/m priority:p 'priority=0'\n",
    )
    .unwrap();
    let priorities: Vec<(u32, i32)> = parsed
        .priorities
        .iter()
        .map(|(task, priority)| (task.0, priority.get()))
        .collect();
    assert_eq!(priorities, [(1, 5), (4, -1000), (5, 1000), (7, 0)]);
    let lists: Vec<Option<&Path>> = parsed.tasks.iter().map(|t| t.list.as_deref()).collect();
    let list = Some(Path::new("/lists/priority=7"));
    assert_eq!(lists, [None, None, list, list, None, None, None]);
    assert_eq!(parsed.tasks[5].target, posix("/l/priority=4"));
}

#[test]
fn a_priority_that_is_none_gets_a_clear_error() {
    for written in ["", "abc", "5 ", "1.5", "--1", "0x1", "1001", "-1001"] {
        let error = read(format!("/c /d\n/a /b \"priority={written}\"")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "t.txt:2: the priority is malformed or out of range, expected priority=N with a whole \
             number from -1000 to 1000",
            "{written}"
        );
    }
    let huge = read(format!("/a /b /c priority={}", "9".repeat(99))).unwrap_err();
    assert!(huge.message.contains("out of range"), "{huge}");
    let columns = |n| {
        format!(
            "the line has {n} columns, expected: SOURCE TARGET [FILE_LIST] [priority=N] (a path \
             with blanks in quotes)"
        )
    };
    let neither = "FILE_LIST is not absolute, expected the absolute path of a file, or priority=N";
    for (line, expected) in [
        ("/a priority=1", columns(2)),
        ("/a /b priority=1 /c", columns(4)),
        ("/a /b /c /d priority=1", columns(5)),
        ("/a /b priority=1 priority=2", neither.into()),
        ("/a /b Priority=1", neither.into()),
    ] {
        assert_eq!(read(line).expect_err(line).message, expected);
    }
    let again = read("/a /b priority=1\n/a /b priority=2").unwrap_err();
    assert_eq!(
        again.message,
        "the line repeats line 1, expected each task once"
    );
}

#[test]
fn nothing_is_copied_into_itself() {
    for (line, expected) in [
        ("/a /a/", Some("the target is the source itself")),
        ("/a/b /a /list", Some("the source lies inside the target")),
        ("/a /a/b/c", Some("the target lies inside the source")),
        ("/ /a", Some("the target lies inside the source")),
        ("/a /", Some("the source lies inside the target")),
        ("s3:b/x/ s3:b/x", Some("the target is the source itself")),
        ("s3:b s3:b/x", Some("the target lies inside the source")),
        ("/a /ab", None),
        ("/s3 s3:", None),
        ("s3:b s4:b/x", None),
    ] {
        let message = read(line).err().map(|error| error.message);
        let expected = expected.map(|relation| {
            format!("{relation}, expected a source and a target apart from each other")
        });
        assert_eq!(message, expected, "{line}");
    }
}

#[test]
fn shared_targets_warn_and_are_marked() {
    let Parsed {
        tasks, warnings, ..
    } = read(
        "/1 /tmp/z\n/2 /tmp/z/var/x\n/3 /tmp/z!\n/4 /tmp/z/var\n/5 /tmp/z/var\n/6 /tmp/zz\n\
         /7 s3:b\n/8 s3:b/\n/9 /tmp/y\n",
    )
    .unwrap();
    let shared: Vec<u32> = tasks
        .iter()
        .filter(|task| task.target_is_shared)
        .map(|task| task.line)
        .collect();
    assert_eq!(shared, [1, 2, 4, 5, 7, 8]);
    assert_eq!(
        warnings,
        [
            "the tasks of lines 1, 2, 4, 5 write to the same or nested targets, at or below /tmp/z",
            "the tasks of lines 7, 8 write to the same or nested targets, at or below s3:b",
        ]
    );
    let many: String = (0..1000).map(|n| format!("/s{n} /t\n")).collect();
    let warnings = read(many).unwrap().warnings;
    assert!(warnings[0].contains("9, 10 and 990 more"), "{warnings:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_priority_is_a_whole_number_in_range(written in "[-+]?[0-9x]{0,5}") {
        let number = written.parse().ok().filter(|n| (-1000..=1000).contains(n));
        let line = format!("/a /b priority={written}");
        let found = read(line).ok().map(|parsed| parsed.priorities[&TaskId(1)].get());
        prop_assert!(found == number);
    }

    #[test]
    fn no_bytes_make_it_panic_and_each_line_counts(
        bytes in proptest::collection::vec(
            proptest::sample::select(&b"/ab \t\n\r'\"#:.-,\xff\x00"[..]), 0..60),
        noise in any::<Vec<u8>>(),
    ) {
        for bytes in [bytes, noise] {
            if let Ok(parsed) = read(&bytes) {
                let lines = bytes
                    .split(|&b| b == b'\n')
                    .map(<[u8]>::trim_ascii)
                    .filter(|line| !line.is_empty() && !line.starts_with(b"#"));
                prop_assert!(parsed.tasks.len() == lines.count());
            }
        }
    }
}
