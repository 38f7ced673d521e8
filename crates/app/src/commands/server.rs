//! `data-migrate-server`

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use coordinator::report;
use coordinator::results::Written;
use coordinator::server::{Ended, Options, Server, ServerError};
use transfer::rclone::{NoRclone, Rclone};

use super::worker::RcloneFlag;
use crate::exit::{End, Usage};
use crate::flags::{LogFlags, Maybe, boolean, given, maybe, port};
use crate::{console, logging, stop};

/// Run the migration that a config file describes, with the workers that connect
///
/// Exit codes: 0 all tasks succeeded; 1 some failed or are incomplete; 2 a mistake in flags, config or tasks file, or the
/// port is taken; 3 could not go on; 130 or 143 stopped by a signal: start it again to resume.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    config: ConfigFlag,
    /// Port for workers and `status`; else server.port of the config, else 2000
    #[arg(long = "server.port", env = "SERVERPORT", value_name = "N", value_parser = port)]
    port: Option<Maybe<u16>>,
    /// Go on serving the results after the end of the run; default in Kubernetes
    #[arg(long = "server.keep", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = boolean)]
    keep: Option<bool>,
    #[command(flatten)]
    again: NewRunFlag,
    /// With server_side_listing: of remotes that are listed beside the server
    #[command(flatten)]
    rclone: RcloneFlag,
    #[command(flatten)]
    log: LogFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFlag {
    /// The config, YAML or (name in .json) JSON
    #[arg(long = "config.file", env = "CONFIGFILE", value_name = "FILE", value_parser = maybe::<PathBuf>)]
    file: Option<Maybe<PathBuf>>,
}

impl ConfigFlag {
    pub(crate) fn file(self) -> anyhow::Result<PathBuf> {
        given(self.file).ok_or_else(|| {
            Usage("no config file: name it with --config.file FILE or in CONFIGFILE".to_owned())
                .into()
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct NewRunFlag {
    /// Begin a new run even if the same one is over already; one that is unfinished goes on all the same
    #[arg(long)]
    pub(crate) new_run: bool,
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    logging::begin(&flags.log);
    // A connection for each worker.
    super::raise_descriptor_limit()?;
    let options = Options {
        config_file: flags.config.file()?,
        port: given(flags.port),
        keep: flags.keep,
        new_run: flags.again.new_run,
        embedded: false,
    };
    let server = Server::open(&options).map_err(told)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let ended = runtime.block_on(async {
        let stop = stop::listen().context("cannot listen for signals")?;
        if server.wants_listing_worker() {
            let lister = lister(&server, flags.rclone.find())?;
            let until = stop::asked(stop.clone());
            tokio::spawn(async move {
                if let Err(error) = worker::run(lister, until).await {
                    tracing::error!("nobody lists beside the server any more: {error}");
                }
            });
        }
        server.serve(stop::asked(stop)).await.map_err(told)
    });
    // Long polls of workers would hold it up.
    runtime.shutdown_background();
    Ok(finish(ended?))
}

/// The worker beside the server that looks at sources, for `server_side_listing`.
fn lister(
    server: &Server,
    rclone: Result<Arc<Rclone>, NoRclone>,
) -> anyhow::Result<worker::Options> {
    let port = server.address().port();
    Ok(worker::Options {
        addresses: super::worker::addresses(&format!("localhost:{port}"))?,
        name: format!("{} (lists beside the server)", super::default_name()),
        concurrency: u32::MAX,
        transfers: None,
        rclone,
        only_walks: true,
        wait: None,
    })
}

/// Which errors are the user's to mend.
pub(crate) fn told(error: ServerError) -> anyhow::Error {
    match error.is_usage() {
        true => Usage(model::error_chain(&error)).into(),
        false => error.into(),
    }
}

pub(crate) fn finish(ended: Ended) -> End {
    match ended {
        Ended::Stopped => End::Signal(stop::received().unwrap_or(15)),
        Ended::Over {
            all_succeeded,
            written,
        } => {
            show(&written);
            match all_succeeded {
                true => End::Success,
                false => End::Failed,
            }
        }
    }
}

/// The results, for people.
fn show(written: &Written) {
    let width = console::width(std::io::stdout(), 160);
    let copy = written.copy.iter();
    let copy: String = copy
        .map(|copy| format!("         {}\n", copy.display()))
        .collect();
    console::tell(&format!(
        "{}\nreport:  {}\n{copy}results: {}\nlogs:    {}\n",
        report::console_table(&written.rows, width),
        written.report.display(),
        written.results_file.display(),
        written.logs.display(),
    ));
}
