//! `data-migrate fstype PATH…`

use std::path::PathBuf;

use clap::Args;

use crate::console;
use crate::exit::End;

/// Show the file-system type of paths as the guard sees it, and the names that match it in a config
///
/// Exit codes: 0 all were looked at; 1 some could not be, each named; 2 a mistake in the flags.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// What to look at; of a path that does not exist, the nearest directory above
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    let mut end = End::Success;
    for path in &flags.paths {
        match storage::fs_type::detect_path(path) {
            Ok(seen) => console::print(&format!("{seen}\n"))?,
            Err(error) => {
                console::line(&format!("error: {}", model::error_chain(&error)));
                end = End::Failed;
            }
        }
    }
    Ok(end)
}
