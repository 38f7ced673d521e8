//! What is handed over when somebody wants work, and what is not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::RelPath;
use transfer::{AttemptWork, NotTaken, Share, Unbegun};

use crate::support::{Place, assert_same, directories, path, walk};

/// Wants work all the time.
#[derive(Default)]
struct Wanting {
    wants_all: bool,
    least_time: Duration,
    declined: AtomicU64,
    times_taken: AtomicU64,
    taken: Mutex<Vec<Unbegun>>,
}

impl Share for Wanting {
    fn is_wanted(&self) -> bool {
        true
    }

    fn is_all_wanted(&self) -> bool {
        self.wants_all
    }

    fn least_time(&self) -> Duration {
        self.least_time
    }

    fn decline(&self) {
        self.declined.fetch_add(1, Ordering::Relaxed);
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.times_taken.fetch_add(1, Ordering::Relaxed);
        self.taken.lock().unwrap().extend_from_slice(work);
        Ok(())
    }
}

/// Directories that have nothing but their place in common.
fn scattered(place: &Place) -> Vec<RelPath> {
    for n in 0..40 {
        for file in 0..5 {
            place.write(&format!("p{n}/d/f{file}"), "x");
        }
    }
    (0..40).map(|n| path(&format!("p{n}/d"))).collect()
}

#[test]
fn what_an_item_is_made_of_is_handed_over_from_where_it_stands() {
    let place = Place::new("scattered");
    let all = scattered(&place);
    let share = Arc::new(Wanting::default());
    let mut giver = walk();
    giver.threads = 1;
    giver.work = AttemptWork::Walk(all.clone());
    giver.share = share.clone();
    let given = giver.run(&place).unwrap().outcome.counters;
    let taken = std::mem::take(&mut *share.taken.lock().unwrap());
    assert!(taken.len() >= 20, "{taken:?}");
    assert_eq!((given.listed - given.deferred) % 6, 0, "{given:?}");
    assert_eq!(given.listed, 40 + given.copied - given.copied / 6);
    assert_eq!(given.deferred, taken.len() as u64);

    let mut taker = walk();
    taker.item = 2;
    taker.work = AttemptWork::Walk(directories(&taken));
    let mut total = taker.run(&place).unwrap().outcome.counters;
    total.add(&given);
    assert_eq!(total.listed - total.deferred, 40 * 6);
    assert_eq!(total.copied, 40 * 6);

    // Once more, after a death: what was handed over stays another's.
    let mut again = walk();
    again.epoch = 2;
    again.work = AttemptWork::Walk(all);
    again.excluded = taken.clone();
    let again = again.run(&place).unwrap().outcome.counters;
    assert_eq!(
        (again.listed, again.deferred),
        (given.listed, given.deferred)
    );
}

#[test]
fn all_that_is_not_begun_is_handed_over_when_all_is_wanted() {
    let place = Place::new("all");
    let mut all = scattered(&place);
    let share = Arc::new(Wanting {
        wants_all: true,
        ..Wanting::default()
    });
    let mut giver = walk();
    giver.threads = 1;
    giver.work = AttemptWork::Walk(all.clone());
    giver.share = share.clone();
    let given = giver.run(&place).unwrap().outcome.counters;
    let taken = directories(&share.taken.lock().unwrap());
    // All at once. What it had begun until then, one directory or, on a machine that is busy, some, it kept.
    assert_eq!(share.times_taken.load(Ordering::Relaxed), 1);
    let kept = all.len() - taken.len();
    assert!((1..all.len()).contains(&kept), "{kept}");
    all.sort();
    assert_eq!(taken, all[kept..]);
    assert_eq!(
        (given.copied, given.deferred),
        (6 * kept as u64, taken.len() as u64)
    );
}

#[test]
fn what_is_soon_done_is_not_handed_over_and_the_wish_is_cleared() {
    let place = Place::new("small");
    scattered(&place);
    let share = Arc::new(Wanting {
        least_time: Duration::from_secs(3600),
        ..Wanting::default()
    });
    let mut attempt = walk();
    attempt.share = share.clone();
    attempt.run(&place).unwrap();
    assert_same(&place);
    assert_eq!(*share.taken.lock().unwrap(), []);
    assert!(share.declined.load(Ordering::Relaxed) > 0);
}
