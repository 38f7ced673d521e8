//! An item is the unit of work that is leased to a worker. Each grant raises its
//! epoch; only the newest epoch may finish, split or release it, so a worker that
//! wakes late can't overwrite what a later attempt did.

use crate::ids::{Epoch, ItemId, SessionId, TaskId};
use crate::name_hash::HashRange;
use crate::path::RelPath;

/// What a walk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Walk and copy everything below.
    Copy,
    /// Set the attributes of just these directories, which were written by several items.
    Attributes,
    /// The last item of a task: remove the run's marker from the target's root and set the
    /// root's attributes.
    Close,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Everything below these directories.
    Walk {
        directories: Vec<RelPath>,
        purpose: Purpose,
    },
    /// The names of one directory whose hashes fall into a range, with all below them. The directory itself is an
    /// entry of the item that found it.
    Shard {
        directory: RelPath,
        range: HashRange,
    },
    /// A piece of the task's file list: `length` bytes from `offset` of the list as
    /// the server keeps it (NUL after each path).
    Paths { offset: u64, length: u64 },
    /// Names of files that have others, which several items found; the first of each file is copied, the others are
    /// linked to it. Their list goes by the item's id.
    Links { names: u64 },
    /// Entries that failed for a reason that may go away, each with all below it. They were listed before: what is not
    /// there any more has vanished.
    Entries(Vec<RelPath>),
    /// Regular files for one process of rclone, as a walk wrote them down; their list goes by
    /// the item's id.
    Files(FilesWork),
    /// A piece of a huge file, written into what another item's attempt has made of it.
    Range(RangeWork),
}

/// A piece of a huge file. It lives only as long as the attempt that handed it over: see [`ItemState::Withdrawn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeWork {
    pub file: RelPath,
    /// The source as it was when its copy was begun.
    pub identity: FileIdentity,
    /// What it is written into, in the same directory of the target. No other file ever has this name.
    pub temp: String,
    pub temp_inode: u64,
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// As every machine that has the file system sees it. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    pub inode: u64,
    pub size: u64,
    pub modified_ns: i64,
    pub changed_ns: i64,
}

/// Which files are copied by several workers, and in pieces of what size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeSizes {
    /// Only larger ones.
    pub split_file_bytes: u64,
    /// Of a piece; never 0.
    pub range_bytes: u64,
}

/// Where a range stands, as the attempt that handed it over is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeState {
    /// It is that attempt's again, and nobody else's.
    TakenBack,
    /// Another one has it.
    Leased,
    /// All of it is written.
    Done,
}

/// What is known of a list of files without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesWork {
    pub files: u64,
    /// Their sizes, as far as they are known.
    pub bytes: u64,
    pub place: ListPlace,
}

/// Where the list of a [`Work::Files`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListPlace {
    /// The server has it and serves it.
    Server,
    /// In the folder that all workers share (`file_list_dir`).
    Shared,
}

/// What an item does, as far as it matters who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkKind {
    /// Looks at the source and finds out what there is.
    Walk,
    /// Runs rclone over files that were found.
    Files,
    /// Writes a piece of a file for which another attempt waits.
    Range,
}

impl Work {
    /// The paths that it is for, where it has them by itself. Lists are elsewhere.
    pub fn directories_and_entries(&self) -> &[RelPath] {
        match self {
            Work::Walk {
                directories: paths,
                purpose: Purpose::Copy,
            }
            | Work::Entries(paths) => paths,
            Work::Walk { .. }
            | Work::Shard { .. }
            | Work::Paths { .. }
            | Work::Links { .. }
            | Work::Files(_)
            | Work::Range(_) => &[],
        }
    }

    pub fn kind(&self) -> WorkKind {
        match self {
            Work::Walk { .. }
            | Work::Shard { .. }
            | Work::Paths { .. }
            | Work::Links { .. }
            | Work::Entries(_) => WorkKind::Walk,
            Work::Files(_) => WorkKind::Files,
            Work::Range(_) => WorkKind::Range,
        }
    }
}

/// The right to work on an item, as granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub item: ItemId,
    pub epoch: Epoch,
    pub session: SessionId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemState {
    Waiting,
    Leased(SessionId),
    Done,
    /// All attempts used up; what it covers counts as failed.
    Failed,
    /// A range that the attempt it was for does itself, or does not need any more.
    Withdrawn,
}

/// The item as the server remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: ItemId,
    pub task: TaskId,
    pub work: Work,
    pub state: ItemState,
    /// Of the newest grant.
    pub epoch: Epoch,
    /// Grants that were used up: those that ended in failure, or with the death of a worker that held nothing else.
    /// Entries that are tried again begin with those of the item that failed at them, and one more.
    pub attempts: u32,
    /// Workers that were lost while they held it, or what it was split from.
    pub deaths: u32,
}

/// A call under a lease that is not the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("item {item}: epoch {presented} is stale, the newest is {newest}")]
pub struct StaleLease {
    pub item: ItemId,
    pub presented: Epoch,
    pub newest: Epoch,
}

impl Item {
    /// A worker was lost with it. It may be to blame, so that it is run by a worker that holds nothing else.
    pub fn is_suspect(&self) -> bool {
        self.deaths > 0
    }

    /// Grants a waiting item: the epoch rises. `None` when it is not waiting.
    pub fn grant(&mut self, session: SessionId) -> Option<Lease> {
        if self.state != ItemState::Waiting {
            return None;
        }
        self.epoch = self.epoch.next();
        self.state = ItemState::Leased(session);
        Some(Lease {
            item: self.id,
            epoch: self.epoch,
            session,
        })
    }

    /// Checks that `epoch` is the newest and still leased.
    pub fn check(&self, epoch: Epoch) -> Result<(), StaleLease> {
        match self.state {
            ItemState::Leased(_) if epoch == self.epoch => Ok(()),
            _ => Err(StaleLease {
                item: self.id,
                presented: epoch,
                newest: self.epoch,
            }),
        }
    }
}
