//! A range of a huge file, which another attempt owns: it is written as it should be, or not called done.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use model::options::Verify;
use model::{Durability, FileIdentity, NoRoom, RangeWork};
use rustix::io::Errno;
use testkit::fuse::{Fault, Mounted, Op, SlowFs, WriteLie};
use transfer::{AttemptWork, Stopped};

use crate::support::{Place, Try, path, temp_name, walk};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 9 * MIB + 5;

/// A source, and what its owner has made of it.
fn place() -> (Place, RangeWork, PathBuf) {
    let place = Place::new("range");
    let content: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8 | 1).collect();
    place.write("a/huge", content);
    let temp = temp_name(5, 1, 0);
    let made = place.target("a").join(&temp);
    fs::create_dir(place.target("a")).unwrap();
    fs::File::create(&made).unwrap().set_len(SIZE).unwrap();
    let source = fs::metadata(place.source("a/huge")).unwrap();
    let work = RangeWork {
        file: path("a/huge"),
        identity: FileIdentity {
            inode: source.ino(),
            size: SIZE,
            modified_ns: source.mtime() * 1_000_000_000 + source.mtime_nsec(),
            changed_ns: source.ctime() * 1_000_000_000 + source.ctime_nsec(),
        },
        temp,
        temp_inode: fs::metadata(&made).unwrap().ino(),
        offset: 4 * MIB,
        length: 4 * MIB,
    };
    // What is changed from now on has another time on kernels whose times go by the tick, too.
    thread::sleep(Duration::from_millis(20));
    (place, work, made)
}

fn attempt(work: RangeWork) -> Try {
    let mut attempt = walk();
    attempt.work = AttemptWork::Range(work);
    attempt.options.verify = Verify::Checksum;
    attempt.item = 6;
    attempt
}

#[test]
fn a_range_is_written_and_nothing_else() {
    for (offset, length) in [(0, 4 * MIB), (4 * MIB, 4 * MIB), (8 * MIB, MIB + 5)] {
        let (place, mut work, made) = place();
        (work.offset, work.length) = (offset, length);
        let finished = attempt(work).run(&place).unwrap();
        assert_eq!(finished.outcome.counters, Default::default());
        let source = fs::read(place.source("a/huge")).unwrap();
        let written = fs::read(&made).unwrap();
        let (begin, end) = (offset as usize, (offset + length) as usize);
        assert!(written[begin..end] == source[begin..end]);
        let around = written[..begin].iter().chain(&written[end..]);
        assert!(around.into_iter().all(|&byte| byte == 0));
        assert_eq!(written.len() as u64, SIZE);
    }
}

#[test]
fn a_range_of_what_is_not_as_the_owner_met_it_is_not_called_done() {
    type Spoil = fn(&Place, &PathBuf);
    let spoil: [(&str, Spoil); 7] = [
        ("the source has changed", |place, _| {
            let source = OpenOptions::new().append(true).open(place.source("a/huge"));
            source.unwrap().write_all(b"more").unwrap();
        }),
        ("the source is shorter", |place, _| {
            let source = OpenOptions::new().write(true).open(place.source("a/huge"));
            source.unwrap().set_len(5 * MIB).unwrap();
        }),
        ("missing", |_, made| fs::remove_file(made).unwrap()),
        ("another file", |_, made| {
            let aside = made.with_file_name("aside");
            fs::rename(made, aside).unwrap();
            fs::write(made, "another").unwrap();
        }),
        ("with a name outside", |place, made| {
            fs::hard_link(made, place.root.join("another name")).unwrap();
        }),
        ("a link", |place, made| {
            fs::remove_file(made).unwrap();
            fs::write(place.root.join("outside"), "").unwrap();
            symlink(place.root.join("outside"), made).unwrap();
        }),
        ("a way that is none", |place, _| {
            let there = place.target("there");
            fs::rename(place.target("a"), &there).unwrap();
            symlink(there, place.target("a")).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        let (place, work, made) = place();
        spoil(&place, &made);
        let stopped = attempt(work).run(&place).unwrap_err();
        assert!(matches!(stopped, Stopped::Again(_)), "{what}: {stopped:?}");
        let outside = fs::metadata(place.root.join("outside"));
        assert!(outside.is_ok_and(|meta| meta.len() == 0) == (what == "a link"));
        if let Ok(written) = fs::read(&made) {
            assert!(
                written.iter().all(|&byte| byte == 0) || what == "another file",
                "{what}"
            );
        }
    }
}

#[test]
fn a_source_that_changes_while_a_range_of_it_is_read_is_noticed() {
    // Before it, in it, and so that there is less of it.
    let change: [fn(&fs::File); 3] = [
        |source| source.write_all_at(b"\0", 1).unwrap(),
        |source| source.write_all_at(b"\0", 6 * MIB).unwrap(),
        |source| source.set_len(7 * MIB).unwrap(),
    ];
    for change in change {
        let (place, work, _) = place();
        let source = OpenOptions::new().write(true).open(place.source("a/huge"));
        let source = source.unwrap();
        let asked = AtomicU64::new(0);
        let mut attempt = attempt(work);
        attempt.meddle = Box::new(move || {
            if asked.fetch_add(1, Ordering::Relaxed) == 2 {
                change(&source);
            }
        });
        let stopped = attempt.run(&place).unwrap_err();
        assert!(stopped.to_string().contains("the source"), "{stopped}");
    }
}

#[test]
fn nothing_is_written_that_was_read_after_the_lease() {
    for writes in 0..4 {
        let (place, work, made) = place();
        let mut attempt = attempt(work);
        attempt.writes = writes;
        assert_eq!(attempt.run(&place).unwrap_err(), Stopped::LeaseLost);
        let written = fs::read(&made).unwrap();
        let bytes = written.iter().filter(|&&byte| byte != 0).count() as i64;
        // The first question is before the file is opened, each other one before a MiB.
        assert_eq!(bytes, (writes - 1).max(0) * MIB as i64);
    }
}

/// The target of this place as its file system, which goes wrong when it is told to, shows it.
fn mounted(place: &Place) -> Mounted {
    let point = place.root.join("mount");
    fs::create_dir(&point).unwrap();
    let file_system = SlowFs::over(&place.target("")).attribute_timeout(Duration::ZERO);
    file_system.mount(&point).unwrap()
}

/// A range in a target with this fault, which has fired.
fn ended(fault: Fault, verify: Verify, durability: Durability) -> Result<(), Stopped> {
    let (place, work, _) = place();
    let mounted = mounted(&place);
    let mut attempt = attempt(work);
    attempt.options.verify = verify;
    attempt.options.durability = durability;
    let armed = mounted.arm(fault);
    let finished = attempt.run_between(&place.source(""), mounted.path());
    armed.disarm();
    assert!(armed.fired() > 0 || finished.is_ok(), "{finished:?}");
    finished.map(|_| ())
}

#[test]
fn a_range_for_which_there_is_no_room_is_not_called_done() {
    for (errno, no_room) in [(Errno::NOSPC, NoRoom::Space), (Errno::DQUOT, NoRoom::Quota)] {
        for nth in [1, 3] {
            let fault = Fault::errno(Op::Write, errno).nth(nth);
            let stopped = ended(fault, Verify::None, Durability::Batch).unwrap_err();
            assert_eq!(stopped, Stopped::TargetFull(no_room));
        }
    }
}

#[test]
fn a_range_is_durable_before_it_is_called_done() {
    let fault = || Fault::errno(Op::Fsync, Errno::IO);
    for durability in [Durability::Batch, Durability::File] {
        let stopped = ended(fault(), Verify::None, durability).unwrap_err();
        assert!(matches!(stopped, Stopped::Again(_)), "{stopped:?}");
    }
    // That is what the word says.
    assert_eq!(ended(fault(), Verify::None, Durability::None), Ok(()));
}

#[test]
fn a_range_that_is_stored_otherwise_than_it_was_written_is_not_called_done() {
    for lie in [WriteLie::FlipByte { at: 5 * MIB }, WriteLie::Drop] {
        let stopped = ended(Fault::write(lie), Verify::Checksum, Durability::None);
        let stopped = stopped.unwrap_err().to_string();
        assert!(stopped.contains("read back"), "{stopped}");
    }
}
