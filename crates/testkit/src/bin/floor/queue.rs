//! Jobs that wait for a thread, newest first. It is over when none waits and none is worked on.

use std::sync::{Condvar, Mutex, MutexGuard};

pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: Vec<T>,
    /// Waiting, or taken and not finished.
    open: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(first: T) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: vec![first],
                open: 1,
            }),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn push(&self, job: T) {
        let mut state = self.lock();
        state.waiting.push(job);
        state.open += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for a job; `None` when there will be no more. Each job is to be [`Queue::finished`].
    pub(crate) fn next(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop() {
                return Some(job);
            }
            if state.open == 0 {
                return None;
            }
            state = self.changed.wait(state).expect("no job panics");
        }
    }

    pub(crate) fn finished(&self) {
        let mut state = self.lock();
        state.open -= 1;
        if state.open == 0 {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no job panics")
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn the_newest_comes_first_and_the_end_after_the_last_is_finished() {
        let queue = Queue::new(1);
        assert_eq!(queue.next(), Some(1));
        queue.push(2);
        queue.push(3);
        queue.finished();
        assert_eq!(queue.next(), Some(3));
        assert_eq!(queue.next(), Some(2));
        queue.finished();
        queue.finished();
        assert_eq!(queue.next(), None);
    }
}
