use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::thread;

use super::{PATIENCE, Stand};
use crate::fuse::{Fault, Op};
use crate::mount::{MountError, mount_points};

fn is_mounted(stand: &PathBuf) -> bool {
    let table = mount_points().unwrap();
    table.iter().any(|one| one.path == *stand)
}

#[test]
fn a_plain_unmount_refuses_while_files_are_open_and_takes_it_off_all_the_same() {
    let stand = Stand::new("busy");
    let point = stand.mounted.path().to_owned();
    let mut file = File::create(stand.upper("f")).unwrap();
    let Stand { mounted, scratch } = stand;
    assert!(matches!(mounted.unmount(), Err(MountError::Io { .. })));
    assert!(!is_mounted(&point));
    assert!(file.write_all(b"content").is_err());
    drop(scratch);
}

#[test]
fn an_unmount_leaves_nothing_behind() {
    let stand = Stand::new("plain");
    let point = stand.mounted.path().to_owned();
    fs::write(stand.upper("f"), b"content").unwrap();
    let Stand { mounted, scratch } = stand;
    mounted.unmount().unwrap();
    assert!(!is_mounted(&point));
    assert!(!point.join("f").exists());
    assert!(scratch.join("lower/f").exists());
}

#[test]
fn a_drop_ends_requests_that_hang() {
    let stand = Stand::new("hang");
    let path = stand.upper("f");
    let fault = stand.mounted.arm(Fault::hang(Op::Create));
    let hanging = thread::spawn(move || File::create(path).map(drop));
    assert!(fault.wait_until_fired(1, PATIENCE));
    let Stand { mounted, scratch } = stand;
    drop(mounted);
    assert!(hanging.join().unwrap().is_err());
    // Nor does it come about afterwards.
    assert!(!scratch.join("lower/f").exists());
}

#[test]
fn a_server_that_is_gone_leaves_a_mount_that_fails() {
    let stand = Stand::new("gone");
    fs::write(stand.upper("f"), b"content").unwrap();
    stand.mounted.disconnect().unwrap();
    assert!(is_mounted(&stand.mounted.path().to_owned()));
    let error = fs::read(stand.upper("f")).unwrap_err();
    assert!(
        matches!(
            error.kind(),
            io::ErrorKind::NotConnected | io::ErrorKind::ConnectionAborted
        ),
        "{error}"
    );
}

#[test]
fn a_mount_that_was_detached_serves_what_is_open() {
    let stand = Stand::new("detached");
    let mut file = File::create(stand.upper("f")).unwrap();
    stand.mounted.detach().unwrap();
    file.write_all(b"content").unwrap();
    assert_eq!(fs::read(stand.lower("f")).unwrap(), b"content");
    drop(file);
    assert!(stand.mounted.wait_until_unmounted(PATIENCE));
}

#[test]
fn a_mount_over_its_own_lower_directory_works() {
    let scratch = crate::Scratch::new("own");
    scratch.file("f", b"content");
    let mounted = crate::fuse::SlowFs::over(scratch.path())
        .mount(scratch.path())
        .unwrap();
    assert_eq!(fs::read(scratch.join("f")).unwrap(), b"content");
    assert!(mounted.counters().total() > 0);
    mounted.unmount().unwrap();
}
