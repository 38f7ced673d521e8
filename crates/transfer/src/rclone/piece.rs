//! A list of files, copied by rclone: run until every name has a claim.
//!
//! What one process leaves without a claim is looked up at the source; what is there goes into the next process. What failed
//! is tried again by itself, as often as rclone would do it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::engine::LogLevel;
use model::found_files::FoundFile;
use model::{CopyOptions, PartialSuffix, RcloneOptions, RelPath};
use storage::posix::Dir;

use super::arguments::CopyArguments;
use super::claims::{Claim, Claims};
use super::ends::End;
use super::full;
use super::log::{Line, Said, Stats};
use super::look_up::{at_both, look_up};
use super::partials::remove_partials;
use super::pinned::{Pinned, in_namespace};
use super::private::PrivateDir;
use super::probe::Rclone;
use super::process::{Bounds, Launch, Shows};
use crate::attempt::{Cancel, CheckRoots, Fence, RootsLost, Settling, Stopped};
use crate::engine::describe;
use crate::progress::Progress;

/// Times that a name which failed is tried, as `--retries` of rclone.
const TRIES: u32 = 3;

/// Processes for one list, at most: each halving of a list with an entry that stops all others takes two.
const MAX_PROCESSES: u32 = 100;

/// A list of files and how it is copied.
pub struct Piece<'a> {
    pub rclone: &'a Rclone,
    /// The text of the config for this piece: see [`Rclone::config_for`].
    pub config: &'a str,
    pub source: End<'a>,
    pub target: End<'a>,
    pub options: &'a CopyOptions,
    pub settings: &'a RcloneOptions,
    /// Whose attempt this is.
    pub suffix: PartialSuffix,
}

impl Piece<'_> {
    /// rclone says of what it finds unchanged only in detail, and saying everything in detail costs it a third of its speed.
    /// Where our own code sees both ends, the walk has left out what is unchanged, and what rclone does not name is
    /// looked at.
    fn log_level(&self) -> LogLevel {
        match self.is_between_mounts() {
            true => LogLevel::Info.min(self.settings.log_level),
            false => LogLevel::Debug,
        }
    }

    fn is_between_mounts(&self) -> bool {
        self.source.is_mounted() && self.target.is_mounted()
    }
}

/// What the piece is bound to and what it tells meanwhile.
pub struct Watch<'a> {
    pub fence: &'a dyn Fence,
    pub cancel: &'a Cancel,
    pub check_roots: &'a CheckRoots,
    pub progress: &'a Progress,
    /// Lines of rclone's log from the user's level on.
    pub log: &'a mut dyn Write,
}

/// Copies the files, and says what rclone claims of each; every name has a claim.
///
/// # Errors
/// The attempt came to no end: see [`Stopped`]. What rclone had not finished is removed.
pub fn run_piece(
    piece: &Piece<'_>,
    files: Vec<FoundFile>,
    watch: &mut Watch<'_>,
) -> Result<Settling, Stopped> {
    let began_secs = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64);
    let n = files.len();
    let private = |e: std::io::Error| again("cannot make a private directory", &e);
    let directory = PrivateDir::create().map_err(private)?;
    let pin =
        |end, place| Pinned::new(end, piece.rclone.pinning, &directory, place).map_err(private);
    let mut run = Run {
        piece,
        source: pin(piece.source, "source")?,
        target: pin(piece.target, "target")?,
        private: directory,
        claims: Claims::new(files),
        processes: 0,
        bytes_before: 0,
        last_error: String::new(),
        stats: Stats::default(),
    };
    watch.progress.listed.store(n as u64, Ordering::Relaxed);
    if run.claims.files().len() != n {
        return Err(Stopped::Again("the list has a name twice".to_owned()));
    }
    if piece.suffix.epoch.0 > 1 {
        run.clear_up(watch)?;
        if piece.rclone.version.publishes_by_rename() {
            run.claim_what_is_there();
        }
    }
    let copied = run.copy_all(watch);
    if !matches!(copied, Ok(()) | Err(Stopped::LeaseLost)) {
        // A clean end leaves nothing, a lost lease forbids it.
        run.clear_up(watch)?;
    }
    copied.map(|()| Settling {
        claims: run.claims,
        began_secs,
    })
}

struct Run<'a> {
    piece: &'a Piece<'a>,
    private: PrivateDir,
    source: Pinned,
    target: Pinned,
    claims: Claims,
    processes: u32,
    /// By processes that have ended.
    bytes_before: u64,
    /// The newest error that is no file's, or the newest line that is no log line.
    last_error: String,
    stats: Stats,
}

impl Run<'_> {
    fn copy_all(&mut self, watch: &mut Watch<'_>) -> Result<(), Stopped> {
        let all: Vec<usize> = (0..self.claims.files().len()).collect();
        let mut these = self.claims.filter(&all, |claim| claim.is_none());
        for tried in 1..=TRIES {
            self.until_all_have_claims(these, watch)?;
            these = self
                .claims
                .filter(&all, |claim| matches!(claim, Some(Claim::Failed(_))));
            if these.is_empty() || tried == TRIES {
                break;
            }
            for &n in &these {
                self.claims.forget(n);
            }
        }
        Ok(())
    }

    fn until_all_have_claims(
        &mut self,
        these: Vec<usize>,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        let mut batches = vec![these];
        while let Some(batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            let ended = self.run_one(&batch, watch)?;
            self.stop_if_full(&batch, watch)?;
            let unsaid = self.claims.filter(&batch, |claim| claim.is_none());
            if unsaid.is_empty() {
                continue;
            }
            // It may be this that was in its way.
            (watch.check_roots)().map_err(RootsLost::stops)?;
            look_up(self.piece, &mut self.claims, &unsaid, &self.private, watch)?;
            let left = self.claims.filter(&unsaid, |claim| claim.is_none());
            if left.len() < batch.len() && self.processes < MAX_PROCESSES {
                batches.push(left);
            } else if self.one_stops_all() && left.len() > 1 && self.processes < MAX_PROCESSES {
                let (first, second) = left.split_at(left.len() / 2);
                batches.extend([second.to_vec(), first.to_vec()]);
            } else if left.len() == 1 || self.processes >= MAX_PROCESSES {
                let error = match self.last_error.as_str() {
                    "" => "rclone said nothing about it".to_owned(),
                    error => format!("rclone said nothing about it, but: {error}"),
                };
                for n in left {
                    self.claims.set(n, Claim::Failed(error.as_str().into()));
                }
            } else {
                return Err(Stopped::Again(format!(
                    "rclone got nowhere ({ended}): {}",
                    self.last_error
                )));
            }
        }
        Ok(())
    }

    /// A file that found no room has not failed: the attempt ends, and its target waits.
    fn stop_if_full(&self, batch: &[usize], watch: &Watch<'_>) -> Result<(), Stopped> {
        let End::Mounted { dir, .. } = self.piece.target else {
            return Ok(());
        };
        let is_meant = |claim: Option<&Claim>| match claim {
            Some(Claim::Failed(message)) => full::is_meant(message),
            Some(_) => false,
            None => full::is_meant(&self.last_error),
        };
        let meant = self.claims.filter(batch, is_meant);
        if meant.is_empty() {
            return Ok(());
        }
        if !watch.fence.may_write() {
            return Err(Stopped::LeaseLost);
        }
        (watch.check_roots)().map_err(RootsLost::stops)?;
        let files: Vec<&FoundFile> = meant.iter().map(|&n| &self.claims.files()[n]).collect();
        match full::lacks(dir, &files, self.piece.suffix) {
            Some(what) => Err(Stopped::TargetFull(what)),
            None => Ok(()),
        }
    }

    /// Whether the newest error is the one with which older versions give all names up for one of them.
    fn one_stops_all(&self) -> bool {
        !self.piece.rclone.version.skips_unreadable_listed_files()
            && self.last_error.contains("error reading source")
    }

    /// Runs one process over a batch; how it ended, for people.
    fn run_one(&mut self, batch: &[usize], watch: &mut Watch<'_>) -> Result<String, Stopped> {
        self.processes += 1;
        let piece = self.piece;
        let config = self.private.write("rclone.conf", [piece.config]);
        let names = batch.iter().flat_map(|&n| {
            let path = self.claims.files()[n].path.as_bytes();
            [path, b"\n"]
        });
        let list = self.private.write("files", names);
        let write = |e: std::io::Error| again("cannot write a list for rclone", &e);
        let (config, list) = (config.map_err(write)?, list.map_err(write)?);
        let arguments = CopyArguments {
            version: piece.rclone.version,
            source: self.source.argument.clone(),
            target: self.target.argument.clone(),
            config: &config,
            list: &list,
            options: piece.options,
            rclone: piece.settings,
            log_level: piece.log_level(),
            suffix: piece.suffix,
            // Otherwise rclone would compare in its own way: without times by size alone, and by hashing what has one size.
            overwrites_all: piece.is_between_mounts() || self.may_be_torn(),
            by_descriptor: self.source.is_by_descriptor || self.target.is_by_descriptor,
        };
        let bounds = Bounds {
            fence: watch.fence,
            cancel: watch.cancel,
            check_roots: watch.check_roots,
            stall: Duration::from_secs(piece.settings.stall_secs),
        };
        self.bytes_before += self.stats.bytes;
        self.stats = Stats::default();
        self.last_error.clear();
        let mut kept = Kept {
            log: &mut *watch.log,
            is_broken: false,
        };
        let progress = watch.progress;
        let launch = piece.rclone.launch();
        let (program, args) = in_namespace(
            launch.program,
            arguments.to_args(),
            [&self.source, &self.target],
        );
        let launch = Launch {
            program: &program,
            ..launch
        };
        let status = launch.run(&args, &bounds, &mut |line| {
            self.take_line(line, &mut kept, progress)
        })?;
        Ok(status.to_string())
    }

    fn take_line(&mut self, line: &[u8], kept: &mut Kept<'_>, progress: &Progress) -> Shows {
        let Some(mut line) = Line::parse(line) else {
            let text = self.for_people(String::from_utf8_lossy(line).into_owned());
            if !text.trim().is_empty() {
                kept.write(&text);
                self.last_error = text;
            }
            return Shows::Nothing;
        };
        if let Some(stats) = line.stats {
            let before = std::mem::replace(&mut self.stats, stats);
            let bytes = self.bytes_before + stats.bytes;
            progress.copied_bytes.store(bytes, Ordering::Relaxed);
            return match stats == before {
                true => Shows::Nothing,
                false => Shows::Progress,
            };
        }
        line.message = self.for_people(line.message);
        let object = line.object.clone().unwrap_or_default();
        let of_file = line.said().zip(self.claims.position(object.as_bytes()));
        if line.level() >= self.piece.settings.log_level {
            line.object = line.object.map(|object| self.for_people(object));
            kept.write(&line.text());
        }
        match of_file {
            Some((said, n)) => {
                self.note(n, said, line.message, progress);
                Shows::Progress
            }
            None => {
                if line.level() == LogLevel::Error {
                    self.last_error = line.message;
                }
                Shows::Nothing
            }
        }
    }

    fn note(&mut self, n: usize, said: Said, message: String, progress: &Progress) {
        let count = |of: &std::sync::atomic::AtomicU64| of.fetch_add(1, Ordering::Relaxed);
        let claim = match said {
            Said::Copied => {
                count(&progress.copied);
                count(&progress.copied_files);
                let path = self.claims.files()[n].path.clone();
                crate::watch::at(Some(Arc::new(path)));
                Claim::Copied
            }
            Said::Unchanged => {
                count(&progress.unchanged);
                Claim::Unchanged
            }
            Said::WouldCopy => Claim::WouldCopy,
            Said::Newer => Claim::Newer,
            Said::Failed => Claim::Failed(message.into()),
        };
        self.claims.set(n, claim);
    }

    fn for_people(&self, text: String) -> String {
        self.target.for_people(self.source.for_people(text))
    }

    /// Whether a process that was ended may have left files half-written under their final names.
    fn may_be_torn(&self) -> bool {
        let piece = self.piece;
        piece.target.is_mounted()
            && !piece.rclone.version.publishes_by_rename()
            && (piece.suffix.epoch.0 > 1 || self.processes > 1)
    }

    /// What an earlier attempt has copied is not copied again.
    fn claim_what_is_there(&mut self) {
        let piece = self.piece;
        let (End::Mounted { dir: source, .. }, End::Mounted { dir: target, .. }) =
            (piece.source, piece.target)
        else {
            return;
        };
        for n in 0..self.claims.files().len() {
            if let Some(claim) = at_both(source, target, &self.claims, n, piece.options) {
                self.claims.set(n, claim);
            }
        }
    }

    /// Removes what this item's attempts left unfinished at a mounted target.
    fn clear_up(&self, watch: &Watch<'_>) -> Result<(), Stopped> {
        let End::Mounted { dir, .. } = self.piece.target else {
            return Ok(());
        };
        let directories = parents(self.claims.files());
        match remove_partials(dir, &directories, self.piece.suffix, watch.fence) {
            Ok(0) => Ok(()),
            Ok(n) => {
                tracing::debug!("removed {n} files that an rclone had not finished");
                Ok(())
            }
            Err(error) => Err(Stopped::Again(describe(&error))),
        }
    }
}

/// The directories that the files lie in, each once, the root not among them unless a file lies there.
pub fn parents(files: &[FoundFile]) -> Vec<RelPath> {
    let mut parents: Vec<RelPath> = files
        .iter()
        .filter_map(|file| file.path.split_last())
        .map(|(parent, _)| parent)
        .collect();
    parents.sort();
    parents.dedup();
    parents
}

/// The log that is kept. What can't be written is not worth the copy, but is said once.
struct Kept<'a> {
    log: &'a mut dyn Write,
    is_broken: bool,
}

impl Kept<'_> {
    fn write(&mut self, line: &str) {
        if self.is_broken {
            return;
        }
        if let Err(error) = writeln!(self.log, "{line}") {
            self.is_broken = true;
            tracing::warn!("rclone's log can't be kept: {error}");
        }
    }
}

fn again(what: &str, error: &std::io::Error) -> Stopped {
    Stopped::Again(format!("{what}: {error}"))
}

/// Whether a file can be read at the source, as far as our own code can tell.
pub(crate) fn open_parent(root: &Dir, path: &RelPath) -> Result<Dir, storage::posix::Error> {
    let parent = path.split_last().map(|(parent, _)| parent);
    root.open_below(parent.iter().flat_map(RelPath::components))
}
