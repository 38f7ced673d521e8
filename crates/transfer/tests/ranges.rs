//! A range of a huge file, which another attempt owns: it is written as it should be, or not called done.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use model::options::Verify;
use model::{FileIdentity, ItemId, RangeSizes, RangeState, RangeWork};
use support::{Place, Try, path, temp_name, walk};
use transfer::{AttemptWork, NotTaken, Share, Stopped, Unbegun};

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
    let spoil: [(&str, Spoil); 5] = [
        ("the source has changed", |place, _| {
            let source = OpenOptions::new().append(true).open(place.source("a/huge"));
            source.unwrap().write_all(b"more").unwrap();
        }),
        ("missing", |_, made| fs::remove_file(made).unwrap()),
        ("another file", |_, made| {
            let aside = made.with_file_name("aside");
            fs::rename(made, aside).unwrap();
            fs::write(made, "another").unwrap();
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
    let (place, work, _) = place();
    let source = OpenOptions::new()
        .write(true)
        .open(place.source("a/huge"))
        .unwrap();
    let asked = AtomicU64::new(0);
    let mut attempt = attempt(work);
    attempt.meddle = Box::new(move || {
        if asked.fetch_add(1, Ordering::Relaxed) == 2 {
            source.write_all_at(b"\0", 1).unwrap();
        }
    });
    let stopped = attempt.run(&place).unwrap_err();
    assert!(stopped.to_string().contains("changed"), "{stopped}");
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

type Perform = dyn Fn(&[RangeWork]) + Send + Sync;

/// Others, which do with ranges what the test says.
struct Others {
    states: Mutex<Vec<Vec<RangeState>>>,
    handed: Mutex<mpsc::Sender<Vec<RangeWork>>>,
    /// Does what they do when the owner asks the first time.
    perform: Box<Perform>,
    ranges: Mutex<Vec<RangeWork>>,
}

impl Share for Others {
    fn is_wanted(&self) -> bool {
        self.ranges.lock().unwrap().is_empty()
    }

    fn hand_over(&self, _: &[Unbegun]) -> Result<(), NotTaken> {
        Err(NotTaken)
    }

    fn ranges(&self) -> Option<RangeSizes> {
        Some(RangeSizes {
            split_file_bytes: 8 * MIB,
            range_bytes: MIB,
        })
    }

    fn wants_ranges(&self) -> bool {
        true
    }

    fn hand_over_ranges(&self, ranges: Vec<RangeWork>) -> Result<Vec<ItemId>, NotTaken> {
        *self.ranges.lock().unwrap() = ranges.clone();
        let ids = (1..=ranges.len() as u64).map(ItemId::from_random).collect();
        let _ = self.handed.lock().unwrap().send(ranges);
        Ok(ids)
    }

    fn take_back(&self, ids: &[ItemId], is_given_up: bool) -> Result<Vec<RangeState>, NotTaken> {
        (self.perform)(&self.ranges.lock().unwrap());
        let mut states = self.states.lock().unwrap();
        Ok(match (is_given_up, states.pop()) {
            (false, Some(states)) => states[..ids.len()].to_vec(),
            _ => vec![RangeState::TakenBack; ids.len()],
        })
    }
}

/// What became of a file of which others did some ranges; what they were given.
fn owned(
    place: &Place,
    states: Vec<Vec<RangeState>>,
    perform: impl Fn(&[RangeWork]) + Send + Sync + 'static,
) -> (model::Counters, Vec<RangeWork>) {
    let (handed, ranges) = mpsc::channel();
    let mut attempt = walk();
    attempt.options.verify = Verify::Checksum;
    attempt.share = Arc::new(Others {
        states: Mutex::new(states),
        handed: Mutex::new(handed),
        perform: Box::new(perform),
        ranges: Mutex::default(),
    });
    let finished = attempt.run(place).unwrap();
    (finished.outcome.counters, ranges.recv().unwrap())
}

fn whole() -> (Place, Vec<u8>) {
    let place = Place::new("owner");
    let content: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8 | 1).collect();
    place.write("huge", &content);
    (place, content)
}

#[test]
fn what_comes_back_is_done_by_the_owner() {
    let (place, content) = whole();
    let (counters, ranges) = owned(&place, Vec::new(), |_| ());
    assert!(!ranges.is_empty());
    assert!(ranges.iter().all(|range| range.offset % MIB == 0));
    assert!(content == fs::read(place.target("huge")).unwrap());
    assert_eq!((counters.copied_files, counters.copied_bytes), (1, SIZE));
    support::judge::assert_no_temps(&place.target(""), "the owner");
}

#[test]
fn what_others_have_done_is_waited_for_and_not_done_again() {
    let (place, content) = whole();
    let states = vec![vec![RangeState::Done; 64], vec![RangeState::Leased; 64]];
    let (target, source) = (place.target(""), content.clone());
    let (counters, ranges) = owned(&place, states, move |ranges| {
        for range in ranges {
            let file = OpenOptions::new()
                .write(true)
                .open(target.join(&range.temp));
            let (begin, end) = (
                range.offset as usize,
                (range.offset + range.length) as usize,
            );
            let other: Vec<u8> = source[begin..end].iter().map(|byte| !byte).collect();
            file.unwrap().write_all_at(&other, range.offset).unwrap();
        }
    });
    let written = fs::read(place.target("huge")).unwrap();
    for (at, byte) in content.iter().enumerate() {
        let is_other_s = ranges
            .iter()
            .any(|range| (range.offset..range.offset + range.length).contains(&(at as u64)));
        assert_eq!(written[at] == *byte, !is_other_s, "{at}");
    }
    assert_eq!((counters.copied_files, counters.copied_bytes), (1, SIZE));
}

#[test]
fn a_file_whose_temp_is_another_by_the_end_is_copied_again() {
    let (place, content) = whole();
    let target = place.target("");
    let states = vec![vec![RangeState::Done; 64]];
    let (counters, _) = owned(&place, states, move |ranges| {
        // Gone with a power cut of the storage, and made anew by somebody.
        let temp = target.join(&ranges[0].temp);
        if temp.exists() {
            fs::remove_file(&temp).unwrap();
            fs::write(&temp, "torn").unwrap();
        }
    });
    assert!(content == fs::read(place.target("huge")).unwrap());
    assert_eq!((counters.copied_files, counters.failed), (1, 0));
}
