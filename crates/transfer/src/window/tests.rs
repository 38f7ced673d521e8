use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{HashRange, name_hash};
use storage::posix::Kind;
use testkit::random::Random;

use super::{ALL_BYTES, LEAST_BYTES, Read, Reading, Room, Window};

fn names_of(n: usize) -> Vec<CString> {
    let name = |n: usize| CString::new(format!("{n:x}")).unwrap();
    (0..n).map(name).collect()
}

/// Reads a directory of these names.
fn read(mut reading: Reading, names: &[CString]) -> Read {
    for some in names.chunks(100) {
        for name in some {
            reading.add(name, Kind::File);
        }
        reading.look_whether_huge();
    }
    reading.finish()
}

fn window_of(room: &Arc<Room>, huge_from: usize, range: HashRange, names: &[CString]) -> Window {
    match read(Reading::range(room, huge_from, range), names) {
        Read::Huge(window) => window,
        Read::Whole(_) => panic!("it was said to be huge"),
    }
}

#[test]
fn a_directory_is_huge_from_one_name_more_on() {
    let room = Arc::default();
    for (n, is_huge) in [(0, false), (500, false), (501, true), (4_000, true)] {
        let found = read(Reading::all(&room, 500), &names_of(n));
        assert_eq!(matches!(found, Read::Huge(_)), is_huge, "{n}");
        if let Read::Whole(mut names) = found {
            let mut taken = Vec::new();
            names.take(usize::MAX, |name, _| taken.push(name.to_owned()));
            assert_eq!(taken, names_of(n), "as they were read");
        }
    }
}

#[test]
fn each_name_is_taken_once_however_often_a_directory_is_cut_and_read() {
    const HUGE_FROM: usize = 50;
    let room: Arc<Room> = Arc::default();
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let mut all = names_of(random.below(3_000) as usize);
        let mut taken: BTreeMap<CString, usize> = BTreeMap::new();
        let mut waiting = vec![HashRange::ALL];
        let mut readings = 0;
        while let Some(range) = waiting.pop() {
            let mut window = window_of(&room, HUGE_FROM, range, &all);
            let mut last = None;
            while let Some(left) = window.left() {
                if let Some(range) = window.to_be_read() {
                    // Names come while it is read.
                    readings += 1;
                    all.push(CString::new(format!("late {readings}")).unwrap());
                    window = window_of(&room, HUGE_FROM, range, &all);
                }
                assert!(window.names.left().len() <= 8 * HUGE_FROM);
                window.take(random.below(200) as usize, |name, _| {
                    let hash = name_hash(name.to_bytes());
                    assert!(range.contains(hash) && last.replace(hash) < Some(hash));
                    *taken.entry(name.to_owned()).or_default() += 1;
                });
                if random.below(5) == 0
                    && let Some(rest) = window.left()
                {
                    assert!(rest.from() >= left.from());
                    let cut = rest.middle();
                    waiting.extend(rest.since(cut));
                    window.cut(cut);
                }
            }
        }
        assert!(taken.values().all(|n| *n == 1), "seed {seed}");
        let mut early = all
            .iter()
            .filter(|name| !name.to_bytes().starts_with(b"late"));
        assert!(early.all(|name| taken.contains_key(name)), "seed {seed}");
    }
}

#[test]
fn what_is_left_is_counted_also_beyond_what_is_held() {
    let mut window = window_of(&Arc::default(), 100, HashRange::ALL, &names_of(10_000));
    assert_eq!(window.left_names(), 10_000);
    assert!(window.names.left().len() <= 800);
    window.take(100, |_, _| ());
    assert_eq!(window.left_names(), 9_900);
    window.cut(window.left().unwrap().middle());
    let half = window.left_names();
    assert!((4_800..5_200).contains(&half), "{half}");
    window.cut(0);
    assert_eq!((window.left(), window.left_names()), (None, 0));
}

#[test]
fn a_reading_has_paid_when_a_part_of_what_was_met_is_taken() {
    let room = Arc::default();
    let upper = HashRange::ALL.since(HashRange::ALL.middle()).unwrap();
    let all = match read(Reading::all(&room, 500), &names_of(3_200)) {
        Read::Huge(window) => window,
        Read::Whole(_) => panic!("it is huge"),
    };
    // Names that are another's had to be met, too.
    for mut window in [all, window_of(&room, 500, upper, &names_of(3_200))] {
        window.take(199, |_, _| ());
        assert!(!window.has_paid());
        window.take(1, |_, _| ());
        assert!(window.has_paid());
    }
}

#[test]
fn what_all_directories_hold_has_a_bound() {
    let room: Arc<Room> = Arc::default();
    let huge: Vec<Reading> = (0..200)
        .map(|_| Reading::range(&room, 50_000, HashRange::ALL))
        .collect();
    let used = room.used.load(Ordering::Relaxed);
    assert!(used <= ALL_BYTES + 200 * LEAST_BYTES, "{used}");
    drop(huge);
    assert_eq!(room.used.load(Ordering::Relaxed), 0);
    let whole = read(Reading::all(&room, 50_000), &names_of(10_000));
    assert!(room.used.load(Ordering::Relaxed) > LEAST_BYTES);
    drop(whole);
    assert_eq!(room.used.load(Ordering::Relaxed), 0);
}
