//! A missing or wrong mount is never written under, on real mounts. Needs root: it fails, and does not skip, without.

mod lost;
mod nesting;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use model::fs_type::AllowedTypes;
use model::temp_name::MarkerName;
use model::{RunId, TaskId};
use storage::roots::{Guard, MarkerUse, Roots, RootsError, RootsErrorKind, TargetUse};
use testkit::Scratch;
use testkit::mount::{LoopMount, Tmpfs};

fn guard(source: &str, target: &str) -> Guard {
    let allowed = |name: &str| AllowedTypes::parse(&[name.to_owned()]).0;
    Guard {
        source: allowed(source),
        target: allowed(target),
    }
}

fn marker_name() -> MarkerName {
    MarkerName {
        run: RunId::from_random(0xABC),
        task: TaskId(1),
    }
}

fn open(source: &Path, target: &Path) -> Result<Roots, RootsError> {
    let guard = guard("any", "any");
    Roots::open(source, target, &guard, TargetUse::Write, MarkerUse::None)
}

fn open_first(source: &Path, target: &Path, guard: &Guard) -> Result<Roots, RootsError> {
    let marker = MarkerUse::Create(marker_name());
    Roots::open(source, target, guard, TargetUse::Write, marker)
}

fn refused(result: Result<Roots, RootsError>, kind: RootsErrorKind, message: &str) {
    let error = result.expect_err(message);
    assert_eq!(error.to_string(), message);
    assert_eq!(error.kind(), kind);
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A scratch directory with `source` and `target` in it.
fn pair() -> (Scratch, PathBuf, PathBuf) {
    let scratch = Scratch::new("roots");
    let (source, target) = (scratch.directory("source"), scratch.directory("target"));
    (scratch, source, target)
}

#[test]
fn a_wrong_file_system_is_refused_before_anything_is_made() {
    let disk = Tmpfs::new(1).unwrap();
    let source = LoopMount::ext4(16).unwrap();
    fs::create_dir(disk.path().join("mnt")).unwrap();
    let target = disk.path().join("mnt/target/a");
    let message = "actual source or target filesystem type not match(ext4, tmpfs)";
    for guard in [guard("ext4", "xfs"), guard("xfs", "tmpfs")] {
        for target_use in [TargetUse::Write, TargetUse::LookOnly] {
            let marker = MarkerUse::Create(marker_name());
            let result = Roots::open(source.path(), &target, &guard, target_use, marker);
            refused(result, RootsErrorKind::ThisMachine, message);
        }
    }
    assert_eq!(names(&disk.path().join("mnt")), [""; 0]);
    open_first(source.path(), &target, &guard("ext4", "tmpfs")).unwrap();
    assert_eq!(names(&target), [marker_name().to_string()]);
}

#[test]
fn a_missing_target_is_made_level_by_level() {
    let (_scratch, source, target) = pair();
    let deep = target
        .join("a")
        .join(OsStr::from_bytes(b"\xff \n"))
        .join("c");
    let roots = open(&source, &deep).unwrap();
    let made = fs::metadata(&deep).unwrap();
    let held = roots.target.as_ref().unwrap().meta().unwrap();
    assert_eq!(held.ino, made.ino());
    assert_eq!(made.permissions().mode() & 0o700, 0o700);
    assert_eq!(names(&deep), [""; 0]);
    roots.check().unwrap();
}

#[test]
fn the_last_item_takes_the_marker_away_however_often_it_is_tried() {
    let (scratch, source, target) = pair();
    let guard = guard("any", "any");
    let first = open_first(&source, &target, &guard).unwrap();
    let identity = first.source_identity();
    let last = |target: &Path| {
        let marker = MarkerUse::MayBeGone(marker_name(), identity.clone());
        Roots::open(&source, target, &guard, TargetUse::Write, marker)
    };
    assert_eq!(names(&target).len(), 1);
    for _ in 0..2 {
        last(&target).unwrap().remove_marker().unwrap();
        assert_eq!(names(&target), [""; 0]);
    }
    let missing = scratch.join("missing");
    assert!(matches!(
        last(&missing),
        Err(RootsError::MarkerMissing { .. })
    ));
    assert!(!missing.exists());
}

#[test]
fn a_dry_run_makes_nothing() {
    let (_scratch, source, target) = pair();
    let guard = guard("any", "any");
    for (path, exists) in [(target.clone(), true), (target.join("a/b"), false)] {
        let marker = MarkerUse::Create(marker_name());
        let roots = Roots::open(&source, &path, &guard, TargetUse::LookOnly, marker).unwrap();
        assert_eq!(roots.target.is_some(), exists);
        roots.check().unwrap();
    }
    assert_eq!(names(&target), [""; 0]);
}

#[test]
fn what_is_wrong_with_a_path_is_said_in_the_old_words() {
    let (scratch, source, target) = pair();
    let base = scratch.path().display();
    let file = scratch.file("file", b"");
    refused(
        open(&scratch.join("absent"), &target),
        RootsErrorKind::ThisMachine,
        &format!("path does not exist: stat {base}/absent: no such file or directory"),
    );
    refused(
        open(&file, &target),
        RootsErrorKind::EveryMachine,
        &format!("source dir {base}/file is not directory"),
    );
    for path in [file.clone(), file.join("a/b")] {
        refused(
            open(&source, &path),
            RootsErrorKind::EveryMachine,
            &format!("target dir {} is not directory", path.display()),
        );
    }
    refused(
        open(&source, &target.join("absent/../b")),
        RootsErrorKind::EveryMachine,
        &format!(
            "target dir {base}/target/absent/../b has '..' below a directory that does not exist: \
             write it without"
        ),
    );
    symlink(scratch.join("nowhere"), scratch.join("link")).unwrap();
    for target_use in [TargetUse::Write, TargetUse::LookOnly] {
        let path = scratch.join("link/a");
        let guard = guard("any", "any");
        refused(
            Roots::open(&source, &path, &guard, target_use, MarkerUse::None),
            RootsErrorKind::ThisMachine,
            &format!(
                "target dir {base}/link/a can not be made: {base}/link is a symbolic link to \
                 something that does not exist, perhaps a missing mount"
            ),
        );
    }
    assert_eq!(names(scratch.path()), ["file", "link", "source", "target"]);
}
