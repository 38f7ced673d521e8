//! `compare: checksum` reads both sides to their ends, however they answer, and nothing else than files.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use model::{Compare, Durability, FailureClass};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use testkit::Scratch;
use testkit::fuse::{Fault, Mounted, Op, ReadLie, SlowFs};

use crate::support::Try;
use crate::support::judge::{Copied, copy};
use crate::support::sweep::attempt;

fn comparing() -> Try {
    let mut attempt = attempt(Durability::None);
    attempt.options.compare = Compare::Checksum;
    attempt
}

/// `source/file` and `target/file` on one file system, of the same size and age.
struct Place {
    scratch: Scratch,
    mounted: Mounted,
}

impl Place {
    fn new(source: &[u8], target: &[u8]) -> Self {
        let scratch = Scratch::in_memory("compared");
        let time = fs::metadata(scratch.path()).unwrap().modified().unwrap();
        for (side, content) in [("source", source), ("target", target)] {
            scratch.directory(format!("lower/{side}"));
            let path = scratch.file(format!("lower/{side}/file"), content);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        }
        let file_system = SlowFs::over(&scratch.join("lower"))
            .direct_io()
            .entry_timeout(Duration::ZERO)
            .threads(4);
        let mounted = file_system.mount(&scratch.directory("mount")).unwrap();
        Self { scratch, mounted }
    }

    fn lower(&self, path: &str) -> PathBuf {
        self.scratch.join("lower").join(path)
    }

    fn copy(&self) -> Copied {
        let [from, to] = ["source", "target"].map(|side| self.mounted.path().join(side));
        copy(comparing, || (), &from, &to).unwrap()
    }
}

#[test]
fn a_short_answer_is_not_taken_for_the_end() {
    let content = [[1; 700], [2; 700]].concat();
    let differs_late = [[1; 700], [3; 700]].concat();
    for (target, unchanged) in [(&content, 1), (&differs_late, 0)] {
        let place = Place::new(&content, target);
        let short = place
            .mounted
            .arm(Fault::read(ReadLie::Short { bytes: 700 }));
        let copied = place.copy();
        assert!(short.fired() > 0);
        assert_eq!(copied.walk.counters.unchanged, unchanged, "{copied:?}");
        assert_eq!(fs::read(place.lower("target/file")).unwrap(), content);
    }
}

#[test]
fn a_file_that_is_a_device_by_now_is_not_read() {
    let place = Place::new(b"source", b"target");
    // It was looked at, and is about to be opened.
    let second_look = Fault::hang(Op::Lookup).name_prefix("file").nth(3);
    let held = place.mounted.arm(second_look);
    let copied = thread::scope(|scope| {
        scope.spawn(|| {
            assert!(held.wait_until_fired(1, Duration::from_secs(60)));
            become_endless(&place.lower("source/file"));
            held.release();
        });
        place.copy()
    });
    assert_eq!(
        copied.walk.failures[0].class,
        FailureClass::Changed,
        "{copied:?}"
    );
    assert_eq!(fs::read(place.lower("target/file")).unwrap(), b"target");
}

/// The file is `/dev/zero` from now on.
fn become_endless(path: &Path) {
    let mode = Mode::from_raw_mode(0o644);
    let device = path.with_extension("device");
    mknodat(CWD, &device, FileType::CharacterDevice, mode, makedev(1, 5)).unwrap();
    fs::rename(&device, path).unwrap();
}
