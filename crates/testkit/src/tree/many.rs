//! Many small files fast, for measurements: several threads, each with directories of its own.
//! What lies in a directory depends on the seed and its number only, not on the threads.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Made, made_by};
use crate::random::Random;

/// So many files, spread evenly over so many directories in the root.
#[derive(Debug, Clone)]
pub struct Many {
    pub directories: u64,
    pub files: u64,
    pub file_bytes: RangeInclusive<u64>,
}

impl Default for Many {
    /// 100,000 files of 0–16 KiB in 1,000 directories.
    fn default() -> Self {
        Self {
            directories: 1_000,
            files: 100_000,
            file_bytes: 0..=16 << 10,
        }
    }
}

/// Makes them in `root`, which is created if need be.
pub fn make_many(root: &Path, many: &Many, seed: u64, threads: usize) -> io::Result<Made> {
    fs::create_dir_all(root)?;
    let next = AtomicU64::new(0);
    made_by(threads, || make_directories(root, many, seed, &next))
}

fn make_directories(root: &Path, many: &Many, seed: u64, next: &AtomicU64) -> io::Result<Made> {
    let mut made = Made::default();
    let mut content = vec![0; *many.file_bytes.end() as usize];
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= many.directories {
            return Ok(made);
        }
        let directory = root.join(format!("{number:06}"));
        fs::create_dir(&directory)?;
        made.directories += 1;
        let mut random = Random::part(seed, number);
        let first = number * many.files / many.directories;
        let end = (number + 1) * many.files / many.directories;
        for file in first..end {
            let size = random.within(&many.file_bytes);
            let bytes = &mut content[..size as usize];
            random.fill(bytes);
            fs::write(directory.join(format!("{file:08}.dat")), bytes)?;
            made.files += 1;
            made.bytes += size;
        }
    }
}
