//! What is mounted in a tree is no part of it: removing the tree touches nothing there. On real mounts: needs root,
//! and fails, and does not skip, without.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use storage::posix::{Action, Dir};
use testkit::Scratch;
use testkit::mount::{Tmpfs, bind};

fn is_refused_for_what_is_mounted(scratch: &Scratch, name: &str) {
    let root = Dir::open_root(scratch.path()).unwrap();
    let error = root.remove_tree(name).unwrap_err();
    assert_eq!(error.action, Action::Remove, "{error:?}");
    assert!(error.is(Errno::XDEV), "{error:?}");
}

/// A file, and an empty directory, which is what a removal begins with.
fn furnish(directory: &Path) {
    fs::write(directory.join("file"), "content").unwrap();
    fs::create_dir_all(directory.join("sub/empty")).unwrap();
}

fn is_untouched(directory: &Path) {
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"content");
    assert!(directory.join("sub/empty").is_dir());
}

#[test]
fn another_file_system_in_the_tree_is_not_entered() {
    let scratch = Scratch::new("other");
    let point = scratch.directory("tree/a/b");
    scratch.file("tree/a/file", "");
    let other = Tmpfs::over(&point, 1).unwrap();
    furnish(&point);
    is_refused_for_what_is_mounted(&scratch, "tree");
    assert!(other.is_mounted());
    is_untouched(&point);

    drop(other);
    let root = Dir::open_root(scratch.path()).unwrap();
    root.remove_tree("tree").unwrap();
    assert!(!scratch.join("tree").exists());
}

#[test]
fn a_directory_of_the_same_file_system_that_is_bound_into_the_tree_is_not_entered() {
    let scratch = Scratch::new("bound");
    let shown = scratch.directory("shown");
    furnish(&shown);
    let point = scratch.directory("tree/a/b");
    let _bound = bind(&shown, &point).unwrap();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_eq!(device(&point), device(&scratch.join("tree")));
    is_refused_for_what_is_mounted(&scratch, "tree");
    is_untouched(&shown);
}

#[test]
fn a_tree_that_is_itself_mounted_is_not_emptied() {
    let scratch = Scratch::new("itself");
    let point = scratch.directory("tree");
    let _other = Tmpfs::over(&point, 1).unwrap();
    furnish(&point);
    is_refused_for_what_is_mounted(&scratch, "tree");
    is_untouched(&point);
}
