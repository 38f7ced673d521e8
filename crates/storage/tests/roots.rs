//! A missing or wrong mount is never written under, on real mounts. Needs root: it fails, and does not skip, without.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use model::RunId;
use model::fs_type::AllowedTypes;
use model::temp_name::marker_name;
use storage::roots::{Guard, MarkerUse, Roots, RootsError, RootsErrorKind, TargetUse};
use testkit::Scratch;
use testkit::mount::{LoopMount, Tmpfs, bind};

fn guard(source: &str, target: &str) -> Guard {
    let allowed = |name: &str| AllowedTypes::parse(&[name.to_owned()]).0;
    Guard {
        source: allowed(source),
        target: allowed(target),
    }
}

fn run() -> RunId {
    RunId::from_random(0xABC)
}

fn open(source: &Path, target: &Path) -> Result<Roots, RootsError> {
    let guard = guard("any", "any");
    Roots::open(source, target, &guard, TargetUse::Write, MarkerUse::None)
}

fn open_first(source: &Path, target: &Path, guard: &Guard) -> Result<Roots, RootsError> {
    let marker = MarkerUse::Create(run());
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
            let marker = MarkerUse::Create(run());
            let result = Roots::open(source.path(), &target, &guard, target_use, marker);
            refused(result, RootsErrorKind::ThisMachine, message);
        }
    }
    assert_eq!(names(&disk.path().join("mnt")), [""; 0]);
    open_first(source.path(), &target, &guard("ext4", "tmpfs")).unwrap();
    assert_eq!(names(&target), [marker_name(run())]);
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
fn a_dry_run_makes_nothing() {
    let (_scratch, source, target) = pair();
    let guard = guard("any", "any");
    for (path, exists) in [(target.clone(), true), (target.join("a/b"), false)] {
        let marker = MarkerUse::Create(run());
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

#[test]
fn links_in_the_paths_of_roots_are_followed() {
    let (scratch, source, target) = pair();
    fs::create_dir(source.join("below")).unwrap();
    symlink(&source, scratch.join("to_source")).unwrap();
    symlink("target", scratch.join("to_target")).unwrap();
    let roots = open(&scratch.join("to_source/below"), &scratch.join("to_target")).unwrap();
    assert_eq!(
        roots.source_identity().inode,
        fs::metadata(source.join("below")).unwrap().ino()
    );
    open(&source, &scratch.join("to_target/new")).unwrap();
    assert_eq!(names(&target), ["new"]);
    roots.check().unwrap();
}

#[test]
fn roots_within_one_another_are_refused_also_through_links() {
    let (scratch, source, target) = pair();
    fs::create_dir(source.join("below")).unwrap();
    symlink(&source, target.join("link")).unwrap();
    let base = scratch.path().display();
    for inner in ["below", "below/new/er", "new"] {
        refused(
            open(&source, &target.join("link").join(inner)),
            RootsErrorKind::EveryMachine,
            &format!(
                "target dir {base}/target/link/{inner} is inside source dir {base}/source: \
                 choose a target outside the source"
            ),
        );
    }
    refused(
        open(&target.join("link/below"), &source),
        RootsErrorKind::EveryMachine,
        &format!(
            "source dir {base}/target/link/below is inside target dir {base}/source: \
             choose a target outside the source"
        ),
    );
    refused(
        open(&source, &target.join("link")),
        RootsErrorKind::EveryMachine,
        &format!(
            "source dir {base}/source and target dir {base}/target/link are the same directory: \
             choose another target"
        ),
    );
    assert_eq!(names(&source), ["below"]);
    assert_eq!(names(&source.join("below")), [""; 0]);
    // Neighbours whose names begin alike are not within one another.
    open(&source, &scratch.join("source2")).unwrap();
}

#[test]
fn roots_within_one_another_are_refused_also_through_mounts() {
    let (scratch, source, target) = pair();
    let below = scratch.directory("source/below/deeper");
    let kind = |source: &Path, target: &Path| open(source, target).unwrap_err().kind();
    {
        let _bound = bind(&source, &target).unwrap();
        assert!(matches!(
            open(&source, &target),
            Err(RootsError::SameDirectory { .. })
        ));
    }
    {
        // `..` leads out of a bound part of a tree, not up in it.
        let _bound = bind(&source.join("below"), &target).unwrap();
        for path in [target.clone(), target.join("deeper"), target.join("new")] {
            assert_eq!(kind(&source, &path), RootsErrorKind::EveryMachine);
        }
        assert_eq!(kind(&target, &source), RootsErrorKind::EveryMachine);
    }
    {
        // Another file system, mounted within the source.
        let inner = Tmpfs::over(&below, 1).unwrap();
        let path = inner.path().join("new");
        assert_eq!(kind(&source, &path), RootsErrorKind::EveryMachine);
    }
    {
        // Going up, a directory bound into itself looks like the top: parent and child have one inode.
        let inner = Tmpfs::over(&below, 1).unwrap();
        let path = inner.path().join("a/b");
        fs::create_dir_all(&path).unwrap();
        let _bound = bind(&inner.path().join("a"), &path).unwrap();
        assert_eq!(kind(&source, &path), RootsErrorKind::EveryMachine);
    }
    {
        // The source itself, seen within itself.
        let _bound = bind(&source, &below).unwrap();
        assert!(matches!(
            open(&source, &below),
            Err(RootsError::SameDirectory { .. })
        ));
        open(&below, &target).unwrap();
    }
    assert_eq!(names(&below), [""; 0]);
}

#[test]
fn an_unmount_in_mid_run_is_noticed() {
    let disk = LoopMount::ext4(16).unwrap();
    for (source_is_lost, over) in [(false, false), (true, false), (false, true), (true, true)] {
        let points = ["source", "target"].map(|name| {
            fs::create_dir_all(disk.path().join(name)).unwrap();
            disk.path().join(name)
        });
        let [source, target] = [0, 1].map(|i| LoopMount::ext4_over(&points[i], 16).unwrap());
        let guard = guard("ext4", "ext4");
        let roots = open_first(source.path(), target.path(), &guard).unwrap();
        roots.check().unwrap();

        let lost = if source_is_lost { &source } else { &target };
        let lost_path = lost.path().to_owned();
        let _over = if over {
            Some(LoopMount::ext4_over(lost.path(), 16).unwrap())
        } else {
            lost.detach().unwrap();
            None
        };
        let error = roots.check().unwrap_err();
        assert_eq!(error.kind(), RootsErrorKind::Gone);
        let side = if source_is_lost { "source" } else { "target" };
        let beginning = format!("{side} dir {} is no longer", lost_path.display());
        assert!(error.to_string().starts_with(&beginning), "{error}");

        // What is written through the held descriptor does not reach what is at the path now.
        let held = roots.target.as_ref().unwrap();
        held.create_file("late", 0o600).unwrap();
        assert!(!points[1].join("late").exists() || source_is_lost);
        roots.remove_marker().unwrap();
    }
    assert_eq!(names(&disk.path().join("target")), [""; 0]);
}

#[test]
fn a_worker_whose_mount_is_missing_does_not_write_on_its_own_disk() {
    let source = LoopMount::ext4(16).unwrap();
    let disk = LoopMount::ext4(16).unwrap();
    let point = disk.path().join("mnt");
    fs::create_dir(&point).unwrap();
    let mounted = LoopMount::ext4_over(&point, 16).unwrap();
    let guard = guard("ext4", "ext4");
    for target in [point.clone(), point.join("a/b")] {
        let first = open_first(source.path(), &target, &guard).unwrap();
        // The first worker again, and another one.
        open_first(source.path(), &target, &guard).unwrap();
        let expect = MarkerUse::Expect(run(), first.source_identity());
        Roots::open(source.path(), &target, &guard, TargetUse::Write, expect)
            .unwrap()
            .check()
            .unwrap();
    }
    let identity = open(source.path(), &point).unwrap().source_identity();

    mounted.detach().unwrap();
    for target in [point.clone(), point.join("a/b")] {
        let expect = MarkerUse::Expect(run(), identity.clone());
        refused(
            Roots::open(source.path(), &target, &guard, TargetUse::Write, expect),
            RootsErrorKind::ThisMachine,
            &format!(
                "the run's marker {} is not at {}: another file system is mounted here, \
                 or the mount is missing",
                marker_name(run()),
                target.display()
            ),
        );
    }
    assert_eq!(names(&point), [""; 0]);
}

#[test]
fn a_worker_that_sees_another_source_is_refused() {
    let (scratch, source, target) = pair();
    let first = open_first(&source, &target, &guard("any", "any")).unwrap();
    let other = scratch.directory("other");
    let open_expecting = |target_use, identity| {
        let marker = MarkerUse::Expect(run(), identity);
        let guard = guard("any", "any");
        Roots::open(&other, &target, &guard, target_use, marker)
    };
    for target_use in [TargetUse::Write, TargetUse::LookOnly] {
        let error = open_expecting(target_use, first.source_identity()).unwrap_err();
        assert_eq!(error.kind(), RootsErrorKind::ThisMachine);
        assert!(matches!(error, RootsError::OtherSource { .. }));
    }
    // One kernel tells no birth time: not a difference.
    let mut identity = open(&other, &target).unwrap().source_identity();
    identity.birth_ns = None;
    open_expecting(TargetUse::Write, identity).unwrap();
}

#[test]
fn the_marker_is_ours_alone_and_its_removal_is_noticed() {
    let (_scratch, source, target) = pair();
    let marker = target.join(marker_name(run()));
    let any = guard("any", "any");
    let roots = open_first(&source, &target, &any).unwrap();
    let metadata = fs::metadata(&marker).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let text = fs::read_to_string(&marker).unwrap();
    assert!(text.starts_with(&format!("{}\n", run())), "{text}");

    roots.remove_marker().unwrap();
    roots.remove_marker().unwrap();
    let error = roots.check().unwrap_err();
    assert!(matches!(error, RootsError::MarkerGone { .. }));
    assert_eq!(error.kind(), RootsErrorKind::Gone);

    // A link that lies in its place is neither followed nor taken for it.
    let victim = source.join("victim");
    symlink(&victim, &marker).unwrap();
    let identity = roots.source_identity();
    let expect = MarkerUse::Expect(run(), identity);
    for marker_use in [MarkerUse::Create(run()), expect] {
        let result = Roots::open(&source, &target, &any, TargetUse::Write, marker_use);
        assert!(matches!(result, Err(RootsError::MarkerForged { .. })));
    }
    assert!(!victim.exists());
}

#[test]
fn a_full_target_is_told_from_a_missing_one() {
    let (_scratch, source, target) = pair();
    let full = LoopMount::ext4_over(&target, 4).unwrap();
    for number in 0.. {
        if fs::File::create(full.path().join(number.to_string())).is_err() {
            break;
        }
    }
    let any = guard("any", "any");
    for path in [target.clone(), target.join("new")] {
        let error = open_first(&source, &path, &any).unwrap_err();
        assert_eq!(error.kind(), RootsErrorKind::TargetFull, "{error}");
    }
}
