//! Trees with odd names and attributes arrive as they were, by `copy` and by `run`, as root and as a plain user, on targets
//! that are empty, identical or in conflict; and again: then nothing is touched. Entries are counted exactly.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use testkit::rsync::HardLinks;
use testkit::tree::{Made, Recipe, make};
use testkit::{assert_same, leftovers, rsync_differences};

use crate::fleet::Counts;
use crate::place::{self, MAIN, Place, give_to_plain_user};

const CONFIG: &str = "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: tasks.txt, durability: none}\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Root,
    Plain,
}

/// How the tree is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Copy,
    Run,
}

const ALL: [(User, By); 4] = [
    (User::Root, By::Copy),
    (User::Root, By::Run),
    (User::Plain, By::Copy),
    (User::Plain, By::Run),
];

/// An odd tree in `source`, the user's own, and a directory `to` in which the user may create its copy.
fn odd_source(user: User) -> (Place, Made) {
    let place = Place::new("odd");
    let source = place.path("source");
    let made = make(&source, &Recipe::odd(30, 150), 11).unwrap();
    place.directory("to");
    place.file("config.yaml", CONFIG);
    place.file("tasks.txt", "DIR/source DIR/to/target\n");
    if user == User::Plain {
        for path in [source.clone(), place.path("to")] {
            give_to_plain_user(&path);
        }
    }
    (place, made)
}

fn command(place: &Place, user: User, by: By) -> Command {
    let mut command = match user {
        User::Root => place.command(MAIN),
        User::Plain => place.command_as_plain_user(MAIN),
    };
    match by {
        By::Copy => command.args(["copy", "source", "to/target"]),
        By::Run => command.args(["run", "--config.file", "config.yaml", "--new-run"]),
    };
    command
}

/// Runs it once, which must succeed; what it counted.
#[track_caller]
fn migrate(place: &Place, user: User, by: By) -> Counts {
    let done = place.run(&mut command(place, user, by)).assert_code(0);
    counts(place, by, &done.stdout)
}

fn counts(place: &Place, by: By, stdout: &str) -> Counts {
    match by {
        By::Copy => {
            let number = |name: &str| {
                let part = stdout
                    .split([':', ',', '(', ')'])
                    .find(|part| part.trim().ends_with(name));
                let part = part.unwrap_or_else(|| panic!("{name}: {stdout}")).trim();
                part.split(' ').next().unwrap().parse().unwrap()
            };
            Counts {
                listed: number("listed"),
                copied: number("copied"),
                unchanged: number("unchanged"),
                skipped: number("skipped"),
                failed: number("failed"),
            }
        }
        By::Run => {
            let table = place.results();
            let row = table.rows().last().expect("the run has a row");
            let log = fs::read_to_string(row.get("log file").unwrap()).unwrap();
            Counts::parse(&log).unwrap_or_else(|| panic!("{log}"))
        }
    }
}

#[track_caller]
fn assert_arrived(place: &Place) {
    let (source, target) = (place.path("source"), place.path("to/target"));
    assert_same(&source, &target);
    let differences = rsync_differences(&source, &target, HardLinks::Ignore);
    assert!(differences.is_empty(), "rsync would do: {differences:?}");
    assert!(leftovers(&target).is_empty());
}

/// What changes with every change of an entry: its inode and the time of its last change.
fn stamps(root: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let below = place::list(root).into_keys();
    below
        .map(|path| {
            let about = path.symlink_metadata().unwrap();
            (path, (about.ino(), about.ctime(), about.ctime_nsec()))
        })
        .collect()
}

#[test]
fn an_odd_tree_arrives_and_is_left_alone_the_second_time() {
    for (user, by) in ALL {
        let (place, made) = odd_source(user);
        let first = migrate(&place, user, by);
        assert_arrived(&place);
        let expected = Counts {
            listed: made.entries(),
            copied: made.entries(),
            unchanged: 0,
            skipped: 0,
            failed: 0,
        };
        assert_eq!(first, expected, "{user:?} {by:?}");

        let before = stamps(&place.path("to/target"));
        let second = migrate(&place, user, by);
        let expected = Counts {
            copied: 0,
            unchanged: made.entries(),
            ..expected
        };
        assert_eq!(second, expected, "{user:?} {by:?}");
        assert_arrived(&place);
        let after = stamps(&place.path("to/target"));
        assert_eq!(before, after, "something was touched: {user:?} {by:?}");
    }
}

#[test]
fn what_is_in_the_way_is_replaced_or_told_and_never_followed() {
    for (user, by) in ALL {
        let place = Place::new("conflict");
        for name in [
            "same",
            "content",
            "mode",
            "time",
            "over link",
            "link/x",
            "directory",
            "deep/a",
        ] {
            place.file(&format!("source/{name}"), "of the source");
        }
        symlink("of the source", place.path("source/symlink")).unwrap();
        symlink("of the source", place.path("source/over file")).unwrap();
        place.file("outside/file", "not to be touched");
        place.directory("to/target/deep");
        // As long ago as no file of the source: within one tick of the clock, both could have the same time.
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (name, content) in [
            ("content", "of the target"),
            ("mode", "of the source"),
            ("time", "of the source"),
        ] {
            let path = place.file(&format!("to/target/{name}"), content);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        let set_mode = |name: &str, mode| {
            fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
        };
        set_mode("source/mode", 0o640);
        set_mode("to/target/mode", 0o777);
        let same_time = fs::metadata(place.path("source/mode"))
            .unwrap()
            .modified()
            .unwrap();
        let file = fs::File::options()
            .write(true)
            .open(place.path("to/target/mode"))
            .unwrap();
        file.set_modified(same_time).unwrap();
        symlink("of the target", place.path("to/target/symlink")).unwrap();
        symlink(
            place.path("outside/file"),
            place.path("to/target/over link"),
        )
        .unwrap();
        place.file("to/target/over file", "in the way");
        // A link holds nothing of its own.
        symlink(place.path("outside"), place.path("to/target/link")).unwrap();
        // These two are not ours to remove.
        place.file("to/target/directory/own", "of the target");
        place.file("to/target/only here", "of the target");
        place.file("config.yaml", CONFIG);
        place.file("tasks.txt", "DIR/source DIR/to/target\n");
        if user == User::Plain {
            for name in ["source", "to", "outside"] {
                give_to_plain_user(&place.path(name));
            }
        }

        let done = place.run(&mut command(&place, user, by)).assert_code(1);
        let found = counts(&place, by, &done.stdout);
        assert_eq!(found.failed, 1, "{user:?} {by:?}: {}", done.stderr);
        let conflict = "directory: conflict: ";
        assert!(done.stderr.contains(conflict), "{}", done.stderr);
        for name in [
            "same",
            "content",
            "mode",
            "time",
            "over link",
            "link/x",
            "deep/a",
        ] {
            let (source, target) = (
                place.path("source").join(name),
                place.path("to/target").join(name),
            );
            assert_eq!(fs::read(&target).unwrap(), b"of the source", "{name}");
            let (source, target) = (
                source.symlink_metadata().unwrap(),
                target.symlink_metadata().unwrap(),
            );
            assert_eq!(
                (source.mode(), source.mtime_nsec()),
                (target.mode(), target.mtime_nsec()),
                "{name}"
            );
        }
        for name in ["symlink", "over file"] {
            let link = fs::read_link(place.path("to/target").join(name)).unwrap();
            assert_eq!(link, Path::new("of the source"), "{name}");
        }
        for (path, content) in [
            ("outside/file", "not to be touched"),
            ("to/target/directory/own", "of the target"),
            ("to/target/only here", "of the target"),
        ] {
            assert_eq!(
                fs::read(place.path(path)).unwrap(),
                content.as_bytes(),
                "{path}"
            );
        }
        assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 1);
        assert!(leftovers(&place.path("to/target")).is_empty());
    }
}

#[test]
fn a_second_copy_makes_no_call_that_changes_the_target() {
    let (place, _) = odd_source(User::Root);
    let traced = || {
        let trace = place.path("trace");
        let mut strace = place.any_command("strace");
        strace
            .args(["-f", "-qq", "-o"])
            .arg(&trace)
            .arg("-e")
            .arg(format!("trace={CHANGING}"))
            .arg(MAIN)
            .args(["copy", "source", "to/target"]);
        place.run(&mut strace).assert_code(0);
        let text = fs::read(&trace).unwrap();
        let text = String::from_utf8_lossy(&text);
        let changes = text.lines().filter(|line| is_change(line));
        changes.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = traced();
    assert!(
        first.len() > 200,
        "the first copy is seen to change much: {first:?}"
    );
    let second = traced();
    assert!(second.is_empty(), "{second:#?}");
}

/// Calls by which entries are made, renamed, removed or changed; `openat` too, which may create and truncate.
const CHANGING: &str = "openat,openat2,creat,mkdir,mkdirat,mknodat,symlinkat,linkat,rename,renameat,renameat2,unlink,\
     unlinkat,rmdir,chmod,fchmod,fchmodat,chown,lchown,fchown,fchownat,utimensat,setxattr,lsetxattr,fsetxattr,\
     removexattr,lremovexattr,fremovexattr,truncate,ftruncate,fallocate,copy_file_range,sendfile,pwrite64,syncfs,fsync,\
     fdatasync";

fn is_change(line: &str) -> bool {
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"];
    let opens =
        line.contains(" openat(") || line.contains(" openat2(") || line.contains("<... openat");
    match opens {
        true => writes.iter().any(|flag| line.contains(flag)) && !line.contains("\"/dev/null\""),
        // Signals and ends of threads are told too.
        false => line.contains('(') && !line.contains("---") && !line.contains("+++"),
    }
}
