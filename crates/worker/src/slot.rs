//! One item on one slot: from its grant to what it ended with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::found_links::FoundLink;
use model::fs_type::AllowedTypes;
use model::temp_name::MarkerName;
use model::{
    CopyOptions, Engine, Epoch, ItemId, Outcome, Purpose, RangeSizes, RelPath, RunId,
    SourceIdentity, TaskId, Work, file_list,
};
use storage::roots::{Guard, MarkerUse, Roots, TargetUse};
use transfer::{
    Attempt, AttemptWork, Fence, FileWork, Finished, FoundLinks, Share, Stopped, Unbegun, asking,
};
use wire::{BadMessage, proto};

use crate::answer::{self, volume};
use crate::connection::CallError;
use crate::links::LeftNames;
use crate::rclone;
use crate::running::Running;
use crate::session::{ANSWER_WITHIN, Session};
use crate::share::{HandOver, Nothing, Shards};
use crate::verdict::{Complete, Verdict, lost};

/// Runs the item and tells the server how it ended. Blocks.
pub(crate) fn run(session: &Arc<Session>, running: &Arc<Running>, grant: proto::Grant) {
    let task = grant.task.clone().unwrap_or_default();
    let attempt = AssertUnwindSafe(|| match Slot::new(session, running, grant) {
        Ok(slot) => slot.run().unwrap_or_else(|verdict| verdict),
        Err(bad) => bad.into(),
    });
    let verdict = catch_unwind(attempt).unwrap_or_else(|_| {
        // It costs an attempt: what breaks off each time must come to an end.
        let message = "the attempt broke off, which is a bug: see the worker's log";
        Verdict::Release(proto::ReleaseReason::Failed, message.to_owned())
    });
    if running.fence.is_lost() {
        return;
    }
    answer::tell(session, running, &task, verdict);
}

/// A grant as nouns.
pub(crate) struct Slot<'a> {
    pub(crate) session: &'a Arc<Session>,
    pub(crate) running: &'a Arc<Running>,
    pub(crate) run: RunId,
    pub(crate) work: Work,
    pub(crate) options: CopyOptions,
    pub(crate) task: proto::TaskSpec,
    has_children: bool,
    pub(crate) ancestors: Vec<ItemId>,
    /// What it fails at for a reason that may go away is left to another item.
    may_be_tried_again: bool,
    /// Workers were lost with it: it is taken apart.
    split_up: bool,
}

impl<'a> Slot<'a> {
    fn new(
        session: &'a Arc<Session>,
        running: &'a Arc<Running>,
        grant: proto::Grant,
    ) -> Result<Self, BadMessage> {
        let task = grant.task.unwrap_or_default();
        Ok(Self {
            session,
            running,
            run: wire::run_from(task.run)?,
            work: grant.work.unwrap_or_default().try_into()?,
            options: task.options.clone().unwrap_or_default().try_into()?,
            has_children: grant.has_children,
            may_be_tried_again: grant.may_be_tried_again,
            split_up: grant.split_up,
            ancestors: grant
                .ancestors
                .into_iter()
                .map(|item| Ok(wire::item_epoch(item, 0)?.0))
                .collect::<Result<_, BadMessage>>()?,
            task,
        })
    }

    fn run(&self) -> Result<Verdict, Verdict> {
        if self.is_rclone_s()? {
            return rclone::run(self);
        }
        let left = Arc::<LeftNames>::default();
        let attempt = self.attempt(&left)?;
        self.begin();
        let finished = transfer::run(&self.session.threads, attempt)?;
        self.send_left_names(&left)?;
        Ok(Verdict::Complete(Box::new(Complete {
            outcome: finished.outcome,
            children: Vec::new(),
            again: finished.again,
        })))
    }

    /// Says that all is ready, and what is done now.
    pub(crate) fn begin(&self) {
        // Once.
        let _ = self.running.opened.set(self.running.begun.elapsed());
        tracing::debug!(
            "item {} of task {}, epoch {}: {:?}",
            self.running.item,
            self.task.task,
            self.running.epoch,
            self.work
        );
    }

    /// Whether rclone has a part in it: in copying, and wherever an end is a remote.
    fn is_rclone_s(&self) -> Result<bool, Verdict> {
        if self.task.engine != Engine::Rclone.name() {
            return Ok(false);
        }
        let is_mounted = self.task.source_location()?.as_posix().is_some()
            && self.task.target_location()?.as_posix().is_some();
        let is_after_copying = matches!(
            &self.work,
            Work::Walk {
                purpose: Purpose::Attributes | Purpose::Close,
                ..
            }
        );
        Ok(!(is_mounted && is_after_copying))
    }

    /// The outcome of what came to its end.
    pub(crate) fn ended(&self, finished: Result<Finished, Stopped>) -> Result<Outcome, Verdict> {
        Ok(finished?.outcome)
    }

    fn attempt(&self, left: &Arc<LeftNames>) -> Result<Attempt, Verdict> {
        let roots = Arc::new(self.open_roots()?);
        self.agree_on_source(&roots.source_identity())?;
        let closing = matches!(
            &self.work,
            Work::Walk {
                purpose: Purpose::Close,
                ..
            }
        );
        if closing {
            self.check_fence()?;
            // Its time changes with this, so the root's attributes come after.
            asking(|| roots.remove_marker())?;
        }
        let checked = roots.clone();
        Ok(Attempt {
            run: self.run,
            item: self.running.item,
            epoch: self.running.epoch,
            options: self.options.clone(),
            ages_from_secs: self.ages_from_secs(),
            target_is_shared: self.task.target_is_shared,
            source: roots.source.clone(),
            target: roots.target.clone(),
            work: self.attempt_work()?,
            files: match self.split_up {
                true => FileWork::Leave,
                false => FileWork::Copy,
            },
            another_try_follows: self.may_be_tried_again,
            excluded: self.excluded()?,
            ancestors: self.ancestors.clone(),
            links: self
                .leaves_links()
                .then(|| left.clone() as Arc<dyn FoundLinks>),
            check_roots: Arc::new(move || match closing {
                true => Ok(()),
                false => checked.check().map_err(lost),
            }),
            fence: self.running.fence.clone(),
            share: self.share(),
            progress: self.running.progress.clone(),
            cancel: self.running.cancel.clone(),
        })
    }

    /// A dry run has no links phase.
    fn leaves_links(&self) -> bool {
        let finds = match &self.work {
            Work::Walk { purpose, .. } => *purpose == Purpose::Copy,
            Work::Shard { .. } | Work::Paths { .. } | Work::Entries(_) => true,
            Work::Links { .. } | Work::Files(_) | Work::Range(_) => false,
        };
        finds && !self.options.dry_run
    }

    /// From when the filter counts ages back.
    pub(crate) fn ages_from_secs(&self) -> i64 {
        self.task.run_started_ms.div_euclid(1000)
    }

    fn open_roots(&self) -> Result<Roots, Verdict> {
        let (source, _) = AllowedTypes::parse(&self.task.source_fs_types);
        let (target, _) = AllowedTypes::parse(&self.task.target_fs_types);
        let target_use = match self.options.dry_run {
            true => TargetUse::LookOnly,
            false => TargetUse::Write,
        };
        let (from, to) = (self.task.source_location()?, self.task.target_location()?);
        let (Some(from), Some(to)) = (from.as_posix(), to.as_posix()) else {
            return Err(Verdict::failed("a remote without the rclone engine".into()));
        };
        let guard = Guard { source, target };
        self.check_fence()?;
        let marker = self.marker_use();
        let opened = asking(|| Roots::open(from, to, &guard, target_use, marker));
        Ok(opened?)
    }

    /// How this attempt uses the run's marker at the target.
    pub(crate) fn marker_use(&self) -> MarkerUse {
        let known: Option<SourceIdentity> = self.task.source_identity.clone().map(Into::into);
        let name = MarkerName {
            run: self.run,
            task: TaskId(self.task.task),
        };
        match known {
            Some(identity) if self.is_closing_again() => MarkerUse::MayBeGone(name, identity),
            Some(identity) => MarkerUse::Expect(name, identity),
            None => MarkerUse::Create(name),
        }
    }

    /// Before roots or marker are touched: this worker may have been frozen since its grant.
    pub(crate) fn check_fence(&self) -> Result<(), Verdict> {
        match self.running.fence.may_write() {
            true => Ok(()),
            false => Err(Verdict::Silent),
        }
    }

    fn is_closing_again(&self) -> bool {
        let closing = matches!(
            &self.work,
            Work::Walk {
                purpose: Purpose::Close,
                ..
            }
        );
        closing && self.running.epoch > Epoch(1)
    }

    /// The first worker says what it found; whoever finds something else can't run the task.
    pub(crate) fn agree_on_source(&self, found: &SourceIdentity) -> Result<(), Verdict> {
        if self.task.source_identity.is_some() {
            return Ok(());
        }
        let request = proto::RootsRequest {
            session: self.session.id,
            item: self.running.item.get(),
            epoch: self.running.epoch.0,
            source_identity: Some(found.into()),
            volume: asking(|| volume(&self.task)),
        };
        let reply = self.call(|mut client| {
            let request = request.clone();
            async move { client.roots(request).await }
        })?;
        let holds: SourceIdentity = reply.source_identity.unwrap_or_default().into();
        if holds == *found {
            return Ok(());
        }
        Err(Verdict::Release(
            proto::ReleaseReason::Machine,
            format!(
                "the source is another directory here (inode {} on {}) than where the task began (inode {} on {}): a mount is missing or wrong",
                found.inode, found.fs_type, holds.inode, holds.fs_type
            ),
        ))
    }

    fn attempt_work(&self) -> Result<AttemptWork, Verdict> {
        Ok(match &self.work {
            Work::Walk {
                directories,
                purpose: Purpose::Copy,
            } => AttemptWork::Walk(directories.clone()),
            Work::Walk { directories, .. } => AttemptWork::Attributes(directories.clone()),
            Work::Shard { directory, range } => AttemptWork::Shard {
                directory: directory.clone(),
                range: *range,
            },
            Work::Entries(paths) => AttemptWork::Entries(paths.clone()),
            Work::Paths { .. } => AttemptWork::Paths(self.listed_paths()?),
            Work::Links { .. } => AttemptWork::Links(self.listed_links()?),
            Work::Range(range) => AttemptWork::Range(range.clone()),
            Work::Files(_) => return Err(Verdict::failed("files without rclone".into())),
        })
    }

    /// The item's list as the server has it.
    pub(crate) fn listed(&self) -> Result<Vec<u8>, Verdict> {
        let mut bytes = Vec::new();
        loop {
            let request = proto::ListedRequest {
                item: self.running.item.get(),
                from: bytes.len() as u64,
            };
            let page = self.call(|mut client| async move { client.listed(request).await })?;
            bytes.extend_from_slice(&page.paths);
            if !page.more {
                return Ok(bytes);
            }
        }
    }

    /// The paths of a piece of the task's list.
    pub(crate) fn listed_paths(&self) -> Result<Vec<RelPath>, Verdict> {
        file_list::decode(&self.listed()?).map_err(|e| Verdict::failed(e.to_string()))
    }

    fn listed_links(&self) -> Result<Vec<FoundLink>, Verdict> {
        FoundLink::decode_all(&self.listed()?).map_err(|e| Verdict::failed(e.to_string()))
    }

    /// What earlier attempts handed to other items.
    pub(crate) fn excluded(&self) -> Result<Vec<Unbegun>, Verdict> {
        let mut excluded = Vec::new();
        let mut from = 0;
        let mut more = self.has_children;
        while more {
            let request = proto::ChildrenRequest {
                item: self.running.item.get(),
                from,
            };
            let page = self.call(|mut client| async move { client.children(request).await })?;
            more = page.more;
            from += page.children.len() as u64;
            for child in page.children {
                let (_, work) = child.try_into()?;
                match work {
                    Work::Walk { directories, .. } => {
                        excluded.extend(directories.into_iter().map(Unbegun::Directory));
                    }
                    Work::Shard { directory, range } => {
                        excluded.push(Unbegun::Shard { directory, range });
                    }
                    // What a walk for rclone wrote down comes with its end.
                    // Ranges end with the attempt that handed them over.
                    Work::Paths { .. }
                    | Work::Links { .. }
                    | Work::Entries(_)
                    | Work::Files(_)
                    | Work::Range(_) => {}
                }
            }
        }
        Ok(excluded)
    }

    fn share(&self) -> Arc<dyn Share> {
        match self.work {
            Work::Walk {
                purpose: Purpose::Copy,
                ..
            }
            | Work::Shard { .. }
            | Work::Entries(_)
            | Work::Paths { .. }
            | Work::Links { .. } => match self.split_up {
                true => Arc::new(Shards(self.hand_over())),
                false => Arc::new(self.hand_over()),
            },
            Work::Walk { .. } | Work::Files(_) | Work::Range(_) => Arc::new(Nothing),
        }
    }

    /// As the server says; none where files are not copied here.
    fn range_sizes(&self) -> Option<RangeSizes> {
        (self.task.range_bytes > 0).then_some(RangeSizes {
            split_file_bytes: self.task.split_file_bytes,
            range_bytes: self.task.range_bytes,
        })
    }

    /// Takes work off this item's hands.
    pub(crate) fn hand_over(&self) -> HandOver {
        HandOver {
            connection: self.session.connection.clone(),
            runtime: self.session.runtime.clone(),
            session: self.session.id,
            item: self.running.item,
            epoch: self.running.epoch.0,
            fence: self.running.fence.clone(),
            wanted: self.running.wanted.clone(),
            shard_entries: self.shard_entries(),
            done_enough_at: self.done_enough_at(),
            ranges: self.range_sizes(),
        }
    }

    fn done_enough_at(&self) -> Option<Instant> {
        let time = Duration::from_millis(self.task.item_target_ms.into());
        (!time.is_zero()).then(|| Instant::now() + time)
    }

    fn shard_entries(&self) -> Option<usize> {
        let entries = usize::try_from(self.task.shard_entries).unwrap_or(usize::MAX);
        (entries > 0).then_some(entries)
    }

    pub(crate) fn call<T, F>(
        &self,
        call: impl Fn(crate::connection::Client) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        self.session
            .runtime
            .block_on(self.session.connection.call(ANSWER_WITHIN, call))
    }
}
