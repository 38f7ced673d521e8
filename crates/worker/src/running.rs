//! An item that this worker holds, as its heartbeats and commands know it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use model::{Engine, Epoch, ItemId, TaskId};
use transfer::{Cancel, Progress};
use wire::{BadMessage, proto};

use crate::lease::{ItemFence, LeaseClock};

/// An item that this worker holds.
pub(crate) struct Running {
    pub(crate) item: ItemId,
    pub(crate) epoch: Epoch,
    pub(crate) task: TaskId,
    pub(crate) progress: Arc<Progress>,
    pub(crate) cancel: Arc<Cancel>,
    pub(crate) fence: Arc<ItemFence>,
    /// The server asked for some of its work.
    pub(crate) wanted: Arc<AtomicBool>,
    /// The server is being told what came of it, and says itself if that came too late.
    pub(crate) is_ending: AtomicBool,
    /// Rclone does without.
    pub(crate) needs_threads: bool,
    pub(crate) begun: Instant,
    /// How long it took until the roots were open.
    pub(crate) opened: OnceLock<Duration>,
}

impl Running {
    /// `granted_from`: see [`crate::lease::granted_from`].
    pub(crate) fn new(
        grant: &proto::Grant,
        clock: &Arc<LeaseClock>,
        granted_from: u64,
    ) -> Result<Self, BadMessage> {
        let (item, epoch) = wire::item_epoch(grant.item, grant.epoch)?;
        let cancel = Arc::new(Cancel::default());
        Ok(Self {
            item,
            epoch,
            task: TaskId(grant.task.as_ref().map_or(0, |task| task.task)),
            progress: Arc::default(),
            fence: Arc::new(ItemFence::new(clock.clone(), granted_from, cancel.clone())),
            cancel,
            wanted: Arc::default(),
            is_ending: AtomicBool::new(false),
            needs_threads: grant
                .task
                .as_ref()
                .is_none_or(|task| task.engine != Engine::Rclone.name()),
            begun: Instant::now(),
            opened: OnceLock::new(),
        })
    }

    /// As a heartbeat lists it.
    pub(crate) fn as_held(&self, hung_after: Duration) -> proto::Held {
        let read = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        let progress = &self.progress;
        proto::Held {
            item: self.item.get(),
            epoch: self.epoch.0,
            progress: Some(proto::Progress {
                listed: read(&progress.listed),
                copied: read(&progress.copied),
                unchanged: read(&progress.unchanged),
                skipped: read(&progress.skipped),
                failed: read(&progress.failed),
                copied_files: read(&progress.copied_files),
                copied_bytes: read(&progress.copied_bytes),
                paths_in_flight: progress
                    .current_paths()
                    .iter()
                    .map(|path| path.as_bytes().to_vec())
                    .collect(),
                unanswered: self.unanswered(hung_after),
            }),
        }
    }
}
