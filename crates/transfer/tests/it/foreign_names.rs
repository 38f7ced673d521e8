//! P14: at the target a name of ours is one of an inode that has others, perhaps outside of the root. Nothing is changed under
//! those; and where all its names are ours, nothing is copied again.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use model::found_files::FoundFile;
use model::options::{Preserve, Specials};
use model::{Attribute, Outcome};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use testkit::Scratch;
use testkit::fuse::{Armed, Fault, Mounted, Op, SlowFs};
use transfer::rclone::{Claim, Claims};
use transfer::{AttemptWork, FileWork, Settling};

use crate::support::{Place, path, set_mode, walk};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// All that may not change outside.
fn about(path: impl AsRef<Path>) -> (u32, u32, i64, u64) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.mode(), meta.uid(), meta.mtime(), meta.ino())
}

fn ino(path: impl AsRef<Path>) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// A file of several names in a tree that is copied, with another mode at the source by now.
fn copied_group(names: &[&str]) -> Place {
    let place = Place::new("group");
    place.write(names[0], "same");
    for name in &names[1..] {
        let path = place.source(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(place.source(names[0]), path).unwrap();
    }
    walk().run(&place).unwrap();
    set_mode(&place.source(names[0]), 0o640);
    place
}

/// A file outside that looks like this one of the source, but for its mode.
fn lookalike(place: &Place, name: &str) -> PathBuf {
    let outside = place.root.join("outside");
    fs::write(&outside, "same").unwrap();
    let source = fs::metadata(place.source(name)).unwrap();
    let file = fs::File::open(&outside).unwrap();
    file.set_modified(source.modified().unwrap()).unwrap();
    set_mode(&outside, 0o600);
    outside
}

fn put_in_place(of: &Path, name: &Path) {
    fs::remove_file(name).unwrap();
    fs::hard_link(of, name).unwrap();
}

const MODE: u32 = 0o100_640;

#[test]
fn a_file_whose_names_are_all_in_the_tree_is_not_copied_again() {
    let place = copied_group(&["a/one", "a/two", "b/three"]);
    let before = ino(place.target("a/one"));
    let counters = walk().run(&place).unwrap().outcome.counters;
    assert_eq!(counters.copied_bytes, 0);
    for name in ["a/one", "a/two", "b/three"] {
        let meta = fs::metadata(place.target(name)).unwrap();
        assert_eq!((meta.ino(), meta.mode()), (before, MODE), "{name}");
    }
}

#[test]
fn a_name_outside_counts_for_none_in_the_tree() {
    let place = copied_group(&["a/one", "a/two", "b/three"]);
    // As many names as the source's file has, but one of them is outside.
    let outside = lookalike(&place, "a/one");
    put_in_place(&outside, &place.target("a/one"));
    put_in_place(&outside, &place.target("a/two"));
    fs::remove_file(place.target("b/three")).unwrap();
    assert_eq!(fs::metadata(&outside).unwrap().nlink(), 3);
    let before = about(&outside);
    walk().run(&place).unwrap();
    assert_eq!(about(&outside), before);
    for name in ["a/one", "a/two", "b/three"] {
        let meta = fs::metadata(place.target(name)).unwrap();
        assert_ne!(meta.ino(), before.3);
        assert_eq!((meta.mode(), meta.nlink()), (MODE, 3), "{name}");
    }
}

/// One name is not counted twice where the target takes it for two of the source's.
#[test]
fn a_name_that_stands_for_two_is_one() {
    let place = Place::new("folding-group");
    place.write("one", "same");
    fs::hard_link(place.source("one"), place.source("ONE")).unwrap();
    set_mode(&place.source("one"), 0o640);
    let lower = Scratch::new("folding-lower");
    let target = lower.directory("root");
    let mounted = SlowFs::over(lower.path())
        .folds_case()
        .mount(&place.root.join("target"))
        .unwrap();
    let outside = lookalike(&place, "one");
    let within = lower.join("outside");
    fs::copy(&outside, &within).unwrap();
    set_mode(&within, 0o600);
    let modified = fs::metadata(&outside).unwrap().modified().unwrap();
    fs::File::open(&within)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    fs::hard_link(&within, target.join("one")).unwrap();
    // What changed lately is left alone for that.
    thread::sleep(Duration::from_millis(2_100));
    let before = about(&within);
    let _ = walk().run_between(&place.source(""), &mounted.path().join("root"));
    assert_eq!(about(&within), before);
    mounted.unmount().unwrap();
}

#[test]
fn where_links_are_not_kept_a_file_with_several_names_is_copied_anew() {
    let place = copied_group(&["one", "two"]);
    let outside = lookalike(&place, "one");
    put_in_place(&outside, &place.target("one"));
    let before = about(&outside);
    let mut attempt = walk();
    attempt.options.preserve = Preserve::of([Attribute::Mode, Attribute::Times]);
    attempt.run(&place).unwrap();
    assert_eq!(about(&outside), before);
    assert_eq!(about(place.target("one")).0, MODE);
}

/// By the time that its attributes are set.
#[test]
fn what_rclone_wrote_is_copied_anew_where_it_has_a_name_outside() {
    let place = Place::new("settled");
    place.write("name", "same");
    set_mode(&place.source("name"), 0o640);
    let outside = lookalike(&place, "name");
    fs::hard_link(&outside, place.target("name")).unwrap();
    let before = about(&outside);
    let mut claims = Claims::new(vec![FoundFile {
        path: path("name"),
        size: Some(4),
    }]);
    claims.set(0, Claim::Copied);
    let mut attempt = walk();
    attempt.work = AttemptWork::Settle(vec![path("name")]);
    attempt.files = FileWork::Settle(Arc::new(Settling {
        claims,
        began_secs: 0,
    }));
    let counters = attempt.run(&place).unwrap().outcome.counters;
    assert_eq!((counters.copied, counters.failed), (1, 0));
    assert_eq!(about(&outside), before);
    let copy = about(place.target("name"));
    assert_eq!(copy.0, MODE);
    assert_ne!(copy.3, before.3);
}

/// Makes an entry at a path, of the same kind and content each time.
type Make = fn(&Path);

const KINDS: [(&str, Make); 3] = [
    ("link", |path| symlink("nowhere", path).unwrap()),
    ("pipe", |path| make_special(path, FileType::Fifo)),
    ("device", |path| {
        make_special(path, FileType::CharacterDevice)
    }),
];

fn make_special(path: &Path, kind: FileType) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), makedev(1, 3)).unwrap();
}

#[test]
fn a_link_or_special_file_with_a_name_outside_is_made_anew() {
    for (kind, make) in KINDS {
        for names in [1, 2] {
            let place = Place::new("foreign-special");
            make(&place.source("name"));
            lchown(place.source("name"), Some(1234), Some(1234)).unwrap();
            // A second name of the source's makes the numbers equal.
            for other in 1..names {
                let other = place.source(&format!("other{other}"));
                fs::hard_link(place.source("name"), other).unwrap();
            }
            let outside = place.root.join("outside");
            make(&outside);
            fs::hard_link(&outside, place.target("name")).unwrap();
            let before = about(&outside);
            let mut attempt = walk();
            attempt.options.specials = Specials::Copy;
            attempt.run(&place).unwrap();
            assert_eq!(about(&outside), before, "{kind}, {names}");
            let made = about(place.target("name"));
            assert_eq!(made.1, 1234, "{kind}, {names}");
            assert_ne!(made.3, before.3, "{kind}, {names}");
        }
    }
}

#[test]
fn links_and_special_files_whose_names_are_all_in_the_tree_stay() {
    for (kind, make) in KINDS {
        let place = Place::new("special-group");
        for (root, owner) in [("source", 1234), ("target", 5678)] {
            let root = place.root.join(root);
            make(&root.join("one"));
            fs::hard_link(root.join("one"), root.join("two")).unwrap();
            lchown(root.join("one"), Some(owner), Some(owner)).unwrap();
        }
        let before = ino(place.target("one"));
        let mut attempt = walk();
        attempt.options.specials = Specials::Copy;
        attempt.run(&place).unwrap();
        for name in ["one", "two"] {
            let now = about(place.target(name));
            assert_eq!((now.1, now.3), (1234, before), "{kind}");
        }
    }
}

/// A target whose each look is asked for, with a file outside of it.
struct Asked {
    place: Place,
    lower: Scratch,
    outside: PathBuf,
    mounted: Mounted,
}

impl Asked {
    fn new(make: impl Fn(&Path)) -> Self {
        let place = Place::new("asked");
        let lower = Scratch::new("asked-lower");
        lower.directory("root");
        let outside = lower.join("outside");
        make(&outside);
        make(&place.source("name"));
        lchown(place.source("name"), Some(1234), Some(1234)).unwrap();
        let mounted = SlowFs::over(lower.path())
            .attribute_timeout(Duration::ZERO)
            .entry_timeout(Duration::ZERO)
            .mount(&place.target(""))
            .unwrap();
        Self {
            place,
            lower,
            outside,
            mounted,
        }
    }

    fn root(&self) -> PathBuf {
        self.lower.join("root")
    }

    /// The only entry at the target becomes another name of the one outside.
    fn put_in_place(&self) {
        let entries = fs::read_dir(self.root()).unwrap();
        let entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        put_in_place(&self.outside, &entries[0]);
    }

    fn remove(&self) {
        for entry in fs::read_dir(self.root()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    fn hang(&self, fault: Fault) -> Armed {
        self.mounted.arm(fault)
    }

    /// Copies, and does something meanwhile; then what is outside must be as it was.
    fn under(&self, what: &str, act: impl FnOnce()) -> Outcome {
        let before = about(&self.outside);
        let outcome = thread::scope(|scope| {
            let copy = scope.spawn(|| {
                let mut attempt = walk();
                attempt.options.specials = Specials::Copy;
                attempt.run_between(&self.place.source(""), &self.mounted.path().join("root"))
            });
            act();
            copy.join().unwrap().unwrap().outcome
        });
        assert_eq!(about(&self.outside), before, "{what}");
        outcome
    }
}

fn wait_for(hanging: &Armed, what: &str) {
    assert!(hanging.wait_until_fired(1, PATIENCE), "{what}");
}

const LOOKUP: u64 = 2;
const HOLD: u64 = 3;

/// What was just made is replaced by a name of an outside inode before it is looked at, and before it is held.
#[test]
fn what_is_put_in_place_of_a_new_link_or_special_file_is_not_changed() {
    for (kind, make) in KINDS {
        for lookup in [LOOKUP, HOLD] {
            let asked = Asked::new(make);
            // The first is the kernel's, before it makes the entry.
            let looked_up = Fault::hang(Op::Lookup).name_prefix(".dm.").nth(lookup);
            let looked_up = asked.hang(looked_up);
            let outcome = asked.under(kind, || {
                wait_for(&looked_up, kind);
                asked.put_in_place();
                looked_up.release();
            });
            assert_eq!(outcome.counters.failed, 1, "{kind}, {lookup}");
            assert_eq!(fs::read_dir(asked.root()).unwrap().count(), 0);
        }
    }
}

/// So that the outside inode has one name again when it is looked at.
#[test]
fn what_is_put_in_place_of_a_new_entry_and_goes_again_is_not_changed() {
    for (kind, make) in KINDS {
        let asked = Asked::new(make);
        let held = asked.hang(Fault::hang(Op::Lookup).name_prefix(".dm.").nth(HOLD));
        let outcome = asked.under(kind, || {
            wait_for(&held, kind);
            asked.put_in_place();
            let looked_at = asked.hang(Fault::hang(Op::Getattr).nth(1));
            held.release();
            wait_for(&looked_at, kind);
            asked.remove();
            looked_at.release();
        });
        assert_eq!(outcome.counters.failed, 1, "{kind}");
    }
}

/// Each time the outside inode is looked at it has one name, and each time it is looked up it has ours.
#[test]
fn a_name_that_comes_and_goes_between_looks_is_noticed() {
    let asked = Asked::new(|path| {
        fs::write(path, "same").unwrap();
        let file = fs::File::open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    });
    let ours = asked.root().join("name");
    fs::hard_link(&asked.outside, &ours).unwrap();
    let lookup = || asked.hang(Fault::hang(Op::Lookup).name_prefix("name").nth(1));
    let getattr = || asked.hang(Fault::hang(Op::Getattr).nth(1));
    let looked_up = lookup();
    let outcome = asked.under("repair", || {
        wait_for(&looked_up, "the look by name");
        let looked_at = getattr();
        looked_up.release();
        wait_for(&looked_at, "what it shows");
        fs::remove_file(&ours).unwrap();
        let looked_up = lookup();
        looked_at.release();
        wait_for(&looked_up, "the look for attributes");
        fs::hard_link(&asked.outside, &ours).unwrap();
        let opened = asked.hang(Fault::hang(Op::Open).nth(1));
        looked_up.release();
        wait_for(&opened, "the opening");
        let looked_at = getattr();
        opened.release();
        wait_for(&looked_at, "what is open");
        fs::remove_file(&ours).unwrap();
        looked_at.release();
    });
    assert_eq!(outcome.counters.copied, 1);
    assert_eq!(about(&ours).1, 1234);
}
