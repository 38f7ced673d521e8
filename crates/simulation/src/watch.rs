//! The real store, watched: it fails when told to, and what it lets through is noted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coordinator::store::{
    Again, Applied, BegunRun, GrantFrom, Granted, ItemRecord, Millis, NewRun, Phase, Release,
    ReleasedTo, RunRecord, SessionRecord, SqliteStore, Standing, Store, StoreError, TakeBack,
    TaskRecord, TaskResult, TaskTotals, WhenFinished,
};
use model::{
    Epoch, Failure, Item, ItemId, Outcome, RangeState, RunId, SessionId, SourceIdentity, TaskId,
    Work, WorkKind,
};

/// The server dies at a change of the store.
#[derive(Debug, Clone, Copy)]
pub struct Fuse {
    /// So many changes go well before.
    pub left: u32,
    /// The change is stored, and nobody hears of it.
    pub is_stored: bool,
}

/// What was seen, over all servers of a run.
#[derive(Debug, Default)]
pub struct Seen {
    pub fuse: Option<Fuse>,
    /// The disk has no room.
    pub is_full: bool,
    pub ignores_epochs: bool,
    /// The newest grant of each item.
    pub newest: BTreeMap<ItemId, Epoch>,
    pub done: BTreeMap<ItemId, Epoch>,
    pub ended: BTreeSet<TaskId>,
    /// Ranges that were handed over, by the item whose attempt did.
    ranges: BTreeMap<ItemId, Vec<ItemId>>,
    /// Ranges that are their owners' again, or end with these.
    pub withdrawn: BTreeSet<ItemId>,
    /// A range that is leased is said to be done.
    pub takes_leased_for_done: bool,
    pub violations: Vec<String>,
    /// Changes that were refused for want of room.
    pub refused: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct WatchedStore {
    pub store: SqliteStore,
    pub watch: Watch,
}

impl WatchedStore {
    /// Runs a change, unless the server dies before it; it may die after it too.
    fn change<T>(
        &self,
        action: &'static str,
        change: impl FnOnce(&SqliteStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let blown = {
            let mut seen = self.watch.seen();
            if seen.is_full {
                seen.refused += 1;
                let source = "no space left on device".into();
                return Err(StoreError::NoRoom { action, source });
            }
            match &mut seen.fuse {
                None => None,
                Some(fuse) if fuse.left == 0 => Some(*fuse),
                Some(fuse) => {
                    fuse.left -= 1;
                    None
                }
            }
        };
        match blown {
            None => change(&self.store),
            Some(fuse) => {
                if fuse.is_stored {
                    change(&self.store)?;
                }
                Err(died(action))
            }
        }
    }

    /// The epoch that the store is asked with for a result.
    fn presented(&self, item: ItemId, epoch: Epoch) -> Epoch {
        let seen = self.watch.seen();
        match seen.ignores_epochs {
            true => seen.newest.get(&item).copied().unwrap_or(epoch),
            false => epoch,
        }
    }

    fn note_done(&self, item: ItemId, epoch: Epoch) {
        let mut seen = self.watch.seen();
        let newest = seen.newest.get(&item).copied().unwrap_or(epoch);
        if epoch != newest {
            let told = format!("item {item} was done by epoch {epoch}, the newest is {newest}");
            seen.violations.push(told);
        }
        if let Some(other) = seen.done.insert(item, epoch)
            && other != epoch
        {
            let told = format!("item {item} was done by the epochs {other} and {epoch}");
            seen.violations.push(told);
        }
    }
}

impl Seen {
    /// An attempt is over: so are its ranges.
    fn withdraw_ranges_of(&mut self, item: ItemId) {
        for range in self.ranges.remove(&item).unwrap_or_default() {
            if !self.done.contains_key(&range) {
                self.withdrawn.insert(range);
            }
        }
    }
}

fn died(action: &'static str) -> StoreError {
    StoreError::Database {
        action,
        source: "the server died".into(),
    }
}

impl Store for WatchedStore {
    fn begin_run(
        &self,
        run: NewRun,
        when: WhenFinished,
        now: Millis,
    ) -> Result<BegunRun, StoreError> {
        self.store.begin_run(run, when, now)
    }

    fn latest_run(&self) -> Result<Option<RunRecord>, StoreError> {
        self.store.latest_run()
    }

    fn tasks(&self, run: RunId) -> Result<Vec<TaskRecord>, StoreError> {
        self.store.tasks(run)
    }

    fn items(&self, run: RunId, task: TaskId) -> Result<Vec<ItemRecord>, StoreError> {
        self.store.items(run, task)
    }

    fn item(&self, item: ItemId) -> Result<ItemRecord, StoreError> {
        self.store.item(item)
    }

    fn standing(&self, item: ItemId) -> Result<Standing, StoreError> {
        self.store.standing(item)
    }

    fn leased(&self, run: RunId) -> Result<Vec<Item>, StoreError> {
        self.store.leased(run)
    }

    fn add_session(&self, session: SessionRecord) -> Result<(), StoreError> {
        self.change("add a session", |store| store.add_session(session))
    }

    fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.store.sessions()
    }

    fn remove_session(&self, session: SessionId) -> Result<(), StoreError> {
        self.change("remove a session", |store| store.remove_session(session))
    }

    fn grant(
        &self,
        run: RunId,
        tasks: &[GrantFrom],
        session: SessionId,
        n: usize,
        now: Millis,
    ) -> Result<Vec<Granted>, StoreError> {
        self.change("grant items", |store| {
            let granted = store.grant(run, tasks, session, n, now)?;
            let mut seen = self.watch.seen();
            for granted in &granted {
                seen.newest.insert(granted.item.id, granted.item.epoch);
            }
            Ok(granted)
        })
    }

    fn complete_with(
        &self,
        item: ItemId,
        epoch: Epoch,
        outcome: Outcome,
        children: &[(ItemId, Work)],
        again: &Again,
        now: Millis,
    ) -> Result<Applied, StoreError> {
        let presented = self.presented(item, epoch);
        self.change("complete an item", |store| {
            let applied = store.complete_with(item, presented, outcome, children, again, now)?;
            self.note_done(item, epoch);
            self.watch.seen().withdraw_ranges_of(item);
            Ok(applied)
        })
    }

    fn split(
        &self,
        item: ItemId,
        epoch: Epoch,
        children: &[(ItemId, Work)],
        now: Millis,
    ) -> Result<Applied, StoreError> {
        self.change("split an item", |store| {
            let applied = store.split(item, epoch, children, now)?;
            let ranges = children.iter();
            let ranges = ranges.filter(|(_, work)| work.kind() == WorkKind::Range);
            let mut seen = self.watch.seen();
            let of_item = seen.ranges.entry(item).or_default();
            of_item.extend(ranges.map(|(range, _)| *range));
            Ok(applied)
        })
    }

    fn take_back(
        &self,
        item: ItemId,
        epoch: Epoch,
        ranges: &[ItemId],
        what: TakeBack,
    ) -> Result<Vec<RangeState>, StoreError> {
        self.change("take ranges back", |store| {
            let mut states = store.take_back(item, epoch, ranges, what)?;
            let mut seen = self.watch.seen();
            for (range, state) in ranges.iter().zip(&mut states) {
                match state {
                    RangeState::TakenBack => {
                        seen.withdrawn.insert(*range);
                    }
                    RangeState::Leased if seen.takes_leased_for_done => *state = RangeState::Done,
                    RangeState::Leased | RangeState::Done => {}
                }
            }
            Ok(states)
        })
    }

    fn release(
        &self,
        item: ItemId,
        epoch: Epoch,
        release: Release<'_>,
        now: Millis,
    ) -> Result<ReleasedTo, StoreError> {
        self.change("release an item", |store| {
            let to = store.release(item, epoch, release, now)?;
            let mut seen = self.watch.seen();
            seen.withdraw_ranges_of(item);
            if to == ReleasedTo::Withdrawn {
                seen.withdrawn.insert(item);
            }
            Ok(to)
        })
    }

    fn children(
        &self,
        item: ItemId,
        from: u64,
        n: usize,
    ) -> Result<Vec<(ItemId, Work)>, StoreError> {
        self.store.children(item, from, n)
    }

    fn set_source_identity(
        &self,
        run: RunId,
        task: TaskId,
        identity: &SourceIdentity,
    ) -> Result<SourceIdentity, StoreError> {
        self.change("set a source identity", |store| {
            store.set_source_identity(run, task, identity)
        })
    }

    fn totals(&self, run: RunId, task: TaskId) -> Result<TaskTotals, StoreError> {
        self.store.totals(run, task)
    }

    fn open_items(&self, run: RunId, task: TaskId) -> Result<u64, StoreError> {
        self.store.open_items(run, task)
    }

    fn next_due(&self, run: RunId, task: TaskId) -> Result<Option<Millis>, StoreError> {
        self.store.next_due(run, task)
    }

    fn failures(&self, run: RunId, task: TaskId, n: usize) -> Result<Vec<Failure>, StoreError> {
        self.store.failures(run, task, n)
    }

    fn begin_phase(
        &self,
        run: RunId,
        task: TaskId,
        phase: Phase,
        items: &[(ItemId, Work)],
        now: Millis,
    ) -> Result<Applied, StoreError> {
        self.change("begin a phase", |store| {
            store.begin_phase(run, task, phase, items, now)
        })
    }

    fn finish_task(
        &self,
        run: RunId,
        task: TaskId,
        result: TaskResult,
    ) -> Result<Applied, StoreError> {
        self.change("finish a task", |store| {
            let applied = store.finish_task(run, task, result)?;
            self.watch.seen().ended.insert(task);
            Ok(applied)
        })
    }

    fn set_row_written(&self, run: RunId, task: TaskId) -> Result<(), StoreError> {
        self.change("remember a written row", |store| {
            store.set_row_written(run, task)
        })
    }

    fn finish_run(&self, run: RunId, now: Millis) -> Result<(), StoreError> {
        self.change("finish a run", |store| store.finish_run(run, now))
    }
}
