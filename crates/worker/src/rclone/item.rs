//! One item of a task that rclone copies, from its grant to its outcome.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Once};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::fs_type::AllowedTypes;
use model::{
    Durability, FilesWork, ListPlace, Outcome, PartialSuffix, Purpose, RcloneOptions, RelPath,
    Work, found_files,
};
use storage::roots::{Guard, TargetUse};
use transfer::rclone::{
    NoRclone, Piece, PrivateDir, Rclone, RemoteWalk, Watch, parents, run_piece, settle_remote,
    walk_remote,
};
use transfer::{
    Attempt, AttemptWork, CheckRoots, FileWork, Finished, Found, NotTaken, Progress, Settling,
    Share, Stopped, Unbegun, asking,
};
use wire::proto::{self, UploadKind};

use super::ends::{Ends, EndsError, shared_lists};
use super::found::FoundFiles;
use crate::share::HandOver;
use crate::slot::Slot;
use crate::verdict::{Complete, Verdict, lost};

impl From<EndsError> for Verdict {
    fn from(error: EndsError) -> Self {
        match error {
            EndsError::Roots(error) => error.into(),
            // Another worker may have the remote.
            EndsError::Config(error) => {
                Verdict::Release(proto::ReleaseReason::Machine, model::error_chain(&error))
            }
            EndsError::NoRclone(why) => {
                Verdict::Release(proto::ReleaseReason::Machine, why.to_string())
            }
            EndsError::Missing { .. } => {
                Verdict::Release(proto::ReleaseReason::Task, error.to_string())
            }
            EndsError::Remote(error) => Verdict::failed(model::error_chain(&error)),
        }
    }
}

/// Runs the item.
pub(crate) fn run(slot: &Slot<'_>) -> Result<Verdict, Verdict> {
    // A walk between mounted file systems needs none.
    let rclone = slot.session.rclone.as_ref();
    let settings: RcloneOptions = slot.task.rclone.clone().unwrap_or_default().try_into()?;
    let ends = Arc::new(open_ends(slot, rclone.map(|rclone| &**rclone), &settings)?);
    slot.agree_on_source(ends.source_identity())?;
    let checked = ends.clone();
    let item = Item {
        slot,
        rclone,
        settings,
        ends,
        check_roots: Arc::new(move || asking(|| checked.check()).map_err(lost)),
    };
    slot.begin();
    match &slot.work {
        Work::Walk {
            directories,
            purpose: Purpose::Copy,
        } => item.find(AttemptWork::Walk(directories.clone())),
        Work::Shard { directory, range } => item.find(AttemptWork::Shard {
            directory: directory.clone(),
            range: *range,
        }),
        Work::Paths { .. } => item.find(AttemptWork::Paths(slot.listed_paths()?)),
        Work::Files(files) => item.copy(files),
        Work::Links { .. } => Err(Verdict::failed(
            "rclone makes each name a file of its own".into(),
        )),
        Work::Entries(_) => Err(Verdict::failed("entries tried again, with rclone".into())),
        Work::Range(_) => Err(Verdict::failed("a range of a file with rclone".into())),
        Work::Walk {
            purpose: Purpose::Attributes,
            ..
        } => Err(Verdict::failed(
            "a remote's directories have no attributes".into(),
        )),
        Work::Walk {
            purpose: Purpose::Close,
            ..
        } => {
            // A remote's root has no attributes.
            slot.check_fence()?;
            asking(|| item.ends.remove_marker())?;
            Ok(Verdict::complete(Outcome::default()))
        }
    }
}

fn open_ends(
    slot: &Slot<'_>,
    rclone: Result<&Rclone, &NoRclone>,
    settings: &RcloneOptions,
) -> Result<Ends, Verdict> {
    let (source, _) = AllowedTypes::parse(&slot.task.source_fs_types);
    let (target, _) = AllowedTypes::parse(&slot.task.target_fs_types);
    let target_use = match slot.options.dry_run {
        true => TargetUse::LookOnly,
        false => TargetUse::Write,
    };
    let locations = (slot.task.source_location()?, slot.task.target_location()?);
    slot.check_fence()?;
    let guard = Guard { source, target };
    let cancel = &slot.running.cancel;
    let marker = slot.marker_use();
    Ends::open(
        locations,
        (rclone, settings),
        &guard,
        target_use,
        marker,
        cancel,
    )
    .map_err(|error| match cancel.is_cancelled() {
        true => Stopped::Cancelled.into(),
        false => error.into(),
    })
}

struct Item<'a> {
    slot: &'a Slot<'a>,
    rclone: Result<&'a Arc<Rclone>, &'a NoRclone>,
    settings: RcloneOptions,
    ends: Arc<Ends>,
    check_roots: CheckRoots,
}

impl Item<'_> {
    /// Finds out what there is and hands in lists of the files that have to be copied.
    fn find(&self, work: AttemptWork) -> Result<Verdict, Verdict> {
        let lists = FoundFiles::new(self.settings.files_per_process)
            .map_err(|e| Verdict::failed(format!("cannot make a private directory: {e}")))?;
        let found = Arc::new(lists);
        let outcome = match (self.ends.source_dir(), self.ends.source_remote()) {
            (Some(source), _) => {
                let files = match self.ends.target_is_remote() {
                    true => FileWork::FindForRemote(found.clone()),
                    false => FileWork::Find(found.clone()),
                };
                let share = Arc::new(ShareRest {
                    hand_over: self.slot.hand_over(),
                    found: found.clone(),
                });
                let attempt = Attempt {
                    excluded: self.slot.excluded()?,
                    share,
                    progress: self.slot.running.progress.clone(),
                    ..self.attempt(source.clone(), work, files)
                };
                self.slot
                    .ended(transfer::run(&self.slot.session.threads, attempt))?
            }
            (None, Some(remote)) => self.slot.ended(self.walk_remote(remote, work, &*found))?,
            (None, None) => return Err(Verdict::failed("a source without a root".into())),
        };
        self.hand_in(outcome, &found)
    }

    fn walk_remote(
        &self,
        remote: &str,
        work: AttemptWork,
        found: &dyn Found,
    ) -> Result<Finished, Stopped> {
        let running = self.slot.running;
        let walk = RemoteWalk {
            rclone: self
                .rclone()
                .map_err(|why| Stopped::Again(why.to_string()))?,
            config: &self.ends.config,
            remote,
            only: match work {
                AttemptWork::Paths(paths) => Some(paths),
                AttemptWork::Shard { directory, .. } => {
                    return Err(Stopped::Again(format!(
                        "a shard of {directory} on a remote"
                    )));
                }
                _ => None,
            },
            settings: &self.settings,
            target: match self.slot.options.dry_run {
                true => None,
                false => self.ends.target_dir().map(|dir| &**dir),
            },
            dry_run: self.slot.options.dry_run,
            filter: &self.slot.options.filter,
            ages_from_secs: self.slot.ages_from_secs(),
        };
        walk_remote(
            &walk,
            found,
            &*running.fence,
            &running.cancel,
            &running.progress,
        )
    }

    /// Puts the lists where other workers find them; they become items with the outcome.
    fn hand_in(&self, outcome: Outcome, found: &FoundFiles) -> Result<Verdict, Verdict> {
        let lists = found
            .take()
            .map_err(|e| Verdict::failed(format!("cannot write down what is found: {e}")))?;
        let folder = shared_lists(&self.settings, self.slot.run).unwrap_or_else(|why| {
            tracing::warn!("{why}: the server serves the lists instead");
            None
        });
        let mut children = Vec::with_capacity(lists.len());
        for list in &lists {
            let place = match &folder {
                Some(folder) => {
                    list.share(folder).map_err(|e| {
                        Verdict::failed(format!(
                            "cannot write a list of files into {}: {e}",
                            folder.display()
                        ))
                    })?;
                    ListPlace::Shared
                }
                None => {
                    self.slot
                        .upload(&list.path, UploadKind::List, list.item.get())?;
                    ListPlace::Server
                }
            };
            children.push(list.as_child(place));
        }
        Ok(Verdict::Complete(Box::new(Complete {
            outcome,
            children,
            again: Vec::new(),
        })))
    }

    /// Runs rclone over a list, then looks at what it did.
    fn copy(&self, work: &FilesWork) -> Result<Verdict, Verdict> {
        let list = self.list(work)?;
        let files = found_files::decode(&list).map_err(|e| Verdict::failed(e.to_string()))?;
        drop(list);
        if files.len() as u64 != work.files {
            return Err(Verdict::failed(format!(
                "the list has {} files, expected {}",
                files.len(),
                work.files
            )));
        }
        let directories = parents(&files);
        self.look_at_rclone()?;
        // Opened before rclone writes, so that each error of writing back is reported to it.
        let synced = self.ends.target_dir().map(|target| target.reopen());
        let synced = synced
            .transpose()
            .map_err(|e| Verdict::failed(e.to_string()))?;
        let private = PrivateDir::create()
            .map_err(|e| Verdict::failed(format!("cannot make a private directory: {e}")))?;
        let log = private.path().join("log");
        let copied = File::create_new(&log)
            .map_err(|e| Stopped::Again(format!("cannot keep a log: {e}")))
            .and_then(|log| self.run_rclone(files, &log));
        // However it ended: whoever looks for the reason finds it at the server.
        if let Err(verdict) = self.slot.upload(&log, UploadKind::Log, 0) {
            match verdict {
                Verdict::Silent => return Err(Verdict::Silent),
                Verdict::Release(_, why) => tracing::warn!("rclone's log could not be sent: {why}"),
                Verdict::TargetFull(..) | Verdict::Complete(_) => {}
            }
        }
        let settling = copied?;
        let outcome = self.settle(settling, directories)?;
        if let Some(target) = synced
            && self.slot.options.durability != Durability::None
            && !self.slot.options.dry_run
        {
            target
                .sync_fs()
                .map_err(|e| Verdict::failed(format!("{e}: {}", e.source)))?;
        }
        Ok(Verdict::complete(outcome))
    }

    fn rclone(&self) -> Result<&Rclone, &NoRclone> {
        self.rclone.map(|rclone| &**rclone)
    }

    /// Whether this worker's rclone can copy these files as asked, and what its user should know.
    fn look_at_rclone(&self) -> Result<(), Verdict> {
        let machine = |why: String| Verdict::Release(proto::ReleaseReason::Machine, why);
        let rclone = self.rclone().map_err(|why| machine(why.to_string()))?;
        let Some(warning) = rclone.warning() else {
            return Ok(());
        };
        if self.ends.target_dir().is_none() {
            return Ok(());
        }
        if self.slot.options.update && self.ends.source_remote().is_some() {
            return Err(machine(format!(
                "{warning}; with update, one that was cut off would be taken for newer"
            )));
        }
        static SAID: Once = Once::new();
        SAID.call_once(|| tracing::warn!("{warning}"));
        Ok(())
    }

    fn list(&self, work: &FilesWork) -> Result<Vec<u8>, Verdict> {
        if work.place == ListPlace::Server {
            return self.slot.listed();
        }
        let machine = |why: String| Verdict::Release(proto::ReleaseReason::Machine, why);
        let folder = shared_lists(&self.settings, self.slot.run)
            .map_err(machine)?
            .ok_or_else(|| Verdict::failed("the list is in a folder that nobody named".into()))?;
        let path = folder.join(self.slot.running.item.to_string());
        std::fs::read(&path).map_err(|e| {
            machine(format!(
                "cannot read the list {}: {e}; is file_list_dir mounted here?",
                path.display()
            ))
        })
    }

    fn run_rclone(
        &self,
        files: Vec<found_files::FoundFile>,
        log: &File,
    ) -> Result<Settling, Stopped> {
        let running = self.slot.running;
        let piece = Piece {
            rclone: self
                .rclone()
                .map_err(|why| Stopped::Again(why.to_string()))?,
            config: &self.ends.config,
            source: self.ends.source(),
            target: self.ends.target(),
            options: &self.slot.options,
            settings: &self.settings,
            suffix: PartialSuffix {
                item: running.item,
                epoch: running.epoch,
            },
        };
        let mut compressed = GzEncoder::new(BufWriter::new(log), Compression::fast());
        let mut watch = Watch {
            fence: &*running.fence,
            cancel: &running.cancel,
            check_roots: &self.check_roots,
            progress: &running.progress,
            log: &mut compressed,
        };
        let copied = run_piece(&piece, files, &mut watch);
        if let Err(stopped) = &copied {
            // What can't be written was said already.
            let _ = writeln!(compressed, "data-migrate: {stopped}");
        }
        let flushed = compressed.finish().and_then(|log| {
            log.into_inner()
                .map_err(std::io::IntoInnerError::into_error)
        });
        if let Err(e) = flushed {
            tracing::warn!("rclone's log can't be kept: {e}");
        }
        copied
    }

    /// What rclone claims is held against what is there; owners, modes and times are set.
    fn settle(&self, settling: Settling, directories: Vec<RelPath>) -> Result<Outcome, Verdict> {
        let slot = self.slot;
        let (source, target) = (self.ends.source_dir(), self.ends.target_dir());
        let Some((source, _)) = source.zip(target) else {
            let target = target.filter(|_| !slot.options.dry_run).map(|dir| &**dir);
            let settled = settle_remote(
                &settling,
                source.map(|dir| &**dir),
                target,
                &*slot.running.fence,
            );
            return slot.ended(settled);
        };
        let paths = settling.claims.files().iter().map(|f| f.path.clone());
        let work = AttemptWork::Settle(paths.collect());
        let files = FileWork::Settle(Arc::new(settling));
        let attempt = self.attempt(source.clone(), work, files);
        let mut outcome = slot.ended(transfer::run(&slot.session.threads, attempt))?;
        // Now that nothing more is written into them by this item.
        let directories: Vec<RelPath> = directories.into_iter().filter(|d| !d.is_root()).collect();
        if !directories.is_empty() {
            let work = AttemptWork::Attributes(directories);
            let attempt = self.attempt(source.clone(), work, FileWork::Copy);
            outcome.add(slot.ended(transfer::run(&slot.session.threads, attempt))?);
        }
        Ok(outcome)
    }

    fn attempt(
        &self,
        source: Arc<storage::posix::Dir>,
        work: AttemptWork,
        files: FileWork,
    ) -> Attempt {
        let slot = self.slot;
        Attempt {
            run: slot.run,
            item: slot.running.item,
            epoch: slot.running.epoch,
            options: slot.options.clone(),
            ages_from_secs: slot.ages_from_secs(),
            target_is_shared: slot.task.target_is_shared,
            source,
            target: self.ends.target_dir().cloned(),
            work,
            files,
            excluded: Vec::new(),
            another_try_follows: false,
            ancestors: slot.ancestors.clone(),
            // rclone writes files of their own.
            links: None,
            check_roots: self.check_roots.clone(),
            fence: slot.running.fence.clone(),
            share: Arc::new(crate::share::Nothing),
            // What rclone does is shown; what is looked at afterwards would count twice.
            progress: Arc::<Progress>::default(),
            cancel: slot.running.cancel.clone(),
        }
    }
}

/// Hands directories over when somebody asks for work, and all of them when a list is full.
struct ShareRest {
    hand_over: HandOver,
    found: Arc<FoundFiles>,
}

impl Share for ShareRest {
    fn is_wanted(&self) -> bool {
        self.is_all_wanted() || self.hand_over.is_wanted()
    }

    fn is_all_wanted(&self) -> bool {
        self.found.is_full() || self.hand_over.is_all_wanted()
    }

    fn least_time(&self) -> Duration {
        match self.found.is_full() {
            true => Duration::ZERO,
            false => self.hand_over.least_time(),
        }
    }

    fn decline(&self) {
        self.hand_over.decline();
    }

    fn shard_entries(&self) -> Option<usize> {
        self.hand_over.shard_entries()
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.hand_over.hand_over(work)
    }
}
