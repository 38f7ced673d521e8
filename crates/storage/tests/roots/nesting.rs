//! Roots that are the same, or lie in one another, are refused however they are reached.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use storage::roots::{RootsError, RootsErrorKind};
use testkit::mount::{Tmpfs, bind};

use crate::{names, open, pair, refused};

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
