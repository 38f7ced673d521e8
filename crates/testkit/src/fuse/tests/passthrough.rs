use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::fs::{
    CWD, FallocateFlags, FileType, Mode, RenameFlags, SeekFrom, XattrFlags, fallocate, lgetxattr,
    lsetxattr, makedev, mknodat, renameat_with, seek,
};

use super::Stand;
use crate::compare::{self, Options};
use crate::fuse::{Op, SlowFs};
use crate::tree::{Many, Recipe, make, make_many};
use crate::{HardLinks, Scratch, rsync_differences};

/// An ACL with a named user, as `setfacl -m u:1000:rwx` stores it: version 2, then tag, permissions and id of each
/// entry (`linux/posix_acl_xattr.h`).
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 7, u32::MAX),
        (0x02, 7, 1000),
        (0x04, 5, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

#[test]
fn a_tree_made_through_it_is_the_same_below() {
    for scratch in [Scratch::new("on-disk"), Scratch::in_memory("in-memory")] {
        let stand = Stand::on(scratch, |slow| slow);
        let (lower, upper) = (stand.lower("tree"), stand.upper("tree"));
        make_all_kinds(&upper);
        compare::assert_same_by(&lower, &upper, &Options::everything());
        assert_eq!(
            rsync_differences(&lower, &upper, HardLinks::Compare),
            [""; 0]
        );

        // The same by a second mount, which has not seen how it came about.
        let again = SlowFs::over(&lower)
            .mount(&stand.scratch.directory("again"))
            .unwrap();
        compare::assert_same_by(&lower, again.path(), &Options::everything());
        again.unmount().unwrap();
    }
}

fn make_all_kinds(root: &Path) {
    let recipe = Recipe {
        hard_links: 10,
        specials: 4,
        big_files: 1,
        big_file_bytes: (2 << 20) + 1,
        ..Recipe::odd(70, 200)
    };
    make(root, &recipe, 1).unwrap();
    for (name, major) in [("device", 1), ("big device", 0xfff)] {
        let (kind, mode) = (FileType::CharacterDevice, Mode::from_raw_mode(0o640));
        let device = makedev(major, 0xf_fff3);
        mknodat(CWD, root.join(name), kind, mode, device).unwrap();
    }
    fs::write(root.join("attributes"), b"").unwrap();
    set(&root.join("attributes"), "user.any bytes", b"\0\xff\n");
    set(&root.join("attributes"), "system.posix_acl_access", &acl());
    std::os::unix::fs::symlink("nowhere", root.join("trusted link")).unwrap();
    set(&root.join("trusted link"), "trusted.link", b"its own");
}

#[test]
fn the_oracle_agrees_with_a_tree_made_without_it() {
    let stand = Stand::new("direct");
    let recipe = Recipe::odd(20, 50);
    make(&stand.upper("tree"), &recipe, 2).unwrap();
    let direct = stand.scratch.join("direct");
    make(&direct, &recipe, 2).unwrap();
    compare::assert_same_by(&direct, &stand.lower("tree"), &Options::everything());
}

#[test]
fn paths_may_be_longer_than_one_call_takes() {
    let stand = Stand::new("chain");
    let recipe = Recipe {
        chain: 20,
        ..Recipe::default()
    };
    let made = make(&stand.upper("tree"), &recipe, 3).unwrap();
    assert_eq!(made.directories, 20);
    let (lower, upper) = (stand.lower("tree"), stand.upper("tree"));
    compare::assert_same_by(&lower, &upper, &Options::everything());
}

#[test]
fn many_threads_make_and_remove_at_once() {
    let stand = Stand::new("many");
    let many = Many {
        directories: 16,
        files: 800,
        ..Many::default()
    };
    let (lower, upper) = (stand.lower("tree"), stand.upper("tree"));
    make_many(&upper, &many, 4, 8).unwrap();
    compare::assert_same_by(&lower, &upper, &Options::everything());
    let directories: Vec<_> = fs::read_dir(&upper)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    thread::scope(|scope| {
        for directory in &directories {
            scope.spawn(move || fs::remove_dir_all(directory).unwrap());
        }
    });
    assert_eq!(fs::read_dir(&lower).unwrap().count(), 0);
}

#[test]
fn the_kernel_keeps_users_out_where_it_is_told_to() {
    let stand = Stand::with("kept-out", SlowFs::kernel_checks_permissions);
    fs::write(stand.upper("f"), b"secret").unwrap();
    fs::set_permissions(stand.upper("f"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new("cat");
    command.arg("f").current_dir(stand.upper("")).uid(1234);
    assert!(!crate::tool::output(&mut command).unwrap().status.success());
}

#[test]
fn inode_numbers_and_links_are_those_below() {
    let stand = Stand::new("inodes");
    fs::write(stand.upper("a"), b"content").unwrap();
    fs::hard_link(stand.upper("a"), stand.upper("b")).unwrap();
    let identity = |metadata: fs::Metadata| (metadata.ino(), metadata.nlink());
    let lower = identity(fs::metadata(stand.lower("a")).unwrap());
    assert_eq!(lower.1, 2);
    for name in ["a", "b"] {
        assert_eq!(identity(fs::metadata(stand.upper(name)).unwrap()), lower);
    }
    let root = identity(fs::metadata(stand.upper("")).unwrap());
    assert_eq!(root, identity(fs::metadata(stand.lower("")).unwrap()));
}

#[test]
fn renames_keep_their_flags() {
    let stand = Stand::new("rename");
    fs::write(stand.upper("a"), b"a").unwrap();
    fs::write(stand.upper("b"), b"b").unwrap();
    let rename = |flags| renameat_with(CWD, stand.upper("a"), CWD, stand.upper("b"), flags);
    let refused = rename(RenameFlags::NOREPLACE).unwrap_err();
    assert_eq!(refused, rustix::io::Errno::EXIST);
    rename(RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(stand.lower("a")).unwrap(), b"b");
    assert_eq!(fs::read(stand.upper("a")).unwrap(), b"b");
    rename(RenameFlags::empty()).unwrap();
    assert_eq!(fs::read(stand.lower("b")).unwrap(), b"b");
    assert!(!stand.upper("a").exists());
}

#[test]
fn an_unlinked_file_can_be_used_until_it_is_closed() {
    let stand = Stand::new("unlinked");
    let file = File::create_new(stand.upper("a")).unwrap();
    fs::remove_file(stand.upper("a")).unwrap();
    file.write_all_at(b"content", 3).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!((metadata.len(), metadata.nlink()), (10, 0));
}

#[test]
fn holes_are_found_made_and_copied_as_below() {
    let stand = Stand::new("holes");
    let file = File::create_new(stand.upper("a")).unwrap();
    file.set_len(4 << 20).unwrap();
    file.write_all_at(&[1; 8192], 1 << 20).unwrap();
    assert_eq!(seek(&file, SeekFrom::Data(0)).unwrap(), 1 << 20);
    assert_eq!(
        seek(&file, SeekFrom::Hole(1 << 20)).unwrap(),
        (1 << 20) + 8192
    );
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&file, punch, 1 << 20, 4096).unwrap();
    assert_eq!(seek(&file, SeekFrom::Data(0)).unwrap(), (1 << 20) + 4096);
    let blocks = |path| fs::metadata(path).unwrap().blocks();
    assert_eq!(blocks(stand.upper("a")), blocks(stand.lower("a")));
}

#[test]
fn content_is_copied_below_where_that_is_not_switched_off() {
    let on = Stand::new("copied");
    let off = Stand::with("not-copied", |slow| slow.without(Op::CopyFileRange));
    for (stand, is_on) in [(&on, true), (&off, false)] {
        fs::write(stand.upper("a"), vec![7; 300_000]).unwrap();
        fs::copy(stand.upper("a"), stand.upper("b")).unwrap();
        assert_eq!(fs::read(stand.lower("b")).unwrap(), vec![7; 300_000]);
        let reads = stand.mounted.counters().get(Op::Read);
        assert_eq!(reads == 0, is_on, "{}", stand.mounted.counters());
    }
}

#[test]
fn attributes_are_refused_and_listed_as_below() {
    let stand = Stand::new("attributes");
    fs::write(stand.upper("a"), b"").unwrap();
    let path = stand.upper("a");
    set(&path, "user.x", &[1; 100]);
    let again = lsetxattr(&path, "user.x", b"2", XattrFlags::CREATE).unwrap_err();
    assert_eq!(again, rustix::io::Errno::EXIST);
    let small = lgetxattr(&path, "user.x", &mut [0; 10][..]).unwrap_err();
    assert_eq!(small, rustix::io::Errno::RANGE);
    let none = lgetxattr(&path, "user.y", &mut [0; 10][..]).unwrap_err();
    assert_eq!(none, rustix::io::Errno::NODATA);
}

#[test]
fn what_a_user_makes_is_the_users_and_a_default_acl_counts() {
    let stand = Stand::new("users");
    set(&stand.upper(""), "system.posix_acl_default", &acl());
    fs::write(stand.upper("a"), b"").unwrap();
    let mut value = [0; 100];
    lgetxattr(stand.lower("a"), "system.posix_acl_access", &mut value[..]).unwrap();

    fs::set_permissions(stand.upper(""), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new("touch");
    command.arg("by a user").current_dir(stand.upper(""));
    crate::tool::run(command.uid(1234).gid(4321)).unwrap();
    let metadata = fs::metadata(stand.lower("by a user")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321));
}

#[test]
fn names_in_use_are_refused_as_below() {
    let stand = Stand::new("refused");
    fs::create_dir_all(stand.upper("a/b")).unwrap();
    let full = fs::remove_dir(stand.upper("a")).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::DirectoryNotEmpty);
    let taken = fs::create_dir(stand.upper("a")).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    let missing = fs::read(stand.upper("x")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_directory_of_any_size_is_listed_once_and_in_full() {
    let stand = Stand::on(Scratch::new("listing"), |slow| slow);
    for number in 0..1_000 {
        fs::write(
            stand.lower(&format!("file with a longer name {number}")),
            b"",
        )
        .unwrap();
    }
    let names = |path| {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(stand.upper("")), names(stand.lower("")));
}
