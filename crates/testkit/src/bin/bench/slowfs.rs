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
        let scratch = Scratch::new("slowfs");
        let point = scratch.directory("mounted");
        let mut command = Command::new(beside_bench("slowfs"));
        command
            .args([lower, &point])
            .args(["--threads", "64"])
            .args(["--metadata-delay-us", &METADATA_DELAY_US.to_string()])
            .args(["--data-delay-us", &DATA_DELAY_US.to_string()])
            .arg("--counts")
            .arg(scratch.join("counts"));
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

#[cfg(test)]
mod tests {
    use super::requests;

    #[test]
    fn requests_are_what_somebody_waits_for() {
        assert_eq!(requests("lookup 3\nFORGET 5\ncreate 4\n").unwrap(), 7);
        assert!(requests("lookup\n").is_err());
        assert!(requests("lookup x\n").is_err());
    }
}
