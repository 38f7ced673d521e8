//! The store of one server, in one file on a local disk; needs nothing installed.
//!
//! What changes goes through the [`Writer`]'s one thread, which makes many calls durable
//! with one commit. What only reads uses one of a few [`Readers`], which can't write; it sees each
//! commit that was answered, and the writer never waits for it.

mod attempts;
mod blob;
mod encode;
mod error;
mod failures;
mod items;
mod ranges;
mod readers;
mod rows;
mod runs;
mod schema;
mod tasks;
mod writer;

use std::path::Path;

use model::location::SourceIdentity;
use model::{Epoch, Failure, Item, ItemId, Outcome, RangeState, RunId, SessionId, TaskId, Work};
use rusqlite::Connection;

use attempts::{HandBack, is_sound};
use error::{CallError, database};
use items::NewItem;
use readers::Readers;
use writer::Writer;

use super::{
    Again, Applied, BegunRun, GrantFrom, Granted, ItemRecord, Millis, NewRun, Phase, Release,
    ReleasedTo, RunRecord, SessionRecord, Standing, Store, StoreError, TakeBack, TaskRecord,
    TaskResult, TaskTotals, Then, WhenFinished,
};

/// Dropping it waits until what was asked for is done.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the database in the file `path`, or creates it, readable for its owner alone.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        let path = std::path::absolute(path)
            .map_err(|error| database("find the working directory", error))?;
        let connection = schema::open_writer(&path)?;
        let readers = Readers::new(path)?;
        let writer =
            Writer::start(connection).map_err(|error| database("start the writer", error))?;
        Ok(SqliteStore { writer, readers })
    }

    /// Reads one state of the database, whatever is written meanwhile.
    fn read<T>(
        &self,
        action: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, CallError>,
    ) -> Result<T, StoreError> {
        let reader = self.readers.take()?;
        match reader.unchecked_transaction() {
            Ok(snapshot) => read(&snapshot).map_err(|error| error.during(action)),
            Err(error) => Err(database(action, error)),
        }
    }
}

impl Store for SqliteStore {
    fn begin_run(
        &self,
        run: NewRun,
        when: WhenFinished,
        now: Millis,
    ) -> Result<BegunRun, StoreError> {
        self.writer
            .call("begin a run", move |db| runs::begin(db, run, when, now))
    }

    fn latest_run(&self) -> Result<Option<RunRecord>, StoreError> {
        self.read("read the latest run", runs::latest)
    }

    fn tasks(&self, run: RunId) -> Result<Vec<TaskRecord>, StoreError> {
        self.read("read tasks", |db| tasks::tasks(db, run))
    }

    fn items(&self, run: RunId, task: TaskId) -> Result<Vec<ItemRecord>, StoreError> {
        self.read("read items", |db| items::items(db, run, task))
    }

    fn item(&self, item: ItemId) -> Result<ItemRecord, StoreError> {
        self.read("read an item", |db| items::item_record(db, item))
    }

    fn standing(&self, item: ItemId) -> Result<Standing, StoreError> {
        self.read("read where an item stands", |db| items::standing(db, item))
    }

    fn leased(&self, run: RunId) -> Result<Vec<Item>, StoreError> {
        self.read("read leased items", |db| items::leased(db, run))
    }

    fn add_session(&self, session: SessionRecord) -> Result<(), StoreError> {
        self.writer
            .call("add a session", move |db| runs::add_session(db, &session))
    }

    fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.read("read sessions", runs::sessions)
    }

    fn remove_session(&self, session: SessionId) -> Result<(), StoreError> {
        self.writer.call("remove a session", move |db| {
            runs::remove_session(db, session)
        })
    }

    fn grant(
        &self,
        run: RunId,
        tasks: &[GrantFrom],
        session: SessionId,
        n: usize,
        now: Millis,
    ) -> Result<Vec<Granted>, StoreError> {
        let tasks = tasks.to_vec();
        self.writer.call("grant items", move |db| {
            items::grant(db, run, &tasks, session, n, now)
        })
    }

    fn grant_then(
        &self,
        run: RunId,
        tasks: &[GrantFrom],
        session: SessionId,
        n: usize,
        now: Millis,
        then: Then<Vec<Granted>>,
    ) {
        let tasks = tasks.to_vec();
        let work = move |db: &Connection| items::grant(db, run, &tasks, session, n, now);
        self.writer.post("grant items", work, then);
    }

    fn complete_then(
        &self,
        item: ItemId,
        epoch: Epoch,
        outcome: Outcome,
        children: &[(ItemId, Work)],
        now: Millis,
        then: Then<Applied>,
    ) {
        if !is_sound(&outcome) {
            return then(Err(StoreError::Unbalanced(item)));
        }
        let children = NewItem::encode(children);
        let work =
            move |db: &Connection| attempts::complete(db, item, epoch, &outcome, &children, now);
        self.writer.post("complete an item", work, then);
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
        if !is_sound(&outcome) {
            return Err(StoreError::Unbalanced(item));
        }
        let mut children = NewItem::encode(children);
        children.extend(NewItem::encode_again(again));
        self.writer.call("complete an item", move |db| {
            attempts::complete(db, item, epoch, &outcome, &children, now)
        })
    }

    fn split(
        &self,
        item: ItemId,
        epoch: Epoch,
        children: &[(ItemId, Work)],
        _now: Millis,
    ) -> Result<Applied, StoreError> {
        let children = NewItem::encode(children);
        self.writer.call("split an item", move |db| {
            attempts::split(db, item, epoch, &children)
        })
    }

    fn take_back(
        &self,
        item: ItemId,
        epoch: Epoch,
        ranges: &[ItemId],
        what: TakeBack,
    ) -> Result<Vec<RangeState>, StoreError> {
        let ranges = ranges.to_vec();
        self.writer.call("take ranges back", move |db| {
            ranges::take_back(db, item, epoch, &ranges, what)
        })
    }

    fn release(
        &self,
        item: ItemId,
        epoch: Epoch,
        release: Release<'_>,
        now: Millis,
    ) -> Result<ReleasedTo, StoreError> {
        let release = HandBack {
            cost: release.cost,
            max_attempts: release.max_attempts,
            least_deaths: release.least_deaths,
            reason: release.reason.to_owned(),
            not_before: release.not_before,
        };
        self.writer.call("release an item", move |db| {
            attempts::release(db, item, epoch, &release, now)
        })
    }

    fn children(
        &self,
        item: ItemId,
        from: u64,
        n: usize,
    ) -> Result<Vec<(ItemId, Work)>, StoreError> {
        self.read("read children", |db| items::children(db, item, from, n))
    }

    fn set_source_identity(
        &self,
        run: RunId,
        task: TaskId,
        identity: &SourceIdentity,
    ) -> Result<SourceIdentity, StoreError> {
        let identity = identity.clone();
        self.writer.call("set a source identity", move |db| {
            tasks::set_source_identity(db, run, task, &identity)
        })
    }

    fn totals(&self, run: RunId, task: TaskId) -> Result<TaskTotals, StoreError> {
        self.read("read totals", |db| tasks::totals(db, run, task))
    }

    fn open_items(&self, run: RunId, task: TaskId) -> Result<u64, StoreError> {
        self.read("count open items", |db| tasks::open_items(db, run, task))
    }

    fn failures(&self, run: RunId, task: TaskId, n: usize) -> Result<Vec<Failure>, StoreError> {
        self.read("read failures", |db| failures::failures(db, run, task, n))
    }

    fn next_due(&self, run: RunId, task: TaskId) -> Result<Option<Millis>, StoreError> {
        self.read("look for delayed items", |db| {
            items::next_due(db, run, task)
        })
    }

    fn begin_phase(
        &self,
        run: RunId,
        task: TaskId,
        phase: Phase,
        items: &[(ItemId, Work)],
        _now: Millis,
    ) -> Result<Applied, StoreError> {
        let items = NewItem::encode(items);
        self.writer.call("begin a phase", move |db| {
            tasks::begin_phase(db, run, task, phase, &items)
        })
    }

    fn finish_task(
        &self,
        run: RunId,
        task: TaskId,
        result: TaskResult,
    ) -> Result<Applied, StoreError> {
        self.writer.call("finish a task", move |db| {
            tasks::finish(db, run, task, &result)
        })
    }

    fn set_row_written(&self, run: RunId, task: TaskId) -> Result<(), StoreError> {
        self.writer.call("remember a written row", move |db| {
            tasks::set_row_written(db, run, task)
        })
    }

    fn finish_run(&self, run: RunId, now: Millis) -> Result<(), StoreError> {
        self.writer
            .call("finish a run", move |db| runs::finish(db, run, now))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use model::RunId;

    use super::{SqliteStore, runs as verbs};
    use crate::store::contract::{Fixture, contract_suite};
    use crate::store::{NewRun, Store, WhenFinished};

    pub(crate) struct InDirectory(tempfile::TempDir);

    impl Fixture for InDirectory {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("create a directory"))
        }

        fn open(&self) -> Box<dyn Store> {
            let path = self.0.path().join("state.db");
            Box::new(SqliteStore::open(&path).expect("open the store"))
        }
    }

    contract_suite!(crate::store::sqlite::tests::InDirectory);

    #[test]
    fn a_long_read_holds_nobody_up() {
        let fixture = InDirectory::new();
        let store = SqliteStore::open(&fixture.0.path().join("state.db")).expect("open");
        let run = NewRun {
            id: RunId::from_random(1),
            identity: "identity".into(),
            tasks: Vec::new(),
        };
        let during = store.read("read long", |snapshot| {
            assert_eq!(verbs::latest(snapshot)?, None);
            let begun = store.begin_run(run, WhenFinished::Keep, 0)?.run;
            assert_eq!(store.latest_run()?, Some(begun));
            verbs::latest(snapshot)
        });
        assert_eq!(during.expect("read"), None, "it is no snapshot");
    }

    #[test]
    fn a_reader_that_panics_harms_no_other() {
        let fixture = InDirectory::new();
        let store = SqliteStore::open(&fixture.0.path().join("state.db")).expect("open");
        thread::scope(|scope| {
            let panics = || store.read("try", |_| -> Result<(), _> { panic!("a bug") });
            scope.spawn(panics).join().expect_err("it panicked");
        });
        assert_eq!(store.latest_run().expect("read"), None);
    }
}
