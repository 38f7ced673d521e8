//! Remotes: what they hold, and at a mounted target what came from them.

use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use model::found_files::FoundFile;
use model::{FailureClass, RcloneOptions, RelPath, SkipReason};
use rustix::process::{Pid, Signal, kill_process_group};
use storage::posix::{Dir, Kind};

use super::claims::Claim;
use super::piece::open_parent;
use super::private::PrivateDir;
use super::probe::Rclone;
use super::remote_listing::{ListingError, RemoteEntry, read_entries};
use crate::attempt::{Cancel, Fence, Finished, Settling, Stopped};
use crate::engine::describe;
use crate::ledger::{Tally, Verdict};

/// The end of what rclone says when it fails, in bytes.
const LAST_WORDS: u64 = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("cannot start rclone")]
    Start(#[source] std::io::Error),
    #[error("cannot list {remote}: {said}")]
    Listing { remote: String, said: String },
    /// There is nothing of that name.
    #[error("{remote} does not exist")]
    Missing { remote: String },
    #[error("cannot list {remote}")]
    Broken {
        remote: String,
        source: ListingError,
    },
    #[error("rclone told of nothing more in {remote} for {secs} s and was ended")]
    Stalled { remote: String, secs: u64 },
    #[error("{0}")]
    Refused(String),
}

/// What is to be listed.
pub(crate) struct RemoteListing<'a> {
    pub(crate) rclone: &'a Rclone,
    pub(crate) config: &'a str,
    pub(crate) remote: &'a str,
    /// The only names that are looked for; else everything below.
    pub(crate) only: Option<Only<'a>>,
    pub(crate) depth: Depth,
    pub(crate) times: Times,
    pub(crate) settings: &'a RcloneOptions,
}

/// A file of names, one a line, and how they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only<'a> {
    /// Each is asked for. One that is a directory is an error, with which some versions give up all others.
    ByName(&'a Path),
    /// In listings of the directories that they lie in.
    InListings(&'a Path),
}

/// How far down a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    All,
    One,
}

/// Whether times of files are asked for, which of some remotes costs a request for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    NotAsked,
    Asked,
}

/// Whether all of a remote could be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Listed {
    All,
    /// Some directories could not; with what rclone says.
    Part(String),
}

/// How often it is looked whether a listing is cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// Tells of each entry below a remote, in bounded memory; breaks off when cancelled or told so, also while rclone says
/// nothing, and when it has said nothing for too long.
pub(crate) fn list_remote(
    listing: &RemoteListing<'_>,
    cancel: &Cancel,
    each: &mut dyn FnMut(RemoteEntry) -> Result<(), String>,
) -> Result<Listed, RemoteError> {
    let private = PrivateDir::create().map_err(RemoteError::Start)?;
    let config = private
        .write("rclone.conf", [listing.config])
        .map_err(RemoteError::Start)?;
    let launch = listing.rclone.launch();
    let mut command = Command::new(launch.program);
    command
        .args(["lsjson", listing.remote, "--no-mimetype"])
        .arg("--config")
        .arg(&config)
        .env_clear()
        .envs(launch.environment.passed.iter().map(|(k, v)| (k, v)))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match listing.only {
        Some(Only::ByName(list)) => command
            .arg("--no-traverse")
            .arg("--files-from-raw")
            .arg(list),
        Some(Only::InListings(list)) => command.arg("--files-from-raw").arg(list),
        None => &mut command,
    };
    if listing.times == Times::NotAsked {
        command.arg("--no-modtime");
    }
    if listing.depth == Depth::All {
        command.arg("--recursive");
    }
    if let Some(n) = listing.settings.checkers {
        command.args(["--checkers", &n.to_string()]);
    }
    let mut child = command.spawn().map_err(RemoteError::Start)?;
    let said = child.stderr.take().map(last_words);
    let mut refused = None;
    let leader = Pid::from_child(&child);
    let output = child.stdout.take();
    let stall = Duration::from_secs(listing.settings.stall_secs);
    let (entries, has_stalled) = (AtomicU64::new(0), AtomicBool::new(false));
    let read = std::thread::scope(|scope| {
        let (reading, is_read) = channel::<()>();
        let (entries, has_stalled) = (&entries, &has_stalled);
        scope.spawn(move || {
            let (mut seen, mut since) = (0, Instant::now());
            while is_read.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let now = entries.load(Ordering::Relaxed);
                if now != seen {
                    (seen, since) = (now, Instant::now());
                }
                if since.elapsed() >= stall {
                    has_stalled.store(true, Ordering::Relaxed);
                }
                if cancel.is_cancelled() || has_stalled.load(Ordering::Relaxed) {
                    // It is waited for only after this thread has ended: the number is nobody else's.
                    let _ = kill_process_group(leader, Signal::KILL);
                    return;
                }
            }
        });
        let read = output.map_or(Ok(()), |output| {
            read_entries(BufReader::new(output), |entry| {
                entries.fetch_add(1, Ordering::Relaxed);
                match (cancel.is_cancelled(), each(entry)) {
                    (false, Ok(())) => ControlFlow::Continue(()),
                    (_, result) => {
                        refused = Some(result.err().unwrap_or_else(|| "cancelled".to_owned()));
                        ControlFlow::Break(())
                    }
                }
            })
        });
        drop(reading);
        read
    });
    if refused.is_some() || read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(RemoteError::Start)?;
    if let Some(why) = refused {
        return Err(RemoteError::Refused(why));
    }
    let remote = || listing.remote.to_owned();
    if has_stalled.into_inner() {
        return Err(RemoteError::Stalled {
            remote: remote(),
            secs: stall.as_secs(),
        });
    }
    if !status.success() {
        let said = said
            .and_then(|said| said.join().ok())
            .unwrap_or_else(|| status.to_string());
        // rclone's codes: 3, the directory is not there; 6, less serious errors, and the listing is whole but for
        // what they are about.
        return Err(match status.code() {
            Some(3) => RemoteError::Missing { remote: remote() },
            Some(6) if read.is_ok() => return Ok(Listed::Part(said)),
            _ => RemoteError::Listing {
                remote: remote(),
                said,
            },
        });
    }
    read.map(|()| Listed::All)
        .map_err(|source| RemoteError::Broken {
            remote: remote(),
            source,
        })
}

/// Whether a remote has anything; a bucket's prefix without any is the same as none.
///
/// # Errors
/// It could not be looked at.
pub fn has_anything(
    rclone: &Rclone,
    config: &str,
    remote: &str,
    settings: &RcloneOptions,
    cancel: &Cancel,
) -> Result<bool, RemoteError> {
    let listing = RemoteListing {
        rclone,
        config,
        remote,
        only: None,
        depth: Depth::One,
        times: Times::NotAsked,
        settings,
    };
    let mut has_any = false;
    let listed = list_remote(&listing, cancel, &mut |_| {
        has_any = true;
        Err("one is enough".to_owned())
    });
    match listed {
        _ if has_any => Ok(true),
        Ok(Listed::All) | Err(RemoteError::Missing { .. }) => Ok(false),
        Ok(Listed::Part(said)) => Err(RemoteError::Listing {
            remote: remote.to_owned(),
            said,
        }),
        Err(error) => Err(error),
    }
}

/// Reads what rclone complains of, and keeps the last line of it.
fn last_words(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(n) = from.read(&mut chunk) {
            if n == 0 {
                break;
            }
            text.extend_from_slice(&chunk[..n]);
            let surplus = text.len().saturating_sub(LAST_WORDS as usize);
            text.drain(..surplus);
        }
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it said nothing").trim().to_owned()
    })
}

/// Holds what rclone claims of files that it copied from a remote, or to one, against what is at the mounted end; what
/// is on a remote is believed as rclone verified it.
pub fn settle_remote(
    settling: &Settling,
    source: Option<&Dir>,
    target: Option<&Dir>,
    fence: &dyn Fence,
) -> Result<Finished, Stopped> {
    let mut tally = Tally::default();
    let claims = &settling.claims;
    for file in claims.files() {
        tally.counters.listed += 1;
        let claim = claims.of(&file.path);
        let verdict = match (claim, source) {
            (Some(Claim::Copied), Some(source)) => at_source(source, file, settling.began_secs)
                .unwrap_or_else(|| verdict(claim, file, target)),
            _ => verdict(claim, file, target),
        };
        tally.count(verdict, || file.path.clone());
    }
    if let Some(target) = target {
        if !fence.may_write() {
            return Err(Stopped::LeaseLost);
        }
        // What rclone wrote is not synced by it.
        target
            .sync_fs()
            .map_err(|error| Stopped::Again(describe(&error)))?;
    }
    Ok(Finished {
        outcome: tally.into_outcome(),
        deferred_attributes: Vec::new(),
        again: Vec::new(),
    })
}

/// What spoils the copy of a file of a mounted source: it changed since rclone began.
fn at_source(source: &Dir, file: &FoundFile, began_secs: i64) -> Option<Verdict> {
    let changed = |error: &str| {
        Some(Verdict::Failed {
            class: FailureClass::Changed,
            error: format!("the source changed: {error}"),
        })
    };
    let looked = open_parent(source, &file.path).and_then(|parent| match file.path.split_last() {
        Some((_, name)) => parent.stat(name),
        None => parent.meta(),
    });
    match looked {
        Ok(meta) if meta.kind != Kind::File => changed("it became another kind of entry"),
        Ok(meta) if meta.changed.secs > began_secs => changed("while rclone copied it"),
        Ok(_) => None,
        // Gone since: the copy is whole, as rclone verified it.
        Err(error) if error.is_missing() => None,
        Err(error) => changed(&describe(&error)),
    }
}

fn verdict(claim: Option<&Claim>, file: &FoundFile, target: Option<&Dir>) -> Verdict {
    let size = file.size.unwrap_or(0);
    let found = match (claim, target) {
        (Some(Claim::Copied | Claim::Unchanged), Some(target)) => at_target(target, file),
        _ => Ok(()),
    };
    match (claim, found) {
        (_, Err(error)) => failed(&error),
        (Some(Claim::Copied | Claim::WouldCopy), _) => Verdict::CopiedFile(size),
        (Some(Claim::Unchanged), _) => Verdict::Unchanged,
        (Some(Claim::Newer), _) => Verdict::Skipped(SkipReason::NewerAtTarget),
        (Some(Claim::Vanished), _) => Verdict::Skipped(SkipReason::Vanished),
        (Some(Claim::Failed(error)), _) => failed(error),
        (None, _) => failed("rclone said nothing about it"),
    }
}

/// Whether the target has a file of the size there that the remote had listed.
fn at_target(target: &Dir, file: &FoundFile) -> Result<(), String> {
    let looked = open_parent(target, &file.path).and_then(|parent| match file.path.split_last() {
        Some((_, name)) => parent.stat(name),
        None => parent.meta(),
    });
    let meta = looked.map_err(|error| match error.is_missing() {
        true => "rclone said that it is copied, but it is not at the target".to_owned(),
        false => format!("target: {}", describe(&error)),
    })?;
    match file.size {
        _ if meta.kind != Kind::File => Err(
            "rclone said that it is copied, but the target has another kind of entry there"
                .to_owned(),
        ),
        Some(size) if size != meta.size => Err(format!(
            "rclone said that it is copied, but the target has {} bytes and the source had {size}",
            meta.size
        )),
        _ => Ok(()),
    }
}

fn failed(error: &str) -> Verdict {
    Verdict::Failed {
        class: FailureClass::GiveUp,
        error: error.to_owned(),
    }
}

/// Makes a directory that a remote has at a mounted target, with those above it; whether it had to be made.
pub(crate) fn make_directory(target: &Dir, path: &RelPath) -> Result<bool, storage::posix::Error> {
    let mut here = target.reopen()?;
    let mut was_made = false;
    for name in path.components() {
        here = match here.open_dir(name) {
            Err(error) if error.is_missing() => {
                match here.mkdir(name, 0o777) {
                    Err(error) if !error.is_existing() => return Err(error),
                    made => was_made = made.is_ok(),
                }
                here.open_dir(name)?
            }
            other => {
                was_made = false;
                other?
            }
        };
    }
    Ok(was_made)
}
