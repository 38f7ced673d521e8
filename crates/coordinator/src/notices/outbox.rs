//! The bounded queue of one receiver. A notice stays in it until it is delivered or given up, so that
//! whoever ends the wait knows what is missing. Nobody waits to put one in: where it is full, the notice is
//! given up at once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Notices that wait for one receiver.
const MOST: usize = 1000;

/// Notices that one line of the log names.
const NAMED: usize = 20;

#[derive(Debug)]
pub(super) struct Notice {
    /// For the log.
    pub(super) name: String,
    pub(super) body: Vec<u8>,
}

pub(super) struct Outbox {
    /// How its receiver is named.
    origin: String,
    state: Mutex<State>,
    changed: Condvar,
    waiting: watch::Sender<usize>,
}

struct State {
    queue: VecDeque<Arc<Notice>>,
    /// After this nothing is tried.
    deadline: Option<Instant>,
    closed: bool,
}

impl Outbox {
    pub(super) fn new(origin: String) -> Self {
        Self {
            origin,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                deadline: None,
                closed: false,
            }),
            changed: Condvar::new(),
            waiting: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|p| p.into_inner())
    }

    pub(super) fn put(&self, name: String, body: Vec<u8>) {
        let mut state = self.state();
        if state.closed || state.queue.len() >= MOST {
            drop(state);
            self.missing(&[name]);
            return;
        }
        state.queue.push_back(Arc::new(Notice { name, body }));
        self.told(&state);
    }

    fn told(&self, state: &State) {
        self.waiting.send_replace(state.queue.len());
        self.changed.notify_all();
    }

    /// The oldest notice, which stays; waits for one. None: there will be no more.
    pub(super) fn next(&self) -> Option<Arc<Notice>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(notice) = state.queue.front() {
                return Some(notice.clone());
            }
            state = self.changed.wait(state).unwrap_or_else(|p| p.into_inner());
        }
    }

    /// The notice is delivered, or given up by its sender. One that is given up already stays so.
    pub(super) fn done(&self, notice: &Arc<Notice>) {
        let mut state = self.state();
        if state.queue.front().is_some_and(|n| Arc::ptr_eq(n, notice)) {
            state.queue.pop_front();
        }
        self.told(&state);
    }

    /// Time that is left for a try, up to `limit`; none: the time is over.
    pub(super) fn time_left(&self, limit: Duration) -> Option<Duration> {
        let state = self.state();
        let left = match state.deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => limit,
        };
        (!state.closed && !left.is_zero()).then(|| left.min(limit))
    }

    /// Waits between two tries, up to the deadline.
    pub(super) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = self.state();
        loop {
            let until = state.deadline.map_or(until, |deadline| until.min(deadline));
            let left = until.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(|p| p.into_inner()).0;
        }
    }

    pub(super) fn end_at(&self, deadline: Instant) {
        let mut state = self.state();
        state.deadline = Some(deadline);
        self.told(&state);
    }

    /// When nothing waits any more.
    pub(super) async fn settled(&self) {
        let mut waiting = self.waiting.subscribe();
        let _ = waiting.wait_for(|&n| n == 0).await;
    }

    /// Takes nothing more, and names what is not delivered.
    pub(super) fn give_up(&self) {
        let left = {
            let mut state = self.state();
            state.closed = true;
            let left = std::mem::take(&mut state.queue);
            self.told(&state);
            left
        };
        let names: Vec<String> = left.iter().map(|notice| notice.name.clone()).collect();
        if !names.is_empty() {
            self.missing(&names);
        }
    }

    /// Says what is not delivered.
    pub(super) fn missing(&self, names: &[String]) {
        let named = names[..names.len().min(NAMED)].join(", ");
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        tracing::warn!(
            "notices to {} were not delivered: {named}{more}",
            self.origin
        );
    }
}
