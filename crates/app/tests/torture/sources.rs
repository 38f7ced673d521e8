//! The trees of a run: on a file system that takes its time, so that a run of a thousand entries lasts for seconds on
//! every machine. They are judged below it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::fuse::{Mounted, SlowFs};
use testkit::random::Random;
use testkit::tree::{self, Made, Recipe};

use crate::changing::Changing;
use crate::fleet::Fleet;

/// Before each request for a source.
const DELAY: Duration = Duration::from_millis(5);
const CHAIN_LEVELS: usize = 12;

pub struct Sources {
    /// Trees that nobody touches, in the order of their tasks.
    pub quiet: Vec<Quiet>,
    /// The last task.
    pub changing: Changing,
    pub changing_target: PathBuf,
    /// Taken off before what it is over is removed.
    _slow: Mounted,
}

pub struct Quiet {
    /// Without the delay.
    pub lower: PathBuf,
    pub target: PathBuf,
    pub made: Made,
}

impl Sources {
    /// Makes the trees and their tasks.
    pub fn new(fleet: &mut Fleet, seed: u64, random: &mut Random) -> Self {
        let (lower, point) = (fleet.path("lower"), fleet.path("slow"));
        for directory in [&lower, &point] {
            fs::create_dir(directory).expect("a directory can be made");
        }
        let slow = SlowFs::over(&lower)
            .metadata_delay(DELAY)
            .data_delay(DELAY)
            .mount(&point)
            .unwrap_or_else(|error| panic!("{error}"));
        let quiet = ["odd", "chain", "flat"]
            .into_iter()
            .zip(1..)
            .map(|(name, part)| {
                let lower = lower.join(name);
                let seed = seed.wrapping_mul(10) + part;
                let made = match name {
                    "odd" => make(&lower, &odd(random), seed),
                    "chain" => chain(&lower, random.within(&(100..=300)), seed),
                    _ => make(
                        &lower,
                        &Recipe::plain(0, random.within(&(300..=1_500))),
                        seed,
                    ),
                };
                let target = fleet.path(format!("target-{name}"));
                fleet.add_task(&point.join(name), &target, Some(made));
                Quiet {
                    lower,
                    target,
                    made,
                }
            })
            .collect();
        let changing = Changing::new(&point, random);
        let changing_target = fleet.path("target-changing");
        fleet.add_task(&changing.root(), &changing_target, None);
        Self {
            quiet,
            changing,
            changing_target,
            _slow: slow,
        }
    }
}

fn odd(random: &mut Random) -> Recipe {
    Recipe {
        hard_links: 12,
        big_files: 1,
        big_file_bytes: (24 << 20) + 5,
        ..Recipe::odd(random.within(&(10..=50)), random.within(&(100..=400)))
    }
}

/// Directories in one another, with so many files in the last.
fn chain(root: &Path, files: u64, seed: u64) -> Made {
    let leaf = (0..CHAIN_LEVELS).fold(root.to_owned(), |path, level| path.join(format!("{level}")));
    fs::create_dir_all(&leaf).expect("directories can be made");
    let mut made = make(&leaf, &Recipe::plain(0, files), seed);
    made.directories += CHAIN_LEVELS as u64;
    made
}

fn make(root: &Path, recipe: &Recipe, seed: u64) -> Made {
    tree::make(root, recipe, seed).expect("a tree can be made")
}
