//! Files that change all the time, of which any copy tells whether it was ever in the file as a whole.
//!
//! Each word of eight bytes says where it belongs and of which generation it is. Writers go from front to back. So a whole
//! version holds one generation, or a newer one up to some place and the one before from there on; whatever was put
//! together of different moments shows others, and what was filled up shows zeros.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use testkit::Scratch;
use testkit::random::Random;

/// Written by one call: what changes in the middle of one is no longer seen in the file's times.
const PIECE_BYTES: usize = 1 << 10;
const SMALL_BYTES: usize = 16 << 10;
/// Enough that it often changes while it is read, and not so much that it has to hold still for 2 s.
const LARGE_BYTES: usize = (1 << 20) - (4 << 10);

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its content is overwritten in place.
    Rewrite,
    /// It is emptied and written again.
    Truncate,
    /// Something comes on top, and when there is enough of it, it begins anew.
    Append,
}

pub struct Changing {
    scratch: Scratch,
    files: Vec<Subject>,
    changes: AtomicU64,
    is_over: AtomicBool,
}

struct Subject {
    name: String,
    change: Change,
    bytes: usize,
    generation: AtomicU64,
}

fn content(generation: u64, from: usize, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    for (at, word) in content.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&word_of(generation, from / 8 + at).to_le_bytes());
    }
    content
}

fn word_of(generation: u64, at: usize) -> u64 {
    (generation << 32) | (at as u64 + 1)
}

/// Whether this was in a file at one moment.
pub fn is_one_version(content: &[u8]) -> bool {
    let (mut first, mut newest) = (None, u64::MAX);
    for (at, word) in content.chunks_exact(8).enumerate() {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        let generation = word >> 32;
        if word != word_of(generation, at) || generation > newest {
            return false;
        }
        first.get_or_insert(generation);
        newest = generation;
    }
    first.is_none_or(|first| first - newest <= 1)
}

impl Changing {
    pub fn new(label: &str, files: u64) -> Self {
        let scratch = Scratch::in_memory(label);
        let source = scratch.directory("source");
        let subject = |number| {
            let changes = [Change::Rewrite, Change::Truncate, Change::Append];
            let change = changes[number as usize % 3];
            let is_large = number % 9 < 3 && change != Change::Append;
            let bytes = if is_large { LARGE_BYTES } else { SMALL_BYTES };
            let name = format!("{change:?}{number}");
            fs::write(source.join(&name), content(1, 0, bytes)).unwrap();
            Subject {
                name,
                change,
                bytes,
                generation: AtomicU64::new(1),
            }
        };
        let files = (0..files).map(subject).collect();
        Self {
            files,
            changes: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            scratch,
        }
    }

    pub fn source(&self) -> PathBuf {
        self.scratch.join("source")
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    pub fn target(&self, name: &str) -> PathBuf {
        self.scratch.directory(name)
    }

    /// Does something while the files change.
    pub fn meanwhile<T>(&self, act: impl FnOnce() -> T) -> T {
        self.is_over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            for change in [Change::Rewrite, Change::Truncate, Change::Append] {
                scope.spawn(move || self.keep_changing(change));
            }
            let over = Over(&self.is_over);
            let done = act();
            drop(over);
            done
        })
    }

    fn keep_changing(&self, change: Change) {
        let seed = self.changes.load(Ordering::Relaxed);
        let mut random = Random::part(seed, change as u64);
        let mine = self.files.iter().filter(|file| file.change == change);
        let mine: Vec<&Subject> = mine.collect();
        while !self.is_over.load(Ordering::Relaxed) {
            random.pick(&mine).change(&self.source());
            self.changes.fetch_add(1, Ordering::Relaxed);
            // Some files are to hold still for long enough.
            thread::sleep(Duration::from_micros(random.below(1_500)));
        }
    }
}

impl Subject {
    fn change(&self, source: &Path) {
        let path = source.join(&self.name);
        match self.change {
            Change::Rewrite => {
                let file = File::options().write(true).open(path).unwrap();
                let next = self.next_generation();
                for at in (0..self.bytes).step_by(PIECE_BYTES) {
                    let piece = content(next, at, PIECE_BYTES);
                    file.write_all_at(&piece, at as u64).unwrap();
                }
            }
            Change::Truncate => {
                let mut file = File::options()
                    .write(true)
                    .truncate(true)
                    .open(path)
                    .unwrap();
                let next = self.next_generation();
                for at in (0..self.bytes).step_by(PIECE_BYTES) {
                    file.write_all(&content(next, at, PIECE_BYTES)).unwrap();
                }
            }
            Change::Append => {
                let file = File::options().write(true).open(path).unwrap();
                let mut at = file.metadata().unwrap().len() as usize;
                if at >= 2 * self.bytes {
                    file.set_len(0).unwrap();
                    at = 0;
                }
                let piece = content(1, at, PIECE_BYTES);
                file.write_all_at(&piece, at as u64).unwrap();
            }
        }
    }

    fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Stops the writers, also when what they disturbed has panicked.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn only_what_was_there_as_a_whole_is_one_version() {
    let whole = content(3, 0, 64);
    assert!(is_one_version(&whole) && is_one_version(&[]));
    let newer_up_to = |at: usize| [content(4, 0, at), content(3, at, 64 - at)].concat();
    assert!(is_one_version(&newer_up_to(16)));
    let newer_from = [content(3, 0, 16), content(4, 16, 48)].concat();
    let far_apart = [content(5, 0, 16), content(3, 16, 48)].concat();
    let filled_up = [content(3, 0, 16), vec![0; 48]].concat();
    let out_of_place = [content(3, 0, 16), content(3, 0, 48)].concat();
    for torn in [newer_from, far_apart, filled_up, out_of_place] {
        assert!(!is_one_version(&torn));
    }
}
