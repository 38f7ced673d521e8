//! A file system on which each request takes its time, and is counted: `slowfs`, which shows another directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::mount::mount_points;
use testkit::{Program, Scratch, tool};

use crate::Failure;
use crate::tools::beside_bench;

pub(crate) const METADATA_DELAY_US: u64 = 500;
pub(crate) const DATA_DELAY_US: u64 = 200;

/// To be mounted, or to end after that.
const LIMIT: Duration = Duration::from_secs(60);

/// What no caller waits for, or has asked for.
const UNCOUNTED: [&str; 5] = ["init", "destroy", "forget", "batch_forget", "interrupt"];

/// Mounted until it is finished, or dropped.
pub(crate) struct SlowFs {
    program: Program,
    // Dropped after the program: it takes off what is left mounted.
    scratch: Scratch,
}

impl SlowFs {
    /// Shows `lower`.
    pub(crate) fn mount(lower: &Path) -> Result<Self, Failure> {
        Self::mount_with(lower, METADATA_DELAY_US, DATA_DELAY_US)
    }

    /// With these delays of a request.
    pub(crate) fn mount_with(
        lower: &Path,
        metadata_us: u64,
        data_us: u64,
    ) -> Result<Self, Failure> {
        let scratch = Scratch::new("slowfs");
        let point = scratch.directory("mounted");
        let mut command = Command::new(beside_bench("slowfs"));
        command
            // Else the C library clears the buffers of its threads, 16 MiB each, while the first requests come in.
            .env("MALLOC_MMAP_THRESHOLD_", "1048576")
            .args([lower, &point])
            .args(["--threads", "64"])
            .args(["--metadata-delay-us", &metadata_us.to_string()])
            .args(["--data-delay-us", &data_us.to_string()])
            .arg("--counts")
            .arg(scratch.join("counts"))
            .arg("--timeline")
            .arg(scratch.join("timeline"));
        let program = Program::start(&mut command)
            .map_err(|error| format!("cannot start {:?}: {error}", command.get_program()))?;
        program.wait_until("its mount", LIMIT, || {
            mount_points().is_ok_and(|table| table.iter().any(|mount| mount.path == point))
        })?;
        Ok(Self { program, scratch })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.join("mounted")
    }

    /// So far.
    pub(crate) fn timeline(&self) -> Result<Timeline, Failure> {
        Timeline::parse(&fs::read_to_string(self.scratch.join("timeline"))?)
    }

    /// Unmounts it: the requests that it had.
    pub(crate) fn finish(self) -> Result<u64, Failure> {
        tool::run(Command::new("umount").arg(self.path()))?;
        match self.program.exit_code(LIMIT)? {
            0 => requests(&fs::read_to_string(self.scratch.join("counts"))?),
            code => Err(format!("slowfs: exit code {code}: {}", self.program.stderr()).into()),
        }
    }
}

/// The sum of the lines `KIND COUNT`.
fn requests(text: &str) -> Result<u64, Failure> {
    let mut sum = 0;
    for line in text.lines() {
        let wrong = || format!("slowfs counted {line:?}, which is no KIND COUNT");
        let (kind, count) = line.split_once(' ').ok_or_else(wrong)?;
        let count: u64 = count.trim().parse().map_err(|_| wrong())?;
        if !UNCOUNTED.contains(&kind.to_ascii_lowercase().as_str()) {
            sum += count;
        }
    }
    Ok(sum)
}

/// What the file system had to do in each tenth of a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// Since 1970: those of several file systems are on one clock.
    ends_ms: u64,
    /// Nobody had asked for anything.
    is_idle: bool,
}

impl Timeline {
    /// From lines `MS REQUESTS IN_FLIGHT`; one that is being written does not count.
    fn parse(text: &str) -> Result<Self, Failure> {
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        let mut before = 0;
        let mut steps = Vec::new();
        for line in whole.lines() {
            let numbers: Vec<u64> = line
                .split(' ')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .unwrap_or_default();
            let [ends_ms, requests, in_flight] = numbers[..] else {
                return Err(
                    format!("slowfs wrote {line:?}, which is no MS REQUESTS IN_FLIGHT").into(),
                );
            };
            steps.push(Step {
                ends_ms,
                is_idle: requests == before && in_flight == 0,
            });
            before = requests;
        }
        Ok(Self { steps })
    }

    /// Of two file systems that one client has: it has nothing to do while it asks neither.
    pub(crate) fn and(self, other: &Self) -> Self {
        let is_idle_at = |ms: u64| {
            let mut steps = other.steps.iter();
            steps
                .find(|step| step.ends_ms >= ms)
                .is_none_or(|step| step.is_idle)
        };
        let steps = self.steps.into_iter().map(|step| Step {
            is_idle: step.is_idle && is_idle_at(step.ends_ms),
            ..step
        });
        Self {
            steps: steps.collect(),
        }
    }

    /// The ends of the first and the last step in which there was something to do.
    pub(crate) fn busy(&self) -> Option<(u64, u64)> {
        let mut busy = self.steps.iter().filter(|step| !step.is_idle);
        let first = busy.next()?.ends_ms;
        Some((first, busy.next_back().map_or(first, |last| last.ends_ms)))
    }

    /// The share of the steps in this time in which there was nothing to do.
    pub(crate) fn idle_share(&self, from_ms: u64, to_ms: u64) -> f64 {
        let is_within = |step: &&Step| (from_ms..=to_ms).contains(&step.ends_ms);
        let within: Vec<&Step> = self.steps.iter().filter(is_within).collect();
        let idle = within.iter().filter(|step| step.is_idle).count();
        idle as f64 / within.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Timeline, requests};

    #[test]
    fn a_step_without_a_request_is_idle() {
        let text =
            "1000 0 0\n1100 5 2\n1200 5 2\n1300 9 0\n1400 9 0\n1500 9 0\n1600 12 0\n1700 12 0\n18";
        let timeline = Timeline::parse(text).unwrap();
        assert_eq!(timeline.busy(), Some((1100, 1600)));
        assert_eq!(timeline.idle_share(1100, 1600), 2.0 / 6.0);
        assert_eq!(timeline.idle_share(1650, 2000), 1.0);
        assert!(Timeline::parse("5 6\n").is_err());
        assert_eq!(Timeline::parse("").unwrap().busy(), None);
    }

    #[test]
    fn who_asks_either_of_two_is_not_idle() {
        let parse = |text| Timeline::parse(text).unwrap();
        let one = parse("1000 0 0\n1100 5 0\n1200 5 0\n1300 5 0\n1400 6 0\n");
        let other = parse("1050 0 0\n1150 0 0\n1250 3 0\n1350 3 0\n");
        let both = one.and(&other);
        assert_eq!(both.busy(), Some((1100, 1400)));
        assert_eq!(both.idle_share(1100, 1400), 1.0 / 4.0);
    }

    #[test]
    fn requests_are_what_somebody_waits_for() {
        assert_eq!(requests("lookup 3\nFORGET 5\ncreate 4\n").unwrap(), 7);
        assert!(requests("lookup\n").is_err());
        assert!(requests("lookup x\n").is_err());
    }
}
