//! `data-migrate check`: what differs between two trees.

mod lines;
mod show;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use model::options::Specials;
use model::{Attribute, Compare, CopyOptions, Preserve};
use storage::posix::Dir;
use storage::roots::{MarkerUse, Roots, RootsError, TargetUse};
use transfer::check::{Check, Extra};
use transfer::{Cancel, Stopped};

use super::filter_flags::FilterFlags;
use super::{any_file_systems, raise_descriptor_limit};
use crate::exit::{End, Usage};
use crate::flags::{LogFlags, preserve, word_of};
use crate::{logging, stop};
use lines::{Format, Lines};
use show::Shown;

const LINES: &str = "\
Each line is one of
  + PATH          missing at the target
  - PATH          only at the target; (unfinished) marks what a run left there, or is still at
  * PATH (WHAT)   differs: kind, size, mtime, mode, owner, xattrs, acl, link target, device,
                  hard links, content
  ! PATH: SIDE: ERROR
                  could not be looked at on that side, of a directory with all below it
A slash at the end of PATH stands for a directory with all below it.";

/// Compare two directories with all below them; nothing is written to either
///
/// What a copy leaves alone is the same. A line for each entry that is not goes to standard output as it is found, so in
/// no order. Exit codes: 0 the same; 1 something differs or could not be looked at; 2 a mistake in the flags or paths;
/// 3 could not go on; 130 or 143 stopped by a signal.
#[derive(Debug, Args)]
#[command(after_help = LINES)]
pub(crate) struct Flags {
    /// Directory that was copied
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Directory that it was copied into
    #[arg(value_name = "DST")]
    target: PathBuf,
    /// Threads; more hide the latency of network file systems
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    transfers: u32,
    /// Read all files of the same size on both sides, and compare what they hold; else size and modification time decide
    #[arg(long)]
    checksum: bool,
    /// Take files of the same size for the same
    #[arg(long, conflicts_with = "checksum")]
    size_only: bool,
    /// What is compared besides kind, size and content, as it was kept by the copy: all, none, or some of mode, owner,
    /// times, xattrs, acls, links
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = preserve)]
    preserve: Preserve,
    /// Do not compare modification times; a file that is older at the target differs all the same, unless it is read
    #[arg(long)]
    no_times: bool,
    /// FIFOs, sockets and device nodes that the target has not: counted as skipped, or missing
    #[arg(long, value_name = "WHAT", default_value = "skip", value_parser = word_of::<Specials>())]
    specials: Specials,
    /// Do not look at what only the target has
    #[arg(long)]
    ignore_extra: bool,
    /// A JSON object on each line, the last one with the summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterFlags,
    #[command(flatten)]
    log: LogFlags,
}

impl Flags {
    fn options(&self) -> Result<CopyOptions, Usage> {
        Ok(CopyOptions {
            compare: match (self.checksum, self.size_only) {
                (true, _) => Compare::Checksum,
                (_, true) => Compare::Size,
                _ => Compare::Mtime,
            },
            preserve: match self.no_times {
                true => self.preserve.without(Attribute::Times),
                false => self.preserve,
            },
            specials: self.specials,
            filter: self.filter.filter()?,
            ..CopyOptions::default()
        })
    }
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    logging::begin(&flags.log);
    raise_descriptor_limit()?;
    let options = flags.options()?;
    let (roots, target) = open(&flags).map_err(|error| Usage(model::error_chain(&error)))?;
    let cancel: Arc<Cancel> = Arc::default();
    stop::cancels(&cancel)?;
    let check = Check {
        source: roots.source.clone(),
        target,
        options,
        extra: match flags.ignore_extra {
            true => Extra::Ignore,
            false => Extra::Find,
        },
        threads: flags.transfers as usize,
        progress: Arc::default(),
        cancel: cancel.clone(),
    };
    let mut lines = Lines::new(match flags.json {
        true => Format::Json,
        false => Format::Text,
    });
    let shown = Shown::begin(&check.progress);
    let checked = check.run(|found| {
        if lines.write(&found).is_err() {
            cancel.cancel();
        }
    });
    shown.end();
    match checked {
        Ok(counts) => {
            // What was compared is what the paths lead to.
            roots.check().context("could not go on")?;
            lines.end(&counts)?;
            Ok(match counts.is_same() {
                true => End::Success,
                false => End::Failed,
            })
        }
        Err(Stopped::Cancelled) => {
            lines.into_result()?;
            Ok(End::Signal(stop::received().unwrap_or(15)))
        }
        Err(stopped) => Err(stopped).context("could not go on"),
    }
}

fn open(flags: &Flags) -> Result<(Roots, Arc<Dir>), RootsError> {
    let roots = Roots::open(
        &flags.source,
        &flags.target,
        &any_file_systems(),
        TargetUse::LookOnly,
        MarkerUse::None,
    )?;
    match roots.target.clone() {
        Some(target) => Ok((roots, target)),
        None => Err(RootsError::Missing {
            path: flags.target.clone(),
        }),
    }
}
