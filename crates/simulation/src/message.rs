//! What workers and server say to each other: the verbs of the contract, as nouns of the model.

use coordinator::scheduler::{Command, Full, ReleaseReason, is_split, may_be_tried_again};
use coordinator::store::Granted;
use model::{Epoch, ItemId, NoRoom, Outcome, RangeState, RelPath, SessionId, TaskId, Work};

/// Which try of which call: the answer to another one is not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub worker: usize,
    /// A worker that died and came back has another.
    pub life: u64,
    pub call: u64,
    pub tried: u32,
}

#[derive(Debug, Clone)]
pub enum Request {
    Register(u64),
    Lease {
        session: SessionId,
        request: u64,
        slots: usize,
        more_of_a_task: usize,
    },
    Beat {
        session: SessionId,
        listed: Vec<(ItemId, Epoch)>,
        more_of_a_task: usize,
    },
    Commands(SessionId),
    Roots(ItemId, Epoch),
    Children(ItemId, u64),
    Split(ItemId, Epoch, Vec<(ItemId, Work)>),
    /// Where ranges stand; all of them are given up, or not.
    TakeBack(ItemId, Epoch, Vec<ItemId>, bool),
    Complete(SessionId, ItemId, Epoch, Outcome, Vec<RelPath>),
    Release(SessionId, ItemId, Epoch, Reason),
    Leave {
        session: SessionId,
        left_behind: bool,
    },
}

/// Why an item is handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Stopped,
    TargetFull,
    Failed,
}

impl Reason {
    pub fn for_scheduler(self) -> ReleaseReason {
        match self {
            Reason::Stopped => ReleaseReason::Drain,
            Reason::Failed => ReleaseReason::Failed,
            Reason::TargetFull => ReleaseReason::TargetFull(Full {
                no_room: NoRoom::Space,
                volume: None,
            }),
        }
    }
}

#[derive(Debug, Clone)]
pub enum Reply {
    Registered(SessionId),
    Leased(Leased),
    Beaten(Vec<(ItemId, Epoch)>),
    Commands(Vec<Command>),
    Rooted,
    /// A page, and whether there is more.
    Children(Vec<(ItemId, Work)>, bool),
    Ranges(Vec<RangeState>),
    Stored,
    Stale,
    Left,
    UnknownSession,
    /// Nothing was stored, or nobody is there: the call is repeated.
    Unavailable,
}

#[derive(Debug, Clone, Default)]
pub struct Leased {
    pub grants: Vec<Grant>,
    /// How long the call waited at the server.
    pub waited_ms: u64,
    /// How old the grants are.
    pub age_ms: u64,
    pub run_over: bool,
}

#[derive(Debug, Clone)]
pub struct Grant {
    pub task: TaskId,
    pub item: ItemId,
    pub epoch: Epoch,
    pub work: Work,
    /// Whether somebody has said before what the task's roots are.
    pub is_task_begun: bool,
    pub has_children: bool,
    /// It is taken apart.
    pub is_split: bool,
    /// What it fails at for a reason that may go away is left to another item.
    pub may_be_tried_again: bool,
    pub ancestors: Vec<ItemId>,
}

impl Grant {
    pub fn new(granted: Granted, is_task_begun: bool, item_attempts: u32) -> Self {
        Self {
            is_split: is_split(&granted.item),
            may_be_tried_again: may_be_tried_again(&granted.item, item_attempts),
            task: granted.item.task,
            item: granted.item.id,
            epoch: granted.item.epoch,
            work: granted.item.work,
            is_task_begun,
            has_children: granted.has_children,
            ancestors: granted.ancestors,
        }
    }
}
