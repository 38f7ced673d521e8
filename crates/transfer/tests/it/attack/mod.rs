//! Two roots under attack, and canary trees outside of them which nobody may touch.
//!
//! The attackers only ever move entries within one directory of a root, which they hold by descriptor, so that whatever
//! happens outside was done by who copies. Their links lead to canaries of the same names as in the roots. At the target they
//! also give names to inodes that lie outside, which look like what is to be there; it is by these names alone that they change
//! them, in the number of names and the time of the last change.

mod attackers;
mod canaries;
mod naive;
mod twins;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use testkit::Scratch;
use testkit::random::Random;

pub use canaries::{Canaries, MARK};
pub use naive::naive_copy;

pub const DIRECTORIES: u64 = 4;
pub const FILES: u64 = 6;

/// Above what a small file is, so that both ways to copy are taken.
const LARGE_BYTES: usize = (1 << 20) + 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Source,
    Target,
}

pub struct Arena {
    scratch: Scratch,
    swaps: AtomicU64,
    is_over: AtomicBool,
}

impl Arena {
    pub fn new(label: &str) -> Self {
        let arena = Self {
            scratch: Scratch::in_memory(label),
            swaps: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        };
        arena.fill(&arena.source(), b"of the source", Root::Source);
        arena.fill(&arena.target(), b"of the target", Root::Target);
        for root in [Root::Source, Root::Target] {
            arena.fill_outside(&arena.outside(root));
        }
        arena.make_twins();
        arena
    }

    pub fn source(&self) -> PathBuf {
        self.scratch.join("source")
    }

    pub fn target(&self) -> PathBuf {
        self.scratch.join("target")
    }

    /// What links of this root lead to.
    fn outside(&self, of: Root) -> PathBuf {
        self.scratch.join(format!("outside/{of:?}"))
    }

    /// How often two entries have changed places.
    pub fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }

    /// Removes some of the target while nobody attacks it, so that it is made anew.
    pub fn make_room(&self, random: &mut Random) {
        for entry in fs::read_dir(self.target()).unwrap() {
            let path = entry.unwrap().path();
            let is_directory = fs::symlink_metadata(&path).unwrap().is_dir();
            match is_directory {
                _ if random.below(3) > 0 => {}
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
    }

    pub fn canaries(&self) -> Canaries {
        Canaries::of(&self.scratch.join("outside"))
    }

    /// Directories with files, and beside each of them what it is swapped with.
    fn fill(&self, root: &Path, content: &[u8], of: Root) {
        let outside = self.outside(of);
        for directory in 0..DIRECTORIES {
            let path = root.join(format!("d{directory}"));
            for below in [path.clone(), path.join("s")] {
                fs::create_dir_all(&below).unwrap();
                for file in 0..FILES {
                    let content = match file {
                        0 => content.repeat(LARGE_BYTES / content.len() + 1),
                        _ => content.to_vec(),
                    };
                    fs::write(below.join(format!("f{file}")), content).unwrap();
                    symlink(outside.join("s/f1"), below.join(format!("f{file}.link"))).unwrap();
                }
                make_special(&below.join("pipe"), FileType::Fifo, 0);
                make_special(
                    &below.join("zero"),
                    FileType::CharacterDevice,
                    makedev(1, 5),
                );
            }
            symlink(outside.join("s"), path.join("s.link")).unwrap();
            symlink(&outside, root.join(format!("d{directory}.link"))).unwrap();
        }
    }

    fn fill_outside(&self, outside: &Path) {
        for below in [outside.to_owned(), outside.join("s")] {
            fs::create_dir_all(&below).unwrap();
            for file in 0..FILES {
                let path = below.join(format!("f{file}"));
                fs::write(&path, MARK).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o4711)).unwrap();
            }
        }
    }

    /// Does something while all attackers are at work.
    pub fn under_attack(&self, act: impl FnOnce()) {
        self.is_over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            for (number, root) in [Root::Source, Root::Source, Root::Target, Root::Target]
                .into_iter()
                .enumerate()
            {
                scope.spawn(move || {
                    let seen = self.swaps.load(Ordering::Relaxed);
                    let mut random = Random::part(seen, number as u64);
                    while !self.is_over.load(Ordering::Relaxed) {
                        self.attack(root, &mut random);
                    }
                });
            }
            let over = Over(&self.is_over);
            act();
            drop(over);
        });
    }
}

/// Sends the attackers home, also when what they attacked has panicked.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn make_special(path: &Path, kind: FileType, device: u64) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o666), device).unwrap();
}
