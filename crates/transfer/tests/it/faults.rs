//! Errors of the system below, and target directories and file systems with ways of their own.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::Durability;
use testkit::mount::LoopMount;
use testkit::tool;
use transfer::Stopped;

use crate::support::{Place, assert_same, inner_place, run_again, set_mode, temps, tree, walk};

#[test]
fn a_sync_that_fails_is_not_repeated_and_nothing_gets_its_name() {
    let test = "faults::a_sync_that_fails_is_not_repeated_and_nothing_gets_its_name";
    let Some(root) = inner_place() else {
        let place = Place::new("sync");
        place.write("file", "x");
        place.write("d/file", "x");
        let log = place.root.join("log");
        let under = format!("-o{}", log.display());
        let inject = "inject=syncfs:error=EIO:when=1";
        run_again(
            test,
            &place,
            &[
                "strace",
                "-f",
                "-qq",
                &under,
                "-e",
                "trace=syncfs",
                "-e",
                inject,
            ],
        );
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(log.matches("EIO").count(), 1, "{log}");
        assert_eq!(log.matches("syncfs(").count(), 1, "{log}");
        assert!(tree(&place.target("")).is_empty());
        let mut next = walk();
        next.epoch = 2;
        next.options.durability = Durability::Batch;
        next.run(&place).unwrap();
        assert_same(&place);
        return;
    };
    let mut attempt = walk();
    attempt.options.durability = Durability::Batch;
    let stopped = attempt
        .run_between(&root.join("source"), &root.join("target"))
        .unwrap_err();
    assert!(matches!(stopped, Stopped::Again(_)), "{stopped:?}");
}

#[test]
fn a_file_whose_sync_fails_gets_no_name() {
    let Some(root) = inner_place() else {
        let place = Place::new("fsync");
        place.write("file", "x");
        place.write("d/file", "x");
        run_again(
            "faults::a_file_whose_sync_fails_gets_no_name",
            &place,
            &[
                "strace",
                "-f",
                "-qq",
                "-o/dev/null",
                "-e",
                "trace=fsync",
                "-e",
                "inject=fsync:error=EIO",
            ],
        );
        return;
    };
    let mut attempt = walk();
    attempt.options.durability = Durability::File;
    let outcome = attempt
        .run_between(&root.join("source"), &root.join("target"))
        .unwrap()
        .outcome;
    assert_eq!(outcome.counters.failed, 2, "{outcome:?}");
    let left: Vec<PathBuf> = tree(&root.join("target")).into_keys().collect();
    assert_eq!(left, [PathBuf::from("d")]);
}

#[test]
fn what_is_found_unchanged_is_durable_too() {
    let Some(root) = inner_place() else {
        let place = Place::new("found");
        place.write("d/file", "x");
        walk().run(&place).unwrap();
        let log = place.root.join("log");
        let under = format!("-o{}", log.display());
        run_again(
            "faults::what_is_found_unchanged_is_durable_too",
            &place,
            &["strace", "-f", "-qq", &under, "-e", "trace=syncfs"],
        );
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(log.matches("syncfs(").count(), 1, "{log}");
        return;
    };
    let mut attempt = walk();
    attempt.writes = 0;
    attempt.options.durability = Durability::Batch;
    let finished = attempt.run_between(&root.join("source"), &root.join("target"));
    assert_eq!(finished.unwrap().outcome.counters.unchanged, 2);
}

#[test]
fn too_many_open_files_are_no_fault_of_the_tree() {
    let Some(root) = inner_place() else {
        let place = Place::new("descriptors");
        for n in 0..30 {
            place.write(&format!("d{n}/file"), "x");
        }
        run_again(
            "faults::too_many_open_files_are_no_fault_of_the_tree",
            &place,
            &["prlimit", "--nofile=64:64"],
        );
        return;
    };
    for is_passing in [true, false] {
        // From the first change on this process has as many files open as it may.
        let held: Arc<Mutex<Vec<fs::File>>> = Arc::default();
        let began = Arc::new(std::sync::Once::new());
        let mut attempt = walk();
        let (hold, once) = (Arc::clone(&held), Arc::clone(&began));
        attempt.meddle = Box::new(move || {
            once.call_once(|| {
                let mut held = hold.lock().unwrap();
                while let Ok(file) = fs::File::open("/dev/null") {
                    held.push(file);
                }
            });
        });
        let target = root.join(format!("passing-{is_passing}"));
        fs::create_dir(&target).unwrap();
        let result = std::thread::scope(|scope| {
            let run = scope.spawn(|| attempt.run_between(&root.join("source"), &target));
            while !began.is_completed() {
                std::thread::sleep(Duration::from_millis(1));
            }
            if is_passing {
                std::thread::sleep(Duration::from_millis(200));
                held.lock().unwrap().clear();
            }
            run.join().unwrap()
        });
        held.lock().unwrap().clear();
        match result {
            Ok(finished) => {
                assert!(is_passing);
                assert_eq!(finished.outcome.counters.copied, 60);
            }
            Err(Stopped::Again(why)) => {
                assert!(!is_passing && why.contains("open files"), "{why}");
                // Without a descriptor nothing can be taken away either: the next attempt does it.
                let mut next = walk();
                next.epoch = 2;
                let next = next.run_between(&root.join("source"), &target);
                assert_eq!(next.unwrap().outcome.counters.failed, 0);
                assert!(temps(&target).is_empty());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn few_descriptors_suffice_for_a_batch_of_many_directories() {
    let Some(root) = inner_place() else {
        let place = Place::new("few");
        for n in 0..600 {
            place.write(&format!("d{n}/file"), "x");
        }
        run_again(
            "faults::few_descriptors_suffice_for_a_batch_of_many_directories",
            &place,
            &["prlimit", "--nofile=128:128"],
        );
        assert_same(&place);
        return;
    };
    let mut attempt = walk();
    attempt.options.durability = Durability::Batch;
    attempt
        .run_between(&root.join("source"), &root.join("target"))
        .unwrap();
}

/// A directory whose new entries inherit its group, and one that gives them a default ACL.
#[test]
fn what_target_directories_hand_down_does_not_change_modes_and_owners() {
    let place = Place::new("inherit");
    for root in ["group", "acl"] {
        place.write(&format!("{root}/new/file"), "x");
        place.write(&format!("{root}/new/deep/program"), "x");
        set_mode(&place.source(&format!("{root}/new/deep/program")), 0o6755);
        set_mode(&place.source(&format!("{root}/new/file")), 0o666);
        fs::create_dir(place.target(root)).unwrap();
    }
    chown(place.target("group"), None, Some(4242)).unwrap();
    set_mode(&place.target("group"), 0o2755);
    let target = place.target("acl");
    let acl = "d:u::rwx,d:g::rx,d:u:777:r,d:m::r,d:o::-";
    tool::run(Command::new("setfacl").args(["-m", acl]).arg(target)).unwrap();
    walk().run(&place).unwrap();
    assert_same(&place);
}

#[test]
fn times_before_1970_and_after_2038_arrive() {
    let place = Place::new("times");
    for (name, time) in [
        ("before", "1965-03-04 05:06:07.123456789"),
        ("d/after", "2101-01-02 03:04:05.987654321"),
    ] {
        place.write(name, "x");
        let path = place.source(name);
        tool::run(Command::new("touch").args(["-d", time]).arg(path)).unwrap();
    }
    walk().run(&place).unwrap();
    assert_same(&place);
    let mut again = walk();
    again.writes = 0;
    assert_eq!(again.run(&place).unwrap().outcome.counters.unchanged, 3);
}

#[test]
fn an_xfs_target_gets_all_and_is_left_alone_the_second_time() {
    let place = Place::new("xfs");
    let mounted = LoopMount::xfs(400).unwrap();
    for n in 0..50 {
        place.write(
            &format!("d{}/s/f{n}", n % 5),
            vec![n; 3000 * usize::from(n)],
        );
    }
    let sparse = fs::File::create(place.source("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    for durability in [Durability::Batch, Durability::File] {
        let target = mounted.path().join(format!("{durability:?}"));
        fs::create_dir(&target).unwrap();
        let mut attempt = walk();
        attempt.options.durability = durability;
        attempt.run_between(&place.source(""), &target).unwrap();
        assert_eq!(tree(&place.source("")), tree(&target));
        let mut again = walk();
        again.writes = 0;
        again.run_between(&place.source(""), &target).unwrap();
    }
}

#[test]
fn a_file_put_in_the_place_of_another_is_not_repaired() {
    let place = Place::new("swapped");
    place.write("file", "x");
    walk().run(&place).unwrap();
    set_mode(&place.source("file"), 0o640);
    let (outside, inside) = (place.root.join("outside"), place.target("file"));
    fs::write(&outside, "x").unwrap();
    set_mode(&outside, 0o600);
    let before = fs::metadata(&outside).unwrap();
    // It is compared first, and changed when the fence has been asked.
    let (swapped, source) = (outside.clone(), inside.clone());
    let mut attempt = walk();
    attempt.meddle = Box::new(move || {
        if !is_linked(&swapped, &source) {
            fs::remove_file(&source).unwrap();
            fs::hard_link(&swapped, &source).unwrap();
        }
    });
    attempt.run(&place).unwrap();
    // The descriptor is the old file's: the link is not touched.
    let after = fs::metadata(&outside).unwrap();
    assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
    assert!(temps(&place.target("")).is_empty());
}

fn is_linked(a: &Path, b: &Path) -> bool {
    let ino = |path| {
        fs::metadata(path)
            .map(|meta| meta.ino())
            .unwrap_or_default()
    };
    ino(a) == ino(b)
}

#[test]
fn deep_trees_are_copied_with_few_descriptors() {
    let Some(root) = inner_place() else {
        let place = Place::new("deep");
        // As deep as a path may be long here, so that plain calls can judge it.
        place.write(&format!("{}file", "d/".repeat(1500)), "x");
        run_again(
            "faults::deep_trees_are_copied_with_few_descriptors",
            &place,
            &["prlimit", "--nofile=128:128"],
        );
        return;
    };
    for durability in [Durability::None, Durability::Batch] {
        let target = root.join(format!("{durability:?}"));
        fs::create_dir(&target).unwrap();
        let mut attempt = walk();
        attempt.options.durability = durability;
        let outcome = attempt
            .run_between(&root.join("source"), &target)
            .unwrap()
            .outcome;
        assert_eq!(outcome.counters.copied, 1501);
        assert!(target.join(format!("{}file", "d/".repeat(1500))).exists());
    }
}
