use std::fs;

use rustix::fs::statvfs;

use super::{LoopMount, Tmpfs, bind, mount_points};
use crate::Scratch;

#[test]
fn each_file_system_is_what_it_says_and_gone_after_use() {
    let ext4 = LoopMount::ext4(16).unwrap();
    let xfs = LoopMount::xfs(300).unwrap();
    let tmpfs = Tmpfs::new(1).unwrap();
    let expected = [
        (ext4.path(), "ext4"),
        (xfs.path(), "xfs"),
        (tmpfs.path(), "tmpfs"),
    ];
    let table = mount_points().unwrap();
    let points: Vec<_> = expected.map(|(path, _)| path.to_owned()).to_vec();
    for (path, fs_type) in expected {
        let point = table.iter().find(|one| one.path == path).unwrap();
        assert_eq!(point.fs_type, fs_type);
        fs::write(path.join("file"), b"content").unwrap();
    }
    drop((ext4, xfs, tmpfs));
    let table = mount_points().unwrap();
    assert!(!table.iter().any(|one| points.contains(&one.path)));
    assert!(points.iter().all(|point| !point.exists()));
}

#[test]
fn an_image_of_entries_has_an_inode_for_each_and_no_name() {
    let entries = 200_000;
    let mounted = LoopMount::ext4_of_entries(entries).unwrap();
    let found = statvfs(mounted.path()).unwrap();
    let (all, free) = (found.f_files, found.f_ffree);
    assert!(free >= entries && all <= entries * 2, "{free} of {all}");
    let beside = mounted.path().parent().unwrap();
    assert!(beside.exists() && !beside.join("image").exists());
    fs::write(mounted.path().join("file"), b"content").unwrap();
    assert_eq!(fs::read(mounted.path().join("file")).unwrap(), b"content");
}

#[test]
fn a_tmpfs_over_a_directory_hides_it_until_it_is_detached() {
    let scratch = Scratch::new("over");
    scratch.file("below", b"");
    let over = Tmpfs::over(scratch.path(), 1).unwrap();
    assert!(!scratch.join("below").exists());
    over.detach().unwrap();
    assert!(scratch.join("below").exists());
    assert!(!over.is_mounted());
}

#[test]
fn a_guard_never_takes_off_a_mount_that_is_not_its_own() {
    let scratch = Scratch::new("own");
    let shown = scratch.directory("shown");
    let point = scratch.directory("point");
    let lower = bind(&shown, &point).unwrap();
    let upper = Tmpfs::over(&point, 1).unwrap();
    assert!(lower.detach().is_err());
    assert!(upper.is_mounted() && lower.is_mounted());
    drop(upper);
    fs::write(point.join("x"), b"").unwrap();
    assert!(shown.join("x").exists());
    lower.unmount().unwrap();
    assert!(!point.join("x").exists());
}
