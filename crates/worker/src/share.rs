//! Hands directories that an attempt has not begun back to the server, as new items.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::{ItemId, Purpose, RangeSizes, RangeState, RangeWork, RelPath, Work};
use tokio::runtime::Handle;
use transfer::{NotTaken, Share, Unbegun};
use wire::{BadMessage, proto};

use crate::connection::Connection;
use crate::lease::ItemFence;

/// Items that one hand-over makes, at most.
const ITEMS: usize = 8;

/// Less is sooner done than handed over.
const LEAST_TIME: Duration = Duration::from_millis(250);

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What one attempt hands over.
pub(crate) struct HandOver {
    pub(crate) connection: Arc<Connection>,
    pub(crate) runtime: Handle,
    pub(crate) session: u64,
    pub(crate) item: ItemId,
    pub(crate) epoch: u32,
    pub(crate) fence: Arc<ItemFence>,
    pub(crate) wanted: Arc<AtomicBool>,
    pub(crate) shard_entries: Option<usize>,
    /// From then on all that is not begun is handed over, asked or not.
    pub(crate) done_enough_at: Option<Instant>,
    /// `None`: files are not shared.
    pub(crate) ranges: Option<RangeSizes>,
}

impl Share for HandOver {
    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) || self.is_all_wanted()
    }

    fn is_all_wanted(&self) -> bool {
        self.done_enough_at.is_some_and(|at| Instant::now() >= at)
    }

    fn least_time(&self) -> Duration {
        LEAST_TIME
    }

    fn decline(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }

    fn shard_entries(&self) -> Option<usize> {
        self.shard_entries
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.wanted.store(false, Ordering::Relaxed);
        let bytes: usize = work
            .iter()
            .map(|unbegun| path(unbegun).as_bytes().len() + 32)
            .sum();
        if bytes > wire::MAX_MESSAGE_BYTES / 2 {
            // Names of monstrous length; they are not worth a second message format.
            return Err(NotTaken);
        }
        self.split(&children(work))
    }

    fn ranges(&self) -> Option<RangeSizes> {
        self.ranges
    }

    fn wants_ranges(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    fn hand_over_ranges(&self, ranges: Vec<RangeWork>) -> Result<Vec<ItemId>, NotTaken> {
        self.wanted.store(false, Ordering::Relaxed);
        let child = |range| (ItemId::from_random(crate::random()), Work::Range(range));
        let children: Vec<(ItemId, Work)> = ranges.into_iter().map(child).collect();
        self.split(&children)?;
        Ok(children.into_iter().map(|(id, _)| id).collect())
    }

    fn take_back(&self, ranges: &[ItemId], is_given_up: bool) -> Result<Vec<RangeState>, NotTaken> {
        let request = proto::TakeBackRequest {
            session: self.session,
            item: self.item.get(),
            epoch: self.epoch,
            ranges: ranges.iter().map(|range| range.get()).collect(),
            all: is_given_up,
        };
        let answer = self
            .runtime
            .block_on(self.connection.call(ANSWER_WITHIN, |mut client| {
                let request = request.clone();
                async move { client.take_back(request).await }
            }));
        let states = match answer {
            Ok(reply) if reply.verdict() == proto::Verdict::Stored => {
                let states = reply.states().map(TryInto::try_into);
                states.collect::<Result<Vec<_>, BadMessage>>().ok()
            }
            Ok(_) | Err(_) => None,
        };
        states.ok_or_else(|| {
            // Without knowing which ranges are written the file can't get its name.
            self.fence.lose();
            NotTaken
        })
    }
}

impl HandOver {
    /// Stores children, for good.
    fn split(&self, children: &[(ItemId, Work)]) -> Result<(), NotTaken> {
        // The ids are drawn once: however often the call is repeated, the work is stored once.
        let request = proto::SplitRequest {
            session: self.session,
            item: self.item.get(),
            epoch: self.epoch,
            children: children.iter().map(Into::into).collect(),
        };
        let answer = self
            .runtime
            .block_on(self.connection.call(ANSWER_WITHIN, |mut client| {
                let request = request.clone();
                async move { client.split(request).await }
            }));
        match answer {
            Ok(reply) if reply.verdict() == proto::Verdict::Stored => Ok(()),
            Ok(_) => {
                self.fence.lose();
                Err(NotTaken)
            }
            Err(_) => {
                // It is not known whether the work was taken: the attempt must not complete, or
                // it could be done twice and counted twice.
                self.fence.lose();
                Err(NotTaken)
            }
        }
    }
}

/// Hands over what an attempt that leaves everything can't leave by name: most of a huge directory.
pub(crate) struct Shards(pub(crate) HandOver);

/// Names of a directory, from which on it is huge: an attempt leaves several times as many of it.
const LEFT_ENTRIES: usize = 128;

impl Share for Shards {
    fn is_wanted(&self) -> bool {
        false
    }

    fn shard_entries(&self) -> Option<usize> {
        Some(LEFT_ENTRIES)
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        self.0.hand_over(work)
    }
}

/// Work that can't be shared.
pub(crate) struct Nothing;

impl Share for Nothing {
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

fn path(unbegun: &Unbegun) -> &RelPath {
    match unbegun {
        Unbegun::Directory(path) => path,
        Unbegun::Shard { directory, .. } => directory,
    }
}

/// Each shard is an item of its own.
fn children(work: &[Unbegun]) -> Vec<(ItemId, Work)> {
    let mut directories = Vec::new();
    let mut children = Vec::new();
    for unbegun in work {
        match unbegun.clone() {
            Unbegun::Directory(path) => directories.push(path),
            Unbegun::Shard { directory, range } => {
                let id = ItemId::from_random(crate::random());
                children.push((id, Work::Shard { directory, range }));
            }
        }
    }
    children.extend(walks(&directories));
    children
}

/// Cuts directories into works: few items, so that each is worth its lease, and none over a page.
fn walks(directories: &[RelPath]) -> Vec<(ItemId, Work)> {
    let each = directories.len().div_ceil(ITEMS).max(1);
    let mut children = Vec::new();
    for chunk in directories.chunks(each) {
        let mut chunk = chunk;
        while !chunk.is_empty() {
            let mut bytes = 0;
            let fits = chunk
                .iter()
                .take_while(|directory| {
                    bytes += directory.as_bytes().len() + 8;
                    bytes <= wire::MAX_PAGE_BYTES
                })
                .count()
                .max(1);
            let (now, later) = chunk.split_at(fits);
            let work = Work::Walk {
                directories: now.to_vec(),
                purpose: Purpose::Copy,
            };
            children.push((ItemId::from_random(crate::random()), work));
            chunk = later;
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::{ITEMS, children};
    use model::{HashRange, RelPath, Work};
    use transfer::Unbegun;

    #[test]
    fn every_directory_is_handed_over_once_in_few_items() {
        let directories: Vec<RelPath> = (0..1000)
            .map(|n| RelPath::new(format!("{n:04}/{}", "x".repeat(4000))).unwrap())
            .collect();
        let work: Vec<Unbegun> = directories
            .iter()
            .cloned()
            .map(Unbegun::Directory)
            .collect();
        let works = children(&work);
        let handed: Vec<RelPath> = works
            .iter()
            .flat_map(|(_, work)| match work {
                Work::Walk { directories, .. } => directories.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(handed, directories);
        assert!(works.len() <= ITEMS, "{}", works.len());
        assert_eq!(children(&work[..3]).len(), 3);
        let shards = HashRange::ALL
            .parts(3)
            .into_iter()
            .map(|range| Unbegun::Shard {
                directory: RelPath::ROOT,
                range,
            });
        let work: Vec<Unbegun> = shards.chain(work).collect();
        assert_eq!(children(&work).len(), 3 + works.len());
    }
}
