//! Rounds of timed copies, each onto a fresh empty directory of a file system in memory.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::compare::compare;
use testkit::mount::LoopMount;

use crate::Failure;
use crate::service::Service;
use crate::tools::Tool;

/// Where it all happens. State of the server has a file system of its own, as it has on a server: otherwise each of
/// its syncs would write the copied files too.
pub(crate) struct Plan {
    data: LoopMount,
    state: LoopMount,
}

impl Plan {
    pub(crate) fn new(files: u64) -> Result<Self, Failure> {
        // Source and target with 8 KiB a file and an inode for each, twice over.
        let size_mib = 512 + files * 2 * 2 * 12 / 1024;
        Ok(Self {
            data: LoopMount::ext4(size_mib)?,
            state: LoopMount::ext4(256)?,
        })
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.data.path().join("source")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.state.path().to_owned()
    }

    /// A target that is empty, on a file system with nothing left to write.
    pub(crate) fn fresh_target(&self) -> io::Result<PathBuf> {
        let target = self.data.path().join("target");
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::create_dir(&target)?;
        rustix::fs::syncfs(fs::File::open(&target)?)?;
        Ok(target)
    }
}

/// The times of one tool, a round each.
pub(crate) struct Series {
    pub(crate) tool: Tool,
    pub(crate) times: Vec<Duration>,
}

impl Series {
    pub(crate) fn median_seconds(&self) -> f64 {
        let mut seconds: Vec<f64> = self.times.iter().map(Duration::as_secs_f64).collect();
        seconds.sort_by(f64::total_cmp);
        let middle = seconds.len() / 2;
        match seconds.len() % 2 {
            0 => (seconds[middle - 1] + seconds[middle]) / 2.0,
            _ => seconds[middle],
        }
    }
}

pub(crate) fn all(plan: &Plan, tools: &[Tool], rounds: u64) -> Result<Vec<Series>, Failure> {
    let mut series: Vec<Series> = tools
        .iter()
        .map(|tool| Series {
            tool: *tool,
            times: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for one in &mut series {
            let time = timed(plan, one.tool)?;
            let title = one.tool.title();
            eprintln!("round {}: {title}: {:.2} s", round + 1, time.as_secs_f64());
            one.times.push(time);
            if round == 0 {
                verify(plan, one.tool)?;
            }
        }
    }
    Ok(series)
}

fn timed(plan: &Plan, tool: Tool) -> Result<Duration, Failure> {
    let target = plan.fresh_target()?;
    if let Some(keys) = tool.service_config() {
        return Service::prepare(plan, (&plan.source(), &target), &keys)?.run_to_end();
    }
    let Some(mut command) = tool.command(&plan.source(), &target) else {
        return Err(format!("{} has no command", tool.title()).into());
    };
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = run(&mut command)?;
    let time = begun.elapsed();
    match status {
        true => Ok(time),
        false => Err(format!("{command:?} failed").into()),
    }
}

fn run(command: &mut Command) -> Result<bool, Failure> {
    let status = command.status();
    Ok(status
        .map_err(|error| format!("cannot start {command:?}: {error}"))?
        .success())
}

/// The copy that was just made, against the source.
fn verify(plan: &Plan, tool: Tool) -> Result<(), Failure> {
    let target = plan.source().with_file_name("target");
    let differences = compare(&plan.source(), &target, &tool.kept());
    match differences.first() {
        None => Ok(()),
        Some(first) => {
            let (title, count) = (tool.title(), differences.len());
            Err(format!("{title}: the copy differs in {count} places, first {first}").into())
        }
    }
}
