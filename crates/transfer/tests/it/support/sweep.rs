//! A small tree of everything, copied again and again while one call goes wrong on one side.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::options::Specials;
use model::{Durability, FailureClass};
use rustix::io::Errno;
use testkit::Scratch;
use testkit::compare::Options;
use testkit::fuse::{Armed, Fault, Mounted, Op, SlowFs};
use testkit::tree::{Recipe, make};
use transfer::Stopped;

use super::judge::{
    Copied, all_but_root, assert_completed, assert_honest, assert_no_temps, copy, number,
};
use super::{Try, walk};

pub const ERRORS: [Errno; 7] = [
    Errno::IO,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::STALE,
    Errno::MFILE,
    Errno::NAMETOOLONG,
    Errno::INTR,
];

/// Which side goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    Source,
    Target,
}

/// A bit of everything, and small: it is copied hundreds of times.
pub fn recipe() -> Recipe {
    Recipe {
        directories: 6,
        empty_directories: 1,
        files: 12,
        sparse_files: 1,
        big_files: 1,
        big_file_bytes: (2 << 20) + 1,
        hard_links: 3,
        symlinks: 5,
        symlink_hard_links: 1,
        specials: 2,
        devices: 2,
        odd_attributes: true,
        extended_attributes: true,
        longest_value_bytes: 500,
        acls: true,
        ..Recipe::default()
    }
}

/// A source and room for targets, one of them on a file system that goes wrong when it is told to, and of which the
/// kernel remembers nothing.
pub struct Place {
    scratch: Scratch,
    pub mounted: Arc<Mounted>,
    bad: Bad,
    pub judged_by: Options,
}

impl Place {
    pub fn new(label: &str, bad: Bad, recipe: &Recipe) -> Self {
        let scratch = Scratch::in_memory(label);
        let lower = match bad {
            Bad::Source => scratch.directory("source"),
            Bad::Target => scratch.directory("targets"),
        };
        make(&scratch.join("source"), recipe, 5).unwrap();
        let file_system = SlowFs::over(&lower)
            .attribute_timeout(Duration::ZERO)
            .entry_timeout(Duration::ZERO)
            .threads(6);
        // Else the kernel hides that a read failed by making it again.
        let file_system = match bad {
            Bad::Source => file_system.direct_io(),
            Bad::Target => file_system,
        };
        // What changed just now is looked at more often.
        std::thread::sleep(Duration::from_millis(2_100));
        let mounted = file_system.mount(&scratch.directory("mount")).unwrap();
        Self {
            scratch,
            mounted: Arc::new(mounted),
            bad,
            judged_by: all_but_root(),
        }
    }

    /// The source as it lies on the disk.
    pub fn true_source(&self) -> PathBuf {
        self.scratch.join("source")
    }

    /// The source as the engine sees it.
    pub fn source(&self) -> PathBuf {
        match self.bad {
            Bad::Source => self.mounted.path().to_owned(),
            Bad::Target => self.true_source(),
        }
    }

    /// An empty target, as it lies on the disk.
    pub fn true_target(&self, name: &str) -> PathBuf {
        self.scratch.directory(format!("targets/{name}"))
    }

    /// The same as the engine sees it.
    pub fn target(&self, name: &str) -> PathBuf {
        match self.bad {
            Bad::Source => self.scratch.join(format!("targets/{name}")),
            Bad::Target => self.mounted.path().join(name),
        }
    }

    /// Copies with a fault at work from the moment at which the roots are open.
    pub fn copy_with(&self, fault: Fault, attempt: impl Fn() -> Try, name: &str) -> Ended {
        let armed = Arc::new(OnceLock::new());
        let (mounted, hold) = (Arc::clone(&self.mounted), Arc::clone(&armed));
        let begin = move || {
            hold.get_or_init(|| mounted.arm(fault));
        };
        let true_target = self.true_target(name);
        let result = copy(attempt, begin, &self.source(), &self.target(name));
        let armed = armed.get().expect("it was armed").clone();
        armed.disarm();
        let roots = [&self.true_source(), &true_target];
        assert_honest(&result, roots, &self.judged_by, name);
        Ended { result, armed }
    }

    /// The next attempt completes what is there, which is removed then.
    pub fn complete(&self, attempt: impl Fn() -> Try, name: &str) {
        assert_completed(attempt, &self.source(), &self.target(name), name);
        testkit::compare::assert_same_by(
            &self.true_source(),
            &self.true_target(name),
            &self.judged_by,
        );
        // Through the mount, which then forgets what it held.
        fs::remove_dir_all(self.target(name)).unwrap();
    }

    /// How many requests of each kind a copy without faults makes.
    pub fn requests_of_a_copy(&self, attempt: impl Fn() -> Try) -> Vec<u64> {
        let true_target = self.true_target("whole");
        self.mounted.counters().reset();
        let result = copy(attempt, || (), &self.source(), &self.target("whole"));
        let counters = self.mounted.counters();
        let counts = Op::ALL.iter().map(|op| counters.get(*op)).collect();
        assert!(
            result.as_ref().is_ok_and(Copied::claims_success),
            "{result:?}"
        );
        let roots = [&self.true_source(), &true_target];
        assert_honest(&result, roots, &self.judged_by, "without faults");
        counts
    }
}

/// A copy that met a fault.
pub struct Ended {
    pub result: Result<Copied, Stopped>,
    pub armed: Armed,
}

impl Ended {
    pub fn claims_success(&self) -> bool {
        self.result.as_ref().is_ok_and(Copied::claims_success)
    }
}

pub fn attempt(durability: Durability) -> Try {
    let mut attempt = walk();
    attempt.options.durability = durability;
    attempt.options.specials = Specials::Copy;
    attempt
}

/// Which of `count` requests get an error: the first, the last, and some in between.
fn places(count: u64, wanted: u64) -> BTreeSet<u64> {
    let step = |at: u64| 1 + at * (count - 1) / (wanted - 1).max(1);
    (0..wanted).filter(|_| count > 0).map(step).collect()
}

/// Goes through the calls of these kinds, of each `FAULT_POINTS` with `FAULT_KINDS` of the errors. Of `telling` kinds
/// an error must not be lost.
pub fn sweep(bad: Bad, ops: &[Op], telling: &[Op], durability: Durability) {
    let place = Place::new("sweep", bad, &recipe());
    let counts = place.requests_of_a_copy(|| attempt(durability));
    let (points, kinds) = (number("FAULT_POINTS", 3), number("FAULT_KINDS", 1));
    let mut kind = ERRORS.iter().cycle();
    let (mut rounds, mut fired) = (0, 0);
    for op in ops {
        let count = counts[*op as usize];
        if count == 0 {
            println!("{op}: none");
        }
        for nth in places(count, points) {
            for errno in kind.by_ref().take(kinds as usize) {
                let name = format!("{op}-{nth}-of-{count}-{errno:?}").replace(' ', "-");
                let fault = Fault::errno(*op, *errno).nth(nth);
                let ended = place.copy_with(fault, || attempt(durability), &name);
                assert_no_temps(&place.true_target(&name), &name);
                assert_class(bad, *errno, telling.contains(op), &ended, &name);
                place.complete(|| attempt(durability), &name);
                fired += u64::from(ended.armed.fired() > 0);
                rounds += 1;
            }
        }
    }
    println!("{rounds} errors, {fired} of them fired");
    assert!(fired * 10 >= rounds * 8, "{fired} of {rounds}");
}

/// What the error is called: a full target stops the attempt, all else fails an entry or has the attempt run again.
#[track_caller]
fn assert_class(bad: Bad, errno: Errno, is_telling: bool, ended: &Ended, about: &str) {
    let is_full = bad == Bad::Target && [Errno::NOSPC, Errno::DQUOT].contains(&errno);
    let class = match errno {
        Errno::NAMETOOLONG => FailureClass::GiveUp,
        _ => FailureClass::Retry,
    };
    match &ended.result {
        Ok(copied) => {
            for failure in copied.failures() {
                let is_directory = failure.class == FailureClass::Unreadable;
                assert!(
                    failure.class == class || is_directory,
                    "{about}: {failure:?}"
                );
                assert!(!is_full, "{about}: {failure:?}");
            }
        }
        Err(Stopped::TargetFull(_)) => assert!(is_full, "{about}"),
        // No file system answers a question so.
        Err(Stopped::Again(why)) => {
            assert!(!why.starts_with("internal"), "{about}: {why}");
            assert!(!is_full || !is_telling, "{about}");
        }
        Err(stopped) => panic!("{about}: {stopped}"),
    }
    // An interrupted call is made again, a process that is short of descriptors waits, the kernel looks again at what
    // was stale.
    let heals = [Errno::INTR, Errno::MFILE, Errno::STALE].contains(&errno);
    let must_be_told = is_telling && !heals && ended.armed.fired() > 0;
    assert!(
        !(must_be_told && ended.claims_success()),
        "{about}: nobody noticed: {:?}",
        ended.result
    );
}

/// Without these nothing can be removed, so that temps stay until the next attempt.
const NEEDED_TO_REMOVE: [Op; 4] = [Op::Lookup, Op::Getattr, Op::Opendir, Op::Readdir];

/// Copies while every so-manieth call of these kinds fails, then without that.
pub fn go_on_failing(bad: Bad, ops: &[Op], errno: Errno) {
    let mut place = Place::new("failing", bad, &recipe());
    for op in ops {
        for step in [1, 2, 5] {
            let name = format!("{op}-every-{step}-{errno:?}").replace(' ', "-");
            let fault = Fault::errno(*op, errno).every_nth(step);
            place.judged_by.extra_entries_allowed =
                bad == Bad::Target && NEEDED_TO_REMOVE.contains(op);
            let ended = place.copy_with(fault, || attempt(Durability::None), &name);
            place.judged_by.extra_entries_allowed = false;
            let seen = ended.armed.seen();
            assert_eq!(
                ended.armed.fired(),
                seen / step,
                "{name}: each of its turns"
            );
            place.complete(|| attempt(Durability::None), &name);
        }
    }
}

/// The path of the first file of `bytes` and more.
pub fn a_large_file(root: &Path, bytes: u64) -> PathBuf {
    let entries = super::judge::entries(root).into_keys();
    let mut paths = entries.map(|path| root.join(path));
    let is_large = |path: &PathBuf| {
        let about = fs::symlink_metadata(path).unwrap();
        about.is_file() && about.len() >= bytes
    };
    paths.find(is_large).expect("there is one")
}
