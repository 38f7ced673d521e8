//! How each tool is asked to copy one directory's contents into another.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tool;
use crate::Failure;

/// Transfers and checkers where rclone gets a list of files.
pub(crate) const PIECE_TRANSFERS: u32 = 16;

/// What is asked of a tool.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    /// For lists, logs and what else a tool needs a place for.
    pub(crate) beside: PathBuf,
    pub(crate) content: Content,
    pub(crate) latency: Latency,
    /// So that all threads have something to do; only the floor is told.
    pub(crate) files_per_thread: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Copied,
    /// Blocks are shared; tools that can be told to insist on it are.
    Shared,
}

/// What a request costs, which says how many workers a tool is best given where it lets its user choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latency {
    /// A tool's own choice.
    Low,
    /// 64 workers.
    High,
}

impl Tool {
    /// The command that copies; none for server and worker, which are two.
    pub(crate) fn command(self, job: &Job) -> Option<Command> {
        let Job { source, target, .. } = job;
        let mut command = Command::new(self.program());
        match self {
            Self::Copy | Self::CopyBefore => command.args(["copy", "--durability", "none"]),
            Self::CopyBatch => command.args(["copy", "--durability", "batch"]),
            Self::CopyPreserve => command
                .args(["copy", "--durability", "none"])
                .args(["--preserve", "mode,owner,times"]),
            Self::Service | Self::OldConfig { .. } => return None,
            Self::Floor => floor(&mut command, job),
            Self::Xcp => xcp(&mut command, job),
            Self::Cp if job.content == Content::Shared => command.args(["-a", "--reflink=always"]),
            Self::Cp | Self::Rsync => command.arg("-a"),
            Self::RsyncAll => command.arg("-aHAX"),
            Self::Fpsync => command
                .args(["-n", "4", "-t"])
                .arg(job.beside.join("fpsync")),
            Self::Rclone { transfers } => rclone(&mut command, transfers),
            Self::RclonePiece => rclone(&mut command, PIECE_TRANSFERS)
                .args(["--log-level", "INFO", "--log-file"])
                .arg(job.beside.join("log"))
                .args(["--no-traverse", "--files-from-raw"])
                .arg(list(&job.beside)),
        };
        match self {
            Self::Cp => command.arg(contents(source, "/.")),
            Self::Rsync | Self::RsyncAll | Self::Fpsync => command.arg(contents(source, "/")),
            _ => command.arg(source),
        };
        match self {
            Self::Fpsync => command.arg(contents(target, "/")),
            _ => command.arg(target),
        };
        Some(command)
    }
}

fn floor<'a>(command: &'a mut Command, job: &Job) -> &'a mut Command {
    if job.content == Content::Shared {
        command.arg("--reflink");
    }
    command.args(["--files-per-job", &job.files_per_thread.to_string()])
}

/// It copies modes, times, extended attributes and ACLs, and owners where it is told to.
fn xcp<'a>(command: &'a mut Command, job: &Job) -> &'a mut Command {
    command.args([
        "--recursive",
        "--ownership",
        "--no-target-directory",
        "--no-progress",
    ]);
    if job.content == Content::Shared {
        command.args(["--reflink", "always"]);
    }
    match job.latency {
        Latency::Low => command,
        Latency::High => command.args(["--workers", "64"]),
    }
}

fn rclone(command: &mut Command, transfers: u32) -> &mut Command {
    command
        .args(["copy", "--config", "/dev/null"])
        .args(["--transfers", &transfers.to_string()])
        .args(["--checkers", &transfers.to_string()])
}

fn contents(directory: &Path, end: &str) -> OsString {
    let mut text = directory.as_os_str().to_owned();
    text.push(end);
    text
}

fn list(beside: &Path) -> PathBuf {
    beside.join("list")
}

/// Writes the list of all files of `source` for [`Tool::RclonePiece`].
pub(crate) fn write_list(source: &Path, beside: &Path) -> Result<(), Failure> {
    let found = Command::new("find")
        .arg(".")
        .args(["-type", "f", "-printf", "%P\\n"])
        .current_dir(source)
        .output()?;
    Ok(fs::write(list(beside), found.stdout)?)
}
