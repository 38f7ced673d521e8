//! A store whose disk a test can fill: what would write finds no room, what only reads goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    Again, Applied, BegunRun, GrantFrom, Granted, ItemRecord, Millis, NewRun, Phase, Release,
    ReleasedTo, RunRecord, SessionRecord, Standing, Store, StoreError, TakeBack, TaskRecord,
    TaskResult, TaskTotals, WhenFinished,
};
use model::{
    Epoch, Failure, Item, ItemId, Outcome, RangeState, RunId, SessionId, SourceIdentity, TaskId,
    Work,
};

pub(crate) struct Full {
    pub(crate) store: Box<dyn Store>,
    pub(crate) is_full: Arc<AtomicBool>,
}

/// Verbs by whether they write.
macro_rules! verbs {
    ($($kind:ident $verb:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Store for Full {
            $(fn $verb(&self, $($name: $type),*) -> Result<$answer, StoreError> {
                verbs!(@$kind self);
                self.store.$verb($($name),*)
            })*
        }
    };
    (@reads $full:ident) => {};
    (@writes $full:ident) => {
        if $full.is_full.load(Ordering::SeqCst) {
            let source = "filled by a test".into();
            return Err(StoreError::NoRoom { action: "write", source });
        }
    };
}

verbs! {
    writes begin_run(run: NewRun, when: WhenFinished, now: Millis) -> BegunRun;
    reads latest_run() -> Option<RunRecord>;
    reads tasks(run: RunId) -> Vec<TaskRecord>;
    reads items(run: RunId, task: TaskId) -> Vec<ItemRecord>;
    reads item(item: ItemId) -> ItemRecord;
    reads standing(item: ItemId) -> Standing;
    reads leased(run: RunId) -> Vec<Item>;
    writes add_session(session: SessionRecord) -> ();
    reads sessions() -> Vec<SessionRecord>;
    writes remove_session(session: SessionId) -> ();
    writes grant(run: RunId, tasks: &[GrantFrom], session: SessionId, n: usize, now: Millis) -> Vec<Granted>;
    writes complete_with(item: ItemId, epoch: Epoch, outcome: Outcome, children: &[(ItemId, Work)], again: &Again, now: Millis) -> Applied;
    writes split(item: ItemId, epoch: Epoch, children: &[(ItemId, Work)], now: Millis) -> Applied;
    writes take_back(item: ItemId, epoch: Epoch, ranges: &[ItemId], what: TakeBack) -> Vec<RangeState>;
    writes release(item: ItemId, epoch: Epoch, release: Release<'_>, now: Millis) -> ReleasedTo;
    reads children(item: ItemId, from: u64, n: usize) -> Vec<(ItemId, Work)>;
    writes set_source_identity(run: RunId, task: TaskId, identity: &SourceIdentity) -> SourceIdentity;
    reads totals(run: RunId, task: TaskId) -> TaskTotals;
    reads open_items(run: RunId, task: TaskId) -> u64;
    reads failures(run: RunId, task: TaskId, n: usize) -> Vec<Failure>;
    reads next_due(run: RunId, task: TaskId) -> Option<Millis>;
    writes begin_phase(run: RunId, task: TaskId, phase: Phase, items: &[(ItemId, Work)], now: Millis) -> Applied;
    writes finish_task(run: RunId, task: TaskId, result: TaskResult) -> Applied;
    writes set_row_written(run: RunId, task: TaskId) -> ();
    writes finish_run(run: RunId, now: Millis) -> ();
}
