//! Four workers against one: `BENCH_FLEET_FILES` (16000), trees in which work is spread evenly or not at all.
//!
//! Each worker has mounts of its own over one lower directory in memory, as clients of network file systems have, one for the
//! source and one for the target; a request takes so long that four workers leave the machine idle for a third of the time
//! and more, which is printed. A worker idles in each tenth of a second in which its mounts have nothing to do.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use testkit::compare::Options;
use testkit::tree::{Many, Recipe, make as make_tree, make_many};

use crate::Failure;
use crate::goal::{Bound, Goal, Unit};
use crate::measure::same;
use crate::place::{Kind, Place, empty};
use crate::report::{Section, Table};
use crate::service::Service;
use crate::settings::{Settings, number};
use crate::slowfs::{SlowFs, Timeline};
use crate::tools::Tool;

/// There is nothing to compare with.
pub(super) const TOOLS: &[Tool] = &[Tool::Service];

/// Of a request, so that four workers leave the processors idle.
const DELAY_US: u64 = 8_000;
/// Where all is in one directory: the kernel lets one request a mount change it at a time, which is slow enough.
const ONE_DIRECTORY_DELAY_US: u64 = 2_000;
const SHARD_ENTRIES: u64 = 1_000;
const SPLIT_FILE_BYTES: u64 = 256 << 20;
const RANGE_BYTES: u64 = 16 << 20;
const THREADS: u64 = 16;
const WORKERS: usize = 4;
const CHAIN_LEVELS: usize = 40;
/// What changed later than that is looked at twice, which would be counted for the first run alone.
const SETTLES: Duration = Duration::from_secs(3);
const HUGE_BYTES: u64 = 1 << 30;

/// How the work is spread.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Balanced,
    FatLeaf,
    OneDirectory,
    HugeFile,
}

impl Shape {
    const ALL: [Self; 4] = [
        Self::Balanced,
        Self::FatLeaf,
        Self::OneDirectory,
        Self::HugeFile,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Balanced => "a balanced tree",
            Self::FatLeaf => "one chain of directories with a fat leaf",
            Self::OneDirectory => "one directory",
            Self::HugeFile => "one huge file among small ones",
        }
    }

    fn delay_us(self) -> u64 {
        match self {
            Self::Balanced | Self::HugeFile => DELAY_US,
            Self::FatLeaf | Self::OneDirectory => ONE_DIRECTORY_DELAY_US,
        }
    }

    /// Makes it at `source`.
    fn make(self, source: &Path, files: u64) -> Result<(), Failure> {
        let flat = |directory: &Path, files: u64| -> Result<(), Failure> {
            let recipe = Recipe {
                file_bytes: 0..=8 << 10,
                ..Recipe::plain(0, files)
            };
            make_tree(directory, &recipe, 1)?;
            Ok(())
        };
        let spread = |files: u64| -> Result<(), Failure> {
            let many = Many {
                directories: files.div_ceil(50),
                files,
                file_bytes: 0..=8 << 10,
            };
            make_many(source, &many, 1, 2)?;
            Ok(())
        };
        match self {
            Self::Balanced => spread(files),
            Self::FatLeaf => {
                let leaf = (0..CHAIN_LEVELS).fold(source.to_owned(), |path, level| {
                    path.join(level.to_string())
                });
                fs::create_dir_all(&leaf)?;
                flat(&leaf, files)
            }
            Self::OneDirectory => flat(source, files),
            Self::HugeFile => {
                spread(files)?;
                let block = vec![7; 1 << 20];
                let mut file = File::create(source.join("huge"))?;
                for _ in 0..HUGE_BYTES >> 20 {
                    std::io::Write::write_all(&mut file, &block)?;
                }
                Ok(())
            }
        }
    }
}

/// What a worker sees.
struct Mounts {
    source: SlowFs,
    target: SlowFs,
}

impl Mounts {
    fn timeline(&self) -> Result<Timeline, Failure> {
        Ok(self.source.timeline()?.and(&self.target.timeline()?))
    }

    /// Unmounts them: the requests that they had.
    fn finish(self) -> Result<u64, Failure> {
        Ok(self.source.finish()? + self.target.finish()?)
    }
}

/// One migration by so many workers.
struct Run {
    time: Duration,
    requests: u64,
    /// Of the workers, in the last tenth of the run.
    idle_percent: f64,
    /// Of the machine.
    processors_idle_percent: f64,
}

pub(super) fn run(settings: &Settings, _tools: &[Tool]) -> Result<Vec<Section>, Failure> {
    let files = number("BENCH_FLEET_FILES", 16_000)?;
    let mut rows = Vec::new();
    let mut goals = Vec::new();
    for shape in Shape::ALL {
        let size_mib = 512 + files / 16 + 2 * (HUGE_BYTES >> 20);
        let place = Place::new(Kind::Tmpfs, size_mib)?;
        eprintln!("making {}", shape.name());
        shape.make(&place.source(), files)?;
        thread::sleep(SETTLES);
        let one = migrate(settings, &place, shape, 1)?;
        let all = migrate(settings, &place, shape, WORKERS)?;
        rows.extend([row(shape, 1, &one), row(shape, WORKERS, &all)]);
        goals.extend(compared(shape, &one, &all));
    }
    Ok(vec![Section {
        heading: "Four workers against one",
        about: format!(
            "{files} files of 0–8 KiB, beside a file of {} MiB in the last tree; {} ms a request, {} where all \
             is in one directory; {THREADS} threads a worker, `shard_entries: {SHARD_ENTRIES}`, ranges of {} MiB.",
            HUGE_BYTES >> 20,
            DELAY_US / 1_000,
            ONE_DIRECTORY_DELAY_US / 1_000,
            RANGE_BYTES >> 20
        ),
        table: Table {
            columns: vec![
                "tree",
                "workers",
                "s",
                "requests",
                "idle at the end",
                "CPU idle",
            ],
            rows,
        },
        goals,
        is_broken: false,
    }])
}

fn row(shape: Shape, workers: usize, run: &Run) -> Vec<String> {
    vec![
        shape.name().to_owned(),
        workers.to_string(),
        format!("{:.1}", run.time.as_secs_f64()),
        run.requests.to_string(),
        format!("{:.0} %", run.idle_percent),
        format!("{:.0} %", run.processors_idle_percent),
    ]
}

fn compared(shape: Shape, one: &Run, all: &Run) -> [Goal; 3] {
    let goal = |what: &str, bound, unit, value| {
        Goal::new(
            format!("{}: {what}", shape.name()),
            bound,
            unit,
            Some(value),
        )
    };
    let ratio = one.time.as_secs_f64() / all.time.as_secs_f64();
    let requests = all.requests as f64 / one.requests as f64;
    [
        goal(
            "four workers against one",
            Bound::AtLeast(3.6),
            Unit::Times,
            ratio,
        ),
        goal("their requests", Bound::AtMost(1.03), Unit::Times, requests),
        goal(
            "idle in the last tenth",
            Bound::AtMost(15.0),
            Unit::Percent,
            all.idle_percent,
        ),
    ]
}

fn migrate(
    settings: &Settings,
    place: &Place,
    shape: Shape,
    workers: usize,
) -> Result<Run, Failure> {
    empty(&place.target())?;
    // The same paths on all of them.
    let ends = ["source", "target"].map(|end| place.beside().join("mounted").join(end));
    for end in &ends {
        fs::create_dir_all(end)?;
    }
    let delay = shape.delay_us();
    let mounts: Vec<Mounts> = (0..workers)
        .map(|_| {
            Ok(Mounts {
                source: SlowFs::mount_with(&place.source(), delay, delay)?,
                target: SlowFs::mount_with(&place.target(), delay, delay)?,
            })
        })
        .collect::<Result<_, Failure>>()?;
    let keys = format!(
        "  durability: none\n  transfers: {THREADS}\n  shard_entries: {SHARD_ENTRIES}\n  \
         split_file_bytes: {SPLIT_FILE_BYTES}\n  range_bytes: {RANGE_BYTES}\n"
    );
    let [source, target] = &ends;
    let service = Service::prepare(place.beside(), (source, target), &keys)?;
    let (begun, before) = (Instant::now(), Processors::now()?);
    let server = service.server(&[])?;
    let programs: Vec<_> = mounts
        .iter()
        .map(|mounts| {
            let (from, to) = (mounts.source.path(), mounts.target.path());
            service.worker_with(&[(&from, source), (&to, target)])
        })
        .collect::<Result<_, _>>()?;
    for program in programs.iter().chain([&server]) {
        let code = program.exit_code(settings.limit)?;
        if code != 0 {
            return Err(format!(
                "a program of the fleet ended with {code}: {}",
                program.stderr()
            )
            .into());
        }
    }
    let time = begun.elapsed();
    let processors_idle_percent = before.idle_percent_until(&Processors::now()?);
    eprintln!("{workers} workers: {:.1} s", time.as_secs_f64());
    let timelines: Vec<Timeline> = mounts
        .iter()
        .map(Mounts::timeline)
        .collect::<Result<_, _>>()?;
    let requests: Vec<u64> = mounts
        .into_iter()
        .map(Mounts::finish)
        .collect::<Result<_, _>>()?;
    same(&place.source(), &place.target(), &Options::default())?;
    Ok(Run {
        time,
        requests: requests.iter().sum(),
        idle_percent: idle_in_last_tenth(&timelines) * 100.0,
        processors_idle_percent,
    })
}

/// Of all workers; the run lasts from the first request of any to the last.
fn idle_in_last_tenth(timelines: &[Timeline]) -> f64 {
    let busy: Vec<(u64, u64)> = timelines.iter().filter_map(Timeline::busy).collect();
    let begin = busy
        .iter()
        .map(|(first, _)| *first)
        .min()
        .unwrap_or_default();
    let end = busy.iter().map(|(_, last)| *last).max().unwrap_or_default();
    let from = end - (end - begin) / 10;
    let shares = timelines.iter().map(|one| one.idle_share(from, end));
    shares.sum::<f64>() / timelines.len() as f64
}

/// Time of all processors since the machine started.
struct Processors {
    all: u64,
    idle: u64,
}

impl Processors {
    fn now() -> Result<Self, Failure> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        // user, nice, system, idle, iowait, …
        Ok(Self {
            all: ticks.iter().take(8).sum(),
            idle: ticks.iter().skip(3).take(2).sum(),
        })
    }

    fn idle_percent_until(&self, later: &Self) -> f64 {
        let all = later.all.saturating_sub(self.all).max(1);
        later.idle.saturating_sub(self.idle) as f64 / all as f64 * 100.0
    }
}
