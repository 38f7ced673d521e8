//! The scheduler without gRPC: lives of tasks, with everything that can come between.

mod full_targets;
mod no_room;

use std::path::Path;

use model::config;
use model::{
    Counters, FilesWork, ItemState, ListPlace, Location, NoRoom, Outcome, Purpose, RelPath,
    SourceIdentity, Task, Work,
};

use super::*;
use crate::data_dir::DataDir;
use crate::fleet::Progress;
use crate::store::{GrantFrom, Kinds, NewRun, NewTask, SqliteStore, WhenFinished};

mod mounts;

const LEASE: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);

/// A directory with a run's state, in which one scheduler after the other takes it up.
struct Place {
    directory: tempfile::TempDir,
    works: Vec<Vec<Work>>,
    /// Another number is a run of another identity.
    run: u64,
    settings: Settings,
}

impl Place {
    /// With these first works of each task.
    fn with_works(works: Vec<Vec<Work>>) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            works,
            run: 77,
            settings: Settings {
                engines: BTreeMap::new(),
                rclone: parsed().global.rclone_options(),
                server_side_listing: false,
                embedded: false,
                lease: LEASE,
                heartbeat: Duration::from_secs(5),
                ineligible_grace: GRACE,
                item_attempts: 2,
                full_target: Duration::from_secs(60),
                concurrency: 3,
                transfers: 4,
                hung_mount: Duration::from_secs(60),
                options: CopyOptions::default(),
                source_fs_types: vec!["any".into()],
                target_fs_types: vec!["any".into()],
                config_file: "test.yaml".into(),
            },
        }
    }

    fn with_tasks(n: usize) -> Self {
        Self::with_works(vec![vec![walk(&[""])]; n])
    }

    /// Like a server that starts: the same run goes on.
    fn open(&self) -> Scheduler {
        self.open_with(|store| Arc::new(store))
    }

    fn open_with(&self, with: impl FnOnce(SqliteStore) -> Arc<dyn Store>) -> Scheduler {
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

fn parsed() -> config::Config {
    let text = "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: t}";
    let parsed = config::parse(text.as_bytes(), Path::new("test.yaml"));
    parsed.unwrap().config
}

fn results(at: &Path, run: &RunRecord) -> Results {
    let data_dir = DataDir::open(Path::new("test.yaml"), Some(&at.join("data"))).unwrap();
    let name = "test.yaml".to_owned();
    Results::open(at, &data_dir, run.started, &parsed(), name).unwrap()
}

fn task(number: u32) -> Task {
    Task {
        id: TaskId(number),
        line: number,
        source: Location::Posix(format!("/from/{number}").into()),
        target: Location::Posix(format!("/to/{number}").into()),
        list: None,
        target_is_shared: false,
    }
}

fn item(n: u64) -> ItemId {
    ItemId::from_random(n)
}

fn walk(directories: &[&str]) -> Work {
    Work::Walk {
        directories: directories.iter().map(|d| path(d)).collect(),
        purpose: Purpose::Copy,
    }
}

fn path(text: &str) -> RelPath {
    match text {
        "" => RelPath::ROOT,
        text => RelPath::new(text).unwrap(),
    }
}

fn identity() -> SourceIdentity {
    SourceIdentity {
        inode: 2,
        birth_ns: None,
        fs_type: "ext4".into(),
    }
}

fn copied(entries: u64, deferred: u64) -> Outcome {
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
struct Worker {
    session: SessionId,
}

type Lease = (ItemId, Epoch);

/// With rclone.
fn newcomer(n: u64) -> Newcomer {
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
    fn register(scheduler: &Scheduler, n: u64) -> Self {
        let id = SessionId::from_random(n);
        let session = scheduler.register(newcomer(n), id).unwrap();
        Self { session }
    }

    /// All that it is granted now.
    fn lease(self, scheduler: &Scheduler) -> Vec<(Lease, Work)> {
        scheduler
            .lease(self.session, crate::random(), 10)
            .unwrap()
            .grants
            .into_iter()
            .map(|(granted, _)| ((granted.item.id, granted.item.epoch), granted.item.work))
            .collect()
    }

    #[track_caller]
    fn lease_one(self, scheduler: &Scheduler) -> (Lease, Work) {
        match <[_; 1]>::try_from(self.lease(scheduler)) {
            Ok([lease]) => lease,
            Err(other) => panic!("not one grant: {other:?}"),
        }
    }

    fn complete(self, scheduler: &Scheduler, (item, epoch): Lease, outcome: Outcome) {
        scheduler
            .complete(self.session, item, epoch, outcome, &[])
            .unwrap();
    }

    fn release(self, scheduler: &Scheduler, (item, epoch): Lease, reason: ReleaseReason) {
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

    fn begin_first(self, scheduler: &Scheduler) -> Lease {
        let (lease, _) = self.lease_one(scheduler);
        scheduler
            .roots(lease.0, lease.1, &identity(), None)
            .unwrap();
        lease
    }

    fn beat(self, scheduler: &Scheduler, held: &[Lease]) -> Vec<Lease> {
        let listed = held
            .iter()
            .map(|(item, epoch)| (*item, *epoch, Progress::default()))
            .collect();
        scheduler.heartbeat(self.session, listed, "").unwrap()
    }
}

fn is_close(work: &Work) -> bool {
    matches!(
        work,
        Work::Walk {
            purpose: Purpose::Close,
            ..
        }
    )
}

fn result(scheduler: &Scheduler, number: u32) -> TaskResult {
    let records = scheduler.store.tasks(scheduler.run).unwrap();
    let record = records.iter().find(|r| r.task.id == TaskId(number));
    record.unwrap().result.clone().expect("the task is over")
}

/// Ticks as the server does while this time passes.
fn pass(scheduler: &Scheduler, from: Instant, time: Duration) {
    let mut at = from;
    while at < from + time {
        scheduler.tick(at).unwrap();
        at += Duration::from_secs(1);
    }
    scheduler.tick(from + time).unwrap();
}

#[test]
fn a_task_is_copied_closed_and_over() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    worker.complete(&scheduler, first, copied(5, 0));
    assert!(!scheduler.is_over());
    let (closing, work) = worker.lease_one(&scheduler);
    assert!(is_close(&work));
    worker.complete(&scheduler, closing, copied(0, 0));
    assert!(scheduler.is_over());
    assert!(result(&scheduler, 1).success);
    let rows = place.directory.path().join("data_migrate_results.csv");
    let rows = std::fs::read_to_string(rows).unwrap();
    assert!(rows.contains("Migrated task 1 successfully"), "{rows}");
}

#[test]
fn a_server_started_again_goes_on_from_every_step() {
    // How many steps there are, the loop finds out.
    for restart_before in 0.. {
        let place = Place::with_tasks(1);
        let mut scheduler = place.open();
        let mut step = 0;
        let mut restart = |scheduler: &mut Scheduler| {
            if step == restart_before {
                *scheduler = place.open();
                scheduler.take_up_results().unwrap();
            }
            step += 1;
        };
        let worker = Worker::register(&scheduler, 1);
        restart(&mut scheduler);
        let (first, _) = worker.lease_one(&scheduler);
        restart(&mut scheduler);
        scheduler
            .roots(first.0, first.1, &identity(), None)
            .unwrap();
        restart(&mut scheduler);
        let child = item(1001);
        let children = [(child, walk(&["a/b"]))];
        scheduler.split(first.0, first.1, &children).unwrap();
        restart(&mut scheduler);
        assert_eq!(worker.beat(&scheduler, &[first]), []);
        worker.complete(&scheduler, first, copied(5, 1));
        restart(&mut scheduler);
        // Its answer was lost.
        worker.complete(&scheduler, first, copied(5, 1));
        for expected in [1, 0, 0] {
            let (lease, _) = worker.lease_one(&scheduler);
            restart(&mut scheduler);
            assert_eq!(worker.beat(&scheduler, &[lease]), []);
            worker.complete(&scheduler, lease, copied(expected, 0));
            restart(&mut scheduler);
        }
        assert!(scheduler.is_over(), "restart before step {restart_before}");
        let result = result(&scheduler, 1);
        assert!(result.success, "{}", result.message);
        let snapshot = scheduler.snapshot().unwrap();
        assert_eq!(snapshot.counters().listed, 6);
        let items = scheduler.store.items(scheduler.run, TaskId(1)).unwrap();
        assert!(
            items
                .iter()
                .all(|r| r.item.state == ItemState::Done && r.item.epoch == Epoch(1))
        );
        if restart_before > step {
            break;
        }
    }
}

#[test]
fn directories_that_several_items_wrote_into_get_their_attributes_last() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    let children = [
        (item(1001), walk(&["a/b", "a/c"])),
        (item(1002), walk(&["d"])),
    ];
    scheduler.split(first.0, first.1, &children).unwrap();
    worker.complete(&scheduler, first, copied(4, 3));
    let granted = worker.lease(&scheduler);
    assert_eq!(granted.len(), 2);
    for (lease, work) in granted {
        let Work::Walk { directories, .. } = work else {
            panic!("{work:?}");
        };
        worker.complete(&scheduler, lease, copied(directories.len() as u64, 0));
    }
    let (attributes, work) = worker.lease_one(&scheduler);
    let expected = Work::Walk {
        directories: vec![path("a")],
        purpose: Purpose::Attributes,
    };
    assert_eq!(work, expected);
    worker.complete(&scheduler, attributes, copied(0, 0));
    let (closing, _) = worker.lease_one(&scheduler);
    worker.complete(&scheduler, closing, copied(0, 0));
    let result = result(&scheduler, 1);
    assert!(result.success, "{}", result.message);
    assert_eq!(scheduler.snapshot().unwrap().counters().listed, 7);
}

#[test]
fn what_a_dead_attempt_handed_over_is_left_out_by_the_next_and_may_vanish() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let lost = Worker::register(&scheduler, 1);
    let first = lost.begin_first(&scheduler);
    let children = [(item(1001), walk(&["a"])), (item(1002), walk(&["b"]))];
    scheduler.split(first.0, first.1, &children).unwrap();
    pass(&scheduler, Instant::now(), LEASE + Duration::from_secs(1));
    let worker = Worker::register(&scheduler, 2);
    let answer = scheduler.lease(worker.session, 5, 1).unwrap();
    let (again, _) = &answer.grants[0];
    assert_eq!((again.item.id, again.item.epoch), (first.0, Epoch(2)));
    assert!(again.has_children);
    assert_eq!(scheduler.children(first.0, 0, 10).unwrap(), children);
    // The late worker is told, and changes nothing.
    let late = scheduler.complete(lost.session, first.0, first.1, copied(9, 2), &[]);
    assert!(late.unwrap_err().is_stale());
    let late = scheduler.split(first.0, first.1, &[(item(1003), walk(&["c"]))]);
    assert!(late.unwrap_err().is_stale());
    assert!(matches!(
        scheduler.heartbeat(lost.session, vec![], ""),
        Err(Refused::UnknownSession)
    ));
    // `b` has gone from the source meanwhile.
    worker.complete(&scheduler, (first.0, Epoch(2)), copied(3, 1));
    for (lease, _) in worker.lease(&scheduler) {
        worker.complete(&scheduler, lease, copied(1, 0));
    }
    // The lost worker may still write: the last item waits for its word.
    scheduler.tick(Instant::now()).unwrap();
    assert_eq!(worker.lease(&scheduler), []);
    scheduler.leave(lost.session).unwrap();
    scheduler.tick(Instant::now()).unwrap();
    let (closing, work) = worker.lease_one(&scheduler);
    assert!(is_close(&work));
    worker.complete(&scheduler, closing, copied(0, 0));
    let result = result(&scheduler, 1);
    assert!(result.success, "{}", result.message);
}

#[test]
fn calls_that_are_repeated_are_answered_as_before() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let id = SessionId::from_random(99);
    let again = scheduler.register(newcomer(1), id);
    assert_eq!(again.unwrap(), worker.session);
    let ask = || scheduler.lease(worker.session, 5, 1).unwrap().grants;
    let first = ask();
    assert_eq!(first[0].0, ask()[0].0);
    let lease = (first[0].0.item.id, first[0].0.item.epoch);
    worker.release(&scheduler, lease, ReleaseReason::Drain);
    worker.release(&scheduler, lease, ReleaseReason::Drain);
    let (lease, _) = worker.lease_one(&scheduler);
    assert_eq!(lease.1, Epoch(2));
    scheduler.leave(worker.session).unwrap();
    scheduler.leave(worker.session).unwrap();
}

#[test]
fn a_repeated_lease_call_does_not_bring_back_what_was_taken_away() {
    let mut place = Place::with_tasks(1);
    // It is over at once.
    place.settings.lease = Duration::ZERO;
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let ask = || scheduler.lease(worker.session, 5, 1).unwrap().grants;
    let first = ask();
    // The answer never arrived, so no heartbeat lists it.
    worker.beat(&scheduler, &[]);
    let again = ask();
    assert_eq!(again[0].0.item.id, first[0].0.item.id);
    assert_eq!(again[0].0.item.epoch, Epoch(2));
}

#[test]
fn nothing_stays_leased_to_a_worker_that_left_meanwhile() {
    let place = Place::with_works(vec![vec![walk(&["a"]), walk(&["b"]), walk(&["c"])]]);
    let scheduler = place.open();
    let first = Worker::register(&scheduler, 1);
    let lease = first.begin_first(&scheduler);
    first.release(&scheduler, lease, ReleaseReason::Drain);
    for n in 2..40 {
        let worker = Worker::register(&scheduler, n);
        std::thread::scope(|scope| {
            scope.spawn(|| match scheduler.lease(worker.session, n, 3) {
                Ok(_) | Err(Refused::UnknownSession) => {}
                Err(other) => panic!("{other}"),
            });
            scope.spawn(|| scheduler.leave(worker.session).unwrap());
        });
        assert_eq!(scheduler.store.leased(scheduler.run).unwrap(), [], "{n}");
    }
}

#[test]
fn two_workers_are_never_both_the_first_at_a_task() {
    let place = Place::with_works(vec![vec![walk(&["a"]), walk(&["b"])]]);
    let scheduler = place.open();
    let (one, two) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let (first, _) = one.lease_one(&scheduler);
    assert_eq!(two.lease(&scheduler), []);
    scheduler
        .roots(first.0, first.1, &identity(), None)
        .unwrap();
    assert_eq!(two.lease(&scheduler).len(), 1);
}

#[test]
fn a_worker_that_can_not_run_a_task_leaves_it_to_others() {
    let place = Place::with_tasks(2);
    let scheduler = place.open();
    let (one, two) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let granted = one.lease(&scheduler);
    one.release(&scheduler, granted[0].0, ReleaseReason::Machine);
    assert_eq!(one.lease(&scheduler), []);
    let (lease, _) = two.lease_one(&scheduler);
    assert_eq!(lease, (granted[0].0.0, Epoch(2)));
    assert_eq!(scheduler.snapshot().unwrap().tasks[0].ledger.retries, 0);
}

#[test]
fn a_task_that_all_refuse_fails_after_the_grace_and_the_others_go_on() {
    let place = Place::with_tasks(2);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let granted = worker.lease(&scheduler);
    worker.release(&scheduler, granted[0].0, ReleaseReason::Machine);
    let now = Instant::now();
    scheduler.tick(now).unwrap();
    assert_eq!(scheduler.unfinished(), [TaskId(1), TaskId(2)]);
    scheduler.tick(now + GRACE).unwrap();
    assert_eq!(scheduler.unfinished(), [TaskId(2)]);
    assert_eq!(result(&scheduler, 1).message, "a reason");
}

#[test]
fn the_one_worker_that_can_run_a_task_has_time_to_come_back() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let (unable, able) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let (lease, _) = unable.lease_one(&scheduler);
    unable.release(&scheduler, lease, ReleaseReason::Machine);
    able.begin_first(&scheduler);
    let later = Instant::now() + GRACE;
    scheduler.tick(later).unwrap();
    scheduler.leave(able.session).unwrap();
    scheduler.tick(later + GRACE / 2).unwrap();
    assert_eq!(scheduler.unfinished(), [TaskId(1)]);
    scheduler.tick(later + GRACE).unwrap();
    assert!(result(&scheduler, 1).message.starts_with("incomplete: "));
}

#[test]
fn an_item_that_fails_at_every_attempt_makes_its_task_incomplete() {
    let mut place = Place::with_tasks(1);
    place.settings.item_attempts = 1;
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    scheduler
        .split(first.0, first.1, &[(item(1001), walk(&["a"]))])
        .unwrap();
    worker.release(&scheduler, first, ReleaseReason::Failed);
    // What it handed over is still done, and the marker removed.
    for entries in [1, 0] {
        let (lease, _) = worker.lease_one(&scheduler);
        worker.complete(&scheduler, lease, copied(entries, 0));
    }
    assert!(scheduler.is_over());
    let message = result(&scheduler, 1).message;
    assert!(
        message.contains("1 item failed at every attempt: a reason"),
        "{message}"
    );
    assert!(!message.contains("add up"), "{message}");
}

#[test]
fn a_failed_attempt_is_tried_again_later_and_costs_one() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    worker.release(&scheduler, first, ReleaseReason::Failed);
    assert_eq!(worker.lease(&scheduler), []);
    let task = &scheduler.snapshot().unwrap().tasks[0];
    assert_eq!((task.open_items, task.ledger.retries), (1, 1));
}

#[test]
fn a_full_target_holds_its_task_up_and_fails_nothing() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let first = worker.begin_first(&scheduler);
    let full = Full {
        no_room: NoRoom::Space,
        volume: None,
    };
    worker.release(&scheduler, first, ReleaseReason::TargetFull(full));
    assert_eq!(worker.lease(&scheduler), []);
    pass(&scheduler, Instant::now(), GRACE * 2);
    let task = &scheduler.snapshot().unwrap().tasks[0];
    assert_eq!((task.open_items, task.ledger.retries), (1, 0));
    assert_eq!(task.trouble.as_deref(), Some("a reason"));
}

#[test]
fn a_worker_says_when_its_item_may_be_granted_again_and_not_for_ever() {
    for (asked, secs) in [(0, 0), (90, 90), (u64::from(u32::MAX), 3600)] {
        let place = Place::with_tasks(1);
        let scheduler = place.open();
        let worker = Worker::register(&scheduler, 1);
        let (item, epoch) = worker.begin_first(&scheduler);
        let (drain, asked) = (ReleaseReason::Drain, Duration::from_secs(asked));
        let before = now_ms();
        let released = scheduler.release(worker.session, item, epoch, drain, "later", asked);
        released.unwrap();
        let from = [GrantFrom {
            task: TaskId(1),
            at_most: 1,
            kinds: Kinds::All,
        }];
        let after = now_ms();
        let is_granted = |at: Millis| {
            let granted = scheduler
                .store
                .grant(scheduler.run, &from, worker.session, 1, at);
            !granted.unwrap().is_empty()
        };
        assert!(
            secs == 0 || !is_granted(before + secs * 1000 - 1),
            "{asked:?}"
        );
        assert!(is_granted(after + secs * 1000), "{asked:?}");
    }
}

#[test]
fn workers_at_a_task_that_ended_are_told_until_they_obey() {
    let place = Place::with_works(vec![vec![walk(&["a"]), walk(&["b"])], vec![walk(&[""])]]);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let granted = worker.lease(&scheduler);
    for ((item, epoch), _) in &granted {
        scheduler.roots(*item, *epoch, &identity(), None).unwrap();
    }
    let (other, _) = worker.lease_one(&scheduler);
    worker.release(&scheduler, granted[0].0, ReleaseReason::Task);
    let cancel = [Command::Cancel(other.0, other.1)];
    assert_eq!(scheduler.commands(worker.session).unwrap(), cancel);
    assert_eq!(scheduler.commands(worker.session).unwrap(), []);
    if let Some(session) = scheduler.state().fleet.session(worker.session) {
        let held = session.held.get_mut(&other.0).unwrap();
        held.told_to_cancel = held.told_to_cancel.map(|told| told - LEASE);
    }
    assert_eq!(scheduler.commands(worker.session).unwrap(), cancel);
    let late = scheduler.complete(worker.session, other.0, other.1, copied(1, 0), &[]);
    assert!(late.unwrap_err().is_stale());
    assert_eq!(scheduler.commands(worker.session).unwrap(), []);
    assert_eq!(scheduler.unfinished(), [TaskId(2)]);
}

#[test]
fn a_task_of_an_empty_list_is_over_at_the_start() {
    let place = Place::with_works(vec![vec![]]);
    let scheduler = place.open();
    scheduler.take_up_results().unwrap();
    assert!(scheduler.is_over());
    assert!(result(&scheduler, 1).success);
}

#[test]
fn who_idles_gets_work_of_those_who_are_busy_but_none_that_it_refused() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let (busy, idle) = (
        Worker::register(&scheduler, 1),
        Worker::register(&scheduler, 2),
    );
    let first = busy.begin_first(&scheduler);
    scheduler.set_idle_slots(idle.session, 2);
    assert_eq!(idle.lease(&scheduler), []);
    let later = Instant::now() + LEAST_TO_SHARE;
    let refuse = |task| {
        let now = Instant::now();
        scheduler
            .state()
            .fleet
            .refuse(idle.session, task, String::new(), now);
    };
    refuse(TaskId(1));
    scheduler.tick(later).unwrap();
    assert_eq!(scheduler.commands(busy.session).unwrap(), []);
    if let Some(session) = scheduler.state().fleet.session(idle.session) {
        session.refusals.clear();
    }
    scheduler.tick(later).unwrap();
    let share = [Command::Share(first.0, first.1)];
    assert_eq!(scheduler.commands(busy.session).unwrap(), share);
}

#[test]
fn a_store_that_forgot_a_session_is_no_broken_store() {
    let place = Place::with_tasks(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    scheduler.store.remove_session(worker.session).unwrap();
    let refused = scheduler.lease(worker.session, 1, 1);
    assert!(matches!(refused, Err(Refused::UnknownSession)));
}

#[test]
fn pages_of_a_list_end_between_paths_whatever_is_asked_for() {
    let list = Work::Paths {
        offset: 2,
        length: 12,
    };
    let place = Place::with_works(vec![vec![list]]);
    let mut scheduler = place.open();
    let file = place.directory.path().join("list");
    std::fs::write(&file, b"x\0aaaaaaa\0b\0c\0z\0").unwrap();
    let stored = StoredList {
        file,
        hash: String::new(),
        paths: 5,
        patterns: 0,
        refused: Vec::new(),
    };
    scheduler.lists.insert(TaskId(1), stored);
    let page = |from, bytes| scheduler.listed(item(100), from, bytes).unwrap();
    assert_eq!(page(0, 3), (b"aaaaaaa\0".to_vec(), true));
    assert_eq!(page(8, 3), (b"b\0".to_vec(), true));
    assert_eq!(page(8, 100), (b"b\0c\0".to_vec(), false));
    assert_eq!(page(u64::MAX, 100), (Vec::new(), false));
}

#[test]
fn a_shorter_lease_after_a_restart_does_not_shorten_those_that_workers_count_on() {
    let mut place = Place::with_tasks(1);
    let worker = {
        let scheduler = place.open();
        let worker = Worker::register(&scheduler, 1);
        worker.begin_first(&scheduler);
        worker
    };
    place.settings.lease = Duration::from_secs(2);
    let scheduler = place.open();
    let other = Worker::register(&scheduler, 2);
    let now = Instant::now();
    pass(&scheduler, now, LEASE - Duration::from_secs(1));
    assert!(scheduler.state().fleet.session(worker.session).is_some());
    pass(&scheduler, now + LEASE, Duration::from_secs(2));
    assert!(scheduler.state().fleet.session(worker.session).is_none());
    assert!(scheduler.state().fleet.session(other.session).is_none());
}

#[test]
fn a_new_run_begins_when_the_attempts_of_the_cancelled_one_have_ended() {
    let mut place = Place::with_tasks(1);
    let (worker, old) = {
        let scheduler = place.open();
        let worker = Worker::register(&scheduler, 1);
        let lease = worker.begin_first(&scheduler);
        (worker, lease)
    };
    let cancelled = RunId::from_random(77);
    place.run = 78;
    place.works = vec![vec![walk(&["other"])]];
    let scheduler = place.open();
    scheduler.wait_for_attempts_of(cancelled).unwrap();
    let other = Worker::register(&scheduler, 2);
    assert!(other.lease(&scheduler).is_empty());
    // It hears that its attempt is over, and lists it no more.
    assert_eq!(worker.beat(&scheduler, &[old]), [old]);
    assert!(other.lease(&scheduler).is_empty());
    worker.beat(&scheduler, &[]);
    other.lease_one(&scheduler);
}

#[test]
fn a_task_is_told_of_once_and_again_only_if_its_row_was_not_written() {
    let told_at = |scheduler: Scheduler| {
        let (notices, fake) = crate::notices::fake::taken_at("http://a/x");
        (scheduler.with_notices(notices.clone()), notices, fake)
    };
    let settled = |notices, fake: Arc<crate::notices::fake::Fake>| {
        crate::notices::fake::settle(notices, Duration::from_secs(60));
        fake.posts("http://a")
    };
    let place = Place::with_tasks(3);
    let (scheduler, notices, fake) = told_at(place.open());
    let failed = || failed("a reason".to_owned());
    scheduler.fail_task(TaskId(1), "a reason".into()).unwrap();
    // The server dies between the end of the task and its row.
    let (store, run) = (scheduler.store.clone(), scheduler.run);
    store.finish_task(run, TaskId(2), failed()).unwrap();
    drop(scheduler);
    assert_eq!(settled(&notices, fake), ["task 1"]);

    let (scheduler, notices, fake) = told_at(place.open());
    scheduler.take_up_results().unwrap();
    scheduler.fail_task(TaskId(3), "a reason".into()).unwrap();
    assert!(scheduler.is_over());
    assert_eq!(settled(&notices, fake), ["task 2", "task 3"]);

    let (scheduler, notices, fake) = told_at(place.open());
    scheduler.take_up_results().unwrap();
    assert_eq!(settled(&notices, fake), [""; 0]);
}

fn rclone_place(n: usize) -> Place {
    let mut place = Place::with_tasks(n);
    place.settings.engines = (1..=n as u32)
        .map(|task| (TaskId(task), Engine::Rclone))
        .collect();
    place
}

fn files(n: u64) -> (ItemId, Work) {
    let work = Work::Files(FilesWork {
        files: n,
        bytes: 10 * n,
        place: ListPlace::Server,
    });
    (item(5_000 + n), work)
}

/// An outcome of a walk that left files to others.
fn walked(listed: u64, left: u64) -> Outcome {
    let mut outcome = copied(listed - left, 0);
    outcome.counters.listed = listed;
    outcome.counters.deferred = left;
    outcome
}

#[test]
fn rclone_s_items_go_to_workers_that_have_it_and_wait_for_one() {
    let place = rclone_place(1);
    let scheduler = place.open();
    let without = Newcomer {
        rclone: Err("rclone: not found in PATH".to_owned()),
        ..newcomer(1)
    };
    let id = scheduler.register(without, SessionId::from_random(1));
    let without = Worker {
        session: id.unwrap(),
    };
    assert!(without.lease(&scheduler).is_empty());
    scheduler.tick(Instant::now() + GRACE * 2).unwrap();
    let snapshot = scheduler.snapshot().unwrap();
    assert_eq!(snapshot.tasks[0].record.result, None, "it waits");
    let trouble = snapshot.tasks[0].trouble.as_deref().unwrap();
    assert!(trouble.contains("not found in PATH"), "{trouble}");

    let with = Worker::register(&scheduler, 2);
    let (lease, _) = with.lease_one(&scheduler);
    assert_eq!(scheduler.snapshot().unwrap().tasks[0].trouble, None);
    assert!(lease.1 > Epoch(0));
}

#[test]
fn where_no_other_worker_can_come_a_task_without_rclone_fails_at_once() {
    let mut place = rclone_place(1);
    place.settings.embedded = true;
    let scheduler = place.open();
    let without = Newcomer {
        rclone: Err("rclone: not found in PATH".to_owned()),
        ..newcomer(1)
    };
    scheduler
        .register(without, SessionId::from_random(1))
        .unwrap();
    scheduler.tick(Instant::now()).unwrap();
    let snapshot = scheduler.snapshot().unwrap();
    let result = snapshot.tasks[0].record.result.as_ref().unwrap();
    assert!(result.message.contains("not found in PATH"), "{result:?}");
    assert!(scheduler.is_over());
}

#[test]
fn lists_that_a_walk_wrote_become_items_with_its_end_and_the_books_balance() {
    let place = rclone_place(1);
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let (lease, _) = worker.lease_one(&scheduler);
    scheduler
        .roots(lease.0, lease.1, &identity(), None)
        .unwrap();
    let children = [files(3), files(4)];
    let complete = || scheduler.complete(worker.session, lease.0, lease.1, walked(9, 7), &children);
    complete().unwrap();
    complete().unwrap();
    let leased = worker.lease(&scheduler);
    assert_eq!(leased.len(), 2, "each once: {leased:?}");
    for ((lease, _), n) in leased.iter().zip([3, 4]) {
        worker.complete(&scheduler, *lease, copied(n, 0));
    }
    let (close, _) = worker.lease_one(&scheduler);
    worker.complete(&scheduler, close, Outcome::default());
    let finished = scheduler.finished_tasks().unwrap();
    let counters = finished[0].ledger.outcome.counters;
    assert_eq!((counters.listed, counters.copied), (9, 9));
    assert!(finished[0].record.result.as_ref().unwrap().success);
}

#[test]
fn beside_the_server_sources_are_listed_and_elsewhere_files_are_copied() {
    let mut place = rclone_place(1);
    place.settings.server_side_listing = true;
    let scheduler = place.open();
    let elsewhere = Worker::register(&scheduler, 1);
    assert!(elsewhere.lease(&scheduler).is_empty());
    let lister = Newcomer {
        only_walks: true,
        rclone: Err("it only lists".to_owned()),
        ..newcomer(2)
    };
    let id = scheduler.register(lister, SessionId::from_random(2));
    let lister = Worker {
        session: id.unwrap(),
    };
    let (lease, _) = lister.lease_one(&scheduler);
    scheduler
        .roots(lease.0, lease.1, &identity(), None)
        .unwrap();
    let completed = scheduler.complete(lister.session, lease.0, lease.1, walked(3, 3), &[files(3)]);
    completed.unwrap();
    assert!(lister.lease(&scheduler).is_empty());
    let (lease, work) = elsewhere.lease(&scheduler).remove(0);
    assert_eq!(work, files(3).1);
    elsewhere.complete(&scheduler, lease, copied(3, 0));
}

#[test]
fn a_list_is_taken_only_under_the_newest_epoch_and_served_as_it_was_sent() {
    let place = rclone_place(1);
    std::fs::create_dir(place.directory.path().join("pieces")).unwrap();
    let scheduler = place.open();
    let worker = Worker::register(&scheduler, 1);
    let (lease, _) = worker.lease_one(&scheduler);
    scheduler
        .roots(lease.0, lease.1, &identity(), None)
        .unwrap();
    let list = item(5_002);
    let send = |lease, offset, bytes: &[u8], last| {
        scheduler.take_piece(worker.session, lease, Sent::List(list), offset, bytes, last)
    };
    let late = (lease.0, Epoch(lease.1.0 + 1));
    assert!(send(late, 0, b"1 a\0", false).unwrap_err().is_stale());
    assert_eq!(send(lease, 0, b"1 a\0", false).unwrap(), 4);
    assert_eq!(send(lease, 0, b"1 a\0", false).unwrap(), 4, "it came again");
    assert_eq!(send(lease, 4, b"2 b\0", true).unwrap(), 8);
    let outcome = walked(2, 2);
    let children = [(list, files(2).1)];
    scheduler
        .complete(worker.session, lease.0, lease.1, outcome, &children)
        .unwrap();
    let (lease, _) = worker.lease_one(&scheduler);
    assert_eq!(
        scheduler.listed(lease.0, 0, 5).unwrap(),
        (b"1 a\0".to_vec(), true)
    );
    assert_eq!(
        scheduler.listed(lease.0, 4, 5).unwrap(),
        (b"2 b\0".to_vec(), false)
    );
}
