//! What goes wrong in a run, and when.

use std::collections::BTreeSet;
use std::fmt;

use model::TaskId;

use crate::network::Counts;
use crate::watch::Fuse;
use crate::worker::Over;
use crate::world::{Event, World};

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    KillWorker(usize),
    /// It stops in good order, and comes back.
    StopWorker(usize),
    FreezeWorker(usize, u64),
    /// Between the next answer of a fence and the change.
    FreezeAtChange(usize, u64),
    /// As the one before, when it writes a block for another attempt.
    FreezeInRange(usize, u64),
    /// What it sends is lost.
    Mute(usize, u64),
    /// What it is sent is lost.
    Deaf(usize, u64),
    KillServer(u64),
    /// At a change of the store.
    KillServerAt(Fuse),
    FreezeServer(u64),
    DiskFull(u64),
    TargetFull(TaskId, u64),
    Change(TaskId, u64),
    Vanish(TaskId, u64),
    /// The files of a directory can't be read for so long.
    Unreadable(TaskId, u64, u64),
}

/// How often each happened while there was something to disturb.
#[derive(Debug, Default, Clone, Copy)]
pub struct Fired {
    pub worker_killed: u64,
    /// By a file that it read.
    pub worker_poisoned: u64,
    pub worker_stopped: u64,
    pub worker_frozen: u64,
    /// Of these: between its fence and the change.
    pub frozen_at_a_change: u64,
    /// Of these: with a block for another attempt.
    pub frozen_in_a_range: u64,
    /// Changes that were made after the item was lost.
    pub changed_late: u64,
    pub worker_cut: u64,
    pub server_killed: u64,
    pub server_died_in_a_call: u64,
    pub server_frozen: u64,
    pub disk_full: u64,
    /// Changes that found no room.
    pub disk_full_refused: u64,
    pub target_full: u64,
    pub source_changed: u64,
    pub source_vanished: u64,
    /// Entries that were left to another try.
    pub left_to_another_try: u64,
    /// Entries that failed in their last.
    pub failed_for_good: u64,
    /// No fault, but what faults are to meet: parts of huge directories that were others'.
    pub shards_handed_over: u64,
    /// Of huge files.
    pub ranges_handed_over: u64,
    pub ranges_done: u64,
    pub ranges_taken_back: u64,
    pub network: Counts,
}

/// Faults fall into so many milliseconds.
pub const SPAN_MS: u64 = 60_000;

/// Longer than all tries of an entry may take.
const LONGEST_FAULT_MS: u64 = 200_000;

/// What is to happen. One seed in eight has none.
pub fn draw(world: &mut World<'_>) -> Vec<(u64, Fault)> {
    if world.random.chance(125) {
        return Vec::new();
    }
    if world.random.chance(100) {
        let tree = world.trees.values_mut().next().expect("a task");
        let file = world.random.next() as usize % tree.files.len();
        tree.poison = Some(file);
    }
    let network = &mut world.network;
    if world.random.chance(500) {
        network.lost = world.random.between(0, 60);
        network.doubled = world.random.between(0, 60);
        network.slow = world.random.between(0, 60);
    }
    (0..world.random.between(0, 9))
        .map(|_| (world.random.between(0, SPAN_MS), draw_one(world)))
        .collect()
}

fn draw_one(world: &mut World<'_>) -> Fault {
    let lease = world.lease_ms;
    let random = &mut world.random;
    let worker = random.next() as usize % world.workers.len();
    let task = TaskId(1 + (random.next() % world.trees.len() as u64) as u32);
    let short = random.between(100, lease);
    let long = random.between(lease / 2, lease * 4);
    let some = [short, long][random.between(0, 2) as usize];
    match random.between(0, 20) {
        0 | 1 => Fault::KillWorker(worker),
        2 => Fault::StopWorker(worker),
        3 => Fault::FreezeWorker(worker, some),
        4 | 5 => Fault::FreezeAtChange(worker, long),
        6 => Fault::Mute(worker, long),
        7 => Fault::Deaf(worker, long),
        8 => Fault::KillServer(some),
        9 | 10 => Fault::KillServerAt(Fuse {
            left: random.between(0, 12) as u32,
            is_stored: random.chance(500),
        }),
        11 => Fault::FreezeServer(some),
        12 => Fault::DiskFull(some),
        13 => Fault::TargetFull(task, long),
        14 => Fault::Change(task, random.next()),
        15 | 16 => Fault::Unreadable(task, random.next(), random.between(1_000, LONGEST_FAULT_MS)),
        17 | 18 => Fault::FreezeInRange(worker, long),
        _ => Fault::Vanish(task, random.next()),
    }
}

impl World<'_> {
    pub fn inject(&mut self, fault: Fault) {
        if self.over_since.is_some() {
            return;
        }
        self.say(|| format!("{fault:?}"));
        let now = self.now;
        match fault {
            Fault::KillWorker(worker) => {
                if self.workers[worker].is_up {
                    self.fired.worker_killed += 1;
                    self.kill_worker(worker);
                }
            }
            Fault::StopWorker(worker) => {
                if self.workers[worker].session.is_some() {
                    self.fired.worker_stopped += 1;
                    self.end_session(worker, Over::Stopped);
                }
            }
            Fault::FreezeWorker(worker, ms) => {
                if self.workers[worker].is_up {
                    self.fired.worker_frozen += 1;
                    self.freeze(worker, ms);
                }
            }
            Fault::FreezeAtChange(worker, ms) => {
                if self.workers[worker].is_up {
                    self.workers[worker].freezes_at_change = Some(ms);
                }
            }
            Fault::FreezeInRange(worker, ms) => {
                if self.workers[worker].is_up {
                    self.workers[worker].freezes_in_range = Some(ms);
                }
            }
            Fault::Mute(worker, ms) => {
                self.fired.worker_cut += 1;
                self.workers[worker].mute_until = now + ms;
                self.fault_until(now + ms);
            }
            Fault::Deaf(worker, ms) => {
                self.fired.worker_cut += 1;
                self.workers[worker].deaf_until = now + ms;
                self.fault_until(now + ms);
            }
            Fault::KillServer(away) => {
                self.fired.server_killed += u64::from(self.server.is_some());
                self.kill_server(away);
            }
            Fault::KillServerAt(fuse) => self.watch.seen().fuse = Some(fuse),
            Fault::FreezeServer(ms) => {
                self.fired.server_frozen += u64::from(self.server.is_some());
                self.server_frozen_until = now + ms;
                self.fault_until(now + ms);
            }
            Fault::DiskFull(ms) => {
                self.fired.disk_full += 1;
                self.watch.seen().is_full = true;
                self.fault_until(now + ms);
                self.after(ms, Event::DiskHasRoom);
            }
            Fault::TargetFull(task, ms) => {
                self.fired.target_full += 1;
                self.trees.get_mut(&task).expect("a task").is_full = true;
                self.fault_until(now + ms);
                self.after(ms, Event::TargetHasRoom(task));
            }
            Fault::Change(task, which) => self.change_source(task, which),
            Fault::Vanish(task, which) => self.vanish(task, which),
            Fault::Unreadable(task, which, ms) => self.unreadable(task, which, ms),
        }
    }

    /// It comes back after a while.
    pub fn kill_worker(&mut self, worker: usize) {
        self.workers[worker].die();
        let away = self.random.between(500, 3 * self.lease_ms);
        self.fault_until(self.now + away);
        self.after(away, Event::WorkerUp(worker));
    }

    pub fn freeze_at_change(&mut self, worker: usize) {
        if let Some(ms) = self.workers[worker].freezes_at_change.take() {
            self.freeze_now(worker, ms);
        }
    }

    /// What the block is of changes meanwhile.
    pub fn freeze_in_range(&mut self, worker: usize, task: TaskId, file: usize) {
        if let Some(ms) = self.workers[worker].freezes_in_range.take() {
            let meanwhile = self.random.between(ms / 2, ms);
            let changed = Fault::Change(task, file as u64);
            self.after(meanwhile, Event::Fault(changed));
            self.fired.frozen_in_a_range += 1;
            self.freeze_now(worker, ms);
        }
    }

    fn freeze_now(&mut self, worker: usize, ms: u64) {
        self.fired.worker_frozen += 1;
        self.fired.frozen_at_a_change += 1;
        self.say(|| format!("worker {worker} freezes at a change, for {ms} ms"));
        self.freeze(worker, ms);
    }

    fn freeze(&mut self, worker: usize, ms: u64) {
        self.workers[worker].frozen_until = self.now + ms;
        self.fault_until(self.now + ms);
    }

    fn change_source(&mut self, task: TaskId, which: u64) {
        let tree = self.trees.get_mut(&task).expect("a task");
        let file = which as usize % tree.files.len();
        if let Some(version) = &mut tree.files[file].version {
            *version += 1;
            self.fired.source_changed += 1;
        }
    }

    fn unreadable(&mut self, task: TaskId, which: u64, ms: u64) {
        let tree = self.trees.get_mut(&task).expect("a task");
        let file = which as usize % tree.files.len();
        let beside = &tree.directories[tree.files[file].directory].files;
        // Of one that kills who reads it no more is known.
        let faulty: BTreeSet<usize> = beside
            .iter()
            .copied()
            .filter(|file| tree.poison != Some(*file))
            .collect();
        tree.ever_faulty.extend(&faulty);
        tree.faulty.extend(&faulty);
        self.fault_until(self.now + ms);
        self.after(ms, Event::Readable(task, faulty));
    }

    fn vanish(&mut self, task: TaskId, which: u64) {
        let tree = self.trees.get_mut(&task).expect("a task");
        let file = which as usize % tree.files.len();
        if tree.files[file].version.take().is_some() {
            tree.vanished += 1;
            self.fired.source_vanished += 1;
        }
    }
}

impl Fired {
    /// By kind.
    fn kinds(&mut self) -> [(&'static str, &mut u64); 26] {
        [
            ("workers killed", &mut self.worker_killed),
            ("workers poisoned", &mut self.worker_poisoned),
            ("workers stopped", &mut self.worker_stopped),
            ("workers frozen", &mut self.worker_frozen),
            (
                "of these between fence and change",
                &mut self.frozen_at_a_change,
            ),
            ("in a range", &mut self.frozen_in_a_range),
            ("changes after a loss", &mut self.changed_late),
            ("workers cut off one way", &mut self.worker_cut),
            ("servers killed", &mut self.server_killed),
            ("servers killed in a call", &mut self.server_died_in_a_call),
            ("servers frozen", &mut self.server_frozen),
            ("disks full", &mut self.disk_full),
            ("changes without room", &mut self.disk_full_refused),
            ("targets full", &mut self.target_full),
            ("files changed", &mut self.source_changed),
            ("files vanished", &mut self.source_vanished),
            ("entries left to another try", &mut self.left_to_another_try),
            ("entries failed for good", &mut self.failed_for_good),
            ("shards handed over", &mut self.shards_handed_over),
            ("ranges handed over", &mut self.ranges_handed_over),
            ("ranges done by others", &mut self.ranges_done),
            ("ranges taken back", &mut self.ranges_taken_back),
            ("messages lost", &mut self.network.lost),
            ("messages cut off", &mut self.network.cut),
            ("messages doubled", &mut self.network.doubled),
            ("messages late", &mut self.network.slow),
        ]
    }

    /// The kinds of which none has happened.
    pub fn missing(mut self) -> Vec<&'static str> {
        let kinds = self.kinds().into_iter();
        kinds
            .filter(|(_, n)| **n == 0)
            .map(|(kind, _)| kind)
            .collect()
    }

    pub fn add(&mut self, other: &Self) {
        let mut other = *other;
        for ((_, sum), (_, more)) in self.kinds().into_iter().zip(other.kinds()) {
            *sum += *more;
        }
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fired = *self;
        let kinds = fired.kinds();
        let told: Vec<String> = kinds
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        f.write_str(&told.join(", "))
    }
}
