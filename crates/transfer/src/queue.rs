//! The waiting work of one attempt, and the order in which it is done.
//!
//! A thread stays with the directory it has listed (creations in one directory wait for each other
//! in the kernel), then takes the deepest waiting directory, and only when there is none helps with
//! others' files, where the fewest do, and at last with parts of big ones. Files go before directories and depth before
//! breadth, so little waits; a directory is read on only while fewer than [`MAX_PENDING`] sub-directories wait. Where
//! calls wait for a network, others' files come before waiting directories while another worker waits for work, or soon
//! may; but for directories that have [`ENOUGH_THREADS`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use model::RangeWork;

use crate::batch::Synced;
use crate::entry::Files;
use crate::late::LateFiles;
use crate::parts::Parts;
use crate::start::Feeder;
use crate::walk::{Lister, Pending};

/// Sub-directories that wait before reading directories stops.
pub(crate) const MAX_PENDING: usize = 10_000;

/// Batches of a directory below which its next chunk is read, so that helpers have work.
const READ_AHEAD: usize = 16;

/// The same where its next names are held and can still be handed over.
const TAKE_AHEAD: usize = 2;

/// More threads than these in one directory mostly wait for each other: the kernel lets one at a time create a name, which
/// takes a file's thread some third of its requests.
const ENOUGH_THREADS: usize = 4;

/// A thread's number in its pool.
pub(crate) type ThreadNo = usize;

/// One unit of work.
pub(crate) enum Job {
    /// Begin a directory.
    Begin(Pending),
    /// Read the next chunk of a directory.
    List(GroupId, Box<Lister>),
    /// Copy some files of one directory; the group they were taken from, unless they were left by another thread.
    Files(Option<GroupId>, Files),
    /// Take the next pieces of what the item is made of.
    Feed(Feeder),
    /// Copy and link files that were left for the end.
    Late(LateFiles),
    /// Give files of a synced batch their names.
    Publish(Synced),
    /// Sync and publish what waits for it.
    Flush,
    /// Make the last names durable, when nothing else is left to do.
    Sync,
    /// Remove what is unfinished.
    Clean,
    /// Do a part of a big file that another thread is at.
    Help(Arc<Parts>),
    /// Copy a piece of a file that another attempt copies.
    Range(RangeWork),
}

impl Job {
    /// Whether it reads a directory.
    pub(crate) fn reads(&self) -> bool {
        matches!(self, Self::Begin(_) | Self::List(..) | Self::Feed(_))
    }

    /// The directory whose files it copies, as long as others can help with it.
    pub(crate) fn group(&self) -> Option<GroupId> {
        match self {
            Self::Files(group, _) => *group,
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupId(u64);

/// A directory that is being read.
struct Group {
    id: GroupId,
    thread: ThreadNo,
    /// Threads that copy files of it.
    helpers: usize,
    batches: VecDeque<Files>,
    /// `None` while a thread reads, and after the end.
    lister: Option<Lister>,
    is_being_read: bool,
}

impl Group {
    fn is_done(&self) -> bool {
        self.batches.is_empty() && self.lister.is_none() && !self.is_being_read
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    first: Vec<Job>,
    groups: Vec<Group>,
    next_group: u64,
    pub(crate) pending: VecDeque<Pending>,
    feeder: Option<Feeder>,
    /// What is due only then.
    later: BTreeMap<Instant, Vec<LateFiles>>,
    /// For those who find nothing else.
    help: Vec<Job>,
}

impl Queue {
    pub(crate) fn push_first(&mut self, job: Job) {
        self.first.push(job);
    }

    /// Files that are not to be read before.
    pub(crate) fn push_at(&mut self, due: Instant, files: LateFiles) {
        self.later.entry(due).or_default().push(files);
    }

    /// Nothing is to be waited for any more.
    pub(crate) fn hurry(&mut self) {
        let later = std::mem::take(&mut self.later);
        let files = later.into_values().flatten();
        self.first.extend(files.map(Job::Late));
    }

    /// Moves what has become due to the front.
    pub(crate) fn look_at_time(&mut self) {
        while let Some(due) = self.later.first_entry()
            && *due.key() <= Instant::now()
        {
            self.first.extend(due.remove().into_iter().map(Job::Late));
        }
    }

    pub(crate) fn push_help(&mut self, job: Job) {
        self.help.push(job);
    }

    pub(crate) fn push_feeder(&mut self, feeder: Feeder) {
        self.feeder = Some(feeder);
    }

    pub(crate) fn take_feeder(&mut self) -> Option<Feeder> {
        self.feeder.take()
    }

    /// Whether files wait, whatever becomes of directories.
    pub(crate) fn has_files(&self) -> bool {
        self.groups.iter().any(|group| !group.batches.is_empty())
    }

    /// A thread begins to read a directory.
    pub(crate) fn open_group(&mut self, thread: ThreadNo) -> GroupId {
        self.next_group += 1;
        let id = GroupId(self.next_group);
        self.groups.push(Group {
            id,
            thread,
            helpers: 0,
            batches: VecDeque::new(),
            lister: None,
            is_being_read: true,
        });
        id
    }

    /// A chunk has been read; `lister` is there while the directory has more.
    pub(crate) fn push_files(
        &mut self,
        id: GroupId,
        batches: impl IntoIterator<Item = Files>,
        lister: Option<Lister>,
    ) {
        if let Some(at) = self.groups.iter().position(|group| group.id == id) {
            let group = &mut self.groups[at];
            group.batches.extend(batches);
            group.lister = lister;
            group.is_being_read = false;
            self.drop_if_done(at);
        }
    }

    /// Takes out what is being read of these directories, to be given back with [`Queue::push_files`].
    pub(crate) fn take_listers(
        &mut self,
        is_wanted: impl Fn(&Lister) -> bool,
    ) -> Vec<(GroupId, Lister)> {
        let mut taken = Vec::new();
        for group in &mut self.groups {
            if let Some(lister) = group.lister.take_if(|lister| is_wanted(lister)) {
                group.is_being_read = true;
                taken.push((group.id, lister));
            }
        }
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
            && self.groups.is_empty()
            && self.pending.is_empty()
            && self.feeder.is_none()
            && self.later.is_empty()
            && self.help.is_empty()
    }

    /// Files and other jobs that wait, with those to come: a directory that was not begun has about `of_one` of them, one that
    /// was not read to its end has `unknown`; while a thread reads on, nobody has anything of it.
    pub(crate) fn waiting(&self, of_one: f64, unknown: usize) -> usize {
        let paths = self.feeder.as_ref().map_or(0, Feeder::len);
        let in_directories = (self.pending.len() + paths) as f64 * of_one.max(1.0);
        let groups = self.groups.iter().map(|group| {
            let unread = group.lister.as_ref();
            let unread = unread.map_or(0, |lister| lister.supply.left(unknown));
            group.batches.iter().map(Files::len).sum::<usize>() + unread
        });
        let first = self.first.iter().map(|job| match job {
            Job::Files(_, files) => files.len(),
            _ => 1,
        });
        first.sum::<usize>() + self.help.len() + in_directories as usize + groups.sum::<usize>()
    }

    /// Whether [`Queue::pop`] would find something for some thread.
    pub(crate) fn has_work(&self) -> bool {
        !self.first.is_empty()
            || !self.pending.is_empty()
            || self.feeder.is_some()
            || !self.help.is_empty()
            || self
                .groups
                .iter()
                .any(|group| !group.batches.is_empty() || group.lister.is_some())
    }

    pub(crate) fn pop(&mut self, thread: ThreadNo) -> Option<Job> {
        let may_list = self.may_list();
        self.take_own(thread, may_list)
            .or_else(|| self.begin_next())
            .or_else(|| self.take_others(usize::MAX, may_list))
            .or_else(|| self.help.pop())
    }

    /// Begins no directory while there is something else to do, or while `may_begin` is false: what waits can be handed
    /// over, what is begun can't. It may find nothing though there is work.
    pub(crate) fn pop_keeping(&mut self, thread: ThreadNo, may_begin: bool) -> Option<Job> {
        let may_list = self.may_list();
        self.take_own(thread, may_list)
            .or_else(|| self.take_others(ENOUGH_THREADS, may_list))
            .or_else(|| may_begin.then(|| self.begin_next()).flatten())
            .or_else(|| self.take_others(usize::MAX, may_list))
            .or_else(|| self.help.pop())
    }

    /// Whether all that wait would be begun at once.
    pub(crate) fn has_few_directories(&self, threads: usize) -> bool {
        self.feeder.is_none() && self.pending.len() < 2 * threads
    }

    fn may_list(&self) -> bool {
        self.pending.len() < MAX_PENDING
    }

    /// What comes before all else, or of the directory that the thread has listed.
    fn take_own(&mut self, thread: ThreadNo, may_list: bool) -> Option<Job> {
        if let Some(job) = self.first.pop() {
            return Some(job);
        }
        let own = self.groups.iter().rposition(|group| {
            group.thread == thread
                && (!group.batches.is_empty() || (may_list && group.lister.is_some()))
        });
        own.and_then(|at| self.take(at, may_list))
    }

    fn begin_next(&mut self) -> Option<Job> {
        let waiting = self.pending.pop_back().map(Job::Begin);
        waiting.or_else(|| self.feeder.take().map(Job::Feed))
    }

    /// Helps with a directory that fewer threads than `enough` work at: the one with the fewest, and of these the one with
    /// most left.
    fn take_others(&mut self, enough: usize, may_list: bool) -> Option<Job> {
        let open = self.groups.iter().enumerate().filter(|(_, group)| {
            let can_be_read = may_list && group.lister.is_some();
            group.helpers < enough && (!group.batches.is_empty() || can_be_read)
        });
        let quietest = open.min_by_key(|(_, group)| (group.helpers, Reverse(group.batches.len())));
        let (at, _) = quietest?;
        self.take(at, may_list)
    }

    /// Takes a batch of this group, or reads on when few are left.
    fn take(&mut self, at: usize, may_list: bool) -> Option<Job> {
        let group = &mut self.groups[at];
        if may_list
            && let Some(lister) = group.lister.take_if(|lister| {
                let ahead = match lister.supply.holds_names_for_others() {
                    true => TAKE_AHEAD,
                    false => READ_AHEAD,
                };
                group.batches.len() < ahead
            })
        {
            group.is_being_read = true;
            return Some(Job::List(group.id, Box::new(lister)));
        }
        let files = group.batches.pop_front()?;
        group.helpers += 1;
        let id = group.id;
        self.drop_if_done(at);
        Some(Job::Files(Some(id), files))
    }

    /// A thread is done with files that it took from this group.
    pub(crate) fn leave(&mut self, id: GroupId) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.id == id) {
            group.helpers -= 1;
        }
    }

    fn drop_if_done(&mut self, at: usize) {
        if self.groups[at].is_done() {
            self.groups.swap_remove(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
