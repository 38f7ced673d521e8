//! `data-migrate copy`: the engine without config or server.

mod again;
mod ahead;
mod flags;
mod ids;
mod show;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use flags::CopyFlags;
use ids::Ids;
use model::{CopyOptions, Epoch, Outcome, RelPath};
use storage::roots::{MarkerUse, Roots, RootsError, RootsErrorKind, TargetUse};
use transfer::{
    Attempt, AttemptWork, Cancel, Fence, FileWork, Finished, NotTaken, Progress, RootsLost, Share,
    Stopped, Threads, Unbegun,
};

use super::filter_flags::FilterFlags;
use super::{any_file_systems, raise_descriptor_limit};
use crate::exit::{End, Usage};
use crate::flags::LogFlags;
use crate::{logging, stop};

/// Tries of the whole copy when something upsets it that is no matter of one file.
const TRIES: u32 = 3;

/// Copy the contents of one directory into another, without server or config
///
/// Files that are there and equal are left alone, so that the same command again completes what was broken off.
/// Exit codes: 0 everything arrived; 1 something failed, each named; 2 a mistake in the flags or paths; 3 could not go
/// on; 130 or 143 stopped by a signal.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Directory whose contents are copied, with or without a slash at the end
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Directory that they go into; made if it is missing
    #[arg(value_name = "DST")]
    target: PathBuf,
    /// Threads; more hide the latency of network file systems
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    transfers: u32,
    #[command(flatten)]
    copy: CopyFlags,
    #[command(flatten)]
    filter: FilterFlags,
    #[command(flatten)]
    log: LogFlags,
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    logging::begin(&flags.log);
    raise_descriptor_limit()?;
    let options = flags.copy.options(flags.filter.filter()?);
    let target_use = match flags.copy.dry_run {
        true => TargetUse::LookOnly,
        false => TargetUse::Write,
    };
    let roots = Roots::open(
        &flags.source,
        &flags.target,
        &any_file_systems(),
        target_use,
        MarkerUse::None,
    )
    .map_err(told)?;
    let copy = Copy {
        roots: Arc::new(roots),
        threads: Threads::new(flags.transfers as usize),
        options,
        began_secs: began_secs(),
        ids: Ids::of(&flags.source, &flags.target),
        progress: Arc::default(),
        cancel: Arc::default(),
    };
    stop::cancels(&copy.cancel)?;
    let shown = show::Shown::begin(&copy);
    let copied = copy.to_end();
    shown.end();
    match copied {
        Ok(outcome) => {
            show::summary(&outcome, &copy);
            let complete = outcome.counters.failed == 0
                && outcome.unreadable_directories == 0
                && outcome.is_balanced();
            Ok(if complete { End::Success } else { End::Failed })
        }
        Err(stopped) => {
            show::broken_off(&copy);
            match stopped {
                Stopped::Cancelled => Ok(End::Signal(stop::received().unwrap_or(15))),
                stopped => Err(stopped).context("could not go on"),
            }
        }
    }
}

fn began_secs() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |since| since.as_secs() as i64)
}

fn told(error: RootsError) -> anyhow::Error {
    match error.kind() {
        RootsErrorKind::TargetFull(_) => error.into(),
        _ => Usage(model::error_chain(&error)).into(),
    }
}

/// One copy.
pub(super) struct Copy {
    roots: Arc<Roots>,
    threads: Threads,
    options: CopyOptions,
    /// Seconds since 1970.
    began_secs: i64,
    ids: Ids,
    progress: Arc<Progress>,
    cancel: Arc<Cancel>,
}

impl Copy {
    fn to_end(&self) -> Result<Outcome, Stopped> {
        let mut waits = again::WAITS.into_iter();
        let mut work = AttemptWork::Walk(vec![RelPath::ROOT]);
        let mut outcome = Outcome::default();
        let mut directories = vec![RelPath::ROOT];
        loop {
            let wait = waits.next();
            let finished = self.walk(&work, wait.is_some())?;
            outcome.add(finished.outcome);
            directories.extend(finished.deferred_attributes);
            let (Some(wait), false) = (wait, finished.again.is_empty()) else {
                break;
            };
            again::count_once(&mut outcome);
            directories.extend(again::parents(&finished.again));
            again::wait(wait, finished.again.len(), &self.cancel);
            work = AttemptWork::Entries(finished.again);
        }
        if !self.options.dry_run {
            // Last, since whatever is made in a directory changes its times.
            let work = AttemptWork::Attributes(directories);
            let set = self.attempt(ids::next_epoch(), work, false)?;
            outcome.add(set.outcome);
        }
        Ok(outcome)
    }

    fn walk(&self, work: &AttemptWork, another_try_follows: bool) -> Result<Finished, Stopped> {
        let mut tries = 1;
        loop {
            match self.attempt(ids::next_epoch(), work.clone(), another_try_follows) {
                Err(Stopped::Again(why)) if tries < TRIES => {
                    tracing::warn!("beginning again: {why}");
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    fn attempt(
        &self,
        epoch: Epoch,
        work: AttemptWork,
        another_try_follows: bool,
    ) -> Result<Finished, Stopped> {
        let roots = self.roots.clone();
        let attempt = Attempt {
            run: self.ids.run,
            item: self.ids.item,
            epoch,
            options: self.options.clone(),
            ages_from_secs: self.began_secs,
            target_is_shared: false,
            source: self.roots.source.clone(),
            target: self.roots.target.clone(),
            work,
            files: FileWork::Copy,
            excluded: Vec::new(),
            another_try_follows,
            ancestors: Vec::new(),
            links: None,
            check_roots: Arc::new(move || {
                roots
                    .check()
                    .map_err(|e| RootsLost::Gone(model::error_chain(&e)))
            }),
            fence: Arc::new(Alone),
            share: Arc::new(Alone),
            progress: self.progress.clone(),
            cancel: self.cancel.clone(),
        };
        transfer::run(&self.threads, attempt)
    }
}

/// There is no lease to lose and nobody to share with.
struct Alone;

impl Fence for Alone {
    fn is_open(&self) -> bool {
        true
    }

    fn may_write(&self) -> bool {
        true
    }
}

impl Share for Alone {
    fn is_wanted(&self) -> bool {
        false
    }

    fn has_takers(&self) -> bool {
        false
    }

    fn hand_over(&self, _: &[Unbegun]) -> Result<(), NotTaken> {
        Err(NotTaken)
    }
}

/// Set when the copy is over, for the threads that show it.
#[derive(Debug, Default)]
struct Done(AtomicBool);

impl Done {
    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
