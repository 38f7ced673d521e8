//! `data-migrate-worker`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use transfer::rclone::{NoRclone, Rclone};
use worker::{Address, Ended, Options, WorkerError};

use super::{default_name, leave_running, raise_descriptor_limit};
use crate::exit::{End, Usage};
use crate::flags::{LogFlags, Maybe, given, maybe, whole_number};
use crate::{logging, stop};

/// Items at once where neither flag nor variable says.
const DEFAULT_CONCURRENCY: u32 = 3;

/// Work for a server until its run is over
///
/// Exit codes: 0 the run is over; 2 a mistake in the flags, or server and worker don't fit together; 3 no server within
/// --wait-secs; 130 or 143 stopped by a signal.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where the server is; several, separated by commas, are tried in turn
    #[arg(
        long = "server.address",
        env = "SERVERADDRESS",
        value_name = "HOST:PORT[,HOST:PORT…]"
    )]
    addresses: Option<String>,
    /// Items to hold at once; the lower of this and the config's counts
    #[arg(long, env = "CONCURRENCY", value_name = "N", value_parser = whole_number)]
    concurrency: Option<Maybe<i64>>,
    /// Threads; else global_config.transfers of the server's config
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    transfers: Option<u32>,
    /// Give up when no server could be reached for so many seconds; default: never
    #[arg(long, value_name = "N")]
    wait_secs: Option<u64>,
    /// Name of this worker in reports; default: host and process id
    #[arg(long, env = "CLIENT_NAME", value_name = "NAME", value_parser = maybe::<String>)]
    name: Option<Maybe<String>>,
    #[command(flatten)]
    rclone: RcloneFlag,
    #[command(flatten)]
    log: LogFlags,
}

#[derive(Debug, Args)]
pub(crate) struct RcloneFlag {
    /// The rclone for tasks that need it (1.60 or later): a name in PATH, or a path
    #[arg(
        long = "rclone.path",
        env = "RCLONEPATH",
        value_name = "PROGRAM",
        default_value = "rclone"
    )]
    path: PathBuf,
}

impl RcloneFlag {
    /// Looks at the program; what is wrong with it is told only to who needs it.
    pub(crate) fn find(&self) -> Result<Arc<Rclone>, NoRclone> {
        Rclone::find(&self.path, std::env::vars_os()).map(Arc::new)
    }
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    logging::begin(&flags.log);
    raise_descriptor_limit()?;
    let options = Options {
        addresses: addresses(flags.addresses.as_deref().unwrap_or_default())?,
        name: given(flags.name).unwrap_or_else(default_name),
        concurrency: match given(flags.concurrency) {
            Some(n) if n > 0 => n.min(i64::from(u32::MAX)) as u32,
            _ => DEFAULT_CONCURRENCY,
        },
        transfers: flags.transfers,
        rclone: flags.rclone.find(),
        only_walks: false,
        wait: flags.wait_secs.map(Duration::from_secs),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(async {
        let stop = stop::listen().context("cannot listen for signals")?;
        worker::run(options, stop::asked(stop)).await.map_err(told)
    });
    leave_running(runtime);
    Ok(match ended? {
        Ended::RunOver => End::Success,
        Ended::Stopped => End::Signal(stop::received().unwrap_or(15)),
    })
}

pub(crate) fn addresses(text: &str) -> anyhow::Result<Vec<Address>> {
    if text.trim().is_empty() {
        return Err(Usage(
            "no server: name it with --server.address HOST:PORT or in SERVERADDRESS".to_owned(),
        )
        .into());
    }
    text.split(',')
        .map(|address| address.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|e: worker::InvalidAddress| Usage(e.to_string()).into())
}

pub(crate) fn told(error: WorkerError) -> anyhow::Error {
    match error {
        WorkerError::Refused(_) => Usage(error.to_string()).into(),
        WorkerError::NoServer { .. } => error.into(),
    }
}
