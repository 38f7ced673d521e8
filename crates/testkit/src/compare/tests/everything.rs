//! Each thing that only some options look at, or only some kinds of entries have, is found on its own where it differs.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{
    CWD, FileType, Mode, XattrFlags, lremovexattr, lsetxattr, makedev, mknodat, rename,
};

use super::{aspects, keeping_time};
use crate::compare::{Aspect, Options, compare};
use crate::posix_acl::{ACCESS, DEFAULT, PosixAcl, Subject};
use crate::tree::{Recipe, make, make_deep};
use crate::{Scratch, tool};

const KINDS: [&str; 6] = ["directory", "file", "symlink", "fifo", "socket", "device"];

/// One entry of each kind with an attribute that each can have, its copy at `b`.
fn pair() -> Scratch {
    let scratch = Scratch::new("everything");
    let a = scratch.directory("a");
    scratch.directory("a/directory");
    scratch.file("a/file", vec![0; 1 << 20]);
    fs::File::create(a.join("holes"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    std::os::unix::fs::symlink("file", a.join("symlink")).unwrap();
    for (name, kind) in [
        ("fifo", FileType::Fifo),
        ("socket", FileType::Socket),
        ("device", FileType::CharacterDevice),
    ] {
        mknod(&a.join(name), kind, 3);
    }
    for name in KINDS {
        set(&a.join(name), "trusted.testkit", b"value");
        fs::hard_link(a.join(name), a.join(format!("{name} again")))
            .or_else(|error| {
                if name == "directory" {
                    Ok(())
                } else {
                    Err(error)
                }
            })
            .unwrap();
    }
    set(&a.join("file"), "user.empty", b"");
    set(&a.join("file"), ACCESS, &acl(5).to_value());
    set(&a.join("fifo"), ACCESS, &acl(5).to_value());
    set(&a.join("directory"), DEFAULT, &acl(5).to_value());
    tool::run(Command::new("cp").arg("-a").arg(&a).arg(scratch.join("b"))).unwrap();
    scratch
}

fn acl(rights: u16) -> PosixAcl {
    PosixAcl::new([
        (Subject::Owner, 6),
        (Subject::User(7), rights),
        (Subject::OwningGroup, 4),
        (Subject::Mask, 7),
        (Subject::Others, 4),
    ])
}

fn mknod(path: &Path, kind: FileType, minor: u32) {
    let device = match kind {
        FileType::CharacterDevice | FileType::BlockDevice => makedev(1, minor),
        _ => 0,
    };
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).unwrap();
}

fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|error| panic!("{name} of {}: {error}", path.display()));
}

fn everything() -> Options {
    Options::everything()
}

/// Does the damage to a fresh copy; what is found then.
#[track_caller]
fn found_after(damage: impl FnOnce(&Path), options: &Options) -> Vec<(String, Aspect)> {
    let scratch = pair();
    assert_eq!(aspects(&scratch, &everything()), []);
    damage(&scratch.join("b"));
    aspects(&scratch, options)
}

#[test]
fn an_attribute_of_any_kind_of_entry_counts_by_name_and_value() {
    let damages: [fn(&Path); 3] = [
        |path| set(path, "trusted.testkit", b"another"),
        |path| set(path, "trusted.more", b""),
        |path| lremovexattr(path, "trusted.testkit").unwrap(),
    ];
    for name in KINDS {
        for damage in damages {
            let options = Options {
                hard_links: false,
                ..everything()
            };
            let found = found_after(|b| damage(&b.join(name)), &options);
            let here = (name.to_owned(), Aspect::ExtendedAttributes);
            assert!(found.contains(&here), "{name}: {found:?}");
            // It is met under its second name too.
            assert!(
                found.iter().all(|(_, aspect)| *aspect == here.1),
                "{found:?}"
            );
        }
    }
}

#[test]
fn an_attribute_without_a_value_is_another_than_none() {
    let found = found_after(
        |b| lremovexattr(b.join("file"), "user.empty").unwrap(),
        &everything(),
    );
    let names = ["file", "file again"];
    assert_eq!(
        found,
        names.map(|name| (name.to_owned(), Aspect::ExtendedAttributes))
    );
}

#[test]
fn rights_that_differ_are_found_on_files_specials_and_in_defaults() {
    for (name, attribute) in [("file", ACCESS), ("fifo", ACCESS), ("directory", DEFAULT)] {
        for damage in [
            |path: &Path, name: &str| set(path, name, &acl(4).to_value()),
            |path: &Path, name: &str| lremovexattr(path, name).unwrap(),
        ] {
            let found = found_after(
                |b| {
                    let mode = fs::metadata(b.join(name)).unwrap().permissions();
                    damage(&b.join(name), attribute);
                    // Without the list, the mode shows the group's own rights.
                    if attribute == DEFAULT {
                        fs::set_permissions(b.join(name), mode).unwrap();
                    }
                },
                &Options {
                    modes: false,
                    ..everything()
                },
            );
            assert!(found.contains(&(name.to_owned(), Aspect::Acl)), "{found:?}");
            assert!(found.iter().all(|(_, aspect)| *aspect == Aspect::Acl));
        }
    }
}

#[test]
fn only_what_is_asked_for_is_looked_at() {
    let damage = |b: &Path| {
        set(&b.join("directory"), DEFAULT, &acl(4).to_value());
        set(&b.join("directory"), "user.more", b"");
    };
    assert_eq!(found_after(damage, &Options::default()), []);
    let only_acls = Options {
        acls: true,
        ..Options::default()
    };
    assert_eq!(
        found_after(damage, &only_acls),
        [("directory".to_owned(), Aspect::Acl)]
    );
}

#[test]
fn another_device_and_another_kind_of_special_are_found() {
    for (name, kind, aspect) in [
        ("device", FileType::CharacterDevice, Aspect::Device),
        ("device", FileType::BlockDevice, Aspect::Kind),
        ("fifo", FileType::Socket, Aspect::Kind),
        ("socket", FileType::RegularFile, Aspect::Kind),
    ] {
        let found = found_after(
            |b| {
                fs::remove_file(b.join(name)).unwrap();
                mknod(&b.join(name), kind, 4);
            },
            &Options::data_only(),
        );
        assert_eq!(found, [(name.to_owned(), aspect)]);
    }
}

#[test]
fn names_of_one_entry_that_came_apart_are_found_for_every_kind() {
    for name in KINDS.iter().filter(|name| **name != "directory") {
        let second = format!("{name} again");
        let found = found_after(
            |b| {
                keeping_time(b, || {
                    let copy = b.join("copy");
                    let mut cp = Command::new("cp");
                    tool::run(cp.arg("-a").arg(b.join(name)).arg(&copy)).unwrap();
                    // Of two names of one file, rename would remove none.
                    fs::remove_file(b.join(&second)).unwrap();
                    rename(&copy, b.join(&second)).unwrap();
                });
            },
            &everything(),
        );
        assert_eq!(found, [(second, Aspect::HardLinks)]);
    }
}

#[test]
fn names_that_became_one_entry_are_found() {
    let found = found_after(
        |b| {
            fs::remove_file(b.join("fifo again")).unwrap();
            fs::hard_link(b.join("socket"), b.join("fifo again")).unwrap();
        },
        &Options {
            hard_links: true,
            ..Options::data_only()
        },
    );
    assert!(
        found.contains(&("fifo again".to_owned(), Aspect::Kind)),
        "{found:?}"
    );
    let found = found_after(
        |b| {
            fs::remove_file(b.join("holes")).unwrap();
            fs::hard_link(b.join("file"), b.join("holes")).unwrap();
        },
        &Options {
            hard_links: true,
            ..Options::data_only()
        },
    );
    assert_eq!(found, [("holes".to_owned(), Aspect::HardLinks)]);
}

#[test]
fn a_hole_that_was_filled_is_found() {
    let found = found_after(
        |b| {
            let path = b.join("holes");
            let file = fs::File::options().write(true).open(&path).unwrap();
            keeping_time(&path, || file.write_all_at(&[0; 1 << 20], 0).unwrap());
            file.sync_all().unwrap();
        },
        &everything(),
    );
    assert_eq!(found, [("holes".to_owned(), Aspect::Holes)]);
}

#[test]
fn a_difference_below_ten_thousand_levels_is_found() {
    let scratch = Scratch::in_memory("deep");
    let (a, b, c) = (scratch.join("a"), scratch.join("b"), scratch.join("c"));
    for (root, levels) in [(&a, 10_000), (&b, 10_000), (&c, 9_999)] {
        make_deep(root, levels).unwrap();
    }
    // Both were made just now.
    let options = Options {
        file_times: false,
        directory_times: false,
        ..everything()
    };
    assert_eq!(compare(&a, &b, &options), []);
    let found = compare(&a, &c, &options);
    let aspects: Vec<_> = found.iter().map(|one| one.aspect).collect();
    assert_eq!(aspects, [Aspect::Missing, Aspect::Extra]);
    assert_eq!(found[0].path.components().count(), 10_000);
}

#[test]
fn two_full_trees_of_one_seed_differ_in_nothing() {
    let scratch = Scratch::new("everything");
    for name in ["a", "b"] {
        make(&scratch.join(name), &Recipe::full(), 5).unwrap();
    }
    assert_eq!(aspects(&scratch, &everything()), []);
}
