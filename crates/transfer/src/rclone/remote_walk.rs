//! Finds out what a remote has: its files are taken down for rclone to copy, its directories are made at a mounted target.

use std::collections::HashSet;

use model::{FailureClass, RcloneOptions, RelPath, SkipReason};
use storage::posix::Dir;

use super::names::{NOT_LISTABLE, can_be_listed};
use super::private::PrivateDir;
use super::probe::Rclone;
use super::remote::{Depth, Listed, Only, RemoteError, RemoteListing, list_remote, make_directory};
use super::remote_listing::RemoteEntry;
use crate::attempt::{Cancel, Fence, Finished, Found, Stopped};
use crate::engine::describe;
use crate::ledger::{Tally, Verdict};
use crate::progress::Progress;

/// What of a remote is walked.
pub struct RemoteWalk<'a> {
    pub rclone: &'a Rclone,
    pub config: &'a str,
    pub remote: &'a str,
    /// Only these, files or directories with all below them; none: everything.
    pub only: Option<Vec<RelPath>>,
    pub settings: &'a RcloneOptions,
    /// Where directories are made; none: the target is a remote, or nothing may be changed.
    pub target: Option<&'a Dir>,
    /// What a directory is that is not made.
    pub dry_run: bool,
}

/// Walks it.
///
/// # Errors
/// The remote could not be listed to its end, or something took the attempt's right to go on.
pub fn walk_remote(
    walk: &RemoteWalk<'_>,
    found: &dyn Found,
    fence: &dyn Fence,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<Finished, Stopped> {
    let mut walker = Walker {
        walk,
        found,
        fence,
        progress,
        tally: Tally::default(),
        seen: HashSet::new(),
        target_failed: None,
    };
    let listed = match &walk.only {
        None => walker.list(walk.remote, &RelPath::ROOT, cancel),
        Some(paths) => walker.list_only(paths, cancel),
    };
    match (walker.target_failed, listed) {
        (Some(stopped), _) => Err(stopped),
        (None, Err(_)) if cancel.is_cancelled() => Err(Stopped::Cancelled),
        (None, Err(error)) => Err(Stopped::Again(model::error_chain(&error))),
        (None, Ok(())) => Ok(Finished {
            outcome: walker.tally.into_outcome(),
            deferred_attributes: Vec::new(),
        }),
    }
}

struct Walker<'a> {
    walk: &'a RemoteWalk<'a>,
    found: &'a dyn Found,
    fence: &'a dyn Fence,
    progress: &'a Progress,
    tally: Tally,
    /// With a list: what was taken down by its own name already.
    seen: HashSet<RelPath>,
    target_failed: Option<Stopped>,
}

impl Walker<'_> {
    /// Everything below `below`, which is what `remote` leads to.
    fn list(&mut self, remote: &str, below: &RelPath, cancel: &Cancel) -> Result<(), RemoteError> {
        let walk = self.walk;
        let listing = RemoteListing {
            rclone: walk.rclone,
            config: walk.config,
            remote,
            only: None,
            depth: Depth::All,
            settings: walk.settings,
        };
        match list_remote(&listing, cancel, &mut |entry| self.take(entry, below))? {
            Listed::All => {}
            Listed::Part(said) => self.tally.unreadable_root(below.clone(), said),
        }
        Ok(())
    }

    /// Those that are files by one listing, then each of the others as a directory.
    fn list_only(&mut self, paths: &[RelPath], cancel: &Cancel) -> Result<(), RemoteError> {
        let walk = self.walk;
        if paths.iter().any(RelPath::is_root) {
            return self.list(walk.remote, &RelPath::ROOT, cancel);
        }
        let private = PrivateDir::create().map_err(RemoteError::Start)?;
        let (listable, others): (Vec<&RelPath>, Vec<&RelPath>) =
            paths.iter().partition(|path| can_be_listed(path));
        let names = listable.iter().flat_map(|path| [path.as_bytes(), b"\n"]);
        let list = private.write("files", names).map_err(RemoteError::Start)?;
        if !listable.is_empty() {
            match self.list_files(Only::ByName(&list), cancel) {
                Ok(Listed::All) => {}
                // A directory among them can be in the way of the others. What can't be looked at now either is
                // looked at by itself below.
                Ok(Listed::Part(_)) | Err(RemoteError::Listing { .. }) => {
                    let _ = self.list_files(Only::InListings(&list), cancel)?;
                }
                Err(error) => return Err(error),
            }
        }
        let mut covered: Option<&RelPath> = None;
        for path in listable {
            // What lies below a listed directory counts with it.
            let is_covered = covered.is_some_and(|directory| path.is_within(directory));
            if !self.seen.contains(path) && !is_covered {
                self.list_directory(path, cancel)?;
                covered = Some(path);
            }
        }
        for path in others {
            self.tally.counters.listed += 1;
            self.count(
                Verdict::Failed {
                    class: FailureClass::GiveUp,
                    error: NOT_LISTABLE.into(),
                },
                path,
            );
        }
        Ok(())
    }

    /// Takes those of some names that are files, each once.
    fn list_files(&mut self, only: Only<'_>, cancel: &Cancel) -> Result<Listed, RemoteError> {
        let walk = self.walk;
        let listing = RemoteListing {
            rclone: walk.rclone,
            config: walk.config,
            remote: walk.remote,
            only: Some(only),
            depth: Depth::All,
            settings: walk.settings,
        };
        list_remote(&listing, cancel, &mut |entry| {
            if entry.is_dir {
                return Ok(());
            }
            let path = RelPath::new(entry.path.clone());
            match path.is_ok_and(|path| !self.seen.insert(path)) {
                true => Ok(()),
                false => self.take_new(entry, &RelPath::ROOT),
            }
        })
    }

    fn list_directory(&mut self, path: &RelPath, cancel: &Cancel) -> Result<(), RemoteError> {
        let Ok(text) = std::str::from_utf8(path.as_bytes()) else {
            return Ok(());
        };
        let separator = match self.walk.remote.ends_with([':', '/']) {
            true => "",
            false => "/",
        };
        let remote = format!("{}{separator}{text}", self.walk.remote);
        let before = self.tally.counters.listed;
        let listed = self.list(&remote, path, cancel);
        let is_missing = match listed {
            Err(RemoteError::Missing { .. }) => true,
            // A bucket has no directories: what is not there is empty.
            Ok(()) => self.tally.counters.listed == before,
            Err(error) => return Err(error),
        };
        if is_missing {
            self.tally.counters.listed += 1;
            let error = "not in the source".to_owned();
            let class = FailureClass::Missing;
            self.count(Verdict::Failed { class, error }, path);
        }
        Ok(())
    }

    fn take(&mut self, entry: RemoteEntry, below: &RelPath) -> Result<(), String> {
        let is_seen = path_below(below, &entry.path).is_some_and(|path| self.seen.contains(&path));
        match is_seen {
            true => Ok(()),
            false => self.take_new(entry, below),
        }
    }

    fn take_new(&mut self, entry: RemoteEntry, below: &RelPath) -> Result<(), String> {
        self.tally.counters.listed += 1;
        let failed = |error: &str| Verdict::Failed {
            class: FailureClass::GiveUp,
            error: error.to_owned(),
        };
        let Some(path) = path_below(below, &entry.path) else {
            // Buckets may hold keys such as `a//b` or `../x`.
            let error = format!("the key {:?} is no path below a directory", entry.path);
            self.count(failed(&error), below);
            return Ok(());
        };
        let verdict = if entry.is_dir {
            self.directory(&path)?
        } else if can_be_listed(&path) {
            self.found.add(&path, entry.size)?;
            Verdict::Deferred
        } else {
            failed(NOT_LISTABLE)
        };
        self.count(verdict, &path);
        Ok(())
    }

    fn directory(&mut self, path: &RelPath) -> Result<Verdict, String> {
        let Some(target) = self.walk.target else {
            return Ok(match self.walk.dry_run {
                true => Verdict::Copied,
                false => Verdict::Skipped(SkipReason::NotOnRemote),
            });
        };
        if !self.fence.may_write() {
            self.target_failed = Some(Stopped::LeaseLost);
            return Err("the lease was lost".to_owned());
        }
        Ok(match make_directory(target, path) {
            Ok(true) => Verdict::Copied,
            Ok(false) => Verdict::Unchanged,
            Err(error) if error.class(storage::posix::Side::Target) == FailureClass::TargetFull => {
                self.target_failed = Some(Stopped::TargetFull);
                return Err("the target is full".to_owned());
            }
            Err(error) => Verdict::Failed {
                class: error.class(storage::posix::Side::Target),
                error: format!("target: {}", describe(&error)),
            },
        })
    }

    fn count(&mut self, verdict: Verdict, path: &RelPath) {
        let mut tally = Tally::default();
        tally.count(verdict, || path.clone());
        self.progress.add(&tally.counters);
        self.tally.add(tally);
    }
}

/// What a listing of `below` calls `entry`; `None` for what is no path of a file system.
fn path_below(below: &RelPath, entry: &str) -> Option<RelPath> {
    let mut path = below.as_bytes().to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(entry.as_bytes());
    RelPath::new(path).ok().filter(|path| path != below)
}
