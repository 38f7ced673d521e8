//! `data-migrate upload`

use anyhow::Context;
use clap::Args;
use coordinator::uploads::push::push;

use super::server::ConfigFlag;
use crate::exit::{End, Usage};
use crate::flags::LogFlags;
use crate::{console, logging};

/// Upload the reports, logs and lists that a server could not bring to S3
///
/// They lie in the data directory's outbox; a server that runs there uploads them itself. Exit codes: 0 all is uploaded; 1
/// something is missing and named; 2 a mistake in flags or config, or a server runs.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    log: LogFlags,
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    logging::begin(&flags.log);
    let config_file = flags.config.file()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot start")?;
    let pushed = runtime
        .block_on(push(&config_file))
        .map_err(|error| Usage(model::error_chain(&error)))?;
    for key in &pushed.uploaded {
        console::print(&format!("uploaded: {key}\n"))?;
    }
    console::print(&format!(
        "{} uploaded to {}, {} missing\n",
        pushed.uploaded.len(),
        pushed.destination,
        pushed.missing.len()
    ))?;
    for key in &pushed.missing {
        console::line(&format!("missing: {key}"));
    }
    if let (Some(why), false) = (&pushed.trouble, pushed.missing.is_empty()) {
        console::line(&format!("not uploaded to {}: {why}", pushed.destination));
    }
    Ok(match pushed.missing.is_empty() {
        true => End::Success,
        false => End::Failed,
    })
}
