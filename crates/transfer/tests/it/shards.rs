//! Huge directories are shared by ranges of their names' hashes: each name is done by just one item, however the
//! directory is cut and whoever dies over it.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use model::{Counters, Durability, HashRange, ItemId, RelPath, name_hash};
use testkit::random::Random;
use transfer::{AttemptWork, NotTaken, Share, Stopped, Unbegun};

use crate::support::{Place, Try, assert_same, path, temp_name, temps, tree, walk};

/// Asks now and then, and keeps what it gets.
struct Asking {
    random: Mutex<Random>,
    /// Of 100 looks, so many ask.
    asks: u64,
    wants_all: bool,
    taken: Mutex<Vec<Unbegun>>,
}

impl Share for Asking {
    fn is_wanted(&self) -> bool {
        self.random.lock().unwrap().below(100) < self.asks
    }

    fn is_all_wanted(&self) -> bool {
        self.wants_all
    }

    fn shard_entries(&self) -> Option<usize> {
        Some(100)
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.taken.lock().unwrap().extend_from_slice(work);
        Ok(())
    }
}

/// An item as a server would keep it.
struct Kept {
    id: u64,
    work: AttemptWork,
    epoch: u32,
    handed_over: Vec<Unbegun>,
    ancestors: Vec<u64>,
}

/// Runs a task to its end, one attempt after the other: what is handed over becomes items.
struct Server<'a> {
    place: &'a Place,
    random: Random,
    items: VecDeque<Kept>,
    next: u64,
    total: Counters,
    deaths: u64,
    shards: u64,
    /// Directories that several items wrote into.
    open: Vec<RelPath>,
}

impl<'a> Server<'a> {
    fn new(place: &'a Place, seed: u64) -> Self {
        let first = Kept {
            id: 1,
            work: AttemptWork::Walk(vec![RelPath::ROOT]),
            epoch: 0,
            handed_over: Vec::new(),
            ancestors: Vec::new(),
        };
        Self {
            place,
            random: Random::new(seed),
            items: [first].into(),
            next: 2,
            total: Counters::default(),
            deaths: 0,
            shards: 0,
            open: Vec::new(),
        }
    }

    fn run(&mut self) {
        while let Some(mut item) = self.items.pop_front() {
            item.epoch += 1;
            let share = Arc::new(Asking {
                random: Mutex::new(Random::new(self.random.next())),
                asks: [0, 1, 10, 100][self.random.below(4) as usize],
                wants_all: self.random.below(8) == 0,
                taken: Mutex::default(),
            });
            let result = self.attempt(&item, share.clone()).run(self.place);
            let taken = std::mem::take(&mut *share.taken.lock().unwrap());
            self.take(&mut item, taken);
            match result {
                Ok(finished) => self.total.add(&finished.outcome.counters),
                Err(Stopped::LeaseLost) => {
                    self.deaths += 1;
                    self.items.push_back(item);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// One in three dies before it is done, and leaves behind what it had begun.
    fn attempt(&mut self, item: &Kept, share: Arc<Asking>) -> Try {
        let dies = item.epoch < 4 && self.random.below(3) == 0;
        // Some items are small.
        let most = [20, 200, 2_000][self.random.below(3) as usize];
        Try {
            work: item.work.clone(),
            item: item.id,
            epoch: item.epoch,
            writes: match dies {
                true => self.random.below(most) as i64,
                false => i64::MAX,
            },
            share,
            excluded: item.handed_over.clone(),
            ancestors: item
                .ancestors
                .iter()
                .map(|id| ItemId::from_random(*id))
                .collect(),
            ..walk()
        }
    }

    fn take(&mut self, item: &mut Kept, taken: Vec<Unbegun>) {
        let mut directories = Vec::new();
        let mut works = Vec::new();
        for unbegun in &taken {
            match unbegun.clone() {
                Unbegun::Directory(path) => {
                    self.open
                        .extend(path.split_last().map(|(parent, _)| parent));
                    directories.push(path);
                }
                Unbegun::Shard { directory, range } => {
                    self.shards += 1;
                    self.open.push(directory.clone());
                    works.push(AttemptWork::Shard { directory, range });
                }
            }
        }
        let walks = directories.chunks(60);
        works.extend(walks.map(|some| AttemptWork::Walk(some.to_vec())));
        for work in works {
            let mut ancestors = vec![item.id];
            ancestors.extend(&item.ancestors);
            self.items.push_back(Kept {
                id: self.next,
                work,
                epoch: 0,
                handed_over: Vec::new(),
                ancestors,
            });
            self.next += 1;
        }
        item.handed_over.extend(taken);
    }

    /// What a server does when all items are over.
    fn set_attributes(&self) {
        let mut open = self.open.clone();
        open.retain(|path| !path.is_root());
        set_attributes(self.place, open);
    }
}

fn set_attributes(place: &Place, directories: Vec<RelPath>) {
    let attributes = Try {
        work: AttemptWork::Attributes(directories),
        item: 1_000_000,
        ..walk()
    };
    attributes.run(place).unwrap();
}

/// A directory of 1,500 names, every fourth of them a directory with something in it.
fn huge(place: &Place, at: &str) {
    for n in 0..1_500 {
        match n % 4 {
            0 => place.write(&format!("{at}n{n}/below/file"), format!("{n}")),
            1 => std::os::unix::fs::symlink("nowhere", place.source(&format!("{at}n{n}"))).unwrap(),
            _ => place.write(&format!("{at}n{n}"), format!("{n}")),
        }
    }
}

#[test]
fn each_name_is_taken_once_however_a_directory_is_cut_and_whoever_dies() {
    let (mut shards, mut deaths) = (0, 0);
    for seed in 0..12 {
        let place = Place::in_memory("shards");
        // The root itself is huge, or what is in a directory that comes into being.
        let at = ["", "new/", "new/below/"][seed as usize % 3];
        huge(&place, at);
        if seed % 2 == 1 {
            fs::create_dir_all(place.target(at).join("n4/below")).unwrap();
            fs::write(place.target(at).join("n2"), "2").unwrap();
        }
        let n = tree(&place.source("")).len() as u64;
        let mut server = Server::new(&place, seed);
        server.run();
        let total = &server.total;
        assert_eq!(total.listed - total.deferred, n, "seed {seed}: {total:?}");
        assert_eq!(total.copied + total.unchanged, n, "seed {seed}: {total:?}");
        server.set_attributes();
        assert_same(&place);
        assert!(temps(&place.target("")).is_empty(), "seed {seed}");
        shards += server.shards;
        deaths += server.deaths;
    }
    assert!(
        shards > 20 && deaths > 5,
        "{shards} shards, {deaths} deaths"
    );
}

#[test]
fn a_directory_below_the_number_is_not_cut_and_is_staged() {
    let place = Place::new("small");
    for n in 0..100 {
        place.write(&format!("new/n{n}"), "x");
    }
    let was_staged = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&was_staged);
    let target = place.target("");
    let mut attempt = walk();
    attempt.threads = 1;
    attempt.meddle = Box::new(move || {
        let names = fs::read_dir(&target).unwrap();
        let staged = names.filter(|name| {
            let name = name.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with(".dm.")
        });
        seen.fetch_max(staged.count() as u64, Ordering::Relaxed);
    });
    let share = Arc::new(Asking {
        random: Mutex::new(Random::new(1)),
        asks: 100,
        wants_all: true,
        taken: Mutex::default(),
    });
    attempt.share = share.clone();
    attempt.run(&place).unwrap();
    assert_same(&place);
    assert_eq!(was_staged.load(Ordering::Relaxed), 1);
    let shard = |unbegun: &Unbegun| matches!(unbegun, Unbegun::Shard { .. });
    assert!(!share.taken.lock().unwrap().iter().any(shard));
}

#[test]
fn a_shard_has_the_names_of_its_range_and_leaves_the_directory_to_others() {
    let place = Place::in_memory("range");
    huge(&place, "d/");
    let range = HashRange::new(u64::MAX / 4, u64::MAX / 2).unwrap();
    let of_range = (0..1_500).filter(|n| range.contains(name_hash(format!("n{n}").as_bytes())));
    let below: u64 = of_range.map(|n| if n % 4 == 0 { 3 } else { 1 }).sum();
    let mut attempt = walk();
    attempt.work = AttemptWork::Shard {
        directory: path("d"),
        range,
    };
    let counters = attempt.run(&place).unwrap().outcome.counters;
    assert_eq!((counters.listed, counters.copied), (below, below));
    assert_eq!(tree(&place.target("")).len() as u64, below + 1);

    // Once more nothing is written, also not by whoever syncs each file.
    let mut again = walk();
    again.options.durability = Durability::Batch;
    again.work = AttemptWork::Shard {
        directory: path("d"),
        range,
    };
    let counters = again.run(&place).unwrap().outcome.counters;
    assert_eq!((counters.listed, counters.unchanged), (below, below));

    // A directory that is gone has no names.
    let mut gone = walk();
    gone.work = AttemptWork::Shard {
        directory: path("gone"),
        range,
    };
    let outcome = gone.run(&place).unwrap().outcome;
    assert_eq!(
        (outcome.counters.listed, outcome.unreadable_directories),
        (0, 0)
    );
}

/// A directory that only the target has, whose name is in the range or not.
fn vanished(place: &Place, range: HashRange, is_within: bool) -> PathBuf {
    let is_wanted = |name: &String| range.contains(name_hash(name.as_bytes())) == is_within;
    let name = (0..).map(|n| format!("vanished {n}")).find(is_wanted);
    let path = place.target("huge").join(name.unwrap());
    fs::create_dir(&path).unwrap();
    path
}

/// What an attempt at the item had in work there.
fn unfinished(directory: &Path, item: u64) -> PathBuf {
    let temp = directory.join(temp_name(item, 1, 999));
    fs::write(&temp, "").unwrap();
    temp
}

#[test]
fn a_shard_s_item_leaves_alone_what_its_giver_is_at_work_in() {
    let place = Place::in_memory("giver");
    huge(&place, "huge/");
    let huge = place.target("huge");
    let staged = huge.join(temp_name(1, 1, 5));
    fs::create_dir_all(&staged).unwrap();
    let range = HashRange::ALL.since(HashRange::ALL.middle()).unwrap();
    let living = [
        unfinished(&huge, 1),
        unfinished(&staged, 1),
        unfinished(&vanished(&place, range, false), 1),
    ];
    let vanished = vanished(&place, range, true);
    let dead = [
        unfinished(&huge, 2),
        unfinished(&vanished, 1),
        unfinished(&vanished, 2),
    ];

    let mut taker = walk();
    taker.item = 2;
    taker.epoch = 2;
    taker.ancestors = vec![ItemId::from_random(1)];
    taker.work = AttemptWork::Shard {
        directory: path("huge"),
        range,
    };
    taker.run(&place).unwrap();
    for temp in dead {
        assert!(!temp.exists(), "{temp:?} is nobody's any more");
    }
    for temp in living {
        assert!(
            temp.exists(),
            "whoever gave the shard is at work on {temp:?}"
        );
    }
}

/// Wants all that can be had, at once and always.
#[derive(Default)]
struct Greedy {
    taken: Mutex<Vec<Unbegun>>,
}

impl Share for Greedy {
    fn is_wanted(&self) -> bool {
        true
    }

    fn is_all_wanted(&self) -> bool {
        true
    }

    fn shard_entries(&self) -> Option<usize> {
        Some(100)
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.taken.lock().unwrap().extend_from_slice(work);
        Ok(())
    }
}

#[test]
fn what_is_another_s_already_is_in_no_shard() {
    let place = Place::in_memory("another-s");
    huge(&place, "");
    let mut names: Vec<String> = (0..1_500).step_by(4).map(|n| format!("n{n}")).collect();
    names.sort_by_key(|name| name_hash(name.as_bytes()));
    // An attempt that died had given them away, or something below them.
    for (name, below) in [(&names[200], ""), (&names[300], "/below")] {
        let share = Arc::<Greedy>::default();
        let mut attempt = walk();
        attempt.epoch = 2;
        attempt.threads = 1;
        attempt.share = share.clone();
        attempt.excluded = vec![Unbegun::Directory(path(&format!("{name}{below}")))];
        attempt.run(&place).unwrap();
        let taken = share.taken.lock().unwrap();
        let ranges = taken.iter().filter_map(|unbegun| match unbegun {
            Unbegun::Shard { range, .. } => Some(*range),
            Unbegun::Directory(_) => None,
        });
        let ranges: Vec<HashRange> = ranges.collect();
        let first = name_hash(name.as_bytes()) + 1;
        assert_eq!(ranges[0].from(), first, "{name}{below}");
        assert_eq!(ranges.last().map(HashRange::to), Some(u64::MAX));
        assert!(ranges.is_sorted(), "{ranges:?}");
    }
}
