//! Compares two trees, and writes to neither.
//!
//! What counts as the same is what a copy leaves alone: both use `compare` and `attributes`, by the same options. So a
//! copy that lost nothing is found the same, on whatever file system and by whatever user.
//!
//! What a check promises:
//! - Each entry of either side is compared, or is one [`Found`], or lies below one: a directory that only one side has is
//!   found once, and all below it is counted. Names of one file are found last, all else in the order in which threads
//!   come to it.
//! - What can't be looked at is found too, and never taken for equal or absent.
//! - Links are not followed, and nothing but regular files and directories is opened.
//! - Whatever the trees look like, a thread holds a few dozen descriptors, and the names of the directories it is in.
//!
//! The story in the order of the files: `queue` (who does what), `walk` (where a thread is), `directory` and `listing`
//! (a directory and its names), `entry` and `content` (one entry), `links` (files of several names), `difference` and
//! `counts` (what comes of it).

mod content;
mod counts;
mod difference;
mod directory;
mod entry;
mod links;
mod listing;
mod queue;
mod sides;
mod walk;

use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, Scope};
use std::time::SystemTime;

use model::{CopyOptions, RelPath};
use storage::posix::{Dir, Error, Identity, ListingBuffer, Timestamp, max_descriptors};

use crate::attempt::{Cancel, Stopped};
use crate::engine::describe;
use crate::selection::Selection;
use entry::Circumstances;
use links::Links;
use queue::{Member, Queue};
use sides::Sides;
use walk::{Job, Place};

pub use counts::{Counts, Progress};
pub use difference::{Aspect, Difference, Found, Unseen};

/// Directories are walked without recursion.
const STACK_BYTES: usize = 512 * 1024;
/// What a thread may hold at once: two descents, where they began, and two files.
const MAX_DESCRIPTORS_OF_THREAD: u64 = 44;
/// For all else in the process.
const OTHER_DESCRIPTORS: u64 = 64;
/// What threads may have found ahead of the one who is told.
const MAX_UNTOLD: usize = 1_000;

/// What is done about entries that only the target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    Find,
    /// They are not looked at, and not counted.
    Ignore,
}

/// Two trees and how they are compared.
pub struct Check {
    pub source: Arc<Dir>,
    pub target: Arc<Dir>,
    /// Those of the copy whose result is looked at. What says neither how entries are compared nor which has no effect.
    pub options: CopyOptions,
    pub extra: Extra,
    /// Fewer are used where this process may have few files open.
    pub threads: usize,
    pub progress: Arc<Progress>,
    pub cancel: Arc<Cancel>,
}

impl Check {
    /// Compares everything, on threads of its own; blocks. `each` is told what is found as it is found.
    ///
    /// # Errors
    /// It was cancelled, or could not begin.
    pub fn run(&self, mut each: impl FnMut(Found)) -> Result<Counts, Stopped> {
        let again = |error: Error| Stopped::Again(describe(&error));
        let place = Place {
            path: RelPath::ROOT,
            // With reading positions of their own.
            dirs: Sides::Both(
                self.source.reopen().map_err(again)?,
                self.target.reopen().map_err(again)?,
            ),
        };
        let began = now();
        let shared = Shared {
            check: self,
            selection: Selection::new(&self.options.filter, began.secs, &self.source)?,
            queue: Queue::with(Job::first(place)),
            links: Links::default(),
            circumstances: Circumstances {
                owners_count: Identity::current().is_root(),
                began,
            },
        };
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(MAX_UNTOLD);
            shared.begin_threads(scope, sender)?;
            receiver.into_iter().for_each(&mut each);
            Ok(())
        })?;
        if self.cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        for found in shared.links.into_found() {
            self.progress.count(&found.difference);
            each(found);
        }
        Ok(self.progress.counts())
    }
}

fn now() -> Timestamp {
    // A clock before 1970 finds every time one that no copy can have yet.
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since_1970 = since_1970.unwrap_or_default();
    Timestamp {
        secs: since_1970.as_secs() as i64,
        nanos: since_1970.subsec_nanos(),
    }
}

/// What all threads share.
struct Shared<'a> {
    check: &'a Check,
    selection: Selection,
    queue: Queue<Job>,
    links: Links,
    circumstances: Circumstances,
}

impl<'a> Shared<'a> {
    fn begin_threads<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        sender: SyncSender<Found>,
    ) -> Result<(), Stopped> {
        let affordable =
            max_descriptors().saturating_sub(OTHER_DESCRIPTORS) / MAX_DESCRIPTORS_OF_THREAD;
        let affordable = usize::try_from(affordable).unwrap_or(usize::MAX);
        for number in 0..self.check.threads.min(affordable).max(1) {
            let member = self.queue.join();
            let mut checker = Checker {
                shared: self,
                found: sender.clone(),
                listing: ListingBuffer::default(),
                buffer: Vec::new(),
            };
            let begun = thread::Builder::new()
                .name(format!("check-{number}"))
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, move || checker.work(&member));
            match begun {
                Ok(_) => {}
                Err(error) if number == 0 => {
                    return Err(Stopped::Again(format!("cannot start a thread: {error}")));
                }
                // The threads there are do the work.
                Err(error) => {
                    tracing::debug!(%error, "no further thread");
                    break;
                }
            }
        }
        Ok(())
    }
}

/// One thread's part.
struct Checker<'a> {
    shared: &'a Shared<'a>,
    found: SyncSender<Found>,
    listing: ListingBuffer,
    /// For content; empty until there is some to read.
    buffer: Vec<u8>,
}

impl Checker<'_> {
    fn work(&mut self, member: &Member<'_, Job>) {
        while let Some(job) = member.take() {
            self.walk(job);
        }
    }

    fn is_stopping(&self) -> bool {
        self.shared.check.cancel.is_cancelled()
    }

    fn options(&self) -> &CopyOptions {
        &self.shared.check.options
    }

    fn progress(&self) -> &Progress {
        &self.shared.check.progress
    }

    fn tell(&self, path: RelPath, difference: Difference) {
        self.progress().count(&difference);
        if self.found.send(Found { path, difference }).is_err() {
            // Nobody wants to know any more.
            self.shared.check.cancel.cancel();
        }
    }
}
