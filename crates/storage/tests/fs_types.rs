//! What kind of file system a path is on, on real mounts. Needs root: it fails, and does not skip, without.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use model::fs_type::FsType;
use storage::fs_type::{detect, detect_path};
use storage::locality::is_local;
use storage::mounts;
use testkit::Scratch;
use testkit::mount::{LoopMount, Tmpfs, bind};

fn assert_type(path: &Path, expected: &FsType, point: &Path) {
    let file = fs::File::open(path).unwrap();
    assert_eq!(&detect(&file).unwrap(), expected);
    let seen = detect_path(path).unwrap();
    assert_eq!(&seen.fs_type, expected);
    assert_eq!(seen.existing, path);
    assert_eq!(seen.mount.unwrap().mount_point, point);
}

fn fs_type(magic: u64, mount_type: &str) -> FsType {
    FsType::new(magic, Some(mount_type.to_owned()))
}

#[test]
fn each_file_system_is_recognised() {
    let tmpfs = Tmpfs::new(1).unwrap();
    let ext4 = LoopMount::ext4(16).unwrap();
    let xfs = LoopMount::xfs(300).unwrap();
    for (mount, expected) in [
        (tmpfs.path(), fs_type(0x0102_1994, "tmpfs")),
        (ext4.path(), fs_type(0xEF53, "ext4")),
        (xfs.path(), fs_type(0x5846_5342, "xfs")),
    ] {
        fs::write(mount.join("file"), b"").unwrap();
        assert_type(mount, &expected, mount);
        assert_type(&mount.join("file"), &expected, mount);
    }
}

#[test]
fn an_overlay_is_not_taken_for_what_lies_beneath() {
    let scratch = Scratch::new("overlay");
    // An overlay's upper directory can't lie on another overlay, which a container's /tmp may be.
    let _disk = Tmpfs::over(scratch.path(), 4).unwrap();
    let [lower, upper, work, point] =
        ["lower", "upper", "work", "point"].map(|name| scratch.directory(name));
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    // The scratch directory takes off on drop what is mounted below it.
    let mounted = Command::new("mount")
        .args(["-t", "overlay", "-o", &options, "overlay"])
        .arg(&point)
        .status()
        .unwrap();
    assert!(mounted.success(), "tests of mounts run as root");
    assert_type(&point, &fs_type(0x794C_7630, "overlay"), &point);
}

#[test]
fn a_path_that_does_not_exist_is_judged_by_its_nearest_ancestor() {
    let tmpfs = Tmpfs::new(1).unwrap();
    let asked = tmpfs.path().join("a/b/c");
    let seen = detect_path(&asked).unwrap();
    assert_eq!(seen.existing, tmpfs.path());
    let text = seen.to_string();
    let point = tmpfs.path().display();
    for line in [
        format!("path:         {point}/a/b/c"),
        format!("              does not exist; what follows is for {point}"),
        "type:         tmpfs".to_owned(),
        "magic:        0x1021994".to_owned(),
        format!("mount point:  {point}"),
        "mount source: tmpfs".to_owned(),
        "accepted as:  tmpfs, unknown (0x1021994), 0x1021994".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} in\n{text}");
    }

    fs::write(tmpfs.path().join("file"), b"").unwrap();
    let error = detect_path(&tmpfs.path().join("file/x")).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot look at {point}/file/x"));
}

#[test]
fn a_mount_point_of_any_bytes_is_found() {
    let scratch = Scratch::new("bytes");
    let point = scratch.directory(OsStr::from_bytes(b"a \\040\t\n\xff#"));
    let tmpfs = Tmpfs::over(&point, 1).unwrap();
    assert_type(&point, &fs_type(0x0102_1994, "tmpfs"), tmpfs.path());
}

#[test]
fn of_mounts_on_one_another_each_descriptor_has_its_own() {
    let scratch = Scratch::new("stack");
    let point = scratch.directory("point");
    let lower = LoopMount::ext4_over(&point, 16).unwrap();
    let below = fs::File::open(&point).unwrap();
    let _upper = Tmpfs::over(&point, 1).unwrap();
    let above = fs::File::open(&point).unwrap();
    assert_eq!(detect(&below).unwrap(), fs_type(0xEF53, "ext4"));
    assert_eq!(detect(&above).unwrap(), fs_type(0x0102_1994, "tmpfs"));
    drop(_upper);
    lower.detach().unwrap();
    assert_eq!(detect(&below).unwrap(), FsType::new(0xEF53, None));
    assert_eq!(mounts::of_descriptor(&below).unwrap(), None);
}

#[test]
fn a_read_only_mount_says_so() {
    let tmpfs = Tmpfs::new(1).unwrap();
    let scratch = Scratch::new("read-only");
    let point = scratch.directory("point");
    let _bound = bind(tmpfs.path(), &point).unwrap();
    let remounted = Command::new("mount")
        .args(["-o", "remount,bind,ro"])
        .arg(&point)
        .status()
        .unwrap();
    assert!(remounted.success());
    let is_read_only = |path: &Path| {
        let mount = mounts::of_descriptor(fs::File::open(path).unwrap());
        mount.unwrap().unwrap().is_read_only()
    };
    assert!(is_read_only(&point));
    assert!(!is_read_only(tmpfs.path()));
}

#[test]
fn a_disk_of_this_machine_is_local_and_what_may_be_shared_is_not() {
    let ext4 = LoopMount::ext4(16).unwrap();
    let (local, fs_type) = is_local(&ext4.path().join("data/not/yet")).unwrap();
    assert!(local);
    assert_eq!(fs_type.name(), "ext4");
}
