//! P11: files that are rewritten, emptied and appended to while they are copied. Each that is called copied is one version
//! of its file, each other is told as changed; and when all hold still, the next copy is right.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::options::Verify;
use model::{Durability, FailureClass};
use testkit::Scratch;
use testkit::compare::assert_same_by;
use testkit::fuse::{Mounted, Op, SlowFs};

use crate::changing::{Changing, is_one_version};
use crate::support::judge::{
    all_but_root, as_path, assert_completed, assert_no_temps, copy, entries, number, wait_until,
};
use crate::support::sweep::attempt;

/// Copied at once, so that each changes now and then in that time.
const FILES_AT_ONCE: u64 = 45;

fn torn(target: &Path) -> Vec<PathBuf> {
    let is_torn = |path: &PathBuf| !is_one_version(&fs::read(target.join(path)).unwrap());
    entries(target).into_keys().filter(is_torn).collect()
}

#[test]
fn whatever_is_called_copied_is_one_version() {
    let place = Changing::new("changing", FILES_AT_ONCE);
    let wanted = number("CHANGING_FILES", 200);
    let (mut copied, mut told_as_changed) = (0, 0);
    let durabilities = [Durability::None, Durability::Batch, Durability::File];
    for round in 0.. {
        let target = place.target(&format!("target{round}"));
        let attempt = || {
            let mut attempt = attempt(durabilities[round % 3]);
            attempt.options.verify = [Verify::None, Verify::Checksum][round / 3 % 2];
            attempt
        };
        let outcome = place.meanwhile(|| copy(attempt, || (), &place.source(), &target));
        let outcome = outcome.unwrap().walk;
        let about = format!("round {round}: {outcome:?}");
        assert_no_temps(&target, &about);
        assert_eq!(torn(&target), Vec::<PathBuf>::new(), "{about}");
        let is_changed = |failure: &model::Failure| failure.class == FailureClass::Changed;
        assert!(outcome.failures.iter().all(is_changed), "{about}");
        // What is told as changed is not there, and all else is.
        let changed = outcome
            .failures
            .iter()
            .map(|failure| as_path(&failure.path));
        let changed: BTreeSet<PathBuf> = changed.collect();
        let missing = entries(&place.source()).into_keys();
        let missing: BTreeSet<PathBuf> =
            missing.filter(|path| !target.join(path).exists()).collect();
        assert_eq!(changed, missing, "{about}");
        copied += outcome.counters.copied_files;
        told_as_changed += outcome.counters.failed;
        assert_completed(attempt, &place.source(), &target, &about);
        assert_same_by(&place.source(), &target, &all_but_root());
        fs::remove_dir_all(&target).unwrap();
        if copied >= wanted {
            break;
        }
    }
    println!(
        "{copied} files copied, {told_as_changed} told as changed, {} changes",
        place.changes()
    );
}

#[test]
fn a_copier_that_looks_but_once_is_caught() {
    let place = Changing::new("unnoticed", FILES_AT_ONCE);
    let target = place.target("target");
    let begun = Instant::now();
    while torn(&target).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} changes",
            place.changes()
        );
        place.meanwhile(|| {
            for path in entries(&place.source()).into_keys() {
                fs::copy(place.source().join(&path), target.join(&path)).unwrap();
            }
        });
    }
}

/// A server whose clock ticks in seconds: a file that is changed, read, and changed again within one looks the same
/// before and after.
struct Coarse {
    mounted: Mounted,
    lower: PathBuf,
    scratch: Scratch,
}

/// Whether a change came when it was to come.
struct Changed {
    in_the_copy: bool,
    /// As the file's making.
    in_one_second: bool,
}

impl Coarse {
    fn new() -> Self {
        let scratch = Scratch::in_memory("coarse");
        let lower = scratch.directory("source");
        let slow = SlowFs::over(&lower)
            .whole_seconds()
            .attribute_timeout(Duration::ZERO)
            .metadata_delay(Duration::from_millis(50));
        let mounted = slow.mount(&scratch.directory("mount")).unwrap();
        Self {
            mounted,
            lower,
            scratch,
        }
    }

    /// Makes a file at the beginning of a second, and changes it between its next read and the look after that, if the
    /// machine is not too busy.
    fn change_when_read(&self, copy: impl FnOnce()) -> Changed {
        let file = self.lower.join("file");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // The kernel's clock for files is behind by up to a tick.
        let tick = Duration::from_millis(20);
        thread::sleep(
            Duration::from_secs(1) + tick - Duration::from_nanos(now.subsec_nanos().into()),
        );
        fs::write(&file, "before").unwrap();
        let second = || fs::metadata(&file).unwrap().ctime();
        let first = second();
        let reads = self.mounted.counters().get(Op::Read);
        let is_over = AtomicBool::new(false);
        let in_the_copy = thread::scope(|scope| {
            let changer = scope.spawn(|| {
                wait_until("it is read", || {
                    self.mounted.counters().get(Op::Read) > reads
                });
                // The request has come in: now it is answered, and the look after it takes longer.
                thread::sleep(Duration::from_millis(10));
                let lower = fs::File::options().write(true).open(&file).unwrap();
                lower.write_all_at(b"after!", 0).unwrap();
                !is_over.load(Ordering::SeqCst)
            });
            copy();
            is_over.store(true, Ordering::SeqCst);
            changer.join().unwrap()
        });
        Changed {
            in_the_copy,
            in_one_second: first == second(),
        }
    }
}

#[test]
fn a_change_in_the_same_tick_of_a_coarse_clock_is_not_missed() {
    let coarse = Coarse::new();
    let target = coarse.scratch.directory("target");
    let was_in_time = (0..30).any(|_| {
        let changed = coarse.change_when_read(|| {
            let attempt = attempt(Durability::None);
            let finished = attempt.run_between(coarse.mounted.path(), &target).unwrap();
            assert_eq!(finished.outcome.counters.failed, 0, "{finished:?}");
        });
        changed.in_the_copy
    });
    assert!(was_in_time);
    assert_eq!(fs::read(target.join("file")).unwrap(), b"after!");
}

#[test]
fn a_copier_that_trusts_such_a_clock_is_caught() {
    let coarse = Coarse::new();
    let file = coarse.mounted.path().join("file");
    let look = || {
        let meta = fs::metadata(&file).unwrap();
        (meta.size(), meta.mtime(), meta.ctime(), meta.ino())
    };
    let mut noticed = true;
    let mut content = Vec::new();
    // On a busy machine the second may be over before the change.
    let is_unnoticed = (0..30).any(|_| {
        let changed = coarse.change_when_read(|| {
            let before = look();
            content = fs::read(&file).unwrap();
            noticed = look() != before;
        });
        changed.in_one_second && !noticed && content == b"before"
    });
    assert!(is_unnoticed);
}
