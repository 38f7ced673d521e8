//! Work that waits for a thread, and whether there are threads that wait for work.
//!
//! Work is put here only as far as somebody waits for it. So what waits holds few descriptors, and all is done when
//! every thread waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    /// As of the last change of the state.
    wants_work: AtomicBool,
}

struct State<J> {
    jobs: Vec<J>,
    members: usize,
    waiting: usize,
}

/// A thread that takes part, until this is dropped.
pub(super) struct Member<'a, J> {
    queue: &'a Queue<J>,
}

impl<J> Queue<J> {
    pub(super) fn with(job: J) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: vec![job],
                members: 0,
                waiting: 0,
            }),
            changed: Condvar::new(),
            wants_work: AtomicBool::new(false),
        }
    }

    pub(super) fn join(&self) -> Member<'_, J> {
        self.lock().members += 1;
        Member { queue: self }
    }

    /// Whether more threads wait than work; cheap.
    pub(super) fn wants_work(&self) -> bool {
        self.wants_work.load(Ordering::Relaxed)
    }

    pub(super) fn put(&self, job: J) {
        let mut state = self.lock();
        state.jobs.push(job);
        self.note(&state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, state: &State<J>) {
        let wants_work = state.waiting > state.jobs.len();
        self.wants_work.store(wants_work, Ordering::Relaxed);
    }
}

impl<J> Member<'_, J> {
    /// Waits for work; `None`: all is done.
    pub(super) fn take(&self) -> Option<J> {
        let queue = self.queue;
        let mut state = queue.lock();
        state.waiting += 1;
        loop {
            if let Some(job) = state.jobs.pop() {
                state.waiting -= 1;
                queue.note(&state);
                return Some(job);
            }
            if state.waiting == state.members {
                state.waiting -= 1;
                return None;
            }
            queue.note(&state);
            state = queue
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<J> Drop for Member<'_, J> {
    fn drop(&mut self) {
        // Also when the thread panicked: the others must not wait for it.
        self.queue.lock().members -= 1;
        self.queue.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::Queue;

    /// Splits a number into ones, as threads that wait ask for it.
    fn add_up(queue: &Queue<u32>, sum: &AtomicU32, may_panic: bool) {
        let member = queue.join();
        while let Some(mut job) = member.take() {
            while job > 0 {
                if job > 1 && queue.wants_work() {
                    queue.put(job / 2);
                    job -= job / 2;
                }
                sum.fetch_add(1, Ordering::Relaxed);
                job -= 1;
                if may_panic && job % 7 == 3 {
                    panic!("as the test wants it");
                }
            }
        }
    }

    #[test]
    fn all_is_done_once_by_however_many() {
        for threads in [1, 2, 30] {
            let (queue, sum) = (Queue::with(10_000), AtomicU32::new(0));
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| add_up(&queue, &sum, false));
                }
            });
            assert_eq!(sum.into_inner(), 10_000);
        }
    }

    #[test]
    fn nobody_waits_for_a_thread_that_panicked() {
        let (queue, sum) = (Queue::with(1_000), AtomicU32::new(0));
        thread::scope(|scope| {
            let threads = [true, true, false].map(|may_panic| {
                let (queue, sum) = (&queue, &sum);
                scope.spawn(move || add_up(queue, sum, may_panic))
            });
            for thread in threads {
                let _ = thread.join();
            }
        });
    }
}
