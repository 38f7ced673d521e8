//! A scheduler over a store on disk, and workers that call it.

use std::path::Path;

use model::config;
use model::{Counters, Location, Outcome, Purpose, RelPath, SourceIdentity, Task, Work};

use super::super::*;
use crate::data_dir::DataDir;
use crate::fleet::Progress;
use crate::store::{GrantFrom, Kinds, NewRun, NewTask, SqliteStore, Suspects, WhenFinished};

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A directory with a run's state, in which one scheduler after the other takes it up.
pub(super) struct Place {
    pub(super) directory: tempfile::TempDir,
    pub(super) works: Vec<Vec<Work>>,
    /// Another number is a run of another identity.
    pub(super) run: u64,
    pub(super) settings: Settings,
}

impl Place {
    /// With these first works of each task.
    pub(super) fn with_works(works: Vec<Vec<Work>>) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            works,
            run: 77,
            settings: Settings {
                engines: BTreeMap::new(),
                priorities: BTreeMap::new(),
                rclone: parsed().global.rclone_options(),
                server_side_listing: false,
                embedded: false,
                lease: LEASE,
                heartbeat: Duration::from_secs(5),
                ineligible_grace: GRACE,
                item_attempts: 2,
                full_target: Duration::from_secs(60),
                concurrency: 3,
                shard_entries: 50_000,
                item_target: Duration::from_secs(120),
                transfers: 4,
                hung_mount: Duration::from_secs(60),
                ranges: model::RangeSizes {
                    split_file_bytes: 4 << 30,
                    range_bytes: 1 << 30,
                },
                options: CopyOptions::default(),
                source_fs_types: vec!["any".into()],
                target_fs_types: vec!["any".into()],
                config_file: "test.yaml".into(),
            },
        }
    }

    pub(super) fn with_tasks(n: usize) -> Self {
        Self::with_works(vec![vec![walk(&[""])]; n])
    }

    /// Like a server that starts: the same run goes on.
    pub(super) fn open(&self) -> Scheduler {
        self.open_with(|store| Arc::new(store))
    }

    pub(super) fn open_with(&self, with: impl FnOnce(SqliteStore) -> Arc<dyn Store>) -> Scheduler {
        let at = self.directory.path();
        let store = with(SqliteStore::open(&at.join("state.sqlite")).unwrap());
        let tasks = (1..)
            .zip(&self.works)
            .map(|(number, works)| NewTask {
                task: task(number),
                items: Ok((0..)
                    .zip(works)
                    .map(|(k, work)| {
                        (
                            item(u64::from(number) * 100 + k + (self.run - 77) * 10_000),
                            work.clone(),
                        )
                    })
                    .collect()),
            })
            .collect();
        let new_run = NewRun {
            id: RunId::from_random(self.run),
            identity: self.run.to_string(),
            tasks,
        };
        let begun = store.begin_run(new_run, WhenFinished::Keep, now_ms());
        let results = results(at, &begun.as_ref().unwrap().run);
        let settings = self.settings.clone();
        Scheduler::new(
            store,
            &begun.unwrap().run,
            settings,
            HashMap::new(),
            Received::new(at.join("pieces"), at.join("logs"), 1),
            results,
        )
        .unwrap()
    }
}

pub(super) fn parsed() -> config::Config {
    let text = "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: t}";
    let parsed = config::parse(text.as_bytes(), Path::new("test.yaml"));
    parsed.unwrap().config
}

pub(super) fn results(at: &Path, run: &RunRecord) -> Results {
    let data_dir = DataDir::open(Path::new("test.yaml"), Some(&at.join("data"))).unwrap();
    let name = "test.yaml".to_owned();
    Results::open(at, &data_dir, run.started, &parsed(), name).unwrap()
}

pub(super) fn task(number: u32) -> Task {
    Task {
        id: TaskId(number),
        line: number,
        source: Location::Posix(format!("/from/{number}").into()),
        target: Location::Posix(format!("/to/{number}").into()),
        list: None,
        target_is_shared: false,
    }
}

pub(super) fn from_task(number: u32) -> GrantFrom {
    GrantFrom {
        task: TaskId(number),
        at_most: usize::MAX,
        kinds: Kinds::All,
        suspects: Suspects::LeftOut,
    }
}

pub(super) fn item(n: u64) -> ItemId {
    ItemId::from_random(n)
}

pub(super) fn walk(directories: &[&str]) -> Work {
    Work::Walk {
        directories: directories.iter().map(|d| path(d)).collect(),
        purpose: Purpose::Copy,
    }
}

pub(super) fn path(text: &str) -> RelPath {
    match text {
        "" => RelPath::ROOT,
        text => RelPath::new(text).unwrap(),
    }
}

pub(super) fn identity() -> SourceIdentity {
    SourceIdentity {
        inode: 2,
        birth_ns: None,
        fs_type: "ext4".into(),
    }
}

pub(super) fn copied(entries: u64, deferred: u64) -> Outcome {
    Outcome {
        counters: Counters {
            listed: entries + deferred,
            copied: entries,
            deferred,
            ..Counters::default()
        },
        ..Outcome::default()
    }
}

/// A worker as the scheduler sees it.
#[derive(Clone, Copy)]
pub(super) struct Worker {
    pub(super) session: SessionId,
}

pub(super) type Lease = (ItemId, Epoch);

/// With rclone.
pub(super) fn newcomer(n: u64) -> Newcomer {
    Newcomer {
        name: format!("w{n}"),
        address: String::new(),
        program_version: String::new(),
        request: n,
        rclone: Ok("1.75.2".to_owned()),
        only_walks: false,
    }
}

impl Worker {
    pub(super) fn register(scheduler: &Scheduler, n: u64) -> Self {
        let id = SessionId::from_random(n);
        let session = scheduler.register(newcomer(n), id).unwrap();
        Self { session }
    }

    /// All that it is granted now.
    pub(super) fn lease(self, scheduler: &Scheduler) -> Vec<(Lease, Work)> {
        scheduler
            .lease(self.session, crate::random(), 10)
            .unwrap()
            .grants
            .into_iter()
            .map(|(granted, _)| ((granted.item.id, granted.item.epoch), granted.item.work))
            .collect()
    }

    #[track_caller]
    pub(super) fn lease_one(self, scheduler: &Scheduler) -> (Lease, Work) {
        match <[_; 1]>::try_from(self.lease(scheduler)) {
            Ok([lease]) => lease,
            Err(other) => panic!("not one grant: {other:?}"),
        }
    }

    /// Sets the attributes of this directory, which is to be the only one, and does what ends its task.
    #[track_caller]
    pub(super) fn end(self, scheduler: &Scheduler, directory: &str) {
        let (attributes, work) = self.lease_one(scheduler);
        let expected = Work::Walk {
            directories: vec![path(directory)],
            purpose: Purpose::Attributes,
        };
        assert_eq!(work, expected);
        self.complete(scheduler, attributes, copied(0, 0));
        let (closing, _) = self.lease_one(scheduler);
        self.complete(scheduler, closing, copied(0, 0));
    }

    pub(super) fn complete(self, scheduler: &Scheduler, (item, epoch): Lease, outcome: Outcome) {
        scheduler
            .complete(self.session, item, epoch, outcome, &[], Vec::new())
            .unwrap();
    }

    pub(super) fn release(
        self,
        scheduler: &Scheduler,
        (item, epoch): Lease,
        reason: ReleaseReason,
    ) {
        scheduler
            .release(
                self.session,
                item,
                epoch,
                reason,
                "a reason",
                Duration::ZERO,
            )
            .unwrap();
    }

    pub(super) fn begin_first(self, scheduler: &Scheduler) -> Lease {
        let (lease, _) = self.lease_one(scheduler);
        scheduler
            .roots(lease.0, lease.1, &identity(), None)
            .unwrap();
        lease
    }

    pub(super) fn beat(self, scheduler: &Scheduler, held: &[Lease]) -> Vec<Lease> {
        let listed = held
            .iter()
            .map(|(item, epoch)| (*item, *epoch, Progress::default()))
            .collect();
        scheduler.heartbeat(self.session, listed, "").unwrap()
    }
}

pub(super) fn is_close(work: &Work) -> bool {
    matches!(
        work,
        Work::Walk {
            purpose: Purpose::Close,
            ..
        }
    )
}

pub(super) fn result(scheduler: &Scheduler, number: u32) -> TaskResult {
    let records = scheduler.store.tasks(scheduler.run).unwrap();
    let record = records.iter().find(|r| r.task.id == TaskId(number));
    record.unwrap().result.clone().expect("the task is over")
}

/// Ticks as the server does while this time passes.
pub(super) fn pass(scheduler: &Scheduler, from: Instant, time: Duration) {
    let mut at = from;
    while at < from + time {
        scheduler.tick(at).unwrap();
        at += Duration::from_secs(1);
    }
    scheduler.tick(from + time).unwrap();
}
