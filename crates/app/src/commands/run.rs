//! `data-migrate run`: server and worker in one process, over the same code as the fleet.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use coordinator::report::human;
use coordinator::scheduler::{Scheduler, Snapshot};
use coordinator::server::{Ended, Options, Server};
use transfer::rclone::{NoRclone, Rclone};

use super::server::{ConfigFlag, NewRunFlag, finish, told};
use super::worker::RcloneFlag;
use super::{default_name, leave_running, raise_descriptor_limit};
use crate::exit::End;
use crate::flags::{LogFlags, Maybe, given, port};
use crate::{console, logging, stop};

/// How often the live line is redrawn.
const REDRAW: Duration = Duration::from_millis(250);

/// Run the migration that a config file describes in this process alone
///
/// The server listens on loopback, for `data-migrate status`. Exit codes as of `server`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    config: ConfigFlag,
    /// Port on loopback; default: any free one
    #[arg(long = "server.port", env = "SERVERPORT", value_name = "N", value_parser = port)]
    port: Option<Maybe<u16>>,
    #[command(flatten)]
    again: NewRunFlag,
    #[command(flatten)]
    rclone: RcloneFlag,
    #[command(flatten)]
    log: LogFlags,
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    logging::begin(&flags.log);
    raise_descriptor_limit()?;
    let options = Options {
        config_file: flags.config.file()?,
        port: given(flags.port),
        keep: Some(false),
        new_run: flags.again.new_run,
        embedded: true,
    };
    let server = Server::open(&options).map_err(told)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(both(server, flags.rclone.find()));
    leave_running(runtime);
    Ok(finish(ended?))
}

/// The worker is told to stop by the signal, the server by the worker's end, whatever brings it:
/// without its one worker the run would never be over.
async fn both(server: Server, rclone: Result<Arc<Rclone>, NoRclone>) -> anyhow::Result<Ended> {
    let stop = stop::listen().context("cannot listen for signals")?;
    let options = worker::Options {
        addresses: super::worker::addresses(&server.address().to_string())?,
        name: default_name(),
        // The server's limit, from the config, decides.
        concurrency: u32::MAX,
        transfers: None,
        rclone,
        only_walks: false,
        wait: None,
    };
    let drawing = console::is_live().then(|| tokio::spawn(draw(server.scheduler())));
    let working = tokio::spawn(worker::run(options, stop::asked(stop.clone())));
    let mut broken = None;
    let ended = server
        .serve(async {
            match working.await {
                Ok(Ok(worker::Ended::Stopped)) => {}
                // The server ends by itself.
                Ok(Ok(worker::Ended::RunOver)) => stop::asked(stop).await,
                Ok(Err(error)) => broken = Some(anyhow::Error::from(error)),
                Err(panic) => broken = Some(panic.into()),
            }
        })
        .await;
    if let Some(drawing) = drawing {
        drawing.abort();
        console::live("");
    }
    match broken {
        Some(error) => Err(error.context("the worker could not go on; start again to resume")),
        None => ended.map_err(told),
    }
}

/// Keeps a line about the whole run on the terminal.
async fn draw(scheduler: Arc<Scheduler>) {
    let mut interval = tokio::time::interval(REDRAW);
    let mut before: Option<Snapshot> = None;
    loop {
        interval.tick().await;
        let looked_at = scheduler.clone();
        let Ok(Ok(snapshot)) = tokio::task::spawn_blocking(move || looked_at.snapshot()).await
        else {
            return;
        };
        if snapshot.over {
            console::live("");
            return;
        }
        console::live(&line(&snapshot, before.as_ref()));
        // Rates are over a few seconds, so that they can be read.
        if before
            .as_ref()
            .is_none_or(|before| snapshot.now - before.now > 3_000)
        {
            before = Some(snapshot);
        }
    }
}

fn line(snapshot: &Snapshot, before: Option<&Snapshot>) -> String {
    let progress = snapshot.progress(before);
    let done = progress.success + progress.failed;
    let failures = match progress.failures {
        0 => String::new(),
        n => format!(", {} failed", human::count(n)),
    };
    format!(
        "{done}/{} tasks, {} files, {}, {}, {}{failures}",
        progress.tasks,
        human::count(progress.files),
        human::bytes(progress.bytes),
        format_args!(
            "{} files/s",
            human::rate(progress.recent_files, progress.recent_ms)
        ),
        human::byte_rate(progress.recent_bytes, progress.recent_ms),
    )
}
