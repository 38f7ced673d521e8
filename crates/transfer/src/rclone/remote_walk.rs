//! Finds out what a remote has: its files are taken down for rclone to copy, its directories are made at a mounted target.

use std::collections::HashSet;

use model::filter::Above;
use model::{FailureClass, Filter, RcloneOptions, RelPath, SkipReason};
use storage::posix::{Dir, Kind};

use super::names::{NOT_LISTABLE, can_be_listed};
use super::private::PrivateDir;
use super::probe::Rclone;
use super::remote::{
    Depth, Listed, Only, RemoteError, RemoteListing, Times, list_remote, make_directory,
};
use super::remote_listing::RemoteEntry;
use crate::attempt::{Cancel, Fence, Finished, Found, Stopped};
use crate::engine::describe;
use crate::ledger::{Tally, Verdict};
use crate::progress::Progress;
use crate::selection::Selection;

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
    pub filter: &'a Filter,
    /// See [`crate::Attempt::ages_from_secs`].
    pub ages_from_secs: i64,
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
        selection: Selection::of_remote(walk.filter, walk.ages_from_secs)?,
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
            again: Vec::new(),
        }),
    }
}

struct Walker<'a> {
    walk: &'a RemoteWalk<'a>,
    selection: Selection,
    found: &'a dyn Found,
    fence: &'a dyn Fence,
    progress: &'a Progress,
    tally: Tally,
    /// With a list: what was taken down by its own name already.
    seen: HashSet<RelPath>,
    target_failed: Option<Stopped>,
}

impl Walker<'_> {
    fn times(&self) -> Times {
        match self.selection.has_ages() {
            true => Times::Asked,
            false => Times::NotAsked,
        }
    }

    /// Everything below `below`, which is what `remote` leads to.
    fn list(&mut self, remote: &str, below: &RelPath, cancel: &Cancel) -> Result<(), RemoteError> {
        let walk = self.walk;
        let listing = RemoteListing {
            rclone: walk.rclone,
            config: walk.config,
            remote,
            only: None,
            depth: Depth::All,
            times: self.times(),
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
        let (left_out, paths): (Vec<&RelPath>, Vec<&RelPath>) =
            paths.iter().partition(|path| self.is_below_left_out(path));
        for path in left_out {
            self.tally.counters.listed += 1;
            self.count(Verdict::Skipped(SkipReason::Excluded), path);
        }
        let (listable, others): (Vec<&RelPath>, Vec<&RelPath>) =
            paths.into_iter().partition(|path| can_be_listed(path));
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
            times: self.times(),
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
        if let Some(reason) = self.skips(path, Kind::Directory) {
            self.tally.counters.listed += 1;
            self.count(Verdict::Skipped(reason), path);
            return Ok(());
        }
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
        // A directory that is left out counts for all below it.
        let counts_already =
            |path: RelPath| self.seen.contains(&path) || self.is_below_left_out(&path);
        match path_below(below, &entry.path).is_some_and(counts_already) {
            true => Ok(()),
            false => self.take_new(entry, below),
        }
    }

    fn is_below_left_out(&self, path: &RelPath) -> bool {
        let parent = path.split_last().map(|(parent, _)| parent);
        parent.is_some_and(|parent| self.selection.above(&parent) == Above::LeftOut)
    }

    /// Why something is left out by its path.
    fn skips(&self, path: &RelPath, kind: Kind) -> Option<SkipReason> {
        let (parent, _) = path.split_last()?;
        let above = self.selection.above(&parent);
        self.selection.skips(above, || path.clone(), kind)
    }

    fn skips_entry(&self, path: &RelPath, entry: &RemoteEntry) -> Option<SkipReason> {
        if entry.is_dir {
            return self.skips(path, Kind::Directory);
        }
        let by_limits = || self.selection.skips_known(entry.size, entry.modified_secs);
        self.skips(path, Kind::File).or_else(by_limits)
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
        let verdict = if let Some(reason) = self.skips_entry(&path, &entry) {
            Verdict::Skipped(reason)
        } else if entry.is_dir {
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
            Err(error) => match error.no_room() {
                Some(what) => {
                    self.target_failed = Some(Stopped::TargetFull(what));
                    return Err(what.to_string());
                }
                None => Verdict::Failed {
                    class: error.class(storage::posix::Side::Target),
                    error: format!("target: {}", describe(&error)),
                },
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
