//! What the options of a copy change, on file systems that can do what they ask for, and on some that can't.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use model::options::{MetadataPolicy, Sparse, Verify};
use model::{Attribute, Compare, FailureClass, NoRoom};
use rustix::fs::{XattrFlags, setxattr};
use rustix::io::Errno;
use testkit::compare::assert_same_by;
use testkit::fuse::{Fault, Op, SlowFs, WriteLie};
use testkit::mount::LoopMount;
use testkit::tree::{Recipe, make};
use testkit::{Scratch, tool};
use transfer::Stopped;

use crate::support::judge::all_but_root;
use crate::support::{self, Place, Try, assert_same, temps, walk};

const LONG_AGO: Duration = Duration::from_secs(123_456_789);

fn accessed(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().accessed().unwrap()
}

#[test]
fn access_times_are_kept_unless_they_are_not_wanted() {
    let place = Place::new("atime");
    place.write("file", "content");
    let long_ago = SystemTime::UNIX_EPOCH + LONG_AGO;
    let file = File::options().write(true).open(place.source("file"));
    let times = FileTimes::new().set_accessed(long_ago);
    file.unwrap().set_times(times).unwrap();

    let mut without = walk();
    without.options.preserve = without.options.preserve.without(Attribute::Atime);
    without.run(&place).unwrap();
    assert!(accessed(&place.target("file")) > long_ago);
    fs::remove_file(place.target("file")).unwrap();
    walk().run(&place).unwrap();
    assert_eq!(accessed(&place.target("file")), long_ago);
    assert_eq!(
        accessed(&place.source("file")),
        long_ago,
        "reading left a trace"
    );
}

#[test]
fn holes_are_written_as_zeros_where_none_are_wanted() {
    const BYTES: u64 = 8 << 20;
    let place = Place::new("sparse");
    let holes = File::create(place.source("holes")).unwrap();
    holes.write_all_at(b"in the middle", BYTES / 2).unwrap();
    holes.set_len(BYTES).unwrap();
    let on_disk = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    assert!(on_disk(&place.source("holes")) < BYTES / 2);
    let mut never = walk();
    never.options.sparse = Sparse::Never;
    never.run(&place).unwrap();
    assert!(on_disk(&place.target("holes")) >= BYTES);
    assert_same(&place);
}

#[test]
fn always_writes_what_is_equal_too() {
    let place = Place::new("always");
    for name in ["a", "b/c"] {
        place.write(name, "content");
    }
    walk().run(&place).unwrap();
    let inode = || fs::metadata(place.target("b/c")).unwrap().ino();
    let before = inode();
    let mut again = walk();
    again.options.compare = Compare::Always;
    let counters = again.run(&place).unwrap().outcome.counters;
    assert_eq!(counters.copied_files, 2);
    assert_ne!(inode(), before);
    assert_same(&place);
}

/// A target served by [`SlowFs`], over a directory of its own.
struct Served {
    // Before what it is mounted on is removed.
    mounted: testkit::fuse::Mounted,
    place: Place,
    lower: Scratch,
}

impl Served {
    fn by(label: &str, kind: impl FnOnce(SlowFs) -> SlowFs) -> Self {
        let place = Place::new(label);
        let lower = Scratch::new(label);
        let mounted = kind(SlowFs::over(lower.path())).mount(&place.target(""));
        Self {
            place,
            lower,
            mounted: mounted.unwrap(),
        }
    }
}

#[test]
fn a_size_that_is_not_what_was_written_is_found() {
    let served = Served::by("size", |slow| slow);
    served.place.write("file", vec![b'x'; 10_000]);
    let verified = || {
        let mut attempt = walk();
        attempt.options.verify = Verify::Size;
        attempt
    };
    let armed = served.mounted.arm(Fault::write(WriteLie::Truncate));
    let outcome = verified().run(&served.place).unwrap().outcome;
    assert!(armed.fired() > 0);
    assert_eq!(outcome.counters.failed, 1, "{outcome:?}");
    let failure = &outcome.failures[0];
    assert_eq!(failure.class, FailureClass::Retry);
    assert!(failure.error.starts_with("not verified: "), "{failure:?}");
    assert!(!served.lower.join("file").exists());
    armed.disarm();
    let outcome = verified().run(&served.place).unwrap().outcome;
    assert_eq!(outcome.counters.copied, 1, "{outcome:?}");
}

#[test]
fn what_a_target_can_not_hold_is_a_counted_loss_or_a_failure() {
    let served = Served::by("strict", |slow| slow.without(Op::Setxattr));
    let place = &served.place;
    for name in ["plain", "marked"] {
        place.write(name, "content");
    }
    setxattr(
        place.source("marked"),
        "user.mark",
        b"1",
        XattrFlags::empty(),
    )
    .unwrap();
    let by = |policy: MetadataPolicy| -> Try {
        let mut attempt = walk();
        attempt.options.metadata = policy;
        attempt
    };

    let outcome = by(MetadataPolicy::Strict).run(place).unwrap().outcome;
    assert_eq!((outcome.counters.copied, outcome.counters.failed), (1, 1));
    let failure = &outcome.failures[0];
    assert_eq!(failure.path, support::path("marked"));
    let said = "metadata: strict: extended attribute not kept";
    assert!(failure.error.starts_with(said), "{failure:?}");
    assert!(!place.target("marked").exists());
    assert!(temps(&place.target("")).is_empty());

    let outcome = by(MetadataPolicy::Best).run(place).unwrap().outcome;
    assert_eq!((outcome.counters.copied, outcome.counters.failed), (1, 0));
    assert_eq!(outcome.notes["extended attribute not kept"], 1);
    assert!(place.target("marked").exists());
}

#[test]
fn a_target_that_became_read_only_is_no_matter_of_one_file() {
    let served = Served::by("read-only", |slow| slow);
    served.place.write("file", "content");
    let armed = served.mounted.arm(Fault::errno(Op::Create, Errno::ROFS));
    let stopped = walk().run(&served.place).unwrap_err();
    assert!(armed.fired() > 0);
    assert_eq!(stopped, Stopped::TargetFull(NoRoom::ReadOnly));
}

#[test]
fn a_file_on_which_somebody_has_a_lease_is_waited_for() {
    let place = Place::new("leased");
    let lower = Scratch::new("leased");
    fs::write(lower.join("file"), "content").unwrap();
    let mounted = SlowFs::over(lower.path()).mount(&place.source("")).unwrap();
    let armed = mounted.arm(Fault::errno(Op::Open, Errno::AGAIN).nth(1));
    let outcome = walk().run(&place).unwrap().outcome;
    assert_eq!(armed.fired(), 1);
    assert_eq!(outcome.counters.copied, 1, "{outcome:?}");
    assert_eq!(fs::read(place.target("file")).unwrap(), b"content");
}

/// Marks a file so that nobody may change it, until this is dropped.
struct Immutable<'a>(&'a Path);

impl<'a> Immutable<'a> {
    fn mark(path: &'a Path) -> Self {
        tool::run(Command::new("chattr").arg("+i").arg(path)).unwrap();
        Self(path)
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        let _ = tool::run(Command::new("chattr").arg("-i").arg(self.0));
    }
}

#[test]
fn immutable_files_are_left_alone_and_reported() {
    let disk = LoopMount::ext4(16).unwrap();
    let [source, target] = ["source", "target"].map(|name| disk.path().join(name));
    for directory in [&source, &target] {
        fs::create_dir(directory).unwrap();
    }
    for name in ["free", "locked"] {
        fs::write(source.join(name), "content").unwrap();
    }
    let at_source = source.join("locked");
    let outcome = {
        let _marked = Immutable::mark(&at_source);
        walk().run_between(&source, &target).unwrap().outcome
    };
    assert_eq!(outcome.counters.copied, 2, "{outcome:?}");
    let said = "immutable or append-only at the source: not carried over";
    assert_eq!(outcome.notes[said], 1);

    for name in ["free", "locked"] {
        fs::write(source.join(name), "changed").unwrap();
    }
    let at_target = target.join("locked");
    let marked = Immutable::mark(&at_target);
    let outcome = walk().run_between(&source, &target).unwrap().outcome;
    assert_eq!((outcome.counters.copied, outcome.counters.failed), (1, 1));
    let failure = &outcome.failures[0];
    assert!(failure.error.contains("immutable"), "{failure:?}");
    assert_eq!(fs::read(&at_target).unwrap(), b"content");
    assert!(temps(&target).is_empty());
    drop(marked);
    let outcome = walk().run_between(&source, &target).unwrap().outcome;
    assert_eq!(
        (outcome.counters.copied, outcome.counters.unchanged),
        (1, 1)
    );
}

#[test]
fn the_longest_names_one_in_another_arrive() {
    let scratch = Scratch::in_memory("chain");
    let (source, target) = (scratch.join("source"), scratch.directory("target"));
    let recipe = Recipe {
        chain: 40,
        ..Recipe::plain(2, 5)
    };
    let made = make(&source, &recipe, 1).unwrap();
    for expected in [(made.entries(), 0), (0, made.entries())] {
        let outcome = walk().run_between(&source, &target).unwrap().outcome;
        let counters = outcome.counters;
        assert_eq!((counters.copied, counters.unchanged), expected);
        assert_same_by(&source, &target, &all_but_root());
    }
}
