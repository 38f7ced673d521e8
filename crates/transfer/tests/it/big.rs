//! Big files are done in parts by several threads: they arrive as they are, with their holes, or not at all. The target is
//! on a FUSE mount, since on local file systems only hashing is shared.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use model::options::{Compare, Verify};
use model::{Durability, FailureClass};
use rustix::io::Errno;
use testkit::Scratch;
use testkit::fuse::{CopyLie, Fault, Mounted, Op, ReadLie, SlowFs, WriteLie};
use transfer::{Fence, Finished, Stopped};

use crate::support::judge::{assert_no_temps, wait_until};
use crate::support::{Try, walk};

const MIB: u64 = 1 << 20;
const PART: u64 = 64 * MIB;

/// Written where a file has data; as long as what is told apart as a hole.
const DATA: u64 = 64 << 10;

/// A file of this size, with data at these places alone.
fn make(path: &Path, size: u64, data_at: impl IntoIterator<Item = u64>) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for begin in data_at {
        let length = DATA.min(size - begin) as usize;
        let content: Vec<u8> = (0..length as u64)
            .map(|at| ((begin + at) % 251) as u8 | 1)
            .collect();
        file.write_all_at(&content, begin).unwrap();
    }
}

/// Source and target below a mount; what is in them is judged past it.
struct Place {
    scratch: Scratch,
    mounted: Mounted,
}

impl Place {
    fn new(label: &str) -> Self {
        let scratch = Scratch::in_memory(label);
        let lower = scratch.directory("lower");
        fs::create_dir(lower.join("source")).unwrap();
        fs::create_dir(lower.join("target")).unwrap();
        let file_system = SlowFs::over(&lower)
            .attribute_timeout(Duration::ZERO)
            .direct_io()
            .threads(6);
        let mounted = file_system.mount(&scratch.directory("mount")).unwrap();
        Self { scratch, mounted }
    }

    fn source(&self, name: &str) -> PathBuf {
        self.scratch.join("lower/source").join(name)
    }

    fn target(&self, name: &str) -> PathBuf {
        self.scratch.join("lower/target").join(name)
    }

    fn run(&self, attempt: Try) -> Result<Finished, Stopped> {
        let mounted = |side| self.scratch.join("mount").join(side);
        attempt.run_between(&mounted("source"), &mounted("target"))
    }

    /// The kernel is not told that source and target are of one file system.
    fn run_from_below(&self, attempt: Try) -> Result<Finished, Stopped> {
        attempt.run_between(&self.source(""), &self.scratch.join("mount/target"))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let status = Command::new("cmp").arg("-s").arg(one).arg(other).status();
    status.unwrap().success()
}

fn attempt(verify: Verify) -> Try {
    let mut attempt = walk();
    attempt.options.verify = verify;
    attempt
}

/// The beginning of each part, but for the `n`-th of each so many.
fn parts_but(size: u64, nth: u64, of: u64) -> Vec<u64> {
    let parts = (0..size.div_ceil(PART)).filter(|part| part % of != nth);
    parts.map(|part| part * PART).collect()
}

fn last_block(size: u64) -> u64 {
    (size - 1) / DATA * DATA
}

#[test]
fn a_file_in_parts_is_the_file_with_its_holes() {
    for verify in [Verify::None, Verify::Checksum] {
        let place = Place::new("parts");
        let mut names = Vec::new();
        for parts in [2, 3, 4] {
            for size in [parts * PART - 1, parts * PART, parts * PART + 1] {
                let shapes = [
                    ("only a hole", vec![]),
                    ("a hole at the end", vec![0]),
                    ("a hole at first", vec![last_block(size)]),
                    ("holes by turns", parts_but(size, 1, 2)),
                    ("around borders", vec![PART - DATA, PART]),
                ];
                for (shape, data) in shapes {
                    let name = format!("{size} {shape}");
                    make(&place.source(&name), size, data);
                    names.push(name);
                }
            }
        }
        place.run(attempt(verify)).unwrap();
        for name in names {
            let (source, target) = (place.source(&name), place.target(&name));
            assert!(is_same(&source, &target), "{name} {verify:?}");
            let blocks = |path: &Path| fs::metadata(path).unwrap().blocks();
            assert_eq!(blocks(&source), blocks(&target), "{name} {verify:?}");
        }
    }
}

#[test]
fn a_file_that_is_nearly_all_hole_takes_no_time() {
    let place = Place::new("hole");
    let size = 1 << 42;
    make(&place.source("file"), size, [0, size / 2, size - DATA]);
    place.run(attempt(Verify::None)).unwrap();
    let (source, target) = (place.source("file"), place.target("file"));
    let meta = fs::metadata(&target).unwrap();
    assert_eq!(meta.len(), size);
    assert_eq!(meta.blocks(), fs::metadata(&source).unwrap().blocks());
    let (source, target) = (File::open(source).unwrap(), File::open(target).unwrap());
    for begin in [0, size / 2, size - DATA] {
        let read = |file: &File| {
            let mut content = vec![0; DATA as usize];
            file.read_exact_at(&mut content, begin).unwrap();
            content
        };
        assert_eq!(read(&source), read(&target));
    }
}

/// Lets nobody write a part before two threads want to at once.
#[derive(Default)]
struct Two {
    /// The file is made, and gets its size, by one.
    asked: AtomicU64,
    threads: Mutex<HashSet<ThreadId>>,
}

impl Two {
    fn threads(&self) -> usize {
        self.threads.lock().unwrap().len()
    }
}

impl Fence for Two {
    fn is_open(&self) -> bool {
        true
    }

    fn may_write(&self) -> bool {
        if self.asked.fetch_add(1, Ordering::SeqCst) >= 2 {
            self.threads.lock().unwrap().insert(thread::current().id());
            wait_until("another thread", || self.threads() >= 2);
        }
        true
    }
}

#[test]
fn threads_that_have_nothing_else_to_do_help() {
    for verify in [Verify::None, Verify::Checksum] {
        let place = Place::new("help");
        make(&place.source("file"), 4 * PART, parts_but(4 * PART, 9, 10));
        let threads = Arc::<Two>::default();
        let mut attempt = attempt(verify);
        attempt.fence = Some(threads.clone());
        attempt.threads = 2;
        place.run(attempt).unwrap();
        assert_eq!(threads.threads(), 2, "{verify:?}");
        assert!(is_same(&place.source("file"), &place.target("file")));
    }
}

/// An attempt that does something when the fence is asked for the `nth` time.
fn meddled(nth: u64, meddle: impl Fn() + Send + Sync + 'static) -> (Try, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let mut attempt = walk();
    attempt.meddle = Box::new(move || {
        if count.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            meddle();
        }
    });
    (attempt, asked)
}

#[test]
fn a_source_that_gets_another_size_meanwhile_arrives_as_it_is_in_the_end() {
    for (now, durability) in [
        (3 * PART - 5, Durability::None),
        (PART / 2, Durability::None),
        (5 * PART + 1, Durability::None),
        (PART + 1, Durability::Batch),
        (5 * PART, Durability::Batch),
    ] {
        let place = Place::new("resized");
        let source = place.source("file");
        make(&source, 4 * PART, parts_but(4 * PART, 9, 10));
        let resized = source.clone();
        let (mut attempt, asked) = meddled(5, move || {
            let file = OpenOptions::new().write(true).open(&resized).unwrap();
            file.set_len(now).unwrap();
        });
        attempt.options.durability = durability;
        let finished = place.run(attempt).unwrap();
        assert!(asked.load(Ordering::SeqCst) > 5);
        assert_eq!(finished.outcome.counters.copied_files, 1, "{finished:?}");
        assert_eq!(finished.outcome.counters.copied_bytes, now);
        assert!(is_same(&source, &place.target("file")), "{now}");
        assert_no_temps(&place.target(""), "resized");
    }
}

#[test]
fn a_source_that_never_holds_still_has_changed() {
    let place = Place::new("restless");
    let source = place.source("file");
    make(&source, 3 * PART, parts_but(3 * PART, 9, 10));
    let mut attempt = walk();
    let restless = OpenOptions::new().write(true).open(&source).unwrap();
    let n = AtomicU64::new(0);
    attempt.meddle = Box::new(move || {
        let size = 3 * PART + n.fetch_add(1, Ordering::SeqCst);
        restless.set_len(size).unwrap();
    });
    let finished = place.run(attempt).unwrap();
    assert_eq!(finished.outcome.failures.len(), 1, "{finished:?}");
    assert_eq!(finished.outcome.failures[0].class, FailureClass::Changed);
    assert!(!place.target("file").exists());
    assert_no_temps(&place.target(""), "restless");
}

#[test]
fn wherever_an_attempt_ends_nothing_has_its_name_and_the_next_completes_it() {
    // Asked: before it is made, sized, written in each part, given its attributes, renamed.
    let mut ended = 0;
    for writes in 0.. {
        let place = Place::new("ended");
        make(&place.source("file"), 4 * PART, parts_but(4 * PART, 1, 4));
        let mut attempt = walk();
        attempt.writes = writes;
        match place.run(attempt) {
            Ok(_) => break,
            Err(stopped) => assert_eq!(stopped, Stopped::LeaseLost, "{writes}"),
        }
        ended += 1;
        assert!(!place.target("file").exists(), "{writes}");
        let mut next = walk();
        next.epoch = 2;
        place.run(next).unwrap();
        assert!(is_same(&place.source("file"), &place.target("file")));
        assert_no_temps(&place.target(""), "ended");
    }
    assert!(ended >= 6, "{ended}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    Through,
    FromBelow,
}

/// How often the fault fired, whether the file is there, whole, and what was told.
fn with_fault(fault: Fault, verify: Verify, goes: Goes) -> (u64, bool, String) {
    let place = Place::new("big-fault");
    let (source, target) = (place.source("file"), place.target("file"));
    let data = (0..3).flat_map(|at| [at * PART, at * PART + 32 * MIB]);
    make(&source, 3 * PART, data);
    let armed = place.mounted.arm(fault);
    let finished = match goes {
        Goes::Through => place.run(attempt(verify)),
        Goes::FromBelow => place.run_from_below(attempt(verify)),
    };
    let is_there = target.exists();
    assert!(!is_there || is_same(&source, &target), "{finished:?}");
    let is_told = match &finished {
        Ok(finished) => finished.outcome.counters.failed == u64::from(!is_there),
        Err(_) => !is_there,
    };
    assert!(is_told, "{finished:?}");
    assert_no_temps(&place.target(""), "fault");
    (armed.fired(), is_there, format!("{finished:?}"))
}

#[test]
fn an_error_in_one_part_fails_the_file_and_is_told() {
    for nth in [1, 3, 6] {
        for errno in [Errno::IO, Errno::NOSPC] {
            let fault = Fault::errno(Op::Write, errno).nth(nth);
            let (fired, is_there, ended) = with_fault(fault, Verify::None, Goes::FromBelow);
            assert_eq!((fired, is_there), (1, false), "{nth} {errno} {ended}");
        }
    }
    // One that comes in the middle of what is asked for looks like a short answer: so all that follow fail, too.
    let fault = Fault::errno(Op::Read, Errno::IO).from_nth(4);
    let (fired, is_there, ended) = with_fault(fault, Verify::Checksum, Goes::Through);
    assert!(fired > 0 && !is_there, "{ended}");
}

#[test]
fn what_one_part_is_read_back_as_is_written_again() {
    for nth in [2, 5] {
        let fault = Fault::write(WriteLie::FlipByte { at: 9 }).nth(nth);
        let (fired, is_there, ended) = with_fault(fault, Verify::Checksum, Goes::FromBelow);
        assert_eq!((fired, is_there), (1, true), "{nth} {ended}");
    }
}

#[test]
fn one_byte_that_differs_in_any_part_is_found_where_both_sides_are_read() {
    let place = Place::new("compared");
    let (source, target) = (place.source("file"), place.target("file"));
    make(&source, 3 * PART + 1, parts_but(3 * PART + 1, 9, 10));
    place.run(attempt(Verify::None)).unwrap();
    let times = fs::metadata(&target).unwrap().modified().unwrap();
    let again = || {
        let mut again = attempt(Verify::None);
        again.options.compare = Compare::Checksum;
        place.run(again).unwrap().outcome.counters
    };
    assert_eq!(again().unchanged, 1);
    for at in [0, PART - 1, PART, 2 * PART + 5, 3 * PART] {
        let file = OpenOptions::new().write(true).open(&target).unwrap();
        file.write_all_at(&[0xff], at).unwrap();
        file.set_modified(times).unwrap();
        assert_eq!(again().copied_files, 1, "{at}");
        assert!(is_same(&source, &target), "{at}");
    }
}

#[test]
fn answers_that_are_short_in_the_middle_are_read_on() {
    for (fault, verify) in [
        (
            Fault::copy(CopyLie::Short { bytes: 0 }).every_nth(2),
            Verify::None,
        ),
        (
            Fault::copy(CopyLie::Short { bytes: 4_097 }).nth(3),
            Verify::None,
        ),
        (
            Fault::read(ReadLie::Short { bytes: 70_001 }).every_nth(2),
            Verify::Checksum,
        ),
    ] {
        let (fired, is_there, ended) = with_fault(fault.clone(), verify, Goes::Through);
        assert!(fired > 0 && is_there, "{fault:?} {ended}");
    }
}
