//! A pool of threads shared by all attempts of a process.
//!
//! Threads block in file calls, which is how they hide the latency of network file systems; so
//! there may be many more than cores. They are made as work appears. New work wakes one
//! thread, and a thread that finds more work than its own wakes the next; so many idle threads
//! don't wake for one job. Where calls wait for no network, more threads than processors mostly stand in each other's
//! way: no more than that work at once there, unless more get more done (see `load`).
//!
//! A thread that gets no answer can't be ended. When its attempt is left behind, another takes its place, and it goes on
//! when it comes back. One that waits for what other attempts do has another in its place meanwhile: what it waits for may be
//! in a queue of its own pool.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, available_parallelism};

use storage::posix::{ListingBuffer, isolate_creation_mask};

use crate::attempt::Stopped;
use crate::engine::Engine;
use crate::load::{self, Load};
use crate::queue::{Job, Queue, ThreadNo};
use crate::watch::asking;

/// Path-handling code needs little, directories are walked without recursion.
const STACK_BYTES: usize = 512 * 1024;

/// Bytes of a thread's copy buffer.
pub(crate) const BUFFER_BYTES: usize = 1024 * 1024;

/// A pool of threads. Dropping it waits for their current jobs.
pub struct Threads {
    pool: Arc<Pool>,
}

impl Threads {
    /// A pool of up to `n` threads, at least one.
    pub fn new(n: usize) -> Self {
        let limit = n.max(1);
        let processors = available_parallelism().map_or(1, usize::from);
        let pool = Pool {
            limit,
            state: Mutex::new(State {
                load: Load::new(limit, processors),
                ..State::default()
            }),
            has_room: AtomicBool::new(true),
            work: Condvar::new(),
            ended: Condvar::new(),
        };
        Self {
            pool: Arc::new(pool),
        }
    }

    /// Whether they could do more than waits for them: soon some have nothing to do.
    pub fn have_room(&self) -> bool {
        self.pool.lock().has_little_waiting()
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let handles = {
            let mut state = self.pool.lock();
            state.is_closing = true;
            self.pool.work.notify_all();
            std::mem::take(&mut state.handles)
        };
        for handle in handles {
            // A panic has been reported to its attempt.
            let _ = handle.join();
        }
    }
}

/// What a thread has for itself.
pub(crate) struct Scratch {
    pub(crate) thread: ThreadNo,
    pub(crate) buffer: Vec<u8>,
    pub(crate) listing: ListingBuffer,
    /// Permission bits that creations on this thread lose.
    pub(crate) creation_mask: u32,
}

fn three_quarters(threads: usize) -> usize {
    (threads * 3).div_ceil(4)
}

pub(crate) struct Pool {
    limit: usize,
    state: Mutex<State>,
    /// Threads could do more than waits in the queues.
    has_room: AtomicBool,
    work: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    attempts: Vec<Slot>,
    /// Where the next look for work begins, so that all attempts get on.
    next: usize,
    idle: usize,
    /// Threads that wait for other attempts, perhaps of this pool.
    waiting: usize,
    load: Load,
    handles: Vec<JoinHandle<()>>,
    is_closing: bool,
}

struct Slot {
    engine: Arc<Engine>,
    queue: Queue,
    running: usize,
    /// Threads that read directories.
    reading: usize,
}

impl Slot {
    /// Whether what is not begun may be of use to another worker soon. On local file systems it is sooner done.
    fn keeps_directories(&self, threads: usize) -> bool {
        let engine = &self.engine;
        !engine.is_local
            && engine.attempt.share.has_takers()
            && (engine.is_wanted_of_late() || self.queue.has_few_directories(threads))
    }

    fn is_left_behind(&self) -> bool {
        self.engine.attempt.cancel.is_left_behind()
    }
}

impl State {
    fn slot(&mut self, engine: &Engine) -> Option<&mut Slot> {
        let is_it = |slot: &&mut Slot| std::ptr::eq(Arc::as_ptr(&slot.engine), engine);
        self.attempts.iter_mut().find(is_it)
    }

    fn pop(&mut self, thread: ThreadNo) -> Option<(Arc<Engine>, Job)> {
        let n = self.attempts.len();
        for i in 0..n {
            let at = (self.next + i) % n;
            if self.has_its_part(at) {
                continue;
            }
            let threads = self.load.at_once();
            let slot = &mut self.attempts[at];
            let job = match slot.keeps_directories(threads) {
                true => {
                    let may_begin = slot.reading < slot.engine.begins_at_once(threads);
                    slot.queue.pop_keeping(thread, may_begin)
                }
                false => slot.queue.pop(thread),
            };
            if let Some(job) = job {
                slot.running += 1;
                slot.reading += usize::from(job.reads());
                slot.engine.attempt.progress.join();
                self.next = at + 1;
                return Some((Arc::clone(&slot.engine), job));
            }
        }
        None
    }

    /// Whether an attempt has as many threads as it may have beside others: should they all get no answer, some are left.
    fn has_its_part(&self, at: usize) -> bool {
        let attempts = self.attempts.iter().enumerate();
        let mut others = attempts.filter(|(other, _)| *other != at);
        let all = self.load.at_once();
        let running = self.attempts[at].running;
        if running < three_quarters(all) {
            return false;
        }
        match running + 1 < all {
            true => others.any(|(_, slot)| slot.queue.has_work()),
            // Even one that has none just now has some to come.
            false => others.any(|(_, slot)| !slot.is_left_behind()),
        }
    }

    /// Threads that get no answer, and that nobody waits for any more.
    fn left_behind(&self) -> usize {
        let left_behind = self.attempts.iter().filter(|slot| slot.is_left_behind());
        left_behind.map(|slot| slot.running).sum()
    }

    fn working(&self) -> usize {
        let others = self.idle + self.left_behind() + self.waiting;
        // One that waits may be left behind too.
        self.handles.len().saturating_sub(others)
    }

    /// Threads that there may be: as many again as are left behind, up to twice as many, and those in the place of others
    /// that wait. These are no more than the items that others have of their files.
    fn most(&self, limit: usize) -> usize {
        limit + self.left_behind().min(limit) + self.waiting
    }

    /// Whether fewer files and other jobs wait than there are threads.
    fn has_little_waiting(&self) -> bool {
        let threads = self.load.at_once();
        let attempts = self.attempts.iter().filter(|slot| !slot.is_left_behind());
        let waiting = attempts.map(|slot| {
            let engine = &slot.engine;
            // What is offered to others just now is in no queue.
            match engine.is_sharing.load(Ordering::Relaxed) {
                true => threads,
                false => slot.queue.waiting(engine.pace.files_of_one(), threads),
            }
        });
        waiting.sum::<usize>() < threads
    }

    fn has_work(&self) -> bool {
        self.attempts.iter().any(|slot| slot.queue.has_work())
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether who has work in hand should leave some of it to others: they have none.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room.load(Ordering::Relaxed)
    }

    /// Changes the queue of an attempt and sees that somebody looks at it.
    pub(crate) fn with_queue<T>(
        self: &Arc<Self>,
        engine: &Engine,
        change: impl FnOnce(&mut Queue) -> T,
    ) -> Option<T> {
        let mut state = self.lock();
        let changed = change(&mut state.slot(engine)?.queue);
        self.wake_one(&mut state);
        Some(changed)
    }

    fn wake_one(self: &Arc<Self>, state: &mut State) {
        if !state.has_work() || state.working() >= state.load.at_once() {
            return;
        }
        if state.idle > 0 {
            self.work.notify_one();
        } else if state.handles.len() < state.most(self.limit) {
            let pool = Arc::clone(self);
            let thread = state.handles.len();
            let spawned = std::thread::Builder::new()
                .name(format!("copy-{thread}"))
                .stack_size(STACK_BYTES)
                .spawn(move || pool.work(thread));
            match spawned {
                Ok(handle) => state.handles.push(handle),
                // The threads there are do the work; without any the attempt has to end.
                Err(error) if state.handles.is_empty() => {
                    for slot in &mut state.attempts {
                        slot.queue.clear();
                        slot.engine
                            .stop(Stopped::Again(format!("cannot start a thread: {error}")));
                    }
                    self.ended.notify_all();
                }
                Err(error) => tracing::debug!(%error, "no further thread"),
            }
        }
    }

    /// Waits for other attempts, on a thread of this pool.
    pub(crate) fn wait_for_others<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        state.waiting += 1;
        self.wake_one(&mut state);
        drop(state);
        let waited = wait();
        self.lock().waiting -= 1;
        waited
    }

    /// Runs an attempt until it has nothing left to do; blocks.
    pub(crate) fn run_to_end(self: &Arc<Self>, engine: &Arc<Engine>) {
        let mut state = self.lock();
        let mut queue = Queue::default();
        engine.first_jobs(&mut queue);
        if !engine.is_local {
            state.load.allow_all();
        }
        state.attempts.push(Slot {
            engine: Arc::clone(engine),
            queue,
            running: 0,
            reading: 0,
        });
        self.wake_one(&mut state);
        loop {
            let Some(slot) = state.slot(engine) else {
                return;
            };
            if slot.running > 0 || !slot.queue.is_empty() {
                let waited = self.ended.wait_timeout(state, load::INTERVAL);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if let Some(slot) = state.slot(engine) {
                    match engine.attempt.cancel.is_cancelled() {
                        true => slot.queue.hurry(),
                        false => slot.queue.look_at_time(),
                    }
                }
                let has_work = state.has_work();
                state.load.look(has_work);
                self.wake_one(&mut state);
                continue;
            }
            match engine.next_job() {
                Some(job) => {
                    slot.queue.push_first(job);
                    self.wake_one(&mut state);
                    if state.handles.is_empty() {
                        break;
                    }
                }
                None => break,
            }
        }
        state
            .attempts
            .retain(|slot| !Arc::ptr_eq(&slot.engine, engine));
    }

    /// What a thread does all its life.
    fn work(self: Arc<Self>, thread: ThreadNo) {
        let mut scratch = Scratch {
            thread,
            buffer: vec![0; BUFFER_BYTES],
            listing: ListingBuffer::default(),
            creation_mask: isolate_creation_mask(),
        };
        let mut state = self.lock();
        while !state.is_closing {
            let is_one_too_many = state.working() > state.load.at_once();
            let popped = match is_one_too_many {
                true => None,
                false => state.pop(thread),
            };
            let Some((engine, job)) = popped else {
                state.idle += 1;
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            self.wake_one(&mut state);
            let has_room = !state.has_work() && state.working() < state.load.at_once();
            self.has_room.store(has_room, Ordering::Relaxed);
            drop(state);
            let (reads, group) = (job.reads(), job.group());
            let done = AssertUnwindSafe(|| engine.perform(job, &mut scratch));
            if asking(|| std::panic::catch_unwind(done)).is_err() {
                engine.stop(Stopped::Again("internal: a copying thread panicked".into()));
            }
            state = self.lock();
            state.load.count_job();
            engine.attempt.progress.leave();
            if let Some(slot) = state.slot(&engine) {
                slot.running -= 1;
                slot.reading -= usize::from(reads);
                if let Some(group) = group {
                    slot.queue.leave(group);
                }
                if engine.is_stopping() {
                    slot.queue.clear();
                }
                if slot.running == 0 && slot.queue.is_empty() {
                    self.ended.notify_all();
                }
            }
        }
    }
}
