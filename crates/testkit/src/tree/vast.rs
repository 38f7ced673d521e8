//! So many entries that they cost what the kernel takes for them and no more: nearly all files are empty, which takes one
//! call each. Directories lie in one another; what lies in one depends on the seed and its number only, not on the threads.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, openat, symlinkat};

use super::{Made, made_by};
use crate::random::Random;

/// Sub-directories of each directory but the last ones.
const FAN_OUT: u64 = 8;
/// One in so many entries of a directory is a symlink; so many files is not empty.
const SYMLINKS: u64 = 200;
const CONTENTS: u64 = 100;
const LONGEST: u64 = 64;

/// So many entries, directories among them.
#[derive(Debug, Clone, Copy)]
pub struct Vast {
    pub entries: u64,
    /// How many there are for each directory.
    pub per_directory: u64,
}

impl Vast {
    pub fn directories(&self) -> u64 {
        self.entries / self.per_directory
    }

    /// Below the root, which is number 0; each directory has a higher number than that in which it lies, and in those of the last
    /// half are no directories.
    pub fn path(&self, directory: u64) -> PathBuf {
        let mut numbers = vec![directory];
        while let Some(number) = numbers.last().copied().filter(|number| *number > 0) {
            numbers.push((number - 1) / FAN_OUT);
        }
        let names = numbers.iter().rev().skip(1);
        names.map(|number| format!("{number:06}")).collect()
    }

    /// Numbers of the entries in it that are no directories.
    fn entries_in(&self, directory: u64) -> std::ops::Range<u64> {
        let directories = self.directories();
        let others = self.entries - directories;
        let first = |number: u64| number * others / (directories + 1);
        first(directory)..first(directory + 1)
    }
}

/// Makes them in `root`, which is created if need be. `done` goes up meanwhile, for whoever wants to tell of it.
pub fn make_vast(
    root: &Path,
    vast: &Vast,
    seed: u64,
    threads: usize,
    done: &AtomicU64,
) -> io::Result<Made> {
    fs::create_dir_all(root)?;
    let next = AtomicU64::new(0);
    let work = || -> io::Result<Made> {
        let mut made = Made::default();
        loop {
            let directory = next.fetch_add(1, Ordering::Relaxed);
            if directory > vast.directories() {
                return Ok(made);
            }
            let before = made.entries();
            fill(root, vast, seed, directory, &mut made)?;
            done.fetch_add(made.entries() - before, Ordering::Relaxed);
        }
    };
    made_by(threads, work)
}

fn fill(root: &Path, vast: &Vast, seed: u64, number: u64, made: &mut Made) -> io::Result<()> {
    let path = root.join(vast.path(number));
    // Another thread may not have come to those in which it lies, or have made it for one that lies in it.
    fs::create_dir_all(&path)?;
    made.directories += u64::from(number > 0);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, &path, flags, Mode::empty())?;
    let mode = Mode::from_raw_mode(0o644);
    let mut random = Random::part(seed, number);
    let mut content = [0; LONGEST as usize];
    for entry in vast.entries_in(number) {
        let name = format!("{entry:08}.dat");
        if entry % SYMLINKS == 0 {
            symlinkat(format!("../{name}"), &directory, &name)?;
            made.symlinks += 1;
            continue;
        }
        if entry % CONTENTS == 1 {
            let size = random.within(&(1..=LONGEST));
            let bytes = &mut content[..size as usize];
            random.fill(bytes);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            File::from(openat(&directory, &name, flags, mode)?).write_all(bytes)?;
            made.bytes += size;
        } else {
            mknodat(&directory, &name, FileType::RegularFile, mode, 0)?;
        }
        made.files += 1;
    }
    Ok(())
}
