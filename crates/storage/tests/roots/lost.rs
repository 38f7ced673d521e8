//! Mounts that are missing or go away, and the marker and identity by which that shows.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use model::NoRoom;
use storage::roots::{MarkerUse, Roots, RootsError, RootsErrorKind, TargetUse};
use testkit::mount::LoopMount;

use crate::{guard, marker_name, names, open, open_first, pair, refused};

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
        let expect = MarkerUse::Expect(marker_name(), first.source_identity());
        Roots::open(source.path(), &target, &guard, TargetUse::Write, expect)
            .unwrap()
            .check()
            .unwrap();
    }
    let identity = open(source.path(), &point).unwrap().source_identity();

    mounted.detach().unwrap();
    for target in [point.clone(), point.join("a/b")] {
        let expect = MarkerUse::Expect(marker_name(), identity.clone());
        refused(
            Roots::open(source.path(), &target, &guard, TargetUse::Write, expect),
            RootsErrorKind::ThisMachine,
            &format!(
                "the run's marker {} is not at {}: another file system is mounted here, \
                 or the mount is missing",
                marker_name(),
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
        let marker = MarkerUse::Expect(marker_name(), identity);
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
    let marker = target.join(marker_name().to_string());
    let any = guard("any", "any");
    let roots = open_first(&source, &target, &any).unwrap();
    let metadata = fs::metadata(&marker).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let text = fs::read_to_string(&marker).unwrap();
    assert!(
        text.starts_with(&format!("{}\n", marker_name().run)),
        "{text}"
    );

    roots.remove_marker().unwrap();
    roots.remove_marker().unwrap();
    let error = roots.check().unwrap_err();
    assert!(matches!(error, RootsError::MarkerGone { .. }));
    assert_eq!(error.kind(), RootsErrorKind::Gone);

    // A link that lies in its place is neither followed nor taken for it.
    let victim = source.join("victim");
    symlink(&victim, &marker).unwrap();
    let identity = roots.source_identity();
    let expect = MarkerUse::Expect(marker_name(), identity);
    for marker_use in [MarkerUse::Create(marker_name()), expect] {
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
        assert_eq!(
            error.kind(),
            RootsErrorKind::TargetFull(NoRoom::Space),
            "{error}"
        );
    }
}
