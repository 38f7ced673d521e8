//! The owner of a huge file, of which others copy ranges: it takes back what they have not done, and nothing gets a name that
//! is not all of one version.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use model::options::Verify;
use model::{Counters, Durability, ItemId, RangeSizes, RangeState, RangeWork};
use transfer::{AttemptWork, NotTaken, Share, Threads, Unbegun};

use crate::support::judge::assert_no_temps;
use crate::support::{Place, Try, walk};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 9 * MIB + 5;

type Perform = dyn Fn(&[RangeWork]) + Send + Sync;

/// Others, which do with ranges what the test says.
struct Others {
    target: PathBuf,
    states: Mutex<Vec<Vec<RangeState>>>,
    handed: Mutex<mpsc::Sender<Vec<RangeWork>>>,
    /// Does what they do when the owner asks the first time.
    perform: Box<Perform>,
    ranges: Mutex<Vec<RangeWork>>,
    /// Directories that were offered, and not taken.
    offered: Arc<Mutex<Vec<Unbegun>>>,
    was_given_up: Arc<AtomicBool>,
    /// Whatever the states say.
    are_done: Arc<AtomicBool>,
}

impl Share for Others {
    /// Only when the file has been begun: after a look in vain there is none for a while, and all may be done.
    fn is_wanted(&self) -> bool {
        let mut begun = fs::read_dir(&self.target).into_iter().flatten();
        self.ranges.lock().unwrap().is_empty() && begun.next().is_some()
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.offered.lock().unwrap().extend_from_slice(work);
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
        self.was_given_up.fetch_or(is_given_up, Ordering::Relaxed);
        if self.are_done.load(Ordering::Relaxed) {
            return Ok(vec![RangeState::Done; ids.len()]);
        }
        let mut states = self.states.lock().unwrap();
        Ok(match (is_given_up, states.pop()) {
            (false, Some(states)) => states[..ids.len()].to_vec(),
            _ => vec![RangeState::TakenBack; ids.len()],
        })
    }
}

/// What the owner does with others that do ranges so, and what these are given.
fn owner(
    place: &Place,
    states: Vec<Vec<RangeState>>,
    perform: impl Fn(&[RangeWork]) + Send + Sync + 'static,
) -> (Try, mpsc::Receiver<Vec<RangeWork>>, Arc<AtomicBool>) {
    owner_until(Arc::default(), place, states, perform)
}

fn owner_until(
    are_done: Arc<AtomicBool>,
    place: &Place,
    states: Vec<Vec<RangeState>>,
    perform: impl Fn(&[RangeWork]) + Send + Sync + 'static,
) -> (Try, mpsc::Receiver<Vec<RangeWork>>, Arc<AtomicBool>) {
    let (handed, ranges) = mpsc::channel();
    let was_given_up = Arc::new(AtomicBool::new(false));
    let share = Others {
        target: place.target(""),
        states: Mutex::new(states),
        handed: Mutex::new(handed),
        perform: Box::new(perform),
        ranges: Mutex::default(),
        offered: Arc::default(),
        was_given_up: Arc::clone(&was_given_up),
        are_done,
    };
    (sharing(share), ranges, was_given_up)
}

fn sharing(share: Others) -> Try {
    let mut attempt = walk();
    // It looks after each part.
    attempt.threads = 1;
    attempt.options.verify = Verify::Checksum;
    attempt.share = Arc::new(share);
    attempt
}

/// What became of a file of which others did some ranges; what they were given.
fn owned(
    place: &Place,
    states: Vec<Vec<RangeState>>,
    perform: impl Fn(&[RangeWork]) + Send + Sync + 'static,
) -> (Counters, Vec<RangeWork>) {
    let (attempt, ranges, _) = owner(place, states, perform);
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
    assert_no_temps(&place.target(""), "the owner");
}

/// What one mount lets into one file at a time is often little: others begin early, and have directories beside it.
#[test]
fn who_wants_work_gets_ranges_and_directories() {
    let (place, content) = whole();
    for directory in ["a", "b", "c", "d"] {
        place.write(&format!("{directory}/file"), b"content");
    }
    let (handed, ranges) = mpsc::channel();
    let offered = Arc::<Mutex<Vec<Unbegun>>>::default();
    let share = Others {
        target: place.target(""),
        states: Mutex::default(),
        handed: Mutex::new(handed),
        perform: Box::new(|_| ()),
        ranges: Mutex::default(),
        offered: Arc::clone(&offered),
        was_given_up: Arc::default(),
        are_done: Arc::default(),
    };
    let finished = sharing(share).run(&place).unwrap();
    assert!(!ranges.recv().unwrap().is_empty());
    assert!(!offered.lock().unwrap().is_empty());
    assert_eq!(finished.outcome.counters.copied_files, 5);
    assert!(content == fs::read(place.target("huge")).unwrap());
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

/// The only thread of a worker waits for a range of its file, which the same worker was given.
#[test]
fn a_range_is_done_by_the_worker_whose_thread_waits_for_it() {
    let (place, content) = whole();
    let are_done = Arc::<AtomicBool>::default();
    let threads = Arc::new(Threads::new(1));
    // Some 20 s; then the owner takes them back.
    let states = vec![vec![RangeState::Leased; 64]; 25];
    let is_begun = AtomicBool::new(false);
    let (done, pool) = (Arc::clone(&are_done), Arc::clone(&threads));
    let (source, target) = (place.source(""), place.target(""));
    let (attempt, ranges, _) = owner_until(Arc::clone(&are_done), &place, states, move |ranges| {
        if is_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (done, pool, ranges) = (Arc::clone(&done), Arc::clone(&pool), ranges.to_vec());
        let (source, target) = (source.clone(), target.clone());
        thread::spawn(move || {
            for range in ranges {
                let mut attempt = walk();
                attempt.work = AttemptWork::Range(range);
                attempt.item = 6;
                attempt.run_on(&pool, &source, &target).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
    });
    let finished = attempt.run_on(&threads, &place.source(""), &place.target(""));
    assert!(are_done.load(Ordering::Relaxed), "the owner did all itself");
    assert!(!ranges.recv().unwrap().is_empty());
    let counters = finished.unwrap().outcome.counters;
    assert_eq!((counters.copied_files, counters.copied_bytes), (1, SIZE));
    assert!(content == fs::read(place.target("huge")).unwrap());
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

#[test]
fn a_file_that_changes_after_others_have_done_ranges_is_copied_again() {
    for durability in [Durability::None, Durability::Batch, Durability::File] {
        let (place, mut content) = whole();
        let source = place.source("huge");
        // After its own parts, and when it was told that all is done.
        let states = vec![vec![RangeState::Done; 64]];
        let (mut attempt, ranges, _) = owner(&place, states, move |_| {
            let source = OpenOptions::new().write(true).open(&source).unwrap();
            source.write_all_at(b"new", 3).unwrap();
        });
        attempt.options.durability = durability;
        let counters = attempt.run(&place).unwrap().outcome.counters;
        assert!(!ranges.recv().unwrap().is_empty());
        content[3..6].copy_from_slice(b"new");
        assert!(content == fs::read(place.target("huge")).unwrap());
        assert_eq!((counters.copied_files, counters.failed), (1, 0));
        assert_no_temps(&place.target(""), "the owner");
    }
}

#[test]
fn a_file_that_gets_shorter_is_given_up_with_all_its_ranges_and_copied_again() {
    let (place, content) = whole();
    let states = vec![vec![RangeState::Leased; 64]; 1000];
    let (mut attempt, ranges, was_given_up) = owner(&place, states, |_| ());
    let ranges = Mutex::new(ranges);
    let source = OpenOptions::new().write(true).open(place.source("huge"));
    let source = source.unwrap();
    attempt.meddle = Box::new(move || {
        // While others have some, and the owner has more to read.
        if ranges.lock().unwrap().try_recv().is_ok() {
            source.set_len(MIB + 1).unwrap();
        }
    });
    let counters = attempt.run(&place).unwrap().outcome.counters;
    assert!(was_given_up.load(Ordering::Relaxed));
    let written = fs::read(place.target("huge")).unwrap();
    assert!(written == content[..MIB as usize + 1]);
    assert_eq!((counters.copied_files, counters.failed), (1, 0));
    assert_no_temps(&place.target(""), "the owner");
}
