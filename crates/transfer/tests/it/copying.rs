//! What a copy keeps, what it leaves alone, and what it counts.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use model::options::Preserve;
use model::{Attribute, Durability, FailureClass, NoRoom, SkipReason};
use testkit::Scratch;
use testkit::fuse::SlowFs;
use testkit::mount::{LoopMount, Tmpfs};
use transfer::{AttemptWork, Stopped};

use crate::support::{Place, assert_same, set_mode, temps, tree, walk};

/// Odd names, modes, owners, links, times, empty and deep directories.
fn odd_tree(place: &Place) -> u64 {
    place.write("plain", "content");
    place.write("empty", "");
    place.write("a/b/c/d/e/f", "deep");
    place.write("large", vec![7_u8; 3 << 20]);
    for name in [
        &b"line\nbreak"[..],
        b"\xff\xfe",
        b"back\\slash",
        b" ",
        b"-rf",
        b"*?[a]{b}",
    ] {
        fs::write(place.source("").join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::write(place.source(&"n".repeat(255)), "longest name").unwrap();
    fs::create_dir_all(place.source("hollow/inner")).unwrap();
    symlink("plain", place.source("link")).unwrap();
    symlink("/no/where", place.source("a/dangling")).unwrap();
    symlink("..", place.source("a/up")).unwrap();
    place.write("suid", "suid");
    place.write("locked/inside", "x");
    chown(place.source("suid"), Some(1234), Some(4321)).unwrap();
    chown(place.source("a/b"), Some(1), Some(2)).unwrap();
    std::os::unix::fs::lchown(place.source("link"), Some(5), Some(6)).unwrap();
    for (name, mode) in [
        ("suid", 0o6755),
        ("plain", 0o000),
        ("a/b", 0o1777),
        ("locked", 0o555),
    ] {
        fs::set_permissions(place.source(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(123_456_789, 987_654_321);
    for name in ["empty", "a/b/c", "hollow", "hollow/inner"] {
        fs::File::open(place.source(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    tree(&place.source("")).len() as u64
}

#[test]
fn a_tree_arrives_as_it_was_and_stays_alone_the_second_time() {
    for durability in [Durability::None, Durability::Batch, Durability::File] {
        for target_is_shared in [false, true] {
            let place = Place::new("odd");
            let n = odd_tree(&place);
            let mut first = walk();
            first.options.durability = durability;
            first.target_is_shared = target_is_shared;
            let outcome = first.run(&place).unwrap().outcome;
            assert_eq!(outcome.counters.copied, n, "{outcome:?}");
            assert_eq!(outcome.counters.listed, n);
            assert_same(&place);

            let mut second = walk();
            // The fence lets no change through.
            second.writes = 0;
            second.options.durability = durability;
            let outcome = second.run(&place).unwrap().outcome;
            assert_eq!(outcome.counters.unchanged, n, "{outcome:?}");
        }
    }
}

#[test]
fn changes_are_carried_over_and_nothing_else_is_written() {
    let place = Place::new("changes");
    odd_tree(&place);
    walk().run(&place).unwrap();
    let before = fs::metadata(place.target("large")).unwrap().ino();
    place.write("a/b/new", "new");
    place.write("fresh/one", "1");
    fs::write(place.source("empty"), "no more").unwrap();
    fs::remove_file(place.source("link")).unwrap();
    symlink("elsewhere", place.source("link")).unwrap();
    fs::set_permissions(place.source("large"), fs::Permissions::from_mode(0o640)).unwrap();
    let counters = walk().run(&place).unwrap().outcome.counters;
    assert_same(&place);
    // a/b/new, fresh/one, empty; fresh, link, large's mode, a/b's time.
    assert_eq!((counters.copied_files, counters.copied), (3, 7));
    assert_eq!(fs::metadata(place.target("large")).unwrap().ino(), before);
}

#[test]
fn update_leaves_newer_files_alone() {
    let place = Place::new("update");
    place.write("file", "old");
    fs::write(place.target("file"), "newer").unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 5);
    fs::File::open(place.source("file"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let mut attempt = walk();
    attempt.options.update = true;
    let outcome = attempt.run(&place).unwrap().outcome;
    assert_eq!(outcome.skipped.get(&SkipReason::NewerAtTarget), Some(&1));
    assert_eq!(fs::read(place.target("file")).unwrap(), b"newer");
}

#[test]
fn a_dry_run_creates_nothing() {
    for no_target in [false, true] {
        let place = Place::new("dry");
        let n = odd_tree(&place);
        let mut attempt = walk();
        attempt.options.dry_run = true;
        attempt.no_target = no_target;
        attempt.writes = 0;
        let counters = attempt.run(&place).unwrap().outcome.counters;
        assert_eq!((counters.listed, counters.copied), (n, n));
        assert!(tree(&place.target("")).is_empty());
    }
}

#[test]
fn another_kind_at_the_target_is_a_conflict_or_replaced() {
    let place = Place::new("conflict");
    place.write("file", "file");
    place.write("directory/below", "x");
    place.write("was-link", "content");
    fs::create_dir(place.target("file")).unwrap();
    fs::write(place.target("directory"), "a file").unwrap();
    let outside = place.root.join("outside");
    fs::write(&outside, "untouched").unwrap();
    symlink(&outside, place.target("was-link")).unwrap();
    let outcome = walk().run(&place).unwrap().outcome;
    assert_eq!(outcome.counters.failed, 2);
    for failure in &outcome.failures {
        assert_eq!(failure.class, FailureClass::GiveUp);
        assert!(failure.error.starts_with("conflict: "), "{failure}");
    }
    assert_eq!(fs::read(outside).unwrap(), b"untouched");
    assert!(
        fs::symlink_metadata(place.target("was-link"))
            .unwrap()
            .is_file()
    );
    assert!(temps(&place.target("")).is_empty());
}

#[test]
fn a_linked_directory_at_the_target_is_replaced_and_not_entered() {
    let place = Place::new("linked");
    place.write("directory/file", "x");
    let outside = place.root.join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, place.target("directory")).unwrap();
    let outcome = walk().run(&place).unwrap().outcome;
    assert_eq!((outcome.counters.copied, outcome.counters.failed), (2, 0));
    assert!(tree(&outside).is_empty());
    assert_eq!(fs::read(place.target("directory/file")).unwrap(), b"x");
    let meta = fs::symlink_metadata(place.target("directory")).unwrap();
    assert!(meta.is_dir());
}

#[test]
fn a_target_within_its_source_is_not_copied_into_itself() {
    let place = Place::new("nested");
    place.write("file", "x");
    let target = place.source("target");
    fs::create_dir(&target).unwrap();
    let finished = walk().run_between(&place.source(""), &target);
    let outcome = finished.unwrap().outcome;
    assert_eq!((outcome.counters.copied, outcome.counters.failed), (1, 1));
}

#[test]
fn special_files_are_skipped() {
    let place = Place::new("special");
    std::os::unix::net::UnixListener::bind(place.source("socket")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(place.source("fifo"))
        .status();
    assert!(made.unwrap().success());
    let outcome = walk().run(&place).unwrap().outcome;
    assert_eq!(outcome.skipped.get(&SkipReason::Special), Some(&2));
}

#[test]
fn holes_are_kept() {
    let place = Place::new("sparse");
    let file = fs::File::create(place.source("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 32 << 20).unwrap();
    drop(file);
    walk().run(&place).unwrap();
    assert_same(&place);
    assert!(fs::metadata(place.target("sparse")).unwrap().blocks() < 2048);
}

#[test]
fn the_attributes_of_the_root_are_set_when_asked() {
    let place = Place::new("attributes");
    fs::set_permissions(place.source(""), fs::Permissions::from_mode(0o751)).unwrap();
    let mut attempt = walk();
    attempt.work = AttemptWork::Attributes(vec![model::RelPath::ROOT]);
    let outcome = attempt.run(&place).unwrap().outcome;
    assert_eq!(outcome.counters.listed, 0);
    let (source, target) = (
        fs::metadata(place.source("")).unwrap(),
        fs::metadata(place.target("")).unwrap(),
    );
    assert_eq!(
        (source.mode(), source.mtime_nsec()),
        (target.mode(), target.mtime_nsec())
    );
}

#[test]
fn names_of_one_file_wait_for_the_directories_of_a_batch() {
    let place = Place::new("links");
    place.write("d/file", "x");
    place.write("d/first", "y");
    fs::hard_link(place.source("d/first"), place.source("d/second")).unwrap();
    let mut attempt = walk();
    attempt.options.durability = Durability::Batch;
    let outcome = attempt.run(&place).unwrap().outcome;
    assert_eq!(outcome.counters.copied, 4);
    let ino = |name| fs::metadata(place.target(name)).unwrap().ino();
    assert_eq!(ino("d/first"), ino("d/second"));
}

/// One more than ext4 gives a file; the source is on a file system without such a bound.
#[test]
fn a_file_with_more_names_than_the_target_gives_it_becomes_two_files() {
    const NAMES: usize = 65_003;
    const MOST: usize = 65_000;
    let place = Place::in_memory("names");
    let target = LoopMount::ext4(2048).unwrap();
    place.write("d/00000", "one of many");
    for name in 1..NAMES {
        fs::hard_link(
            place.source("d/00000"),
            place.source(&format!("d/{name:05}")),
        )
        .unwrap();
    }
    let names_of = |name: usize| {
        let meta = fs::metadata(target.path().join(format!("d/{name:05}"))).unwrap();
        (meta.ino(), meta.nlink())
    };
    let copy = || walk().run_between(&place.source(""), target.path());
    let outcome = copy().unwrap().outcome;
    assert_eq!(outcome.counters.failed, 0, "{:?}", outcome.failures);
    assert_eq!(names_of(0).1, MOST as u64);
    assert_eq!(names_of(MOST), names_of(NAMES - 1));
    assert_eq!(names_of(MOST).1, (NAMES - MOST) as u64);
    let again = copy().unwrap().outcome;
    assert_eq!(again.counters.copied, 0);
    // What has other names in the way is linked anew, up to the same bound.
    fs::remove_dir_all(target.path().join("d")).unwrap();
    fs::create_dir(target.path().join("d")).unwrap();
    for name in 0..NAMES {
        fs::write(target.path().join(format!("d/{name:05}")), "").unwrap();
    }
    let outcome = copy().unwrap().outcome;
    assert_eq!(outcome.counters.failed, 0, "{:?}", outcome.failures);
    assert_eq!(names_of(0).1, MOST as u64);
    assert_eq!(names_of(MOST).1, (NAMES - MOST) as u64);
    assert_eq!(temps(target.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn without_modes_to_keep_directories_are_made_as_any_program_makes_them() {
    let place = Place::new("no-modes");
    place.write("open/file", "x");
    place.write("shut/file", "y");
    set_mode(&place.source("open"), 0o755);
    set_mode(&place.source("shut"), 0o550);
    let mut attempt = walk();
    attempt.options.preserve = Preserve::NOTHING;
    attempt.run(&place).unwrap();
    let mode = |name| fs::metadata(place.target(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("open"), 0o755);
    assert_eq!(mode("shut"), 0o750, "what its owner needs to write into it");
    assert_eq!(fs::read(place.target("shut/file")).unwrap(), b"y");
}

#[test]
fn names_that_the_target_takes_for_one_are_a_conflict_and_none_is_lost() {
    let place = Place::new("folded");
    for name in ["Case", "case", "CASE", "other"] {
        place.write(&format!("d/{name}"), name);
    }
    let scratch = Scratch::new("folding");
    let slow = SlowFs::over(&scratch.directory("lower")).folds_case();
    let target = slow.mount(&scratch.directory("mount")).unwrap();
    // In a directory that is there, where files are renamed to their names.
    fs::create_dir(target.path().join("d")).unwrap();
    let copy = || walk().run_between(&place.source(""), target.path());
    for _ in 0..2 {
        let outcome = copy().unwrap().outcome;
        assert_eq!(outcome.counters.failed, 2, "{outcome:?}");
        let is_told = |one: &model::Failure| one.error.contains("takes its name for that");
        assert!(outcome.failures.iter().all(is_told), "{outcome:?}");
    }
    let left: Vec<_> = fs::read_dir(target.path().join("d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
    for name in left {
        let content = fs::read(target.path().join("d").join(&name)).unwrap();
        assert_eq!(content, name.as_bytes());
    }
}

#[test]
fn a_target_file_with_names_of_its_own_is_not_changed_under_them() {
    let place = Place::new("foreign-names");
    place.write("file", "same");
    set_mode(&place.source("file"), 0o640);
    fs::write(place.root.join("outside"), "same").unwrap();
    let modified = fs::metadata(place.source("file"))
        .unwrap()
        .modified()
        .unwrap();
    fs::File::open(place.root.join("outside"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    set_mode(&place.root.join("outside"), 0o600);
    fs::hard_link(place.root.join("outside"), place.target("file")).unwrap();
    walk().run(&place).unwrap();
    let mode = |path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(place.root.join("outside")), 0o600);
    assert_eq!(mode(place.target("file")), 0o640);
}

#[test]
fn without_modes_to_keep_nobody_gets_a_setuid_program() {
    let place = Place::new("setuid");
    place.write("new/program", "x");
    place.write("existing/program", "x");
    fs::create_dir(place.target("existing")).unwrap();
    for program in ["new/program", "existing/program"] {
        chown(place.source(program), Some(1234), Some(1234)).unwrap();
        set_mode(&place.source(program), 0o4755);
    }
    let mut attempt = walk();
    attempt.options.preserve = Preserve::of([Attribute::Owner]);
    attempt.run(&place).unwrap();
    for program in ["new/program", "existing/program"] {
        let meta = fs::metadata(place.target(program)).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (1234, 0o755));
    }
}

#[test]
fn attributes_that_an_inode_has_no_room_for_are_lost_and_not_a_full_target() {
    let place = Place::in_memory("no-room");
    place.write("file", "x");
    for name in ["user.a", "user.b", "user.c"] {
        let value = [b'x'; 1_900];
        rustix::fs::setxattr(
            place.source("file"),
            name,
            &value,
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
    }
    let target = LoopMount::ext4(64).unwrap();
    let outcome = walk()
        .run_between(&place.source(""), target.path())
        .unwrap()
        .outcome;
    assert_eq!(outcome.counters.copied_files, 1, "{outcome:?}");
    assert!(
        outcome.notes.contains_key("extended attribute not kept"),
        "{outcome:?}"
    );
}

#[test]
fn big_files_of_a_new_directory_stay_when_the_target_is_full() {
    let place = Place::in_memory("big");
    place.write("new/small", "x");
    for n in 0..3 {
        place.write(&format!("new/big{n}"), vec![n; 65 << 20]);
    }
    let target = Tmpfs::new(150).unwrap();
    let mut attempt = walk();
    attempt.threads = 1;
    let stopped = attempt.run_between(&place.source(""), target.path());
    assert_eq!(stopped.unwrap_err(), Stopped::TargetFull(NoRoom::Space));
    let kept = |name: &str| fs::read(target.path().join("new").join(name)).ok();
    assert_eq!(kept("small").unwrap(), b"x");
    let whole = (0..3_u8).filter(|n| kept(&format!("big{n}")) == Some(vec![*n; 65 << 20]));
    assert_eq!(whole.count(), 2);
    assert_eq!(temps(target.path()), Vec::<std::path::PathBuf>::new());
}
