//! The trees of a run: on file systems that take their time, so that a run of a thousand entries lasts for seconds on
//! every machine. They are judged below them. Trees that nobody touches are mounted by each worker for itself, as on
//! machines of their own; the one that changes is on one mount for all, whose caches know of each change.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::fuse::{self, SlowFs};
use testkit::random::Random;
use testkit::tree::{self, Made, Recipe};

use crate::changing::Changing;
use crate::fleet::Fleet;
use crate::mounts::View;

/// Before each request for a source.
const DELAY: Duration = Duration::from_millis(5);
/// Each has a buffer of 16 MiB, and there are many mounts at once.
const THREADS: usize = 8;
const CHAIN_LEVELS: usize = 12;

pub struct Sources {
    /// Trees that nobody touches, in the order of their tasks.
    pub quiet: Vec<Quiet>,
    /// The last task.
    pub changing: Changing,
    pub changing_target: PathBuf,
    lower: PathBuf,
    /// Where workers see the quiet trees, and nobody else does.
    point: PathBuf,
    /// Where the mounts are that they are seen through.
    views: PathBuf,
    /// Taken off before what it is over is removed.
    _slow: fuse::Mounted,
}

pub struct Quiet {
    /// Without the delay.
    pub lower: PathBuf,
    pub target: PathBuf,
    pub made: Made,
}

impl Sources {
    /// Makes the trees and their tasks. Targets lie on the `volume`, all but one.
    pub fn new(fleet: &mut Fleet, volume: &Path, seed: u64, random: &mut Random) -> Self {
        let directory = |name: &str| {
            let path = fleet.path(name);
            fs::create_dir(&path).expect("a directory can be made");
            path
        };
        let [lower, point, views] = ["lower", "quiet", "views"].map(directory);
        let [lower_changing, slow_changing] = ["lower-changing", "slow"].map(directory);
        let slow = mount(&lower_changing, &slow_changing);
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
                        &Recipe::plain(0, random.within(&(300..=1_000))),
                        seed,
                    ),
                };
                let target = match name {
                    "chain" => fleet.path("target-chain"),
                    _ => volume.join(name),
                };
                fleet.add_task(&point.join(name), &target, Some(made));
                Quiet {
                    lower,
                    target,
                    made,
                }
            })
            .collect();
        let changing = Changing::new(&slow_changing, random);
        let changing_target = volume.join("changing");
        fleet.add_task(&changing.root(), &changing_target, None);
        Self {
            quiet,
            changing,
            changing_target,
            lower,
            point,
            views,
            _slow: slow,
        }
    }

    /// The quiet trees as the machine of this name is to see them.
    pub fn view(&self, name: &str) -> View {
        let at = self.views.join(name);
        fs::create_dir(&at).expect("a directory can be made");
        View::new(mount(&self.lower, &at), &self.point)
    }
}

fn mount(lower: &Path, point: &Path) -> fuse::Mounted {
    SlowFs::over(lower)
        .metadata_delay(DELAY)
        .data_delay(DELAY)
        .threads(THREADS)
        .mount(point)
        .unwrap_or_else(|error| panic!("{error}"))
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
