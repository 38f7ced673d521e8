//! Attempts that hang, and what is left behind of them.
//!
//! A call into a mount that does not answer can't be broken off: its thread stands in the kernel, nobody knows how long. So
//! the attempt is *left behind*: its fence closes for good, its item goes back without blame, its slot is free, and other
//! threads take the places of those that wait. It ends by itself when the mount answers again. Until then each
//! heartbeat names it, also in a later session of this process, and the server gives us nothing more of its task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::path::Escaped;
use transfer::Silence;
use wire::proto;

use crate::answer;
use crate::running::Running;
use crate::session::Session;

/// So many may be left behind; with more, no further items are taken.
const MOST: usize = 64;

/// Calls without an answer are told from then on, or from half of the time after which they hang.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// Calls that are told of one attempt.
const TOLD_AT_ONCE: usize = 3;

/// How often it is said what is left behind.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What this process left behind.
#[derive(Default)]
pub(crate) struct Behind(Mutex<Vec<Left>>);

struct Left {
    running: Arc<Running>,
    since: Instant,
    said: Instant,
}

impl Behind {
    pub(crate) fn is_full(&self) -> bool {
        self.all().len() >= MOST
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn add(&self, running: &Arc<Running>) {
        let now = Instant::now();
        self.all().push(Left {
            running: running.clone(),
            since: now,
            said: now,
        });
    }

    /// The attempt has come to its end, whether it was left behind or not.
    pub(crate) fn ended(&self, running: &Arc<Running>) {
        let mut all = self.all();
        let Some(at) = all
            .iter()
            .position(|left| Arc::ptr_eq(&left.running, running))
        else {
            return;
        };
        let left = all.swap_remove(at);
        tracing::info!(
            "task {}: its mount answers again, {} s after item {} was left behind",
            running.task,
            left.since.elapsed().as_secs(),
            running.item
        );
    }

    /// As heartbeats name it.
    pub(crate) fn named(&self) -> Vec<proto::LeftBehind> {
        let all = self.all();
        let named = all.iter().map(|left| {
            let silences = left.running.progress.silences(Duration::ZERO);
            proto::LeftBehind {
                task: left.running.task.0,
                call: silences.first().map(unanswered),
            }
        });
        named.collect()
    }

    fn say(&self) {
        for left in &mut *self.all() {
            if left.said.elapsed() >= SAID_EVERY {
                left.said = Instant::now();
                if let Some(silence) = left.running.progress.silences(Duration::ZERO).first() {
                    let (running, silent) = (&left.running, said(silence));
                    tracing::warn!("task {}: still {silent}", running.task);
                }
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Calls of its threads that have waited long, where one that waits for `hung_after` hangs.
    pub(crate) fn unanswered(&self, hung_after: Duration) -> Vec<proto::Unanswered> {
        let silences = self.progress.silences(TOLD_AFTER.min(hung_after / 2));
        silences.iter().take(TOLD_AT_ONCE).map(unanswered).collect()
    }

    fn hangs(&self, hung_after: Duration) -> Option<Silence> {
        let silences = self.progress.silences(hung_after);
        silences
            .into_iter()
            .find(|silence| silence.exceeds(hung_after))
    }
}

impl Session {
    /// Leaves behind what hangs; for ever.
    pub(crate) async fn watch(self: &Arc<Self>) -> std::convert::Infallible {
        let every = (self.hung_after / 4).min(Duration::from_secs(1));
        loop {
            let looked = Instant::now();
            tokio::time::sleep(every).await;
            // Whoever was frozen meanwhile, as this process may have been, is not silent for that.
            if looked.elapsed() < every * 3 {
                self.leave_behind_what_hangs();
            }
            self.behind.say();
        }
    }

    fn leave_behind_what_hangs(self: &Arc<Self>) {
        let held: Vec<Arc<Running>> = self.held().values().cloned().collect();
        for running in held {
            if let Some(silence) = running.hangs(self.hung_after) {
                self.leave_behind(running, &silence);
            }
        }
    }

    fn leave_behind(self: &Arc<Self>, running: Arc<Running>, silence: &Silence) {
        {
            let mut held = self.held();
            if held.remove(&(running.item, running.epoch)).is_none() {
                // It came to its end in this very moment.
                return;
            }
            self.behind.add(&running);
        }
        running.fence.lose();
        running.cancel.leave_behind();
        self.freed.notify_one();
        let silent = said(silence);
        tracing::warn!(
            "item {} of task {} is left behind: {silent}",
            running.item,
            running.task
        );
        let session = self.clone();
        tokio::spawn(async move {
            let release = answer::release(proto::ReleaseReason::Hung, silent);
            if let Err(e) = answer::hand_back(&session, &running, release).await {
                tracing::debug!("item {} could not be handed back: {e}", running.item);
            }
        });
    }
}

fn said(silence: &Silence) -> String {
    let secs = silence.lasted.as_secs();
    match silence.path.is_root() {
        true => format!("no answer for {secs} s from the source or target root"),
        false => {
            let path = Escaped(silence.path.as_bytes());
            format!("no answer for {secs} s at {path}")
        }
    }
}

fn unanswered(silence: &Silence) -> proto::Unanswered {
    proto::Unanswered {
        path: silence.path.as_bytes().to_vec(),
        ms: silence.lasted.as_millis().min(u32::MAX.into()) as u32,
    }
}
