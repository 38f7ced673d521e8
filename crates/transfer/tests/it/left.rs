//! An item is taken apart, attempt by attempt, down to its single entries, which are copied: none is lost, none is counted twice, and what
//! an attempt leaves fits into a message, however large a directory is.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex};

use model::{Counters, RelPath};
use transfer::{AttemptWork, FileWork, Finished, NotTaken, Share, Unbegun};

use crate::support::{Place, Try, assert_same, path, temp_name, tree, walk};

/// Names from which on a directory is huge here.
const HUGE: usize = 40;

/// Takes what does not fit.
#[derive(Default)]
struct Rest(Mutex<Vec<Unbegun>>);

impl Share for Rest {
    fn is_wanted(&self) -> bool {
        false
    }

    fn shard_entries(&self) -> Option<usize> {
        Some(HUGE)
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.0.lock().unwrap().extend_from_slice(work);
        Ok(())
    }
}

/// What an attempt that leaves everything leaves, and what it hands over.
fn leave(place: &Place, work: AttemptWork, excluded: &[Unbegun]) -> (Finished, Vec<Unbegun>) {
    let rest = Arc::<Rest>::default();
    let attempt = Try {
        work,
        excluded: excluded.to_vec(),
        files: FileWork::Leave,
        share: rest.clone(),
        ..walk()
    };
    let finished = attempt.run(place).unwrap();
    assert_eq!(finished.outcome.failures, []);
    let rest = std::mem::take(&mut *rest.0.lock().unwrap());
    (finished, rest)
}

#[test]
fn an_item_is_taken_apart_to_its_entries_and_each_is_counted_once() {
    let place = Place::in_memory("left");
    for n in 0..1_500 {
        place.write(&format!("huge/n{n}"), format!("{n}"));
    }
    for n in 0..20 {
        place.write(&format!("d{n}/below/file"), format!("{n}"));
    }
    let mut items = VecDeque::from([AttemptWork::Walk(vec![RelPath::ROOT])]);
    let (mut total, mut shards) = (Counters::default(), 0);
    let mut open = Vec::new();
    while let Some(work) = items.pop_front() {
        let (finished, rest) = leave(&place, work, &[]);
        total.add(&finished.outcome.counters);
        assert!(finished.again.len() < 16 * HUGE, "{}", finished.again.len());
        shards += rest.len();
        for unbegun in rest {
            let Unbegun::Shard { directory, range } = unbegun else {
                panic!("{unbegun:?} would be tried as it is, and by nobody alone");
            };
            items.push_back(AttemptWork::Shard { directory, range });
        }
        let parents = finished.again.iter().filter_map(RelPath::split_last);
        open.extend(parents.map(|(parent, _)| parent));
        let pieces = finished
            .again
            .chunks(finished.again.len().div_ceil(16).max(1));
        items.extend(pieces.map(|piece| AttemptWork::Entries(piece.to_vec())));
    }
    let n = tree(&place.source("")).len() as u64;
    assert_eq!((total.listed - total.deferred, total.copied), (n, n));
    assert!(shards > 0, "nothing was too large");
    open.retain(|path| !path.is_root());
    let attributes = Try {
        work: AttemptWork::Attributes(open),
        ..walk()
    };
    attributes.run(&place).unwrap();
    assert_same(&place);
}

#[test]
fn what_is_another_s_is_not_left_once_more() {
    let place = Place::in_memory("left-others");
    for file in ["a/others/x", "a/b/others/y", "a/b/z", "c/z"] {
        place.write(file, "");
    }
    let others = ["a/others", "a/b/others"].map(|other| Unbegun::Directory(path(other)));
    let work = AttemptWork::Walk(vec![path("a"), path("c")]);
    let (finished, rest) = leave(&place, work, &others);
    assert_eq!(
        (rest, finished.again),
        (vec![], ["a/b/z", "c"].map(path).to_vec())
    );
    let counters = finished.outcome.counters;
    // a and a/b were made; four others are somebody else's now.
    assert_eq!(
        (counters.listed, counters.copied, counters.deferred),
        (6, 2, 4)
    );
}

#[test]
fn what_a_dead_attempt_left_beside_entries_is_removed_though_they_are_not_looked_at() {
    let place = Place::in_memory("left-temps");
    for file in ["d/a", "d/b"] {
        place.write(file, "");
    }
    fs::create_dir(place.target("d")).unwrap();
    fs::write(place.target("d").join(temp_name(1, 1, 1)), "a part").unwrap();
    let entries = ["d/a", "d/b"].map(path).to_vec();
    let attempt = Try {
        epoch: 2,
        work: AttemptWork::Entries(entries.clone()),
        files: FileWork::Leave,
        ..walk()
    };
    assert_eq!(attempt.run(&place).unwrap().again, entries);
    assert!(tree(&place.target("d")).is_empty());
}
