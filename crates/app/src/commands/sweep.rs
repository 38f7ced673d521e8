//! `data-migrate sweep`

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use coordinator::report::human;
use model::RunId;
use storage::posix::Dir;
use transfer::{Remove, sweep};

use crate::console;
use crate::exit::{End, Usage};

/// Find, and if asked remove, what runs that were given up left unfinished at a target
///
/// Runs that go on, and copies that are repeated, clear up after themselves. Without --run or --all nothing is removed.
/// Exit codes: 0 all was looked through; 1 something could not be looked at or removed, each named; 2 a mistake in the
/// flags or the path.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Target of a migration, looked through with everything below
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    /// Remove what this run left; it must not be running any more
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    run: Option<RunId>,
    /// Remove what all runs left; none may be running at this target
    #[arg(long)]
    all: bool,
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    let remove = match (flags.run, flags.all) {
        (Some(run), _) => Remove::Of(run),
        (None, true) => Remove::All,
        (None, false) => Remove::Nothing,
    };
    let root = Dir::open_root(&flags.target)
        .map_err(|e| Usage(model::error_chain(&e)))
        .with_context(|| flags.target.display().to_string())?;
    let swept = sweep(&root, remove);
    if swept.runs.is_empty() {
        console::print("nothing unfinished\n")?;
    }
    for (run, (found, removed)) in &swept.runs {
        let entries = human::counted(*found, "unfinished entry", "unfinished entries");
        let removed = human::count(*removed);
        console::print(&format!("run {run}: {entries}, {removed} removed\n"))?;
    }
    for (path, error) in &swept.failures {
        console::line(&format!("failed: {path}: {error}"));
    }
    Ok(match swept.failures.is_empty() {
        true => End::Success,
        false => End::Failed,
    })
}
