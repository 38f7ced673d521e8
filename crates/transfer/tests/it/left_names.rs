//! P5, P17: names of files that have others outside of an attempt are left to the links phase, and so are those beyond what
//! an attempt holds in memory.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex};

use model::found_links::FoundLink;
use transfer::{AttemptWork, FoundLinks};

use crate::support::{Place, walk};

#[derive(Default)]
struct Left(Mutex<Vec<FoundLink>>);

impl FoundLinks for Left {
    fn add(&self, link: &FoundLink) -> Result<(), String> {
        self.0.lock().unwrap().push(link.clone());
        Ok(())
    }
}

/// Copies files of two names each, by an attempt at the tree and one at what it left; how many names that were.
fn copy_pairs(label: &str, pairs: u64) -> u64 {
    let place = Place::in_memory(label);
    place.write("others/0", "x");
    for pair in 0..pairs {
        let first = place.source(&format!("first {pair}"));
        fs::write(&first, b"").unwrap();
        fs::hard_link(&first, place.source(&format!("others/second {pair}"))).unwrap();
    }
    let left = Arc::<Left>::default();
    let mut tree = walk();
    tree.links = Some(left.clone());
    let mut total = tree.run(&place).unwrap().outcome.counters;
    let names = std::mem::take(&mut *left.0.lock().unwrap());
    let number = names.len() as u64;
    assert_eq!(total.deferred, number);
    if number > 0 {
        let mut rest = walk();
        rest.item = 2;
        rest.work = AttemptWork::Links(names);
        let outcome = rest.run(&place).unwrap().outcome;
        assert!(outcome.notes.is_empty(), "{:?}", outcome.notes);
        total.add(&outcome.counters);
    }
    // Besides: the directory and the file in it.
    assert_eq!(
        (total.listed - total.deferred, total.copied),
        (2 * pairs + 2, 2 * pairs + 2)
    );
    for pair in 0..pairs {
        let names = [format!("first {pair}"), format!("others/second {pair}")];
        let [first, second] = names.map(|name| fs::metadata(place.target(&name)).unwrap());
        assert_eq!((first.ino(), first.nlink()), (second.ino(), 2), "{pair}");
    }
    number
}

#[test]
fn names_that_an_attempt_knows_all_of_are_its_own() {
    assert_eq!(copy_pairs("known-names", 100), 0);
}

#[test]
fn names_beyond_what_is_held_are_left() {
    // 100,000 are held; of files whose other name is left, both are.
    let left = copy_pairs("many-names", 50_100);
    assert!((200..=400).contains(&left), "{left}");
}
