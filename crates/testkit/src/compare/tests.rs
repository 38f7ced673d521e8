use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{Aspect, Options, compare};
use crate::{Scratch, tool};

mod everything;

/// A small tree at `a`, its copy by `cp -a` at `b`.
fn pair() -> Scratch {
    let scratch = Scratch::new("compare");
    let a = scratch.directory("a");
    scratch.directory("a/directory");
    scratch.file("a/directory/file", vec![7; 300_000]);
    scratch.file("a/directory/other", b"");
    symlink("file", a.join("directory/link")).unwrap();
    fs::hard_link(a.join("directory/file"), a.join("second name")).unwrap();
    tool::run(Command::new("cp").arg("-a").arg(&a).arg(scratch.join("b"))).unwrap();
    scratch
}

fn aspects(scratch: &Scratch, options: &Options) -> Vec<(String, Aspect)> {
    compare(&scratch.join("a"), &scratch.join("b"), options)
        .into_iter()
        .map(|one| (one.path.to_string_lossy().into_owned(), one.aspect))
        .collect()
}

fn keeping_time(path: &Path, change: impl FnOnce()) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    change();
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_faithful_copy_has_no_difference() {
    let scratch = pair();
    assert_eq!(aspects(&scratch, &Options::everything()), []);
    super::assert_same(&scratch.join("a"), &scratch.join("b"));
}

#[test]
fn each_kind_of_damage_is_found_and_named() {
    type Damage = fn(&Path);
    let cases: [(Damage, &str, Aspect); 8] = [
        (
            |b| {
                fs::set_permissions(b.join("directory/file"), fs::Permissions::from_mode(0o4755))
                    .unwrap()
            },
            "directory/file",
            Aspect::Mode,
        ),
        (
            |b| std::os::unix::fs::lchown(b.join("directory/link"), Some(7), None).unwrap(),
            "directory/link",
            Aspect::Owner,
        ),
        (
            |b| {
                let later = SystemTime::now() + Duration::from_nanos(1);
                fs::File::open(b.join("directory"))
                    .unwrap()
                    .set_modified(later)
                    .unwrap();
            },
            "directory",
            Aspect::Time,
        ),
        (
            |b| {
                let file = b.join("directory/file");
                let mut content = vec![7; 300_000];
                content[299_999] = 8;
                keeping_time(&file, || fs::write(&file, content).unwrap());
            },
            "directory/file",
            Aspect::Content,
        ),
        (
            |b| {
                let file = b.join("directory/other");
                keeping_time(&file, || fs::write(&file, b"longer").unwrap());
            },
            "directory/other",
            Aspect::Size,
        ),
        (
            |b| {
                keeping_time(&b.join("directory"), || {
                    fs::remove_file(b.join("directory/link")).unwrap()
                })
            },
            "directory/link",
            Aspect::Missing,
        ),
        (
            |b| keeping_time(b, || fs::write(b.join("more"), b"").unwrap()),
            "more",
            Aspect::Extra,
        ),
        (
            |b| {
                keeping_time(&b.join("directory"), || {
                    fs::remove_file(b.join("directory/other")).unwrap();
                    fs::create_dir(b.join("directory/other")).unwrap();
                })
            },
            "directory/other",
            Aspect::Kind,
        ),
    ];
    for (damage, path, aspect) in cases {
        let scratch = pair();
        damage(&scratch.join("b"));
        let found = aspects(&scratch, &Options::default());
        assert!(
            found.contains(&(path.to_owned(), aspect)),
            "{aspect:?}: {found:?}"
        );
        // The file is met under its second name too.
        assert!(found.iter().all(|(_, other)| *other == aspect), "{found:?}");
    }
}

#[test]
fn a_hard_link_that_became_a_file_of_its_own_is_found_on_request() {
    let scratch = pair();
    let link = scratch.join("b/second name");
    keeping_time(&scratch.join("b"), || {
        let time = fs::metadata(&link).unwrap().modified().unwrap();
        fs::remove_file(&link).unwrap();
        fs::write(&link, vec![7; 300_000]).unwrap();
        fs::File::open(&link).unwrap().set_modified(time).unwrap();
    });
    assert_eq!(aspects(&scratch, &Options::default()), []);
    let found = aspects(&scratch, &Options::everything());
    assert_eq!(found, [("second name".to_owned(), Aspect::HardLinks)]);
}

#[test]
fn a_root_that_is_not_there_is_a_difference() {
    let scratch = pair();
    let found = compare(&scratch.join("a"), &scratch.join("c"), &Options::default());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].aspect, Aspect::Unreadable);
    assert!(found[0].to_string().contains("/c"), "{}", found[0]);
}
